"""Grasp a cube on the table with the gripper and lift it.

The first task whose policy works the gripper: the seventh element of the action is the wanted
distance of the pads as a share of the opening.

The reward is the increase of `closeness` in each step, as in peg insertion: the way to the cube,
then closing around it, then a grasp, then height, of which only a cube between both pads has any. A
cube that is thrown or balanced on a finger so gains nothing.
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
from sim2arm.core.transforms import pose
from sim2arm.sim.draws import Draws, uniform
from sim2arm.sim.specs import goal_spec
from sim2arm.sim.worlds.base import World

from .base import Starts, check_settings, put
from .counters import ProgressEpisodes
from .shapes import FLAT_GRIP, add_held_body, arm_scene, check_grip, held_forces
from .start import check_reach, quat_from_rpy, tool_start


@dataclass(frozen=True, kw_only=True)
class LiftCubeCfg:
    """Grasp a cube and lift it above the table."""

    height: float = 0.2
    """Goal height of the cube's centre above the table [m]."""
    edge: float = 0.03
    """Edge of the cube [m]; the opening of the gripper must be wider."""
    cube_mass: float = 0.1
    """Mass of the cube [kg]."""
    cube_noise: float = 0.002
    """Largest error of the observed position of the cube along each axis, for an episode [m]."""
    grip_force: float = 1.0
    """Least force of each finger on the cube that counts as a grasp [N]; its weight is 1 N."""
    reach_scale: float = 8.0
    """Rate at which closeness falls with the distance of the tool from the cube [1/m]."""
    at_width: float = 0.015
    """Distance of the tool from the cube at which closing counts half [m]."""
    hold_steps: int = 5
    """Control steps at the goal height; the episode then ends with success."""
    max_steps: int = 200
    """Length of an episode [control steps]."""
    lost_distance: float = 0.25
    """The cube is lost when it is farther than this from the range of its starts [m]."""
    start_low: tuple[float, ...] = (0.42, -0.12, 0.12, math.pi - 0.1, -0.1, -0.3)
    """Lowest start of the tool: x y z [m], roll pitch yaw [rad]."""
    start_high: tuple[float, ...] = (0.58, 0.12, 0.2, math.pi + 0.1, 0.1, 0.3)
    """Highest start of the tool."""
    cube_low: tuple[float, ...] = (0.42, -0.12, -math.pi / 4)
    """Lowest start of the cube on the table: x y [m], yaw [rad]."""
    cube_high: tuple[float, ...] = (0.58, 0.12, math.pi / 4)
    """Highest start of the cube; a quarter turn is all that can be told apart."""

    def __post_init__(self) -> None:
        """Refuse settings of which no episode can be made."""
        positive = ("height", "edge", "cube_mass", "grip_force", "reach_scale", "at_width",
                    "hold_steps", "max_steps", "lost_distance")  # fmt: skip
        lengths = {"start_low": 6, "start_high": 6, "cube_low": 3, "cube_high": 3}
        check_settings(self, positive=positive, lengths=lengths)
        if not 0.0 <= self.cube_noise < math.inf:
            raise ValueError(f"cube_noise must be 0 m or more, got {self.cube_noise}")
        if self.height <= 0.5 * self.edge:
            raise ValueError(
                f"height must be above {0.5 * self.edge} m, where the cube lies, got {self.height}"
            )


def closeness(
    cfg: LiftCubeCfg, distance: Tensor, closed: Tensor, held: Tensor, height: Tensor
) -> Tensor:
    """Return how near a cube is to being lifted, 0 (far) to 1 (held at the goal height).

    `0.3 (1 - tanh(8 d)) + 0.1 a c + g (0.1 + 0.5 h)` with `a = 1 / (1 + (d / 15 mm)^2)`, the share
    c of the way that the pads have closed, the grasp g, 0 or 1, and the share h of the way up.

    Args:
        cfg: the scales.
        distance: d (N,), of the tool from the centre of the cube [m].
        closed: c (N,), 0 with an open gripper to 1 with pads that touch the cube.
        held: (N,) bool, whether both pads press on the cube.
        height: (N,), of the cube's centre above the table [m].
    """
    lying = 0.5 * cfg.edge
    share = ((height - lying) / (cfg.height - lying)).clamp(0.0, 1.0)
    near = 1.0 - torch.tanh(cfg.reach_scale * distance)
    at = 1.0 / (1.0 + (distance / cfg.at_width) ** 2)
    return 0.3 * near + 0.1 * at * closed + torch.where(held, 0.1 + 0.5 * share, 0.0)


