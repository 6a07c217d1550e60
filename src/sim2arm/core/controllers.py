"""From policy actions to joint requests: the part of the command path that a policy owns.

`EeDelta` turns end-effector steps into a smooth joint motion, `JointTargets` joint positions. They
run in the policy node and in evaluations; training runs the law of `EeDelta` as one kernel for N
worlds (`sim/command_path.py`), which a test holds to this code. The safety gate checks what they
ask for again.
"""

from __future__ import annotations

import math
from dataclasses import asdict, dataclass, fields, replace
from typing import Protocol

import numpy as np

from .contract import Contract, ExecutorSpec
from .inverse import pose_step
from .joint_motion import JointMotion, check_margin
from .joint_targets import JointTargets, JointTargetsCfg
from .kinematics import forward_pose
from .robots import Robot
from .transforms import (
    Array,
    namespace,
    pose,
    quat_conjugate,
    quat_from_rotvec,
    quat_mul,
    quat_to_rotvec,
    worlds_inside,
)


@dataclass(frozen=True, kw_only=True)
class EeDeltaCfg:
    """Integrate end-effector steps into a commanded pose and follow it with the joints."""

    position_scale: float = 0.01
    """Step of an action of 1 along an axis of the base frame [m] (TacSL: 0.01)."""
    rotation_scale: float = 0.05
    """Rotation of an action of 1 about an axis of the base frame [rad] (TacSL: 0.05)."""
    position_leash: float = 0.04
    """Longest distance of the commanded from the measured position [m]."""
    rotation_leash: float = 0.2
    """Largest angle of the commanded from the measured orientation [rad]."""
    damping: float = 0.02
    """Damping of the inverse kinematics (least squares)."""
    posture_rate: float = 0.02
    """Share of the way to the home posture that the null space goes in one tick."""
    bandwidth: float = 30.0
    """Natural frequency of the critically damped joint following [rad/s]."""
    limit_share: float = 0.8
    """Share of the robot's velocity and acceleration limits that is used."""
    joint_margin: float = 0.05
    """Distance that goals keep from the joint limits [rad]."""

    def __post_init__(self) -> None:
        """Refuse settings that no motion can be made of."""
        for name in ("position_scale", "rotation_scale", "position_leash", "rotation_leash",
                     "damping", "bandwidth", "limit_share"):  # fmt: skip
            if not 0.0 < getattr(self, name) < math.inf:
                raise ValueError(f"{name}: expected a number above 0, got {getattr(self, name)}")
        if not 0.0 <= self.posture_rate <= 1.0:
            raise ValueError(f"posture_rate: expected 0 to 1, got {self.posture_rate}")
        if not 0.0 <= self.joint_margin < math.inf:
            raise ValueError(f"joint_margin: expected 0 or more, got {self.joint_margin}")

    def check(self, robot: Robot) -> None:
        """See that a robot can be controlled with these settings.

        Raises:
            ValueError: the margin leaves a joint no range.
        """
        check_margin(robot, self.joint_margin)


class Controller(Protocol):
    """From the actions of a policy to joint requests.

    Attributes:
        motion: of the joints.
    """

    motion: JointMotion

    def step(self, action: Array, measured: Array) -> tuple[Array, Array]:
        """Advance by one control period.

        Args:
            action: (N, A) what the policy asks for.
            measured: (N, 7) measured tool pose in the base frame.

        Returns:
            Joint position (N, n) [rad] and velocity (N, n) [rad/s] at the end of the period.
        """
        ...


class EeDelta:
    """`ee_delta` actions: 3 translations and 3 rotations in the base frame, left-multiplied.

    The commanded pose integrates the last *commanded* pose, not the measured one, so that an
    action of zero holds still under load; a leash keeps it near the measured pose. The joint goal
    follows by damped least squares with the home posture in the null space.

    Attributes:
        motion: of the joints; its goal is the joint solution of the commanded pose.
        pose: (N, 7) commanded tool pose in the base frame.
    """

    def __init__(self, robot: Robot, period: float, cfg: EeDeltaCfg, q: Array) -> None:
        """Start at rest at q (N, n); its array type and dtype are used from here on.

        Raises:
            ValueError: the margin leaves a joint no range.
        """
        self.robot, self.cfg = robot, cfg
        self.motion = JointMotion(robot, period, cfg, q)
        xp = namespace(q)
        self._home = xp.asarray(np.asarray(robot.home, dtype=np.float64), dtype=q.dtype)
        self.pose = forward_pose(robot.chain, q)

    def reset(self, q: Array, rows: Array) -> None:
        """Start again at rest at q (len(rows), n) in the given rows."""
        self.motion.reset(q, rows)
        self.pose[rows] = forward_pose(self.robot.chain, q)

    def step(self, action: Array, measured: Array) -> tuple[Array, Array]:
        """Advance by one control period.

        Args:
            action: (N, 6 or more) in [-1, 1]: translation, then rotation, in the base frame; what
                follows is the gripper's (`GripperAdapter`).
            measured: (N, 7) measured tool pose in the base frame.

        Returns:
            See `JointMotion.step`.
        """
        self.pose = self._integrate(action, measured)
        goal = self.motion.goal
        posture = self.cfg.posture_rate * (self._home - goal)
        way, _ = pose_step(self.robot, goal, self.pose, posture, self.cfg.damping)
        return self.motion.step(worlds_inside(way))

    def _integrate(self, action: Array, measured: Array) -> Array:
        cfg = self.cfg
        p = self.pose[..., :3] + cfg.position_scale * action[..., :3]
        turn = quat_from_rotvec(cfg.rotation_scale * action[..., 3:6])
        q = quat_mul(turn, self.pose[..., 3:])
        p = measured[..., :3] + _leash(p - measured[..., :3], cfg.position_leash)
        error = quat_to_rotvec(quat_mul(q, quat_conjugate(measured[..., 3:])))
        held = quat_from_rotvec(_leash(error, cfg.rotation_leash))
        return pose(p, quat_mul(held, measured[..., 3:]))


