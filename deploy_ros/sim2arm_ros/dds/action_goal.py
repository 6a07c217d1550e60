# pyright: standard
"""A goal as its server sees it: the state machine, feedback, the end."""

from __future__ import annotations

import threading
from collections.abc import Callable
from enum import Enum
from typing import TYPE_CHECKING, Any

from .action_interface import ENDED, GOAL_STATUS, goal_key
from .exceptions import RCLError
from .ros_time import Time

if TYPE_CHECKING:
    from .action_server import ActionServer


class GoalResponse(Enum):
    """What a server says to a new goal."""

    REJECT = 1
    ACCEPT = 2


class CancelResponse(Enum):
    """What a server says to a request to cancel."""

    REJECT = 1
    ACCEPT = 2


class GoalEvent(Enum):
    """What happens to a goal."""

    EXECUTE = 1
    CANCEL_GOAL = 2
    SUCCEED = 3
    ABORT = 4
    CANCELED = 5


_S = GOAL_STATUS
# (state, event) -> state. Source: design.ros2.org/articles/actions.html, goal states
_TRANSITIONS: dict[tuple[int, GoalEvent], int] = {
    (_S.STATUS_ACCEPTED, GoalEvent.EXECUTE): _S.STATUS_EXECUTING,
    (_S.STATUS_ACCEPTED, GoalEvent.CANCEL_GOAL): _S.STATUS_CANCELING,
    (_S.STATUS_EXECUTING, GoalEvent.CANCEL_GOAL): _S.STATUS_CANCELING,
    (_S.STATUS_EXECUTING, GoalEvent.SUCCEED): _S.STATUS_SUCCEEDED,
    (_S.STATUS_EXECUTING, GoalEvent.ABORT): _S.STATUS_ABORTED,
    (_S.STATUS_CANCELING, GoalEvent.SUCCEED): _S.STATUS_SUCCEEDED,
    (_S.STATUS_CANCELING, GoalEvent.ABORT): _S.STATUS_ABORTED,
    (_S.STATUS_CANCELING, GoalEvent.CANCELED): _S.STATUS_CANCELED,
}
_NAMES = {
    _S.STATUS_ACCEPTED: "accepted",
    _S.STATUS_EXECUTING: "executing",
    _S.STATUS_CANCELING: "canceling",
    _S.STATUS_SUCCEEDED: "succeeded",
    _S.STATUS_CANCELED: "canceled",
    _S.STATUS_ABORTED: "aborted",
}


class ServerGoalHandle:
    """An accepted goal."""

    def __init__(self, action_server: ActionServer, goal_info: Any, goal_request: Any) -> None:
        self._action_server = action_server
        self._goal_info = goal_info
        self._goal_request = goal_request
        self._state: int = GOAL_STATUS.STATUS_ACCEPTED
        self._destroyed = False
        self._lock = threading.Lock()
        self._stamp_ns = Time.from_msg(goal_info.stamp).nanoseconds  # of the acceptance

    def __eq__(self, other: object) -> bool:
        return isinstance(other, ServerGoalHandle) and self.goal_id == other.goal_id

    __hash__ = None  # type: ignore[assignment]

    @property
    def request(self) -> Any:
        """The goal, an `action_type.Goal`."""
        return self._goal_request

    @property
    def goal_id(self) -> Any:
        """The id, a unique_identifier_msgs.msg.UUID."""
        return self._goal_info.goal_id

    @property
    def status(self) -> int:
        """The state, a constant of GoalStatus; unknown after the goal is forgotten."""
        return GOAL_STATUS.STATUS_UNKNOWN if self._destroyed else self._state

    @property
    def is_active(self) -> bool:
        """Whether the goal has not ended."""
        return not self._destroyed and self._state not in ENDED

    @property
    def is_cancel_requested(self) -> bool:
        """Whether a request to cancel was accepted, and the goal has not ended."""
        return self.status == GOAL_STATUS.STATUS_CANCELING

    @property
    def _is_cancelable(self) -> bool:
        """Whether a request to cancel may be accepted."""
        return not self._destroyed and (self._state, GoalEvent.CANCEL_GOAL) in _TRANSITIONS

    def execute(self, execute_callback: Callable[[ServerGoalHandle], Any] | None = None) -> None:
        """Let the executor run the callback, that of the server where None."""
        if not self.is_cancel_requested:
            self._update_state(GoalEvent.EXECUTE)
        self._action_server.notify_execute(self, execute_callback)

    def publish_feedback(self, feedback: Any) -> None:
        """Send feedback, an `action_type.Feedback`, to the clients."""
        kinds = self._action_server.action_type
        if not isinstance(feedback, kinds.Feedback):
            raise TypeError(f"Expected {kinds.Feedback}, got {type(feedback)}")
        if not self._destroyed:
            message = kinds.Impl.FeedbackMessage(goal_id=self.goal_id, feedback=feedback)
            self._action_server._feedback.publish(message)

    def succeed(self) -> None:
        """End the goal: it is reached."""
        self._update_state(GoalEvent.SUCCEED)

    def abort(self) -> None:
        """End the goal: it cannot be reached."""
        self._update_state(GoalEvent.ABORT)

    def canceled(self) -> None:
        """End the goal after a request to cancel it."""
        self._update_state(GoalEvent.CANCELED)

    def _update_state(self, event: GoalEvent) -> None:
        """Change the state and publish it; a forgotten goal stays as it is.

        Raises:
            RCLError: the event is not possible in this state.
        """
        with self._lock:
            if self._destroyed:
                return
            state = _TRANSITIONS.get((self._state, event))
            if state is None:
                raise RCLError(
                    f"goal {goal_key(self.goal_id).hex()}: {event.name} is not possible in state "
                    f"'{_NAMES[self._state]}'"
                )
            self._state = state
        self._action_server._publish_status()

    def destroy(self) -> None:
        """Forget the goal."""
        self._destroyed = True
