"""What differs between training episodes beside their start: name -> terms, an entry per family.

The ranges are guesses about what a careful owner of an arm does not know: no identification of one
stands behind them. A measured range replaces a guess here.
"""

from dataclasses import dataclass, replace

from sim2arm.core.robots import FR3
from sim2arm.sim.delay import CommandDelay
from sim2arm.sim.physics_terms import (
    Friction,
    Gains,
    GravityCompensation,
    JointDynamics,
    Mass,
)
from sim2arm.sim.randomize import Term
from sim2arm.sim.sensing import Delay, Noise, SensorTerm


@dataclass(frozen=True, kw_only=True)
class Randomization:
    """What differs between episodes beside their start."""

    summary: str = ""
    """For `sim2arm list`."""
    physics: tuple[Term, ...] = ()
    sensors: tuple[SensorTerm, ...] = ()
    commands: CommandDelay | None = None


ARM = Randomization(
    summary="An FR3's gains, joints, weight, its readings and commands.",
    physics=(
        Gains(joints=FR3.chain.joint_names, kp=1.15, kd=1.15),
        JointDynamics(joints=FR3.chain.joint_names, damping=1.5, armature=1.2, dry_friction=0.3),
        GravityCompensation(bodies=("fr3_*",), error=0.02),
    ),
    sensors=(
        Delay(names=("joint_position", "joint_velocity"), high=0.04, share=0.5, jitter=0.004),
        Noise(name="joint_position", bias=0.001, deviation=0.0001),  # [rad]
        Noise(name="joint_velocity", deviation=0.005),  # [rad/s]
    ),
    commands=CommandDelay(high=0.04, share=0.5, lost=0.02),
)
PEG_GEOMS = ("peg", "fr3_leftpad", "fr3_rightpad", "socket_*")
"""Both sides of all contacts of the peg."""

RANDOMIZATIONS: dict[str, Randomization] = {
    "none": Randomization(summary="Nothing but the start."),
    "arm": ARM,
    "peg": replace(
        ARM,
        summary="The same, mass and friction of the peg (peg-insertion).",
        physics=(
            *ARM.physics,
            Mass(body="peg", low=0.7, high=1.4, spread=1.2, shift=0.003),
            Friction(geoms=PEG_GEOMS, low=0.7, high=1.3),
        ),
    ),
}
