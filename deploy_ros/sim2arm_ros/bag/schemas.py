"""Definitions of message types as rosbag2 stores them: text, and hash of the type.

On a robot they are those of the ROS installation, else those of the fallback.
"""

from __future__ import annotations

import json
import os
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

_RULER = "=" * 80
_PRIMITIVES = frozenset({
    "bool", "byte", "char", "string", "wstring", "float32", "float64", "int8", "uint8", "int16",
    "uint16", "int32", "uint32", "int64", "uint64",
})  # fmt: skip
_FIELD = re.compile(r"^\s*([A-Za-z][\w/]*)(?:<=\d+)?(?:\[[^\]]*\])?\s+\w")


def definition_of(name: str) -> tuple[str, str]:
    """Return text and hash (empty if unknown) of `package/msg/Name`.

    Raises:
        ValueError: there is no such type.
    """
    source = _share(name)
    if source is not None:
        return _gathered(name), _hash(source.with_suffix(".json"), name)
    try:
        from sim2arm_ros.dds.definitions import type_hash, typestore
    except ImportError as error:  # without the extra `dds`
        raise _unknown(name) from error
    if name not in typestore().fielddefs:
        raise _unknown(name)
    return typestore().generate_msgdef(name, ros_version=2)[0], type_hash(name)


def _unknown(name: str) -> ValueError:
    return ValueError(f"type {name!r}: its definition is not installed")


def _share(name: str) -> Path | None:
    """Return the file of a type in a ROS installation, None without one."""
    package, kind, short = name.split("/")
    for prefix in os.environ.get("AMENT_PREFIX_PATH", "").split(os.pathsep):
        path = Path(prefix) / "share" / package / kind / f"{short}.msg"
        if prefix and path.is_file():
            return path
    return None


def _gathered(name: str) -> str:
    """Return the text of a type and, behind rulers, of all that it uses."""
    parts, todo, seen = list[str](), [name], {name}
    while todo:
        here = todo.pop(0)
        path = _share(here)
        if path is None:
            raise _unknown(here)
        words = path.read_text(encoding="utf-8")
        package, _, short = here.split("/")
        parts.append(f"{_RULER}\nMSG: {package}/{short}\n{words}" if parts else words)
        for used in _uses(words, package):
            if used not in seen:
                seen.add(used)
                todo.append(used)
    return "\n".join(part.rstrip("\n") for part in parts) + "\n"


def _uses(words: str, package: str) -> list[str]:
    """Return the types of the fields of a definition, primitives left out."""
    found: list[str] = []
    for line in words.splitlines():
        field = _FIELD.match(line.partition("#")[0])
        if field is None or field[1] in _PRIMITIVES:
            continue
        names = field[1].split("/")
        found.append(f"{names[0] if len(names) > 1 else package}/msg/{names[-1]}")
    return found


def _hash(path: Path, name: str) -> str:
    """Return the hash of a type that a ROS installation tells beside its definition."""
    try:
        told: Any = json.loads(path.read_text(encoding="utf-8"))
        hashes: list[Mapping[str, str]] = told["type_hashes"]
        return next(each["hash_string"] for each in hashes if each["type_name"] == name)
    except (OSError, ValueError, KeyError, TypeError, StopIteration):
        return ""  # older distributions have none
