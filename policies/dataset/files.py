"""Files of a dataset, durable and with their hashes."""

from __future__ import annotations

import hashlib
import os
from pathlib import Path

from sim2arm.core.durable import hash_file, make_folder, sync_folder, write_durably


class DatasetError(Exception):
    """A dataset is damaged, or is not what was expected; one line that names the file."""


def write_hashed(path: Path, content: bytes) -> str:
    """Write a file durably; return its SHA-256.

    Raises:
        OSError: it cannot be written; a file that was there before is as it was.
    """
    write_durably(path, content)
    return hashlib.sha256(content).hexdigest()


def move_durably(source: Path, path: Path) -> str:
    """Move a finished file to its place on the same disk; return its SHA-256.

    Raises:
        OSError: it cannot be moved.
    """
    make_folder(path.parent)
    digest = hash_file(source)
    with source.open("rb") as file:
        os.fsync(file.fileno())
    source.replace(path)
    sync_folder(path.parent)
    return digest
