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
from sim2arm.cli.reset_routine import ResetError
from sim2arm.cli.runs import CHECKPOINT, METRICS, REPLAY
from sim2arm.policies.buffers import ACTION, DEMO, REWARD, Column, Replay
from sim2arm.policies.checkpoint import load_checkpoint
from sim2arm.policies.dataset.layout import DatasetSpec, Feature
from sim2arm.policies.dataset.writer import DatasetWriter
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
    assert not info["action"].any()  # heard again, but nobody has taken over since: it stands
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
        (["lift-cube-cqn", "--online.judge", "key"], "judge: it is of learning on one arm"),
        (["lift-cube-cqn", "--online.on", "--online.judge", "key"], "judge: a key needs a device"),
        (["lift-cube-cqn", "--online.on", "--online.judge", "j.pt"], "a file .safetensors"),
        (["lift-cube-cqn", "--online.box", "0", "0", "0", "1", "1", "1"], "box: it is of learning"),
        (["lift-cube-cqn", "--algo.learn.interventions"], "expected one of them at most"),
    ],
)  # fmt: skip
def test_what_does_not_go_together_is_one_line(words: list[str], line: str) -> None:
    with pytest.raises(UserError, match=line):
        parse_named(EXPERIMENTS, words, "sim2arm train", "experiment")


# -- on a robot nothing puts things back -------------------------------------------------------


def cube_cfg(out: Path, **online: Any) -> TrainCfg:
    """Return a training of lifting a cube whose episodes are short."""
    base = EXPERIMENTS["lift-cube-cqn"][1]
    task = replace(base.task, max_steps=30)  # type: ignore[call-arg]
    cfg = OnlineCfg(on=True, real_time=False, **online)
    return replace(base, task=task, num_envs=1, demos="", out=out, online=cfg)


FOLDED = (0.0, -0.7, 0.0, -2.95, 0.0, 0.65, 0.0)
"""Joints with which the hand would be in the upper arm [rad]."""


def reached_by(env: OneArm, action: torch.Tensor) -> np.ndarray:
    """Act until an episode is over; return where the tool was told to be, tick by tick."""
    path: list[np.ndarray] = []
    while True:
        _, _, ended, cut, info = env.step(action)
        path.append(info["action"][0].numpy())
        if ended or cut:
            return np.array(path)


@pytest.fixture
def routine(tmp_path: Path) -> Path:
    path = tmp_path / "routine.yaml"
    path.write_text("- {gripper: open}\n- {lift: 0.05}\n- {home: true, speed: 0.5}\n")
    return path


def test_it_comes_back_by_its_routine_and_things_stay(tmp_path: Path, routine: Path) -> None:
    with one_arm(cube_cfg(tmp_path, routine=str(routine))) as env:
        arm = env._arm
        env.reset()
        cube, home = arm.measured()["cube_pose"], np.array([arm.robot.home])
        down = torch.tensor([[0.0, 1.0, 0.3, 0.0, 0.0, 0.5, -1.0]])
        reached_by(env, down)
        assert np.abs(arm.joint_state()[0] - home).max() < 5e-3
        assert np.abs(arm.desired()[1]).max() == 0.0 and arm.gripper_width() == pytest.approx(0.08)
        np.testing.assert_allclose(arm.measured()["cube_pose"], cube, atol=5e-3)  # it settles
        assert (int(arm.steps[0]), bool(arm.done[0]), arm.ticks) == (0, False, 0)
        reached_by(env, down)  # and again
        assert np.abs(arm.joint_state()[0] - home).max() < 5e-3


def test_a_gripper_that_closes_is_opened_all_the_same(tmp_path: Path) -> None:
    """What it is told while it obeys the command before is told again."""
    path = tmp_path / "routine.yaml"
    path.write_text("- {gripper: open}\n")
    for length in (3, 6, 12):
        cfg = cube_cfg(tmp_path, routine=str(path))
        cfg = replace(cfg, task=replace(cfg.task, max_steps=length))
        with one_arm(cfg) as env:
            env.reset()
            reached_by(env, torch.tensor([[0.0, 0.0, 0.0, 0.0, 0.0, 0.0, -1.0]]))
            assert env._arm.gripper_width() == pytest.approx(0.08, abs=1e-3)


