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


def call(executor: Any, node: Any, kind: Any, name: str, request: Any) -> Any:
    """Call a service once and return its response."""
    client = node.create_client(kind, name)
    assert client.wait_for_service(5.0)
    future = client.call_async(request)
    assert spin_until(executor, future.done)
    node.destroy_client(client)
    return future.result()
