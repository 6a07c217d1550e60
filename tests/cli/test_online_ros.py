# pyright: standard, reportMissingModuleSource=false
"""One arm behind real nodes that learns, and what keeps it from that."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Callable
from contextlib import AbstractContextManager
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from sim2arm.cli.arm_options import RealArm
from sim2arm.cli.errors import UserError
from sim2arm.cli.experiments import EXPERIMENTS, TrainCfg
from sim2arm.cli.one_arm import OneWorld, OnlineCfg, Outcome
from sim2arm.cli.online import one_arm, train_online
from sim2arm.cli.parse import parse_named
from sim2arm.cli.reset_routine import ResetError
from sim2arm.cli.ros_stand import GATE, ros_arm
from sim2arm.cli.runs import METRICS
from sim2arm.core import plain
from sim2arm.core.robots import FR3
from sim2arm.core.transforms import quat_conjugate, quat_mul, quat_to_rotvec
from sim2arm_ros.dds import context as _needs_the_dds_extra  # noqa: F401
from sim2arm_ros.dds import install

from .test_online import make_cfg, rows_of

install()

from std_srvs.srv import Trigger  # noqa: E402

from sim2arm.cli import ros_stand  # noqa: E402
from sim2arm.cli.ros_mover import begin_run  # noqa: E402
from sim2arm_ros.asker import Phase  # noqa: E402
from sim2arm_ros.supervisor import OperationError  # noqa: E402

pytestmark = pytest.mark.timeout(180)
STILL = torch.zeros(1, 6)
Open = Callable[..., AbstractContextManager[Any]]


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a run folder with a bundle for the gate."""
    folder = tmp_path_factory.mktemp("made")
    ros_stand._gate_bundle("reach-sac", make_cfg(folder), folder)
    return folder


def easier(cfg: TrainCfg, max_steps: int) -> TrainCfg:
    """Return a training whose goals are reached soon, with episodes of so many steps.

    In real time some of them pass before the first action.
    """
    task = replace(
        cfg.task, max_steps=max_steps, position_tolerance=0.1, rotation_tolerance=3.0,
    )  # type: ignore[call-arg]  # fmt: skip
    return replace(cfg, task=task)


