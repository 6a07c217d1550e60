"""What the lerobot package makes of a dataset; runs under a Python that has it, not under ours.

`our_side.py` starts it. The steps are `load` (every frame of a set, against arrays that our side
wrote), `write` (the same episodes as a set of lerobot's own) and `merge` (a set twice, by lerobot).
Needs lerobot, numpy and what lerobot needs; the first difference ends it.
"""

# Neither lerobot nor datasets are in our environment.
# pyright: basic, reportMissingImports=false

from __future__ import annotations

import importlib.metadata
import json
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import torch
from lerobot.datasets.aggregate import aggregate_datasets
from lerobot.datasets.compute_stats import aggregate_stats
from lerobot.datasets.lerobot_dataset import LeRobotDataset

try:
    from lerobot.utils.feature_utils import dataset_to_policy_features  # lerobot >= 0.5
except ImportError:
    from lerobot.datasets.utils import dataset_to_policy_features

PICTURES = ("image", "video")
DEFAULTS = ("timestamp", "frame_index", "episode_index", "index", "task_index")
GIVEN = {
    "float64": "float32",
    **dict.fromkeys(("uint8", "int8", "int16", "uint16", "int32"), "int64"),
}
"""As what lerobot gives numbers of other types, whatever info.json says."""
MEAN, MOST = 1.0, 12.0
"""How far the levels of two decoders' pictures may be apart: on average, and of one pixel."""
Arrays = dict[str, np.ndarray]


class Expected:
    """What our side says of a set: `expected.json`, and arrays per episode."""

    def __init__(self, folder: Path) -> None:
        self.info: dict[str, Any] = json.loads((folder / "expected.json").read_text())
        self.episodes: list[Arrays] = []
        for number in range(len(self.info["lengths"])):
            with np.load(folder / f"episode-{number}.npz") as file:
                self.episodes.append({key: file[key] for key in file.files})
        self.starts = np.cumsum([0, *self.info["lengths"]]).tolist()

    def place(self, index: int) -> tuple[int, int]:
        """Return episode and row of a frame."""
        episode = int(np.searchsorted(self.starts, index, side="right")) - 1
        return episode, index - self.starts[episode]


def backends() -> list[str]:
    """Return the video decoders that load here."""
    try:
        from torchcodec.decoders import VideoDecoder  # noqa: F401
    except (ImportError, OSError, RuntimeError) as error:
        say("left out", f"torchcodec does not load here: {str(error).strip().splitlines()[0]}")
        return ["pyav"]
    return ["pyav", "torchcodec"]


def say(state: str, line: str) -> None:
    """Print a result."""
    print(f"  {state:9s} {line}", flush=True)


def require(right: Any, what: str) -> None:
    """End with a line if something is not as it must be.

    Raises:
        SystemExit: it is not.
    """
    if not bool(right):
        raise SystemExit(f"  DIFFERS   {what}")


def as_levels(feature: dict[str, Any], value: torch.Tensor) -> np.ndarray:
    """Return a picture (..., rows, columns, channels) as it was, of lerobot's (..., C, H, W)."""
    found = np.moveaxis(value.numpy(), -3, -1)
    if feature.get("bits", 8) == 16:
        # lerobot < 0.6 takes the bits for signed numbers
        return found.view(np.uint16) if found.dtype == np.int16 else found
    return np.rint(found.astype(np.float64) * 255.0)


