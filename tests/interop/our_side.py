"""Whether lerobot loads what we write, and we what lerobot writes: `make interop`.

Run from the root of the repository as `python -m tests.interop.our_side PYTHON`, where PYTHON has
lerobot installed; folders of datasets may follow, which are then checked too.
"""

# pyright: standard

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from sim2arm.policies.dataset.layout import DEFAULTS, PICTURES, DatasetSpec
from sim2arm.policies.dataset.reader import PAD, Dataset
from sim2arm.policies.dataset.writer import DatasetWriter
from tests.policies.dataset.episodes import SCENE, SPEC, frame, task
from tests.policies.dataset.schema import as_text, schema_of

FLAT = {
    key: feature
    for key, feature in SPEC.features.items()
    if feature.dtype in PICTURES or len(feature.shape) == 1
}
SETS = {
    "all-kinds": (SPEC, (5, 70, 2)),
    "one-row": (replace(SPEC, features=FLAT), (3, 1, 2)),
}
"""Our sets, with the rows of their episodes."""
SIDE = Path(__file__).with_name("lerobot_side.py")
Arrays = dict[str, Any]


class DifferenceError(Exception):
    """Something is not as it must be; one line."""


def require(right: Any, what: str) -> None:
    """Raise a `DifferenceError` that says what is not as it must be."""
    if not bool(right):
        raise DifferenceError(what)


def say(line: str) -> None:
    """Print a result."""
    print(f"  ok        {line}", flush=True)


def run(python: str, home: Path, *arguments: str | Path) -> str:
    """Run a step of the other side; return what it printed.

    Raises:
        DifferenceError: it found a difference, or could not run.
    """
    env = {
        **os.environ, "HF_HUB_OFFLINE": "1", "HF_HOME": str(home), "HF_LEROBOT_HOME": str(home),
        "PYTHONWARNINGS": "ignore", "TQDM_DISABLE": "1", "SVT_LOG": "1",
    }  # fmt: skip
    env.pop("PYTHONPATH", None)
    command = [python, str(SIDE), *map(str, arguments)]
    try:
        done = subprocess.run(command, env=env, text=True, capture_output=True, check=False)
    except OSError as error:
        raise DifferenceError(
            f"{python}: expected a Python with lerobot: {error.strerror}"
        ) from error
    print(done.stdout, end="", flush=True)
    if done.returncode:
        said = done.stderr.strip()[-3000:]
        raise DifferenceError(f"{arguments[0]} ended with {done.returncode}: {said}")
    return done.stdout


# -- what is expected ------------------------------------------------------------------------------


def record(root: Path, spec: DatasetSpec, lengths: Sequence[int]) -> None:
    """Write a set."""
    with DatasetWriter(root, spec) as writer:
        for episode, length in enumerate(lengths):
            running = writer.begin()
            for k in range(length):
                while running.full:
                    time.sleep(0.001)
                row = {key: v for key, v in frame(episode, k).items() if key in spec.features}
                require(running.add(row, task(k)), "a frame was dropped")
            running.commit({"seed": episode})


def read(dataset: Dataset, number: int) -> Arrays:
    """Return all columns of an episode, as our reader has them."""
    rows, found = dataset.episode(number), dict[str, Any]()
    count = range(len(rows["index"]))
    for key, feature in {**dataset.features, **DEFAULTS}.items():
        if feature.dtype in PICTURES:
            found[key] = dataset.pictures(key, number, count)
        else:
            found[key] = np.array(rows[key])
    return found


def check_truth(dataset: Dataset, lengths: Sequence[int]) -> None:
    """What was recorded is what our reader has: videos of 35 dB, all else to the bit."""
    for number, length in enumerate(lengths):
        found = read(dataset, number)
        for k in range(length):
            for key in found.keys() & frame(number, k).keys():
                value, own = frame(number, k)[key], found[key][k]
                if key == SCENE:
                    error = np.mean((own.astype(float) - value) ** 2)
                    require(10.0 * np.log10(255.0**2 / error) > 35.0, f"{key} of {number}, {k}")
                else:
                    require(
                        np.array_equal(own, np.reshape(value, own.shape)), f"{key} {number} {k}"
                    )


