"""A classifier of success: what counts as success, what it learns, its file."""

# pyright: standard

from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import save_file

from sim2arm.cli import main as cli
from sim2arm.policies.dataset.layout import DatasetSpec, Feature
from sim2arm.policies.dataset.reader import Dataset
from sim2arm.policies.dataset.writer import DatasetWriter
from sim2arm.policies.demonstrations import Demonstrations
from sim2arm.policies.success import (
    SuccessCfg,
    SuccessJudge,
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


def test_thresholds_lie_above_all_that_is_none() -> None:
    found = _measure(np.array([0.1, 0.2, 0.6]), np.array([0.5, 0.9, 0.95, 0.7]))
    assert found.threshold == pytest.approx(0.8)  # half of the way from 0.6 to 1
    assert (found.recall, found.won, found.others) == (0.5, 4, 3)
    assert found.separation == pytest.approx(1.0 - 1.0 / 12.0)  # 0.5 is below 0.6: one of 12 pairs
    assert _measure(np.array([0.3]), np.array([0.3])).separation == 0.5
    assert _measure(np.array([0.0]), np.array([1.0])).threshold == 0.5


def test_it_sees_the_lamp_in_episodes_that_it_did_not_learn_from(
    dataset: Dataset, tmp_path: Path
) -> None:
    torch.set_num_threads(1)
    demos = Demonstrations(dataset, ("wrist_rgb",))
    succeeded = [number % 3 != 2 for number in range(18)]
    parts = parts_of(demos, succeeded, 10.0, CFG)
    network, found = learn_success(demos.arrays, parts, CFG)
    assert found.separation > 0.99 and found.recall > 0.9
    again, same = learn_success(demos.arrays, parts, CFG)
    assert same == found
    for a, b in zip(network.parameters(), again.parameters(), strict=True):
        assert torch.equal(a, b)

    path = tmp_path / "judge.safetensors"
    save_success(path, network, demos.arrays, CFG.hidden, found.threshold)
    judge = SuccessJudge(path, ticks=3)
    assert judge.sees == {"wrist_rgb": (24, 32, 3)}
    rows = [{n: v[k : k + 1].numpy() for n, v in demos.arrays.items()} for k in range(24)]
    said = [judge.won(row) for row in rows[:12]]
    assert said == [False] * 11 + [True]  # the third of three frames in a row
    with torch.no_grad():
        logit = network({n: v[11:12] for n, v in demos.arrays.items()})
    assert judge.score == pytest.approx(float(logit.sigmoid()), abs=1e-6)
    judge.reset()
    assert not judge.won(rows[11])


def test_noise_alone_tells_nothing(dataset: Dataset) -> None:
    demos = Demonstrations(dataset, ("joint_position",))
    parts = parts_of(demos, [n % 3 != 2 for n in range(18)], 10.0, CFG)
    _, found = learn_success(demos.arrays, parts, CFG)
    assert found.separation < 0.8


def test_by_the_command(
    dataset: Dataset, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "judge.safetensors"
    words = ["judge", str(dataset.root), "--out", str(out), "--sees", "joint_position", "wrist_rgb"]
    words += ["--learn.steps", "150", "--learn.tail-s", "0.3", "--learn.gap-s", "0.2"]
    assert cli.main([*words, "--learn.batch", "32", "--learn.hidden", "16"]) == 0
    said = capsys.readouterr().out
    assert "held out: 6 frames of success" in said and "none of the rest" in said
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


def test_what_is_no_judge(dataset: Dataset, tmp_path: Path) -> None:
    other, damaged = tmp_path / "other.safetensors", tmp_path / "damaged.safetensors"
    save_file({"a": torch.zeros(2)}, other)
    damaged.write_bytes(b"no tensors")
    with pytest.raises(ValueError, match="expected a file of sim2arm judge"):
        SuccessJudge(other)
    with pytest.raises(ValueError, match="is damaged"):
        SuccessJudge(damaged)
    with pytest.raises(OSError):
        SuccessJudge(tmp_path / "none.safetensors")
