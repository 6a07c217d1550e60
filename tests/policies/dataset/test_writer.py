"""What is recorded is what is read: rows, pictures, notes, tasks, statistics; what is refused."""

# pyright: standard

import json
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from sim2arm.policies.dataset import encoding
from sim2arm.policies.dataset.files import DatasetError
from sim2arm.policies.dataset.layout import Feature
from sim2arm.policies.dataset.reader import Dataset
from sim2arm.policies.dataset.writer import DROPPED, DatasetWriter

from .episodes import DEPTH, GEL, SCENE, SPEC, TASKS, assert_is, frame, length, make, record


def test_what_is_recorded_is_what_is_read(tmp_path: Path) -> None:
    make(tmp_path, 4)
    dataset = Dataset(tmp_path)
    assert (dataset.index.episodes, len(dataset)) == (4, sum(map(length, range(4))))
    assert dataset.index.tasks == TASKS
    assert dataset.index.spec.documents == SPEC.documents
    for episode in range(4):
        assert_is(dataset, episode, episode)
    assert not (tmp_path / ".recording").exists()


@pytest.mark.parametrize("known", [False, True])
def test_a_picture_that_comes_again_is_there_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, known: bool
) -> None:
    """Rows come faster than pictures, said or not; those without loss are encoded once."""
    encoded: list[int] = []
    once = encoding.encode_png
    monkeypatch.setattr(encoding, "encode_png", lambda p: encoded.append(p.shape[2]) or once(p))
    order = (0, 0, 0, 1, 1, 0)
    with DatasetWriter(tmp_path, SPEC) as writer:
        running = writer.begin()
        for k, source in enumerate(order):
            picture = frame(0, source)[GEL]
            again = known and k > 0 and source == order[k - 1]
            running.add(frame(0, k) | {GEL: None if again else picture}, "t")
        running.commit()
    found = Dataset(tmp_path).pictures(GEL, 0, range(len(order)))
    for picture, source in zip(found, order, strict=True):
        np.testing.assert_array_equal(picture, frame(0, source)[GEL])
    assert encoded.count(3) == 3


def test_the_first_row_has_all_pictures(tmp_path: Path) -> None:
    with DatasetWriter(tmp_path, SPEC) as writer, pytest.raises(ValueError, match=f"{GEL}: expect"):
        writer.begin().add(frame(0, 0) | {GEL: None}, "t")


def test_it_goes_on_where_it_was(tmp_path: Path) -> None:
    make(tmp_path, 2)
    with DatasetWriter(tmp_path, SPEC) as writer:
        assert writer.index.episodes == 2
        running = writer.begin()
        running.add(frame(9, 0), "another")
        running.discard()
        assert record(writer, 2) == 2
    dataset = Dataset(tmp_path)
    for episode in range(3):
        assert_is(dataset, episode, episode)
    assert dataset.index.tasks == TASKS  # what was discarded left nothing


def test_statistics_are_those_of_all_frames(tmp_path: Path) -> None:
    make(tmp_path, 3)
    stats = json.loads((tmp_path / "meta" / "stats.json").read_text())
    every = [frame(e, k) for e in range(3) for k in range(length(e))]
    states = np.stack([row["observation.state"] for row in every]).astype(float)
    own = stats["observation.state"]
    for name in ("min", "max", "mean", "std"):
        np.testing.assert_allclose(own[name], getattr(states, name)(axis=0), rtol=1e-12)
    assert own["count"] == [len(every)]
    # quantiles are means of those of the episodes
    parts = [states[:5], states[5:11], states[11:]]
    q10 = sum(len(p) * np.quantile(p, 0.1, axis=0) for p in parts) / len(states)
    np.testing.assert_allclose(own["q10"], q10, rtol=1e-12)
    gels = np.stack([row[GEL] for row in every]) / 255.0
    for name in ("min", "max", "mean", "std"):
        expected = getattr(gels, name)(axis=(0, 1, 2))
        np.testing.assert_allclose(np.array(stats[GEL][name])[:, 0, 0], expected, rtol=1e-9)
    assert np.array(stats[SCENE]["q50"]).shape == (3, 1, 1)
    depths = np.stack([row[DEPTH] for row in every]).astype(float)  # as it is, not of [0, 1]
    for name in ("min", "max", "mean", "std"):
        np.testing.assert_allclose(stats[DEPTH][name], [[[getattr(depths, name)()]]], rtol=1e-9)
    assert "source" not in stats
    assert stats["timestamp"]["max"] == [pytest.approx(6 / 30)]


