# pyright: standard
"""Action servers: accept goals, execute them, let them be cancelled, keep their results."""

from __future__ import annotations

import threading
import traceback
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from .action_goal import CancelResponse, GoalEvent, GoalResponse, ServerGoalHandle
from .action_interface import GOAL_STATUS, check_action_type, goal_key, hidden_name
from .callback_groups import CallbackGroup
from .exceptions import RCLError
from .messages import message_class, service_class
from .publisher import Publisher
from .qos import (
    INFINITE_NS,
    QoSProfile,
    qos_profile_action_status_default,
    qos_profile_services_default,
)
from .ros_time import Time
from .service import DeferredService
from .task import Future, await_or_execute

if TYPE_CHECKING:
    from .node import Node

_CANCEL = service_class("action_msgs/srv/CancelGoal")
_CODES: Any = _CANCEL.Response
_GOAL_INFO: Any = message_class("action_msgs/msg/GoalInfo")
_Header = tuple[bytes, int]


def default_handle_accepted_callback(goal_handle: ServerGoalHandle) -> None:
    """Execute the goal at once."""
    goal_handle.execute()


def default_goal_callback(goal_request: Any) -> GoalResponse:
    """Accept every goal."""
    return GoalResponse.ACCEPT


def default_cancel_callback(cancel_request: Any) -> CancelResponse:
    """Let no goal be cancelled."""
    return CancelResponse.REJECT