def write_expected(dataset: Dataset, folder: Path) -> None:
    """Write what the other side must find."""
    folder.mkdir()
    index, lengths = dataset.index, np.diff(dataset.starts).tolist()
    tasks = []
    for number in range(index.episodes):
        found = read(dataset, number)
        np.savez(folder / f"episode-{number}.npz", **found)
        order = dict.fromkeys(found["task_index"][:, 0].tolist())
        tasks.append([index.tasks[k] for k in order])
    expected = {
        "fps": index.spec.fps,
        "robot_type": index.spec.robot_type,
        "lengths": lengths,
        "tasks": list(index.tasks),
        "episode_tasks": tasks,
        "columns": list({**dataset.features, **DEFAULTS}),
        "stats": {
            key: {name: value.tolist() for name, value in own.items()}
            for key, own in index.stats.items()
        },
    }
    (folder / "expected.json").write_text(json.dumps(expected))


# -- what lerobot wrote ----------------------------------------------------------------------------


def check_rows(
    ours: Dataset, theirs: Dataset, shift: int, videos: Mapping[str, Any] | None
) -> None:
    """Every column of a set that lerobot made of ours, and of ours that lie `shift` before."""
    for number in range(ours.index.episodes):
        mine, other = read(ours, number), read(theirs, number + shift)
        start = int(theirs.starts[number + shift])
        for key in {**theirs.features, **DEFAULTS}:
            what, value, wanted = f"{key} of episode {number + shift}", other[key], mine[key]
            if key in ("index", "episode_index"):
                step = start - int(ours.starts[number]) if key == "index" else shift
                require(np.array_equal(value, wanted + step), what)
            elif key == "task_index":
                names = ([s.index.tasks[k] for k in v[:, 0]]
                         for s, v in ((theirs, value), (ours, wanted)))  # fmt: skip
                require(next(names) == next(names), what)
            elif key in theirs.features and theirs.features[key].dtype == "video":
                if videos is not None:
                    wanted = videos[key][start : start + len(value)]
                apart = np.abs(value.astype(float) - wanted)
                line = f"{what}: {apart.mean():.2f} levels apart, {apart.max():.0f} at most"
                require(apart.mean() <= 1.0 and apart.max() <= 12.0, line)
            else:
                require(np.array_equal(value, wanted), what)