@pytest.mark.parametrize("every", [1, 3])
def test_frames_without_room_are_dropped_as_a_whole_and_counted(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, every: int
) -> None:
    """A picture that was new in a row that is dropped is that of the next row, if it stays."""

    def row(k: int) -> dict[str, Any]:
        new = {} if k % every == 0 else {GEL: None}
        return frame(0, k) | new

    slow = encoding.encode_png

    def encode(picture: Any) -> bytes:
        time.sleep(0.03)
        return slow(picture)

    monkeypatch.setattr(encoding, "encode_png", encode)
    with DatasetWriter(tmp_path, SPEC, queue=2) as writer:
        running = writer.begin()
        kept = [k for k in range(30) if running.add(row(k), "t")]
        assert 0 < running.dropped == 30 - len(kept)
        assert running.length == len(kept)
        while not running.add(row(30), "t"):
            time.sleep(0.01)
        dropped = running.dropped
        running.commit()
    dataset = Dataset(tmp_path)
    rows = dataset.episode(0)
    stamps = (rows["sync.stamp_ns"][:, 0] - 10**18) // 33_333_333
    assert stamps.tolist() == [*kept, 30]
    gaps = rows[DROPPED][:, 0]
    assert gaps.sum() == dropped == dataset.notes(0)["dropped"]
    np.testing.assert_array_equal(gaps[1:-1], np.diff(kept) - 1)
    np.testing.assert_array_equal(
        dataset.pictures(GEL, 0, range(len(stamps))),
        [frame(0, k - k % every)[GEL] for k in stamps],
    )


WRONG = {
    "shape": ({"action": np.zeros(3, np.float32)}, r"action: expected float32 \[2\], got float32"),
    "type": ({"action": np.zeros(2)}, r"action: expected float32 \[2\], got float64 \[2\]"),
    "picture": ({GEL: np.zeros((12, 10, 4), np.uint8)}, r"expected uint8 \[12, 10, 3\]"),
    "unknown": ({"more": 1}, r"lacking \[\], new \['more'\]"),
}


@pytest.mark.parametrize("case", WRONG)
def test_a_wrong_frame_is_refused_and_leaves_nothing(tmp_path: Path, case: str) -> None:
    change, said = WRONG[case]
    with DatasetWriter(tmp_path, SPEC) as writer:
        running = writer.begin()
        with pytest.raises(ValueError, match=said):
            running.add({**frame(0, 0), **change}, "t")
        lacking = {k: v for k, v in frame(0, 0).items() if k != "action"}
        with pytest.raises(ValueError, match=r"lacking \['action'\]"):
            running.add(lacking, "t")
        with pytest.raises(ValueError, match="without rows"):
            running.commit()


