"""SO-101, the five-joint arm of The Robot Studio and Hugging Face, with its jaw.

Sources, named in the comments by these letters:

- [S] SO-ARM100 (Apache-2.0), `Simulation/SO101/so101_new_calib.xml`: link frames (those of the
  `.urdf` beside it, to rounding), ranges, and the servo's gains, which its authors computed for a
  proportional gain of 16 in the servo.
- [F] Feetech STS3215, data sheet of the 12 V version (C018): 30 kg cm when stalled, 45 revolutions
  per minute without load. The version for 7.4 V stalls at 19.5 kg cm, for which 1.91 N m goes
  into `tau_max`.
- [L] LeRobot (Apache-2.0), `so_follower.py` and `feetech.py`, what it writes into the servos:
  acceleration 254, and half of the torque for the gripper.
"""

from __future__ import annotations

import math

import numpy as np

from .robot_types import Body, Capsule, Chain, FloatArray, Gripper, JointLimits, Robot

STALL = 30 * 0.0980665
"""Torque of a stalled servo [N m] [F]."""
JAW_CLOSED = -0.174533
"""Angle of the jaw at the end of its range, where it touches the fixed finger [rad] [S]."""
JAW_LENGTH = 0.0981274 - 0.0234
"""From the axis of the jaw ahead to where it grasps, the frame `gripperframe` [m] [S]: how far the
pads part per radian. That is their distance along y of the tool to 5 % up to 80 mm; wide open they
are 0.11 m apart, not 0.14 m."""


def _frame(p: tuple[float, float, float], q: tuple[float, float, float, float]) -> FloatArray:
    """Return a frame (4, 4) of a position [m] and a quaternion of any length."""
    w, x, y, z = np.array(q) / np.linalg.norm(q)
    T = np.eye(4)
    T[:3, :3] = (
        (1 - 2 * (y * y + z * z), 2 * (x * y - w * z), 2 * (x * z + w * y)),
        (2 * (x * y + w * z), 1 - 2 * (x * x + z * z), 2 * (y * z - w * x)),
        (2 * (x * z - w * y), 2 * (y * z + w * x), 1 - 2 * (x * x + y * y)),
    )
    T[:3, 3] = p
    return T


def _chain() -> Chain:
    T = np.stack(
        [  # [S], without what rounding left of zero
            _frame((0.0388353, 0.0, 0.0624), (0.0, 0.0, -1.0, 0.0)),
            _frame((-0.0303992, -0.0182778, -0.0542), (0.5, -0.5, -0.5, -0.5)),
            _frame((-0.11257, -0.028, 0.0), (1.0, 0.0, 0.0, 1.0)),
            _frame((-0.1349, 0.0052, 0.0), (1.0, 0.0, 0.0, -1.0)),
            _frame((0.0, -0.0611, 0.0181), (0.0172091, -0.0172091, 0.706897, 0.706897)),
        ]
    )
    # At `gripperframe` [S], turned so that, as on the other robots, z points out of the gripper
    # and the jaw opens along y.
    T_last_tool = _frame((-0.0079, -0.000218121, -0.0981274), (0.0, 1.0, 1.0, 0.0))
    axes = np.tile(np.array([0.0, 0.0, 1.0]), (5, 1))
    for array in (T, T_last_tool, axes):
        array.flags.writeable = False
    return Chain(
        base_frame="base_link",
        tool_frame="so101_hand_tcp",  # ours: a robot's URDF needs a link of this name, fixed there
        joint_names=("shoulder_pan", "shoulder_lift", "elbow_flex", "wrist_flex", "wrist_roll"),
        T_parent_joint=T,
        axes=axes,
        T_last_tool=T_last_tool,
    )


# Around the shapes of the simulation's model, which are estimated to a centimetre. The jaw is held
# at four angles from closed to open; the links fold, so many of its bars lie near each other.
_JAW = (0.0, 0.0265, -0.0755)  # its axis, in the frame of the tool


def _jaw(y: float, z: float) -> Capsule:
    return Capsule(6, _JAW, (0.0, y, z), 0.014, above_table=False)


