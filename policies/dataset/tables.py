"""Parquet files of a dataset: rows of an episode, what is said about it, and the tasks."""

# pyarrow has no stubs.
# pyright: standard

from __future__ import annotations

import io
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.parquet as pq

from .files import DatasetError
from .layout import Feature

_PICTURE = pa.struct([("bytes", pa.binary()), ("path", pa.string())])


def to_column(feature: Feature, values: Sequence[Any] | npt.NDArray[Any]) -> Any:
    """Return a column of frames: an array (frames, *shape), strings, or PNG files as bytes."""
    if feature.dtype == "image":
        return pa.array([{"bytes": value, "path": None} for value in values], type=_PICTURE)
    if feature.dtype == "string":
        return pa.array(list(values), type=pa.string())
    array = np.ascontiguousarray(values, dtype=feature.numpy)
    if feature.shape == (1,):
        return pa.array(array.reshape(-1))
    found = pa.array(array.reshape(-1))
    if len(feature.shape) == 1:
        return pa.FixedSizeListArray.from_arrays(found, feature.shape[0])
    for size in reversed(feature.shape):
        count = len(found) // size
        offsets = pa.array(np.arange(count + 1, dtype=np.int32) * size)
        found = pa.ListArray.from_arrays(offsets, found)
    return found


def from_column(feature: Feature, column: Any) -> npt.NDArray[Any] | list[Any]:
    """Return an array (frames, *shape), of strings and PNG files a list.

    Raises:
        ValueError: the column holds something else.
    """
    if feature.dtype == "string":
        return column.to_pylist()
    found = column.combine_chunks()
    found = found.combine_chunks() if isinstance(found, pa.ChunkedArray) else found
    if feature.dtype == "image":
        files = found.field("bytes").to_pylist()
        if found.null_count or None in files:
            raise ValueError("pictures are missing, or lie in files of their own")
        return files
    if found.null_count:
        raise ValueError(f"{found.null_count} values are missing")
    frames, depth = len(found), 0
    while isinstance(found, pa.ListArray | pa.FixedSizeListArray | pa.LargeListArray):
        found, depth = found.flatten(), depth + 1
    values = found.to_numpy(zero_copy_only=False)
    if values.size != frames * int(np.prod(feature.shape)):
        raise ValueError(f"expected {frames} x {list(feature.shape)} numbers, got {values.size}")
    return values.astype(feature.numpy, copy=False).reshape(frames, *feature.shape)


def rows_bytes(features: Mapping[str, Feature], columns: Mapping[str, Any]) -> bytes:
    """Return the file of an episode's rows, of columns as `to_column` takes them."""
    return _to_bytes(pa.table({key: to_column(f, columns[key]) for key, f in features.items()}))


def _to_bytes(table: pa.Table) -> bytes:
    """Return a table as a Parquet file of one row group, whose pages have checksums."""
    out = io.BytesIO()
    pq.write_table(
        table, out, compression="snappy", row_group_size=max(1, len(table)),
        write_page_checksum=True,
    )  # fmt: skip
    return out.getvalue()


def read_table(path: Path, columns: Sequence[str] | None = None, *, stats: bool = True) -> Any:
    """Return the rows of a Parquet file, all columns by default, or all but statistics.

    Raises:
        DatasetError: it cannot be read; one line.
    """
    try:
        with pq.ParquetFile(path, page_checksum_verification=True) as file:
            names = file.schema_arrow.names if columns is None else list(columns)
            chosen = [name for name in names if stats or not name.startswith("stats/")]
            return file.read(chosen)
    except (pa.ArrowException, OSError, ValueError) as error:
        line = str(error).splitlines()[0] if str(error) else type(error).__name__
        raise DatasetError(f"{path}: it is no Parquet file that can be read: {line}") from error


# -- tasks -----------------------------------------------------------------------------------------

_INDEX = "__index_level_0__"
# What pandas writes about a frame whose index are the tasks.
_PANDAS = {
    "index_columns": [_INDEX],
    "column_indexes": [
        {"name": None, "field_name": None, "pandas_type": "unicode", "numpy_type": "object",
         "metadata": {"encoding": "UTF-8"}},
    ],
    "columns": [
        {"name": "task_index", "field_name": "task_index", "pandas_type": "int64",
         "numpy_type": "int64", "metadata": None},
        {"name": None, "field_name": _INDEX, "pandas_type": "unicode", "numpy_type": "object",
         "metadata": None},
    ],
    "pandas_version": "2.2.0",
}  # fmt: skip


def tasks_bytes(tasks: Sequence[str]) -> bytes:
    """Return the file of the tasks, numbered in this order."""
    numbers = pa.array(range(len(tasks)), type=pa.int64())
    table = pa.table({"task_index": numbers, _INDEX: pa.array(list(tasks), type=pa.string())})
    return _to_bytes(table.replace_schema_metadata({"pandas": json.dumps(_PANDAS)}))


def read_tasks(path: Path) -> list[str]:
    """Return the tasks by number.

    Raises:
        DatasetError: it cannot be read, or numbers are missing.
    """
    table = read_table(path)
    names = [name for name in table.column_names if name != "task_index"]
    if "task_index" not in table.column_names or len(names) != 1:
        raise DatasetError(f"{path}: expected a column task_index and one of names")
    pairs = dict(zip(table["task_index"].to_pylist(), table[names[0]].to_pylist(), strict=True))
    if sorted(pairs) != list(range(len(pairs))):
        raise DatasetError(f"{path}: expected the numbers 0 to {len(pairs) - 1}")
    return [pairs[number] for number in range(len(pairs))]


# -- what is said about an episode -----------------------------------------------------------------


def episode_bytes(row: Mapping[str, Any], stats: Mapping[str, Mapping[str, Any]]) -> bytes:
    """Return the file of an episode: its row, with statistics by column and name."""
    found = {name: pa.array([value], type=_type_of(value)) for name, value in row.items()}
    for key, numbers in stats.items():
        for name, value in numbers.items():
            number = pa.int64() if name == "count" else pa.float64()
            kind = number
            for _ in range(value.ndim):
                kind = pa.list_(kind)
            found[f"stats/{key}/{name}"] = pa.array([value.tolist()], type=kind)
    return _to_bytes(pa.table(found))


def _type_of(value: Any) -> pa.DataType:
    if isinstance(value, list):
        return pa.list_(pa.string())
    return pa.float64() if isinstance(value, float) else pa.int64()


def episode_stats(row: Mapping[str, Any]) -> dict[str, dict[str, npt.NDArray[np.float64]]]:
    """Return the statistics in a row, by column and name."""
    found: dict[str, dict[str, npt.NDArray[np.float64]]] = {}
    for column, value in row.items():
        if column.startswith("stats/") and value is not None:
            key, _, name = column[len("stats/") :].rpartition("/")
            found.setdefault(key, {})[name] = np.asarray(value, dtype=np.float64)
    return found