class ActionServer:
    """Executes the goals of clients with `execute_callback(goal_handle) -> result`."""

    def __init__(
        self,
        node: Node,
        action_type: Any,
        action_name: str,
        execute_callback: Callable[[ServerGoalHandle], Any],
        *,
        callback_group: CallbackGroup | None = None,
        goal_callback: Callable[[Any], Any] | None = default_goal_callback,
        handle_accepted_callback: Callable[[ServerGoalHandle], Any]
        | None = default_handle_accepted_callback,
        cancel_callback: Callable[[Any], Any] | None = default_cancel_callback,
        goal_service_qos_profile: QoSProfile = qos_profile_services_default,
        result_service_qos_profile: QoSProfile = qos_profile_services_default,
        cancel_service_qos_profile: QoSProfile = qos_profile_services_default,
        feedback_pub_qos_profile: QoSProfile | None = None,
        status_pub_qos_profile: QoSProfile = qos_profile_action_status_default,
        result_timeout: float = 900,
    ) -> None:
        check_action_type(action_type)
        self.register_handle_accepted_callback(handle_accepted_callback)
        self.register_goal_callback(goal_callback)
        self.register_cancel_callback(cancel_callback)
        self.register_execute_callback(execute_callback)
        self._node = node
        self._action_type = action_type
        self._action_name = action_name
        self.callback_group = node._group(callback_group)
        self._lock = threading.Lock()
        self._goal_handles: dict[bytes, ServerGoalHandle] = {}
        self._result_futures: dict[bytes, Future] = {}
        self._ends: dict[bytes, int] = {}  # when results are forgotten, on the node's clock [ns]
        self._result_timeout_ns = int(result_timeout * 1e9)
        self._logger = node.get_logger().get_child("action_server")
        self._closed = False
        types = action_type.Impl
        with node.context.graph.batch():
            self._goals = self._service(
                types.SendGoalService, "send_goal", self._on_goal, goal_service_qos_profile
            )
            self._cancels = self._service(
                _CANCEL, "cancel_goal", self._on_cancel, cancel_service_qos_profile
            )
            self._results = self._service(
                types.GetResultService, "get_result", self._on_result, result_service_qos_profile
            )
            feedback_qos = feedback_pub_qos_profile or QoSProfile(depth=10)
            self._feedback = self._publisher(types.FeedbackMessage, "feedback", feedback_qos)
            self._status = self._publisher(
                types.GoalStatusMessage, "status", status_pub_qos_profile
            )
        self.parts = [self._goals, self._cancels, self._results, self._feedback, self._status]
        self._timer = node.create_timer(0.0, self._expire, self.callback_group, autostart=False)
        node.add_waitable(self)

    def _service(
        self, kind: Any, part: str, callback: Callable[..., Any], qos: QoSProfile
    ) -> DeferredService:
        name = self._node.resolve_service_name(hidden_name(self._action_name, part))
        return DeferredService(self._node._open(), kind, name, callback, self.callback_group, qos)

    def _publisher(self, kind: Any, part: str, qos: QoSProfile) -> Publisher:
        name = self._node.resolve_topic_name(hidden_name(self._action_name, part))
        return Publisher(self._node._open(), kind, name, qos, self.callback_group)

    @property
    def action_type(self) -> Any:
        """The class of the action."""
        return self._action_type

    # --- callbacks ---

    def register_handle_accepted_callback(
        self, handle_accepted_callback: Callable[[ServerGoalHandle], Any] | None
    ) -> None:
        """Call this with each accepted goal; None executes it at once."""
        self._handle_accepted_callback = (
            handle_accepted_callback or default_handle_accepted_callback
        )

    def register_goal_callback(self, goal_callback: Callable[[Any], Any] | None) -> None:
        """Let this decide about new goals by a GoalResponse; None accepts all."""
        self._goal_callback = goal_callback or default_goal_callback

    def register_cancel_callback(self, cancel_callback: Callable[[Any], Any] | None) -> None:
        """Let this decide about cancelling a goal by a CancelResponse; None refuses."""
        self._cancel_callback = cancel_callback or default_cancel_callback

    def register_execute_callback(
        self, execute_callback: Callable[[ServerGoalHandle], Any]
    ) -> None:
        """Execute goals with this function or coroutine function, which returns the result."""
        if not callable(execute_callback):
            raise TypeError(f"execute_callback: expected a function, got {execute_callback!r}")
        self._execute_callback = execute_callback

    # --- goals ---

    async def _on_goal(self, request: Any, header: _Header) -> None:
        handle = await self._admit(request)
        response = self._action_type.Impl.SendGoalService.Response(accepted=handle is not None)
        if handle is not None:
            response.stamp = handle._goal_info.stamp
        self._goals.send_response(response, header)
        if handle is not None:
            await await_or_execute(self._handle_accepted_callback, handle)

    async def _admit(self, request: Any) -> ServerGoalHandle | None:
        """Return the handle of a new goal, None where it is rejected."""
        key = goal_key(request.goal_id)
        if key in self._goal_handles:
            self._logger.debug(f"goal {key.hex()} rejected: this id is known already")
            return None
        decision = await await_or_execute(self._goal_callback, request.goal)
        if not isinstance(decision, GoalResponse):
            self._logger.warning(
                f"goal {key.hex()} rejected: the goal callback must return a GoalResponse, got "
                f"{decision!r}"
            )
        if decision is not GoalResponse.ACCEPT:
            return None
        stamp = self._node.get_clock().now().to_msg()
        handle = ServerGoalHandle(
            self, _GOAL_INFO(goal_id=request.goal_id, stamp=stamp), request.goal
        )
        with self._lock:
            self._result_futures[key] = Future()
            self._goal_handles[key] = handle
        return handle

    def notify_execute(
        self,
        goal_handle: ServerGoalHandle,
        execute_callback: Callable[[ServerGoalHandle], Any] | None,
    ) -> None:
        """Let the executor run the callback, that of the server where None, with this goal."""
        executor = self._node.executor
        if executor is None:
            raise RCLError(
                f"action {self._action_name}: no executor spins the node, so no goal can be "
                "executed"
            )
        callback = execute_callback or self._execute_callback
        executor.create_task(self._execute, callback, goal_handle)

    async def _execute(
        self, callback: Callable[[ServerGoalHandle], Any], handle: ServerGoalHandle
    ) -> None:
        key = goal_key(handle.goal_id)
        try:
            result = await await_or_execute(callback, handle)
        except Exception as error:  # the client must learn that the goal ended
            result = self._action_type.Result()
            self._logger.error(
                f"goal {key.hex()}: the execute callback raised {type(error).__name__}: {error}"
            )
            traceback.print_exc()
        if handle.is_active:
            self._logger.warning(
                f"goal {key.hex()} aborted: the execute callback set no final state"
            )
            handle.abort()
        response = self._action_type.Impl.GetResultService.Response(
            status=handle.status, result=result
        )
        with self._lock:
            future = self._result_futures.get(key)
            self._ends[key] = self._node.get_clock().now().nanoseconds + self._result_timeout_ns
        if future is not None:
            future.set_result(response)
        self._set_timer()

    def _publish_status(self) -> None:
        with self._lock:
            if self._closed:
                return
            entries = [
                GOAL_STATUS(goal_info=handle._goal_info, status=handle.status)
                for handle in self._goal_handles.values()
            ]
            self._status.publish(self._action_type.Impl.GoalStatusMessage(status_list=entries))

    # --- cancel ---

    async def _on_cancel(self, request: Any, header: _Header) -> None:
        code, handles = self._named(request.goal_info)
        canceling = [handle._goal_info for handle in handles if await self._cancel(handle)]
        response: Any = _CANCEL.Response(return_code=code, goals_canceling=canceling)
        self._cancels.send_response(response, header)

    def _named(self, goal_info: Any) -> tuple[int, list[ServerGoalHandle]]:
        """Return the goals that a request to cancel means (policy: CancelGoal.srv), and a code."""
        key = goal_key(goal_info.goal_id)
        stamp_ns = Time.from_msg(goal_info.stamp).nanoseconds
        with self._lock:
            known = dict(self._goal_handles)
        if any(key) and not stamp_ns:
            handle = known.get(key)
            if handle is None:
                return _CODES.ERROR_UNKNOWN_GOAL_ID, []
            if not handle._is_cancelable:
                return _CODES.ERROR_GOAL_TERMINATED, []
            return _CODES.ERROR_NONE, [handle]
        latest_ns = stamp_ns or INFINITE_NS
        return _CODES.ERROR_NONE, [
            handle
            for other, handle in known.items()
            if handle._is_cancelable and (handle._stamp_ns <= latest_ns or other == key)
        ]

    async def _cancel(self, handle: ServerGoalHandle) -> bool:
        """Ask whether a goal may be cancelled; return whether it now is being cancelled."""
        decision = await await_or_execute(self._cancel_callback, handle)
        if decision is not CancelResponse.ACCEPT:
            return False
        try:
            handle._update_state(GoalEvent.CANCEL_GOAL)
        except RCLError as error:  # it ended meanwhile
            self._logger.debug(f"not cancelled: {error}")
            return False
        return True

    # --- results ---

    def _on_result(self, request: Any, header: _Header) -> None:
        key = goal_key(request.goal_id)
        with self._lock:
            future = self._result_futures.get(key)
        if future is None:
            self._logger.debug(f"goal {key.hex()}: a result was asked for, but none is known")
            response = self._action_type.Impl.GetResultService.Response()
            response.status = GOAL_STATUS.STATUS_UNKNOWN
            self._results.send_response(response, header)
            return
        future.add_done_callback(lambda done: self._results.send_response(done.result(), header))

    def _set_timer(self) -> None:
        """Wake when the next result is to be forgotten."""
        with self._lock:
            if self._closed or not self._ends:
                return
            left_ns = min(self._ends.values()) - self._node.get_clock().now().nanoseconds
            self._timer.timer_period_ns = max(0, left_ns)
            self._timer.reset()

    def _expire(self) -> None:
        self._timer.cancel()
        now_ns = self._node.get_clock().now().nanoseconds
        with self._lock:
            over = [key for key, end_ns in self._ends.items() if end_ns <= now_ns]
            for key in over:
                handle = self._goal_handles.pop(key, None)
                if handle is not None:
                    handle.destroy()
                self._result_futures.pop(key, None)
                del self._ends[key]
        self._set_timer()

    def destroy(self) -> None:
        """End the server; its goals stay without result."""
        with self._lock:
            if self._closed:
                return
            self._closed = True
            for handle in self._goal_handles.values():
                handle.destroy()
        self._node.remove_waitable(self)
        self._node.destroy_timer(self._timer)
        with self._node.context.graph.batch():
            for part in self.parts:
                part.destroy()

    def __enter__(self) -> ActionServer:
        return self

    def __exit__(self, *_: object) -> None:
        self.destroy()