class LiftCube:
    """The lift-cube task on N worlds; see `LiftCubeCfg`."""

    def __init__(self, cfg: LiftCubeCfg, robot: Robot) -> None:
        """Describe the task for one robot.

        Raises:
            ValueError: the cube does not fit between the pads, or the arm does not reach there.
        """
        check_grip(robot, "edge", cfg.edge)
        check_reach(robot, cfg.start_low, cfg.start_high)
        self.cfg, self.robot = cfg, robot

    @property
    def actor(self) -> tuple[str, ...]:
        """Observations of the policy."""
        return ("joint_position", "joint_velocity", "gripper_width", "ee_pose", "cube_pose")

    @property
    def critic(self) -> tuple[str, ...]:
        """Observations of the critic: the policy's and the truth."""
        return (*self.actor, "true_cube_pose", "cube_force")

    @property
    def goals(self) -> tuple[ArraySpec, ...]:
        """The observed pose of the cube, wrong by up to `cube_noise` along each axis."""
        cfg = self.cfg
        low, high = cfg.cube_low[:2], cfg.cube_high[:2]
        away, top = cfg.lost_distance + cfg.cube_noise, cfg.height + cfg.lost_distance
        return (
            goal_spec(
                "cube_pose",
                self.robot,
                (low[0] - away, low[1] - away, -away),
                (high[0] + away, high[1] + away, top),
            ),
        )

    @property
    def grip_width(self) -> float:
        """Episodes start with an open gripper [m]."""
        return self.robot.gripper.open_width

    @property
    def gripper_action(self) -> bool:
        """The policy opens and closes the gripper."""
        return True

    def scene(self) -> mujoco.MjSpec:
        """Return the model: robot, table, cube (free)."""
        spec, cfg = arm_scene(self.robot), self.cfg
        cube = add_held_body(spec, self.robot, "cube")
        cube.add_geom(
            name="cube",
            type=mujoco.mjtGeom.mjGEOM_BOX,
            size=[0.5 * cfg.edge] * 3,
            mass=cfg.cube_mass,
            rgba=[0.85, 0.35, 0.2, 1.0],
            **FLAT_GRIP,
        )
        return spec

    def bind(self, world: World) -> None:
        """Take the views of a world that has this scene; buffers for N worlds."""
        self._world = world
        self._arm = world.joints(self.robot.chain.joint_names)
        self._fingers = world.joints(self.robot.gripper.joint_names)
        self._tool = world.site(self.robot.chain.tool_frame)
        self._cube = world.free_body("cube")
        self._cube_now = world.body("cube")
        self._forces = held_forces(self.robot, "cube")
        n, like = world.num_worlds, {"dtype": world.dtype, "device": world.device}
        self._error = torch.zeros((n, 3), **like)
        low, high = (torch.tensor(v[:2], **like) for v in (self.cfg.cube_low, self.cfg.cube_high))
        self._middle, self._half = 0.5 * (low + high), 0.5 * (high - low)
        self._episodes = ProgressEpisodes(
            world, hold_steps=self.cfg.hold_steps, max_steps=self.cfg.max_steps
        )

    def draw(self, draws: Draws) -> Starts:
        """Return start states: `q` [rad], `cube` (n, 7), `error` (n, 3) [m]."""
        cfg = self.cfg
        q, tool = tool_start(self.robot, draws, cfg.start_low, cfg.start_high)
        place = uniform(draws, cfg.cube_low, cfg.cube_high)
        noise = (cfg.cube_noise,) * 3
        flat = torch.zeros_like(tool[:, :3])
        flat[:, 2] = 0.5 * cfg.edge
        flat[:, :2] = place[:, :2]
        turn = torch.zeros_like(flat)
        turn[:, 2] = place[:, 2]
        return {
            "q": q,
            "cube": pose(flat, quat_from_rpy(turn)),
            "error": uniform(draws, [-v for v in noise], noise),
        }

    def reset(self, world: World, chosen: Tensor, starts: Starts) -> None:
        """Start episodes in chosen worlds, with an open gripper."""
        put(self._arm.q, chosen, starts["q"])
        put(self._arm.dq, chosen, 0.0)
        put(self._fingers.q, chosen, self.robot.gripper.position(self.grip_width))
        put(self._fingers.dq, chosen, 0.0)
        put(self._cube.q, chosen, starts["cube"])
        put(self._cube.dq, chosen, 0.0)
        put(self._error, chosen, starts["error"])
        self._episodes.start(chosen)

    def observe(self) -> dict[str, Tensor]:
        """Return the named observations."""
        cube = self._cube_now.pose
        forces = [self._world.pair_force(a, b) for a, b in self._forces]
        return {
            "joint_position": self._arm.q,
            "joint_velocity": self._arm.dq,
            "gripper_width": self.robot.gripper.width(self._fingers.q)[:, None],
            "ee_pose": self._tool.pose,
            "cube_pose": pose(cube[:, :3] + self._error, cube[:, 3:]),
            "true_cube_pose": cube,
            "cube_force": torch.cat(forces, dim=-1),
        }

    def update(self, world: World) -> None:
        """Measure after a control step and advance the counters; rewards and ends read them."""
        cfg, cube = self.cfg, self._cube_now.pose
        distance = torch.linalg.vector_norm(cube[:, :3] - self._tool.pose[:, :3], dim=-1)
        forces = torch.stack([world.pair_force(a, b) for a, b in self._forces], dim=1)
        held = (torch.linalg.vector_norm(forces, dim=-1) > cfg.grip_force).all(dim=-1)
        open_width = self.grip_width
        width = self.robot.gripper.width(self._fingers.q)
        closed = ((open_width - width) / (open_width - cfg.edge)).clamp(0.0, 1.0)
        near = closeness(cfg, distance, closed, held, cube[:, 2])
        away = ((cube[:, :2] - self._middle).abs() - self._half).amax(dim=-1)
        lost = (away > cfg.lost_distance) | (cube[:, 2] < -cfg.edge)
        self._episodes.advance(near, met=held & (cube[:, 2] >= cfg.height), lost=lost)

    def reward(self, world: World) -> dict[str, Tensor]:
        """Return the named terms of the reward, each (N,)."""
        return self._episodes.reward()

    def done(self, world: World) -> tuple[Tensor, Tensor]:
        """Return terminated (N,): solved, or the cube is out of reach; and truncated (N,)."""
        return self._episodes.done()

    def success(self, world: World) -> Tensor:
        """Return whether the cube was held at the goal height for `hold_steps` (N,)."""
        return self._episodes.success()

    def desynchronise(self, generator: torch.Generator) -> None:
        """Spread the episode ages, so that training worlds do not end together."""
        self._episodes.desynchronise(generator)
