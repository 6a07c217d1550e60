"""What `sim2arm train` tells of its physics: lost room, states that broke, a worker that died."""

# pyright: standard, reportAttributeAccessIssue=false

from __future__ import annotations

import csv
import os
import shlex
import signal
from dataclasses import replace
from pathlib import Path

import mujoco
import numpy as np
import pytest
import torch

from sim2arm.cli import main as cli
from sim2arm.cli.errors import UserError
from sim2arm.cli.experiments import EXPERIMENTS
from sim2arm.cli.physics import INCIDENTS, MOST, keep_incidents, physics_of
from sim2arm.cli.runs import CHECKPOINT, METRICS, build_env, build_learner, on_engine
from sim2arm.cli.trial import Trial
from sim2arm.sim.tasks.reach import ReachCfg
from sim2arm.sim.worlds.base import CapacityError
from sim2arm.sim.worlds.incident import MODEL, STATE, Incident, write_incident
from sim2arm.sim.worlds.mujoco import MujocoWorld
from sim2arm.sim.worlds.process import ProcessWorld
from sim2arm.sim.worlds.process_client import WorkerError
from sim2arm.sim.worlds.warp import WarpWorld

SUCCESS = Trial.success


@pytest.fixture(autouse=True)
def small(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Let `reach-ppo` be a training of seconds, into `tmp_path / "run"`."""
    cfg = replace(EXPERIMENTS["reach-ppo"][1], out=tmp_path / "run", num_envs=4, iterations=2)
    cfg = replace(cfg, algo=replace(cfg.algo, rollout=4, hidden=(8,)), trial_episodes=1)
    monkeypatch.setitem(EXPERIMENTS, "reach-ppo", ("Small.", cfg))
    monkeypatch.setattr(Trial, "success", lambda *_: 0.0)


def refused(words: str, capsys: pytest.CaptureFixture[str]) -> str:
    """Return the last line with which a training ends."""
    capsys.readouterr()
    assert cli.main(["train", "reach-ppo", *words.split()]) == 2
    line = capsys.readouterr().err.splitlines()[-1]
    assert line.startswith("sim2arm: error: ")
    return line.removeprefix("sim2arm: error: ")


def iterations_of(folder: Path) -> list[str]:
    """Return the iterations that the metrics of a run know."""
    with (folder / METRICS).open(newline="") as file:
        return [row["iteration"] for row in csv.DictReader(file)]


def break_world(monkeypatch: pytest.MonkeyPatch, broken: int, step: int) -> None:
    """Let a world have an invalid speed before one of the steps of a training."""
    steps, true = iter(range(1000)), WarpWorld.step

    def stepped(world: WarpWorld, targets: torch.Tensor | None = None) -> None:
        if next(steps) == step:
            world.qvel[broken, 2] = float("nan")
        true(world, targets)

    monkeypatch.setattr(WarpWorld, "step", stepped)


def test_lost_rows_end_a_training_and_the_line_says_how_it_goes_on(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "run"
    line = refused("--world warp --rows 1", capsys)
    assert line.startswith("training stopped: MuJoCo Warp had no room in 4 of 4 worlds (NEFC): up")
    assert "(room for 1); raise `rows` to " in line
    advice = "there is no checkpoint yet: go on with --resume --rows "
    assert advice in line
    rows = int(line.rpartition(" ")[2])
    assert rows >= 2
    assert not (out / CHECKPOINT).exists()
    assert iterations_of(out) == []
    words = f"--world warp --resume --rows {rows} --iterations 1"
    assert cli.main(["train", "reach-ppo", *words.split()]) == 0
    assert iterations_of(out) == ["1"]
    good = (out / CHECKPOINT).read_bytes()
    line = refused("--world warp --resume --rows 1", capsys)
    assert f"{out / CHECKPOINT} is from before: go on with --resume --rows" in line
    assert (out / CHECKPOINT).read_bytes() == good


def test_a_state_that_broke_is_kept_and_named_with_the_command_that_runs_it_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "run"
    break_world(monkeypatch, broken=3, step=5)  # in the second iteration
    assert cli.main(["train", "reach-ppo", "--world", "warp"]) == 0
    err = capsys.readouterr().err
    place = out / INCIDENTS / "000002-world-3"
    assert [path.name for path in (out / INCIDENTS).iterdir()] == [place.name]
    (line,) = [line for line in err.splitlines() if line.startswith("iteration 2: ")]
    assert line.startswith("iteration 2: the states of 1 worlds became invalid; 1 kept")
    assert "diverged 1" in err.splitlines()[-1]
    command = shlex.split(line.partition("in the C engine: ")[2])
    assert command == ["sim2arm", "replay", str(place)]
    assert cli.main(command[1:]) == 0
    printed = capsys.readouterr().out.splitlines()
    assert printed[1].endswith("  fr3_joint3: nan rad/s")
    told = "The state was invalid before the first substep (velocity of fr3_joint3): it was written"
    assert printed[-1] == f"{told} so."


@pytest.mark.parametrize("world", ["mujoco", "process"])
def test_room_is_not_for_engines_that_make_it_themselves(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], world: str
) -> None:
    line = refused(f"--world {world} --contacts 9 --rows 8", capsys)
    assert line == (
        f"world {world!r} makes room for contacts and constraint rows by itself: leave out "
        "contacts and rows, or take warp"
    )
    assert not (tmp_path / "run").exists()
    assert "rows: expected a whole number, 1 or more, got 0" in refused("--rows 0", capsys)


def test_room_goes_with_its_engine() -> None:
    cfg = replace(EXPERIMENTS["reach-ppo"][1], world="warp", contacts=9, rows=8)
    assert on_engine(cfg, "warp", "cuda:0") == replace(cfg, device="cuda:0")
    other = on_engine(cfg, "mujoco", "cpu")
    assert other == replace(cfg, world="mujoco", contacts=None, rows=None)
    world = build_env(cfg, 1).world
    assert isinstance(world, WarpWorld) and world.capacity == (9, 8)


def test_a_worker_that_dies_is_one_line_and_so_is_one_that_does_not_start(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    out, steps, true = tmp_path / "run", iter(range(1000)), ProcessWorld.step

    def stepped(world: ProcessWorld, targets: torch.Tensor | None = None) -> None:
        if next(steps) == 5:
            os.kill(world.worker.pid, signal.SIGKILL)
        true(world, targets)

    monkeypatch.setattr(ProcessWorld, "step", stepped)
    line = refused("--world process", capsys)
    assert line.startswith("training stopped: worker ") and "ended (killed by SIGKILL)" in line
    assert line.endswith("there is no checkpoint yet: go on with --resume")
    assert iterations_of(out) == ["1"]
    monkeypatch.setattr("sim2arm.sim.worlds.process.worker_of", lambda *_: raise_no_start())
    line = refused(f"--world process --out {tmp_path / 'other'}", capsys)
    assert line == "training stopped: worker /no/python does not start"
    assert not (tmp_path / "other").exists()


def raise_no_start() -> None:
    raise WorkerError("worker /no/python does not start\nTraceback of the worker")


def make_incidents(count: int) -> list[Incident]:
    """Return states in which a pendulum stands, its motor asked for more than there is."""
    spec = mujoco.MjSpec()
    body = spec.worldbody.add_body(name="pendulum")
    body.add_joint(name="pendulum")
    body.add_geom(size=(0.1, 0.0, 0.0), mass=1.0)
    spec.add_actuator(name="pendulum", target="pendulum", trntype=mujoco.mjtTrn.mjTRN_JOINT)
    model = spec.compile()
    still = {"qpos": np.zeros(1), "qvel": np.zeros(1)}
    return [
        Incident(model=model, world=i, state=still, controls=np.array([[0.0], [1e9]]))
        for i in range(count)
    ]


def test_a_run_keeps_the_first_incidents(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    spec = mujoco.MjSpec()
    spec.worldbody.add_geom(size=(0.1, 0.0, 0.0))
    world = MujocoWorld(spec, 1)
    assert keep_incidents(tmp_path, world, 1) == ""  # an engine that keeps none
    assert not (tmp_path / INCIDENTS).exists()
    monkeypatch.setattr(world, "incidents", lambda: make_incidents(MOST - 1))
    assert f"of {MOST - 1} worlds became invalid; {MOST - 1} kept" in keep_incidents(
        tmp_path, world, 2
    )
    assert f"of {MOST - 1} worlds became invalid; 1 kept" in keep_incidents(tmp_path, world, 3)
    assert keep_incidents(tmp_path, world, 4) == ""
    assert len(list((tmp_path / INCIDENTS).iterdir())) == MOST


def test_a_replay_says_whether_the_c_engine_breaks_too(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    (breaks,) = make_incidents(1)
    calm = replace(breaks, controls=np.array([[0.0], [1.0]]))
    for name, incident in (
        ("breaks", replace(breaks, controls=np.full((2, 1), 1e15))),
        ("calm", calm),
    ):
        write_incident(tmp_path / name, incident)
    assert cli.main(["replay", "breaks"]) == 0
    printed = capsys.readouterr().out.splitlines()
    assert len(printed) == 4  # a head, the start, one substep, what is to be said
    assert printed[-1].startswith("The C engine breaks too, in substep 1 of 2: ")
    assert not (tmp_path / "MUJOCO_LOG.TXT").exists()
    assert cli.main(["replay", "calm"]) == 0
    printed = capsys.readouterr().out.splitlines()
    assert printed[-1].startswith("The C engine stays valid in all 2 substeps")
    # A sphere of 1 kg and 0.1 m: I = 0.004 kg m^2, so 1 N m gives 250 rad/s^2 in 2 ms steps.
    assert printed[3].endswith("  pendulum: 0.5 rad/s")


def test_what_is_no_incident_is_one_line(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert cli.main(["replay", str(tmp_path)]) == 2
    assert capsys.readouterr().err == (
        f"sim2arm: error: incident {tmp_path}: expected a folder with {MODEL} and {STATE}\n"
    )
    write_incident(tmp_path, make_incidents(1)[0])
    (tmp_path / STATE).write_bytes(b"no tensors")
    assert cli.main(["replay", str(tmp_path)]) == 2
    assert f"{STATE} is damaged" in capsys.readouterr().err


def test_contacts_lost_in_a_trial_count_too(monkeypatch: pytest.MonkeyPatch) -> None:
    cfg = EXPERIMENTS["reach-ppo"][1]
    env = build_env(replace(cfg, task=ReachCfg(max_steps=2)), 1)

    def full() -> None:
        raise CapacityError("no room")

    monkeypatch.setattr(env.world, "check_capacity", full)
    with pytest.raises(CapacityError, match="no room"):
        SUCCESS(Trial(env), build_learner(cfg, 1).actor)


def test_an_engine_without_numbers_to_raise_is_told_as_it_is(tmp_path: Path) -> None:
    with pytest.raises(UserError) as caught, physics_of(tmp_path):
        raise CapacityError("no room: raise the memory of the scene")
    assert str(caught.value) == "training stopped: no room: raise the memory of the scene"
