"""Stand a peg, held askew in the gripper, upright on a pad.

After TacSL's placement task (arXiv 2408.06506): a round peg of 16 mm is tilted by up to 20 degrees
in the hand about the axis on which the pads press, and has to be put on a pad so that it stands
when it is let go. TacSL opens the hand by a script after the episode and then asks for a tilt below
15 degrees and a distance from the pad's middle below 0.6 diameters. Here the hand keeps its grip,
and success is what makes a released peg stay: the same distance, the lower end on the pad, and a
small tilt held for some steps. A cylinder of this size falls back on its foot from any tilt below
atan(diameter / length) = 17.7 degrees; `tilt_tolerance` keeps far from it, because a hand that
opens also pushes. A test lets go and looks.

How the peg lies in the hand is what touch is for. `peg_seen` gives the policy its pose instead;
without it (TacSL's reduced set, 0.32 to 0.42 success there) the tilt can only be guessed.
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
from sim2arm.core.transforms import pose, pose_between, pose_compose, quat_z_axis
from sim2arm.sim.draws import Draws, uniform
from sim2arm.sim.specs import goal_spec
from sim2arm.sim.worlds.base import World

from .base import Starts, check_settings, put
from .counters import ProgressEpisodes
from .shapes import PAD_GAP, add_held_body, arm_scene, check_grip, held_forces
from .start import check_reach, quat_from_rpy, tool_start


@dataclass(frozen=True, kw_only=True)
class PegPlacementCfg:
    """Stand a peg upright on a pad; it is held askew."""

    peg_seen: bool = True
    """Whether the policy sees the pose of the peg; else only the joints and the pad."""
    pad_noise: float = 0.002
    """Largest error of the observed pad position along each axis, for an episode [m]."""
    peg_radius: float = 0.008
    """Radius of the peg [m] (IndustReal round peg, 16 mm)."""
    peg_length: float = 0.05
    """Length of the peg [m]."""
    peg_mass: float = 0.05
    """Mass of the peg [kg]."""
    grasp_depth: float = 0.015
    """Length of the upright peg between the finger pads at the nominal grasp [m]."""
    grasp_tilt: float = math.radians(20.0)
    """Largest tilt of the peg in the hand, either way [rad] (TacSL)."""
    grasp_slide: float = 0.004
    """Largest distance from the nominal grasp along the peg, either way [m]."""
    pad_radius: float = 0.02
    """Radius of the pad [m]."""
    pad_height: float = 0.005
    """Height of the pad [m]."""
    tilt_tolerance: float = 0.1
    """Largest tilt of a placed peg [rad]."""
    side_tolerance: float = 0.6
    """Largest distance of the foot from the pad's middle [diameters of the peg] (TacSL)."""
    gap_tolerance: float = 0.001
    """Greatest height of the lowest point of the peg above the pad [m]."""
    lost_distance: float = 0.045
    """The peg is lost when its centre is farther than this from the tool point [m]."""
    far_scale: float = 10.0
    """Rate at which closeness falls with the distance of the foot from the pad's middle [1/m]."""
    tilt_scale: float = 4.0
    """Rate at which closeness falls with the tilt [1/rad]."""
    down_scale: float = 30.0
    """Rate at which closeness of an upright peg falls with the height of its foot [1/m]."""
    upright_width: float = 0.1
    """Tilt at which height counts half [rad]."""
    over_width: float = 0.008
    """Distance from the pad's axis at which height counts half [m]."""
    hold_steps: int = 10
    """Control steps that the peg must stand; the episode then ends with success."""
    max_steps: int = 256
    """Length of an episode [control steps] (TacSL)."""
    start_low: tuple[float, ...] = (0.42, -0.08, 0.12, math.pi - 0.1, -0.1, -0.5)
    """Lowest start of the tool: x y z [m], roll pitch yaw [rad]."""
    start_high: tuple[float, ...] = (0.58, 0.08, 0.18, math.pi + 0.1, 0.1, 0.5)
    """Highest start of the tool."""
    pad_low: tuple[float, ...] = (0.42, -0.08, 0.0)
    """Lowest position of the pad on the table [m]."""
    pad_high: tuple[float, ...] = (0.58, 0.08, 0.02)
    """Highest position of the pad [m]."""

    def __post_init__(self) -> None:
        """Refuse settings of which no episode can be made."""
        positive = ("peg_radius", "peg_length", "peg_mass", "grasp_depth", "pad_radius",
                    "pad_height", "tilt_tolerance", "side_tolerance", "gap_tolerance",
                    "lost_distance", "upright_width", "over_width", "hold_steps",
                    "max_steps")  # fmt: skip
        lengths = {"start_low": 6, "start_high": 6, "pad_low": 3, "pad_high": 3}
        check_settings(self, positive=positive, lengths=lengths)
        for name in ("pad_noise", "grasp_tilt", "grasp_slide"):
            if not 0.0 <= getattr(self, name) < math.inf:
                raise ValueError(f"{name} must be 0 or more, got {getattr(self, name)}")
        falls = math.atan2(2.0 * self.peg_radius, self.peg_length)
        if self.tilt_tolerance >= falls:
            raise ValueError(
                f"tilt_tolerance must be below {falls:.3f} rad, from which the peg falls over, "
                f"got {self.tilt_tolerance}"
            )


