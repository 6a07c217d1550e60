"""Arms that are not as in training, for `sim2arm eval --shift`: by task, three levels each.

Every term takes one end of its range, low or high by the evaluation seed, the same in all episodes:
one other arm. The ends lie outside the ranges of `randomizations.py`, farther with each level.
"""

from collections.abc import Callable
from dataclasses import replace

from sim2arm.core.robots import Robot
from sim2arm.sim.delay import CommandDelay
from sim2arm.sim.physics_terms import Friction, Gains, GravityCompensation, JointDynamics, Mass
from sim2arm.sim.sensing import Delay, Noise

from .randomizations import Randomization, peg_geoms

LEVELS = (1, 2, 3)


def _arm(robot: Robot, level: int) -> Randomization:
    """Gains, joints, weight, latencies, noise and bias of an arm [s], [rad]."""
    joints, late = robot.joint_names, 0.04 + 0.01 * level
    return Randomization(
        physics=(
            Gains(joints=joints, kp=1.15 + 0.15 * level, kd=1.15 + 0.15 * level),
            JointDynamics(
                joints=joints,
                damping=1.5 + 0.5 * level,
                armature=1.2 + 0.1 * level,
                dry_friction=0.3 + 0.4 * level,
                least_dry_friction=0.3 + 0.2 * level,
            ),
            GravityCompensation(error=0.02 + 0.02 * level),
        ),
        sensors=(
            Delay(names=("joint_position", "joint_velocity"), low=late, high=late, jitter=0.004),
            Noise(name="joint_position", bias=0.001 + 0.0005 * level, deviation=0.0002),
            Noise(name="joint_velocity", deviation=0.01 * level),
        ),
        commands=CommandDelay(low=late, high=late, lost=0.02 + 0.02 * level),
    )


def _peg(robot: Robot, level: int) -> Randomization:
    held = (
        Mass(body="peg", low=1.0 / (1.4 + 0.3 * level), high=1.4 + 0.3 * level),
        Friction(geoms=peg_geoms(robot), low=1.0 / (1.3 + 0.2 * level), high=1.3 + 0.2 * level),
    )
    found = _arm(robot, level)
    return replace(found, physics=(*found.physics, *held))


def _cube(robot: Robot, level: int) -> Randomization:
    held = (
        Mass(body="cube", low=1.0 / (2.0 + 0.4 * level), high=2.0 + 0.4 * level),
        Friction(geoms=("cube",), low=1.0 / (1.3 + 0.2 * level), high=1.3 + 0.2 * level),
    )
    found = _arm(robot, level)
    return replace(found, physics=(*found.physics, *held))


SHIFTS: dict[str, Callable[[Robot, int], Randomization]] = {
    "reach": _arm,
    "peg-insertion": _peg,
    "lift-cube": _cube,
}
"""Name of the task -> the other arm for a robot and one of `LEVELS`."""