BODY = Body(
    capsules=(
        Capsule(0, (-0.04, 0.0, 0.01), (0.04, 0.0, 0.01), 0.042, above_table=False),
        Capsule(0, (0.001, 0.0, 0.04), (0.051, 0.0, 0.04), 0.034, above_table=False),
        Capsule(1, (-0.03, 0.0, -0.066), (-0.03, 0.0, -0.018), 0.023, above_table=False),
        Capsule(1, (-0.043, 0.0, -0.01), (0.013, 0.0, -0.01), 0.027, above_table=False),
        Capsule(2, (0.0, 0.0, 0.0), (0.0, 0.0, 0.037), 0.015),
        Capsule(2, (-0.1, -0.02, 0.018), (-0.012, -0.004, 0.018), 0.015),
        Capsule(2, (-0.1125, -0.038, 0.019), (-0.1125, 0.007, 0.019), 0.023),
        Capsule(3, (-0.105, 0.004, 0.018), (-0.01, 0.0, 0.018), 0.015),
        Capsule(3, (-0.145, 0.005, 0.019), (-0.1, 0.005, 0.019), 0.023),
        Capsule(4, (0.0, 0.0, 0.0), (0.0, 0.0, 0.037), 0.014),
        Capsule(4, (0.0, -0.06, 0.024), (0.0, -0.02, 0.024), 0.025),
        Capsule(5, (-0.02, 0.0, -0.02), (0.028, 0.0, -0.02), 0.026),
        Capsule(5, (-0.013, 0.0, -0.065), (-0.013, 0.0, -0.025), 0.017),
        Capsule(6, (0.0, -0.006, -0.043), (0.0, -0.006, 0.007), 0.014, above_table=False),
        _jaw(0.012, 0.006),
        _jaw(0.064, -0.005),
        _jaw(0.098, -0.036),
        _jaw(0.11, -0.082),
    ),
    pairs=(
        *((0, i) for i in (3, 4, 5, 6)),
        *((1, i) for i in (3, 4, 5, 6)),
        *((2, i) for i in (4, 5, 6)),
    ),
    margin=0.01,
)

SO101 = Robot(
    name="so101",
    chain=_chain(),
    limits=JointLimits(
        q_min=(-1.919862, -1.745329, -1.69, -1.658063, -2.743847),  # [S]
        q_max=(1.919862, 1.745329, 1.69, 1.658063, 2.841206),  # [S]
        # Half of the speed without load [F]: there a motor still has half of its stalled torque.
        dq_max=(0.5 * 45 * 2 * math.pi / 60,) * 5,
        # The servo's own ramp is 254 x 100 steps/s^2 of 4096 steps [L], 39 rad/s^2. Half of it is
        # our estimate of what is left under load: stretched out the arm has 0.05 kg m^2.
        ddq_max=(20.0,) * 5,
        dddq_max=(2000.0,) * 5,  # not published, our estimate: full acceleration within 10 ms
        tau_max=(STALL,) * 5,  # [F]
    ),
    home=(0.0, -0.8, 0.3, 0.9, 0.0),  # ours: the gripper before the arm, pointing ahead and down
    # [S], which computed them; a measurement of the servo (SO-ARM100, issue 134) gives about
    # 40 N m/rad: 1.8 to 2.6 deg off under 1.5 N m. The servo has no gravity compensation, which the
    # simulation has: under the arm's own weight, at most 0.86 N m, a joint of the one sags by
    # 1 mrad, of the other by 20 mrad.
    kp=(998.22,) * 5,
    kd=(2.731,) * 5,
    gripper=Gripper(
        joint_names=("gripper",),
        closed=JAW_CLOSED,
        opening=JAW_LENGTH,
        open_width=JAW_LENGTH * (1.745329 - JAW_CLOSED),  # [S]
        force=0.5 * STALL / JAW_LENGTH,  # half of the torque [L]
        # With that torque against the servo's friction, 0.6 N m s/rad [S]: 2.45 rad/s.
        speed=0.5 * JAW_LENGTH * (0.5 * STALL / 0.6),
        delay_s=0.02,  # an assumption: one period of a bus that is written at 50 Hz
        preemptible=True,  # a servo follows its newest goal
    ),
    body=BODY,
    # A tool with five joints does not reach every pose of any box.
    tool_box=None,
)
