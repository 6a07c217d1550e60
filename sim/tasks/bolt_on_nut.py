"""Set an M16 bolt, held by the gripper, on a fixed nut and screw it in.

TacSL names the task as an open challenge (arXiv 2408.06506): its policy brings the bolt to the nut
and a script turns it by 1 rad. Here the policy does both, with one grip.

Thread contact is a screw constraint, not meshes of threads with signed distances. Why: flanks with
a clearance of a tenth of a millimetre need hundreds of contact points and finer steps for this one
pair (Factory, arXiv 2205.03532), more than the rest of the scene together; and the engines would
not run the same, because MuJoCo's analytic threads are plug-ins of the C engine, which MuJoCo Warp
has only as code of the user, and distances of meshes are sampled on a grid. What is lost:
cross-threading, jamming, the feel of the first turn before it catches.

How it works. The nut's hole is a smooth ring, wider than the bolt by the lead-in of a chamfer.
Beside the nut stands a frame without a shape, `thread`, that carries a `runner` on a slide and a
hinge, which an equality ties together by the pitch. A weld joins runner and bolt; it is off at
first and switched on in a world once the bolt's tip is below the rim, near the axis and straight.
In that moment the runner is put to the bolt's height and the thread is turned so that height and
angle belong together: the catch itself moves nothing along the axis or about it, only the remainder
of the lead-in is pulled in. From then on the bolt goes down by the pitch with each turn and cannot
be pulled out.

A right-handed thread: seen from above, clockwise goes down. Dimensions: ISO 261 (pitch), ISO 4014
(head), ISO 4032 (nut).
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
from .shapes import FLAT_GRIP, PAD_GAP, add_held_body, add_ring, arm_scene, check_grip, held_forces
from .start import check_reach, tool_start

FLOOR = 0.002
"""Thickness of the plate under the nut [m]."""


@dataclass(frozen=True, kw_only=True)
class BoltOnNutCfg:
    """Set a bolt on a nut and screw it in."""

    nut_noise: float = 0.001
    """Largest error of the observed nut position along each axis, for an episode [m]."""
    bolt_radius: float = 0.008
    """Radius of the shank [m]: M16."""
    bolt_length: float = 0.04
    """Length of the shank [m]."""
    bolt_mass: float = 0.1
    """Mass of the bolt [kg]: steel of these dimensions."""
    flats: float = 0.024
    """Distance of opposite flats of head and nut [m]: M16."""
    head_height: float = 0.01
    """Height of the head [m]: M16."""
    nut_height: float = 0.0148
    """Height of the nut [m]: M16."""
    pitch: float = 0.002
    """Way along the axis in one turn [m]: M16, coarse."""
    lead_in: float = 0.0015
    """How far from the axis the bolt may be to catch [m]: the chamfer."""
    start_depth: float = 0.002
    """Depth of the tip below the rim at which the thread catches [m]: one pitch."""
    start_tilt: float = 0.1
    """Greatest tilt at which the thread catches [rad]."""
    friction: float = 0.02
    """Torque against turning in the thread [N m], about that of a dry bolt run down by hand."""
    goal_turn: float = 1.0
    """Angle to turn once the thread has caught [rad] (TacSL)."""
    lost_distance: float = 0.04
    """The bolt is lost when its centre is farther than this from the tool point [m]."""
    far_scale: float = 10.0
    """Rate at which closeness falls with the distance of the tip from the start [1/m]."""
    side_scale: float = 50.0
    """Rate at which closeness falls with the distance from the nut's axis [1/m]."""
    depth_scale: float = 30.0
    """Rate at which closeness of an aligned bolt falls with the height above the start [1/m]."""
    aligned_width: float = 0.002
    """Distance from the nut's axis at which height counts half [m]; about the lead-in."""
    hold_steps: int = 2
    """Control steps past the goal; the episode then ends with success."""
    max_steps: int = 256
    """Length of an episode [control steps] (TacSL)."""
    start_low: tuple[float, ...] = (0.42, -0.08, 0.12, math.pi - 0.1, -0.1, -0.5)
    """Lowest start of the tool: x y z [m], roll pitch yaw [rad]."""
    start_high: tuple[float, ...] = (0.58, 0.08, 0.18, math.pi + 0.1, 0.1, 0.5)
    """Highest start of the tool."""
    nut_low: tuple[float, ...] = (0.42, -0.08, 0.0)
    """Lowest position of the nut on the table [m]."""
    nut_high: tuple[float, ...] = (0.58, 0.08, 0.02)
    """Highest position of the nut [m]."""

    def __post_init__(self) -> None:
        """Refuse settings of which no episode can be made."""
        positive = ("bolt_radius", "bolt_length", "bolt_mass", "flats", "head_height",
                    "nut_height", "pitch", "lead_in", "start_depth", "start_tilt", "goal_turn",
                    "lost_distance", "aligned_width", "hold_steps", "max_steps")  # fmt: skip
        lengths = {"start_low": 6, "start_high": 6, "nut_low": 3, "nut_high": 3}
        check_settings(self, positive=positive, lengths=lengths)
        for name in ("nut_noise", "friction"):
            if not 0.0 <= getattr(self, name) < math.inf:
                raise ValueError(f"{name} must be 0 or more, got {getattr(self, name)}")
        if self.flats <= 2.0 * (self.bolt_radius + self.lead_in):
            raise ValueError(
                f"flats must be above {2.0 * (self.bolt_radius + self.lead_in)} m, the width of "
                f"the hole, got {self.flats}"
            )
        if self.start_depth + self.pitch >= self.nut_height:
            raise ValueError(
                f"start_depth must be below nut_height less a pitch, "
                f"{self.nut_height - self.pitch} m, got {self.start_depth}"
            )


