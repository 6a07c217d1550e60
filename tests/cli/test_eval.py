"""`sim2arm eval` and `sim2arm export`: which input is refused, in one line; what a row tells."""

# pyright: standard

from __future__ import annotations

import shutil
from collections.abc import Iterator, Sequence
from dataclasses import replace
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
import torch
import yaml

from sim2arm.cli import main as cli
from sim2arm.cli.eval import can_drive_blind, success_rows
from sim2arm.cli.evaluation import Episodes, OtherArm, run_episodes
from sim2arm.cli.experiments import EXPERIMENTS, TrainCfg
from sim2arm.cli.randomizations import RANDOMIZATIONS, Randomization
from sim2arm.cli.run_record import CONFIG
from sim2arm.cli.runs import CHECKPOINT, METRICS
from sim2arm.cli.shifts import LEVELS, SHIFTS
from sim2arm.cli.touches import TOUCHES
from sim2arm.cli.train import train
from sim2arm.core.contract import Contract, Provenance
from sim2arm.core.controllers import EeDeltaCfg
from sim2arm.core.joint_targets import as_joint_targets
from sim2arm.core.robots import FR3, PANDA
from sim2arm.policies.bundle import CONTRACT, MANIFEST, MODEL, write_manifest
from sim2arm.policies.checkpoint import load_checkpoint, save_checkpoint
from sim2arm.policies.verify import load_contract
from sim2arm.sim.actuators import Actuators
from sim2arm.sim.arm import SimulatedArm
from sim2arm.sim.contract import arm_contract
from sim2arm.sim.robots.actuators import find_actuators
from sim2arm.sim.sensing import Delay
from sim2arm.sim.tasks.table import make_task

ORIGIN = Provenance(experiment="test")


