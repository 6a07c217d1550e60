"""Episodes whose every number follows from their number: what is read back can be compared."""

# pyright: standard

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from sim2arm.policies.dataset.layout import DatasetSpec, Feature
from sim2arm.policies.dataset.reader import Dataset
from sim2arm.policies.dataset.writer import DatasetWriter

SCENE, GEL, DEPTH = "observation.images.scene", "observation.tactile.left", "observation.depth"
SPEC = DatasetSpec(
    fps=30,
    robot_type="fr3",
    documents={"contract": {"control_hz": 30.0}, "calibration": {"hand_eye": [1.0, 2.0]}},
    features={
        "observation.state": Feature(dtype="float32", shape=(3,), names=("a", "b", "c"), unit="m"),
        "action": Feature(dtype="float32", shape=(2,)),
        "observation.touch_field": Feature(dtype="float32", shape=(2, 4, 3, 3), unit="N"),
        "sync.stamp_ns": Feature(dtype="int64", shape=(1,)),
        "safety.held": Feature(dtype="bool", shape=(1,)),
        "safety.levels": Feature(dtype="uint8", shape=(2,)),
        "sim.qpos": Feature(dtype="float64", shape=(1,)),
        "source": Feature(dtype="string", shape=(1,)),
        SCENE: Feature(dtype="video", shape=(48, 64, 3)),
        GEL: Feature(dtype="image", shape=(12, 10, 3)),
        DEPTH: Feature(dtype="image", shape=(8, 6, 1), bits=16, unit="mm"),
    },
)
TASKS = ("lift the cube", "put it down")


def length(episode: int) -> int:
    """Return how many rows an episode has."""
    return 5 + episode % 3


def frame(episode: int, k: int) -> dict[str, Any]:
    """Return a row."""
    rng = np.random.default_rng(1000 * episode + k)
    y, x = np.mgrid[:48, :64]
    wave = [np.sin(x / 20.0 + k), np.cos(y / 20.0 + episode), np.sin((x + y) / 30.0)]
    return {
        "observation.state": rng.normal(size=3).astype(np.float32),
        "action": rng.normal(size=2).astype(np.float32),
        "observation.touch_field": rng.normal(size=(2, 4, 3, 3)).astype(np.float32),
        "sync.stamp_ns": np.int64(10**18 + 33_333_333 * k),
        "safety.held": np.bool_(k % 2),
        "safety.levels": np.array([k, 255 - k], dtype=np.uint8),
        "sim.qpos": np.float64(k + 0.1),
        "source": "human" if k % 3 else "policy",
        SCENE: np.stack([128.0 + 50.0 * w for w in wave], axis=-1).astype(np.uint8),
        GEL: rng.integers(0, 256, (12, 10, 3)).astype(np.uint8),
        DEPTH: rng.integers(0, 65536, (8, 6, 1)).astype(np.uint16),
    }


def task(k: int) -> str:
    """Return what is done in a row."""
    return TASKS[k > 2]


def record(writer: DatasetWriter, episode: int) -> int:
    """Record an episode; return its number in the dataset."""
    running = writer.begin()
    for k in range(length(episode)):
        assert running.add(frame(episode, k), task(k))
    return running.commit({"seed": episode})


def assert_is(dataset: Dataset, number: int, episode: int) -> None:
    """Check every number of an episode of a dataset."""
    rows, frames = dataset.episode(number), range(length(episode))
    expected = [frame(episode, k) for k in frames]
    assert len(rows["index"]) == len(expected)
    assert dataset.notes(number)["seed"] == episode
    for key, feature in dataset.features.items():
        if key == "sync.dropped":
            continue
        wanted = [row[key] for row in expected]
        if feature.dtype == "string":
            assert rows[key] == wanted
        elif feature.dtype == "video":
            found = dataset.pictures(key, number, frames).astype(float)
            error = np.mean((found - np.stack(wanted)) ** 2, axis=(1, 2, 3))
            assert (10.0 * np.log10(255.0**2 / error) > 35.0).all()
        elif feature.dtype == "image":
            np.testing.assert_array_equal(dataset.pictures(key, number, frames), np.stack(wanted))
        else:
            value = np.stack(wanted).reshape(len(wanted), *feature.shape)
            np.testing.assert_array_equal(rows[key], value)
    begin = int(dataset.starts[number])
    np.testing.assert_array_equal(rows["index"][:, 0], begin + np.arange(len(expected)))
    np.testing.assert_array_equal(rows["frame_index"][:, 0], np.arange(len(expected)))
    assert (rows["episode_index"] == number).all()
    np.testing.assert_array_equal(
        rows["timestamp"][:, 0], np.float32(np.arange(len(expected)) / 30)
    )
    found_tasks = [dataset.index.tasks[t] for t in rows["task_index"][:, 0]]
    assert found_tasks == [task(k) for k in frames]


def make(root: Path, count: int) -> None:
    """Write a dataset of the episodes 0 to `count` - 1."""
    with DatasetWriter(root, SPEC) as writer:
        for episode in range(count):
            assert record(writer, episode) == episode
