"""Insert a round peg, held by the gripper, into a socket whose pose is known with an error.

Geometry, action, observation split and success follow TacSL's insertion task (arXiv 2408.06506 and
its task configuration); the peg is 16 mm in diameter, the socket a ring of boxes with a floor.

The reward differs. TacSL pays for a small mean distance of keypoints, in every step. That has a
local optimum here: beside the socket, or leaning over its rim, the peg is nearer to its seat than
above the hole. Closeness (`task_kernels.peg_kernel`) counts depth only as far as the peg is
aligned, and the reward is its increase in each step, so that hovering pays nothing.
"""

# MuJoCo's extension modules have no stubs.
# pyright: standard, reportAttributeAccessIssue=false

from __future__ import annotations

import math
from dataclasses import dataclass

import mujoco
import torch
import warp as wp
from torch import Tensor

from sim2arm.core.robots import Robot
from sim2arm.core.spec import ArraySpec
from sim2arm.core.transforms import pose, pose_between, pose_compose
from sim2arm.sim.draws import Draws, uniform
from sim2arm.sim.specs import goal_spec
from sim2arm.sim.warp_device import recorded
from sim2arm.sim.worlds.base import World

from .base import Starts, check_settings, put
from .counters import ProgressEpisodes
from .shapes import PAD_GAP, add_held_body, add_ring, arm_scene, check_grip, held_forces
from .start import check_reach, tool_start
from .task_kernels import peg_kernel


@dataclass(frozen=True, kw_only=True)
class PegInsertionCfg:
    """Insert a round peg into a socket whose pose is known with an error."""

    clearance: float = 0.0025
    """Radial clearance between peg and socket [m], 0.0001 to 0.0025."""
    socket_noise: float = 0.002
    """Largest error of the observed socket position along each axis [m] (TacSL: 0.005)."""
    peg_radius: float = 0.008
    """Radius of the peg [m] (IndustReal round peg, 16 mm)."""
    peg_length: float = 0.05
    """Length of the peg [m]."""
    socket_depth: float = 0.025
    """Depth of the hole [m]."""
    socket_wall: float = 0.006
    """Thickness of the ring around the hole [m]."""
    ring_boxes: int = 32
    """Boxes that form the ring, at least 32 so that corners cost little clearance."""
    success_distance: float = 0.0044958
    """Largest mean distance of the keypoints for success [m] (TacSL)."""
    lost_distance: float = 0.045
    """The peg is lost when its centre is farther than this from the tool point [m]."""
    far_scale: float = 10.0
    """Rate at which closeness falls with the distance of the keypoints [1/m]."""
    side_scale: float = 50.0
    """Rate at which closeness falls with the distance from the socket's axis [1/m]."""
    depth_scale: float = 30.0
    """Rate at which closeness of an aligned peg falls with the height above the seat [1/m]."""
    aligned_width: float = 0.003
    """Distance from the socket's axis at which depth counts half [m]; about the clearance."""
    hold_steps: int = 5
    """Control steps that the peg must stay inserted; the episode then ends with success."""
    max_steps: int = 256
    """Length of an episode [control steps] (TacSL)."""
    start_low: tuple[float, ...] = (0.42, -0.08, 0.12, math.pi - 0.1, -0.1, -0.5)
    """Lowest start of the tool: x y z [m], roll pitch yaw [rad] (TacSL: yaw +-1)."""
    start_high: tuple[float, ...] = (0.58, 0.08, 0.18, math.pi + 0.1, 0.1, 0.5)
    """Highest start of the tool."""
    socket_low: tuple[float, ...] = (0.42, -0.08, 0.0)
    """Lowest position of the socket on the table [m]."""
    socket_high: tuple[float, ...] = (0.58, 0.08, 0.02)
    """Highest position of the socket [m]."""
    grasp_depth: float = 0.015
    """Length of the peg between the finger pads at the nominal grasp [m]."""
    peg_mass: float = 0.05
    """Mass of the peg [kg]."""

    def __post_init__(self) -> None:
        """Refuse settings of which no episode can be made."""
        if not 0.0001 <= self.clearance <= 0.0025:
            raise ValueError(
                f"clearance must lie in 0.0001 to 0.0025 m (radial), got {self.clearance}"
            )
        if self.ring_boxes < 32:
            raise ValueError(f"ring_boxes must be at least 32, got {self.ring_boxes}")
        if not 0.0 <= self.socket_noise < math.inf:
            raise ValueError(f"socket_noise must be 0 m or more, got {self.socket_noise}")
        positive = ("peg_radius", "peg_length", "socket_depth", "socket_wall", "success_distance",
                    "lost_distance", "aligned_width", "hold_steps", "max_steps", "grasp_depth",
                    "peg_mass")  # fmt: skip
        lengths = {"start_low": 6, "start_high": 6, "socket_low": 3, "socket_high": 3}
        check_settings(self, positive=positive, lengths=lengths)


