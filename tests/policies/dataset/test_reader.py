"""Windows of time, and datasets that other programs wrote."""

# pyarrow has no stubs, PyAV's are incomplete.
# pyright: standard

from __future__ import annotations

import json
import shutil
from dataclasses import replace
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from sim2arm.policies.dataset.files import DatasetError
from sim2arm.policies.dataset.layout import read_features
from sim2arm.policies.dataset.pictures import decode_picture, encode_png
from sim2arm.policies.dataset.reader import PAD, Dataset
from sim2arm.policies.dataset.tables import from_column

from .episodes import DEPTH, GEL, SCENE, SPEC, frame, length, make


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("set")
    make(root, 3)
    return root


def test_windows_end_with_their_episode(root: Path) -> None:
    dataset = Dataset(root)
    offsets = {"action": [-2, 0, 3], SCENE: [-1, 0], GEL: [0, 1], "source": [0], "task_index": [0]}
    first = length(0)  # of episode 1
    found = dataset.window(first + 1, offsets)
    assert found["action" + PAD].tolist() == [True, False, False]
    for row, k in zip(found["action"], (0, 1, 4), strict=True):
        np.testing.assert_array_equal(row, frame(1, k)["action"])
    np.testing.assert_array_equal(found[GEL], [frame(1, k)[GEL] for k in (1, 2)])
    assert np.abs(found[SCENE].astype(int) - [frame(1, k)[SCENE] for k in (0, 1)]).mean() < 3.0
    assert found["source"] == ["human"] and found["task_index"].tolist() == [[0]]
    last = dataset.window(len(dataset) - 1, {"action": [0, 1, 2], GEL: [0, 9]})
    assert last["action" + PAD].tolist() == [False, True, True]
    np.testing.assert_array_equal(last["action"][2], last["action"][0])
    assert last[GEL + PAD].tolist() == [False, True]
    assert dataset.task(len(dataset) - 1) == "put it down"
    with pytest.raises(IndexError, match="expected a frame of 0 to 17, got 18"):
        dataset.window(18, offsets)
    with pytest.raises(KeyError):
        dataset.window(0, {"actoin": [0]})


def foreign(root: Path, out: Path) -> Path:
    """Write a dataset as lerobot does: all episodes in one file of each kind, nothing of ours."""
    shutil.copytree(root, out)
    shutil.rmtree(out / "meta" / "sim2arm")
    (out / "meta" / "sim2arm.json").unlink()
    info = json.loads((out / "meta" / "info.json").read_text())
    del info["sim2arm"]
    for kind in ("data", "meta/episodes"):
        files = sorted((out / kind).rglob("*.parquet"))
        tables = [pq.read_table(path) for path in files]
        for path in files:
            path.unlink()
        table = pa.concat_tables(tables)
        for name in table.column_names:
            if name.startswith("data/") or name.startswith("meta/"):
                index = table.column_names.index(name)
                zeros = pa.array(np.zeros(len(table), np.int64))
                table = table.set_column(index, name, zeros)
        pq.write_table(table, files[0])
    (out / "meta" / "info.json").write_text(json.dumps(info))
    return out


def test_what_others_wrote_is_read(root: Path, tmp_path: Path) -> None:
    ours, theirs = Dataset(root), Dataset(foreign(root, tmp_path / "theirs"))
    assert theirs.index.chain is None and theirs.notes(1) == {}
    assert theirs.features == ours.features
    assert theirs.index.tasks == ours.index.tasks
    for name, own in ours.index.stats.items():
        np.testing.assert_array_equal(theirs.index.stats[name]["std"], own["std"])
    offsets: dict[str, Any] = {key: [-1, 0, 1] for key in ours.features}
    for index in range(len(ours)):
        one, other = ours.window(index, offsets), theirs.window(index, offsets)
        for key, value in one.items():
            np.testing.assert_array_equal(other[key], value)


def test_others_damage_is_named_too(root: Path, tmp_path: Path) -> None:
    theirs = foreign(root, tmp_path / "theirs")
    (theirs / "videos" / SCENE / "chunk-000" / "file-002.mp4").write_bytes(b"no video")
    with pytest.raises(DatasetError, match=r"file-002\.mp4: it is no video that can be read"):
        Dataset(theirs).pictures(SCENE, 2, [0])
    info = theirs / "meta" / "info.json"
    text = info.read_text()
    info.write_text(text.replace('"total_frames": 18', '"total_frames": 19'))
    with pytest.raises(DatasetError, match=r"info\.json says 19 frames, the episodes have 18"):
        Dataset(theirs)
    info.write_text(text.replace("v3.0", "v2.1"))
    with pytest.raises(DatasetError, match=r"expected LeRobotDataset v3, got 'v2\.1'"):
        Dataset(theirs)


