# pyright: standard
"""Nodes."""

from __future__ import annotations

import weakref
from collections.abc import Callable, Iterator, Sequence
from typing import TYPE_CHECKING, Any

from .arguments import RosArguments, parse_arguments
from .callback_groups import CallbackGroup, MutuallyExclusiveCallbackGroup, ReentrantCallbackGroup
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
from .service import Client, Service
from .subscription import Subscription
from .time_source import TimeSource
from .timer import Rate, Timer

if TYPE_CHECKING:
    from .executors import Executor

HIDDEN_NODE_PREFIX = "_"


class Node(NodeParameters, NodeGraph):
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
            if automatically_declare_parameters_from_overrides:
                given = [(n, p.value) for n, p in self._parameter_overrides.items()]
                self.declare_parameters("", given, ignore_override=True)
            self._time_source = TimeSource(self, self._clock)
            if start_parameter_services:
                self._parameter_service = ParameterService(self)

    def _entity_lists(self) -> None:
        self._publishers: list[Publisher] = []
        self._subscriptions: list[Subscription] = []
        self._services: list[Service] = []
        self._clients: list[Client] = []
        self._timers: list[Timer] = []
        self._guards: list[GuardCondition] = []
        self._default_callback_group = MutuallyExclusiveCallbackGroup()
        self._rate_group = ReentrantCallbackGroup()
        self._executor: weakref.ref[Executor] | None = None
        self._destroyed = False

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

    @property
    def default_callback_group(self) -> CallbackGroup:
        """The group of everything created without one: one callback at a time."""
        return self._default_callback_group

    @property
    def executor(self) -> Executor | None:
        """The executor that spins the node."""
        return None if self._executor is None else self._executor()

    @executor.setter
    def executor(self, new_executor: Executor | None) -> None:
        current = self.executor
        if current is new_executor:
            return
        self._executor = None if new_executor is None else weakref.ref(new_executor)
        if current is not None:
            current.remove_node(self)
        if new_executor is not None:
            new_executor.add_node(self)

    def _wake_executor(self) -> None:
        executor = self.executor
        if executor is not None:
            executor.wake()

    def _waited(self) -> list[Any]:
        """Return what an executor waits for in its wait set."""
        owned = (self._subscriptions, self._services, self._clients, self._publishers)
        return [part for entities in owned for entity in entities for part in _parts(entity)]

    # --- what it owns ---

    @property
    def publishers(self) -> Iterator[Publisher]:
        """The publishers."""
        yield from self._publishers

    @property
    def subscriptions(self) -> Iterator[Subscription]:
        """The subscriptions."""
        yield from self._subscriptions

    @property
    def services(self) -> Iterator[Service]:
        """The services."""
        yield from self._services

    @property
    def clients(self) -> Iterator[Client]:
        """The clients."""
        yield from self._clients

    @property
    def timers(self) -> Iterator[Timer]:
        """The timers."""
        yield from self._timers

    @property
    def guards(self) -> Iterator[GuardCondition]:
        """The guard conditions."""
        yield from self._guards

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

    def _waits_for(self, entity: Any) -> None:
        """Put a new entity into its group and the executor."""
        entity.callback_group.add_entity(entity)
        executor = self.executor
        if executor is not None:
            for part in _parts(entity):
                executor._attach(part)
        self._wake_executor()

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

    # --- destroy ---

    def _drop(self, entities: list[Any], entity: Any) -> bool:
        if entity not in entities:
            return False
        entities.remove(entity)
        executor = self.executor
        if executor is not None:
            for part in _parts(entity):
                executor._detach(part)
        entity.destroy()
        self._wake_executor()
        return True

    def destroy_publisher(self, publisher: Publisher) -> bool:
        """End a publisher; return whether it was ours."""
        return self._drop(self._publishers, publisher)

    def destroy_subscription(self, subscription: Subscription) -> bool:
        """End a subscription; return whether it was ours."""
        return self._drop(self._subscriptions, subscription)

    def destroy_service(self, service: Service) -> bool:
        """End a service; return whether it was ours."""
        return self._drop(self._services, service)

    def destroy_client(self, client: Client) -> bool:
        """End a client; return whether it was ours."""
        return self._drop(self._clients, client)

    def destroy_timer(self, timer: Timer) -> bool:
        """End a timer; return whether it was ours."""
        return self._drop(self._timers, timer)

    def destroy_guard_condition(self, guard: GuardCondition) -> bool:
        """End a guard condition; return whether it was ours."""
        return self._drop(self._guards, guard)

    def destroy_rate(self, rate: Rate) -> bool:
        """End a rate; return whether it was ours."""
        known = self._drop(self._timers, rate._timer)
        rate.destroy()
        return known

    def destroy_node(self) -> None:
        """End the node and all that it owns."""
        if self._destroyed:
            return
        executor = self.executor
        if executor is not None:
            executor.remove_node(self)
        self._parameter_event_publisher = None
        lists = (
            self._timers,
            self._guards,
            self._subscriptions,
            self._services,
            self._clients,
            self._publishers,
        )
        with self._context.graph.batch():
            for entities in lists:
                for entity in list(entities):
                    self._drop(entities, entity)  # type: ignore[arg-type]
            self._context.graph.remove_node(self._entities)
        self._destroyed = True

    def __enter__(self) -> Node:
        return self

    def __exit__(self, *_: object) -> None:
        self.destroy_node()


def _arguments(context: Context, cli_args: Sequence[str] | None, use_global: bool) -> RosArguments:
    """Return the node's own arguments in front of those of the process."""
    own = parse_arguments(list(cli_args)) if cli_args else RosArguments()
    return own.before(context.arguments) if use_global else own


def _parts(entity: Any) -> list[Any]:
    """Return what of an entity an executor waits for: itself, its QoS events."""
    events = getattr(entity, "event_handlers", [])
    return [entity, *events] if hasattr(entity, "token") else events


def _check_message_type(msg_type: Any) -> None:
    if not (isinstance(msg_type, type) and issubclass(msg_type, Message)):
        raise TypeError(f"expected a message class such as std_msgs.msg.String, got {msg_type!r}")


def _check_service_type(srv_type: Any) -> None:
    if not (isinstance(srv_type, type) and issubclass(srv_type, ServiceType)):
        raise TypeError(f"expected a service class such as std_srvs.srv.Trigger, got {srv_type!r}")
