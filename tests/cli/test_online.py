"""One arm that acts in real time while a process beside it learns; a person takes over."""

# pyright: standard

from __future__ import annotations

import csv
import os
import signal
import subprocess
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from sim2arm.cli import main as cli
from sim2arm.cli import online as module
from sim2arm.cli.errors import UserError
from sim2arm.cli.experiments import EXPERIMENTS, TrainCfg
from sim2arm.cli.one_arm import OneArm, OnlineCfg
from sim2arm.cli.online import one_arm, train_online
from sim2arm.cli.parse import parse_named
from sim2arm.cli.runs import CHECKPOINT, METRICS, REPLAY
from sim2arm.policies.buffers import ACTION, DEMO, REWARD, Column, Replay
from sim2arm.policies.checkpoint import load_checkpoint
from sim2arm.policies.sac import SacCfg

pytestmark = pytest.mark.timeout(120)


def make_cfg(out: Path, **online: Any) -> TrainCfg:
    """Return a training of seconds: 25 steps are an iteration."""
    base = EXPERIMENTS["reach-sac"][1]
    assert isinstance(base.algo, SacCfg)
    learn = replace(
        base.algo.learn,
        rollout=25, updates=25, batch=8, rows=2000, random=50, sparse=True, discount=0.9,
    )  # fmt: skip
    sight = replace(base.algo.sight, asymmetric=False)
    algo = replace(base.algo, learn=learn, hidden=(8,), sight=sight)
    task = replace(base.task, max_steps=40)  # type: ignore[call-arg]
    return replace(
        base, algo=algo, task=task, num_envs=1, iterations=8, trial_episodes=2, out=out,
        online=OnlineCfg(on=True, **online),
    )  # fmt: skip


def rows_of(folder: Path) -> list[dict[str, str]]:
    with (folder / METRICS).open(newline="") as file:
        return list(csv.DictReader(file))


def replay_of(folder: Path, env: OneArm) -> Replay:
    """Return the replay of a run, to be read."""
    obs = env.reset()
    columns = {name: Column(shape=tuple(obs[name].shape[1:])) for name in env.groups["actor"]}
    return Replay(
        columns, env.action_dim, rows=2000, columns={DEMO: Column(dtype=torch.bool)},
        folder=folder / REPLAY, reads=True,
    )  # fmt: skip


def test_acting_and_learning_go_on_beside_each_other(tmp_path: Path) -> None:
    out = tmp_path / "run"
    cfg = make_cfg(out)
    train_online("reach-sac", replace(cfg, iterations=12))
    rows = rows_of(out)
    assert [int(row["iteration"]) for row in rows] == list(range(1, 13))
    assert int(rows[-1]["steps"]) == 300 and rows[-1]["measured"]
    assert float(rows[-1]["wall_s"]) > 0.9 * 300 / 60.0  # real time
    assert int(rows[-1]["updates"]) > 0  # its networks came back while it acted
    state = load_checkpoint(out / CHECKPOINT)
    with one_arm(cfg) as env:
        replay = replay_of(out, env)
    ends = len(replay.ended_since(0))
    assert replay.follow() == 300 + ends == int(state["steps"])
    assert ends == 300 // 40  # the running episode was not over
    train_online("reach-sac", replace(cfg, iterations=14, resume=True))
    assert [int(row["iteration"]) for row in rows_of(out)][-1] == 14
    assert cli.main(["export", str(out)]) == 0


