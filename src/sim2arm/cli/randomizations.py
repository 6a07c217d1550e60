"""What differs between training episodes beside their start: name -> terms for a robot.

The ranges are guesses about what a careful owner of an arm does not know: no identification of one
stands behind them. A measured range replaces a guess here.
"""

from collections.abc import Callable
from dataclasses import dataclass, replace

from sim2arm.core.robots import Robot
from sim2arm.sim.delay import CommandDelay
from sim2arm.sim.gel_terms import GelFriction, GelStiffness
from sim2arm.sim.held_terms import HeldPose
from sim2arm.sim.physics_terms import (
    Friction,
    Gains,
    GeomSize,
    GravityCompensation,
    JointDynamics,
    Mass,
)
from sim2arm.sim.randomize import Term
from sim2arm.sim.sensing import Delay, Noise, SensorTerm


@dataclass(frozen=True, kw_only=True)
class Randomization:
    """What differs between episodes beside their start."""

    physics: tuple[Term, ...] = ()
    sensors: tuple[SensorTerm, ...] = ()
    commands: CommandDelay | None = None


def nothing(robot: Robot) -> Randomization:
    """Nothing but the start."""
    return Randomization()


def arm(robot: Robot) -> Randomization:
    """An arm's gains, joints and weight, its readings and commands."""
    joints = robot.joint_names
    return Randomization(
        physics=(
            Gains(joints=joints, kp=1.15, kd=1.15),
            JointDynamics(joints=joints, damping=1.5, armature=1.2, dry_friction=0.3),
            GravityCompensation(error=0.02),
        ),
        sensors=(
            Delay(names=("joint_position", "joint_velocity"), high=0.04, share=0.5, jitter=0.004),
            Noise(name="joint_position", bias=0.001, deviation=0.0001),  # [rad]
            Noise(name="joint_velocity", deviation=0.005),  # [rad/s]
        ),
        commands=CommandDelay(high=0.04, share=0.5, lost=0.02),
    )


def peg_geoms(robot: Robot) -> tuple[str, ...]:
    """Return both sides of all contacts of the peg."""
    return ("peg", f"{robot.name}_left*", f"{robot.name}_right*", "socket_*")


def peg(robot: Robot) -> Randomization:
    """The same, and mass and friction of the peg (peg-insertion)."""
    more = (
        Mass(body="peg", low=0.7, high=1.4, spread=1.2, shift=0.003),
        Friction(geoms=peg_geoms(robot), low=0.7, high=1.3),
    )
    found = arm(robot)
    return replace(found, physics=(*found.physics, *more))


def peg_fit(robot: Robot) -> Randomization:
    """The same, and how thick the peg is and how it lies in the hand (peg-insertion)."""
    more = (
        GeomSize(geom="peg", axis=0, low=-1e-4, high=1e-4),
        HeldPose(body="peg", shift=(0.002, 0.0, 0.003), turn=(0.0, 0.05, 0.0)),
    )
    found = peg(robot)
    return replace(found, physics=(*found.physics, *more))


def cube(robot: Robot) -> Randomization:
    """That of the arm, and mass and friction of the cube (lift-cube)."""
    more = (
        Mass(body="cube", low=0.5, high=2.0, spread=1.2, shift=0.003),
        Friction(geoms=("cube",), low=0.7, high=1.3),  # which outranks the pads
    )
    found = arm(robot)
    return replace(found, physics=(*found.physics, *more))


def gel(robot: Robot) -> Randomization:
    """That of the arm, and how stiff gels are and how they grip (peg-placement with touch)."""
    found = arm(robot)
    return replace(found, physics=(*found.physics, GelStiffness(), GelFriction()))


RANDOMIZATIONS: dict[str, Callable[[Robot], Randomization]] = {
    "none": nothing,
    "arm": arm,
    "peg": peg,
    "peg-fit": peg_fit,
    "cube": cube,
    "gel": gel,
}
