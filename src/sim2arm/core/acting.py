"""A policy that acts: chunks are asked for when they are due, and become one action per tick."""

from __future__ import annotations

from collections.abc import Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from .contract import Contract
from .executor import Executor

Seen = Mapping[str, NDArray[Any]]


class Policy(Protocol):
    """N rows that answer with chunks."""

    def reset(self) -> None:
        """Begin new episodes."""
        ...

    def act(self, obs: Seen) -> NDArray[np.float32]:
        """Return chunks (N, T, A) for observations (N, ...)."""
        ...


class Acting:
    """What the executor of a contract makes of a policy, of N arms that tick together.

    An executor of kind ahead does not wait for the policy where `beside` is set: that runs in a
    thread while the chunk before goes on. Elsewhere the policy answers within the call, and
    episodes can be repeated.

    Attributes:
        beside: whether the policy runs beside the ticks.
        asked: chunks that were asked for since the beginning.
        late: ticks at which one that should have been used was not there yet.
    """

    def __init__(
        self, policy: Policy, contract: Contract, *, rows: int = 1, beside: bool = False
    ) -> None:
        """Take a policy.

        Args:
            policy: on `rows` rows.
            contract: whose executor and actions count.
            rows: N.
            beside: whether it may run beside the ticks, in a thread.

        Raises:
            ValueError: the executor does not go with the actions.
        """
        action = contract.action
        self._policy, self._shape = policy, (rows, action.horizon, action.dim)
        self._executor = Executor(contract.executor, action, contract.period)
        self._told = any(spec.kind == "prefix" for spec in contract.inputs)
        self._delay = round(contract.executor.delay * action.dt_s * 1e9)
        self.beside = beside and contract.executor.kind == "ahead"
        self._thread = ThreadPoolExecutor(1, "policy") if self.beside else None
        self._running: tuple[Future[NDArray[np.float32]], int] | None = None
        self._forgotten: list[Future[NDArray[np.float32]]] = []
        self.asked = self.late = 0

    def begin(self) -> None:
        """Begin new episodes; what still runs is waited for and forgotten."""
        self.forget()
        for future in self._forgotten:  # what is forgotten may not write into the next episode
            if not future.cancel():
                future.exception()
        self._forgotten.clear()
        self._policy.reset()
        self._executor.reset()
        self.asked = self.late = 0

    def forget(self) -> None:
        """Drop what was answered for an arm that somebody else has moved since."""
        if self._running is not None:
            self._forgotten = [f for f in self._forgotten if not f.done()] + [self._running[0]]
            self._running = None
        self._executor.reset()

    def close(self) -> None:
        """Let the thread end."""
        if self._thread is not None:
            self._thread.shutdown(wait=True, cancel_futures=True)

    def act(self, obs: Seen, now_ns: int) -> NDArray[np.float32]:
        """Return the actions (N, A) of a tick.

        Args:
            obs: what is seen (N, ...), without inputs of kind prefix.
            now_ns: time of the tick, on any clock that advances by a period from tick to tick.

        Raises:
            ChunkExhausted: no entry of a chunk is for this tick.
            ValueError: the policy failed.
        """
        self._take(now_ns)
        if self._running is None and self._executor.wants(now_ns):
            self._ask(obs, now_ns)
        return self._executor.next(now_ns)

    def _ask(self, obs: Seen, now_ns: int) -> None:
        seen = dict(obs)
        if self._told:
            seen |= self._executor.prefix(now_ns, self._shape)
        first, self.asked = self.asked == 0, self.asked + 1
        if self._thread is None or first:  # before the first chunk nothing moves: it may wait
            self._executor.push(self._policy.act(seen), now_ns)
            return
        copies = {name: np.array(value) for name, value in seen.items()}  # callers reuse memory
        self._running = self._thread.submit(self._policy.act, copies), now_ns

    def _take(self, now_ns: int) -> None:
        """Take the chunk of a policy that runs beside, if it is there."""
        if self._running is None:
            return
        future, observed_ns = self._running
        if future.done():
            self._running = None
            self._executor.push(future.result(), observed_ns)
        elif now_ns - observed_ns >= self._delay:
            self.late += 1
