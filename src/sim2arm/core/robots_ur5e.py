"""Universal Robots UR5e with the Robotiq Hand-E, a gripper with two parallel fingers.

Sources, named in the comments by these letters:

- [K] Universal Robots, "DH parameters for calculations of kinematics and dynamics": UR5e. The
  joint frames are those that Universal_Robots_ROS2_Description makes of them (BSD-3-Clause,
  `urdf/ur_macro.xacro`): z along the joint, `base_link` with x to the front.
- [U] Universal_Robots_ROS2_Description, `config/ur5e/joint_limits.yaml`, after the user manual
  of the UR5e and Universal Robots' article on the greatest joint torques.
- [M] MuJoCo Menagerie (BSD-3-Clause), `universal_robots_ur5e/ur5e.xml`: gains of its servos,
  which its authors call not tuned.
- [G] robotiq_hande_description (MIT), `urdf/robotiq_hande_gripper.xacro`, after Robotiq's Hand-E
  manual: heights, finger speed, stroke, 130 N (the force of the manual's payload examples).
"""

from __future__ import annotations

import math

import numpy as np

from .robot_types import Body, Capsule, Chain, Gripper, JointLimits, Robot, ToolBox

COUPLER_HEIGHT = 0.011
"""The Hand-E's coupler between flange and gripper [m] [G]."""
HAND_HEIGHT = 0.099
"""Of the gripper without fingers [m] [G]."""
FINGER_LENGTH = 0.0465
"""From the gripper to the ends of its fingers [m] [G]."""
PAD_TO_END = 0.010
"""Middle of a pad to the end of the finger [m]; our estimate for the basic fingers."""


def _chain() -> Chain:
    steps = (  # translation [m], roll in quarter turns, of each joint in the one before it [K]
        ((0.0, 0.0, 0.1625), 0),
        ((0.0, 0.0, 0.0), 1),
        ((-0.425, 0.0, 0.0), 0),
        ((-0.3922, 0.0, 0.1333), 0),
        ((0.0, -0.0997, 0.0), 1),
        ((0.0, 0.0996, 0.0), -1),
    )
    T = np.tile(np.eye(4), (6, 1, 1))
    for i, (p, quarter) in enumerate(steps):
        c, s = (1.0, 0.0) if quarter == 0 else (0.0, float(quarter))
        T[i, 1:3, 1:3] = ((c, -s), (s, c))
        T[i, :3, 3] = p
    T[0, :2, :2] = ((-1.0, 0.0), (0.0, -1.0))  # from `base_link` to the base of the DH parameters
    # The fingers move along y of the tool, as on the Franka Hand: the gripper's own x, along which
    # they move [G], points to the tool's y.
    T_last_tool = np.eye(4)
    T_last_tool[:2, :2] = ((0.0, 1.0), (-1.0, 0.0))
    T_last_tool[2, 3] = COUPLER_HEIGHT + HAND_HEIGHT + FINGER_LENGTH - PAD_TO_END
    axes = np.tile(np.array([0.0, 0.0, 1.0]), (6, 1))
    for array in (T, T_last_tool, axes):
        array.flags.writeable = False
    return Chain(
        base_frame="base_link",
        tool_frame="ur5e_hand_tcp",  # ours: a robot's URDF needs a link of this name, fixed there
        joint_names=(
            "shoulder_pan_joint",
            "shoulder_lift_joint",
            "elbow_joint",
            "wrist_1_joint",
            "wrist_2_joint",
            "wrist_3_joint",
        ),
        T_parent_joint=T,
        axes=axes,
        T_last_tool=T_last_tool,
    )


