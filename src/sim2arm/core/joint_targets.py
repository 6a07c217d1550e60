"""Actions that name joint positions, as leader arms and chunks of actions do."""

from __future__ import annotations

import math
from dataclasses import asdict, dataclass, fields, replace

from .contract import Contract
from .joint_motion import JointMotion
from .robots import Robot
from .transforms import Array


@dataclass(frozen=True, kw_only=True)
class JointTargetsCfg:
    """Follow joint positions that a policy names."""

    bandwidth: float = 30.0
    """Natural frequency of the critically damped joint following [rad/s]."""
    limit_share: float = 0.8
    """Share of the robot's velocity and acceleration limits that is used."""
    joint_margin: float = 0.05
    """Distance that goals keep from the joint limits [rad]."""

    def __post_init__(self) -> None:
        """Refuse settings that no motion can be made of."""
        for name in ("bandwidth", "limit_share"):
            if not 0.0 < getattr(self, name) < math.inf:
                raise ValueError(f"{name}: expected a number above 0, got {getattr(self, name)}")
        if not 0.0 <= self.joint_margin < math.inf:
            raise ValueError(f"joint_margin: expected 0 or more, got {self.joint_margin}")


class JointTargets:
    """`joint_position` actions: where each joint is to be [rad]; chunks of them can be averaged.

    What `EeDelta` asked for, its joint goal, is also asked for by naming that goal.

    Attributes:
        motion: of the joints.
    """

    def __init__(self, robot: Robot, period: float, cfg: JointTargetsCfg, q: Array) -> None:
        """Start at rest at q (N, n); its array type and dtype are used from here on.

        Raises:
            ValueError: the margin leaves a joint no range.
        """
        self.motion = JointMotion(robot, period, cfg, q)

    def step(self, action: Array, measured: Array) -> tuple[Array, Array]:
        """Advance by one control period.

        Args:
            action: (N, n or more) joint positions [rad]; what follows is the gripper's.
            measured: not used.

        Returns:
            See `JointMotion.step`.
        """
        goal = self.motion.goal
        return self.motion.step(action[..., : goal.shape[-1]] - goal)


def as_joint_targets(contract: Contract) -> Contract:
    """Return a contract whose actions name joint positions in place of steps of the tool.

    The gripper, if it acts, is the last element, as it was. Joints move as before: the goal of
    the one controller is the action of the other.

    Args:
        contract: of `ee_delta` actions.
    """
    n, gripper, arms = len(contract.joint_names), contract.gripper, contract.num_arms
    known = {field.name for field in fields(JointTargetsCfg)}
    parameters = {k: v for k, v in contract.action.parameters.items() if k in known}
    cfg = JointTargetsCfg(**parameters)
    names, scale = contract.joint_names, (1.0,) * n
    low, high = contract.limits.q_min, contract.limits.q_max
    if gripper is not None and gripper.action_element is not None:
        old = contract.action
        names, scale = (*names, "gripper"), (*scale, old.scale[gripper.action_element])
        low = (*low, old.low[gripper.action_element])
        high = (*high, old.high[gripper.action_element])
        gripper = replace(gripper, action_element=n)
    prefixes = [arm.prefix for arm in contract.arms] or [""]
    every = tuple(prefix + name for prefix in prefixes for name in names)
    action = replace(
        contract.action, kind="joint_position", dim=len(every), low=low * arms, high=high * arms,
        element_names=every, unit="rad", scale=scale * arms, frame="joint", rotation_side=None,
        relative_to="absolute", parameters=asdict(cfg),
    )  # fmt: skip
    return replace(contract, action=action, gripper=gripper)