def _leash(offset: Array, length: float) -> Array:
    """Shorten vectors (..., 3) to at most the given length."""
    xp = namespace(offset)
    distance = xp.sqrt(xp.sum(offset * offset, axis=-1, keepdims=True))
    return offset * (length / xp.where(distance < length, length, distance))


def from_contract(robot: Robot, contract: Contract, q: Array) -> Controller:
    """Return the controller that a contract asks for, at rest at q (N, n) [rad].

    Of several arms each is a row, and `core.arms.rows_of` makes rows of actions.

    Raises:
        ValueError: the action is not one that a controller executes exactly.
    """
    action, joints = contract.action, contract.action.kind == "joint_position"
    arm = len(contract.joint_names) if joints else 6
    expected = (
        {"frame": "joint", "rotation_side": None, "relative_to": "absolute"}
        if joints
        else {"frame": "base", "rotation_side": "left", "relative_to": "last_command"}
    )
    element = None if contract.gripper is None else contract.gripper.action_element
    if element not in (None, arm):  # it follows the arm's elements
        raise ValueError(f"gripper.action_element: expected {arm} or none, got {element}")
    if action.kind not in ("ee_delta", "joint_position"):
        raise ValueError(
            f"action.kind: no controller for {action.kind!r}, expected 'ee_delta' or "
            "'joint_position'"
        )
    part, arms = arm + (element is not None), contract.num_arms
    for label, value in (expected | {"dim": arms * part}).items():
        if getattr(action, label) != value:
            got = getattr(action, label)
            raise ValueError(f"action.{label}: no controller for {got!r}, expected {value!r}")
    if abs(action.dt_s - contract.period) > 1e-6:
        raise ValueError(
            f"action.dt_s: expected one control period, {contract.period:.6f} s, got {action.dt_s}"
        )
    cfg_of = JointTargetsCfg if joints else EeDeltaCfg
    known = {field.name for field in fields(cfg_of)} - {"position_scale", "rotation_scale"}
    if set(action.parameters) != known:
        raise ValueError(
            f"action.parameters: expected {sorted(known)}, got {sorted(action.parameters)}"
        )
    if action.scale != action.scale[:part] * arms:
        raise ValueError(f"action.scale: expected the same of all arms, got {list(action.scale)}")
    if joints:
        if any(scale != 1.0 for scale in action.scale[:arm]):
            raise ValueError(
                "action.scale: joint positions are radians, expected 1 for each joint, got "
                f"{list(action.scale)}"
            )
        return JointTargets(robot, contract.period, JointTargetsCfg(**action.parameters), q)
    if len(set(action.scale[:3])) != 1 or len(set(action.scale[3:6])) != 1:
        raise ValueError(
            "action.scale: expected one number for x y z and one for rx ry rz, got "
            f"{list(action.scale)}"
        )
    cfg = EeDeltaCfg(
        position_scale=action.scale[0], rotation_scale=action.scale[3], **action.parameters
    )
    return EeDelta(robot, contract.period, cfg, q)


def as_tool_steps(contract: Contract) -> Contract:
    """Return a contract whose actions are steps of the tool in place of joint positions.

    The gripper, if it acts, is the last element, as it was. Joints move as before; the sizes of
    steps are those of `EeDeltaCfg`. The inverse of `as_joint_targets`, but for these.

    Args:
        contract: of `joint_position` actions of one arm.
    """
    old, gripper, n = contract.action, contract.gripper, len(contract.joint_names)
    cfg = EeDeltaCfg(**old.parameters)
    names, scale = ("x", "y", "z", "rx", "ry", "rz"), (cfg.position_scale,) * 3
    scale = (*scale, *(cfg.rotation_scale,) * 3)
    low, high = (-1.0,) * 6, (1.0,) * 6
    if gripper is not None and gripper.action_element is not None:
        names, scale = (*names, "gripper"), (*scale, old.scale[n])
        low, high = (*low, old.low[n]), (*high, old.high[n])
        gripper = replace(gripper, action_element=6)
    sizes = ("position_scale", "rotation_scale")
    action = replace(
        old, kind="ee_delta", dim=len(names), low=low, high=high, element_names=names, unit="1",
        scale=scale, frame="base", rotation_side="left", relative_to="last_command", horizon=1,
        parameters={k: v for k, v in asdict(cfg).items() if k not in sizes},
    )  # fmt: skip
    inputs = tuple(spec for spec in contract.inputs if spec.kind != "prefix")
    return replace(contract, inputs=inputs, action=action, executor=ExecutorSpec(), gripper=gripper)
