"""Files of others: plain, of bounded size, read once; no pickle, nothing beyond their folder."""

from __future__ import annotations

import json
import stat
from collections.abc import Mapping
from pathlib import Path
from typing import Any, cast

import numpy as np
import yaml
from numpy.typing import NDArray
from safetensors import SafetensorError
from safetensors.numpy import load

from sim2arm.policies.bundle import LARGEST_MODEL, LARGEST_TEXT, one_line

Tensors = dict[str, NDArray[Any]]


class ForeignError(ValueError):
    """A policy of others is not one that can be taken; one line."""


def read_file(path: Path, limit: int = LARGEST_MODEL) -> bytes:
    """Return the bytes of a plain file.

    Raises:
        ForeignError: it is missing, a link, too large, or cannot be read.
    """
    check_file(path, limit)
    try:
        return path.read_bytes()
    except OSError as error:
        raise ForeignError(f"{path}: cannot be read: {error.strerror}") from error


def check_file(path: Path, limit: int = LARGEST_MODEL) -> None:
    """See that a file is plain and of bounded size.

    Raises:
        ForeignError: it is missing, a link, or too large.
    """
    try:
        info = path.lstat()
    except OSError as error:
        raise ForeignError(f"{path}: cannot be read: {error.strerror}") from error
    if not stat.S_ISREG(info.st_mode):
        raise ForeignError(f"{path}: expected a plain file, found a link or a folder")
    if info.st_size > limit:
        raise ForeignError(f"{path}: {info.st_size} bytes, at most {limit} are read")


def beside(path: Path, name: object) -> Path:
    """Return the path of a file that another names, in the same folder.

    Args:
        path: of the file that names it.
        name: what it says.

    Raises:
        ForeignError: it is no name of a file in that folder.
    """
    if not isinstance(name, str) or name in ("", ".", "..") or not set(name).isdisjoint("/\\\0:"):
        raise ForeignError(f"{path}: expected the name of a file in the same folder, got {name!r}")
    return path.parent / name


def read_json(path: Path) -> dict[str, Any]:
    """Return the object of a JSON file.

    Raises:
        ForeignError: it cannot be read, or holds something else.
    """
    try:
        data = json.loads(read_file(path, LARGEST_TEXT))
    except (ValueError, RecursionError) as error:
        if isinstance(error, ForeignError):
            raise
        raise ForeignError(f"{path}: not valid JSON: {one_line(error)}") from error
    return mapping(data, str(path))


def read_yaml(path: Path) -> dict[str, Any]:
    """Return the mapping of a YAML file; aliases are allowed, since others write them.

    Raises:
        ForeignError: it cannot be read, or holds something else.
    """
    data = read_file(path, LARGEST_TEXT)
    try:
        return mapping(yaml.safe_load(data.decode("utf-8")), str(path))
    except (yaml.YAMLError, UnicodeDecodeError, RecursionError) as error:
        raise ForeignError(f"{path}: not valid YAML: {one_line(error)}") from error


def mapping(data: object, place: str) -> dict[str, Any]:
    """Return a mapping with strings for keys.

    Raises:
        ForeignError: the data is something else.
    """
    if not isinstance(data, Mapping):
        raise ForeignError(f"{place}: expected a mapping, got {type(data).__name__}")
    return {str(key): value for key, value in cast(Mapping[Any, Any], data).items()}


def read_tensors(path: Path, limit: int = LARGEST_MODEL) -> Tensors:
    """Return the tensors of a safetensors file, all numbers finite.

    Raises:
        ForeignError: it cannot be read, is no such file, or a number is not finite.
    """
    try:
        tensors = load(read_file(path, limit))
    except (SafetensorError, KeyError, TypeError, OverflowError) as error:
        text = one_line(error)
        raise ForeignError(f"{path}: not a safetensors file of plain numbers: {text}") from error
    for name, values in tensors.items():
        if values.dtype.kind == "f" and not np.isfinite(values).all():
            raise ForeignError(f"{path}: {name!r} holds numbers that are not finite (NaN or inf)")
    return tensors
