"""Named texts in a log, which have no checksum of their own: sealed with one."""

from __future__ import annotations

import json
import zlib
from collections.abc import Mapping

_SEAL = "crc32"


def _sum(values: Mapping[str, str]) -> str:
    return f"{zlib.crc32(json.dumps(dict(values), sort_keys=True).encode()):08x}"


def sealed(values: Mapping[str, str]) -> dict[str, str]:
    """Return the texts with their checksum."""
    return {**values, _SEAL: _sum(values)}


def unsealed(values: Mapping[str, str]) -> dict[str, str] | None:
    """Return the texts without their checksum, None if they are not those that were sealed."""
    bare = {key: value for key, value in values.items() if key != _SEAL}
    return bare if values.get(_SEAL) == _sum(bare) else None
