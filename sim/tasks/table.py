"""The tasks we know, one line each."""

# pyright: standard

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from sim2arm.core import plain
from sim2arm.core.robot_files import find_robot
from sim2arm.core.robots import Robot

from .base import Task
from .bimanual_insertion import BimanualInsertion, BimanualInsertionCfg
from .bolt_on_nut import BoltOnNut, BoltOnNutCfg
from .lift_cube import LiftCube, LiftCubeCfg
from .peg_insertion import PegInsertion, PegInsertionCfg
from .peg_placement import PegPlacement, PegPlacementCfg
from .push_t import PushT, PushTCfg
from .reach import Reach, ReachCfg
from .transfer_cube import TransferCube, TransferCubeCfg

PAIRS: dict[str, tuple[Any, Callable[[Any, Robot], Task]]] = {
    "transfer-cube": (TransferCubeCfg(), TransferCube),
    "bimanual-insertion": (BimanualInsertionCfg(), BimanualInsertion),
}
"""Tasks of two arms, which learn from demonstrations: name -> default configuration, constructor.

There is no `Env` of them: what trains there moves one arm in each world."""
TASKS: dict[str, tuple[Any, Callable[[Any, Robot], Task]]] = {
    "reach": (ReachCfg(), Reach),
    "lift-cube": (LiftCubeCfg(), LiftCube),
    "peg-insertion": (PegInsertionCfg(), PegInsertion),
    "peg-placement": (PegPlacementCfg(), PegPlacement),
    "push-t": (PushTCfg(), PushT),
    "bolt-on-nut": (BoltOnNutCfg(), BoltOnNut),
}
"""Name -> default configuration, constructor."""


def make_task(name: str, robot: str, settings: str = "") -> Task:
    """Return a task by name.

    Args:
        name: one of `TASKS`.
        robot: one of `ROBOTS`, or an imported one.
        settings: its configuration as YAML, as `describe_task` gives it; the defaults if empty.

    Raises:
        ValueError: the task or the robot is not known, or the settings do not fit the task.
    """
    known = TASKS | PAIRS
    if name not in known:
        raise ValueError(f"task {name!r} is not known. Known: {sorted(known)}")
    arm = find_robot(robot)
    cfg, build = known[name]
    if settings:
        cfg = plain.from_plain(type(cfg), plain.load_yaml(settings, "task settings"))
    return build(cfg, arm)


def build_task(cfg: Any, robot: Robot) -> Task:
    """Return the task of a configuration."""
    return (TASKS | PAIRS)[_name_of(cfg)][1](cfg, robot)


def describe_task(task: Task) -> tuple[str, str]:
    """Return name and settings of a task, from which `make_task` builds its like."""
    cfg: Any = task.cfg
    return _name_of(cfg), plain.dump_yaml(plain.to_plain(cfg))


def _name_of(cfg: Any) -> str:
    return next(
        name for name, (default, _) in (TASKS | PAIRS).items() if type(default) is type(cfg)
    )
