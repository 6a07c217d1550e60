# pyright: standard
"""Executors: wait for what nodes have to do, and do it."""

from __future__ import annotations

import inspect
import os
import threading
import time
from collections import deque
from collections.abc import Callable, Coroutine
from concurrent.futures import Future as FutureOfCall
from concurrent.futures import ThreadPoolExecutor
from types import TracebackType
from typing import TYPE_CHECKING, Any

from .context import Context, get_default_context, register_waker
from .cyclone import INFINITE_NS, WaitSet
from .task import Future, Task
from .timer import Timer

if TYPE_CHECKING:
    from .node import Node

# Longest wait: our signal handlers end a wait at once. Where there are none (rclpy.init with
# SignalHandlerOptions.NO, or not in the main thread), Python sees Ctrl-C after this time.
MAX_WAIT_NS = 500_000_000


class TimeoutException(Exception):  # noqa: N818 - rclpy's name
    """Nothing became ready in time."""


class ShutdownException(Exception):  # noqa: N818 - rclpy's name
    """The executor was shut down."""


class ExternalShutdownException(Exception):  # noqa: N818 - rclpy's name
    """The context was shut down while the executor waited."""

    def __init__(self) -> None:
        super().__init__("The context was shut down while the executor was waiting.")


class Executor:
    """Base of the executors; one thread waits, subclasses decide where callbacks run."""

    def __init__(self, *, context: Context | None = None) -> None:
        self._context = get_default_context() if context is None else context
        self._nodes: dict[Node, None] = {}
        self._entities: dict[int, Any] = {}
        self._blocked: set[int] = set()
        self._lock = threading.RLock()
        self._tasks: deque[Task] = deque()
        self._round: deque[Any] = deque()
        # Threads that make a call. A set, because Ctrl-C raises KeyboardInterrupt anywhere in the
        # main thread: a count would stay too high, and `shutdown` would wait for ever.
        self._calling: set[int] = set()
        self._idle = threading.Condition()
        self._waiter = 0
        self._is_shutdown = False
        self._waitset = WaitSet(self._context.participant)
        self._context.on_shutdown(self.wake)
        register_waker(self)

    @property
    def context(self) -> Context:
        """The context."""
        return self._context

    # --- nodes and what they own ---

    def add_node(self, node: Node) -> bool:
        """Spin this node from now on; False where it already is."""
        with self._lock:
            if node in self._nodes:
                return False
            self._nodes[node] = None
        node.executor = self
        for entity in node._waited():
            self._attach(entity)
        self.wake()
        return True

    def remove_node(self, node: Node) -> None:
        """Spin the node no more."""
        with self._lock:
            if node not in self._nodes:
                return
            del self._nodes[node]
        for entity in node._waited():
            self._detach(entity)
        gone = {id(item) for item in (*node._timers, *node._guards)}
        self._round = deque(item for item in self._round if id(item) not in gone)
        if node.executor is self:
            node.executor = None
        self.wake()

    def get_nodes(self) -> list[Node]:
        """Return the nodes."""
        with self._lock:
            return list(self._nodes)

    def _attach(self, entity: Any) -> None:
        with self._lock:
            self._entities[entity.token] = entity
            self._waitset.attach(entity.condition, entity.token)

    def _detach(self, entity: Any) -> None:
        with self._lock:
            self._entities.pop(entity.token, None)
            self._blocked.discard(entity.token)
            self._waitset.detach(entity.token)

    # --- tasks ---

    def create_task(
        self, callback: Callable[..., Any] | Coroutine[Any, Any, Any], *args: Any, **kwargs: Any
    ) -> Task:
        """Run a function or coroutine in this executor; return its future."""
        task = Task(callback, args, kwargs, executor=self)
        self._schedule(task)
        return task

    def _schedule(self, task: Task) -> None:
        self._tasks.append(task)
        self.wake()

    def wake(self) -> None:
        """Let the waiting thread look again."""
        self._waitset.wake()

    # --- waiting ---

    def _next(self, timeout_sec: float | None, until: Future | None = None) -> Task:
        """Return the next call to make.

        Raises:
            TimeoutException, ShutdownException, ExternalShutdownException: there is none.
        """
        end = None
        if timeout_sec is not None and timeout_sec >= 0:
            end = time.monotonic_ns() + int(timeout_sec * 1e9)
        looked = False
        while True:
            if self._is_shutdown:
                raise ShutdownException
            if not self._context.ok():
                raise ExternalShutdownException
            self._raise_error()
            if until is not None and until.done():
                raise TimeoutException
            while self._round:
                task = self._claim(self._round.popleft())
                if task is not None:
                    return task
            left = INFINITE_NS if end is None else max(0, end - time.monotonic_ns())
            if left == 0 and looked:
                raise TimeoutException
            looked = True
            self._wait(left)

    def _wait(self, timeout_ns: int) -> None:
        """Wait until something may be ready, and fill the next round."""
        with self._lock:
            nodes = list(self._nodes)
        ready: list[Any] = []
        while self._tasks:
            ready.append(self._tasks.popleft())
        for node in nodes:
            for timer in node._timers:
                left = timer.steady_timeout_ns()
                if left is None:
                    continue
                if left <= 0 and timer.callback_group.can_execute(timer):
                    ready.append(timer)
                elif left > 0:
                    timeout_ns = min(timeout_ns, left)
            ready.extend(g for g in node._guards if g.triggered and g.callback_group.can_execute(g))
        self._waiter = threading.get_ident()
        tokens = self._waitset.wait(0 if ready else min(timeout_ns, MAX_WAIT_NS))
        self._round.extend(ready)
        with self._lock:
            self._round.extend(self._entities[t] for t in tokens if t in self._entities)

    def _claim(self, item: Any) -> Task | None:
        """Turn what is ready into a call, if its group allows."""
        if isinstance(item, Task):
            return item
        group = item.callback_group
        if hasattr(item, "token") and item.token not in self._entities:
            return None  # removed meanwhile
        if not group.beginning_execution(item):
            if hasattr(item, "token"):
                self._block(item)
            return None
        call: Callable[[], Any] | None = None
        try:
            call = self._take(item)
        finally:
            if call is None:
                self._release(item)
        if call is None:
            return None
        self._calling.add(threading.get_ident())
        if inspect.iscoroutinefunction(getattr(item, "callback", None)):
            return Task(self._run_async(item, call), executor=self)
        return Task(self._run, (item, call), executor=self)

    def _take(self, item: Any) -> Callable[[], Any] | None:
        if isinstance(item, Timer):
            return item.callback if item.claim() else None
        if not hasattr(item, "token"):  # a guard condition
            item.triggered = False
            return item.callback or (lambda: None)
        if item.closed:
            return None
        try:
            return item.take()
        except RuntimeError:
            if item.closed:  # destroyed meanwhile, by another thread
                return None
            raise

    def _run(self, item: Any, call: Callable[[], Any]) -> None:
        try:
            result = call()
            answer = getattr(call, "answer", None)
            if answer is not None:
                answer(result)
        finally:
            self._release(item)

    async def _run_async(self, item: Any, call: Callable[[], Any]) -> None:
        try:
            result = await call()
            answer = getattr(call, "answer", None)
            if answer is not None:
                answer(result)
        finally:
            self._release(item)

    # --- callback groups ---

    def _block(self, item: Any) -> None:
        """Stop waiting for an entity whose group is busy; `_release` waits for it again."""
        with self._lock:
            if item.token in self._entities:
                self._blocked.add(item.token)
                self._waitset.detach(item.token)
        if item.callback_group.can_execute(item):  # it became free meanwhile
            self._unblock()

    def _release(self, item: Any) -> None:
        item.callback_group.ending_execution(item)
        if self._blocked:
            self._unblock()
        elif self._waiter != threading.get_ident():
            self.wake()  # a timer of this group may be due

    def _unblock(self) -> None:
        with self._lock:
            for token in self._blocked:
                self._waitset.attach(self._entities[token].condition, token)
            self._blocked.clear()
        self.wake()

    # --- spinning ---

    def spin(self) -> None:
        """Make calls until the context or the executor is shut down."""
        while self._context.ok() and not self._is_shutdown:
            self.spin_once()

    def spin_once(self, timeout_sec: float | None = None) -> None:
        """Wait for one call and make it; None or negative waits for ever."""
        self._spin_once(timeout_sec, None)

    def spin_once_until_future_complete(
        self, future: Future, timeout_sec: float | None = None
    ) -> None:
        """Like `spin_once`; a completed future ends the wait."""
        future._add_waiter(self.wake)
        self._spin_once(timeout_sec, future)

    def spin_until_future_complete(self, future: Future, timeout_sec: float | None = None) -> None:
        """Make calls until the future is done or the time is up."""
        future._add_waiter(self.wake)
        end = None
        if timeout_sec is not None and timeout_sec >= 0:
            end = time.monotonic() + timeout_sec
        while self._context.ok() and not future.done() and not self._is_shutdown:
            left = None if end is None else end - time.monotonic()
            if left is not None and left <= 0:
                break
            self._spin_once(left, future)

    def _spin_once(self, timeout_sec: float | None, until: Future | None) -> None:
        thread = threading.get_ident()
        nested = thread in self._calling  # a callback spins
        try:
            try:
                task = self._next(timeout_sec, until)
            except (TimeoutException, ShutdownException):
                return
            self._execute(task)
        finally:
            if not nested:
                self._called(thread)

    def _called(self, thread: int) -> None:
        with self._idle:
            self._calling.discard(thread)
            self._idle.notify_all()

    def _execute(self, task: Task) -> None:
        raise NotImplementedError

    def _raise_error(self) -> None:
        """Raise what a callback raised in another thread."""

    def shutdown(self, timeout_sec: float | None = None) -> bool:
        """Stop; return whether all running callbacks ended in time."""
        self._is_shutdown = True
        self.wake()
        if timeout_sec is not None and timeout_sec < 0:
            timeout_sec = None
        for node in self.get_nodes():
            self.remove_node(node)
        thread = threading.get_ident()
        with self._idle:
            return self._idle.wait_for(lambda: not self._others(thread), timeout_sec)

    def _others(self, thread: int) -> bool:
        """Return whether another thread makes a call."""
        return bool(self._calling - {thread})

    def __enter__(self) -> Executor:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.shutdown()


