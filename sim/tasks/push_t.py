"""Push a T-shaped block over the table into a goal pose, with closed fingers.

The block and the goal are those of the Push-T task (Chi et al., arXiv 2303.04137, after Florence et
al., arXiv 2109.00137): a T of seven squares, a bar of four and a stem of three, here as a body with
friction on a table, and success is how much of it covers the goal. The share that is covered is
measured at points spread evenly over the T.

The reward is made of the increase of `closeness` in each step; away from the goal it is made of
distance and angle, near it of the covered share. The fingers are kept at pushing height by a cost.
"""

# MuJoCo's extension modules have no stubs.
# pyright: standard, reportAttributeAccessIssue=false

from __future__ import annotations

import math
from dataclasses import dataclass

import mujoco
import torch
from torch import Tensor

from sim2arm.core.robots import Robot
from sim2arm.core.spec import ArraySpec
from sim2arm.core.transforms import pose, pose_between, quat_rotate
from sim2arm.sim.draws import Draws, uniform
from sim2arm.sim.specs import goal_spec
from sim2arm.sim.worlds.base import World

from .base import Starts, check_settings, put
from .counters import ProgressEpisodes
from .shapes import arm_scene
from .start import check_reach, joints_of, quat_from_rpy

BAR = (0.0, 6.0 / 7.0, 2.0, 0.5)
"""Bar of the T: centre x y and half sizes [squares], from the centre of mass of bar and stem.

With the bar's centre at 0 and the stem's at -2 the centre of mass lies at (3 * -2) / 7."""
STEM = (0.0, -8.0 / 7.0, 0.5, 1.5)
REACH = math.hypot(0.5, 8.0 / 7.0 + 1.5)
"""Farthest point of the T from its centre of mass [squares]: a lower corner of the stem."""
CELLS = 5
"""Points along the side of a square at which the covered share is measured."""
SCORED_SHARE = 0.95
"""Covered share that scores 1 (Chi et al., arXiv 2303.04137)."""


@dataclass(frozen=True, kw_only=True)
class PushTCfg:
    """Push a T-shaped block into a goal pose."""

    square: float = 0.03
    """Side of the seven squares of the T [m]."""
    height: float = 0.04
    """Height of the T [m]."""
    mass: float = 0.2
    """Mass of the T [kg]."""
    friction: float = 0.4
    """Sliding friction of the T [1]."""
    tool_height: float = 0.03
    """Height of the tool point above the table at which to push [m]: fast turns dip by 1 cm."""
    success_share: float = 0.9
    """Share of the goal that must be covered for success [1]."""
    start_gap: float = 0.03
    """Distance of the tool at the start from the circle around the T [m]."""
    progress_gain: float = 4.0
    """Reward of an increase of closeness by 1: pushing is slow, and the cost of restless actions
    would hide it."""
    far_scale: float = 8.0
    """Rate at which closeness falls with the distance from the goal [1/m]."""
    lost_distance: float = 0.3
    """The T is lost when it is farther than this from the goal [m]."""
    hold_steps: int = 5
    """Control steps at the goal; the episode then ends with success."""
    max_steps: int = 600
    """Length of an episode [control steps]: twice what an expert takes at 60 Hz."""
    block_low: tuple[float, ...] = (0.44, -0.08, -math.pi)
    """Lowest start of the T on the table: x y [m], yaw [rad]."""
    block_high: tuple[float, ...] = (0.56, 0.08, math.pi)
    """Highest start of the T."""
    goal_low: tuple[float, ...] = (0.5, 0.0, math.pi / 4)
    """Lowest goal: x y [m], yaw [rad]; the same in all episodes, as in Push-T."""
    goal_high: tuple[float, ...] = (0.5, 0.0, math.pi / 4)
    """Highest goal."""

    def __post_init__(self) -> None:
        """Refuse settings of which no episode can be made."""
        positive = ("square", "height", "mass", "friction", "tool_height", "success_share",
                    "start_gap", "progress_gain", "far_scale", "lost_distance",
                    "hold_steps", "max_steps")  # fmt: skip
        lengths = {"block_low": 3, "block_high": 3, "goal_low": 3, "goal_high": 3}
        check_settings(self, positive=positive, lengths=lengths)
        if self.success_share > 1.0:
            raise ValueError(f"success_share must be 1 or less, got {self.success_share}")


def t_points(square: float) -> Tensor:
    """Return points spread evenly over the T, (P, 3) float64 [m], z = 0."""
    parts: list[Tensor] = []
    for x, y, half_x, half_y in (BAR, STEM):
        xs, ys = (
            (torch.arange(round(2 * h * CELLS), dtype=torch.float64) + 0.5) / CELLS - h
            for h in (half_x, half_y)
        )
        grid = torch.stack(torch.meshgrid(xs + x, ys + y, indexing="ij"), dim=-1)
        parts.append(grid.reshape(-1, 2))
    points = square * torch.cat(parts)
    return torch.cat([points, torch.zeros_like(points[:, :1])], dim=-1)


