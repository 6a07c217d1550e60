"""Hand a cube from the right arm to the left.

The right arm takes the cube from the table and brings it between the arms, where the left one takes
it. After the simulated transfer of ALOHA (Zhao et al., arXiv 2304.13705), with two arms of another
kind: its published figures are for ViperX arms.
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
from .pair import ARMS, LEFT, RIGHT, SIDEWAYS, TURNED, Pair
from .shapes import FLAT_GRIP, check_grip
from .start import quat_from_rpy


@dataclass(frozen=True, kw_only=True)
class TransferCubeCfg:
    """Hand a cube from the right arm to the left."""

    edge: float = 0.042
    """Edge of the cube [m]; both grippers must open wider."""
    cube_mass: float = 0.1
    """Mass of the cube [kg]."""
    grip_force: float = 1.0
    """Least force of each finger on the cube that counts as a grasp [N]; its weight is 1 N."""
    least_height: float = 0.05
    """Of the cube's centre above the table where it is handed over [m]."""
    hold_steps: int = 10
    """Control steps for which the left arm alone holds it; the episode then ends."""
    max_steps: int = 400
    """Length of an episode [control steps], as in ALOHA."""
    cube_low: tuple[float, ...] = (0.4, -0.25, -math.pi / 4)
    """Lowest start of the cube on the table: x y [m], yaw [rad]."""
    cube_high: tuple[float, ...] = (0.52, -0.13, math.pi / 4)
    """Highest start of the cube; a quarter turn is all that can be told apart."""
    left_start: tuple[float, float, float] = (0.45, 0.2, 0.3)
    """Start of the left tool, which points to the right [m]."""
    right_start: tuple[float, float, float] = (0.45, -0.2, 0.25)
    """Start of the right tool, which points down [m]."""
    spread: float = 0.02
    """Largest difference of the starts of tools along each axis [m]."""

    def __post_init__(self) -> None:
        """Refuse settings of which no episode can be made."""
        positive = ("edge", "cube_mass", "grip_force", "least_height", "hold_steps", "max_steps",
                    "spread")  # fmt: skip
        lengths = {"cube_low": 3, "cube_high": 3, "left_start": 3, "right_start": 3}
        check_settings(self, positive=positive, lengths=lengths)


class TransferCube:
    """The transfer-cube task on N worlds; see `TransferCubeCfg`."""

    arms = ARMS

    def __init__(self, cfg: TransferCubeCfg, robot: Robot) -> None:
        """Describe the task for two arms of a kind.

        Raises:
            ValueError: the cube does not fit between the pads.
        """
        check_grip(robot, "edge", cfg.edge)
        self.cfg, self.robot, self._pair = cfg, robot, Pair(robot)

    @property
    def actor(self) -> tuple[str, ...]:
        """Observations of the policy."""
        return ("joint_position", "joint_velocity", "gripper_width", "ee_pose", "cube_pose")

    @property
    def critic(self) -> tuple[str, ...]:
        """Observations of the critic: the policy's and the truth."""
        return (*self.actor, "tool_pose", "cube_force")

    @property
    def goals(self) -> tuple[ArraySpec, ...]:
        """The pose of the cube in the world."""
        return (goal_spec("cube_pose", self.robot, (0.0, -0.7, -0.1), (1.0, 0.7, 0.8)),)

    @property
    def grip_width(self) -> float:
        """Episodes start with open grippers [m]."""
        return self.robot.gripper.open_width

    @property
    def gripper_action(self) -> bool:
        """The policy opens and closes the grippers."""
        return True

    def scene(self) -> mujoco.MjSpec:
        """Return the model: two arms, table, cube (free)."""
        spec, cfg = self._pair.scene(["cube"]), self.cfg
        spec.body("cube").add_geom(
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
        self._pair.bind(world)
        self._cube, self._cube_now = world.free_body("cube"), world.body("cube")
        self._episodes = ProgressEpisodes(
            world, hold_steps=self.cfg.hold_steps, max_steps=self.cfg.max_steps
        )

    def draw(self, draws: Draws) -> Starts:
        """Return start states: `q` (n, 2 joints) [rad], `cube` (n, 7)."""
        cfg, spread = self.cfg, (self.cfg.spread,) * 6
        place, shift = (
            uniform(draws, cfg.cube_low, cfg.cube_high),
            uniform(draws, [-v for v in spread], spread),
        )
        left = shift[:, :3] + shift.new_tensor(cfg.left_start)
        right = shift[:, 3:] + shift.new_tensor(cfg.right_start)
        flat, turn = torch.zeros_like(left), torch.zeros_like(left)
        flat[:, :2], flat[:, 2], turn[:, 2] = place[:, :2], 0.5 * cfg.edge, place[:, 2]
        return {
            "q": self._pair.start([(left, SIDEWAYS), (right, TURNED)]),
            "cube": pose(flat, quat_from_rpy(turn)),
        }

    def reset(self, world: World, chosen: Tensor, starts: Starts) -> None:
        """Start episodes in chosen worlds, with open grippers."""
        self._pair.reset(chosen, starts["q"], self.grip_width)
        put(self._cube.q, chosen, starts["cube"])
        put(self._cube.dq, chosen, 0.0)
        self._episodes.start(chosen)

    def observe(self) -> dict[str, Tensor]:
        """Return the named observations."""
        forces = self._pair.forces("cube").flatten(1)
        return self._pair.observe() | {"cube_pose": self._cube_now.pose, "cube_force": forces}

    def update(self, world: World) -> None:
        """Measure after a control step and advance the counters; rewards and ends read them."""
        cfg, cube = self.cfg, self._cube_now.pose
        forces = self._pair.forces("cube")
        held = (forces > cfg.grip_force).all(dim=-1)
        free = (forces == 0.0).all(dim=-1)
        high = cube[:, 2] >= cfg.least_height
        lifted = high & held.any(dim=-1)
        taken = high & held[:, LEFT]
        alone = taken & free[:, RIGHT]
        near = 0.25 * (held[:, RIGHT] | lifted) + 0.25 * lifted + 0.25 * taken + 0.25 * alone
        off = (cube[:, 2] < -cfg.edge) | (cube[:, :2].abs() > 1.0).any(dim=-1)
        self._episodes.advance(near.to(cube.dtype), met=alone, lost=off)

    def reward(self, world: World) -> dict[str, Tensor]:
        """Return the named terms of the reward, each (N,)."""
        return self._episodes.reward()

    def done(self, world: World) -> tuple[Tensor, Tensor]:
        """Return terminated (N,): solved, or the cube fell off the table; and truncated (N,)."""
        return self._episodes.done()

    def success(self, world: World) -> Tensor:
        """Return whether the left arm alone has held the cube for `hold_steps` (N,)."""
        return self._episodes.success()

    def desynchronise(self, generator: torch.Generator) -> None:
        """Spread the episode ages, so that training worlds do not end together."""
        self._episodes.desynchronise(generator)
