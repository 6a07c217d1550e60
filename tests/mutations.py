"""Files that are changed at random."""

from __future__ import annotations

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