def inside_t(points: Tensor, square: float) -> Tensor:
    """Return which points (..., 2 or more) [m] lie in the T, whose frame they are given in."""
    x, y = points[..., 0] / square, points[..., 1] / square
    found = torch.zeros_like(x, dtype=torch.bool)
    for middle_x, middle_y, half_x, half_y in (BAR, STEM):
        found |= ((x - middle_x).abs() <= half_x) & ((y - middle_y).abs() <= half_y)
    return found


def closeness(
    cfg: PushTCfg, touch: Tensor, distance: Tensor, angle: Tensor, share: Tensor
) -> Tensor:
    """Return how near a T is to its goal, 0 (far) to 1 (covers it).

    `0.1 (1 - tanh(8 t)) + 0.3 (1 - tanh(8 d)) + 0.15 (1 + cos a) + 0.3 c`.

    Args:
        cfg: the scale.
        touch: t (N,), of the tool from the middle of the T on the table [m].
        distance: d (N,), of the T from the goal [m].
        angle: a (N,), of the T from the goal about the vertical [rad].
        share: c (N,), of the goal that is covered [1].
    """
    near, far = (1.0 - torch.tanh(cfg.far_scale * length) for length in (touch, distance))
    return 0.1 * near + 0.3 * far + 0.15 * (1.0 + torch.cos(angle)) + 0.3 * share


