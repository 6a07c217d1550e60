# pyright: standard
"""Context: one DDS participant, its arguments, and the shutdown on signals."""

from __future__ import annotations

import atexit
import os
import signal
import sys
import threading
import weakref
from collections.abc import Callable
from enum import IntEnum
from types import FrameType, TracebackType
from typing import Any

from .arguments import RosArguments, parse_arguments
from .cyclone import Participant, close_domains
from .discovery import cyclone_config, domain_id
from .exceptions import NotInitializedException, RCLError
from .graph import Graph


class SignalHandlerOptions(IntEnum):
    """Which signals `init` handles."""

    NO = 0
    SIGINT = 1
    SIGTERM = 2
    ALL = 3


class Context:
    """What `init` makes and `shutdown` ends; nodes live in it."""

    def __init__(self) -> None:
        self._lock = threading.RLock()
        self._participant: Participant | None = None
        self._graph: Graph | None = None
        self._ok = False
        self._callbacks: list[Any] = []
        self.arguments = RosArguments()
        self.domain = 0
        self.interrupted = False
        """Whether a signal ended the context, and `try_shutdown` has not followed yet."""

    def init(
        self,
        args: list[str] | None = None,
        *,
        initialize_logging: bool = True,
        domain_id: int | None = None,
    ) -> None:
        """Join the domain; `args` are the command line without the program name."""
        with self._lock:
            if self._ok:
                raise RuntimeError("Context.init() must only be called once")
            self.arguments = parse_arguments(sys.argv[1:] if args is None else args)
            if initialize_logging:
                from .ros_logging import apply_levels

                apply_levels(self.arguments.log_levels)
            self.domain = _domain_of(domain_id)
            try:
                config = cyclone_config()
            except ValueError as error:
                raise RCLError(str(error)) from error
            self._participant = Participant(self.domain, config, "enclave=/;")
            self._graph = Graph(self._participant)
            self._ok = True
        _CONTEXTS.add(self)

    @property
    def participant(self) -> Participant:
        """The DDS participant."""
        if self._participant is None:
            raise NotInitializedException("rclpy is not initialised: call rclpy.init() first")
        return self._participant

    @property
    def graph(self) -> Graph:
        """What is known of the ROS graph."""
        if self._graph is None:
            raise NotInitializedException("rclpy is not initialised: call rclpy.init() first")
        return self._graph

    def ok(self) -> bool:
        """Return whether the context is initialised and not shut down."""
        return self._ok

    def get_domain_id(self) -> int:
        """Return the DDS domain."""
        self.participant  # noqa: B018 - raises when not initialised
        return self.domain

    def on_shutdown(self, callback: Callable[[], Any]) -> None:
        """Call back once at shutdown; methods are held weakly."""
        with self._lock:
            owner = getattr(callback, "__self__", None)
            weak = owner is not None and not isinstance(owner, threading.Event)
            self._callbacks.append(weakref.WeakMethod(callback) if weak else lambda: callback)

    def _forget_on_shutdown(self, callback: Callable[[], Any]) -> None:
        with self._lock:
            self._callbacks = [c for c in self._callbacks if c() != callback]

    def shutdown(self) -> None:
        """End the context; a second call raises."""
        if not self._ok:
            raise RuntimeError("Context must be initialized before it can be shutdown")
        self.try_shutdown()

    def try_shutdown(self) -> None:
        """End the context if it is not ended yet."""
        with self._lock:
            if not self._ok and not self.interrupted:
                return
            self._ok = self.interrupted = False
            callbacks, self._callbacks = self._callbacks, []
            graph = self._graph
        for reference in callbacks:
            callback = reference()
            if callback is not None:
                callback()
        if graph is not None:
            graph.stop()
        _CONTEXTS.discard(self)

    def _interrupt(self) -> None:
        """Become invalid because of a signal; executors then raise ExternalShutdownException."""
        self._ok = False
        self.interrupted = True

    def __enter__(self) -> Context:
        self.init()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.try_shutdown()


def _domain_of(given: int | None) -> int:
    try:
        return domain_id() if given is None else given
    except ValueError as error:
        raise RCLError(str(error)) from error


_CONTEXTS: weakref.WeakSet[Context] = weakref.WeakSet()


@atexit.register
def _leave() -> None:
    """Tell the domain that we go, so that peers need not wait for the lease (10 s)."""
    for context in list(_CONTEXTS):
        context.try_shutdown()
    close_domains()


_default: list[Context] = []
_default_lock = threading.Lock()


def get_default_context(*, shutting_down: bool = False) -> Context:
    """Return the context of the process, a new one after a shutdown."""
    with _default_lock:
        if not _default:
            if shutting_down:
                raise RuntimeError("there is no default context to shut down")
            _default.append(Context())
        return _default[0]


def renew_default_context() -> Context:
    """Return the default context for `init`, a fresh one when the last was shut down."""
    with _default_lock:
        if _default and not _default[0].ok() and _default[0]._participant is not None:
            _default.clear()
        if not _default:
            _default.append(Context())
        return _default[0]


# --- signals --------------------------------------------------------------------------------

_previous: dict[int, Any] = {}
_wakers: weakref.WeakSet[Any] = weakref.WeakSet()
_pipe: list[int] = []


def register_waker(waker: Any) -> None:
    """Wake this object (its `wake()`) when a signal arrives, also while C code blocks."""
    _wakers.add(waker)


def install_signal_handlers(
    options: SignalHandlerOptions = SignalHandlerOptions.ALL,
) -> None:
    """Shut all contexts down on SIGINT and SIGTERM; only the main thread can install."""
    if threading.current_thread() is not threading.main_thread():
        return
    for number, bit in ((signal.SIGINT, 1), (signal.SIGTERM, 2)):
        if options & bit and number not in _previous:
            _previous[number] = signal.signal(number, _on_signal)
    if _previous and not _pipe:
        # Python handlers run only after the C call returns. The interpreter writes a byte to
        # this pipe at once; the thread then wakes the executors.
        receive, send = os.pipe()
        os.set_blocking(send, False)
        _pipe[:] = [receive, send]
        signal.set_wakeup_fd(send, warn_on_full_buffer=False)
        threading.Thread(target=_wake_on_signal, args=(receive,), daemon=True).start()


def uninstall_signal_handlers() -> None:
    """Restore what was there before `install_signal_handlers`."""
    if threading.current_thread() is not threading.main_thread():
        return
    for number, handler in _previous.items():
        signal.signal(number, handler)
    _previous.clear()
    if _pipe:
        signal.set_wakeup_fd(-1)
        receive, send = _pipe
        _pipe.clear()
        os.close(send)  # ends the thread, which closes the other end
        del receive


def get_current_signal_handlers_options() -> SignalHandlerOptions:
    """Return which signals are handled now."""
    installed = (signal.SIGINT in _previous) | (signal.SIGTERM in _previous) << 1
    return SignalHandlerOptions(installed)


def _wake_on_signal(receive: int) -> None:
    while os.read(receive, 16):
        for waker in list(_wakers):
            waker.wake()
    os.close(receive)


def _on_signal(number: int, frame: FrameType | None) -> None:
    for context in list(_CONTEXTS):
        context._interrupt()
    for waker in list(_wakers):
        waker.wake()
    previous = _previous.get(number)
    if callable(previous):
        previous(number, frame)
