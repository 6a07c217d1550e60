"""Questions to a service that are asked again and again: what a node knows of another one.

An answer that is too old counts as none, so what vanishes or changes is noticed, not remembered.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

_ANSWER_TIMEOUT_S = 2.0
_TOO_OLD_S = 3.0


class Question:
    """One service call, repeated; the newest answer with its age.

    Attributes:
        asked_ns: steady time at which it was asked last [ns].
    """

    def __init__(self, client: Any, request: Any, read: Callable[[Any], Any]) -> None:
        """Ask nothing yet.

        Args:
            client: of the service.
            request: that is sent each time.
            read: makes the value of an answer, when it comes.
        """
        self._client, self._request, self._read = client, request, read
        self._future: Any = None
        self.asked_ns = self._answered_ns = 0
        self._value: Any = None

    def ask(self) -> None:
        """Call the service unless an answer is still on its way."""
        now = time.monotonic_ns()
        if self._future is not None and not self._future.done():
            if now - self.asked_ns < _ANSWER_TIMEOUT_S * 1e9:
                return
            self._client.remove_pending_request(self._future)
        if not self._client.service_is_ready():
            self._future = None
            return
        self.asked_ns = now
        self._future = self._client.call_async(self._request)
        self._future.add_done_callback(self._done)

    def _done(self, future: Any) -> None:
        answer = future.result()
        if answer is not None:
            self._value, self._answered_ns = self._read(answer), time.monotonic_ns()

    @property
    def value(self) -> Any:
        """The newest answer, None if there is none that is new enough."""
        fresh = time.monotonic_ns() - self._answered_ns < _TOO_OLD_S * 1e9
        return self._value if self._answered_ns and fresh else None
