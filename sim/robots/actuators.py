"""Actuator models of robots by name: the literal numbers of `sim2arm train --actuators`."""

from __future__ import annotations

from sim2arm.core.robots import FR3, PANDA, UR5E, Robot
from sim2arm.sim.actuators import Actuators, GearFriction, JointActuator, Motor

from .franka_inertia import JOINTS

IDEAL = "ideal"
"""The name of what every robot has: the law alone."""
STICTION = 1.5
"""Breakaway torque in Coulomb frictions, an assumption: identifications of Franka arms (those of
`franka_inertia`) fit friction in motion, and nobody has published what it takes from rest."""


def _motor(robot: Robot, i: int) -> Motor:
    """Return the motor that the published limits allow at worst: no torque left at top speed.

    Limits of torque and speed stand side by side in specifications, without a curve; a real drive
    reaches its top speed with torque to spare.
    """
    limits = robot.limits
    return Motor(stall_torque=limits.tau_max[i], no_load_speed=limits.dq_max[i])


def _gear(robot: Robot, i: int) -> GearFriction:
    """Return friction in motion as identified, for this arm, with an assumed stiction."""
    joints = JOINTS[robot.name]
    coulomb = joints.frictionloss[i]
    return GearFriction(coulomb=coulomb, viscous=joints.damping[i], breakaway=STICTION * coulomb)


def _of(robot: Robot, *, motor: bool, gear: bool) -> Actuators:
    return {
        name: JointActuator(
            motor=_motor(robot, i) if motor else None, friction=_gear(robot, i) if gear else None
        )
        for i, name in enumerate(robot.chain.joint_names)
    }


ACTUATORS: dict[str, dict[str, Actuators]] = {
    "motor": {robot.name: _of(robot, motor=True, gear=False) for robot in (FR3, PANDA, UR5E)},
    "gear": {robot.name: _of(robot, motor=False, gear=True) for robot in (FR3, PANDA)},
    "motor-gear": {robot.name: _of(robot, motor=True, gear=True) for robot in (FR3, PANDA)},
}
"""Name -> robot -> joint -> model.

The SO-101 has none: its servos drive with a voltage, so back-EMF brakes at any torque, and the
damping of its model, 0.6 N m s/rad, is the slope of their line (2.94 N m over 4.7 rad/s: 0.62). The
model of the UR5e has no friction, and none is published, so it has no stiction either.
"""


def find_actuators(name: str, robot: str) -> Actuators:
    """Return the actuator models of a robot, by joint; `ideal` has none.

    Raises:
        ValueError: there are no such actuators, or not for the robot.
    """
    if name == IDEAL:
        return {}
    if name not in ACTUATORS:
        raise ValueError(f"expected one of {', '.join((IDEAL, *ACTUATORS))}, got {name!r}")
    if robot not in ACTUATORS[name]:
        raise ValueError(
            f"there are no {name!r} for the robot {robot!r}, only for "
            f"{', '.join(ACTUATORS[name])}: take {IDEAL!r}"
        )
    return ACTUATORS[name][robot]
