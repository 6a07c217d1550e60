"""The tasks we know, one line each."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from sim2arm.core.robots import Robot

from .base import Task
from .peg_insertion import PegInsertion, PegInsertionCfg
from .reach import Reach, ReachCfg

TASKS: dict[str, tuple[Any, Callable[[Any, Robot], Task]]] = {
    "reach": (ReachCfg(), Reach),
    "peg-insertion": (PegInsertionCfg(), PegInsertion),
}
"""Name -> default configuration, constructor."""