def closeness(
    cfg: PegPlacementCfg, distance: Tensor, side: Tensor, tilt: Tensor, height: Tensor
) -> Tensor:
    """Return how near a peg is to standing on the pad, 0 (far) to 1 (placed).

    `(f(10 d) + f(4 t) + 2 g f(30 h)) / 4` with `f(x) = 1 - tanh(x)` and
    `g = 1 / (1 + (t / 0.1)^2 + (s / 8 mm)^2)`: going down pays as far as the peg is upright and
    over the pad.

    Args:
        cfg: the scales.
        distance: d (N,), of the foot from the pad's middle [m].
        side: s (N,), of the foot from the pad's axis [m].
        tilt: t (N,), of the peg [rad].
        height: h (N,), of the foot's middle above the pad [m]; below counts like above.
    """
    ready = 1.0 + (tilt / cfg.upright_width) ** 2 + (side / cfg.over_width) ** 2
    far = 1.0 - torch.tanh(cfg.far_scale * distance)
    upright = 1.0 - torch.tanh(cfg.tilt_scale * tilt)
    down = 1.0 - torch.tanh(cfg.down_scale * height.abs())
    return 0.25 * (far + upright + 2.0 * down / ready)


class PegPlacement:
    """The peg-placement task on N worlds; see `PegPlacementCfg`."""

    def __init__(self, cfg: PegPlacementCfg, robot: Robot) -> None:
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
        """Observations of the policy."""
        seen = ("peg_pose",) if self.cfg.peg_seen else ()
        return ("joint_position", "joint_velocity", "ee_pose", "pad_pose", *seen)

    @property
    def critic(self) -> tuple[str, ...]:
        """Observations of the critic, whatever the policy sees: a teacher's fits a student."""
        seen = ("joint_position", "joint_velocity", "ee_pose", "pad_pose", "peg_pose")
        return (*seen, "true_pad_pose", "peg_in_tool", "peg_force")

    @property
    def goals(self) -> tuple[ArraySpec, ...]:
        """The pad, wrong by up to `pad_noise` along each axis; the peg, exactly."""
        cfg, slack = self.cfg, self.cfg.pad_noise
        low = tuple(v - slack for v in cfg.pad_low)
        high = tuple(v + slack for v in cfg.pad_high)
        specs = [goal_spec("pad_pose", self.robot, low, high)]
        if cfg.peg_seen:
            reach = 0.3  # the hand may carry the peg beyond the starts [m]
            low = tuple(min(a, b) - reach for a, b in zip(cfg.start_low, cfg.pad_low, strict=False))
            high = tuple(
                max(a, b) + reach for a, b in zip(cfg.start_high, cfg.pad_high, strict=False)
            )
            specs.append(goal_spec("peg_pose", self.robot, low, high))
        return tuple(specs)

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
        """Return the model: robot, table, pad (mocap), peg (free)."""
        spec, cfg = arm_scene(self.robot), self.cfg
        pad = spec.worldbody.add_body(name="pad", mocap=True, pos=[0.5, 0.0, 0.0])
        pad.add_geom(
            name="pad",
            type=mujoco.mjtGeom.mjGEOM_CYLINDER,
            size=[cfg.pad_radius, 0.5 * cfg.pad_height, 0.0],
            pos=[0.0, 0.0, 0.5 * cfg.pad_height],
            rgba=[0.25, 0.4, 0.6, 1.0],
        )
        peg = add_held_body(spec, self.robot, "peg", "pad")
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

    def bind(self, world: World) -> None:
        """Take the views of a world that has this scene; buffers for N worlds."""
        self._world = world
        self._arm = world.joints(self.robot.chain.joint_names)
        self._fingers = world.joints(self.robot.gripper.joint_names)
        self._tool = world.site(self.robot.chain.tool_frame)
        self._peg = world.free_body("peg")
        self._peg_now = world.body("peg")
        self._pad = world.mocap("pad")
        self._forces = held_forces(self.robot, "peg", "pad")
        n, like = world.num_worlds, {"dtype": world.dtype, "device": world.device}
        self._error = torch.zeros((n, 3), **like)
        self._top = torch.tensor([0.0, 0.0, self.cfg.pad_height], **like)
        self._episodes = ProgressEpisodes(
            world, hold_steps=self.cfg.hold_steps, max_steps=self.cfg.max_steps
        )

    # -- episodes ------------------------------------------------------------------------------

    def draw(self, draws: Draws) -> Starts:
        """Return start states: `q` [rad], `peg` and `pad` (n, 7), `error` (n, 3) [m]."""
        cfg = self.cfg
        q, tool = tool_start(self.robot, draws, cfg.start_low, cfg.start_high)
        pad = uniform(draws, cfg.pad_low, cfg.pad_high)
        grasp = (cfg.grasp_tilt, cfg.grasp_slide)
        tilt, slide = uniform(draws, [-v for v in grasp], grasp).T
        noise = (cfg.pad_noise,) * 3
        # The peg's axis in the tool frame, turned about y, on which the pads press.
        below = 0.5 * cfg.peg_length - 0.5 * cfg.grasp_depth + slide
        turn = torch.stack([torch.zeros_like(tilt), tilt, torch.zeros_like(tilt)], dim=-1)
        turned = quat_from_rpy(turn)
        grip = pose(below[:, None] * quat_z_axis(turned), turned)
        upright = tool.new_tensor([1.0, 0.0, 0.0, 0.0])
        return {
            "q": q,
            "peg": pose_compose(tool, grip),
            "pad": pose(pad, upright),
            "error": uniform(draws, [-v for v in noise], noise),
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
        put(self._pad, chosen, starts["pad"])
        put(self._error, chosen, starts["error"])
        self._episodes.start(chosen)

    def observe(self) -> dict[str, Tensor]:
        """Return the named observations."""
        pad, peg, tool = self._pad, self._peg_now.pose, self._tool.pose
        forces = [self._world.pair_force(a, b) for a, b in self._forces]
        return {
            "joint_position": self._arm.q,
            "joint_velocity": self._arm.dq,
            "ee_pose": tool,
            "pad_pose": pose(pad[:, :3] + self._error, pad[:, 3:]),
            "peg_pose": peg,
            "true_pad_pose": pad,
            "peg_in_tool": pose_between(tool, peg),
            "peg_force": torch.cat(forces, dim=-1),
        }

    def update(self, world: World) -> None:
        """Measure after a control step and advance the counters; rewards and ends read them."""
        cfg, peg = self.cfg, self._peg_now.pose
        down = quat_z_axis(peg[:, 3:])  # the peg's z axis points to its foot
        away = peg[:, :3] + 0.5 * cfg.peg_length * down - self._pad[:, :3] - self._top
        lean = torch.linalg.vector_norm(down[:, :2], dim=-1)
        tilt = torch.atan2(lean, -down[:, 2])
        side = torch.linalg.vector_norm(away[:, :2], dim=-1)
        distance = torch.linalg.vector_norm(away, dim=-1)
        near = closeness(cfg, distance, side, tilt, away[:, 2])
        offset = peg[:, :3] - self._tool.pose[:, :3]
        lost = torch.linalg.vector_norm(offset, dim=-1) > cfg.lost_distance
        gap = away[:, 2] - cfg.peg_radius * lean
        placed = (tilt < cfg.tilt_tolerance) & (gap.abs() < cfg.gap_tolerance)
        placed &= side < 2.0 * cfg.side_tolerance * cfg.peg_radius
        self._episodes.advance(near, met=placed, lost=lost)

    def reward(self, world: World) -> dict[str, Tensor]:
        """Return the named terms of the reward, each (N,)."""
        return self._episodes.reward()

    def done(self, world: World) -> tuple[Tensor, Tensor]:
        """Return terminated (N,): solved, or the peg left the hand; and truncated (N,)."""
        return self._episodes.done()

    def success(self, world: World) -> Tensor:
        """Return whether the peg has stood on the pad for `hold_steps` (N,)."""
        return self._episodes.success()

    def desynchronise(self, generator: torch.Generator) -> None:
        """Spread the episode ages, so that training worlds do not end together."""
        self._episodes.desynchronise(generator)