def test_who_may_write(tmp_path: Path) -> None:
    with DatasetWriter(tmp_path / "a", SPEC) as writer:
        record(writer, 0)
        with pytest.raises(DatasetError, match="another process writes to it"):
            DatasetWriter(tmp_path / "a", SPEC)
    more = {**SPEC.features, "extra": Feature(dtype="int64", shape=(1,))}
    for change, said in (
        ({"fps": 25}, "holds 30 frames per second, not 25: choose another folder"),
        ({"robot_type": "panda"}, "holds the robot 'fr3', not 'panda'"),
        ({"features": more}, "holds other columns: extra"),
        ({"documents": {}}, "holds other documents"),
    ):
        with pytest.raises(DatasetError, match=said):
            DatasetWriter(tmp_path / "a", replace(SPEC, **change))
    (tmp_path / "b").mkdir()
    (tmp_path / "b" / "thesis.tex").write_text("x")
    with pytest.raises(DatasetError, match=r"expected an empty folder, found thesis\.tex"):
        DatasetWriter(tmp_path / "b", SPEC)


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"dtype": "complex64"}, "dtype: expected one of"),
        ({"shape": ()}, "shape: expected 1 to 5 sizes"),
        ({"names": ("a",)}, "names: expected 2, got 1"),
        ({"bits": 16}, "bits: only images have them"),
        ({"dtype": "video", "shape": (47, 64, 3)}, "video: expected even sizes"),
        ({"dtype": "image", "shape": (4, 4, 2)}, "1 or 3"),
        ({"dtype": "image", "shape": (4, 4, 3), "bits": 16}, "16 of one channel"),
    ],
)
def test_features_that_the_format_cannot_hold(change: dict[str, Any], said: str) -> None:
    with pytest.raises(ValueError, match=said):
        replace(Feature(dtype="float32", shape=(2,)), **change)
    with pytest.raises(ValueError, match="without '/'"):
        replace(SPEC, features={"a/b": Feature(dtype="float32", shape=(2,))})


def test_one_episode_at_a_time_while_it_is_open(tmp_path: Path) -> None:
    writer = DatasetWriter(tmp_path, SPEC)
    running = writer.begin()
    running.add(frame(0, 0), "t")
    with pytest.raises(DatasetError, match="an episode runs already"):
        writer.begin()
    writer.close()
    with DatasetWriter(tmp_path, SPEC) as other:
        record(other, 0)
        with pytest.raises((DatasetError, OSError)):
            running.commit()
    assert_is(Dataset(tmp_path), 0, 0)
    with pytest.raises(DatasetError, match="the writer is closed"):
        writer.begin()


def test_notes_that_are_no_plain_data_leave_the_episode_running(tmp_path: Path) -> None:
    with DatasetWriter(tmp_path, SPEC) as writer:
        running = writer.begin()
        for k in range(length(0)):
            running.add(frame(0, k), TASKS[k > 2])
        with pytest.raises(ValueError, match="notes: expected plain data"):
            running.commit({"seed": np.int64(0)})
        assert running.commit({"seed": 0}) == 0
    assert_is(Dataset(tmp_path), 0, 0)


def test_what_is_not_finite_is_kept_and_counts_as_nothing(tmp_path: Path) -> None:
    with DatasetWriter(tmp_path, SPEC) as writer:
        running = writer.begin()
        for value in (np.nan, 2.0, np.inf):
            running.add({**frame(0, 0), "action": np.array([value, 1.0], np.float32)}, "t")
        running.commit()
    rows = Dataset(tmp_path).episode(0)["action"]
    np.testing.assert_array_equal(rows[:, 0], np.array([np.nan, 2.0, np.inf], np.float32))
    stats = json.loads((tmp_path / "meta" / "stats.json").read_text())["action"]
    assert stats["max"] == [2.0, 1.0] and stats["mean"][0] == pytest.approx(2.0 / 3.0)


@pytest.mark.parametrize("method", ["add", "close"])
@pytest.mark.timeout(20)
def test_an_encoder_that_fails_is_heard_of_and_nobody_waits(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, method: str
) -> None:
    def fail(*_: Any, **__: Any) -> None:
        raise RuntimeError("no room")

    make(tmp_path, 1)
    with DatasetWriter(tmp_path, SPEC) as writer:
        monkeypatch.setattr(encoding.VideoFile, method, fail)
        running = writer.begin()
        said = "cannot be encoded: no room"
        if method == "close":
            running.add(frame(1, 0), "t")
            with pytest.raises(OSError, match=said):
                running.commit()
        else:
            with pytest.raises(OSError, match=said):
                for k in range(100):
                    running.add(frame(1, k), "t")
                    time.sleep(0.002)
            running.discard()
        monkeypatch.undo()
        assert record(writer, 1) == 1
    for episode in range(2):
        assert_is(Dataset(tmp_path), episode, episode)
