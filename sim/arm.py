"""Simulated arms behind the interface of a real one: observations out, trajectories in.

The simulated-arm node and the evaluation in process both run this class. It executes joint
trajectories as a joint trajectory controller does and applies the low-level law in every physics
substep, as the training environment does.
"""

# pyright: standard

from __future__ import annotations

import copy
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, TypeAlias

import numpy as np
import numpy.typing as npt
import torch

from sim2arm.core.arms import prefixed, rows_of, worlds_of
from sim2arm.core.driver_stage import Intrinsics
from sim2arm.core.gripper import GripperModel
from sim2arm.core.robot_files import find_robot
from sim2arm.core.trajectory import FloatArray, Trajectory, choose, join, sample

from .actuators import Actuators, gain_places, put_actuators
from .draws import SeededDraws
from .organs import Organs
from .physics_terms import prepare_scene
from .randomize import Randomizer, Term
from .robots.meshes import use_meshes
from .tasks.base import Task, arms_of
from .tasks.table import make_task
from .worlds.base import JointsView, World
from .worlds.compiled import find
from .worlds.mujoco import MujocoWorld

if TYPE_CHECKING:  # an arm without pictures imports no camera code, one without touch no gels
    from .touch import Touch
    from .vision import Vision

BoolArray: TypeAlias = npt.NDArray[np.bool_]
IntArray: TypeAlias = npt.NDArray[np.int64]

SUBSTEPS = {50.0: 10, 60.0: 8, 100.0: 5, 480.0: 1}
"""Physics steps per control period: 1/480 s at 60 and 480 Hz, 1/500 s at 50 and 100 Hz."""
NEVER = -1
"""When a command arrives that is lost."""


def substeps_of(control_hz: float) -> int:
    """Return the physics steps of a control period.

    Raises:
        ValueError: there is no physics step for this rate.
    """
    if control_hz not in SUBSTEPS:
        raise ValueError(f"control_hz must be one of {sorted(SUBSTEPS)}, got {control_hz}")
    return SUBSTEPS[control_hz]