def closeness(
    cfg: BoltOnNutCfg, distance: Tensor, side: Tensor, height: Tensor, turned: Tensor
) -> Tensor:
    """Return how near a bolt is to being screwed in, 0 (far) to 1 (turned by `goal_turn`).

    `0.2 (f(10 d) + f(50 s) + g f(30 h)) + 0.4 t` with `f(x) = 1 - tanh(x)` and the alignment
    `g = 1 / (1 + (s / 2 mm)^2)`, as in peg insertion; a bolt that has caught keeps the first 0.6.

    Args:
        cfg: the scales.
        distance: d (N,), of the tip from where the thread begins [m].
        side: s (N,), mean distance of tip and centre from the nut's axis [m].
        height: h (N,), of the tip above where the thread begins [m].
        turned: t (N,), angle turned since the thread caught [`goal_turn`]; NaN before.
    """
    aligned = 1.0 / (1.0 + (side / cfg.aligned_width) ** 2)
    far = 1.0 - torch.tanh(cfg.far_scale * distance)
    beside = 1.0 - torch.tanh(cfg.side_scale * side)
    deep = 1.0 - torch.tanh(cfg.depth_scale * height.clamp(min=0.0))
    before = 0.2 * (far + beside + aligned * deep)
    return torch.where(turned.isnan(), before, 0.6 + 0.4 * turned.clamp(0.0, 1.0))


