"""Files of the graph: graph.yaml of a set-up, and over it what a robot calls its topics.

`config/robots/<name>.yaml` are the robots that we know; a file of one's own has the same fields.
"""

from __future__ import annotations

from dataclasses import dataclass, fields, replace
from pathlib import Path
from typing import Literal, TypeVar

from sim2arm.core import plain

from .graph import (
    GRAPH_VERSION,
    ChainBounds,
    ControllerBinding,
    Graph,
    GripperBinding,
    InputBinding,
)
from .robot_modes import ModesCfg

_CONFIG = Path(__file__).parent / "config"
DEFAULT_GRAPH = _CONFIG / "graph.yaml"
ROBOT_FILES = _CONFIG / "robots"
_Record = TypeVar("_Record", bound="Graph | RobotFile")


@dataclass(frozen=True, kw_only=True)
class RobotFile:
    """The file of a robot: the part of a graph that it decides; see `Graph`."""

    version: int
    robot: str
    """Robot of the contracts that it is for: a name of `core.robots`, or of an imported one. That
    has joint names and order, limits, home pose, tool frame and gripper."""
    driver: Literal["", "so101_node"] = ""
    controller: ControllerBinding
    gripper: GripperBinding
    modes: ModesCfg | None
    chain: ChainBounds
    robot_description: str
    inputs: dict[str, InputBinding]
    """Of the robot itself; they replace those of the graph."""


def robot_names() -> list[str]:
    """Return the names of the robots that we know the topics of."""
    return sorted(path.stem for path in ROBOT_FILES.glob("*.yaml"))


def read_graph(path: str | Path | None = None, robot: str | Path = "", prefix: str = "") -> Graph:
    """Return the graph of a file, and of a robot's file over it.

    Args:
        path: graph.yaml; the one of the package without it.
        robot: name of `robot_names`, or path of a file of one's own (with a slash or .yaml); empty
            for what the graph says alone.
        prefix: of the names of joints and frames, `left_` for example.

    Raises:
        ValueError: a file is missing or not as expected, or there is no such robot; one line.
    """
    graph = _read(Path(path) if path else DEFAULT_GRAPH, Graph)
    if robot:
        found = _read(_robot_path(str(robot)), RobotFile)
        parts = {part.name: getattr(found, part.name) for part in fields(found)}
        graph = replace(graph, **(parts | {"inputs": graph.inputs | found.inputs}))
    return replace(graph, prefix=prefix) if prefix else graph


def _robot_path(robot: str) -> Path:
    if "/" in robot or robot.endswith(".yaml"):
        return Path(robot)
    if robot not in robot_names():
        raise ValueError(
            f"robot: expected one of {robot_names()} or the path of a .yaml file, got {robot!r}"
        )
    return ROBOT_FILES / f"{robot}.yaml"


def _read(source: Path, kind: type[_Record]) -> _Record:
    try:
        text = source.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        reason = getattr(error, "strerror", None) or "it is not UTF-8 text"
        raise ValueError(f"{source}: cannot be read: {reason}") from error
    data = plain.load_yaml(text, str(source))
    try:
        found = plain.from_plain(kind, data)
    except ValueError as error:
        raise ValueError(f"{source}: {error}") from error
    if found.version != GRAPH_VERSION:
        raise ValueError(f"{source}: version: expected {GRAPH_VERSION}, got {found.version}")
    return found