class SingleThreadedExecutor(Executor):
    """Runs callbacks in the thread that spins."""

    def _execute(self, task: Task) -> None:
        task()
        error = task.exception()
        if error is not None:
            raise error


class MultiThreadedExecutor(Executor):
    """Runs callbacks in a pool of threads."""

    def __init__(self, num_threads: int | None = None, *, context: Context | None = None) -> None:
        super().__init__(context=context)
        count = max(2, os.cpu_count() or 2) if num_threads is None else num_threads
        self._pool = ThreadPoolExecutor(count, thread_name_prefix="ros-executor")
        self._submitted: set[FutureOfCall] = set()
        self._errors: deque[BaseException] = deque()

    def _execute(self, task: Task) -> None:
        call = self._pool.submit(self._work, task)
        self._submitted.add(call)
        call.add_done_callback(self._worked)

    def _work(self, task: Task) -> None:
        thread = threading.get_ident()
        self._calling.add(thread)
        try:
            task()
        finally:
            self._calling.discard(thread)
        error = task.exception()
        if error is not None:
            self._errors.append(error)
            self.wake()

    def _worked(self, call: FutureOfCall) -> None:
        with self._idle:
            self._submitted.discard(call)
            self._idle.notify_all()

    def _raise_error(self) -> None:
        if self._errors:
            raise self._errors.popleft()

    def _others(self, thread: int) -> bool:
        own = 1 if thread in self._calling else 0
        return super()._others(thread) or len(self._submitted) > own

    def shutdown(self, timeout_sec: float | None = None) -> bool:
        """Stop; return whether all running callbacks ended in time."""
        done = super().shutdown(timeout_sec)
        self._pool.shutdown(wait=False)
        return done
