# pyright: standard
"""Action clients: send goals, follow them, cancel them, ask for their results."""

from __future__ import annotations

import threading
import uuid
import weakref
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from .action_interface import ENDED, GOAL_STATUS, check_action_type, goal_key, hidden_name
from .callback_groups import CallbackGroup
from .exceptions import RCLError
from .messages import message_class, service_class
from .qos import (
    QoSProfile,
    qos_profile_action_status_default,
    qos_profile_services_default,
)
from .service import Client
from .subscription import Subscription
from .task import Future, await_or_execute

if TYPE_CHECKING:
    from .node import Node

_UUID = message_class("unique_identifier_msgs/msg/UUID")
_CANCEL = service_class("action_msgs/srv/CancelGoal")


class ClientGoalHandle:
    """A goal that a server answered: accepted or not."""

    def __init__(self, action_client: ActionClient, goal_id: Any, goal_response: Any) -> None:
        self._action_client = action_client
        self._goal_id = goal_id
        self._goal_response = goal_response
        self._status: int = GOAL_STATUS.STATUS_UNKNOWN

    def __eq__(self, other: object) -> bool:
        return isinstance(other, ClientGoalHandle) and self._goal_id == other._goal_id

    __hash__ = None  # type: ignore[assignment]

    def __repr__(self) -> str:
        return (
            f"ClientGoalHandle <id={goal_key(self._goal_id).hex()}, accepted={self.accepted}, "
            f"status={self.status}>"
        )

    @property
    def goal_id(self) -> Any:
        """The id, a unique_identifier_msgs.msg.UUID."""
        return self._goal_id

    @property
    def stamp(self) -> Any:
        """When the server accepted it, a builtin_interfaces.msg.Time."""
        return self._goal_response.stamp

    @property
    def accepted(self) -> bool:
        """Whether the server accepted it."""
        return self._goal_response.accepted

    @property
    def status(self) -> int:
        """The newest status that the server published, a constant of GoalStatus."""
        return self._status

    def cancel_goal(self) -> Any:
        """Ask to cancel and wait for the response. Another thread must spin the node."""
        return _wait(self.cancel_goal_async())

    def cancel_goal_async(self) -> Future:
        """Ask to cancel; return the future of the CancelGoal.Response."""
        return self._action_client._cancel_goal_async(self)

    def get_result(self) -> Any:
        """Ask for the result and wait for it. Another thread must spin the node."""
        return _wait(self.get_result_async())

    def get_result_async(self) -> Future:
        """Ask for the result; return the future of status and result, set when the goal ends."""
        return self._action_client._get_result_async(self)


