"""Chunks that others compressed; ours are not."""

# The libraries have no stubs.
# pyright: standard

from __future__ import annotations

import sys

from .records import RecordError


def unpacked(data: bytes, compression: str) -> bytes:
    """Return what was compressed; the libraries come with the extra `dds`.

    Raises:
        RecordError: nothing here does it, or it is damaged.
    """
    try:
        if compression == "lz4":
            import lz4.frame as library
        elif compression != "zstd":
            raise RecordError(f"its compression {compression!r} is not known")
        elif sys.version_info >= (3, 14):
            from compression import zstd as library
        else:
            from backports import zstd as library
    except ImportError as error:
        raise RecordError(f"it is compressed: pip install {error.name}") from error
    try:
        return bytes(library.decompress(data))
    except Exception as error:  # each library has its own
        raise RecordError(f"it is damaged: {error}") from error
