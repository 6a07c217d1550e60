"""Files that are there whole or not at all, and their hashes."""

from __future__ import annotations

import hashlib
import os
from pathlib import Path

_CHUNK = 1 << 20


class DatasetError(Exception):
    """A dataset is damaged, or is not what was expected; one line that names the file."""


def write_durably(path: Path, content: bytes) -> str:
    """Write a file so that it is whole after a crash, or not there; return its SHA-256.

    Raises:
        OSError: it cannot be written; a file that was there before is as it was.
    """
    partial = path.with_name(f".{path.name}.partial")
    try:
        make_folder(path.parent)
        with partial.open("wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        partial.replace(path)
    except OSError:
        partial.unlink(missing_ok=True)
        raise
    sync_folder(path.parent)
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


def make_folder(folder: Path) -> None:
    """Make a folder, and those above it, so that they are there after a crash.

    Raises:
        OSError: it cannot be made.
    """
    if not folder.is_dir():
        make_folder(folder.parent)
        folder.mkdir(exist_ok=True)
        sync_folder(folder.parent)


def sync_folder(folder: Path) -> None:
    """Make names in a folder durable."""
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def hash_file(path: Path) -> str:
    """Return the SHA-256 of a file.

    Raises:
        OSError: it cannot be read.
    """
    digest = hashlib.sha256()
    with path.open("rb") as file:
        while part := file.read(_CHUNK):
            digest.update(part)
    return digest.hexdigest()
