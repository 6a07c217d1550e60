"""The vectorised environment: world + robot + task + command path."""

# pyright: standard

from __future__ import annotations

from collections.abc import Sequence
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

from sim2arm.core.controllers import EeDeltaCfg
from sim2arm.core.robots import Robot

from .actuators import Actuators, put_actuators
from .arm import substeps_of
from .command_line import COMMANDS
from .command_path import CommandPath
from .curriculum import Block
from .delay import CommandDelay
from .draws import Draws, SeededDraws, StreamDraws
from .gripper_path import GripperPath
from .organs import Organs
from .physics_terms import prepare_scene
from .randomize import Randomizer, Term
from .sensing import SENSORS, Sensing, SensorTerm, merge
from .specs import gripper_spec
from .tasks.base import Starts, Task, put
from .worlds.table import make_world

if TYPE_CHECKING:  # a task without pictures imports no camera code, one without touch no gels
    from .touch import Touch
    from .vision import Vision

STOCK = 64
"""Fewest start states that are drawn at once: 64 take twice the time of one."""
CALLS = 16
"""Control steps for which N start states are drawn at once on a GPU; few episodes are shorter."""
ORGANS = "organs"
"""Among start states: the numbers that cameras and gels are drawn with."""
PHYSICS = "physics"
"""Among start states: the numbers that the physics of the episode is drawn with."""