def encoded(codec: str, picture: Any, pixels: str) -> bytes:
    """Return a picture in a file of another format than ours."""
    encoder: Any = av.CodecContext.create(codec, "w")
    encoder.height, encoder.width = picture.shape[:2]
    encoder.pix_fmt, encoder.time_base = pixels, Fraction(1, 1)
    if codec == "tiff":
        encoder.options = {"compression_algo": "raw"}
    given = av.VideoFrame.from_ndarray(picture, format="gray16le" if "16" in pixels else "rgb24")
    frame = given.reformat(format=pixels, dst_color_range="JPEG")
    frame.pts = 0
    return b"".join(bytes(packet) for packet in (*encoder.encode(frame), *encoder.encode(None)))


def test_pictures_in_other_formats_are_read() -> None:
    row = frame(0, 0)
    deep, gel = SPEC.features[DEPTH], SPEC.features[GEL]
    tiff = encoded("tiff", row[DEPTH][..., 0], "gray16le")
    np.testing.assert_array_equal(decode_picture(tiff, deep), row[DEPTH])
    smooth = np.full(gel.shape, (200, 100, 50), np.uint8)
    jpeg = encoded("mjpeg", smooth, "yuvj444p")
    assert np.abs(decode_picture(jpeg, gel).astype(int) - smooth).max() <= 4
    with pytest.raises(ValueError, match="expected 8 bits, got gray16le"):
        decode_picture(tiff, replace(deep, bits=8))
    with pytest.raises(ValueError, match="expected 16 bits, got rgb24"):
        decode_picture(encode_png(np.zeros((8, 6, 3), np.uint8)), deep)


def test_depth_that_others_wrote_has_16_bits(tmp_path: Path) -> None:
    given = {"dtype": "image", "shape": [8, 6, 1], "names": ["height", "width", "channels"]}
    info = {"is_depth_map": True, "depth_unit": "mm"}
    known = read_features(
        {"d": {**given, "info": info}, "g": given, "n": {**given, "info": None}}, tmp_path
    )
    assert (known["d"].bits, known["d"].unit) == (16, "mm")
    assert known["g"].bits == known["n"].bits == 8


def test_pictures_that_are_not_in_the_file_are_missed() -> None:
    kind = pa.struct([("bytes", pa.binary()), ("path", pa.string())])
    column = pa.chunked_array([pa.array([{"bytes": None, "path": "images/0.png"}], type=kind)])
    with pytest.raises(ValueError, match="pictures are missing, or lie in files of their own"):
        from_column(SPEC.features[GEL], column)


GOLDEN = Path(__file__).with_name("golden_info.json")


def test_the_layout_is_that_of_the_format(root: Path) -> None:
    """info.json, columns and their types, and the rows of tasks and episodes."""
    info = json.loads((root / "meta" / "info.json").read_text())
    del info["sim2arm"]
    assert info == json.loads(GOLDEN.read_text())
    data = pq.read_schema(root / "data/chunk-000/file-000.parquet")
    types = {name: str(data.field(name).type).replace("element", "item") for name in data.names}
    assert types == {
        "observation.state": "fixed_size_list<item: float>[3]",
        "action": "fixed_size_list<item: float>[2]",
        "observation.touch_field": "list<item: list<item: list<item: list<item: float>>>>",
        "sync.stamp_ns": "int64",
        "safety.held": "bool",
        "safety.levels": "fixed_size_list<item: uint8>[2]",
        "sim.qpos": "double",
        "source": "string",
        GEL: "struct<bytes: binary, path: string>",
        "observation.depth": "struct<bytes: binary, path: string>",
        "sync.dropped": "int64",
        "timestamp": "float",
        **dict.fromkeys(("frame_index", "episode_index", "index", "task_index"), "int64"),
    }
    row = pq.read_table(root / "meta/episodes/chunk-000/file-001.parquet").to_pylist()[0]
    assert {k: v for k, v in row.items() if not k.startswith("stats/")} == {
        "episode_index": 1, "tasks": ["lift the cube", "put it down"], "length": 6,
        "data/chunk_index": 0, "data/file_index": 1,
        "dataset_from_index": 5, "dataset_to_index": 11,
        f"videos/{SCENE}/chunk_index": 0, f"videos/{SCENE}/file_index": 1,
        f"videos/{SCENE}/from_timestamp": 0.0, f"videos/{SCENE}/to_timestamp": 0.2,
        "meta/episodes/chunk_index": 0, "meta/episodes/file_index": 1,
    }  # fmt: skip
    names = {name.rpartition("/")[2] for name in row if name.startswith("stats/action/")}
    assert names == {"min", "max", "mean", "std", "count", "q01", "q10", "q50", "q90", "q99"}
    tasks = pq.read_table(root / "meta/tasks.parquet")
    assert tasks.to_pydict() == {
        "task_index": [0, 1], "__index_level_0__": ["lift the cube", "put it down"],
    }  # fmt: skip
    assert json.loads(tasks.schema.metadata[b"pandas"])["index_columns"] == ["__index_level_0__"]
