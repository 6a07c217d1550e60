"""Robots of one's own: an entry in YAML, read strictly, beside the MJCF that simulates the robot.

`sim2arm robot import` writes both into `robots/NAME/` of the working directory, as a training
writes `runs/NAME/`. Whatever takes the name of a robot finds those there, after the ones we know.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from .plain import dump_yaml, from_plain, load_yaml, to_plain
from .robots import ROBOTS, Body, Chain, Gripper, JointLimits, Numbers, Robot, ToolBox

FOLDER, ENTRY, MODEL = Path("robots"), "robot.yaml", "robot.xml"
VERSION = 2
_NAME = re.compile(r"[a-z][a-z0-9_]*")


@dataclass(frozen=True, kw_only=True)
class RobotEntry:
    """What stands in `robot.yaml`; see `Robot` for most."""

    version: int
    name: str
    made_from: dict[str, str]
    """Files with their SHA-256, and how each number came about that no file has."""
    chain: dict[str, Any]
    """As `Chain.to_dict` gives it."""
    limits: JointLimits
    home: Numbers
    kp: Numbers
    kd: Numbers
    gripper: Gripper
    tool_box: ToolBox | None
    body: Body | None
    model: str
    """Name of the MJCF in the same folder."""


def check_name(name: str) -> None:
    """See that a robot can have a name, which is also that of a folder.

    Raises:
        ValueError: it cannot.
    """
    if not _NAME.fullmatch(name):
        raise ValueError(
            f"robot name {name!r}: expected lower-case letters, digits and _, a letter first"
        )


def write_robot(robot: Robot, folder: Path, made_from: dict[str, str]) -> Path:
    """Write the entry of a robot into its folder, beside its model; return the file."""
    entry = RobotEntry(
        version=VERSION,
        name=robot.name,
        made_from=made_from,
        chain=robot.chain.to_dict(),
        limits=robot.limits,
        home=robot.home,
        kp=robot.kp,
        kd=robot.kd,
        gripper=robot.gripper,
        tool_box=robot.tool_box,
        body=robot.body,
        model=MODEL,
    )
    path = folder / ENTRY
    path.write_text(dump_yaml(to_plain(entry)), encoding="utf-8")
    return path


def read_robot(path: Path) -> Robot:
    """Return the robot of an entry, with the path of its model.

    Raises:
        ValueError: it cannot be read, is not what `write_robot` writes, or says what cannot be;
            one line.
    """
    try:
        text = path.read_text(encoding="utf-8")
        entry = from_plain(RobotEntry, load_yaml(text, "entry"))
        if entry.version != VERSION:
            raise ValueError(f"version: expected {VERSION}, got {entry.version}; import it again")
        if Path(entry.model).name != entry.model:
            raise ValueError(f"model: expected the name of a file beside, got {entry.model!r}")
        check_name(entry.name)
        return Robot(
            name=entry.name,
            chain=_chain(entry.chain),
            limits=entry.limits,
            home=entry.home,
            kp=entry.kp,
            kd=entry.kd,
            gripper=entry.gripper,
            tool_box=entry.tool_box,
            body=entry.body,
            model=str(path.parent / entry.model),
        )
    except (OSError, ValueError) as error:
        raise ValueError(f"{path}: {error}") from error


def _chain(data: dict[str, Any]) -> Chain:
    try:
        return Chain.from_dict(data)
    except TypeError as error:
        raise ValueError(f"chain: {error}") from error


def imported_robots(folder: Path = FOLDER) -> list[str]:
    """Return the names of the robots in a folder."""
    return sorted(path.parent.name for path in folder.glob(f"*/{ENTRY}"))


def find_robot(name: str, folder: Path = FOLDER) -> Robot:
    """Return a robot by name: one that we know, or an imported one of the working directory.

    Raises:
        ValueError: there is none of this name, or its entry is damaged; one line.
    """
    if name in ROBOTS:
        return ROBOTS[name]
    path = folder / name / ENTRY
    if not _NAME.fullmatch(name) or not path.is_file():
        raise ValueError(
            f"robot {name!r} is not known. Known: {sorted([*ROBOTS, *imported_robots(folder)])}; "
            f"`sim2arm robot import` writes others into {folder}/"
        )
    robot = read_robot(path)
    if robot.name != name:
        raise ValueError(f"{path}: name: expected {name!r} as its folder, got {robot.name!r}")
    return robot
