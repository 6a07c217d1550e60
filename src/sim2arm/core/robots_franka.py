"""Franka Panda and Franka Research 3 with the Franka Hand.

Sources, named in the comments by these letters:

- [D] Franka documentation, "Robot and interface specifications" (control_parameters), the
  tables of the Panda and of the Franka Research 3.
- [U] franka_description 1.0.1, `robots/{fer,fr3}/{kinematics,joint_limits}.yaml` and
  `end_effectors/franka_hand` (Apache-2.0); fer is the Panda.
- [L] libfranka, `examples/joint_impedance_control.cpp` and the start pose of all its examples.
- [V] libfranka, `include/franka/rate_limiting.h`, `computeUpperLimitsJointVelocity` and
  `computeLowerLimitsJointVelocity`: the position-dependent limits of the FR3.
- [H] Franka Hand data sheet: stroke, speed and force.
- [C] franka_description 2 (Apache-2.0), `robots/common/franka_arm.xacro` and
  `end_effectors/common/franka_hand.xacro`: capsules with which Franka's own software watches for
  collisions of the arm with itself, with a safety distance of 0.03 m; the `.srdf.xacro` beside
  them: which links cannot touch.
"""

from __future__ import annotations

import math

import numpy as np

from .robot_types import Body, Capsule, Chain, Gripper, JointLimits, Robot, ToolBox


def _franka_chain(prefix: str) -> Chain:
    """Return the chain shared by Panda and FR3 [U]: x right, z along the joint, in its parent."""
    steps = (  # translation [m], roll in quarter turns: modified Denavit-Hartenberg
        ((0.0, 0.0, 0.333), 0),
        ((0.0, 0.0, 0.0), -1),
        ((0.0, -0.316, 0.0), 1),
        ((0.0825, 0.0, 0.0), 1),
        ((-0.0825, 0.384, 0.0), -1),
        ((0.0, 0.0, 0.0), 1),
        ((0.088, 0.0, 0.0), 1),
    )
    T = np.tile(np.eye(4), (7, 1, 1))
    for i, (p, quarter) in enumerate(steps):
        c, s = (1.0, 0.0) if quarter == 0 else (0.0, float(quarter))
        T[i, 1:3, 1:3] = ((c, -s), (s, c))
        T[i, :3, 3] = p
    # Flange at 0.107 m, hand turned by -45 degrees on it, tool centre point 0.1034 m from it [U].
    T_last_tool = np.eye(4)
    h = math.sqrt(0.5)
    T_last_tool[:2, :2] = ((h, h), (-h, h))
    T_last_tool[2, 3] = 0.107 + _TCP
    for array in (T, T_last_tool):
        array.flags.writeable = False
    axes = np.tile(np.array([0.0, 0.0, 1.0]), (7, 1))
    axes.flags.writeable = False
    return Chain(
        base_frame=f"{prefix}_link0",
        tool_frame=f"{prefix}_hand_tcp",
        joint_names=tuple(f"{prefix}_joint{i}" for i in range(1, 8)),
        T_parent_joint=T,
        axes=axes,
        T_last_tool=T_last_tool,
    )


def _franka_hand(prefix: str) -> Gripper:
    return Gripper(
        joint_names=(f"{prefix}_finger_joint1", f"{prefix}_finger_joint2"),
        open_width=0.08,  # [H]
        speed=0.05,  # [H]
        force=70.0,  # [H]
        delay_s=0.1,  # an assumption, nothing is published: measure it with the latency calibration
        preemptible=False,  # libfranka, class Gripper: move and grasp block until they are done
    )


def _bar(
    link: int,
    centre: tuple[float, float, float],
    axis: int,
    length: float,
    radius: float,
    *,
    above_table: bool = True,
) -> Capsule:
    """Return a capsule along an axis (0 x, 1 y, 2 z) as [C] writes them: length without ends."""
    x, y, z = (0.5 * length * (i == axis) for i in range(3))
    a, b, c = centre
    return Capsule(link, (a - x, b - y, c - z), (a + x, b + y, c + z), radius, above_table)


