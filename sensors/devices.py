"""Which /dev/video is which camera: by its name or serial number, not by the order of plugging."""

from __future__ import annotations

from pathlib import Path


def find_camera(wanted: str, root: Path = Path("/")) -> Path:
    """Return the device of the one camera whose name has all these words.

    Args:
        wanted: a path under /dev, or words that occur in the name of the device's link in
            /dev/v4l/by-id (maker, product, serial number) or in its name in /sys, in any case.
        root: of the file system.

    Raises:
        OSError: there is none, or there are several; one line with those that are there.
    """
    if wanted.startswith("/"):
        path = root / wanted.lstrip("/")
        if not path.exists():
            raise FileNotFoundError(f"no camera at {path}: {_there(root)}")
        return path
    if not wanted.split():
        raise FileNotFoundError(f"a camera needs a name or a path, got {wanted!r}: {_there(root)}")
    for places in (_by_id(root), _by_name(root)):
        found = [path for path, name in places if _matches(wanted, name)]
        if len(found) > 1:
            names = ", ".join(str(path) for path in found)
            raise OSError(f"{len(found)} cameras match {wanted!r}: {names}: add the serial number")
        if found:
            return found[0]
    raise FileNotFoundError(f"no camera matches {wanted!r}: {_there(root)}")


def _matches(wanted: str, name: str) -> bool:
    text = name.replace("_", " ").lower()
    return all(word in text for word in wanted.replace("_", " ").lower().split())


def _by_id(root: Path) -> list[tuple[Path, str]]:
    """Return the links of cameras; those of their metadata have another index."""
    folder = root / "dev/v4l/by-id"
    links = sorted(folder.iterdir()) if folder.is_dir() else []
    return [(link, link.name) for link in links if link.name.endswith("-video-index0")]


def _by_name(root: Path) -> list[tuple[Path, str]]:
    """Return devices and what their drivers call them."""
    found: list[tuple[Path, str]] = []
    folder = root / "sys/class/video4linux"
    for entry in sorted(folder.iterdir()) if folder.is_dir() else []:
        try:
            name = (entry / "name").read_text().strip()
            index = (entry / "index").read_text().strip()
        except OSError:
            continue  # unplugged while we look
        if index == "0":
            found.append((root / "dev" / entry.name, name))
    return found


def _there(root: Path) -> str:
    names = [name for _, name in _by_id(root)] or [name for _, name in _by_name(root)]
    return f"cameras here: {', '.join(names)}" if names else "there is no camera here"