class PushT:
    """The Push-T task on N worlds; see `PushTCfg`."""

    def __init__(self, cfg: PushTCfg, robot: Robot) -> None:
        """Describe the task for one robot.

        Raises:
            ValueError: the arm does not reach the poses in which episodes start.
        """
        radius, down = REACH * cfg.square + cfg.start_gap, (math.pi, 0.0, 0.0)
        low = tuple(v - radius for v in cfg.block_low[:2])
        high = tuple(v + radius for v in cfg.block_high[:2])
        check_reach(robot, (*low, cfg.tool_height, *down), (*high, cfg.tool_height, *down))
        self.cfg, self.robot = cfg, robot

    @property
    def actor(self) -> tuple[str, ...]:
        """Observations of the policy."""
        return ("joint_position", "joint_velocity", "ee_pose", "block_pose", "goal_pose")

    @property
    def critic(self) -> tuple[str, ...]:
        """Observations of the critic: the policy's and how fast the T moves."""
        return (*self.actor, "block_twist")

    @property
    def goals(self) -> tuple[ArraySpec, ...]:
        """The pose of the T, as a tracker gives it, and that of the goal."""
        cfg = self.cfg
        low = tuple(v - cfg.lost_distance for v in cfg.goal_low[:2])
        high = tuple(v + cfg.lost_distance for v in cfg.goal_high[:2])
        top = 5.0 * cfg.height
        return (
            goal_spec("block_pose", self.robot, (*low, -top), (*high, top)),
            goal_spec("goal_pose", self.robot, (*cfg.goal_low[:2], 0.0),
                      (*cfg.goal_high[:2], cfg.height)),
        )  # fmt: skip

    @property
    def grip_width(self) -> float:
        """The gripper stays closed [m]."""
        return 0.0

    @property
    def gripper_action(self) -> bool:
        """The gripper is not the policy's."""
        return False

    # -- scene ---------------------------------------------------------------------------------

    def scene(self) -> mujoco.MjSpec:
        """Return the model: robot, table, T (free) and a marker of the goal (mocap, no contact)."""
        spec, cfg = arm_scene(self.robot), self.cfg
        block = spec.worldbody.add_body(name="block")
        block.add_freejoint(name="block")
        goal = spec.worldbody.add_body(name="goal", mocap=True)
        for part, (x, y, half_x, half_y) in {"bar": BAR, "stem": STEM}.items():
            half = [half_x * cfg.square, half_y * cfg.square, 0.5 * cfg.height]
            block.add_geom(
                name=f"block_{part}",
                type=mujoco.mjtGeom.mjGEOM_BOX,
                size=half,
                pos=[x * cfg.square, y * cfg.square, 0.0],
                mass=cfg.mass * half_x * half_y * 4.0 / 7.0,
                friction=[cfg.friction, 0.005, 0.0001],
                priority=2,  # above the rubber of the pads: pushing from the side slides
                rgba=[0.45, 0.55, 0.75, 1.0],
            )
            goal.add_geom(
                name=f"goal_{part}",
                type=mujoco.mjtGeom.mjGEOM_BOX,
                size=[*half[:2], 0.0005],
                pos=[x * cfg.square, y * cfg.square, 0.0005 - 0.5 * cfg.height],
                contype=0,
                conaffinity=0,
                group=2,
                rgba=[0.3, 0.75, 0.4, 0.6],
            )
        return spec

    def bind(self, world: World) -> None:
        """Take the views of a world that has this scene; buffers for N worlds."""
        self._arm = world.joints(self.robot.chain.joint_names)
        if self.robot.gripper.joint_names:
            self._fingers = world.joints(self.robot.gripper.joint_names)
        self._tool = world.site(self.robot.chain.tool_frame)
        self._block = world.free_body("block")
        self._block_now = world.body("block")
        self._goal = world.mocap("goal")
        self._points = t_points(self.cfg.square).to(device=world.device, dtype=world.dtype)
        self._episodes = ProgressEpisodes(
            world, hold_steps=self.cfg.hold_steps, max_steps=self.cfg.max_steps
        )

    # -- episodes ------------------------------------------------------------------------------

    def draw(self, draws: Draws) -> Starts:
        """Return start states: `q` [rad], `block` and `goal` (n, 7).

        The tool starts at pushing height beside the T, in a direction drawn evenly.
        """
        cfg = self.cfg
        block = uniform(draws, cfg.block_low, cfg.block_high)
        goal = uniform(draws, cfg.goal_low, cfg.goal_high)
        where = uniform(draws, (-math.pi,), (math.pi,))
        radius = REACH * cfg.square + cfg.start_gap
        beside = block[:, :2] + radius * torch.cat([torch.cos(where), torch.sin(where)], dim=-1)
        down = block.new_tensor([0.0, 1.0, 0.0, 0.0]).expand(len(block), -1)
        at = torch.cat([beside, torch.full_like(where, cfg.tool_height)], dim=-1)
        return {
            "q": joints_of(self.robot, pose(at, down)),
            "block": self._on_table(block),
            "goal": self._on_table(goal),
        }

    def _on_table(self, place: Tensor) -> Tensor:
        """Return poses (n, 7) of a T that lies at x y yaw (n, 3)."""
        p = torch.cat([place[:, :2], torch.full_like(place[:, :1], 0.5 * self.cfg.height)], dim=-1)
        turn = torch.cat([torch.zeros_like(place[:, :2]), place[:, 2:]], dim=-1)
        return pose(p, quat_from_rpy(turn))

    def reset(self, world: World, chosen: Tensor, starts: Starts) -> None:
        """Start episodes in chosen worlds, with closed fingers."""
        put(self._arm.q, chosen, starts["q"])
        put(self._arm.dq, chosen, 0.0)
        if self.robot.gripper.joint_names:
            put(self._fingers.q, chosen, self.robot.gripper.position(0.0))
            put(self._fingers.dq, chosen, 0.0)
        put(self._block.q, chosen, starts["block"])
        put(self._block.dq, chosen, 0.0)
        put(self._goal, chosen, starts["goal"])
        self._episodes.start(chosen)

    def observe(self) -> dict[str, Tensor]:
        """Return the named observations."""
        return {
            "joint_position": self._arm.q,
            "joint_velocity": self._arm.dq,
            "ee_pose": self._tool.pose,
            "block_pose": self._block_now.pose,
            "goal_pose": self._goal,
            "block_twist": self._block.dq,
        }

    def update(self, world: World) -> None:
        """Measure after a control step and advance the counters; rewards and ends read them."""
        cfg, block, tool = self.cfg, self._block_now.pose, self._tool.pose
        relative = pose_between(self._goal, block)
        points = quat_rotate(relative[:, None, 3:], self._points) + relative[:, None, :3]
        self._share = inside_t(points, cfg.square).to(block.dtype).mean(dim=-1)
        distance = torch.linalg.vector_norm(relative[:, :2], dim=-1)
        angle = 2.0 * torch.atan2(relative[:, 6], relative[:, 3])
        touch = torch.linalg.vector_norm(tool[:, :2] - block[:, :2], dim=-1)
        near = closeness(cfg, touch, distance, angle, self._share)
        self._off = (tool[:, 2] - cfg.tool_height).abs()
        lost = (distance > cfg.lost_distance) | (relative[:, 2] < -cfg.height)
        self._episodes.advance(near, met=self._share >= cfg.success_share, lost=lost)

    def reward(self, world: World) -> dict[str, Tensor]:
        """Return the named terms of the reward, each (N,)."""
        terms = self._episodes.reward()
        terms["progress"] = self.cfg.progress_gain * terms["progress"]
        return terms | {"height": -0.02 * torch.tanh(20.0 * self._off)}

    def done(self, world: World) -> tuple[Tensor, Tensor]:
        """Return terminated (N,): solved, or the T is out of reach; and truncated (N,)."""
        return self._episodes.done()

    def success(self, world: World) -> Tensor:
        """Return whether the goal has been covered for `hold_steps` (N,)."""
        return self._episodes.success()

    def score(self, world: World) -> Tensor:
        """Return the covered share over 0.95, at most 1 (N,); an episode scores its largest.

        It is the published measure of Push-T (Chi et al., arXiv 2303.04137: the largest covered
        share of an episode, 0.95 being success). There an episode goes on to a share of 0.95;
        here it ends at `success_share`, and what it could have scored after that is not counted.
        """
        return (self._share / SCORED_SHARE).clamp(max=1.0)

    def desynchronise(self, generator: torch.Generator) -> None:
        """Spread the episode ages, so that training worlds do not end together."""
        self._episodes.desynchronise(generator)