class PegInsertion:
    """The peg-insertion task on N worlds; see `PegInsertionCfg`."""

    def __init__(self, cfg: PegInsertionCfg, robot: Robot) -> None:
        """Describe the task for one robot.

        Raises:
            ValueError: the peg does not fit between the pads, or the arm does not reach there.
        """
        check_grip(robot, "peg_radius, twice,", 2.0 * cfg.peg_radius)
        check_reach(robot, cfg.start_low, cfg.start_high)
        self.cfg, self.robot = cfg, robot
        self.pad_gap = PAD_GAP

    @property
    def actor(self) -> tuple[str, ...]:
        """Observations of the policy: TacSL's reduced set, with joint velocities."""
        return ("joint_position", "joint_velocity", "ee_pose", "socket_pose")

    @property
    def critic(self) -> tuple[str, ...]:
        """Observations of the critic: the policy's and the truth."""
        return (*self.actor, "true_socket_pose", "peg_in_socket", "peg_force")

    @property
    def goals(self) -> tuple[ArraySpec, ...]:
        """The observed pose of the socket, wrong by up to `socket_noise` along each axis."""
        cfg, slack = self.cfg, self.cfg.socket_noise
        low = tuple(v - slack for v in cfg.socket_low)
        high = tuple(v + slack for v in cfg.socket_high)
        return (goal_spec("socket_pose", self.robot, low, high),)

    @property
    def grip_width(self) -> float:
        """Distance between the pads that is asked for [m]: 2 mm less than the peg, about 40 N."""
        return 2.0 * self.cfg.peg_radius - 0.002

    @property
    def gripper_action(self) -> bool:
        """The gripper is not the policy's."""
        return False

    # -- scene ---------------------------------------------------------------------------------

    def scene(self) -> mujoco.MjSpec:
        """Return the model: robot, table, socket (mocap), peg (free)."""
        cfg = self.cfg
        spec = arm_scene(self.robot)
        self._add_socket(spec)
        peg = add_held_body(spec, self.robot, "peg", "socket")
        peg.add_geom(
            name="peg",
            type=mujoco.mjtGeom.mjGEOM_CYLINDER,
            size=[cfg.peg_radius, 0.5 * cfg.peg_length, 0.0],
            mass=cfg.peg_mass,
            rgba=[0.85, 0.55, 0.15, 1.0],
            condim=4,
            friction=[1.0, 0.005, 0.0001],
        )
        return spec

    def _add_socket(self, spec: mujoco.MjSpec) -> None:
        cfg = self.cfg
        socket = spec.worldbody.add_body(name="socket", mocap=True, pos=[0.5, 0.0, 0.0])
        inner = cfg.peg_radius + cfg.clearance
        add_ring(
            socket, "socket", inner=inner, wall=cfg.socket_wall, bottom=0.002,
            height=cfg.socket_depth, boxes=cfg.ring_boxes, rgba=(0.25, 0.4, 0.6, 1.0),
        )  # fmt: skip
        outer = inner + cfg.socket_wall
        socket.add_geom(
            name="socket_floor",
            type=mujoco.mjtGeom.mjGEOM_BOX,
            size=[outer, outer, 0.001],
            pos=[0.0, 0.0, 0.001],
            rgba=[0.2, 0.3, 0.45, 1.0],
        )

    def bind(self, world: World) -> None:
        """Take the views of a world that has this scene; buffers for N worlds."""
        self._world = world
        self._arm = world.joints(self.robot.chain.joint_names)
        self._tool = world.site(self.robot.chain.tool_frame)
        self._peg = world.free_body("peg")
        self._peg_now = world.body("peg")
        self._socket = world.mocap("socket")
        self._fingers = world.joints(self.robot.gripper.joint_names)
        self._forces = held_forces(self.robot, "peg", "socket")
        n = world.num_worlds
        like = {"dtype": world.dtype, "device": world.device}
        self._error = torch.zeros((n, 3), **like)
        cfg = self.cfg
        self._episodes = ProgressEpisodes(world, hold_steps=cfg.hold_steps, max_steps=cfg.max_steps)
        half = 0.5 * cfg.peg_length
        # in the order that `task_kernels` names; the peg frame is the tool's: z down
        numbers = [0.002 + half, half, cfg.far_scale, cfg.side_scale, cfg.depth_scale,
                   cfg.aligned_width, cfg.success_distance, cfg.lost_distance]  # fmt: skip
        self._poses = torch.zeros((3, n, 7), **like)
        found = self._episodes
        self._measure = recorded(
            peg_kernel(wp.dtype_from_torch(world.dtype)), n,
            [*self._poses, torch.tensor(numbers, **like)],
            [found.closeness, found.met, found.lost], world.device,
        )  # fmt: skip

    # -- episodes ------------------------------------------------------------------------------

    def draw(self, draws: Draws) -> Starts:
        """Return start states: `q` (n, 7) [rad], `peg` and `socket` (n, 7), `error` (n, 3) [m]."""
        cfg = self.cfg
        q, tool = tool_start(self.robot, draws, cfg.start_low, cfg.start_high, iterations=6)
        socket = uniform(draws, cfg.socket_low, cfg.socket_high)
        noise = (cfg.socket_noise,) * 3
        error = uniform(draws, [-v for v in noise], noise)
        upright = tool.new_tensor([1.0, 0.0, 0.0, 0.0])
        # The peg's centre in the tool frame: its upper end lies between the pads.
        below = 0.5 * cfg.peg_length - 0.5 * cfg.grasp_depth
        grip = tool.new_tensor([0.0, 0.0, below, 1.0, 0.0, 0.0, 0.0])
        return {
            "q": q,
            "peg": pose_compose(tool, grip),
            "socket": pose(socket, upright),
            "error": error,
        }

    def reset(self, world: World, chosen: Tensor, starts: Starts) -> None:
        """Start episodes in chosen worlds, with the peg between the pads."""
        put(self._arm.q, chosen, starts["q"])
        put(self._arm.dq, chosen, 0.0)
        width = 2.0 * (self.cfg.peg_radius + self.pad_gap)
        put(self._fingers.q, chosen, self.robot.gripper.position(width))
        put(self._fingers.dq, chosen, 0.0)
        put(self._peg.q, chosen, starts["peg"])
        put(self._peg.dq, chosen, 0.0)
        put(self._socket, chosen, starts["socket"])
        put(self._error, chosen, starts["error"])
        self._episodes.start(chosen)

    def observe(self) -> dict[str, Tensor]:
        """Return the arrays of the actor and of the critic, float64, as `spec` lists them."""
        socket = self._socket
        seen = pose(socket[:, :3] + self._error, socket[:, 3:])
        peg = self._peg_now.pose
        relative = pose_between(socket, peg)
        forces = [self._world.pair_force(a, b) for a, b in self._forces]
        return {
            "joint_position": self._arm.q,
            "joint_velocity": self._arm.dq,
            "ee_pose": self._tool.pose,
            "socket_pose": seen,
            "true_socket_pose": socket,
            "peg_in_socket": relative,
            "peg_force": torch.cat(forces, dim=-1),
        }

    def update(self, world: World) -> None:
        """Measure after a control step and advance the counters; rewards and ends read them."""
        peg, socket, tool = self._poses
        peg.copy_(self._peg_now.pose)
        socket.copy_(self._socket)
        tool.copy_(self._tool.pose)
        self._measure()
        self._episodes.count()

    def reward(self, world: World) -> dict[str, Tensor]:
        """Return the named terms of the reward, each (N,)."""
        return self._episodes.reward()

    def done(self, world: World) -> tuple[Tensor, Tensor]:
        """Return terminated (N,): solved, or the peg left the hand; and truncated (N,)."""
        return self._episodes.done()

    def success(self, world: World) -> Tensor:
        """Return whether the peg has stayed inserted for `hold_steps` (N,)."""
        return self._episodes.success()

    def desynchronise(self, generator: torch.Generator) -> None:
        """Spread the episode ages, so that training worlds do not end together."""
        self._episodes.desynchronise(generator)