class BoltOnNut:
    """The bolt-on-nut task on N worlds; see `BoltOnNutCfg`."""

    def __init__(self, cfg: BoltOnNutCfg, robot: Robot) -> None:
        """Describe the task for one robot.

        Raises:
            ValueError: the head does not fit between the pads, or the arm does not reach there.
        """
        check_grip(robot, "flats", cfg.flats)
        check_reach(robot, cfg.start_low, cfg.start_high)
        self.cfg, self.robot = cfg, robot
        self.pad_gap = PAD_GAP

    @property
    def actor(self) -> tuple[str, ...]:
        """Observations of the policy: those of peg insertion; how far it turned its joints tell."""
        return ("joint_position", "joint_velocity", "ee_pose", "nut_pose")

    @property
    def critic(self) -> tuple[str, ...]:
        """Observations of the critic: the policy's and the truth."""
        return (*self.actor, "true_nut_pose", "bolt_in_nut", "bolt_force", "thread")

    @property
    def goals(self) -> tuple[ArraySpec, ...]:
        """The observed pose of the nut, wrong by up to `nut_noise` along each axis."""
        cfg, slack = self.cfg, self.cfg.nut_noise
        low = tuple(v - slack for v in cfg.nut_low)
        high = tuple(v + slack for v in cfg.nut_high)
        return (goal_spec("nut_pose", self.robot, low, high),)

    @property
    def grip_width(self) -> float:
        """Distance between the pads that is asked for [m]: 2 mm less than the head, about 40 N."""
        return self.cfg.flats - 0.002

    @property
    def gripper_action(self) -> bool:
        """The gripper is not the policy's."""
        return False

    # -- scene ---------------------------------------------------------------------------------

    def scene(self) -> mujoco.MjSpec:
        """Return the model: robot, table, nut (mocap), bolt (free), thread (mocap) and runner."""
        spec = arm_scene(self.robot)
        self._add_nut(spec)
        self._add_bolt(spec)
        self._add_thread(spec)
        return spec

    def _add_nut(self, spec: mujoco.MjSpec) -> None:
        cfg = self.cfg
        nut = spec.worldbody.add_body(name="nut", mocap=True, pos=[0.5, 0.0, 0.0])
        inner, half = cfg.bolt_radius + cfg.lead_in, 0.5 * cfg.flats
        add_ring(
            nut, "nut", inner=inner, wall=half - inner, bottom=FLOOR, height=cfg.nut_height,
            boxes=32, rgba=(0.55, 0.57, 0.6, 1.0),
        )  # fmt: skip
        nut.add_geom(
            name="nut_floor",
            type=mujoco.mjtGeom.mjGEOM_BOX,
            size=[half, half, 0.5 * FLOOR],
            pos=[0.0, 0.0, 0.5 * FLOOR],
            rgba=[0.2, 0.3, 0.45, 1.0],
        )

    def _add_bolt(self, spec: mujoco.MjSpec) -> None:
        """Add the bolt: its z axis points to the tip, the head is a hexagon of three boxes.

        Only the box that the pads press on collides: the edges of the others would touch the pads
        as well, and such contacts pushed the fingers open now and then.
        """
        cfg = self.cfg
        bolt = add_held_body(spec, self.robot, "bolt", "nut")
        steel = [0.7, 0.7, 0.72, 1.0]
        shank = math.pi * cfg.bolt_radius**2 * cfg.bolt_length
        head = 0.5 * math.sqrt(3.0) * cfg.flats**2 * cfg.head_height
        share = shank / (shank + head)
        bolt.add_geom(
            name="bolt_shank",
            type=mujoco.mjtGeom.mjGEOM_CYLINDER,
            size=[cfg.bolt_radius, 0.5 * cfg.bolt_length, 0.0],
            mass=share * cfg.bolt_mass,
            rgba=steel,
            condim=4,
            friction=[0.4, 0.005, 0.0001],
        )
        for k, angle in enumerate((0.0, math.pi / 3, -math.pi / 3)):  # flats along y: to the pads
            bolt.add_geom(
                name=f"bolt_head_{k}",
                type=mujoco.mjtGeom.mjGEOM_BOX,
                size=[0.5 * cfg.flats / math.sqrt(3.0), 0.5 * cfg.flats, 0.5 * cfg.head_height],
                pos=[0.0, 0.0, -0.5 * (cfg.bolt_length + cfg.head_height)],
                quat=[math.cos(0.5 * angle), 0.0, 0.0, math.sin(0.5 * angle)],
                mass=(1.0 - share) * cfg.bolt_mass / 3.0,
                contype=int(k == 0),
                conaffinity=int(k == 0),
                rgba=steel,
                **FLAT_GRIP,
            )

    def _add_thread(self, spec: mujoco.MjSpec) -> None:
        """Add the runner in the thread, upside down like the bolt, and what ties it to both."""
        cfg = self.cfg
        thread = spec.worldbody.add_body(name="thread", mocap=True, quat=[0.0, 1.0, 0.0, 0.0])
        runner = thread.add_body(name="runner", gravcomp=1.0)
        runner.explicitinertial, runner.mass, runner.inertia = True, 0.01, [1e-5] * 3
        slide, hinge = mujoco.mjtJoint.mjJNT_SLIDE, mujoco.mjtJoint.mjJNT_HINGE
        runner.add_joint(name="thread_depth", type=slide, axis=[0.0, 0.0, 1.0], damping=1.0)
        runner.add_joint(
            name="thread_turn",
            type=hinge,
            axis=[0.0, 0.0, 1.0],
            # Small beside the wrist's, and large enough for the solver to trust the row.
            armature=1e-3,
            damping=1e-3,
            frictionloss=cfg.friction,
        )
        # Written for the angle: the same tie written for the depth is softer by 1 / pitch^2.
        spec.add_equality(
            name="thread_pitch",
            type=mujoco.mjtEq.mjEQ_JOINT,
            objtype=mujoco.mjtObj.mjOBJ_JOINT,
            name1="thread_turn",
            name2="thread_depth",
            data=[0.0, 2.0 * math.pi / cfg.pitch] + [0.0] * 10,
            solref=(0.01, 1.0),
        )
        spec.add_equality(
            name="thread_caught",
            type=mujoco.mjtEq.mjEQ_WELD,
            objtype=mujoco.mjtObj.mjOBJ_BODY,
            name1="runner",
            name2="bolt",
            active=False,
            data=[0.0] * 6 + [1.0, 0.0, 0.0, 0.0, 1.0, 0.0],
            solref=(0.01, 1.0),
            # The bolt alone is light to turn; the hand that holds it is not.
            solimp=(0.9995, 0.9999, 0.001, 0.5, 2.0),
        )

    def bind(self, world: World) -> None:
        """Take the views of a world that has this scene; buffers for N worlds."""
        self._world = world
        self._arm = world.joints(self.robot.chain.joint_names)
        self._fingers = world.joints(self.robot.gripper.joint_names)
        self._runner = world.joints(("thread_depth", "thread_turn"))
        self._tool = world.site(self.robot.chain.tool_frame)
        self._bolt = world.free_body("bolt")
        self._bolt_now = world.body("bolt")
        self._nut, self._thread = world.mocap("nut"), world.mocap("thread")
        self._caught = world.equality("thread_caught")
        self._forces = held_forces(self.robot, "bolt", "nut")
        n, like = world.num_worlds, {"dtype": world.dtype, "device": world.device}
        self._rim = torch.tensor([0.0, 0.0, FLOOR + self.cfg.nut_height], **like)
        self._error = torch.zeros((n, 3), **like)
        self._turn_at_catch = torch.zeros(n, **like)
        self._turned = torch.zeros(n, **like)
        self._episodes = ProgressEpisodes(
            world, hold_steps=self.cfg.hold_steps, max_steps=self.cfg.max_steps
        )

    # -- episodes ------------------------------------------------------------------------------

    def draw(self, draws: Draws) -> Starts:
        """Return start states: `q` [rad], `bolt` and `nut` (n, 7), `error` (n, 3) [m]."""
        cfg = self.cfg
        q, tool = tool_start(self.robot, draws, cfg.start_low, cfg.start_high)
        nut = uniform(draws, cfg.nut_low, cfg.nut_high)
        noise = (cfg.nut_noise,) * 3
        below = 0.5 * (cfg.bolt_length + cfg.head_height)  # the tool point is amid the head
        grip = tool.new_tensor([0.0, 0.0, below, 1.0, 0.0, 0.0, 0.0])
        return {
            "q": q,
            "bolt": pose_compose(tool, grip),
            "nut": pose(nut, nut.new_tensor([1.0, 0.0, 0.0, 0.0])),
            "error": uniform(draws, [-v for v in noise], noise),
        }

    def reset(self, world: World, chosen: Tensor, starts: Starts) -> None:
        """Start episodes in chosen worlds, with the bolt's head between the pads."""
        put(self._arm.q, chosen, starts["q"])
        put(self._arm.dq, chosen, 0.0)
        width = self.cfg.flats + 2.0 * self.pad_gap
        put(self._fingers.q, chosen, self.robot.gripper.position(width))
        put(self._fingers.dq, chosen, 0.0)
        put(self._bolt.q, chosen, starts["bolt"])
        put(self._bolt.dq, chosen, 0.0)
        put(self._nut, chosen, starts["nut"])
        put(self._error, chosen, starts["error"])
        put(self._runner.q, chosen, 0.0)
        put(self._runner.dq, chosen, 0.0)
        put(self._caught, chosen, 0.0)
        put(self._turned, chosen, math.nan)
        self._episodes.start(chosen)

    def observe(self) -> dict[str, Tensor]:
        """Return the named observations; `thread` is caught (0 or 1) and the angle turned [rad]."""
        nut, bolt = self._nut, self._bolt_now.pose
        forces = [self._world.pair_force(a, b) for a, b in self._forces]
        caught = (self._caught != 0).to(bolt.dtype)
        turned = self._turned.nan_to_num(0.0)
        return {
            "joint_position": self._arm.q,
            "joint_velocity": self._arm.dq,
            "ee_pose": self._tool.pose,
            "nut_pose": pose(nut[:, :3] + self._error, nut[:, 3:]),
            "true_nut_pose": nut,
            "bolt_in_nut": pose_between(nut, bolt),
            "bolt_force": torch.cat(forces, dim=-1),
            "thread": torch.stack([caught, turned], dim=-1),
        }

    def update(self, world: World) -> None:
        """Measure after a control step, let threads catch, advance the counters."""
        cfg, bolt = self.cfg, self._bolt_now.pose
        down = quat_z_axis(bolt[:, 3:])  # the bolt's z axis points to its tip
        rim = self._nut[:, :3] + self._rim
        centre = bolt[:, :3] - rim
        tip = centre + 0.5 * cfg.bolt_length * down
        side, side_centre = (torch.linalg.vector_norm(p[:, :2], dim=-1) for p in (tip, centre))
        tilt = torch.atan2(torch.linalg.vector_norm(down[:, :2], dim=-1), -down[:, 2])
        depth = -tip[:, 2]
        catches = (depth >= cfg.start_depth) & (depth <= cfg.nut_height - cfg.pitch)
        catches &= (side <= cfg.lead_in) & (tilt <= cfg.start_tilt) & (self._caught == 0)
        self._catch(catches, bolt, rim)
        turned = self._runner.q[:, 1] - self._turn_at_catch
        self._turned = torch.where(self._caught != 0, turned, math.nan)
        height = tip[:, 2] + cfg.start_depth
        distance = torch.sqrt(side**2 + height**2)
        near = closeness(
            cfg, distance, 0.5 * (side + side_centre), height, self._turned / cfg.goal_turn
        )
        offset = bolt[:, :3] - self._tool.pose[:, :3]
        lost = torch.linalg.vector_norm(offset, dim=-1) > cfg.lost_distance
        screwed = self._turned >= cfg.goal_turn  # never where it is NaN
        self._episodes.advance(near, met=screwed, lost=lost)

    def _catch(self, catches: Tensor, bolt: Tensor, rim: Tensor) -> None:
        """Tie the bolt to the thread in chosen worlds, where it is along the axis and about it.

        The thread's frame is upside down at the rim and turned so that the runner, whose angle
        belongs to its depth, looks as the bolt does.
        """
        cfg = self.cfg
        depth = rim[:, 2] - bolt[:, 2]  # of the bolt's centre below the rim, along the runner
        turn = depth * (2.0 * math.pi / cfg.pitch)
        # A straight bolt is q = (0 1 0 0) turned about its own axis, down, by yaw: (0 cos sin 0).
        yaw = 2.0 * torch.atan2(bolt[:, 5], bolt[:, 4])
        half = 0.5 * (yaw + turn)
        zero = torch.zeros_like(half)
        upside_down = torch.stack([zero, torch.cos(half), torch.sin(half), zero], dim=-1)
        put(self._thread, catches, pose(rim, upside_down))
        put(self._runner.q, catches, torch.stack([depth, turn], dim=-1))
        put(self._runner.dq, catches, 0.0)
        put(self._turn_at_catch, catches, turn)
        put(self._caught, catches, 1.0)

    def reward(self, world: World) -> dict[str, Tensor]:
        """Return the named terms of the reward, each (N,)."""
        return self._episodes.reward()

    def done(self, world: World) -> tuple[Tensor, Tensor]:
        """Return terminated (N,): solved, or the bolt left the hand; and truncated (N,)."""
        return self._episodes.done()

    def success(self, world: World) -> Tensor:
        """Return whether the bolt was screwed in by `goal_turn` (N,)."""
        return self._episodes.success()

    def desynchronise(self, generator: torch.Generator) -> None:
        """Spread the episode ages, so that training worlds do not end together."""
        self._episodes.desynchronise(generator)