# Around the shapes of the simulation's model, which are read off the data sheet's drawings.
BODY = Body(
    capsules=(
        Capsule(0, (0.0, 0.0, 0.01), (0.0, 0.0, 0.05), 0.076, above_table=False),
        Capsule(1, (0.0, 0.0, -0.05), (0.0, 0.0, 0.05), 0.063, above_table=False),
        Capsule(1, (0.0, -0.07, 0.0), (0.0, 0.055, 0.0), 0.061, above_table=False),
        Capsule(2, (0.0, 0.0, 0.09), (0.0, 0.0, 0.19), 0.061),
        Capsule(2, (-0.385, 0.0, 0.138), (-0.04, 0.0, 0.138), 0.048),
        Capsule(2, (-0.425, 0.0, 0.08), (-0.425, 0.0, 0.19), 0.059),
        Capsule(3, (0.0, 0.0, -0.045), (0.0, 0.0, 0.06), 0.057),
        Capsule(3, (-0.355, 0.0, 0.007), (-0.04, 0.0, 0.007), 0.04),
        Capsule(3, (-0.3922, 0.0, -0.04), (-0.3922, 0.0, 0.07), 0.042),
        Capsule(4, (0.0, 0.0, -0.053), (0.0, 0.0, 0.045), 0.042),
        Capsule(4, (0.0, -0.05, 0.0), (0.0, 0.0, 0.0), 0.042),
        Capsule(5, (0.0, 0.0, -0.04), (0.0, 0.0, 0.045), 0.042),
        Capsule(5, (0.0, 0.0, 0.0), (0.0, 0.05, 0.0), 0.042),
        Capsule(6, (0.0, 0.0, -0.04), (0.0, 0.0, 0.0), 0.041),
        Capsule(7, (0.0, 0.0, -0.1465), (0.0, 0.0, -0.07), 0.041),
        Capsule(7, (0.0, -0.037, -0.05), (0.0, 0.037, -0.05), 0.027),
        Capsule(7, (0.0, -0.03, -0.02), (0.0, 0.03, -0.02), 0.022, above_table=False),
        Capsule(7, (0.0, -0.03, 0.0), (0.0, 0.03, 0.0), 0.017, above_table=False),
    ),
    pairs=(
        *((0, i) for i in (3, 4, 5, 6, 7)),
        *((1, i) for i in (3, 4, 5, 6, 7)),
        *((2, i) for i in (4, 5, 6, 7)),
        *((3, i) for i in (6, 7)),
    ),
    margin=0.02,
)

UR5E = Robot(
    name="ur5e",
    chain=_chain(),
    limits=JointLimits(
        # The elbow turns by less than +-360 degrees, because the shoulder is in its way [U].
        q_min=(-2 * math.pi, -2 * math.pi, -math.pi, -2 * math.pi, -2 * math.pi, -2 * math.pi),
        q_max=(2 * math.pi, 2 * math.pi, math.pi, 2 * math.pi, 2 * math.pi, 2 * math.pi),
        dq_max=(math.pi,) * 6,  # 180 deg/s [U]
        # Not published. Our estimate: stretched out with the gripper and no load the arm has
        # 5.4 kg m^2 about the shoulder and needs 72 N m of 150 N m against gravity, which leaves
        # 14 rad/s^2. For a load, or for what is heavier than that, ask for less.
        ddq_max=(10.0,) * 6,
        dddq_max=(1000.0,) * 6,  # not published, our estimate: full acceleration within 10 ms
        tau_max=(150.0, 150.0, 150.0, 28.0, 28.0, 28.0),  # [U]
    ),
    home=(0.0, -math.pi / 2, math.pi / 2, -math.pi / 2, -math.pi / 2, 0.0),
    # The robot is a position servo whose gains nobody publishes; these are [M]'s.
    kp=(2000.0, 2000.0, 2000.0, 500.0, 500.0, 500.0),
    kd=(400.0, 400.0, 400.0, 100.0, 100.0, 100.0),
    gripper=Gripper(
        joint_names=("robotiq_hande_left_finger_joint", "robotiq_hande_right_finger_joint"),
        open_width=0.05,  # [G]
        speed=0.15,  # [G]
        force=130.0,  # [G]
        delay_s=0.1,  # an assumption, nothing is published: measure it with the latency calibration
        preemptible=True,  # a new position may be requested while the fingers move (manual)
    ),
    tool_box=ToolBox(
        low=(0.35, -0.25, 0.2, math.pi - 0.3, -0.3, -0.8),
        high=(0.55, 0.25, 0.45, math.pi + 0.3, 0.3, 0.8),
    ),
    body=BODY,
)
