"""A classifier of success: what counts as success, what it learns, its file."""

# pyright: standard

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors import safe_open
from safetensors.torch import load_file, save_file

from sim2arm.cli import main as cli
from sim2arm.policies.dataset.layout import DatasetSpec, Feature
from sim2arm.policies.dataset.reader import Dataset
from sim2arm.policies.dataset.writer import DatasetWriter
from sim2arm.policies.demonstrations import Demonstrations
from sim2arm.policies.success import (
    Parts,
    SuccessCfg,
    SuccessJudge,
    SuccessNetwork,
    _measure,
    labels_of,
    learn_success,
    parts_of,
    save_success,
)

SPEC = DatasetSpec(
    fps=10,
    features={
        "observation.state": Feature(dtype="float32", shape=(3,), names=("a", "b", "width")),
        "observation.images.wrist_rgb": Feature(dtype="image", shape=(24, 32, 3)),
        "action": Feature(dtype="float32", shape=(2,)),
    },
)
CFG = SuccessCfg(tail_s=0.3, gap_s=0.2, steps=150, batch=32, hidden=(16,), shift=2)


def write_episodes(root: Path, count: int, *, noted: bool = True) -> Dataset:
    """Write episodes of 12 frames; of those that succeed a lamp is lit in the last three."""
    random = np.random.default_rng(0)
    with DatasetWriter(root, SPEC) as writer:
        for number in range(count):
            won, episode = number % 3 != 2, writer.begin()
            for k in range(12):
                picture = random.integers(0, 120, (24, 32, 3)).astype(np.uint8)
                if won and k >= 9:
                    picture[8:16, 10:20] = 220
                row = {
                    "observation.state": random.uniform(-1.0, 1.0, 3).astype(np.float32),
                    "observation.images.wrist_rgb": picture,
                    "action": np.zeros(2, np.float32),
                }
                assert episode.add(row, "t")
            episode.commit({"success": won} if noted else {})
    return Dataset(root)


@pytest.fixture(scope="module")
def dataset(tmp_path_factory: pytest.TempPathFactory) -> Dataset:
    return write_episodes(tmp_path_factory.mktemp("set"), 18)


def test_what_counts_as_success(dataset: Dataset) -> None:
    """At 10 Hz 0.3 s are three frames, and 0.2 s before them two that are neither."""
    demos = Demonstrations(dataset, ("joint_position",))
    labels = labels_of(demos, [number % 3 != 2 for number in range(18)], 10.0, CFG)
    won = [0] * 7 + [-1] * 2 + [1] * 3
    np.testing.assert_array_equal(labels, (won + won + [0] * 12) * 6)
    none = labels_of(demos, [False] * 18, 10.0, CFG)
    assert not none.any()


def held_out(*episodes: tuple[list[float], int]) -> tuple[list[np.ndarray], Parts]:
    """Return scores of episodes, and parts with how many of their last frames are success."""
    scores = [np.array(each) for each, _ in episodes]
    held = tuple(
        (torch.arange(len(s)), n > 0, n) for s, (_, n) in zip(scores, episodes, strict=True)
    )
    nothing = torch.zeros(0, dtype=torch.int64)
    return scores, Parts(none=nothing, success=nothing, held=held, hz=10.0)


def test_thresholds_lie_above_all_that_comes_before_success() -> None:
    """Halfway from 2, the highest of them, to 6, the median of 5, 6, 7."""
    found = _measure(*held_out(([-3, 1, 2, 5, 6, 7], 3), ([0, 1, 1], 0)), ticks=2)
    assert found.threshold == 4.0 and found.recall == 1.0 and found.separation == 1.0
    assert (found.won, found.told, found.failed, found.wrong) == (1, 1, 1, 0)
    assert found.early_s == pytest.approx(0.1)  # the second of two ticks, one before the last


