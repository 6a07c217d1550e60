# pyright: standard
"""Files and plain data that are changed at random."""

from __future__ import annotations

import copy
from typing import Any

import numpy as np


def mutated(text: bytes, random: np.random.Generator) -> bytes:
    """Return a text with a byte or a line changed, gone or twice."""
    data, kind = bytearray(text), random.integers(0, 5)
    at = int(random.integers(0, len(data)))
    if kind == 0:
        data[at] ^= 1 << random.integers(0, 8)
    elif kind == 1:
        del data[at : at + int(random.integers(1, 40))]
    elif kind == 2:
        data[at:at] = bytes(random.integers(0, 256, int(random.integers(1, 8))).tolist())
    else:
        lines = text.splitlines(keepends=True)
        line = int(random.integers(0, len(lines)))
        lines[line : line + 1] = [] if kind == 3 else [lines[line]] * 2
        return b"".join(lines)
    return bytes(data)


def changed(data: Any, random: np.random.Generator) -> Any:
    """Return plain data with one value changed, gone, twice or of another kind."""
    data = copy.deepcopy(data)
    holder: Any = data
    key: Any = _one_of(list(data), random)
    inner = data[key]
    while isinstance(inner, dict | list) and inner and random.random() < 0.95:
        keys = list(inner) if isinstance(inner, dict) else list(range(len(inner)))
        holder, key = inner, _one_of(keys, random)
        inner = inner[key]
    kind = random.integers(0, 6)
    if kind == 0:
        del holder[key]
    elif kind == 1 and isinstance(holder, list):
        holder.insert(key, copy.deepcopy(inner))
    elif kind == 2:
        odd = [None, True, "x", -1, [], {}, float("nan"), float("inf"), -float("inf"), 10**15]
        holder[key] = _one_of(odd, random)
    else:
        holder[key] = _other(inner, random)
    return data


def _one_of(values: list[Any], random: np.random.Generator) -> Any:
    return values[int(random.integers(len(values)))]


def _other(value: Any, random: np.random.Generator) -> Any:
    """Return another value of the same kind."""
    if isinstance(value, bool):
        return not value
    if isinstance(value, int):
        return value + int(random.integers(-3, 4))
    if isinstance(value, float):
        return float(value * 10.0 ** random.uniform(-4, 4) * random.choice([-1.0, 1.0]))
    if isinstance(value, str):
        return value[::-1] + str(random.integers(10))
    return [value, value]
