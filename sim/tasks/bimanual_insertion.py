"""Put a peg that the right arm takes into a socket that the left arm takes, above the table.

After the simulated insertion of ALOHA (Zhao et al., arXiv 2304.13705), with two arms of another
kind: its published figures are for ViperX arms. Peg and hole are square, as there.
"""

# MuJoCo's extension modules have no stubs.
# pyright: standard, reportAttributeAccessIssue=false

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

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
from .pair import ARMS, LEFT, RIGHT, TURNED, Pair
from .shapes import FLAT_GRIP, check_grip
from .start import quat_from_rpy


@dataclass(frozen=True, kw_only=True)
class BimanualInsertionCfg:
    """Put a peg into a socket, each held by an arm."""

    peg_side: float = 0.02
    """Side of the peg [m]."""
    peg_length: float = 0.12
    """Length of the peg [m]."""
    clearance: float = 0.004
    """By which the hole is wider than the peg [m]."""
    wall: float = 0.006
    """Thickness of the socket around the hole [m]."""
    socket_length: float = 0.1
    """Length of the socket [m]."""
    peg_mass: float = 0.05
    """Mass of the peg [kg]."""
    socket_mass: float = 0.08
    """Mass of the socket [kg]."""
    depth: float = 0.03
    """How far the peg must be in the hole for success [m]."""
    grip_force: float = 1.0
    """Least force of each finger on what its arm holds [N]."""
    least_height: float = 0.05
    """Of both above the table [m]."""
    hold_steps: int = 10
    """Control steps for which it is in; the episode then ends."""
    max_steps: int = 500
    """Length of an episode [control steps]; ALOHA: 400 or 500."""
    peg_low: tuple[float, ...] = (0.42, -0.28, -0.4)
    """Lowest start of the peg on the table: x y [m], yaw [rad]; it lies along y."""
    peg_high: tuple[float, ...] = (0.5, -0.18, 0.4)
    """Highest start of the peg."""
    socket_low: tuple[float, ...] = (0.42, 0.18, -0.4)
    """Lowest start of the socket; its hole lies along y."""
    socket_high: tuple[float, ...] = (0.5, 0.28, 0.4)
    """Highest start of the socket."""
    start: tuple[float, float, float] = (0.45, 0.23, 0.25)
    """Start of the left tool, which points down; the right one is across [m]."""
    spread: float = 0.02
    """Largest difference of the starts of tools along each axis [m]."""

    def __post_init__(self) -> None:
        """Refuse settings of which no episode can be made."""
        positive = ("peg_side", "peg_length", "clearance", "wall", "socket_length", "peg_mass",
                    "socket_mass", "depth", "grip_force", "least_height", "hold_steps",
                    "max_steps", "spread")  # fmt: skip
        lengths = {"peg_low": 3, "peg_high": 3, "socket_low": 3, "socket_high": 3, "start": 3}
        check_settings(self, positive=positive, lengths=lengths)

    @property
    def outer(self) -> float:
        """Side of the socket [m]."""
        return self.peg_side + self.clearance + 2.0 * self.wall


