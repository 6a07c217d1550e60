# pyright: standard
"""Futures and tasks of the executors."""

from __future__ import annotations

import inspect
import sys
import threading
import warnings
import weakref
from collections.abc import Callable, Coroutine, Generator
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from .executors import Executor


class Future:
    """The outcome of something later; may be awaited in callbacks."""

    def __init__(self, *, executor: Executor | None = None) -> None:
        self._done = False
        self._cancelled = False
        self._result: Any = None
        self._exception: BaseException | None = None
        self._exception_fetched = False
        self._callbacks: list[Callable[[Any], Any]] = []
        self._waiters: list[Callable[[], None]] = []
        self._lock = threading.Lock()
        self._executor: Callable[[], Executor | None] = lambda: None
        self._set_executor(executor)

    def __del__(self) -> None:
        if self._exception is not None and not self._exception_fetched:
            print(
                f"The following exception was never retrieved: {self._exception}", file=sys.stderr
            )

    def __await__(self) -> Generator[Any, None, Any]:
        while not self._done:
            yield self
        return self.result()

    def cancel(self) -> None:
        """Cancel unless it is done."""
        with self._lock:
            if not self._done:
                self._cancelled = True
        self._run_callbacks()

    def cancelled(self) -> bool:
        """Return whether it was cancelled."""
        return self._cancelled

    def done(self) -> bool:
        """Return whether a result or an exception is there."""
        return self._done

    def result(self) -> Any:
        """Return the result (None before it is there), or raise the exception."""
        error = self.exception()
        if error is not None:
            raise error
        return self._result

    def exception(self) -> BaseException | None:
        """Return the exception, if any."""
        self._exception_fetched = True
        return self._exception

    def set_result(self, result: Any) -> None:
        """Complete with a result."""
        with self._lock:
            self._result = result
            self._done, self._cancelled = True, False
        self._run_callbacks()

    def set_exception(self, exception: BaseException) -> None:
        """Complete with an exception."""
        with self._lock:
            self._exception = exception
            self._exception_fetched = False
            self._done, self._cancelled = True, False
        self._run_callbacks()

    def add_done_callback(self, callback: Callable[[Any], Any]) -> None:
        """Call back with the future when it is done, at once if it is."""
        with self._lock:
            if not self._done:
                self._callbacks.append(callback)
                return
            executor = self._executor()
        if executor is not None:
            executor.create_task(callback, self)
        else:
            callback(self)

    def _add_waiter(self, waiter: Callable[[], None]) -> None:
        """Call the waiter directly, in the thread that completes the future."""
        with self._lock:
            if not (self._done or self._cancelled):
                self._waiters.append(waiter)
                return
        waiter()

    def _run_callbacks(self) -> None:
        with self._lock:
            executor = self._executor()
            callbacks, self._callbacks = self._callbacks, []
            waiters, self._waiters = self._waiters, []
        for waiter in waiters:
            waiter()
        for callback in callbacks:
            if executor is not None:
                executor.create_task(callback, self)
                continue
            try:
                callback(self)
            except Exception as error:  # other callbacks must still run
                warnings.warn(f"Unhandled exception in done callback: {error}", stacklevel=2)

    def _set_executor(self, executor: Executor | None) -> None:
        self._executor = (lambda: None) if executor is None else weakref.ref(executor)


class Task(Future):
    """A function or coroutine that an executor runs."""

    def __init__(
        self,
        handler: Callable[..., Any] | Coroutine[Any, Any, Any],
        args: Any = None,
        kwargs: Any = None,
        executor: Executor | None = None,
    ) -> None:
        super().__init__(executor=executor)
        self._args = tuple(args or ())
        self._kwargs = dict(kwargs or {})
        self._handler: Any = handler
        if inspect.iscoroutinefunction(handler):
            self._handler = handler(*self._args, **self._kwargs)
        self._executing = False
        self._task_lock = threading.Lock()

    def __call__(self) -> None:
        """Run the function, or the coroutine up to its next await."""
        with self._task_lock:
            if self._done:
                return
            self._executing = True
            self._step()
            self._executing = False

    def _step(self) -> None:
        try:
            if not inspect.iscoroutine(self._handler):
                self.set_result(self._handler(*self._args, **self._kwargs))
            else:
                awaited = self._handler.send(None)
                self._resume_after(awaited)
                return
        except StopIteration as stop:
            self.set_result(stop.value)
        except Exception as error:  # handed to whoever asks for the result
            self.set_exception(error)
        self._handler, self._args, self._kwargs = None, (), {}

    def _resume_after(self, awaited: Any) -> None:
        executor = self._executor()
        if executor is None:
            return
        if isinstance(awaited, Future):
            awaited._add_waiter(lambda: executor._schedule(self))
        else:
            executor._schedule(self)

    def executing(self) -> bool:
        """Return whether it runs now."""
        return self._executing


async def await_or_execute(callback: Any, *args: Any) -> Any:
    """Call a function, or await a coroutine function; return what it returns."""
    if inspect.iscoroutinefunction(callback):
        return await callback(*args)
    return callback(*args)
