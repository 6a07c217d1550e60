# pyright: standard
"""Lifecycle nodes: the state machine, its services, and managed publishers."""

from __future__ import annotations

import traceback
from collections.abc import Callable
from enum import IntEnum
from functools import wraps
from typing import Any, NamedTuple

from .callback_groups import CallbackGroup
from .exceptions import RCLError
from .lifecycle_graph import (
    RESULTS,
    STATES,
    TRANSITIONS,
    Transition,
)
from .messages import message_class, service_class
from .node import Node
from .publisher import Publisher
from .qos import QoSProfile


class TransitionCallbackReturn(IntEnum):
    """How a transition callback ended."""

    SUCCESS = 97
    FAILURE = 98
    ERROR = 99


class LifecycleState(NamedTuple):
    """A state: label and number."""

    label: str
    state_id: int


class ManagedEntity:
    """Something that follows the transitions of a lifecycle node."""

    def on_configure(self, state: LifecycleState) -> TransitionCallbackReturn:
        """Handle configure."""
        return TransitionCallbackReturn.SUCCESS

    def on_cleanup(self, state: LifecycleState) -> TransitionCallbackReturn:
        """Handle cleanup."""
        return TransitionCallbackReturn.SUCCESS

    def on_shutdown(self, state: LifecycleState) -> TransitionCallbackReturn:
        """Handle shutdown."""
        return TransitionCallbackReturn.SUCCESS

    def on_activate(self, state: LifecycleState) -> TransitionCallbackReturn:
        """Handle activate."""
        return TransitionCallbackReturn.SUCCESS

    def on_deactivate(self, state: LifecycleState) -> TransitionCallbackReturn:
        """Handle deactivate."""
        return TransitionCallbackReturn.SUCCESS

    def on_error(self, state: LifecycleState) -> TransitionCallbackReturn:
        """Handle an error of another callback."""
        return TransitionCallbackReturn.SUCCESS


class SimpleManagedEntity(ManagedEntity):
    """An entity that knows whether its node is active."""

    def __init__(self) -> None:
        self._enabled = False

    def on_activate(self, state: LifecycleState) -> TransitionCallbackReturn:
        """Enable."""
        self._enabled = True
        return TransitionCallbackReturn.SUCCESS

    def on_deactivate(self, state: LifecycleState) -> TransitionCallbackReturn:
        """Disable."""
        self._enabled = False
        return TransitionCallbackReturn.SUCCESS

    @property
    def is_activated(self) -> bool:
        """Whether the node is active."""
        return self._enabled

    @staticmethod
    def when_enabled(
        wrapped: Callable[..., Any] | None = None,
        *,
        when_not_enabled: Callable[..., Any] | None = None,
    ) -> Callable[..., Any]:
        """Decorate a method: it does nothing while the node is not active."""

        def decorate(method: Callable[..., Any]) -> Callable[..., Any]:
            @wraps(method)
            def guarded(self: SimpleManagedEntity, *args: Any, **kwargs: Any) -> Any:
                if self._enabled:
                    return method(self, *args, **kwargs)
                return None if when_not_enabled is None else when_not_enabled()

            return guarded

        return decorate if wrapped is None else decorate(wrapped)