def compare(feature: dict[str, Any], value: Any, expected: np.ndarray, what: str) -> float:
    """Require that a column is as expected, videos nearly; return how many levels differ."""
    if feature["dtype"] == "string":
        require(value == str(expected), f"{what}: {value!r}, expected {str(expected)!r}")
        return 0.0
    if feature["dtype"] in PICTURES:
        found = as_levels(feature, value)
        require(found.shape == expected.shape, f"{what}: shape {found.shape} of {expected.shape}")
        apart = np.abs(found.astype(float) - expected)
        mean, most = (MEAN, MOST) if feature["dtype"] == "video" else (0.0, 0.0)
        line = f"{what}: {apart.mean():.2f} levels apart on average, {apart.max():.0f} at most"
        require(apart.mean() <= mean and apart.max() <= most, line)
        return float(apart.max())
    found, given = value.numpy(), GIVEN.get(str(expected.dtype), str(expected.dtype))
    require(found.dtype == given, f"{what}: {found.dtype} of {expected.dtype}")
    expected = expected.astype(given)
    same = np.array_equal(
        found.reshape(expected.shape), expected, equal_nan=found.dtype.kind == "f"
    )
    require(same, f"{what}: {found}, expected {expected}")
    return 0.0


def features_of(data: Any) -> dict[str, Any]:
    """Return the features as info.json has them."""
    return json.loads((Path(data.root) / "meta" / "info.json").read_text())["features"]


def check_meta(data: Any, expected: Expected) -> None:
    """What the set says about itself."""
    meta, info = data.meta, expected.info
    require(meta.fps == info["fps"], f"fps: {meta.fps}")
    require((meta.robot_type or "") == info["robot_type"], f"robot_type: {meta.robot_type}")
    require(meta.total_episodes == len(info["lengths"]), f"episodes: {meta.total_episodes}")
    require(meta.total_frames == len(data) == sum(info["lengths"]), f"frames: {len(data)}")
    require(meta.tasks.index.tolist() == info["tasks"], f"tasks: {meta.tasks}")
    require(meta.tasks["task_index"].tolist() == [*range(len(info["tasks"]))], "task_index")
    require(set(meta.features) == {*info["columns"]}, f"columns: {sorted(meta.features)}")
    for number, length in enumerate(info["lengths"]):
        row = meta.episodes[number]
        span = (row["length"], row["dataset_from_index"], row["dataset_to_index"])
        start = expected.starts[number]
        require(span == (length, start, start + length), f"episode {number}: {span}")
        require(row["tasks"] == info["episode_tasks"][number], f"episode {number}: {row['tasks']}")
    say("ok", f"fps, tasks, {len(info['lengths'])} lengths, {len(meta.features)} columns")
    policy = {
        name: kind.type.name for name, kind in dataset_to_policy_features(meta.features).items()
    }
    for name in policy:
        require(name.split(".")[0] in ("observation", "action"), f"a policy would see {name}")
    say("ok", f"policies of lerobot would use {policy}")


def check_stats(data: Any, expected: Expected) -> None:
    """Statistics: those of our index, of lerobot's aggregation, and of the frames themselves."""
    every = data.meta.stats
    require(every.keys() == expected.info["stats"].keys(), f"statistics of {sorted(every)}")
    for key, own in expected.info["stats"].items():
        require(every[key].keys() == own.keys(), f"statistics of {key}: {sorted(every[key])}")
        for name, value in own.items():
            require(np.array_equal(every[key][name], value), f"{name} of {key}: {every[key][name]}")
    import pandas

    rows = [
        pandas.read_parquet(path).iloc[0]
        for path in sorted((Path(data.root) / "meta" / "episodes").glob("*/*.parquet"))
    ]

    def stacked(value: Any) -> Any:
        """Return nested arrays of objects as one of numbers."""
        return np.stack([stacked(own) for own in value]) if np.ndim(value) else value

    parts = [
        {
            key: {name: stacked(row[f"stats/{key}/{name}"]) for name in own}
            for key, own in every.items()
        }
        for row in rows
    ]
    total = aggregate_stats(parts)
    for key, own in total.items():
        for name, value in own.items():
            same = np.allclose(value, every[key][name], rtol=1e-6, atol=1e-12)
            require(same, f"{name} of {key}: {every[key][name]}, lerobot: {value}")
    say("ok", f"statistics of {len(every)} columns, as lerobot aggregates those of the episodes")
    depth = set(getattr(data.meta, "depth_keys", ()))
    for key, own in every.items():
        picture = data.meta.features[key]["dtype"] in PICTURES
        frames = np.concatenate([episode[key] for episode in expected.episodes]).astype(float)
        frames = np.nan_to_num(frames, nan=0.0, posinf=0.0, neginf=0.0)
        if picture:
            frames = frames if key in depth else frames / 255.0
            frames = np.moveaxis(frames, -1, 1)
        if picture and data.meta.features[key].get("bits", 8) == 16 and key not in depth:
            continue  # lerobot < 0.6 has no depth
        axes = (0, 2, 3) if picture else 0
        shape = own["mean"].shape
        # of pictures a sample is counted, and videos are counted before they are encoded
        near = 0.05 * (frames.max() - frames.min()) if picture else 1e-6 * np.abs(frames).max()
        for name in ("mean", "std"):
            value = getattr(frames, name)(axis=axes).reshape(shape)
            require(
                np.abs(own[name] - value).max() <= near, f"{name} of {key}: {own[name]} {value}"
            )
    say("ok", "means and deviations are those of the frames as lerobot gives them")