def test_what_scores_as_high_as_what_is_none_is_not_success() -> None:
    found = _measure(*held_out(([0, 9, 9, 9], 2), ([0, 8, 8], 0)), ticks=1)
    assert found.threshold == 9.0 and (found.recall, found.told) == (0.0, 0)
    assert np.isnan(found.early_s)
    assert found.separation == pytest.approx((5 - 0.5) / 5)  # one of five ties
    assert _measure(*held_out(([-5, -4], 1)), ticks=1).threshold == 0.0  # never below
    with pytest.raises(ValueError, match="no longer finite"):
        _measure(*held_out(([np.nan, 1.0], 1)), ticks=1)


def test_episodes_that_fail_and_look_like_success_are_counted() -> None:
    found = _measure(*held_out(([0, 0, 5, 5], 2), ([0, 1, 1], 0)), ticks=2)
    assert found.wrong == 0
    scores, parts = held_out(([0, 0, 5, 5], 2), ([6, 6, 6], 3))
    parts = replace(parts, held=(parts.held[0], (parts.held[1][0], False, 3)))
    assert _measure(scores, parts, 2).wrong == 1


def test_it_sees_the_lamp_in_episodes_that_it_did_not_learn_from(
    dataset: Dataset, tmp_path: Path
) -> None:
    torch.set_num_threads(1)
    demos = Demonstrations(dataset, ("wrist_rgb",))
    succeeded = [number % 3 != 2 for number in range(18)]
    parts = parts_of(demos, succeeded, 10.0, CFG)
    network, found = learn_success(demos.arrays, parts, CFG)
    assert found.separation > 0.98 and found.recall > 0.9
    assert found.told == found.won > 1 and found.wrong == 0 < found.failed
    assert found.early_s == 0.0  # the third of three frames in a row
    again, same = learn_success(demos.arrays, parts, CFG)
    assert same == found
    for a, b in zip(network.parameters(), again.parameters(), strict=True):
        assert torch.equal(a, b)

    path = tmp_path / "judge.safetensors"
    save_success(path, network, demos.arrays, CFG, found.threshold)
    judge = SuccessJudge(path)
    assert judge.sees == {"wrist_rgb": (24, 32, 3)}
    rows = [{n: v[k : k + 1].numpy() for n, v in demos.arrays.items()} for k in range(24)]
    said = [judge.won(row) for row in rows[:12]]
    assert said == [False] * 11 + [True]  # the third of three frames in a row
    with torch.no_grad():
        logit = network({n: v[11:12] for n, v in demos.arrays.items()})
    assert judge.score == pytest.approx(float(logit), abs=1e-5)
    judge.reset()
    assert not judge.won(rows[11])


def test_noise_alone_tells_nothing(dataset: Dataset) -> None:
    demos = Demonstrations(dataset, ("joint_position",))
    parts = parts_of(demos, [n % 3 != 2 for n in range(18)], 10.0, CFG)
    with pytest.raises(ValueError, match="it tells success in none of 2 episodes"):
        learn_success(demos.arrays, parts, CFG)


