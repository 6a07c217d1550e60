"""Where a command writes: looked at before the work, so that no work is lost to a bad path."""

import os
from pathlib import Path

from sim2arm.policies.bundle import MANIFEST

from .errors import UserError


def check_file(option: str, path: Path | None) -> None:
    """See that a file can be written, or replaced, there; None is not asked for.

    Args:
        option: how the path was given, as in `--json`.
        path: of the file.

    Raises:
        UserError: a folder has this name, or the folder cannot be written to.
    """
    if path is None:
        return
    if path.is_dir():
        raise UserError(f"{option}: {path} is a folder, expected the name of a file")
    _check_writable(option, path, path.parent)


def check_folder(option: str, path: Path) -> None:
    """See that a folder is there or can be made.

    Args:
        option: how the path was given, as in `--out`.
        path: of the folder.

    Raises:
        UserError: a file has this name, or the folder cannot be made or written to.
    """
    _check_writable(option, path, path)


def check_bundle(out: Path, *, overwrite: bool) -> None:
    """Refuse where a bundle cannot be written, or what it must not replace.

    Raises:
        UserError: says why.
    """
    check_folder("--out", out)
    if out.exists() and not overwrite:
        raise UserError(f"{out} exists: pass --overwrite, or another --out")
    if out.exists() and any(out.iterdir()) and not (out / MANIFEST).is_file():
        raise UserError(f"{out} holds something else than a bundle: choose another --out")


def _check_writable(option: str, path: Path, folder: Path) -> None:
    while not os.path.lexists(folder) and folder != folder.parent:
        folder = folder.parent
    if not folder.is_dir():
        raise UserError(f"{option}: {path} cannot be written: {folder} is not a folder")
    if not os.access(folder, os.W_OK | os.X_OK):
        raise UserError(f"{option}: {path} cannot be written: no permission in {folder}")