class ActionClient:
    """Sends goals to the server of an action."""

    def __init__(
        self,
        node: Node,
        action_type: Any,
        action_name: str,
        *,
        callback_group: CallbackGroup | None = None,
        goal_service_qos_profile: QoSProfile = qos_profile_services_default,
        result_service_qos_profile: QoSProfile = qos_profile_services_default,
        cancel_service_qos_profile: QoSProfile = qos_profile_services_default,
        feedback_sub_qos_profile: QoSProfile | None = None,
        status_sub_qos_profile: QoSProfile = qos_profile_action_status_default,
    ) -> None:
        check_action_type(action_type)
        types = action_type.Impl
        feedback_qos = feedback_sub_qos_profile or QoSProfile(depth=10)
        self._node = node
        self._action_type = action_type
        self._action_name = action_name
        self.callback_group = node._group(callback_group)
        self._goal_handles: weakref.WeakValueDictionary[bytes, ClientGoalHandle] = (
            weakref.WeakValueDictionary()
        )
        self._feedback_callbacks: dict[bytes, Callable[[Any], Any]] = {}
        self._statuses: dict[bytes, int] = {}
        with node.context.graph.batch():
            self._goals = self._client(types.SendGoalService, "send_goal", goal_service_qos_profile)
            self._cancels = self._client(_CANCEL, "cancel_goal", cancel_service_qos_profile)
            self._results = self._client(
                types.GetResultService, "get_result", result_service_qos_profile
            )
            self._feedback = self._subscription(
                types.FeedbackMessage, "feedback", self._on_feedback, feedback_qos
            )
            self._status = self._subscription(
                types.GoalStatusMessage, "status", self._on_status, status_sub_qos_profile
            )
        self.parts = [self._goals, self._cancels, self._results, self._feedback, self._status]
        node.add_waitable(self)

    def _client(self, kind: Any, part: str, qos: QoSProfile) -> Client:
        node = self._node
        name = node.resolve_service_name(hidden_name(self._action_name, part))
        return Client(node._open(), kind, name, qos, self.callback_group, lambda: node.executor)

    def _subscription(
        self, kind: Any, part: str, callback: Callable[..., Any], qos: QoSProfile
    ) -> Subscription:
        name = self._node.resolve_topic_name(hidden_name(self._action_name, part))
        return Subscription(
            self._node._open(), kind, name, callback, self.callback_group, qos, False
        )

    # --- goals ---

    def send_goal(self, goal: Any, **kwargs: Any) -> Any:
        """Send a goal and wait for its result. Another thread must spin the node."""
        return _wait(self.send_goal_async(goal, **kwargs)).get_result()

    def send_goal_async(
        self,
        goal: Any,
        feedback_callback: Callable[[Any], Any] | None = None,
        goal_uuid: Any = None,
    ) -> Future:
        """Send a goal.

        Args:
            goal: The goal, an `action_type.Goal`.
            feedback_callback: Gets each feedback message (its `feedback`, its `goal_id`).
            goal_uuid: Id of the goal, a random one where None.

        Returns:
            The future of a ClientGoalHandle; an executor must spin the node.
        """
        if not isinstance(goal, self._action_type.Goal):
            raise TypeError(f"Expected {self._action_type.Goal}, got {type(goal)}")
        goal_id = _UUID(uuid=list(uuid.uuid4().bytes)) if goal_uuid is None else goal_uuid
        key = goal_key(goal_id)
        request = self._action_type.Impl.SendGoalService.Request(goal_id=goal_id, goal=goal)
        if feedback_callback is not None:  # feedback may come before the response
            self._feedback_callbacks[key] = feedback_callback
        future = Future(executor=self._node.executor)
        try:
            response = self._goals.call_async(request)
        except Exception:
            self._feedback_callbacks.pop(key, None)
            raise
        response._add_waiter(lambda: self._on_response(goal_id, response, future))
        return future

    def _on_response(self, goal_id: Any, response: Future, future: Future) -> None:
        key = goal_key(goal_id)
        if not response.done() or future.cancelled():
            self._feedback_callbacks.pop(key, None)
            future.cancel()
            return
        handle = ClientGoalHandle(self, goal_id, response.result())
        if handle.accepted:
            self._goal_handles[key] = handle
            handle._status = self._statuses.get(key, handle._status)
        else:
            self._feedback_callbacks.pop(key, None)
        future.set_result(handle)

    def _cancel_goal_async(self, goal_handle: ClientGoalHandle) -> Future:
        request = _CANCEL.Request()
        request.goal_info.goal_id = goal_handle.goal_id  # type: ignore[attr-defined]
        return self._cancels.call_async(request)

    def _get_result_async(self, goal_handle: ClientGoalHandle) -> Future:
        kind = self._action_type.Impl.GetResultService
        future = self._results.call_async(kind.Request(goal_id=goal_handle.goal_id))
        key = goal_key(goal_handle.goal_id)

        def end_feedback() -> None:
            self._feedback_callbacks.pop(key, None)

        future._add_waiter(end_feedback)
        return future

    async def _on_feedback(self, message: Any) -> None:
        callback = self._feedback_callbacks.get(goal_key(message.goal_id))
        if callback is not None:
            await await_or_execute(callback, message)

    def _on_status(self, message: Any) -> None:
        """Keep the newest statuses: that of a goal may come before the response to it."""
        self._statuses = {
            goal_key(entry.goal_info.goal_id): entry.status for entry in message.status_list
        }
        for key, status in self._statuses.items():
            handle = self._goal_handles.get(key)
            if handle is not None:
                handle._status = status
                if status in ENDED:
                    self._goal_handles.pop(key, None)

    # --- the server ---

    def server_is_ready(self) -> bool:
        """Return whether a server is there with all that belongs to it."""
        services = (self._goals, self._cancels, self._results)
        topics = (self._feedback, self._status)
        return all(s.service_is_ready() for s in services) and all(
            t.get_publisher_count() > 0 for t in topics
        )

    def wait_for_server(self, timeout_sec: float | None = None) -> bool:
        """Wait until a server is there; return whether one is."""
        return self._node.context.graph.wait_until(self.server_is_ready, timeout_sec)

    def destroy(self) -> None:
        """End the client; what was asked is cancelled."""
        self._node.remove_waitable(self)
        with self._node.context.graph.batch():
            for part in self.parts:
                part.destroy()
        self._feedback_callbacks.clear()

    def __enter__(self) -> ActionClient:
        return self

    def __exit__(self, *_: object) -> None:
        self.destroy()


def _wait(future: Future) -> Any:
    event = threading.Event()
    future._add_waiter(event.set)
    event.wait()
    if not future.done():
        raise RCLError("the action client was destroyed while somebody waited for it")
    return future.result()