def test_acting_does_not_wait_for_a_learner_that_hangs(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    act = module._act

    def beside_a_stopped_one(*args: Any) -> Any:
        process: subprocess.Popen[str] = args[-1]
        os.kill(process.pid, signal.SIGSTOP)
        try:
            return act(*args)
        finally:
            os.kill(process.pid, signal.SIGCONT)

    monkeypatch.setattr(module, "_act", beside_a_stopped_one)
    train_online("reach-sac", make_cfg(tmp_path / "run"))
    rows = rows_of(tmp_path / "run")
    assert rows[-1]["steps"] == "200" and int(rows[-1]["updates"]) == 0
    assert float(rows[-1]["wall_s"]) < 2.0 * 200 / 60.0


def test_a_learner_that_fails_ends_it_with_its_reason(tmp_path: Path) -> None:
    cfg = replace(make_cfg(tmp_path / "run"), demos=str(tmp_path / "none"))
    with pytest.raises(UserError, match=r"the process that learns failed: --demos .*none"):
        train_online("reach-sac", cfg)


@pytest.fixture
def script(tmp_path: Path) -> Path:
    """A hand that lets the policy act, takes over for a while, and lets go."""
    path = tmp_path / "script.yaml"
    path.write_text(
        "- {seconds: 0.2, clutch: false}\n"
        "- {seconds: 0.05}\n"  # a hand rests before it moves
        "- {seconds: 0.15, twist: [0, 0, 1, 0, 0, 0]}\n"
        "- {seconds: 0.25, silent: true}\n"
        "- {seconds: 5.0, clutch: false}\n"
    )
    return path


@pytest.fixture
def env(script: Path, tmp_path: Path) -> Iterator[OneArm]:
    cfg = make_cfg(tmp_path, real_time=False, device="script", script=str(script))
    with one_arm(cfg) as found:
        yield found


def test_a_person_takes_over_and_hands_back(env: OneArm) -> None:
    env.reset()
    mine = torch.full((1, env.action_dim), 0.1)
    done: list[np.ndarray] = []
    taken: list[bool] = []
    for _ in range(39):
        _, _, ended, cut, info = env.step(mine)
        done.append(info["action"][0].numpy())
        taken.append(bool(info["taken_over"]))
        assert not ended and not cut
    assert [k for k, value in enumerate(taken) if value] == [11]  # what was taken over after
    for k, action in enumerate(done):
        if k < 12:
            np.testing.assert_allclose(action, 0.1)  # the policy's
        elif k < 15 or k >= 36:
            assert not action.any()  # a hand at rest, or one of which nothing is heard any more
        else:
            np.testing.assert_allclose(action, [0.0, 0.0, 0.5, 0.0, 0.0, 0.0])
    _, _, _, cut, info = env.step(mine)
    assert cut  # time up
    np.testing.assert_allclose(info["action"], 0.1)  # it is open again: the policy goes on
    assert env.interventions == 1


def test_interventions_are_the_reward_and_human_actions_are_kept(
    script: Path, tmp_path: Path
) -> None:
    out = tmp_path / "run"
    cfg = make_cfg(out, real_time=False, device="script", script=str(script))
    assert isinstance(cfg.algo, SacCfg)
    learn = replace(cfg.algo.learn, sparse=False, interventions=True)
    cfg = replace(cfg, algo=replace(cfg.algo, learn=learn), iterations=2)
    train_online("reach-sac", cfg)
    with one_arm(cfg) as env:
        replay = replay_of(out, env)
    rows = torch.arange(replay.follow())
    rewards, actions = (replay._read(n, torch.zeros_like(rows), rows) for n in (REWARD, ACTION))
    assert (rewards < 0.0).nonzero()[:, 0].tolist() == [11]
    assert float(rewards[11]) == -1.0
    assert actions[15:36, 2].tolist() == [0.5] * 21  # the hand's, which is not blamed
    assert int(rows_of(out)[-1]["interventions"]) == 1


def test_a_key_judges(tmp_path: Path) -> None:
    path = tmp_path / "script.yaml"
    path.write_text(
        "- {seconds: 0.1, clutch: false}\n"
        "- {seconds: 0.1, clutch: false, press: [keep]}\n"
        "- {seconds: 5.0, clutch: false, press: [discard]}\n"
    )
    cfg = make_cfg(tmp_path, real_time=False, device="script", script=str(path), judge="key")
    found: list[tuple[bool, bool, bool]] = []
    with one_arm(cfg) as env:
        env.reset()
        for _ in range(20):
            _, reward, ended, cut, info = env.step(torch.zeros(1, env.action_dim))
            found.append((bool(info["success"]), bool(ended), bool(cut)))
            assert bool(reward) == found[-1][0]
    ends = [each for each in found if each[1]]
    assert ends == [(True, True, False), (False, True, False)]
    assert not any(cut for _, _, cut in found)


@pytest.mark.parametrize(
    ("words", "line"),
    [
        (["reach-ppo", "--online.on"], "only agents with a replay"),
        (["reach-sac", "--online.on"], "expected num_envs 1 on the cpu, got 32"),
        (["reach-sac", "--online.on", "--num-envs", "1"], "the critic knows the truth"),
        (["lift-cube-cqn", "--online.on", "--algo.learn.no-sparse", "--demos", ""],
         "expected algo.learn.sparse"),
        (["lift-cube-cqn", "--online.on", "--randomization", "cube"], "an arm is as it is"),
        (["lift-cube-cqn", "--online.judge", "key"], "judge: a key needs a device"),
        (["lift-cube-cqn", "--algo.learn.interventions"], "expected one of them at most"),
    ],
)  # fmt: skip
def test_what_does_not_go_together_is_one_line(words: list[str], line: str) -> None:
    with pytest.raises(UserError, match=line):
        parse_named(EXPERIMENTS, words, "sim2arm train", "experiment")
