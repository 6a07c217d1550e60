# pyright: standard
"""Nodes."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from .arguments import RosArguments, parse_arguments
from .callback_groups import CallbackGroup
from .clock import Clock, ROSClock
from .context import Context, get_default_context
from .endpoints import Endpoints
from .event_handler import PublisherEventCallbacks, SubscriptionEventCallbacks
from .exceptions import NotInitializedException
from .guard_condition import GuardCondition
from .messages import Message, message_class
from .messages import Service as ServiceType
from .names import (
    expand_topic_name,
    full_node_name,
    normalise_namespace,
    validate_full_topic_name,
    validate_namespace,
    validate_node_name,
    validate_topic_name,
)
from .node_graph import NodeGraph
from .node_owned import NodeOwned
from .node_parameters import NodeParameters
from .parameter import Parameter
from .parameter_service import ParameterService
from .publisher import Publisher
from .qos import (
    QoSProfile,
    qos_profile_parameter_events,
    qos_profile_services_default,
    validate_depth,
)
from .ros_logging import RcutilsLogger, get_logger
from .rosout import Rosout
from .service import Client, Service
from .subscription import Subscription
from .time_source import TimeSource
from .timer import Rate, Timer

HIDDEN_NODE_PREFIX = "_"


class Node(NodeParameters, NodeGraph, NodeOwned):
    """A node: publishers, subscriptions, services, clients, timers and parameters."""

    def __init__(
        self,
        node_name: str,
        *,
        context: Context | None = None,
        cli_args: Sequence[str] | None = None,
        namespace: str | None = None,
        use_global_arguments: bool = True,
        enable_rosout: bool = True,
        start_parameter_services: bool = True,
        parameter_overrides: Sequence[Parameter] | None = None,
        allow_undeclared_parameters: bool = False,
        automatically_declare_parameters_from_overrides: bool = False,
        enable_logger_service: bool = False,
    ) -> None:
        self._context = get_default_context() if context is None else context
        if not self._context.ok():
            raise NotInitializedException("cannot create node: call rclpy.init() first")
        if enable_logger_service:
            raise NotImplementedError("the fallback has no logger services: use a real ROS 2")
        self._entity_lists()
        self._arguments = _arguments(self._context, cli_args, use_global_arguments)
        validate_node_name(node_name)
        space = normalise_namespace(namespace or "")
        validate_namespace(space)
        self._name, space = self._arguments.node_name(node_name, space, node_name)
        self._namespace = normalise_namespace(space)
        validate_node_name(self._name)
        validate_namespace(self._namespace)
        self._logger = get_logger(self.get_fully_qualified_name()[1:].replace("/", "."))
        self._clock = ROSClock()
        overrides = self._arguments.node_parameters(self._name, self._namespace)
        self._init_parameters(overrides, allow_undeclared_parameters)
        if parameter_overrides is not None:
            self._parameter_overrides.update({p.name: p for p in parameter_overrides})
        self._parameter_event_publisher = None
        with self._context.graph.batch():
            self._entities = self._context.graph.add_node(self._name, self._namespace)
            self._parameter_event_publisher = self._plain_publisher(
                message_class("rcl_interfaces/msg/ParameterEvent"),
                "/parameter_events",
                qos_profile_parameter_events,
            )
            if enable_rosout and self._arguments.rosout:
                self._rosout = Rosout(self._open(), self._logger.name)
            if automatically_declare_parameters_from_overrides:
                given = [(n, p.value) for n, p in self._parameter_overrides.items()]
                self.declare_parameters("", given, ignore_override=True)
            self._time_source = TimeSource(self, self._clock)
            if start_parameter_services:
                self._parameter_service = ParameterService(self)

    # --- identity ---

    def get_name(self) -> str:
        """Return the name."""
        return self._name

    def get_namespace(self) -> str:
        """Return the namespace."""
        return self._namespace

    def get_fully_qualified_name(self) -> str:
        """Return namespace and name."""
        return full_node_name(self._name, self._namespace)

    def get_clock(self) -> Clock:
        """Return the clock: ROS time."""
        return self._clock

    def get_logger(self) -> RcutilsLogger:
        """Return the logger."""
        return self._logger

    @property
    def context(self) -> Context:
        """The context."""
        return self._context

    def resolve_topic_name(self, topic: str, *, only_expand: bool = False) -> str:
        """Return the full name of a topic after the remaps."""
        return self._resolve(topic, service=False, only_expand=only_expand)

    def resolve_service_name(self, service: str, *, only_expand: bool = False) -> str:
        """Return the full name of a service after the remaps."""
        return self._resolve(service, service=True, only_expand=only_expand)

    def _resolve(self, name: str, service: bool, only_expand: bool = False) -> str:
        validate_topic_name(name, is_service=service)
        full = expand_topic_name(name, self._name, self._namespace)
        if not only_expand:
            full = self._arguments.remap(full, self._name, self._namespace, service)
        validate_full_topic_name(full, is_service=service)
        return full

    def _open(self) -> Endpoints:
        if self._destroyed:
            raise NotInitializedException(f"node {self._name} was destroyed")
        return Endpoints(self._context, self._entities)

    def _group(self, group: CallbackGroup | None) -> CallbackGroup:
        return self._default_callback_group if group is None else group

    # --- create ---

    def create_publisher(
        self,
        msg_type: type,
        topic: str,
        qos_profile: QoSProfile | int,
        *,
        callback_group: CallbackGroup | None = None,
        event_callbacks: PublisherEventCallbacks | None = None,
        qos_overriding_options: None = None,
        publisher_class: type[Publisher] = Publisher,
    ) -> Publisher:
        """Create a publisher."""
        return self._plain_publisher(
            msg_type, topic, qos_profile, callback_group, publisher_class, event_callbacks
        )

    def _plain_publisher(
        self,
        msg_type: type,
        topic: str,
        qos_profile: QoSProfile | int,
        group: CallbackGroup | None = None,
        publisher_class: type[Publisher] = Publisher,
        event_callbacks: PublisherEventCallbacks | None = None,
    ) -> Publisher:
        _check_message_type(msg_type)
        qos = validate_depth(qos_profile)
        full = self._resolve(topic, service=False)
        publisher = publisher_class(
            self._open(), msg_type, full, qos, self._group(group), event_callbacks
        )
        self._publishers.append(publisher)
        self._waits_for(publisher)
        return publisher

    def create_subscription(
        self,
        msg_type: type,
        topic: str,
        callback: Callable[..., Any],
        qos_profile: QoSProfile | int,
        *,
        callback_group: CallbackGroup | None = None,
        event_callbacks: SubscriptionEventCallbacks | None = None,
        qos_overriding_options: None = None,
        raw: bool = False,
    ) -> Subscription:
        """Create a subscription; the callback takes the message, or message and info."""
        _check_message_type(msg_type)
        qos = validate_depth(qos_profile)
        subscription = Subscription(
            self._open(),
            msg_type,
            self._resolve(topic, service=False),
            callback,
            self._group(callback_group),
            qos,
            raw,
            event_callbacks,
        )
        self._subscriptions.append(subscription)
        self._waits_for(subscription)
        return subscription

    def create_service(
        self,
        srv_type: Any,
        srv_name: str,
        callback: Callable[[Any, Any], Any],
        *,
        qos_profile: QoSProfile = qos_profile_services_default,
        callback_group: CallbackGroup | None = None,
    ) -> Service:
        """Create a service; the callback takes request and response, and returns the response."""
        _check_service_type(srv_type)
        service = Service(
            self._open(),
            srv_type,
            self._resolve(srv_name, service=True),
            callback,
            self._group(callback_group),
            qos_profile,
        )
        self._services.append(service)
        self._waits_for(service)
        return service

    def create_client(
        self,
        srv_type: Any,
        srv_name: str,
        *,
        qos_profile: QoSProfile = qos_profile_services_default,
        callback_group: CallbackGroup | None = None,
    ) -> Client:
        """Create a client of a service."""
        _check_service_type(srv_type)
        client = Client(
            self._open(),
            srv_type,
            self._resolve(srv_name, service=True),
            qos_profile,
            self._group(callback_group),
            lambda: self.executor,
        )
        self._clients.append(client)
        self._waits_for(client)
        return client

    def create_timer(
        self,
        timer_period_sec: float,
        callback: Callable[..., Any] | None,
        callback_group: CallbackGroup | None = None,
        clock: Clock | None = None,
        autostart: bool = True,
    ) -> Timer:
        """Create a timer on the node's clock (ROS time) or another one."""
        timer = Timer(
            callback,
            self._group(callback_group),
            int(float(timer_period_sec) * 1e9),
            self._clock if clock is None else clock,
            context=self._context,
            autostart=autostart,
        )
        timer._wake = self._wake_executor
        self._timers.append(timer)
        self._waits_for(timer)
        return timer

    def create_guard_condition(
        self, callback: Callable[[], Any], callback_group: CallbackGroup | None = None
    ) -> GuardCondition:
        """Create a guard condition."""
        guard = GuardCondition(callback, self._group(callback_group), self._context)
        guard._wake = self._wake_executor
        self._guards.append(guard)
        self._waits_for(guard)
        return guard

    def create_rate(self, frequency: float, clock: Clock | None = None) -> Rate:
        """Create a rate [Hz]."""
        if frequency <= 0:
            raise ValueError("frequency must be > 0")
        timer = self.create_timer(1.0 / frequency, None, self._rate_group, clock)
        return Rate(timer, context=self._context)

    def __enter__(self) -> Node:
        return self

    def __exit__(self, *_: object) -> None:
        self.destroy_node()


def _arguments(context: Context, cli_args: Sequence[str] | None, use_global: bool) -> RosArguments:
    """Return the node's own arguments in front of those of the process."""
    own = parse_arguments(list(cli_args)) if cli_args else RosArguments()
    return own.before(context.arguments) if use_global else own


def _check_message_type(msg_type: Any) -> None:
    if not (isinstance(msg_type, type) and issubclass(msg_type, Message)):
        raise TypeError(f"expected a message class such as std_msgs.msg.String, got {msg_type!r}")


def _check_service_type(srv_type: Any) -> None:
    if not (isinstance(srv_type, type) and issubclass(srv_type, ServiceType)):
        raise TypeError(f"expected a service class such as std_srvs.srv.Trigger, got {srv_type!r}")