def test_by_the_command(
    dataset: Dataset, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "judge.safetensors"
    words = ["judge", str(dataset.root), "--out", str(out), "--sees", "joint_position", "wrist_rgb"]
    words += ["--learn.steps", "150", "--learn.tail-s", "0.3", "--learn.gap-s", "0.2"]
    assert cli.main([*words, "--learn.batch", "32", "--learn.hidden", "16"]) == 0
    said = capsys.readouterr().out
    assert "held out: it tells success in 2 of 2 episodes that succeeded, 0.00 s before" in said
    assert "and in 0 of 1 others" in said
    assert set(SuccessJudge(out).sees) == {"joint_position", "wrist_rgb"}


@pytest.mark.parametrize(
    ("words", "line"),
    [
        (["--out", "j.pt"], "expected a file .safetensors"),
        (["--sees", "joint_velocity"], "there is no array"),
        (["--sees", "joint_position", "top_rgb"], "there is no array 'top_rgb'"),
        (["--learn.held-out", "1.0"], "held_out: expected more than 0, less than 1"),
        (["--learn.tail-s", "9", "--learn.gap-s", "0"], "expected 2 episodes or more"),
    ],
)
def test_what_cannot_be_learnt_is_one_line(
    words: list[str], line: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    root = write_episodes(tmp_path / "set", 2 if "9" in words else 3).root
    base = ["judge", str(root), "--out", str(tmp_path / "j.safetensors"), "--learn.steps", "1"]
    if "9" in words:  # one episode that succeeded is not enough
        root = write_episodes(tmp_path / "one", 1).root
        base[1] = str(root)
    assert cli.main([*base, *words]) == 2
    said = capsys.readouterr().err
    assert line in said and len(said.strip().splitlines()) == 1
    assert not (tmp_path / "j.safetensors").exists()


def test_episodes_that_do_not_say_how_they_ended(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    root = write_episodes(tmp_path / "set", 2, noted=False).root
    assert cli.main(["judge", str(root), "--out", str(tmp_path / "j.safetensors")]) == 2
    assert "expected notes of each episode that say success" in capsys.readouterr().err


@pytest.fixture
def judge_file(dataset: Dataset, tmp_path: Path) -> Path:
    demos = Demonstrations(dataset, ("joint_position",))
    path, cfg = tmp_path / "judge.safetensors", replace(CFG, hidden=(4,))
    save_success(path, SuccessNetwork(demos.arrays, cfg.hidden), demos.arrays, cfg, 0.5)
    assert SuccessJudge(path).sees == {"joint_position": (2,)}
    return path


@pytest.mark.parametrize(
    ("changes", "line"),
    [
        ({"version": 2}, "version: expected 1, got 2"),
        ({"types": {"joint_position": "float33"}}, "types.joint_position: expected"),
        ({"types": {}}, "shapes and types of the same arrays"),
        ({"shapes": {}, "types": {}}, "shapes and types of the same arrays"),
        ({"shapes": {"joint_position": [-7]}}, "shapes.joint_position: expected sizes"),
        ({"shapes": {"joint_position": [10**13]}}, "shapes.joint_position: expected sizes"),
        ({"shapes": {"joint_position": [3]}}, "it is no judge"),
        ({"hidden": [-1]}, "hidden: expected widths"),
        ({"hidden": [10**7]}, "hidden: expected the widths of its layers"),
        ({"ticks": 0}, "ticks: expected 1 or more"),
        ({"threshold": float("nan")}, "it is no judge"),
        ({"threshold": None}, "it is no judge"),
    ],
)
def test_a_file_that_was_changed(judge_file: Path, changes: dict[str, Any], line: str) -> None:
    with safe_open(str(judge_file), framework="pt") as file:
        told = json.loads(file.metadata()["success"])
    state = load_file(judge_file)
    save_file(state, judge_file, metadata={"success": json.dumps(told | changes)})
    with pytest.raises(ValueError, match=line) as caught:
        SuccessJudge(judge_file)
    assert str(caught.value).startswith(str(judge_file)) and "\n" not in str(caught.value)


def test_what_is_no_judge(judge_file: Path, tmp_path: Path) -> None:
    state, told = load_file(judge_file), {"success": "{"}
    save_file(state, tmp_path / "json.safetensors", metadata=told)
    save_file({"a": torch.zeros(2)}, tmp_path / "other.safetensors")
    (tmp_path / "damaged.safetensors").write_bytes(b"no tensors")
    (tmp_path / "folder.safetensors").mkdir()
    with safe_open(str(judge_file), framework="pt") as file:
        metadata = file.metadata()
    state["layers.0.weight"][0, 0] = torch.nan
    save_file(state, tmp_path / "nan.safetensors", metadata=metadata)
    for name, line in {
        "json": "it is no judge", "other": "expected a file of sim2arm judge",
        "damaged": "is damaged", "folder": "got a folder", "nan": "its weights are not finite",
    }.items():  # fmt: skip
        with pytest.raises(ValueError, match=line):
            SuccessJudge(tmp_path / f"{name}.safetensors")
    with pytest.raises(OSError):
        SuccessJudge(tmp_path / "none.safetensors")