def check_windows(dataset: Dataset) -> None:
    """Windows of a foreign set end with their episode."""
    offsets: dict[str, Sequence[int]] = {key: (-2, 0, 3) for key in dataset.features}
    for number in range(dataset.index.episodes):
        start, end = (int(k) for k in dataset.starts[number : number + 2])
        rows = read(dataset, number)
        for index in {*range(start, end, 1 + (end - start) // 50), end - 1}:
            found, lines = dataset.window(index, offsets), index + np.array([-2, 0, 3])
            for key in offsets:
                what, value = f"window of {key} at {index}", np.array(found[key])
                outside = (lines < start) | (lines >= end)
                require(np.array_equal(found[key + PAD], outside), what)
                own = rows[key][lines.clip(start, end - 1) - start]
                require(np.array_equal(value, own), what)


def check_stats(ours: Dataset, theirs: Dataset) -> None:
    """Statistics that lerobot counted are ours, but for what it counts otherwise."""
    for key, own in theirs.index.stats.items():
        mine, feature = ours.index.stats[key], {**ours.features, **DEFAULTS}[key]
        require(own.keys() == mine.keys(), f"statistics of {key}: {sorted(own)}")
        picture = feature.dtype in PICTURES
        if key == "task_index" or (len(feature.shape) > 1 and not picture):
            continue  # lerobot numbers tasks at random, and reduces all axes but the last
        span = float(np.abs(mine["max"]).max())
        # of pictures both count samples, we before they are compressed; its variances: float32
        near = {"mean": 0.02} if picture else {"min": 1e-6, "max": 1e-6, "mean": 1e-6, "std": 1e-3}
        if feature.dtype == "uint8":
            near.pop("std")  # lerobot 0.4 squares in 8 bits
        for name, value in own.items():
            apart = float(np.abs(value - mine[name]).max())
            close = name not in near or apart <= near[name] * span
            require(
                close and value.shape == mine[name].shape,
                f"{name} of {key}: {value}, ours: {mine[name]}",
            )


def check_theirs(ours: Dataset, root: Path, folder: Path) -> None:
    """Our reader on the set that lerobot wrote."""
    theirs = Dataset(root)
    require(theirs.index.chain is None, "it is not one of others")
    require(theirs.index.spec.fps == ours.index.spec.fps, "fps")
    require(theirs.index.spec.robot_type == ours.index.spec.robot_type, "robot_type")
    for key, feature in theirs.features.items():
        own = ours.features[key]
        require((feature.dtype, feature.shape, feature.names, feature.bits)
                == (own.dtype, own.shape, own.names, own.bits), f"{key}: {feature}")  # fmt: skip
    with np.load(folder / "videos_of_lerobot.npz") as videos:
        check_rows(ours, theirs, 0, videos)
    check_windows(theirs)
    check_stats(ours, theirs)
    say(f"our reader: {len(theirs)} frames, {len(theirs.features)} columns, windows, statistics")


def check_set(python: str, root: Path, work: Path, home: Path) -> None:
    """Check one of our sets in all ways."""
    ours, folder = Dataset(root), work / "expected"
    write_expected(ours, folder)
    print(f"{root.name}: {ours.index.episodes} episodes, {len(ours)} frames, loaded by lerobot")
    run(python, home, "load", root, folder)
    if np.diff(ours.starts).min() > 1:
        print(f"{root.name}: written by lerobot, read by us")
        run(python, home, "write", root, folder, work / "theirs")
        check_theirs(ours, work / "theirs", folder)
    else:
        print(
            "  left out  lerobot cannot write it: its statistics of a single row have other shapes"
        )
    deep = [k for k, f in ours.features.items() if f.dtype not in PICTURES and len(f.shape) > 1]
    if deep:
        print(f"  left out  lerobot cannot merge it, nor its own, for {', '.join(deep)}")
        return
    print(f"{root.name}: merged by lerobot, read by us")
    run(python, home, "merge", root, work / "merged")
    merged = Dataset(work / "merged")
    require(len(merged) == 2 * len(ours), f"{len(merged)} frames of {2 * len(ours)}")
    for shift in (0, ours.index.episodes):
        check_rows(ours, merged, shift, None)
    say(f"our reader: {len(merged)} frames")


def main(argv: Sequence[str] | None = None) -> int:
    """Check everything; return 1 at the first difference."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("python", help="Python with lerobot")
    parser.add_argument("sets", nargs="*", type=Path, help="folders of recorded datasets")
    parser.add_argument("--golden", type=Path, help="write the layout of lerobot's set there")
    given = parser.parse_args(argv)
    with tempfile.TemporaryDirectory(prefix="interop-") as name:
        work = Path(name)
        try:
            versions = run(given.python, work / "home", "version").split("\n")
            for kind, (spec, lengths) in SETS.items():
                record(work / kind, spec, lengths)
                check_truth(Dataset(work / kind), lengths)
            for number, root in enumerate((*(work / kind for kind in SETS), *given.sets)):
                place = work / str(number)
                place.mkdir()
                check_set(given.python, root, place, work / "home")
            if given.golden is not None:
                golden = {"written_by": versions[0], **schema_of(work / "0" / "theirs")}
                given.golden.write_text(as_text(golden))
        except DifferenceError as difference:
            print(f"FAILED: {difference}", file=sys.stderr)
            return 1
    print("interop: no difference")
    return 0


if __name__ == "__main__":
    sys.exit(main())
