"""How episodes in process end, and which steps of theirs count."""

# pyright: standard

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch

from sim2arm.cli.eval import success_rows
from sim2arm.cli.evaluation import run_episodes
from sim2arm.core.contract import Provenance
from sim2arm.core.robots import FR3
from sim2arm.sim.arm import SimulatedArm
from sim2arm.sim.contract import make_contract
from sim2arm.sim.env import Env
from sim2arm.sim.tasks.table import make_task

TASK = "max_steps: 20"
STOPPED, BLOWN_UP, LOST, SOLVED = 1, 2, 3, 4


def test_each_ending_has_its_word_and_its_steps(monkeypatch: pytest.MonkeyPatch) -> None:
    contract = make_contract(
        Env(make_task("reach", "fr3", TASK), FR3, num_envs=1), Provenance(experiment="test")
    )
    task = make_task("reach", "fr3", TASK)
    ticks = 0

    def act(obs: dict[str, np.ndarray]) -> np.ndarray:
        nonlocal ticks
        ticks += 1
        actions = np.zeros((5, 6))
        actions[STOPPED] = np.nan if ticks == 7 else 0.0
        return actions

    def blow_up(arm: SimulatedArm) -> None:
        arm.world.joints(arm.robot.joint_names).dq[BLOWN_UP] = 1e11

    done, success = task.done, task.success

    def give_up(world: Any) -> tuple[torch.Tensor, torch.Tensor]:
        terminated, truncated = (flags.clone() for flags in done(world))
        terminated[LOST] |= ticks == 9
        terminated[SOLVED] |= ticks == 11
        return terminated, truncated

    def solve(world: Any) -> torch.Tensor:
        solved = success(world).clone()
        solved[SOLVED] |= ticks == 11
        return solved

    monkeypatch.setattr(task, "done", give_up)
    monkeypatch.setattr(task, "success", solve)
    result = run_episodes(task, contract, act, range(5), num_arms=5, record=blow_up)
    assert result.endings == (
        "time up", "gate stop: not finite", "physics diverged", "lost", "success",
    )  # fmt: skip
    assert result.steps.tolist() == [20, 7, 2, 9, 11]
    assert [len(each) for each in result.actions] == [20, 7, 2, 9, 11]
    assert result.ticks == 20 + 7 + 2 + 9 + 11
    rows = {row.metric: row.value for row in success_rows("here", result)}
    assert rows["mean steps of the policy"] == pytest.approx(49 / 5)
