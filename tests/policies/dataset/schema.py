"""The layout of a LeRobotDataset on disk: which files, which columns of which type, which keys."""

# pyarrow has no stubs.
# pyright: standard

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq

_COUNTED = re.compile(r"(chunk|file)-\d{3}")


def schema_of(root: Path) -> dict[str, Any]:
    """Return what of a dataset does not depend on its numbers."""
    info = json.loads((root / "meta/info.json").read_text())
    features = info.pop("features")
    places = [str(path.relative_to(root)) for path in root.rglob("*") if path.is_file()]
    episodes = _columns(root / "meta/episodes/chunk-000/file-000.parquet")
    counted = {name: episodes.pop(name) for name in list(episodes) if name.startswith("stats/")}
    return {
        "files": sorted({_COUNTED.sub(r"\1-NNN", place) for place in places}),
        "info": {key: info[key] if key.endswith("_path") else _kind(info[key]) for key in info},
        "features": {key: _feature(feature) for key, feature in sorted(features.items())},
        "data": _columns(root / "data/chunk-000/file-000.parquet"),
        "tasks": _columns(root / "meta/tasks.parquet"),
        "episodes": episodes,
        "stats": _stats(json.loads((root / "meta/stats.json").read_text()), counted),
    }


def as_text(schema: dict[str, Any]) -> str:
    """Return JSON with a line for every entry."""
    lines = []
    for section, content in schema.items():
        text = json.dumps(content)
        if isinstance(content, dict):
            own = (f"  {json.dumps(key)}: {json.dumps(value)}" for key, value in content.items())
            text = "{\n" + ",\n".join(own) + "\n }"
        elif isinstance(content, list):
            text = "[\n" + ",\n".join(f"  {json.dumps(value)}" for value in content) + "\n ]"
        lines.append(f" {json.dumps(section)}: {text}")
    return "{\n" + ",\n".join(lines) + "\n}\n"


def _feature(feature: dict[str, Any]) -> dict[str, Any]:
    info = {key: _kind(value) for key, value in sorted((feature.get("info") or {}).items())}
    found = {key: feature[key] for key in ("dtype", "shape", "names")}
    return {**found, "info": info} if info else found


def _columns(path: Path) -> dict[str, str]:
    schema = pq.read_schema(path)
    return {
        name: str(schema.field(name).type).replace("element: ", "item: ")
        for name in sorted(schema.names)
    }


def _stats(stats: dict[str, Any], counted: dict[str, str]) -> dict[str, Any]:
    """Return by column the statistics of each size in stats.json and type in meta/episodes."""
    found: dict[str, dict[str, list[str]]] = {}
    for key, own in sorted(stats.items()):
        for name, value in sorted(own.items()):
            kind = counted.pop(f"stats/{key}/{name}").replace("item: ", "")
            found.setdefault(key, {}).setdefault(f"{kind} {_sizes(value)}", []).append(name)
    assert not counted, f"only in meta/episodes: {sorted(counted)}"
    return {
        key: {kind: " ".join(names) for kind, names in own.items()} for key, own in found.items()
    }


def _kind(value: Any) -> str:
    return "null" if value is None else type(value).__name__


def _sizes(value: Any) -> list[int]:
    return [len(value), *_sizes(value[0])] if isinstance(value, list) else []
