"""The rigs of `sim2arm bench calibration`: cameras, boards and arms whose truth is known."""

from __future__ import annotations

import importlib
import sys
from typing import Any

from sim2arm.cli.checkout import find_checkout

ROOT = find_checkout()


def load(name: str) -> Any:
    """Return a module of the benchmarks, which only a checkout has."""
    assert ROOT is not None
    folder = str(ROOT / "benchmarks")
    if folder not in sys.path:
        sys.path.insert(0, folder)
    return importlib.import_module(name)


RIGS: Any = load("_calibration_rigs") if ROOT is not None else None
