"""Bring the tool to a goal pose in free space: the smallest task that uses the whole stack."""

# MuJoCo's extension modules have no stubs.
# pyright: standard, reportAttributeAccessIssue=false

from __future__ import annotations

from dataclasses import dataclass

import mujoco
import numpy as np
import torch
from torch import Tensor

from sim2arm.core.kinematics import forward_pose
from sim2arm.core.robots import Robot, ToolBox
from sim2arm.core.spec import ArraySpec
from sim2arm.core.tool_bounds import tool_bounds
from sim2arm.core.transforms import pose, quat_conjugate, quat_mul, quat_to_rotvec
from sim2arm.sim.draws import Draws, uniform
from sim2arm.sim.robots.models import add_robot
from sim2arm.sim.specs import goal_spec
from sim2arm.sim.worlds.base import World

from .base import Starts, check_settings, put
from .counters import EpisodeCounters
from .start import check_reach, joint_range, quat_from_rpy, tool_start

SLACK = 1e-6
"""What rounding to float32 may add to the bounds of goals [m]."""


@dataclass(frozen=True, kw_only=True)
class ReachCfg:
    """Bring the tool to a goal pose in free space."""

    goal_low: tuple[float, ...] = ()
    """Lowest goal and start of the tool: x y z [m], roll pitch yaw [rad]. Without numbers those of
    the robot's tool box; if it has none, poses of joints near home, which any arm reaches."""
    goal_high: tuple[float, ...] = ()
    """Highest goal and start of the tool."""
    spread: float = 0.5
    """How far from home joints are drawn where there is no box [rad]."""
    position_tolerance: float = 0.01
    """Largest distance from the goal for success [m]."""
    rotation_tolerance: float = 0.1
    """Largest angle from the goal for success [rad]."""
    hold_steps: int = 5
    """Control steps at the goal; the episode then ends with success."""
    max_steps: int = 150
    """Length of an episode [control steps]."""

    def __post_init__(self) -> None:
        """Refuse settings of which no episode can be made."""
        box = self.goal_low or self.goal_high
        check_settings(
            self,
            positive=("hold_steps", "max_steps", "spread"),
            lengths={"goal_low": 6, "goal_high": 6} if box else {},
        )


class Reach:
    """The reach task on N worlds; see `ReachCfg`."""

    def __init__(self, cfg: ReachCfg, robot: Robot) -> None:
        """Describe the task for one robot.

        Raises:
            ValueError: the arm does not reach the poses between the corners.
        """
        self.cfg, self.robot, self._box = cfg, robot, robot.tool_box
        if cfg.goal_low:
            self._box = ToolBox(low=cfg.goal_low, high=cfg.goal_high)
        if self._box is not None:
            check_reach(robot, self._box.low, self._box.high)
            self._bounds = self._box.low[:3], self._box.high[:3]
        else:
            self._joints = joint_range(robot, cfg.spread)
            low, high = (np.array(angles) for angles in self._joints)
            ends = tool_bounds(robot.chain, low, high)
            self._bounds = tuple(ends[0] - SLACK), tuple(ends[1] + SLACK)

    @property
    def actor(self) -> tuple[str, ...]:
        """Observations of the policy."""
        return ("joint_position", "joint_velocity", "ee_pose", "goal_pose")

    @property
    def critic(self) -> tuple[str, ...]:
        """Observations of the critic: nothing is hidden in this task."""
        return self.actor

    @property
    def goals(self) -> tuple[ArraySpec, ...]:
        """The goal pose."""
        return (goal_spec("goal_pose", self.robot, *self._bounds),)

    @property
    def grip_width(self) -> float:
        """The gripper stays closed [m]."""
        return 0.0

    @property
    def gripper_action(self) -> bool:
        """The gripper is not the policy's."""
        return False

    def scene(self) -> mujoco.MjSpec:
        """Return the model: the robot and a marker of the goal (mocap, no contact)."""
        spec = mujoco.MjSpec()
        add_robot(spec, self.robot)
        goal = spec.worldbody.add_body(name="goal", mocap=True)
        goal.add_geom(
            name="goal",
            type=mujoco.mjtGeom.mjGEOM_BOX,
            size=[0.02, 0.02, 0.02],
            rgba=[0.2, 0.7, 0.3, 0.5],
            contype=0,
            conaffinity=0,
            group=2,
        )
        return spec

    def bind(self, world: World) -> None:
        """Take the views of a world that has this scene."""
        self._arm = world.joints(self.robot.chain.joint_names)
        if self.robot.gripper.joint_names:
            self._fingers = world.joints(self.robot.gripper.joint_names)
        self._tool = world.site(self.robot.chain.tool_frame)
        self._goal = world.mocap("goal")
        self._counters = EpisodeCounters(
            world, hold_steps=self.cfg.hold_steps, max_steps=self.cfg.max_steps
        )

    def draw(self, draws: Draws) -> Starts:
        """Return joints and goals of episodes: `q` (n, joints) [rad] and `goal` (n, 7)."""
        if self._box is None:
            q, goal = (uniform(draws, *self._joints) for _ in range(2))
            return {"q": q, "goal": forward_pose(self.robot.chain, goal)}
        q, _ = tool_start(self.robot, draws, self._box.low, self._box.high)
        goal = uniform(draws, self._box.low, self._box.high)
        return {"q": q, "goal": pose(goal[:, :3], quat_from_rpy(goal[:, 3:]))}

    def reset(self, world: World, chosen: Tensor, starts: Starts) -> None:
        """Start episodes in chosen worlds."""
        put(self._arm.q, chosen, starts["q"])
        put(self._arm.dq, chosen, 0.0)
        if self.robot.gripper.joint_names:
            put(self._fingers.q, chosen, self.robot.gripper.position(self.grip_width))
            put(self._fingers.dq, chosen, 0.0)
        put(self._goal, chosen, starts["goal"])
        self._counters.start(chosen)

    def observe(self) -> dict[str, Tensor]:
        """Return the named observations."""
        return {
            "joint_position": self._arm.q,
            "joint_velocity": self._arm.dq,
            "ee_pose": self._tool.pose,
            "goal_pose": self._goal,
        }

    def update(self, world: World) -> None:
        """Advance the counters and measure the distance to the goal."""
        tool = self._tool.pose
        self._distance = torch.linalg.norm(tool[:, :3] - self._goal[:, :3], dim=-1)
        turn = quat_to_rotvec(quat_mul(self._goal[:, 3:], quat_conjugate(tool[:, 3:])))
        self._angle = torch.linalg.norm(turn, dim=-1)
        cfg = self.cfg
        near = (self._distance < cfg.position_tolerance) & (self._angle < cfg.rotation_tolerance)
        self._counters.advance(near)

    def reward(self, world: World) -> dict[str, Tensor]:
        """Return the named terms of the reward, each (N,)."""
        # The time that is spent far from the goal. Finer scales saturate and were slower to learn.
        return {
            "position": -0.01 * torch.tanh(5.0 * self._distance),
            "rotation": -0.01 * torch.tanh(2.0 * self._angle),
            "success": self.success(world).to(self._distance.dtype),
        }

    def done(self, world: World) -> tuple[Tensor, Tensor]:
        """Return terminated (N,) and truncated (N,)."""
        terminated = self.success(world)
        return terminated, self._counters.over() & ~terminated

    def success(self, world: World) -> Tensor:
        """Return whether the tool has stayed at the goal for `hold_steps` (N,)."""
        return self._counters.success()

    def desynchronise(self, generator: torch.Generator) -> None:
        """Spread the episode ages, so that training worlds do not end together."""
        self._counters.desynchronise(generator)