class Env:
    """N parallel episodes of a task; same-step automatic reset.

    `step` returns the observation after the reset where an episode ended; the last observation of
    the episode that ended is `info["final_obs"]` (critic group; with pictures if `vision.final`).
    Actions beyond [-1, 1] are clipped, as in the exported policy. How long pictures of an
    observation stay, `vision.Eyes` says.

    Where the physics diverged, the engine has put the world back to its defaults: the episode is
    over (terminated, so without a value of what comes next) and failed, whatever the task thinks
    of that state. `info["diverged"]` (N,) bool says where; the reward is -1.

    Attributes:
        commands: the command path, with the controls of the last control period.
        randomizer: writes the physics of each episode.
        action_dim: elements of an action: translation, rotation, and the gripper's where the task
            has `gripper_action`.
        gripper: what works the gripper, None where it keeps the task's grip width.
        eyes: its cameras, None without any.
        skin: the gels on its pads, None without any.
        organs: both together.
        block: counts the episodes that a curriculum goes by, None without one.
        looks: whether masks are looked at, so that work for no world is left out. On a GPU that
            would wait for it, in every step.
    """

    def __init__(
        self,
        task: Task,
        robot: Robot,
        *,
        num_envs: int,
        control_hz: float = 60.0,
        controller: EeDeltaCfg | None = None,
        lead_share: float = 0.0,
        actuators: Actuators = MappingProxyType({}),
        terms: Sequence[Term] = (),
        sensors: Sequence[SensorTerm] = (),
        delay: CommandDelay | None = None,
        vision: Vision | None = None,
        touch: Touch | None = None,
        seed: int = 0,
        world: str = "mujoco",
        device: str = "cpu",
        threads: int = 0,
        contacts: int | None = None,
        rows: int | None = None,
    ) -> None:
        """Build the world.

        Args:
            task: the task, on the robot.
            robot: the arm.
            num_envs: N.
            control_hz: rate of actions [Hz].
            controller: how actions become joint motion.
            lead_share: share of episodes in which a motion starts one period after its action,
                as it does on a robot in real time; in the others it starts at once.
            actuators: what is between law and joints, by joint; ideal where nothing is said.
            terms: what of the physics differs between episodes.
            sensors: how observations are seen; the truth without any.
            delay: how late commands come, beside `lead_share`.
            vision: cameras whose pictures are observations.
            touch: gels on the pads, and what of them is observed.
            seed: of the start states.
            world: engine of the physics, one of `WORLDS`.
            device: where it runs, `cpu` or `cuda:0`.
            threads: of the physics on a CPU, 0: all cores.
            contacts: room for contacts per world, see `make_world`.
            rows: room for constraint rows in each world.

        Raises:
            ValueError: control_hz is not one of SUBSTEPS, the share not in [0, 1], the
                controller does not fit the robot, or the engine the device, the room or gels.
            KeyError: a term names what is not in the scene or among the observations.
        """
        if not 0.0 <= lead_share <= 1.0:
            raise ValueError(f"lead_share: expected 0 to 1, got {lead_share}")
        self.lead_share = lead_share
        self.task, self.robot, self.num_envs = task, robot, num_envs
        self.control_hz, self.period = control_hz, 1.0 / control_hz
        substeps = substeps_of(control_hz)
        scene = task.scene()
        prepare_scene(scene, terms)
        put_actuators(scene, actuators, self.period / substeps)
        if vision is not None:
            vision.prepare(scene)
        field = None if touch is None else touch.prepare(scene, robot, task)
        self.world = make_world(
            world,
            scene,
            num_envs,
            timestep=self.period / substeps,
            control_substeps=substeps,
            device=device,
            threads=threads,
            contacts=contacts,
            rows=rows,
            law=field,
        )
        self.device, self.action_dim = self.world.device, 7 if task.gripper_action else 6
        self.groups = {"actor": list(task.actor), "critic": list(task.critic)}
        self._generator = torch.Generator(self.device).manual_seed(seed)
        task.bind(self.world)
        self._tool = self.world.site(robot.chain.tool_frame)
        self.commands = CommandPath(
            robot,
            self.world,
            period=self.period,
            substeps=substeps,
            cfg=controller or EeDeltaCfg(),
            delay=delay,
            generator=self._generator,
        )
        self.randomizer = Randomizer(terms, self.world, self.commands)
        if robot.gripper.joint_names:
            self._grip = self.world.actuators.index(f"{robot.name}_gripper")
            self.commands.controls[:, :, self._grip] = task.grip_width
        shape = (num_envs, self.action_dim)
        self._previous = torch.zeros(shape, dtype=self.world.dtype, device=self.device)
        self._everywhere = torch.ones(num_envs, dtype=torch.bool, device=self.device)
        self.looks = self.device.type == "cpu"
        self.gripper: GripperPath | None = None
        if task.gripper_action:
            self.gripper = GripperPath(
                robot,
                gripper_spec(robot, acts=True),
                self.world,
                width=task.grip_width,
                period=self.period,
                substeps=substeps,
                looks=self.looks,
            )
        self.block: Block | None = None
        self.eyes = None if vision is None else vision.bind(self.world, self.period)
        self.skin = None
        if touch is not None and field is not None:
            self.skin = touch.bind(self.world, field, self.period)
        self.organs = Organs(self.eyes, self.skin)
        for organ in self.organs.each:
            self.groups[organ.group] = [*self.groups.get(organ.group, task.actor), *organ.specs]
        self.sensing: Sensing | None = None
        if sensors:
            self.sensing = Sensing(
                sensors, self._observe(), robot, period=self.period, generator=self._generator
            )
        self._stock: Starts = {}
        self._stocked = self._calls = 0
        self._used = torch.zeros((), dtype=torch.int64, device=self.device)

    def reset(self, seeds: Sequence[int] | None = None) -> dict[str, Tensor]:
        """Start all episodes; with one seed per world they are reproducible anywhere."""
        if seeds is None:
            starts = self._draw(StreamDraws(self._generator, self.num_envs))
        else:
            starts = self._draw(SeededDraws(seeds))
        return self._start(self._everywhere, starts) | self.organs.see()

    def step(
        self, action: Tensor
    ) -> tuple[dict[str, Tensor], Tensor, Tensor, Tensor, dict[str, Any]]:
        """Apply actions (N, action_dim) for one control period.

        Returns:
            Observations after any reset, reward (N,), terminated (N,), truncated (N,), info.
        """
        act = action.detach().to(self.world.dtype).clamp(-1.0, 1.0)
        self.move(act)
        terms, reward, terminated, truncated, info = self._judge(act)
        obs = self._observe() if self.sensing is None else self.sensing.read(self._observe())
        self.organs.advance()
        info |= {"final_obs": obs | self.organs.see(last=True), "reward_terms": terms}
        done = terminated | truncated
        if self.block is not None:
            self.block.step(done, info["success"])
        if not self.looks or done.any():
            fresh = self._start(done, self._next_starts(done))
            obs = fresh if self.sensing is None else merge(done, fresh, obs)
        return obs | self.organs.see(), reward, terminated, truncated, info

    def move(self, action: Tensor) -> None:
        """Run command path and physics for one control period, without rewards or resets."""
        self.world.step(self.plan(action))
        if self.gripper is not None:
            self.gripper.advance()

    def plan(self, action: Tensor) -> Tensor:
        """Return the controls (N, S, nu) of the next control period: the command path alone."""
        controls = self.commands.plan(action[:, :6], self._tool.pose)
        if self.gripper is not None:
            controls[:, :, self._grip] = self.gripper.plan(action)
        return controls

    @property
    def varies(self) -> bool:
        """Whether `level` changes anything: episodes differ in more than their start."""
        drawn = self.randomizer.count > 0 or self.sensing is not None
        return drawn or self.commands.line is not None

    @property
    def level(self) -> float:
        """Share of each range that episodes which begin draw from, 0 (nominal) to 1.

        Of terms and sensors; noise and latency of cameras, and leads, are whole at any level. The
        contract says the ranges at this level.

        Raises:
            ValueError: a level set to something else than 0 to 1.
        """
        return self.randomizer.level

    @level.setter
    def level(self, level: float) -> None:
        if not 0.0 <= level <= 1.0:
            raise ValueError(f"level: expected 0 to 1, got {level}")
        self.randomizer.level = level
        if self.commands.line is not None:
            self.commands.line.level = level
        if self.sensing is not None:
            self.sensing.level = level

    def desynchronise(self) -> None:
        """Spread the ages of the episodes, so that training worlds do not end together."""
        self.task.desynchronise(self._generator)

    def state_dict(self) -> dict[str, Tensor]:
        """Return the state of the random stream from which episodes are drawn."""
        return {"generator": self._generator.get_state()}

    def load_state_dict(self, state: dict[str, Tensor]) -> None:
        """Go on drawing where another environment stood; what it had in stock is left out."""
        self._generator.set_state(state["generator"])
        self._stock, self._stocked, self._calls = {}, 0, 0
        self._used = torch.zeros_like(self._used)

    def _next_starts(self, chosen: Tensor) -> Starts:
        """Return start states (N, ...), new in chosen worlds, from the stock.

        The stock is drawn in portions because that is quick: when it is used up, or, where that
        cannot be looked at, N states every `CALLS` calls; should more episodes than worlds have
        ended in between, some start as others did.
        """
        used = self._used + torch.cumsum(chosen, dim=0)  # of the stock, up to and with each world
        if self.looks:
            due, portion = int(used[-1]) > self._stocked, max(int(chosen.sum()), STOCK)
        else:
            due, portion = self._calls % CALLS == 0, self.num_envs
        self._calls += 1
        if due:
            self._stock = self._draw(StreamDraws(self._generator, portion))
            self._stocked, used = portion, used - self._used
        self._used = used[-1]
        rows = (used - 1).clamp(min=0) % self._stocked
        return {name: values[rows] for name, values in self._stock.items()}

    def _draw(self, draws: Draws) -> Starts:
        """Return start states, and the numbers that the physics is drawn with (n, count)."""
        starts = self.task.draw(draws)
        starts[ORGANS] = draws.unit(self.organs.count)  # first, as the simulated arm draws them
        starts[PHYSICS] = draws.unit(self.randomizer.count)
        if self.sensing is not None:
            starts[SENSORS] = draws.unit(self.sensing.count)
        if self.commands.line is not None:
            starts[COMMANDS] = draws.unit(1)
        return {k: v.to(self.world.device, self.world.dtype) for k, v in starts.items()}

    def _start(self, chosen: Tensor, starts: Starts) -> dict[str, Tensor]:
        """Begin episodes in chosen worlds (N,) bool, from start states (N, ...).

        Returns:
            Observations (N, ...); with sensors only those of chosen worlds mean something.
        """
        self.world.reset(chosen)
        self.randomizer.write(chosen, starts[PHYSICS])
        self.task.reset(self.world, chosen, starts)
        self.randomizer.place(chosen, starts[PHYSICS])
        self.world.forward(chosen)
        self.commands.start(chosen, starts["q"], starts.get(COMMANDS))
        if self.gripper is not None:
            self.gripper.start(chosen)
        if self.lead_share:
            draws = torch.rand(self.num_envs, generator=self._generator, device=self.device)
            put(self.commands.leading, chosen, draws < self.lead_share)
        put(self._previous, chosen, 0.0)
        self.organs.begin(chosen, starts[ORGANS])
        truth = self._observe()
        if self.sensing is None:
            return truth
        self.sensing.start(chosen, starts[SENSORS], truth)
        return self.sensing.first(chosen, truth)

    def _judge(
        self, act: Tensor
    ) -> tuple[dict[str, Tensor], Tensor, Tensor, Tensor, dict[str, Any]]:
        """Return the terms of the reward, their sum, terminated, truncated, what else is known."""
        self.task.update(self.world)
        terms = self.task.reward(self.world)
        terms["action_change"] = -0.0002 * torch.sum((act - self._previous) ** 2, dim=-1)
        self._previous = act
        terminated, truncated = self.task.done(self.world)
        success, diverged = self.task.success(self.world), self.world.diverged
        if not self.looks or diverged.any():
            terms = {name: torch.where(diverged, 0.0, term) for name, term in terms.items()}
            terminated, truncated = terminated | diverged, truncated & ~diverged
            success = success & ~diverged
        terms["diverged"] = -diverged.to(self.world.dtype)
        reward = torch.stack(list(terms.values())).sum(dim=0).to(torch.float32)
        return terms, reward, terminated, truncated, {"success": success, "diverged": diverged}

    def _observe(self) -> dict[str, Tensor]:
        # Copies also where the world computes in float32: what was returned stays as it is.
        seen = self.task.observe()
        return {name: value.to(torch.float32, copy=True) for name, value in seen.items()}
