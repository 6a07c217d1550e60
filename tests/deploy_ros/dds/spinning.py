# pyright: standard
"""Spin until something is true."""

import time
from collections.abc import Callable
from typing import Any


def spin_until(executor: Any, condition: Callable[[], Any], timeout: float = 5.0) -> bool:
    """Spin; return whether the condition became true in time [s]."""
    end = time.monotonic() + timeout
    while not condition():
        if time.monotonic() > end:
            return False
        executor.spin_once(0.02)
    return True


def spin_for(executor: Any, seconds: float) -> None:
    """Spin for a while."""
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        executor.spin_once(max(0.0, end - time.monotonic()))