_TCP = 0.1034  # from the hand to the tool centre point [U]
BODY = Body(
    capsules=(  # [C]
        _bar(0, (-0.075, 0.0, 0.06), 0, 0.03, 0.06, above_table=False),
        _bar(1, (0.0, 0.0, -0.1915), 2, 0.283, 0.06, above_table=False),
        _bar(2, (0.0, 0.0, 0.0), 2, 0.12, 0.06),
        _bar(3, (0.0, 0.0, -0.145), 2, 0.15, 0.06),
        _bar(4, (0.0, 0.0, 0.0), 2, 0.12, 0.06),
        _bar(5, (0.0, 0.0, -0.26), 2, 0.1, 0.06),
        _bar(5, (0.0, 0.08, -0.13), 2, 0.14, 0.025),
        _bar(6, (0.0, 0.0, -0.03), 2, 0.08, 0.05),
        _bar(7, (0.0, 0.0, 0.01), 2, 0.14, 0.04),
        _bar(7, (0.06, 0.0, 0.082), 0, 0.01, 0.03),
        _bar(8, (0.0, 0.0, 0.04 - _TCP), 1, 0.1, 0.04),
        _bar(8, (0.0, 0.0, 0.1 - _TCP), 1, 0.1, 0.02, above_table=False),
    ),
    pairs=(
        *((0, i) for i in (5, 6, 7, 8)),
        *((1, i) for i in (5, 6, 7, 8)),
        *((2, i) for i in (5, 7, 8)),
        (5, 8),
    ),
    margin=0.06,  # [C], its safety distance of both
)
"""Of Panda and FR3."""

_HOME = (0.0, -math.pi / 4, 0.0, -3 * math.pi / 4, 0.0, math.pi / 2, math.pi / 4)  # [L]
_KP = (600.0, 600.0, 600.0, 600.0, 250.0, 150.0, 50.0)  # [L]
_KD = (50.0, 50.0, 50.0, 50.0, 30.0, 25.0, 15.0)  # [L]
_BOX = ToolBox(
    low=(0.35, -0.25, 0.2, math.pi - 0.3, -0.3, -0.8),
    high=(0.6, 0.25, 0.5, math.pi + 0.3, 0.3, 0.8),
)

PANDA = Robot(
    name="panda",
    chain=_franka_chain("panda"),
    limits=JointLimits(  # [D]; positions, speeds and torques agree with [U]
        q_min=(-2.8973, -1.7628, -2.8973, -3.0718, -2.8973, -0.0175, -2.8973),
        q_max=(2.8973, 1.7628, 2.8973, -0.0698, 2.8973, 3.7525, 2.8973),
        dq_max=(2.175, 2.175, 2.175, 2.175, 2.61, 2.61, 2.61),
        ddq_max=(15.0, 7.5, 10.0, 12.5, 15.0, 20.0, 20.0),
        dddq_max=(7500.0, 3750.0, 5000.0, 6250.0, 7500.0, 10000.0, 10000.0),
        tau_max=(87.0, 87.0, 87.0, 87.0, 12.0, 12.0, 12.0),
    ),
    home=_HOME,
    kp=_KP,
    kd=_KD,
    gripper=_franka_hand("panda"),
    tool_box=_BOX,
    body=BODY,
)

FR3 = Robot(
    name="fr3",
    chain=_franka_chain("fr3"),
    limits=JointLimits(  # [D]; positions, speeds and torques agree with [U]
        q_min=(-2.7437, -1.7837, -2.9007, -3.0421, -2.8065, 0.5445, -3.0159),
        q_max=(2.7437, 1.7837, 2.9007, -0.1518, 2.8065, 4.5169, 3.0159),
        dq_max=(2.62, 2.62, 2.62, 2.62, 5.26, 4.18, 5.26),
        ddq_max=(10.0,) * 7,
        dddq_max=(5000.0,) * 7,
        tau_max=(87.0, 87.0, 87.0, 87.0, 12.0, 12.0, 12.0),
        velocity_profile=(  # [V]
            (-0.30, 12.00, 2.75010, 0.30, 12.00, -2.75010),
            (-0.20, 5.17, 1.79180, 0.20, 5.17, -1.79180),
            (-0.20, 7.00, 2.90650, 0.20, 7.00, -2.90650),
            (-0.30, 8.00, -0.14580, 0.30, 8.00, -3.04810),
            (-0.35, 34.00, 2.81010, 0.35, 34.00, -2.81010),
            (-0.35, 11.00, 4.52050, 0.35, 11.00, 0.54092),
            (-0.35, 34.00, 3.01960, 0.35, 34.00, -3.01960),
        ),
    ),
    home=_HOME,
    kp=_KP,
    kd=_KD,
    gripper=_franka_hand("fr3"),
    tool_box=_BOX,
    body=BODY,
)
