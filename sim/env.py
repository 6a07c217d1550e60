"""The vectorised environment: world + robot + task + command path."""

# pyright: standard

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor

from sim2arm.core.controllers import EeDelta, EeDeltaCfg
from sim2arm.core.robots import Robot

from .arm import substeps_of
from .draws import SeededDraws, StreamDraws
from .tasks.base import Starts, Task
from .worlds.mujoco import MujocoWorld

STOCK = 64
"""Start states that are drawn at once: 64 take twice the time of one."""


class Env:
    """N parallel episodes of a task; same-step automatic reset.

    `step` returns the observation after the reset where an episode ended; the last observation of
    the episode that ended is `info["final_obs"]` (critic group). Actions beyond [-1, 1] are
    clipped, as in the exported policy.

    Where the physics diverged, the engine has put the world back to its defaults: the episode is
    over (terminated, so without a value of what comes next) and failed, whatever the task thinks
    of that state. `info["diverged"]` (N,) bool says where; the reward is -1.

    Attributes:
        controls: (N, S, nu) controls of the physics substeps of the last control period.
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
        seed: int = 0,
        threads: int = 0,
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
            seed: of the start states.
            threads: of the physics, 0: all cores.

        Raises:
            ValueError: control_hz is not one of SUBSTEPS, or the share not in [0, 1].
        """
        if not 0.0 <= lead_share <= 1.0:
            raise ValueError(f"lead_share: expected 0 to 1, got {lead_share}")
        self.lead_share = lead_share
        self.task, self.robot, self.num_envs = task, robot, num_envs
        self.control_hz, self.period = control_hz, 1.0 / control_hz
        substeps = substeps_of(control_hz)
        self.world = MujocoWorld(
            task.scene(),
            num_envs,
            timestep=self.period / substeps,
            control_substeps=substeps,
            num_threads=threads,
        )
        self.device, self.action_dim = self.world.device, 6
        self.groups = {"actor": list(task.actor), "critic": list(task.critic)}
        self._generator = torch.Generator().manual_seed(seed)
        task.bind(self.world)
        self._tool = self.world.site(robot.chain.tool_frame)
        self._open_command_path(substeps, controller or EeDeltaCfg())
        self._stock: Starts = {}
        self._stocked = self._used = 0

    def _open_command_path(self, substeps: int, cfg: EeDeltaCfg) -> None:
        """Make the controller and the buffers between actions and controls."""
        task, robot, num_envs = self.task, self.robot, self.num_envs
        names = self.world.actuators
        first = names.index(robot.chain.joint_names[0])
        self._columns = slice(first, first + len(robot.chain.joint_names))
        self._times = (np.arange(1, substeps + 1) * (self.period / substeps))[:, None, None]
        self.controls = torch.zeros((num_envs, substeps, len(names)), dtype=torch.float64)
        self.controls[:, :, names.index(f"{robot.name}_gripper")] = task.grip_width
        self._lead = (np.asarray(robot.kd) / np.asarray(robot.kp))[:, None]
        home = np.tile(np.asarray(robot.home), (num_envs, 1))
        self.controller = EeDelta(robot, self.period, cfg, home)
        self._previous = torch.zeros((num_envs, 6), dtype=torch.float64)
        self._leading = np.zeros(num_envs, dtype=bool)
        # What the controller asked for one period ago: q, dq, ddq, jerk, (n, N) each.
        self._asked = [np.zeros(home.T.shape) for _ in range(4)]

    def reset(self, seeds: Sequence[int] | None = None) -> dict[str, Tensor]:
        """Start all episodes; with one seed per world they are reproducible anywhere."""
        ids = torch.arange(self.num_envs)
        starts = None if seeds is None else self.task.draw(SeededDraws(seeds))
        self._start(ids, self._next_starts(self.num_envs) if starts is None else starts)
        return self._observe()

    def step(
        self, action: Tensor
    ) -> tuple[dict[str, Tensor], Tensor, Tensor, Tensor, dict[str, Any]]:
        """Apply actions (N, 6) for one control period.

        Returns:
            Observations after any reset, reward (N,), terminated (N,), truncated (N,), info.
        """
        act = action.detach().to(torch.float64).clamp(-1.0, 1.0)
        self.move(act)
        terms, reward, terminated, truncated, info = self._judge(act)
        obs = self._observe()
        info |= {"final_obs": obs, "reward_terms": terms}
        done = terminated | truncated
        ids = torch.nonzero(done)[:, 0]
        if len(ids):
            self._start(ids, self._next_starts(len(ids)))
            obs = self._observe()
        return obs, reward, terminated, truncated, info

    def move(self, action: Tensor) -> None:
        """Run command path and physics for one control period, without rewards or resets."""
        self.plan(action)
        self.world.step(self.controls)

    def plan(self, action: Tensor) -> None:
        """Write the controls of each substep of the next control period: the command path."""
        control = self.controller
        control.step(action.numpy(), self._tool.pose.numpy())
        # The worlds on the last axis: (n, N), and (S, n, N) for the substeps.
        asked = [
            value.T
            for value in (control.q_start, control.dq_start, control.ddq_start, control.jerk)
        ]
        q, dq, ddq, jerk = asked
        if self.lead_share:
            before, self._asked = self._asked, asked
            pairs = zip(before, asked, strict=True)
            q, dq, ddq, jerk = (np.where(self._leading, old, new) for old, new in pairs)
        # q + lead dq along the cubic, by powers of the time
        lead, t = self._lead, self._times
        a, b, c = q + lead * dq, dq + lead * ddq, 0.5 * (ddq + lead * jerk)
        path = a + t * (b + t * (c + t * (jerk / 6.0)))
        self.controls.numpy()[:, :, self._columns] = path.transpose(2, 0, 1)

    def desynchronise(self) -> None:
        """Spread the ages of the episodes, so that training worlds do not end together."""
        self.task.desynchronise(self._generator)

    def state_dict(self) -> dict[str, Tensor]:
        """Return the state of the random stream from which episodes are drawn."""
        return {"generator": self._generator.get_state()}

    def load_state_dict(self, state: dict[str, Tensor]) -> None:
        """Go on drawing where another environment stood; what it had in stock is left out."""
        self._generator.set_state(state["generator"])
        self._stock, self._stocked, self._used = {}, 0, 0

    def _next_starts(self, count: int) -> Starts:
        """Return start states from the stock, which is drawn in portions because that is quick."""
        if count > self._stocked - self._used:
            portion = max(count, STOCK)
            self._stock = self.task.draw(StreamDraws(self._generator, portion))
            self._stocked, self._used = portion, 0
        rows = slice(self._used, self._used + count)
        self._used += count
        return {name: values[rows] for name, values in self._stock.items()}

    def _start(self, ids: Tensor, starts: Starts) -> None:
        self.world.reset(ids)
        self.task.reset(self.world, ids, starts)
        self.world.forward(ids)
        rows, q = ids.numpy(), starts["q"].numpy()
        self.controller.reset(q, rows)
        if self.lead_share:
            draws = torch.rand(len(ids), generator=self._generator)
            self._leading[rows] = draws.numpy() < self.lead_share
            for part, value in zip(self._asked, (q.T, 0.0, 0.0, 0.0), strict=True):
                part[:, rows] = value
        self._previous[ids] = 0.0

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
        if diverged.any():
            terms = {name: torch.where(diverged, 0.0, term) for name, term in terms.items()}
            terminated, truncated = terminated | diverged, truncated & ~diverged
            success = success & ~diverged
        terms["diverged"] = -diverged.to(torch.float64)
        reward = torch.stack(list(terms.values())).sum(dim=0).to(torch.float32)
        return terms, reward, terminated, truncated, {"success": success, "diverged": diverged}

    def _observe(self) -> dict[str, Tensor]:
        return {name: value.to(torch.float32) for name, value in self.task.observe().items()}