def check_frames(data: Any, expected: Expected) -> str:
    """Compare every column of every frame; return a line."""
    features, apart = features_of(data), 0.0
    for index in range(len(data)):
        item, (episode, row) = data[index], expected.place(index)
        own = expected.episodes[episode]
        require(item.keys() == {*own, "task"}, f"frame {index}: {sorted(item)}")
        for key, values in own.items():
            near = compare(features[key], item[key], values[row], f"{key} of frame {index}")
            apart = max(apart, near)
        task = expected.info["tasks"][int(own["task_index"][row, 0])]
        require(item["task"] == task, f"task of frame {index}: {item['task']}")
    count = len(data) * len(expected.episodes[0])
    return f"{len(data)} frames, {count} values; videos at most {apart:.0f} levels of 255 apart"


def check_windows(data: Any, expected: Expected, windows: dict[str, list[int]]) -> str:
    """Compare windows of time and their padding masks; return a line."""
    features, padded = features_of(data), 0
    ends = {k for start in expected.starts for k in (start - 1, start, start + 1)}
    some = sorted({*range(0, len(data), 1 + len(data) // 100), *ends} & {*range(len(data))})
    for index in some:
        item, (episode, row) = data[index], expected.place(index)
        own = expected.episodes[episode]
        last = len(own["index"]) - 1
        for key, offsets in windows.items():
            wanted = row + np.array(offsets)
            mask = (wanted < 0) | (wanted > last)
            found = item[f"{key}_is_pad"].numpy()
            require(np.array_equal(found, mask), f"mask of {key} at frame {index}: {found}")
            values = own[key][wanted.clip(0, last)]
            compare(features[key], item[key], values, f"window of {key} at frame {index}")
            padded += int(mask.sum())
    return f"windows of {len(windows)} columns around {len(some)} frames, {padded} values padded"


def check_batches(data: Any, expected: Expected) -> str:
    """Compare the batches of a torch DataLoader; return a line."""
    features, loader = features_of(data), torch.utils.data.DataLoader(data, batch_size=4)
    index = count = 0
    for batch in loader:
        for k in range(len(batch["index"])):
            episode, row = expected.place(index)
            for key, values in expected.episodes[episode].items():
                compare(features[key], batch[key][k], values[row], f"{key} of batched {index}")
            index += 1
        count += 1
    require(index == len(data), f"{index} frames in batches")
    return f"{count} batches of a DataLoader"


def opened(root: Path, backend: str, **more: Any) -> Any:
    """Return a set that lerobot loads from a folder."""
    return LeRobotDataset("interop/set", root=root, video_backend=backend, **more)


def windows_of(data: Any) -> dict[str, list[int]]:
    """Return offsets for all columns but strings, wider for numbers."""
    return {
        key: [-1, 0] if feature["dtype"] in PICTURES else [-2, -1, 0, 1, 3]
        for key, feature in features_of(data).items()
        if feature["dtype"] != "string" and key not in DEFAULTS
    }


def load(root: Path, folder: Path) -> None:
    """Check a set that our side wrote."""
    expected, found = Expected(folder), backends()
    for number, backend in enumerate(found):
        data = opened(root, backend)
        if not number:
            check_meta(data, expected)
            check_stats(data, expected)
        windows = windows_of(data)
        times = {key: [k / data.fps for k in own] for key, own in windows.items()}
        wide = opened(root, backend, delta_timestamps=times)
        for line in (
            check_frames(data, expected),
            check_windows(wide, expected, windows),
            check_batches(data, expected),
        ):
            say("ok", f"{backend}: {line}")
    last = len(expected.episodes) - 1
    part = opened(root, found[0], episodes=[last])
    require(len(part) == expected.info["lengths"][last], f"the last episode alone: {len(part)}")
    require(part[0]["index"].item() == expected.starts[last], "first frame of the last episode")
    say("ok", "the last episode alone")


def frames_of(expected: Expected, features: dict[str, Any], episode: int) -> Iterator[Any]:
    """Yield the rows of an episode as lerobot records them."""
    own = expected.episodes[episode]
    for row in range(len(own["index"])):
        frame = {
            key: str(own[key][row]) if feature["dtype"] == "string" else own[key][row]
            for key, feature in features.items()
        }
        yield {**frame, "task": expected.info["tasks"][int(own["task_index"][row, 0])]}


def write(root: Path, folder: Path, out: Path) -> None:
    """Write the episodes of a set as lerobot does, and what it reads of its videos."""
    expected, given = Expected(folder), json.loads((root / "meta" / "info.json").read_text())
    features = {key: f for key, f in given["features"].items() if key not in DEFAULTS}
    for key, feature in list(features.items()):
        if feature.get("bits", 8) == 16 and not hasattr(opened(root, "pyav").meta, "depth_keys"):
            say("left out", f"{key}: this lerobot writes no depth")
            del features[key]
        elif feature["dtype"] in PICTURES and feature["shape"][2] == 1 and "bits" not in feature:
            say("left out", f"{key}: lerobot writes no grey pictures")
            del features[key]
        else:
            shape = {"shape": tuple(feature["shape"])}
            depth = {"info": {"is_depth_map": True}} if feature.get("bits", 8) == 16 else {}
            kept = {name: feature[name] for name in ("dtype", "names")}
            features[key] = kept | shape | depth
    robot = given["robot_type"]
    data = LeRobotDataset.create("interop/theirs", given["fps"], features, out, robot)
    for episode in range(len(expected.episodes)):
        for frame in frames_of(expected, features, episode):
            data.add_frame(frame)
        data.save_episode()
    data.finalize()
    read = opened(out, "pyav")
    rows = [read[index] for index in range(len(read))]
    found = {
        key: np.stack([as_levels({}, row[key]) for row in rows]).astype(np.uint8)
        for key, feature in features.items()
        if feature["dtype"] == "video"
    }
    np.savez(folder / "videos_of_lerobot.npz", **found)  # type: ignore[arg-type]
    say("ok", f"lerobot wrote {read.meta.total_episodes} episodes, {len(features)} columns")


def merge(root: Path, out: Path) -> None:
    """Join a set with itself as lerobot does."""
    names = ["interop/one", "interop/other"]
    aggregate_datasets(names, "interop/merged", roots=[root, root], aggr_root=out)
    say("ok", f"lerobot merged it with itself to {len(opened(out, 'pyav'))} frames")


def main(step: str, *paths: str) -> None:
    """Do a step."""
    if step == "version":
        names = ("lerobot", "torch", "torchvision", "torchcodec", "datasets", "av", "pyarrow")
        for name in names:
            try:
                print(name, importlib.metadata.version(name))
            except importlib.metadata.PackageNotFoundError:
                print(name, "none")
        return
    torch.set_num_threads(1)
    {"load": load, "write": write, "merge": merge}[step](*map(Path, paths))


if __name__ == "__main__":
    main(*sys.argv[1:])
