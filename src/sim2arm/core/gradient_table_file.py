"""Gradient tables as files: arrays and a versioned description in one safetensors file."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any, cast

from safetensors import (
    SafetensorError,
    safe_open,  # pyright: ignore[reportUnknownVariableType]
)
from safetensors.numpy import save

from . import plain
from .durable import write_durably
from .gradient_table import GradientTable

TABLE_VERSION = 1
"""Rises whenever the same file would give another picture."""
LARGEST_TABLE = 256_000_000
"""Largest file that is read [bytes]."""
_FORMAT = "sim2arm gradient table"
_ARRAYS = ("background", "coefficients")


def write_table(path: str | Path, table: GradientTable) -> None:
    """Write a table, whole or not at all; the folder is made.

    Raises:
        ValueError: another suffix than `.safetensors`.
    """
    path = Path(path)
    if path.suffix != ".safetensors":
        raise ValueError(f"{path}: a gradient table is a .safetensors file")
    path.parent.mkdir(parents=True, exist_ok=True)
    write_durably(path, table_bytes(table))


def table_bytes(table: GradientTable) -> bytes:
    """Return the file of a table."""
    about = {
        "format": _FORMAT,
        "version": TABLE_VERSION,
        "sensor": table.sensor,
        "size": list(table.size),
        "source": table.source,
        "licence": table.licence,
        "date": table.date,
    }
    arrays = {name: getattr(table, name) for name in _ARRAYS}
    return save(arrays, metadata={"about": plain.canonical_json(about)})


def read_table(path: str | Path) -> GradientTable:
    """Return the table of a file.

    Raises:
        ValueError: the file cannot be read or is no table of this version; one line.
    """
    path = Path(path)
    try:
        if path.stat().st_size > LARGEST_TABLE:
            raise ValueError(f"{path}: more than {LARGEST_TABLE} bytes, not a gradient table")
        with safe_open(str(path), framework="numpy") as file:  # pyright: ignore
            opened = cast(Any, file)
            names: list[str] = sorted(opened.keys())
            told: dict[str, str] = opened.metadata() or {}
            arrays = {name: opened.get_tensor(name) for name in _ARRAYS if name in names}
    except OSError as error:
        raise ValueError(f"{path}: cannot be read: {error.strerror or error}") from error
    except SafetensorError as error:
        raise ValueError(f"{path}: not a safetensors file: {error}") from error
    try:
        about = _about(told)
        if names != sorted(_ARRAYS):
            raise ValueError(f"expected the arrays {sorted(_ARRAYS)}, got {names}")
        return plain.from_plain(GradientTable, about, given=arrays)
    except ValueError as error:
        raise ValueError(f"{path}: {error}") from error


def _about(told: dict[str, str]) -> dict[str, Any]:
    """Return what the metadata says, without format and version."""
    try:
        about = json.loads(told.get("about", ""))
    except json.JSONDecodeError:
        about = None
    if not isinstance(about, dict) or cast(dict[str, Any], about).get("format") != _FORMAT:
        raise ValueError("not a gradient table (its metadata does not say so)")
    found = cast(dict[str, Any], about)
    version = found.get("version")
    if version != TABLE_VERSION:
        raise ValueError(
            f"version: this program reads gradient tables of version {TABLE_VERSION}, got "
            f"{version!r}: calibrate again or update sim2arm"
        )
    return {name: item for name, item in found.items() if name not in ("format", "version")}
