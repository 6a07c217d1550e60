# pyright: standard
"""The functions of the module `rclpy`: init, spin, shutdown."""

from __future__ import annotations

import sys
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

from .context import (
    Context,
    SignalHandlerOptions,
    get_default_context,
    install_signal_handlers,
    renew_default_context,
    uninstall_signal_handlers,
)
from .executors import Executor, SingleThreadedExecutor
from .node import Node
from .task import Future

_executor: list[Executor] = []
_executor_lock = threading.Lock()


def init(
    *,
    args: Sequence[str] | None = None,
    context: Context | None = None,
    domain_id: int | None = None,
    signal_handler_options: SignalHandlerOptions | None = None,
) -> None:
    """Join the ROS domain.

    Args:
        args: Command line with the program name in front, `sys.argv` where None.
        context: Another context than the default one.
        domain_id: DDS domain, ROS_DOMAIN_ID where None.
        signal_handler_options: Which signals shut down; all for the default context.
    """
    if signal_handler_options is None:
        signal_handler_options = (
            SignalHandlerOptions.ALL if context is None else SignalHandlerOptions.NO
        )
    target = renew_default_context() if context is None else context
    words = list(sys.argv if args is None else args)
    # Like rcl, do not care whether the first word is the program name.
    if words and not words[0].startswith("-"):
        words = words[1:]
    target.init(words, domain_id=domain_id)
    install_signal_handlers(signal_handler_options)


def ok(*, context: Context | None = None) -> bool:
    """Return whether the context is initialised and not shut down."""
    return (get_default_context() if context is None else context).ok()


def get_global_executor() -> Executor:
    """Return the executor that `spin` and the like use, a new one after a shutdown."""
    with _executor_lock:
        if _executor and not _executor[0].context.ok():
            _executor.clear()
        if not _executor:
            _executor.append(SingleThreadedExecutor())
        return _executor[0]


def shutdown(*, context: Context | None = None, uninstall_handlers: bool | None = None) -> None:
    """End the context; a second call raises."""
    _end_executor()
    (get_default_context() if context is None else context).shutdown()
    if uninstall_handlers or (uninstall_handlers is None and context is None):
        uninstall_signal_handlers()


def try_shutdown(*, context: Context | None = None, uninstall_handlers: bool | None = None) -> None:
    """End the context if it is not ended yet."""
    _end_executor()
    (get_default_context() if context is None else context).try_shutdown()
    if uninstall_handlers or (uninstall_handlers is None and context is None):
        uninstall_signal_handlers()


def _end_executor() -> None:
    with _executor_lock:
        ended = list(_executor)
        _executor.clear()
    for executor in ended:
        executor.shutdown()


def create_node(node_name: str, **kwargs: Any) -> Node:
    """Return a new Node."""
    return Node(node_name, **kwargs)


@contextmanager
def _spinning(node: Node, executor: Executor | None) -> Iterator[Executor]:
    """Add the node to the executor for a while."""
    using = get_global_executor() if executor is None else executor
    added = using.add_node(node)
    try:
        yield using
    finally:
        if added:
            using.remove_node(node)


def spin_once(
    node: Node, *, executor: Executor | None = None, timeout_sec: float | None = None
) -> None:
    """Wait for one callback and run it."""
    with _spinning(node, executor) as using:
        using.spin_once(timeout_sec)


def spin(node: Node, executor: Executor | None = None) -> None:
    """Run callbacks until the context is shut down."""
    with _spinning(node, executor) as using:
        using.spin()


def spin_until_future_complete(
    node: Node,
    future: Future,
    executor: Executor | None = None,
    timeout_sec: float | None = None,
) -> None:
    """Run callbacks until the future is done or the time is up."""
    with _spinning(node, executor) as using:
        using.spin_until_future_complete(future, timeout_sec)