class LifecyclePublisher(SimpleManagedEntity, Publisher):
    """A publisher that sends only while its node is active."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        SimpleManagedEntity.__init__(self)
        Publisher.__init__(self, *args, **kwargs)

    @SimpleManagedEntity.when_enabled
    def publish(self, msg: Any) -> None:
        """Send a message if the node is active."""
        Publisher.publish(self, msg)


class LifecycleNodeMixin(ManagedEntity):
    """The state machine of a lifecycle node; inherit together with Node."""

    def __init__(
        self,
        *,
        enable_communication_interface: bool = True,
        callback_group: CallbackGroup | None = None,
    ) -> None:
        if not isinstance(self, Node):
            raise RuntimeError("LifecycleNodeMixin needs Node in the inheritance tree.")
        self._managed_entities: dict[ManagedEntity, None] = {}
        self._state_id = 1
        self._event_publisher: Publisher | None = None
        if enable_communication_interface:
            self._create_interface(callback_group)

    def _create_interface(self, group: CallbackGroup | None) -> None:
        assert isinstance(self, Node)
        with self.context.graph.batch():
            self._event_publisher = Node.create_publisher(
                self,
                message_class("lifecycle_msgs/msg/TransitionEvent"),
                "~/transition_event",
                QoSProfile(depth=10),
            )
            services = {
                "change_state": ("ChangeState", self._on_change_state),
                "get_state": ("GetState", self._on_get_state),
                "get_available_states": ("GetAvailableStates", self._on_get_states),
                "get_available_transitions": (
                    "GetAvailableTransitions",
                    self._on_get_transitions,
                ),
                "get_transition_graph": ("GetAvailableTransitions", self._on_get_graph),
            }
            for name, (kind, callback) in services.items():
                srv = service_class(f"lifecycle_msgs/srv/{kind}")
                self.create_service(srv, f"~/{name}", callback, callback_group=group)

    # --- managed entities ---

    def add_managed_entity(self, entity: ManagedEntity) -> None:
        """Let an entity follow the transitions."""
        if not isinstance(entity, ManagedEntity):
            raise TypeError("Expected a rclpy.lifecycle.ManagedEntity instance.")
        self._managed_entities[entity] = None

    def create_lifecycle_publisher(
        self, msg_type: type, topic: str, qos_profile: QoSProfile | int, **kwargs: Any
    ) -> LifecyclePublisher:
        """Create a publisher that sends only while the node is active."""
        assert isinstance(self, Node)
        if "publisher_class" in kwargs:
            raise TypeError("create_lifecycle_publisher() takes no publisher_class")
        publisher = Node.create_publisher(
            self, msg_type, topic, qos_profile, publisher_class=LifecyclePublisher, **kwargs
        )
        assert isinstance(publisher, LifecyclePublisher)
        self._managed_entities[publisher] = None
        return publisher

    def destroy_lifecycle_publisher(self, publisher: LifecyclePublisher) -> bool:
        """End a lifecycle publisher; return whether it was ours."""
        assert isinstance(self, Node)
        self._managed_entities.pop(publisher, None)
        return Node.destroy_publisher(self, publisher)

    def _entities_follow(self, callback: str, state: LifecycleState) -> TransitionCallbackReturn:
        for entity in list(self._managed_entities):
            result = getattr(entity, callback)(state)
            if not isinstance(result, TransitionCallbackReturn):
                raise TypeError(
                    f"{callback}() of {entity!r} must return a TransitionCallbackReturn, "
                    f"got {result!r}"
                )
            if result is not TransitionCallbackReturn.SUCCESS:
                return result
        return TransitionCallbackReturn.SUCCESS

    def on_configure(self, state: LifecycleState) -> TransitionCallbackReturn:
        """Configure the managed entities; override, and call this through super."""
        return self._entities_follow("on_configure", state)

    def on_cleanup(self, state: LifecycleState) -> TransitionCallbackReturn:
        """Clean the managed entities up."""
        return self._entities_follow("on_cleanup", state)

    def on_shutdown(self, state: LifecycleState) -> TransitionCallbackReturn:
        """Shut the managed entities down."""
        return self._entities_follow("on_shutdown", state)

    def on_activate(self, state: LifecycleState) -> TransitionCallbackReturn:
        """Activate the managed entities."""
        return self._entities_follow("on_activate", state)

    def on_deactivate(self, state: LifecycleState) -> TransitionCallbackReturn:
        """Deactivate the managed entities."""
        return self._entities_follow("on_deactivate", state)

    def on_error(self, state: LifecycleState) -> TransitionCallbackReturn:
        """Tell the managed entities of an error."""
        return self._entities_follow("on_error", state)

    # --- transitions ---

    # They raise RCLError where the state does not allow the transition, as in rclpy.

    def trigger_configure(self) -> TransitionCallbackReturn:
        """Go from unconfigured to inactive."""
        return self._change_state(label="configure")

    def trigger_cleanup(self) -> TransitionCallbackReturn:
        """Go from inactive to unconfigured."""
        return self._change_state(label="cleanup")

    def trigger_activate(self) -> TransitionCallbackReturn:
        """Go from inactive to active."""
        return self._change_state(label="activate")

    def trigger_deactivate(self) -> TransitionCallbackReturn:
        """Go from active to inactive."""
        return self._change_state(label="deactivate")

    def trigger_shutdown(self) -> TransitionCallbackReturn:
        """Go to finalized."""
        return self._change_state(label="shutdown")

    def _available(self) -> list[Transition]:
        return [t for t in TRANSITIONS if t.start == self._state_id]

    def _change_state(self, number: int | None = None, label: str = "") -> TransitionCallbackReturn:
        chosen = [t for t in self._available() if t.id == number or (label and t.label == label)]
        if not chosen or chosen[0].id in RESULTS:
            known = [f"{t.label} ({t.id})" for t in self._available() if t.id not in RESULTS]
            raise RCLError(
                f"transition {label or number} is not possible in state "
                f"{STATES[self._state_id]!r}. Possible: {known}"
            )
        start = self._state_id
        result = self._run_transition(chosen[0], LifecycleState(STATES[start], start))
        if result is TransitionCallbackReturn.ERROR:
            error_state = LifecycleState(STATES[start], start)
            self._finish(self._call("on_error", error_state))
        return result

    def _run_transition(
        self, transition: Transition, previous: LifecycleState
    ) -> TransitionCallbackReturn:
        self._go(transition)
        result = self._call(f"on_{transition.label}", previous)
        self._finish(result)
        return result

    def _finish(self, result: TransitionCallbackReturn) -> None:
        """Leave the transition state by the edge of this result."""
        for transition in self._available():
            if RESULTS.get(transition.id) == result.name:
                self._go(transition)
                return
        raise AssertionError(f"state {STATES[self._state_id]} has no edge for {result.name}")

    def _call(self, callback: str, previous: LifecycleState) -> TransitionCallbackReturn:
        assert isinstance(self, Node)
        try:
            result = getattr(self, callback)(previous)
        except Exception:  # as in rclpy: any exception is an error transition
            self.get_logger().error(f"{callback} raised:\n{traceback.format_exc()}")
            return TransitionCallbackReturn.ERROR
        if not isinstance(result, TransitionCallbackReturn):
            self.get_logger().error(
                f"{callback}() must return a TransitionCallbackReturn, got {result!r}"
            )
            return TransitionCallbackReturn.ERROR
        return result

    def _go(self, transition: Transition) -> None:
        assert isinstance(self, Node)
        self._state_id = transition.goal
        if self._event_publisher is not None and self.context.ok():
            event = message_class("lifecycle_msgs/msg/TransitionEvent")()
            event.timestamp = self.get_clock().now().nanoseconds
            _describe(transition, event)
            self._event_publisher.publish(event)

    # --- services ---

    def _on_change_state(self, request: Any, response: Any) -> Any:
        label = request.transition.label  # it wins over the number
        try:
            result = self._change_state(None if label else request.transition.id, label)
        except RCLError as error:  # what a peer asks for must not end the node
            assert isinstance(self, Node)
            self.get_logger().error(str(error))
            result = TransitionCallbackReturn.FAILURE
        response.success = result is TransitionCallbackReturn.SUCCESS
        return response

    def _on_get_state(self, request: Any, response: Any) -> Any:
        response.current_state.id = self._state_id
        response.current_state.label = STATES[self._state_id]
        return response

    def _on_get_states(self, request: Any, response: Any) -> Any:
        state = message_class("lifecycle_msgs/msg/State")
        response.available_states = [state(id=i, label=label) for i, label in STATES.items()]
        return response

    def _on_get_transitions(self, request: Any, response: Any) -> Any:
        response.available_transitions = [_description(t) for t in self._available()]
        return response

    def _on_get_graph(self, request: Any, response: Any) -> Any:
        response.available_transitions = [_description(t) for t in TRANSITIONS]
        return response


def _describe(transition: Transition, message: Any) -> None:
    message.transition.id = transition.id
    message.transition.label = transition.label
    message.start_state.id = transition.start
    message.start_state.label = STATES[transition.start]
    message.goal_state.id = transition.goal
    message.goal_state.label = STATES[transition.goal]


def _description(transition: Transition) -> Any:
    message = message_class("lifecycle_msgs/msg/TransitionDescription")()
    _describe(transition, message)
    return message


class LifecycleNode(LifecycleNodeMixin, Node):
    """A managed node."""

    def __init__(
        self,
        node_name: str,
        *,
        enable_communication_interface: bool = True,
        **kwargs: Any,
    ) -> None:
        Node.__init__(self, node_name, **kwargs)
        LifecycleNodeMixin.__init__(
            self, enable_communication_interface=enable_communication_interface
        )