def test_pictures_of_an_episode_that_goes_on_show_what_is_there(tmp_path: Path) -> None:
    path = tmp_path / "routine.yaml"
    path.write_text("- {gripper: open}\n")
    cfg = replace(cube_cfg(tmp_path, routine=str(path)), cameras="scene")
    with one_arm(cfg) as env:
        env.reset()
        for _ in range(29):  # moved away from any start
            env.step(torch.tensor([[0.0, 1.0, 0.5, 0.0, 0.0, 0.0, 1.0]]))
        seen: list[np.ndarray] = []
        for _ in range(4):
            env.step(torch.zeros(1, env.action_dim))
            seen.append(env._arm.measured()["scene_rgb"][0].astype(float))
        assert env._arm.ticks == 3  # the first of them began another episode
        apart = [np.abs(picture - seen[-1]).mean() for picture in seen[:-1]]
        assert max(apart) < 1.0  # grey levels: of another start 5


def test_what_ended_an_episode_is_not_lost_where_the_arm_does_not_come_back(
    tmp_path: Path, routine: Path
) -> None:
    with one_arm(cube_cfg(tmp_path, routine=str(routine))) as env:
        env.reset()
        assert env._routine is not None
        env._routine._steps = (replace(env._routine._steps[2], joints=FOLDED, home=False),)
        still = torch.zeros(1, env.action_dim)
        ends = [env.step(still)[2:4] for _ in range(30)]
        assert [bool(cut) for _, cut in ends] == [False] * 29 + [True]
        with pytest.raises(ResetError, match="reset routine, step 0"):
            env.step(still)


def test_a_routine_does_not_begin_while_a_device_is_silent(tmp_path: Path, routine: Path) -> None:
    script = tmp_path / "script.yaml"
    script.write_text("- {seconds: 0.3, clutch: false}\n- {seconds: 60.0, silent: true}\n")
    cfg = cube_cfg(tmp_path, routine=str(routine), device="script", script=str(script))
    with one_arm(cfg) as env:
        env.reset()
        reached_by(env, torch.tensor([[0.0, 1.0, 0.0, 0.0, 0.0, 0.0, 1.0]]))
        here = env._arm.joint_state()[0]
        with pytest.raises(ResetError, match=r"for 30 s after an episode: .* silent"):
            env.step(torch.zeros(1, env.action_dim))
        assert np.abs(here - np.array(env._arm.robot.home)).max() > 0.05  # it stood there


def test_a_task_that_is_lost_where_it_begins_asks_for_help(tmp_path: Path, routine: Path) -> None:
    with one_arm(cube_cfg(tmp_path, routine=str(routine))) as env:
        env.reset()
        still = torch.zeros(1, env.action_dim)
        reached_by(env, still)
        place = env._arm.world.batch.bind("qpos")
        place[:, -7:-4] = (3.0, 3.0, 0.1)  # the cube is gone
        _, _, ended, _, _ = env.step(still)
        assert bool(ended)
        with pytest.raises(ResetError, match="put things back"):
            env.step(still)


def test_a_routine_that_the_gate_stops_ends_it(tmp_path: Path) -> None:
    path = tmp_path / "routine.yaml"
    # the hand in the upper arm
    path.write_text("- {gripper: open}\n- {joints: [0, -0.7, 0, -2.95, 0, 0.65, 0]}\n")
    with one_arm(cube_cfg(tmp_path, routine=str(path))) as env:
        env.reset()
        reached_by(env, torch.zeros(1, env.action_dim))
        with pytest.raises(ResetError, match="reset routine, step 1: the gate held the arm"):
            env.step(torch.zeros(1, env.action_dim))