@pytest.fixture
def at_hand(made: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Have the bundle for the gate at hand, which takes seconds to make."""
    monkeypatch.setattr(ros_stand, "_gate_bundle", lambda *_: made / GATE)


@pytest.fixture
def arm(at_hand: None, tmp_path: Path) -> Open:
    """Return what gives an arm behind nodes."""

    def opened(max_steps: int = 120, **online: Any) -> AbstractContextManager[Any]:
        cfg = easier(make_cfg(tmp_path, where="sim", **online), max_steps)
        return ros_arm("reach-sac", cfg, tmp_path)

    return opened


def towards(obs: dict[str, torch.Tensor]) -> torch.Tensor:
    """Return an action that goes to the goal of `reach`."""
    goal, tool = (obs[name].double() for name in ("goal_pose", "ee_pose"))
    turn = quat_to_rotvec(quat_mul(goal[:, 3:], quat_conjugate(tool[:, 3:])))
    way = torch.cat([goal[:, :3] - tool[:, :3], turn], dim=1)
    return (3.0 * way).clamp(-1.0, 1.0).float()


def rows_by(env: OneWorld, act: Callable[[int, dict[str, torch.Tensor]], torch.Tensor]) -> Any:
    """Return what came of each of 150 steps: what is seen, how it ended, what was done."""
    rows: list[tuple[dict[str, torch.Tensor], tuple[bool, bool, bool, float], torch.Tensor]] = []
    obs = env.reset()
    for k in range(150):
        obs, reward, ended, cut, info = env.step(act(k, obs))
        seen = {**obs, **{f"last {name}": value for name, value in info["final_obs"].items()}}
        rows.append((seen, (bool(ended), bool(cut), bool(info["success"]), float(reward)),
                     info["action"]))  # fmt: skip
    return rows


@pytest.mark.parametrize("box", [(), (0.2, -0.6, 0.2, 0.8, 0.6, 0.9)])
def test_in_lock_step_it_is_what_it_is_in_process_to_the_bit(
    box: tuple[float, ...], arm: Open, tmp_path: Path
) -> None:
    """Goals that are reached, time that is up, actions that differ from tick to tick."""
    random = torch.rand(150, 1, 6, generator=torch.Generator().manual_seed(0)) * 2.0 - 1.0
    down = torch.tensor([[0.0, 0.0, -1.0, 0.0, 0.0, 0.0]])

    def act(tick: int, obs: dict[str, torch.Tensor]) -> torch.Tensor:
        if box:
            return down
        return towards(obs) if tick < 90 else random[tick]

    cfg = easier(make_cfg(tmp_path, real_time=False, box=box), 70)
    with one_arm(cfg) as env:
        alone = rows_by(env, act)
    with arm(real_time=False, box=box, max_steps=70) as env:
        through = rows_by(env, act)
    for k, (mine, theirs) in enumerate(zip(alone, through, strict=True)):
        assert mine[1] == theirs[1], k
        assert torch.equal(mine[2], theirs[2]), k
        for name, value in mine[0].items():
            assert torch.equal(value, theirs[0][name]), (k, name)
    ends = [row[1] for row in alone if row[1][0] or row[1][1]]
    assert (False, True, False, 0.0) in ends and ((True, False, True, 1.0) in ends) != bool(box)
    kept = [float(row[2][0, 2]) for row in alone]
    assert not box or (kept[0] == -1.0 and kept[60] == 0.0)


def test_acting_through_nodes_and_learning_go_on_beside_each_other(
    at_hand: None, tmp_path: Path
) -> None:
    out = tmp_path / "run"
    cfg = make_cfg(out, where="sim")
    train_online("reach-sac", replace(cfg, iterations=8))
    rows = rows_of(out)
    assert [int(row["steps"]) for row in rows] == [25 * k for k in range(1, 9)]
    assert float(rows[-1]["wall_s"]) > 0.9 * 200 / 60.0  # real time
    assert int(rows[-1]["updates"]) > 0 and rows[-1]["measured"]
    assert any(row["critic_loss"] for row in rows)  # of the process that learns
    train_online("reach-sac", replace(cfg, iterations=9, resume=True))
    assert int(rows_of(out)[-1]["iteration"]) == 9


# -- what ends an episode ----------------------------------------------------------------------


def cut_of(step: Outcome) -> bool:
    """Return whether an episode was cut by a step, and nothing else ended it."""
    _, _, ended, cut, _ = step
    assert not bool(ended)
    return bool(cut)


def test_a_learner_that_is_slow_is_held_and_goes_on(arm: Open) -> None:
    with arm() as env:
        env.reset()
        assert not any(cut_of(env.step(STILL)) for _ in range(5)), env.reason
        time.sleep(1.0)  # more than the gate waits for a request
        assert any(cut_of(env.step(STILL)) for _ in range(3))
        assert "allowed" in env.reason  # 0.1 s between requests, or of age
        assert not cut_of(env.step(STILL))  # another episode has begun


def test_who_begins_late_has_lost_nothing(arm: Open) -> None:
    """Networks are built, or read, between the first observation and the first action."""
    with arm() as env:
        env.reset()
        time.sleep(2.0)
        assert not any(cut_of(env.step(STILL)) for _ in range(10)), env.reason


def test_numbers_that_are_none_are_not_asked_for(arm: Open) -> None:
    with arm(real_time=False) as env:
        env.reset()
        assert not cut_of(env.step(STILL))
        with pytest.raises(ResetError, match="the learner answered with numbers that are not"):
            env.step(STILL * np.nan)
        assert env._node.phase is Phase.IDLE  # nobody asks any more


def test_an_e_stop_ends_it_and_stays(arm: Open) -> None:
    with arm() as env:
        env.reset()
        env.step(STILL)
        env._supervisor.call(Trigger, "gate_node/estop", Trigger.Request())
        assert any(cut_of(env.step(STILL)) for _ in range(2))
        with pytest.raises(ResetError, match=r"the gate stays where it was stopped: .*e-stop"):
            env.step(STILL)
        assert env._supervisor.gate["state"] == "FAULT" and env._node.phase is Phase.IDLE


def test_a_gate_that_dies_ends_it_after_the_last_step(
    arm: Open, monkeypatch: pytest.MonkeyPatch
) -> None:
    launched: list[Any] = []

    class Kept(ros_stand.Launch):
        def __init__(self, *args: Any, **kwargs: Any) -> None:
            super().__init__(*args, **kwargs)
            launched.append(self)

    monkeypatch.setattr(ros_stand, "Launch", Kept)
    with arm() as env:
        env.reset()
        env.step(STILL)
        os.kill(launched[0].processes["gate_node"].pid, signal.SIGKILL)
        launched[0].processes["gate_node"].wait()
        assert cut_of(env.step(STILL))  # it happened, as far as anybody knows
        with pytest.raises(ResetError, match="gate_node ended with code -9"):
            env.step(STILL)


# -- who else acts -----------------------------------------------------------------------------


def test_a_person_takes_over_and_hands_back(arm: Open, tmp_path: Path) -> None:
    script = tmp_path / "script.yaml"
    script.write_text(
        "- {seconds: 0.2, clutch: false}\n"
        "- {seconds: 0.05}\n"
        "- {seconds: 0.2, twist: [0, 0, 1, 0, 0, 0]}\n"
        "- {seconds: 60, clutch: false}\n"
    )
    with arm(device="script", script=str(script)) as env:
        mine, rows = torch.full((1, 6), 0.1), list[tuple[np.ndarray, bool]]()
        env.reset()
        for _ in range(80):
            _, _, _, _, info = env.step(mine)
            rows.append((info["action"][0].numpy(), bool(info["taken_over"])))
        taken = [k for k, (_, over) in enumerate(rows) if over]
        theirs = [k for k, (action, _) in enumerate(rows) if abs(action[0] - 0.1) > 1e-6]
        assert env.interventions == len(taken) == 1
        assert theirs[0] == taken[0] + 1  # blamed is what was done before it
        assert theirs == list(range(theirs[0], theirs[-1] + 1)) and 5 <= len(theirs) <= 20
        moved = [rows[k][0] for k in theirs if rows[k][0].any()]
        assert moved and all(action[2] > 0.0 and action[0] == 0.0 for action in moved)


def test_it_comes_back_by_its_routine(arm: Open, tmp_path: Path) -> None:
    path = tmp_path / "routine.yaml"
    path.write_text("- {lift: 0.03}\n- {home: true, speed: 0.5}\n")
    away = torch.tensor([[1.0, 1.0, 0.0, 0.0, 0.0, 0.0]])

    def tried() -> tuple[Any, ...]:
        with arm(routine=str(path)) as env:
            goal = env.reset()["goal_pose"].clone()
            rows = (env.step(away) for _ in range(150))
            obs, _, _, _, info = next(row for row in rows if row[2] or row[3])
            return goal, obs, info, env._broken

    # A busy machine may hold the arm on its way.
    goal, obs, info, _ = next(found for found in (tried() for _ in range(4)) if found[3] is None)
    assert (info["final_obs"]["joint_position"] - torch.tensor(FR3.home)).abs().max() > 0.2
    assert (obs["joint_position"] - torch.tensor(FR3.home)).abs().max() < 0.02
    assert (obs["goal_pose"] - goal).abs().max() > 1e-3  # another episode


def test_nobody_waits_armed_for_the_reset_of_an_e_stop(arm: Open) -> None:
    """Whoever resets the gate expects it to hold."""
    with arm() as env:
        env.reset()
        env.rest()
        env._supervisor.call(Trigger, "gate_node/estop", Trigger.Request())
        supervisor = env._supervisor
        supervisor.spin_until(lambda: supervisor.gate.get("by_hand"), 5.0, "word of the e-stop")
        with pytest.raises(OperationError, match="the gate stays where it was stopped"):
            begin_run(supervisor, env._node)
        assert env._node.phase is Phase.IDLE


def test_quit_ends_the_training_after_its_step(arm: Open, tmp_path: Path) -> None:
    script = tmp_path / "script.yaml"
    script.write_text(
        "- {seconds: 0.3, clutch: false}\n- {seconds: 60, clutch: false, press: [quit]}\n"
    )
    with arm(device="script", script=str(script)) as env:
        env.reset()
        cuts = 0
        with pytest.raises(KeyboardInterrupt):
            for _ in range(200):
                cuts += cut_of(env.step(STILL))
        assert cuts >= 1


def test_a_key_that_judges_counts_at_once(arm: Open, tmp_path: Path) -> None:
    script = tmp_path / "script.yaml"
    script.write_text(
        "- {seconds: 0.3, clutch: false}\n- {seconds: 60, clutch: false, press: [keep]}\n"
    )
    with arm(device="script", script=str(script), judge="key") as env:
        env.reset()
        won = next(row for row in (env.step(STILL) for _ in range(200)) if row[2] or row[3])
        assert bool(won[4]["success"]) and bool(won[2]) and not bool(won[3])


# -- which arm ---------------------------------------------------------------------------------


def real_cfg(tmp_path: Path, **arm: Any) -> TrainCfg:
    """Return a training in front of a robot."""
    routine = tmp_path / "routine.yaml"
    routine.write_text("- {home: true}\n")
    return make_cfg(
        tmp_path, where="robot", routine=str(routine), judge="key", device="keyboard",
        arm=RealArm(**arm),
    )  # fmt: skip


def test_in_front_of_a_robot_the_gate_knows_that_it_is_one(made: Path, tmp_path: Path) -> None:
    from sim2arm.policies.verify import load_contract
    from sim2arm_ros.launcher import policy_graph

    gate, _ = policy_graph(made / GATE, sim_time=False)
    cfg, contract = real_cfg(tmp_path, robot="fr3"), load_contract(made / GATE)
    (only,) = ros_stand._arm_nodes(cfg, contract, gate, tmp_path)
    assert only.executable == "gate_node"
    assert only.parameters["real_hardware"] and not only.parameters["use_sim_time"]
    assert not only.parameters["allow_fallback_on_hardware"]
    with (
        pytest.raises(UserError, match="a robot needs a ROS 2 installation"),
        ros_arm("reach-sac", cfg, tmp_path),
    ):
        raise AssertionError("it was given")
    assert not (tmp_path / METRICS).exists() and not (tmp_path / GATE).exists()


def test_settings_with_files_of_a_robot_are_kept(tmp_path: Path) -> None:
    arm = RealArm(robot="so101", port="/dev/x", servos=Path("servos.yaml"))
    files = (Path("a.yaml"), Path("b.yaml"))
    cfg = replace(real_cfg(tmp_path).online, arm=replace(arm, calibrations=files))
    assert plain.from_plain(OnlineCfg, plain.to_plain(cfg)) == cfg


def test_a_device_that_is_not_there_is_one_line(arm: Open) -> None:
    with pytest.raises(UserError, match="no teleoperation device 'nosuch'"), arm(device="nosuch"):
        raise AssertionError("it was given")


@pytest.mark.parametrize("setting", ["routine", "judge", "script"])
def test_a_file_that_is_not_there_is_one_line(setting: str, tmp_path: Path) -> None:
    online = {setting: str(tmp_path / "none.safetensors")}
    online |= {"device": "script"} if setting == "script" else {}
    with pytest.raises(UserError, match=rf"--online.{setting}: no such file: .*none"):
        train_online("reach-sac", make_cfg(tmp_path, where="sim", **online))


def test_a_secured_domain_is_refused(
    at_hand: None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("ROS_SECURITY_ENABLE", "true")
    with (
        pytest.raises(UserError, match="would be in the enclave of the operator"),
        ros_arm("reach-sac", make_cfg(tmp_path, where="sim"), tmp_path),
    ):
        raise AssertionError("it was given")


@pytest.mark.parametrize(
    ("words", "line"),
    [
        (["--online.where", "sim"], "where: it is of learning on one arm"),
        (["--online.on", "--online.where", "robot"],
         "where robot: add --online.routine FILE; --online.judge"),
        (["--online.on", "--online.arm.robot", "fr3"], "arm: it says which robot"),
        (["--online.on", "--online.where", "sim", "--online.no-real-time", "--online.device",
          "keyboard"], "that waits for commands has neither device nor routine"),
    ],
)  # fmt: skip
def test_what_does_not_go_together_is_one_line(words: list[str], line: str) -> None:
    with pytest.raises(UserError, match=line):
        parse_named(EXPERIMENTS, ["lift-cube-cqn", *words], "sim2arm train", "experiment")


def test_the_settings_are_refused_by_themselves() -> None:
    with pytest.raises(ValueError, match=r"where robot: add --online\.judge key"):
        OnlineCfg(on=True, where="robot", routine="r.yaml")
