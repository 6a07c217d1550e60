"""Guard conditions: let any thread run a callback in the executor."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from .callback_groups import CallbackGroup
from .context import Context
from .exceptions import InvalidHandle


class GuardCondition:
    """Runs its callback once after each `trigger`."""

    def __init__(
        self,
        callback: Callable[[], Any] | None,
        callback_group: CallbackGroup,
        context: Context | None = None,
    ) -> None:
        self.callback = callback
        self.callback_group = callback_group
        self.triggered = False
        self._destroyed = False
        self._wake: Callable[[], None] = lambda: None

    def trigger(self) -> None:
        """Let the executor run the callback."""
        if self._destroyed:
            raise InvalidHandle("the guard condition was destroyed")
        self.triggered = True
        self._wake()

    def destroy(self) -> None:
        """End the guard condition."""
        self._destroyed = True