@pytest.fixture(scope="module")
def exported(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A small run with its bundle."""
    out = tmp_path_factory.mktemp("eval") / "run"
    small = replace(EXPERIMENTS["reach-ppo"][1], num_envs=4, iterations=1, trial_episodes=1)
    cfg: TrainCfg = replace(small, algo=replace(small.algo, rollout=4, hidden=(4,)), out=out)
    train("reach-ppo", cfg)
    assert cli.main(["export", str(out)]) == 0
    yield out


@pytest.fixture
def run(exported: Path, tmp_path: Path) -> Path:
    """A copy to damage."""
    return Path(shutil.copytree(exported, tmp_path / "run"))


def refused(argv: Sequence[str | Path], capsys: pytest.CaptureFixture[str]) -> str:
    """Return the one line with which a command is refused."""
    capsys.readouterr()
    assert cli.main([str(word) for word in argv]) == 2
    err = capsys.readouterr().err
    assert err.count("\n") == 1 and err.startswith("sim2arm: error: ")
    return err.removeprefix("sim2arm: error: ").strip()


def change(path: Path, before: bytes, after: bytes) -> None:
    """Replace some bytes of a file."""
    data = path.read_bytes()
    assert before in data
    path.write_bytes(data.replace(before, after, 1))


def seal(bundle: Path) -> None:
    """Write a manifest that fits the files."""
    names = [path for path in bundle.iterdir() if path.name != MANIFEST]
    (bundle / MANIFEST).write_bytes(write_manifest({p.name: p.read_bytes() for p in names}))


@pytest.mark.parametrize("alone", [False, True])
def test_a_damaged_bundle_is_one_line(
    run: Path, alone: bool, capsys: pytest.CaptureFixture[str]
) -> None:
    bundle = run / "bundle"
    if alone:
        (run / CONFIG).unlink()
    path = bundle if alone else run
    change(bundle / MODEL, b"sim2arm", b"sim2arn")
    assert "policy.onnx: SHA-256 is " in refused(["eval", path], capsys)
    change(bundle / MODEL, b"sim2arn", b"sim2arm")
    (bundle / CONTRACT).write_text("a: [1\nb: 2\n")
    assert "contract.yaml: expected " in refused(["eval", path], capsys)
    seal(bundle)
    assert "contract.yaml: not valid YAML" in refused(["eval", path], capsys)
    (bundle / MANIFEST).write_text("files: [")
    assert "manifest.yaml: not valid YAML" in refused(["eval", path], capsys)
    (bundle / MANIFEST).unlink()
    assert "manifest.yaml: missing file" in refused(["eval", path], capsys)
    (bundle / CONTRACT).unlink()
    assert "neither a bundle nor a run" in refused(["eval", path], capsys)


def test_a_bundle_that_nothing_here_can_run_is_one_line(
    run: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    bundle = run / "bundle"
    contract = load_contract(bundle)

    def rewrite(changed: Contract) -> None:
        old = load_contract(bundle).canonical_json().encode()
        new = changed.canonical_json().encode()
        assert len(new) == len(old)  # the length stands before it in the ONNX file
        change(bundle / MODEL, old, new)
        (bundle / CONTRACT).write_text(changed.to_yaml())
        seal(bundle)

    other = replace(contract.provenance, experiment="reach-pop")
    rewrite(replace(contract, provenance=other))
    refused_as_run = cli.main(["eval", str(run), "--episodes", "1", "--num-arms", "1"])
    assert refused_as_run == 0  # the run says which task it is
    (run / CONFIG).unlink()
    assert "unknown experiment 'reach-pop'" in refused(["eval", bundle], capsys)
    rewrite(replace(contract, control_hz=55.0))
    assert "control_hz must be one of" in refused(["eval", bundle], capsys)
    rewrite(replace(contract, robot="fr4"))
    assert "is for the fr4, its task for the fr3" in refused(["eval", bundle], capsys)


def test_results_that_cannot_be_written_are_refused_before_the_work(
    run: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def no_work(*_: object) -> None:
        raise AssertionError("the path is looked at first")

    monkeypatch.setattr("sim2arm.cli.eval.evaluate", no_work)
    file = run / METRICS
    for path, words in (
        (file / "a.json", f"--json: {file / 'a.json'} cannot be written: {file} is not a folder"),
        (run, f"--json: {run} is a folder, expected the name of a file"),
    ):
        assert refused(["eval", run, "--json", path], capsys) == words


def test_export_refuses_in_one_line(
    run: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    again = ["export", run, "--overwrite"]
    assert "is not a run" in refused(["export", tmp_path / "none"], capsys)
    assert "pass --overwrite" in refused(["export", run], capsys)
    assert "--success must lie in 0 to 1" in refused([*again, "--success", "2"], capsys)
    assert "is not a folder" in refused([*again, "--out", run / METRICS], capsys)
    line = refused([*again, "--out", run], capsys)
    assert "holds something else than a bundle" in line
    assert (run / METRICS).is_file()
    state = load_checkpoint(run / CHECKPOINT)
    state["model/actor.mlp.0.bias"][:] = float("nan")
    save_checkpoint(run / CHECKPOINT, state)
    assert refused(again, capsys).startswith(f"{run}: parity: ")
    data = yaml.safe_load((run / CONFIG).read_text())
    data["settings"]["task"]["max_steps"] = 0
    (run / CONFIG).write_text(yaml.safe_dump(data))
    assert "settings.task: max_steps must be above 0" in refused(again, capsys)
    (run / CONFIG).write_text("experiment: [\n")
    assert "config.yaml:2:1: expected valid YAML" in refused(again, capsys)


def test_an_episode_that_diverges_is_a_failure_and_counted(run: Path) -> None:
    contract = load_contract(run / "bundle")

    def stand(obs: dict[str, np.ndarray]) -> np.ndarray:
        return np.zeros((2, 6))

    def blow_up(arm: SimulatedArm) -> None:
        arm.world.joints(arm.robot.joint_names).dq[1] = 1e11

    result = run_episodes(
        make_task("reach", "fr3"), contract, stand, [0, 1], num_arms=2, record=blow_up
    )
    assert result.diverged == 1 and result.steps[1] == 2
    rows = {row.metric: row.value for row in success_rows("here", result)}
    assert rows["episodes that diverged"] == 1
    ros = success_rows("there", replace(result, diverged=None))
    assert "episodes that diverged" not in {row.metric for row in ros}
    assert torch.isfinite(torch.from_numpy(np.concatenate(result.actions))).all()


def test_a_policy_of_another_robot_of_its_name_is_refused(run: Path) -> None:
    contract = load_contract(run / "bundle")
    kp = tuple(0.9 * k for k in FR3.kp)
    softer = replace(contract.low_level, kp=kp, kp_range=tuple((k, k) for k in kp))
    for other, word in (
        (replace(contract, low_level=softer), r"kp\[0\]: 540.0 != 600.0; .* and 4 more"),
        (replace(contract, limits=PANDA.limits), "limits.dddq_max"),
    ):
        with pytest.raises(cli.UserError, match=rf"'fr3' is not as in training: {word}"):
            run_episodes(make_task("reach", "fr3"), other, lambda obs: np.zeros((1, 6)), [0],
                         num_arms=1)  # fmt: skip


def test_an_arm_that_is_not_as_in_training_moves_and_sees_otherwise(run: Path) -> None:
    contract = load_contract(run / "bundle")
    seen: dict[object, list[np.ndarray]] = {}
    ends: dict[object, np.ndarray] = {}

    def episodes(other: OtherArm | None) -> None:
        key = other and other.seed
        seen[key] = []

        def push(obs: dict[str, np.ndarray]) -> np.ndarray:
            seen[key].append(obs["joint_position"][0].copy())
            return np.full((1, 6), 0.3)

        def keep(arm: SimulatedArm) -> None:
            ends[key] = arm.joint_state()[0][0]

        run_episodes(
            make_task("reach", "fr3", "max_steps: 20"), contract, push, [3], num_arms=1,
            record=keep, other=other,
        )  # fmt: skip

    episodes(None)
    for seed in (0, 1):
        episodes(OtherArm(change=SHIFTS["reach"](FR3, 1), seed=seed))
    first = {key: rows[0] for key, rows in seen.items()}
    # At rest at the start only bias and noise are seen: 1.5 mrad, and 5 deviations of 0.2 mrad.
    for seed in (0, 1):
        off = np.abs(first[seed] - first[None])
        assert 5e-4 < off.max() < 2.5e-3
        # Commands that come 50 ms later, another law and dry friction lead elsewhere, but not far.
        assert 1e-4 < np.abs(ends[seed] - ends[None]).max() < 0.3
    assert np.abs(first[0] - first[1]).max() > 5e-4
    assert np.abs(ends[0] - ends[1]).max() > 1e-5


def _ranges(change: Randomization) -> list[tuple[str, float, float]]:
    """Return name, least and greatest of everything that is drawn, or stands."""
    found = [(r.name, r.low, r.high) for term in change.physics for r in term.ranges()]
    for term in change.sensors:
        if isinstance(term, Delay):
            found += [(f"age of {name}", term.low, term.high) for name in term.names]
        else:
            found.append((f"deviation of {term.name}", term.deviation, term.deviation))
            if term.bias:  # one end or the other
                found.append((f"bias of {term.name}", -term.bias, term.bias))
    if change.commands is not None:
        found.append(("delay of commands", change.commands.low, change.commands.high))
        found.append(("lost commands", change.commands.lost, change.commands.lost))
    return found


def test_both_ends_of_a_shift_are_outside_what_any_training_draws() -> None:
    for shift in SHIFTS.values():
        levels = [shift(FR3, level) for level in LEVELS]
        names = [{name for name, *_ in _ranges(level)} for level in levels]
        assert names[0] == names[1] == names[2] and len(names[0]) >= 11
        for level in levels:
            for name, *ends in _ranges(level):
                known = [r for make in RANDOMIZATIONS.values() for r in _ranges(make(FR3))]
                trained = [r for r in known if r[0] == name]
                assert trained, name
                for end in ends:
                    assert all(end < low or end > high for _, low, high in trained), name
        for milder, harder in pairwise(levels):
            for (_, _, mild), (_, _, hard) in zip(_ranges(milder), _ranges(harder), strict=True):
                assert hard >= mild


def test_eval_reports_the_other_arm(run: Path, capsys: pytest.CaptureFixture[str]) -> None:
    words = ["--episodes", "2", "--num-arms", "2", "--shift", "2", "--eval-seed", "7"]
    assert cli.main(["eval", str(run), *words]) == 0
    assert "shift 2, arm 7" in capsys.readouterr().out
    assert "--shift: expected 1, 2 or 3" in refused(["eval", run, "--shift", "4"], capsys)
    assert "--eval-seed: expected 0" in refused(["eval", run, "--eval-seed", "-1"], capsys)


def test_eval_takes_the_actuators_of_training_or_those_that_are_named(
    run: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    taken: list[Actuators] = []

    def note(*_: object, actuators: Actuators, **__: object) -> Episodes:
        taken.append(actuators)
        return Episodes(
            seeds=(0,), success=np.ones(1, bool), steps=np.ones(1, np.int64), slowed=0, refused=0,
            ticks=1, actions=(np.zeros((1, 6), np.float32),),
        )  # fmt: skip

    monkeypatch.setattr("sim2arm.cli.eval.run_episodes", note)
    data = yaml.safe_load((run / CONFIG).read_text())
    assert data["settings"].pop("actuators") == "ideal"
    (run / CONFIG).write_text(yaml.safe_dump(data))  # as before there was a choice
    assert cli.main(["eval", str(run)]) == 0
    data["settings"]["actuators"] = "gear"
    (run / CONFIG).write_text(yaml.safe_dump(data))
    assert cli.main(["eval", str(run)]) == 0
    assert cli.main(["eval", str(run), "--actuators", "motor"]) == 0
    assert taken == [{}, find_actuators("gear", "fr3"), find_actuators("motor", "fr3")]
    line = refused(["eval", run, "--actuators", "motors"], capsys)
    assert line == "--actuators: expected one of ideal, motor, gear, motor-gear, got 'motors'"


def test_eval_has_the_gels_of_training_whether_they_are_felt_or_not(
    run: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """In process and through ROS; the policy of this run feels nothing."""
    taken: list[object] = []

    class Enough(Exception):  # noqa: N818
        pass

    def inside(*_: object, touch: object, **__: object) -> Episodes:
        taken.append(touch)
        return Episodes(
            seeds=(0,), success=np.ones(1, bool), steps=np.ones(1, np.int64), slowed=0, refused=0,
            ticks=1, actions=(np.zeros((1, 6), np.float32),),
        )  # fmt: skip

    def outside(*_: object, touch: object, **__: object) -> None:
        taken.append(touch)
        raise Enough

    monkeypatch.setattr("sim2arm.cli.eval.run_episodes", inside)
    monkeypatch.setattr("sim2arm.cli.eval.run_through_ros", outside)
    data = yaml.safe_load((run / CONFIG).read_text())
    for name, touch in (("none", None), ("gel", TOUCHES["gel"])):
        data["settings"]["touch"] = name
        (run / CONFIG).write_text(yaml.safe_dump(data))
        with pytest.raises(Enough):
            cli.main(["eval", str(run), "--through", "ros"])
        assert taken == [touch, touch]
        taken.clear()


def test_a_published_score_is_a_row_where_the_task_has_one() -> None:
    told = Episodes(
        seeds=(1, 2), success=np.array([True, False]), steps=np.array([3, 5]), slowed=0, refused=0,
        ticks=8, actions=(np.zeros((3, 6), np.float32), np.zeros((5, 6), np.float32)),
        scores=np.array([1.0, 0.5]),
    )  # fmt: skip
    rows = {row.metric: row.value for row in success_rows("in process", told)}
    assert rows["success"] == 0.5 and rows["score"] == 0.75
    silent = success_rows("ROS, lock step", replace(told, scores=None))
    assert "score" not in {row.metric for row in silent}


def test_only_steps_of_the_tool_alone_are_driven_blind() -> None:
    """A policy of demonstrations names joints, and where nothing is inserted there is no socket."""
    arm = SimulatedArm("peg-insertion", "fr3")
    steps = arm_contract(arm, EXPERIMENTS["peg-insertion-ppo"][1].controller, ORIGIN)
    assert can_drive_blind(steps) and not can_drive_blind(as_joint_targets(steps))
    other = SimulatedArm("reach", "fr3")
    assert not can_drive_blind(arm_contract(other, EeDeltaCfg(), ORIGIN))