class SimulatedArm:
    """N arms in N worlds of a task, each with its joint trajectory controller.

    Attributes:
        kp, kd: (n,) gains of the joint impedance law [N m/rad], [N m s/rad].
        gripper: state of the grippers, a row each; after a reset they stand at the task's grip
            width.
        success, done: (N,) outcome of the episodes, and whether they have ended.
        diverged: (N,) episodes that ended, failed, because the physics diverged (the engine then
            puts the world back to its defaults).
        timed_out: (N,) episodes that ended, failed, because their time was up.
        steps: (N,) control steps of the episodes.
        scores: (N,) best of the steps of the episodes, where the task scores them; None if not.
        arms: in each world.
        rows: arms of all worlds, those of a world one after the other.
        lead: (rows, n) kd / kp of the law that the actuators of each arm follow [s].
        eyes: its cameras, None without any.
        skin: the gels on its pads, None without any.
        organs: both together, and what they see at this tick.
    """

    def __init__(
        self,
        task: str | Task,
        robot: str,
        *,
        num_arms: int = 1,
        control_hz: float = 60.0,
        threads: int = 1,
        meshes: bool = False,
        physics: Sequence[Term] = (),
        actuators: Actuators = MappingProxyType({}),
        vision: Vision | None = None,
        beside: bool = False,
        touch: Touch | None = None,
    ) -> None:
        """Build the worlds.

        Args:
            task: the task or its name.
            robot: name of the robot.
            num_arms: N.
            control_hz: control periods per second.
            threads: of the physics.
            physics: what `change_physics` will change.
            actuators: what is between law and joints, by joint; ideal where nothing is said.
            vision: cameras whose pictures are measured.
            beside: whether they are drawn in threads, so that one arm keeps real time with them.
            touch: gels on the pads, and what of them is measured.
            meshes: draw the robot with full-detail meshes (`robots.meshes`); the motion is the
                same.

        Raises:
            ValueError: unknown task or robot, or a control rate without a physics step.
            ModuleNotFoundError, OSError: the meshes are not there.
        """
        self.robot = find_robot(robot)
        self.task = make_task(task, robot) if isinstance(task, str) else task
        self.period, self.substeps = 1.0 / control_hz, substeps_of(control_hz)
        scene = self.task.scene()
        if meshes:
            use_meshes(scene, self.robot)
        prepare_scene(scene, physics)
        put_actuators(scene, actuators, self.period / self.substeps)
        if vision is not None:
            vision.prepare(scene)
        field = None if touch is None else touch.prepare(scene, self.robot, self.task)
        self.world = MujocoWorld(
            scene,
            num_arms,
            timestep=self.period / self.substeps,
            control_substeps=self.substeps,
            num_threads=threads,
            law=field,
        )
        self.task.bind(self.world)
        self.kp, self.kd = np.asarray(self.robot.kp), np.asarray(self.robot.kd)
        self._bind_arms()
        self.gripper = GripperModel(self.robot.gripper, self._stand())
        step = self.period / self.substeps
        self._offsets: FloatArray = np.arange(1, self.substeps + 1, dtype=np.float64) * step
        self._goals = {spec.name for spec in self.task.goals}
        self._score: Callable[[World], torch.Tensor] | None = getattr(self.task, "score", None)
        self._randomizer = Randomizer(physics, self.world, self)
        self._changed: torch.Tensor | None = None
        self.eyes = None
        if vision is not None:
            self.eyes = vision.bind(self.world, self.period, beside=beside)
        self.skin = None
        if touch is not None and field is not None:
            self.skin = touch.bind(self.world, field, self.period)
        self.organs = Organs(self.eyes, self.skin)
        self.reset([0] * num_arms)

    def _bind_arms(self) -> None:
        """Find joints, tools and grippers of all arms of a world, arm after arm."""
        world, prefixes = self.world, [arm.prefix for arm in arms_of(self.task)] or [""]
        robots = [prefixed(self.robot, prefix) for prefix in prefixes]
        self.arms, self.rows = len(robots), world.num_worlds * len(robots)
        self.lead = torch.from_numpy(self.kd / self.kp).repeat(self.rows, 1)
        names, n = world.actuators, len(self.robot.chain.joint_names)
        firsts = [names.index(robot.chain.joint_names[0]) for robot in robots]
        self._columns = [slice(first, first + n) for first in firsts]
        self._ctrl = torch.zeros((world.num_worlds, self.substeps, len(names)), dtype=torch.float64)
        self._names = [name for robot in robots for name in robot.chain.joint_names]
        self._joints = [world.joints(robot.chain.joint_names) for robot in robots]
        self._tools = [world.site(robot.chain.tool_frame) for robot in robots]
        self._grips, self._fingers = list[int](), list[JointsView]()
        if self.robot.gripper.joint_names:
            self._grips = [names.index(f"{robot.name}_gripper") for robot in robots]
            self._fingers = [world.joints(robot.gripper.joint_names) for robot in robots]

    def change_physics(self, unit: FloatArray) -> None:
        """Change what `physics` names, in all arms and for all episodes to come.

        Args:
            unit: (count,) in [0, 1], where in its range each number lies.
        """
        rows = torch.from_numpy(np.asarray(unit, dtype=np.float64)).expand(self.num_arms, -1)
        self._randomizer.write(torch.ones(self.num_arms, dtype=torch.bool), rows)
        self._changed = rows

    @property
    def num_arms(self) -> int:
        """How many there are, N; several in one world count once."""
        return self.world.num_worlds

    def reset(self, seeds: Sequence[int] | int) -> None:
        """Start the episodes of the given seeds, one per arm; the same seed, the same episode."""
        self._start(seeds, {})

    def _start(
        self, seeds: Sequence[int] | int, kept: Mapping[str, npt.NDArray[np.float64]]
    ) -> None:
        """Start episodes; what is kept of the state of the physics (`put_state`) is as it was."""
        each = [seeds] * self.num_arms if isinstance(seeds, int) else list(seeds)
        self.world.reset()
        draws, everywhere = SeededDraws(each), torch.ones(self.num_arms, dtype=torch.bool)
        starts = self.task.draw(draws)
        self.task.reset(self.world, everywhere, starts)
        if self._changed is not None:
            self._randomizer.place(everywhere, self._changed)
        q = rows_of(starts["q"].numpy(), self.arms)
        self.put_state(kept)
        self.organs.begin(everywhere, draws.unit(self.organs.count))
        self.organs.see()
        points = np.repeat(q[:, None], 2, axis=1)
        times = np.tile(np.array([0.0, 1e-3]), (self.rows, 1))
        self._trajectory = Trajectory(times=times, q=points, dq=np.zeros_like(points))
        self._elapsed: FloatArray = np.zeros(self.rows)
        self._under_way: list[tuple[IntArray, Trajectory, FloatArray]] = []
        self.gripper.reset(self._stand())
        self.ticks = self._substep = 0
        self.success = np.zeros(self.num_arms, dtype=bool)
        self.done = np.zeros(self.num_arms, dtype=bool)
        self.diverged = np.zeros(self.num_arms, dtype=bool)
        self.timed_out = np.zeros(self.num_arms, dtype=bool)
        self.steps = np.zeros(self.num_arms, dtype=np.int64)
        self.scores = None if self._score is None else np.zeros(self.num_arms)

    def go_on(self, seeds: Sequence[int] | int) -> None:
        """Start episodes where everything is: only goals are drawn, and cameras and gels begin.

        Arms at rest stay where they were told to stand, and grippers go on with what they do.
        """
        kept = {name: self.world.batch.bind(name).copy() for name in ("qpos", "qvel")}
        q, gripper = self.desired()[0], copy.copy(self.gripper)
        self._start(seeds, kept)
        self.gripper = gripper
        self._trajectory = replace(self._trajectory, q=np.repeat(q[:, None], 2, axis=1))

    def set_gains(self, kp: FloatArray, kd: FloatArray) -> None:
        """Change the joint impedance law of all arms: kp (n,) [N m/rad], kd (n,) [N m s/rad]."""
        for place, name in enumerate(self._names):
            i = place % len(kp)
            row = find(self.world.model, "actuator", name)
            stiff, damping = gain_places(self.world.model, row)
            for places, gains in ((stiff, kp), (damping, kd)):
                for field, number, sign in places:
                    self.world.field(field)[:, row, number] = sign * float(gains[i])
        self.kp, self.kd = np.asarray(kp, dtype=np.float64), np.asarray(kd, dtype=np.float64)
        self.lead = torch.from_numpy(self.kd / self.kp).repeat(self.rows, 1)

    def measured(self) -> dict[str, npt.NDArray[Any]]:
        """Return what the arm measures and the task's inputs, each (N, ...) float64.

        Pictures are uint8 and float32, and memory of the cameras (`vision.Eyes`). The derived
        inputs of a contract are not among them: whoever runs a policy computes them.
        """
        seen = self.task.observe()
        q, dq = self.joint_state()
        goals = {name: seen[name].numpy().copy() for name in self._goals}
        width = worlds_of(self.gripper_width()[:, None], self.arms)
        seen_now = {name: pictures.numpy() for name, pictures in self.pictures.items()}
        return (
            {"joint_position": q, "joint_velocity": dq, "gripper_width": width} | goals | seen_now
        )

    def put_state(self, state: Mapping[str, npt.NDArray[np.float64]]) -> None:
        """Put the physics to a state that a recording holds; counters and controllers stay.

        Args:
            state: `qpos`, `qvel`, and `mocap_pos` and `mocap_quat` where there are any, (N, ...).
        """
        self.world.write_mocap()  # what is not in the state stays
        for name, values in state.items():
            self.world.batch.bind(name)[:] = values
        self.world.take_mocap()
        self.world.forward(torch.arange(self.num_arms))

    @property
    def pictures(self) -> dict[str, torch.Tensor]:
        """What cameras and gels see at this tick, (N, ...)."""
        return self.organs.pictures

    @property
    def intrinsics(self) -> dict[str, Intrinsics]:
        """Of the pictures that cameras take, by array."""
        if self.eyes is None:
            return {}
        finals = {s.camera.optical_frame: s.camera.final for s in self.eyes.vision.sights}
        return {name: finals[str(spec.frame)] for name, spec in self.eyes.specs.items()}

    def joint_state(self) -> tuple[FloatArray, FloatArray]:
        """Return the measured joint positions [rad] and velocities [rad/s], each (N, arms n)."""
        q, dq = ([getattr(each, name).numpy() for each in self._joints] for name in ("q", "dq"))
        return np.concatenate(q, axis=-1), np.concatenate(dq, axis=-1)

    def finger_state(self) -> tuple[FloatArray, FloatArray]:
        """Return measured positions and velocities of the fingers' joints, each (N, arms joints).

        [m] and [m/s], of a hinge [rad] and [rad/s].
        """
        if not self._fingers:
            return np.zeros((self.num_arms, 0)), np.zeros((self.num_arms, 0))
        q, dq = ([getattr(each, name).numpy() for each in self._fingers] for name in ("q", "dq"))
        return np.concatenate(q, axis=-1), np.concatenate(dq, axis=-1)

    def gripper_width(self) -> FloatArray:
        """Return the measured distance between the pads, (rows,) [m]; 0 without a gripper."""
        if not self._fingers:
            return np.zeros(self.rows)
        widths = [self.robot.gripper.width(fingers.q.numpy()) for fingers in self._fingers]
        return np.stack(widths, axis=-1).reshape(-1)

    def tool_pose(self) -> FloatArray:
        """Return the measured tool poses, each in the frame of its base, (N, 7 arms)."""
        poses = [tool.pose.numpy() for tool in self._tools]
        if len(poses) == 1:
            return poses[0]
        places = [(*arm.position, 0.0, 0.0, 0.0, 0.0) for arm in arms_of(self.task)]
        return np.concatenate([p - place for p, place in zip(poses, places, strict=True)], axis=-1)

    def desired(self) -> tuple[FloatArray, FloatArray]:
        """Return the desired joint state of the controllers now, (rows, n) [rad], [rad/s]."""
        q, dq, _, _ = sample(self._trajectory, self._elapsed[:, None])
        return q[:, 0], dq[:, 0]

    def command(
        self,
        trajectory: Trajectory,
        elapsed: FloatArray | float = 0.0,
        *,
        after: IntArray | int = 0,
    ) -> None:
        """Replace the trajectory, now or later.

        Args:
            trajectory: the new one, of all rows; it is kept, so do not write to it.
            elapsed: how much of it lies in the past when it arrives (rows,) [s].
            after: physics substeps until it arrives (rows,), `NEVER` where it is lost. Of two that
                arrive together the one that was commanded last is followed.
        """
        passed = np.broadcast_to(np.asarray(elapsed, dtype=np.float64), (self.rows,)).copy()
        wait = np.broadcast_to(np.asarray(after, dtype=np.int64), (self.rows,)).copy()
        self._under_way.append((wait, trajectory, passed))
        self._receive()

    def command_gripper(self, width: FloatArray | float) -> BoolArray:
        """Command the grippers to a width (rows,) [m]; return which took the command (rows,).

        Raises:
            ValueError: a width beyond the opening.
        """
        widths = np.broadcast_to(np.asarray(width, dtype=np.float64), (self.rows,))
        return self.gripper.command(widths)

    def step(self) -> None:
        """Advance by one control period along the trajectory; past its end the arm stands."""
        self.advance(self.substeps)

    def advance(self, substeps: int) -> None:
        """Advance by physics substeps, at most to the end of the control period.

        Raises:
            ValueError: more substeps than the control period has left.
        """
        left = self.substeps - self._substep
        if not 1 <= substeps <= left:
            raise ValueError(f"substeps: expected 1 to {left} (rest of the period), got {substeps}")
        control = self._ctrl[:, :substeps]
        wanted = np.empty((self.rows, substeps, len(self.kp)))
        self._follow(wanted)
        for arm, columns in enumerate(self._columns):
            control.numpy()[:, :, columns] = wanted[arm :: self.arms]
        if self._grips:
            widths = self.gripper.targets(self._offsets[:substeps])
            for arm, column in enumerate(self._grips):
                control.numpy()[:, :, column] = widths[arm :: self.arms]
        self.world.step(control)
        self.gripper.advance(float(self._offsets[substeps - 1]), self.gripper_width())
        self._substep = (self._substep + substeps) % self.substeps
        if self._substep == 0:
            self._end_period()

    def _follow(self, control: FloatArray) -> None:
        """Write controls (rows, substeps, n) along trajectories, what comes meanwhile included."""
        at, substeps = 0, control.shape[1]
        since: FloatArray = self._elapsed
        passed = np.zeros(self.rows, dtype=np.int64)
        while at < substeps:
            waits = [wait[wait > 0] for wait, _, _ in self._under_way]
            span = min([substeps - at, *(int(wait.min()) for wait in waits if len(wait))])
            times: FloatArray = since[:, None] + self._offsets[passed[:, None] + np.arange(span)]
            q, dq, _, _ = sample(self._trajectory, times)
            control[:, at : at + span] = q + self.lead.numpy()[:, None] * dq
            at, passed, self._elapsed = at + span, passed + span, times[:, -1]
            for wait, _, _ in self._under_way:
                wait[wait > 0] -= span
            fresh = self._receive()  # each arm counts from its own command, whatever others get
            since, passed = np.where(fresh, self._elapsed, since), np.where(fresh, 0, passed)

    def _receive(self) -> BoolArray:
        """Follow what has arrived; return which arms (rows,) got something."""
        fresh = np.zeros(self.rows, dtype=bool)
        left: list[tuple[IntArray, Trajectory, FloatArray]] = []
        for wait, trajectory, elapsed in self._under_way:
            rows = wait == 0
            if rows.any():
                joined = join(*self.desired(), trajectory, elapsed)
                if not rows.all():
                    joined = choose(rows, joined, self._trajectory)
                self._trajectory = joined
                self._elapsed = np.where(rows, elapsed, self._elapsed)
                wait[rows], fresh = NEVER, fresh | rows
            if (wait > 0).any():
                left.append((wait, trajectory, elapsed))
        self._under_way = left
        return fresh

    def _stand(self) -> FloatArray:
        return np.full(self.rows, self.task.grip_width)

    def _end_period(self) -> None:
        self.ticks += 1
        self.task.update(self.world)
        terminated, truncated = (x.numpy() for x in self.task.done(self.world))
        self.steps = np.where(self.done, self.steps, self.steps + 1)
        solved, lost = self.task.success(self.world).numpy(), self.world.diverged.numpy()
        if self._score is not None and self.scores is not None:
            best = np.maximum(self.scores, self._score(self.world).numpy())
            self.scores = np.where(lost | self.done, self.scores, best)
        self.success |= solved & ~lost & ~self.done
        self.diverged |= lost & ~self.done
        self.timed_out |= truncated & ~terminated & ~lost & ~self.done
        self.done |= terminated | truncated | lost
        self.organs.advance()
        self.organs.see()

    def endings(self) -> list[str]:
        """Return how each episode ended, empty while it runs.

        That is: success; time up; physics diverged; or lost, where the task gave it up because its
        goal was out of reach, such as that of a peg that left the hand.
        """
        words = np.full(self.num_arms, "lost", dtype=object)
        words[self.timed_out], words[self.diverged] = "time up", "physics diverged"
        words[self.success], words[~self.done] = "success", ""
        return words.tolist()

    @property
    def time(self) -> float:
        """Simulated time since the reset [s]."""
        return self.ticks * self.period