class BimanualInsertion:
    """The bimanual-insertion task on N worlds; see `BimanualInsertionCfg`."""

    arms = ARMS

    def __init__(self, cfg: BimanualInsertionCfg, robot: Robot) -> None:
        """Describe the task for two arms of a kind.

        Raises:
            ValueError: peg or socket do not fit between the pads.
        """
        check_grip(robot, "peg_side", cfg.peg_side)
        check_grip(robot, "peg_side + clearance + 2 wall", cfg.outer)
        self.cfg, self.robot, self._pair = cfg, robot, Pair(robot)

    @property
    def actor(self) -> tuple[str, ...]:
        """Observations of the policy."""
        return ("joint_position", "joint_velocity", "gripper_width", "ee_pose", "peg_pose",
                "socket_pose")  # fmt: skip

    @property
    def critic(self) -> tuple[str, ...]:
        """Observations of the critic: the policy's and the truth."""
        return (*self.actor, "tool_pose", "peg_force", "socket_force")

    @property
    def goals(self) -> tuple[ArraySpec, ...]:
        """The poses of peg and socket in the world."""
        low, high = (0.0, -0.7, -0.1), (1.0, 0.7, 0.8)
        return tuple(goal_spec(f"{n}_pose", self.robot, low, high) for n in ("peg", "socket"))

    @property
    def grip_width(self) -> float:
        """Episodes start with open grippers [m]."""
        return self.robot.gripper.open_width

    @property
    def gripper_action(self) -> bool:
        """The policy opens and closes the grippers."""
        return True

    def scene(self) -> mujoco.MjSpec:
        """Return the model: two arms, table, peg and socket (free)."""
        spec, cfg = self._pair.scene(["peg", "socket"]), self.cfg
        spec.body("peg").add_geom(
            name="peg",
            type=mujoco.mjtGeom.mjGEOM_BOX,
            size=[0.5 * cfg.peg_side, 0.5 * cfg.peg_length, 0.5 * cfg.peg_side],
            mass=cfg.peg_mass,
            rgba=[0.85, 0.35, 0.2, 1.0],
            **FLAT_GRIP,
        )
        middle = 0.5 * (cfg.outer - cfg.wall)
        for name, place, half in (
            ("low", (0.0, 0.0, -middle), (0.5 * cfg.outer, 0.5 * cfg.wall)),
            ("high", (0.0, 0.0, middle), (0.5 * cfg.outer, 0.5 * cfg.wall)),
            ("near", (-middle, 0.0, 0.0), (0.5 * cfg.wall, 0.5 * cfg.outer - cfg.wall)),
            ("far", (middle, 0.0, 0.0), (0.5 * cfg.wall, 0.5 * cfg.outer - cfg.wall)),
        ):
            grip: dict[str, Any] = FLAT_GRIP
            spec.body("socket").add_geom(
                name=f"socket_{name}",
                type=mujoco.mjtGeom.mjGEOM_BOX,
                size=[half[0], 0.5 * cfg.socket_length, half[1]],
                pos=place,
                mass=0.25 * cfg.socket_mass,
                rgba=[0.3, 0.5, 0.75, 1.0],
                **grip,
            )
        return spec

    def bind(self, world: World) -> None:
        """Take the views of a world that has this scene; buffers for N worlds."""
        self._pair.bind(world)
        self._free = {name: world.free_body(name) for name in ("peg", "socket")}
        self._now = {name: world.body(name) for name in ("peg", "socket")}
        self._episodes = ProgressEpisodes(
            world, hold_steps=self.cfg.hold_steps, max_steps=self.cfg.max_steps
        )

    def draw(self, draws: Draws) -> Starts:
        """Return start states: `q` (n, 2 joints) [rad], `peg` and `socket` (n, 7)."""
        cfg, spread = self.cfg, (self.cfg.spread,) * 6
        places = {
            "peg": uniform(draws, cfg.peg_low, cfg.peg_high),
            "socket": uniform(draws, cfg.socket_low, cfg.socket_high),
        }
        shift = uniform(draws, [-v for v in spread], spread)
        x, y, z = cfg.start
        left = shift[:, :3] + shift.new_tensor((x, y, z))
        right = shift[:, 3:] + shift.new_tensor((x, -y, z))
        starts = {"q": self._pair.start([(left, TURNED), (right, TURNED)])}
        for name, height in (("peg", cfg.peg_side), ("socket", cfg.outer)):
            flat, turn = torch.zeros_like(left), torch.zeros_like(left)
            flat[:, :2], flat[:, 2] = places[name][:, :2], 0.5 * height
            turn[:, 2] = places[name][:, 2]
            starts[name] = pose(flat, quat_from_rpy(turn))
        return starts

    def reset(self, world: World, chosen: Tensor, starts: Starts) -> None:
        """Start episodes in chosen worlds, with open grippers."""
        self._pair.reset(chosen, starts["q"], self.grip_width)
        for name, body in self._free.items():
            put(body.q, chosen, starts[name])
            put(body.dq, chosen, 0.0)
        self._episodes.start(chosen)

    def observe(self) -> dict[str, Tensor]:
        """Return the named observations."""
        found = self._pair.observe()
        for name, body in self._now.items():
            found[f"{name}_pose"] = body.pose
            found[f"{name}_force"] = self._pair.forces(name).flatten(1)
        return found

    def update(self, world: World) -> None:
        """Measure after a control step and advance the counters; rewards and ends read them."""
        cfg, peg, socket = self.cfg, self._now["peg"].pose, self._now["socket"].pose
        force = cfg.grip_force
        of_peg = (self._pair.forces("peg")[:, RIGHT] > force).all(dim=-1)
        of_socket = (self._pair.forces("socket")[:, LEFT] > force).all(dim=-1)
        depth = peg_depth(cfg, peg, socket)
        high = (peg[:, 2] > cfg.least_height) & (socket[:, 2] > cfg.least_height)
        share = (depth / cfg.depth).clamp(0.0, 1.0)
        both = of_peg & of_socket
        near = 0.2 * of_peg + 0.2 * of_socket + 0.2 * (both & high) + 0.4 * share * (both & high)
        off = torch.stack([peg, socket])[..., :3]
        lost = ((off[..., 2] < -0.05) | (off[..., :2].abs() > 1.0).any(dim=-1)).any(dim=0)
        met = both & high & (depth >= cfg.depth)
        self._episodes.advance(near.to(peg.dtype), met=met, lost=lost)

    def reward(self, world: World) -> dict[str, Tensor]:
        """Return the named terms of the reward, each (N,)."""
        return self._episodes.reward()

    def done(self, world: World) -> tuple[Tensor, Tensor]:
        """Return terminated (N,): solved, or one fell off the table; and truncated (N,)."""
        return self._episodes.done()

    def success(self, world: World) -> Tensor:
        """Return whether the held peg has been in the held socket for `hold_steps` (N,)."""
        return self._episodes.success()

    def desynchronise(self, generator: torch.Generator) -> None:
        """Spread the episode ages, so that training worlds do not end together."""
        self._episodes.desynchronise(generator)


def peg_depth(cfg: BimanualInsertionCfg, peg: Tensor, socket: Tensor) -> Tensor:
    """Return how far pegs are in the holes of sockets (N,) [m]; 0 beside them.

    Args:
        cfg: sizes.
        peg: (N, 7), along its y.
        socket: (N, 7), its hole along y.
    """
    tip = peg.new_tensor((0.0, 0.5 * cfg.peg_length, 0.0))
    inside = pose_between(socket, peg)
    end = inside[:, :3] + quat_rotate(inside[:, 3:], tip.expand(len(peg), 3))
    beside = end[:, [0, 2]].abs().amax(dim=-1) > 0.5 * (cfg.peg_side + cfg.clearance)
    depth = end[:, 1] + 0.5 * cfg.socket_length
    return torch.where(beside, torch.zeros_like(depth), depth).clamp(min=0.0)