@pytest.mark.parametrize(
    ("text", "line"),
    [
        ("- {home: true}\n", "step 0: expected what the gripper does, - {gripper: open}"),
        ("- {gripper: open, lift: 0.1}\n", "step 0: expected one of home, joints, lift"),
        ("- {gripper: open}\n- {joints: [0, 0]}\n", "step 1: joints: expected 7 numbers, got 2"),
        (
            "- {gripper: open}\n- {joints: [0, 0, 0, 0, 0, 1, 0]}\n",
            "step 1: joints: fr3_joint4: expected -2.9921 to -0.2018 rad, got 0",
        ),
        ("- {gripper: open}\n- {speed: 0.5}\n", "step 1: expected one of home"),
        ("- {gripper: open}\n- {home: true, speed: 2}\n", "step 1: speed: expected more than 0"),
        ("home: true\n", "expected a list of steps"),
    ],
)
def test_what_is_no_routine_is_one_line(tmp_path: Path, text: str, line: str) -> None:
    path = tmp_path / "routine.yaml"
    path.write_text(text)
    with (
        pytest.raises(UserError, match=line),
        one_arm(cube_cfg(tmp_path, routine=str(path))),
    ):
        raise AssertionError("it was taken")


def test_what_is_done_in_a_box_is_what_is_kept(tmp_path: Path) -> None:
    """Down to 5 cm above the table and no further, whoever asks."""
    with one_arm(cube_cfg(tmp_path, box=(0.3, -0.3, 0.05, 0.7, 0.3, 0.6))) as env:
        env.reset()
        down = torch.tensor([[0.0, 0.0, -1.0, 0.0, 0.0, 0.0, 1.0]])
        actions = [env.step(down)[-1]["action"][0].numpy() for _ in range(25)]
        assert float(env._drive.tools()[0, 2]) == pytest.approx(0.05, abs=1e-6)
        assert actions[0][2] == -1.0 and abs(actions[-1][2]) < 1e-6
        assert all(action[6] == 1.0 for action in actions)  # the gripper's stays as it was


def test_a_file_judges_whatever_the_task_says(tmp_path: Path) -> None:
    """Learnt from tools that were high at last; three ticks in a row are success."""
    root = tmp_path / "set"
    spec = DatasetSpec(
        fps=60,
        features={
            "observation.state": Feature(dtype="float32", shape=(8,), names=(*"abcdefg", "width")),
            "measured.ee_pose": Feature(dtype="float64", shape=(7,)),
            "action": Feature(dtype="float32", shape=(7,)),
        },
    )
    random = np.random.default_rng(0)
    with DatasetWriter(root, spec) as writer:
        for _ in range(6):
            episode = writer.begin()
            for k in range(60):
                pose = random.uniform(-1.0, 1.0, 7)
                pose[2] = 0.3 if k >= 48 else random.uniform(0.0, 0.22)
                state = random.uniform(-3.0, 3.0, 8).astype(np.float32)
                row = {"observation.state": state, "measured.ee_pose": pose}
                assert episode.add(row | {"action": np.zeros(7, np.float32)}, "t")
            episode.commit({"success": True})
    judge = tmp_path / "judge.safetensors"
    words = ["judge", str(root), "--out", str(judge), "--sees", "ee_pose", "--learn.tail-s", "0.2"]
    assert (
        cli.main([*words, "--learn.gap-s", "0", "--learn.hidden", "32", "--learn.steps", "300"])
        == 0
    )
    cfg = cube_cfg(tmp_path, judge=str(judge))
    with one_arm(cfg) as env:
        env.reset()
        up = torch.tensor([[0.0, 0.0, 1.0, 0.0, 0.0, 0.0, 1.0]])
        heights: list[float] = []

        def rise() -> Any:
            heights.append(float(env._arm.tool_pose()[0, 2]))
            return env.step(up)

        steps = (rise() for _ in range(30))
        _, reward, _, cut, info = next(step for step in steps if step[2])
        assert bool(info["success"]) and float(reward[0]) == 1.0 and not cut
        assert heights[-1] > 0.22 and not env._arm.success[0]
        assert env._arm.ticks == 0  # another episode has begun
        still = torch.zeros(1, env.action_dim)
        ends = [env.step(still)[2:4] for _ in range(30)]
        assert [bool(cut) for _, cut in ends] == [False] * 29 + [True]  # time is up
        assert not any(bool(ended) for ended, _ in ends)
