# pyright: standard
"""What a node owns: lists of it, what of it an executor waits for, and how it ends."""

from __future__ import annotations

import weakref
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any, cast

from .callback_groups import CallbackGroup, MutuallyExclusiveCallbackGroup, ReentrantCallbackGroup
from .guard_condition import GuardCondition
from .publisher import Publisher
from .service import Client, Service
from .subscription import Subscription
from .timer import Rate, Timer

if TYPE_CHECKING:
    from .context import Context
    from .executors import Executor
    from .graph import NodeEntities
    from .node import Node
    from .rosout import Rosout


class NodeOwned:
    """Mixin of Node."""

    _context: Context
    _entities: NodeEntities
    _parameter_event_publisher: Publisher | None

    def _entity_lists(self) -> None:
        self._publishers: list[Publisher] = []
        self._subscriptions: list[Subscription] = []
        self._services: list[Service] = []
        self._clients: list[Client] = []
        self._timers: list[Timer] = []
        self._guards: list[GuardCondition] = []
        self._waitables: list[Any] = []
        self._rosout: Rosout | None = None
        self._default_callback_group = MutuallyExclusiveCallbackGroup()
        self._rate_group = ReentrantCallbackGroup()
        self._executor: weakref.ref[Executor] | None = None
        self._destroyed = False

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
            current.remove_node(cast("Node", self))
        if new_executor is not None:
            new_executor.add_node(cast("Node", self))

    def _wake_executor(self) -> None:
        executor = self.executor
        if executor is not None:
            executor.wake()

    def _waited(self) -> list[Any]:
        """Return what an executor waits for in its wait set."""
        owned = (
            self._subscriptions,
            self._services,
            self._clients,
            self._publishers,
            self._waitables,
        )
        return [part for entities in owned for entity in entities for part in _parts(entity)]

    def _waits_for(self, entity: Any) -> None:
        """Put a new entity into its group and the executor."""
        entity.callback_group.add_entity(entity)
        executor = self.executor
        if executor is not None:
            for part in _parts(entity):
                executor._attach(part)
        self._wake_executor()

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

    @property
    def waitables(self) -> Iterator[Any]:
        """The clients and servers of actions."""
        yield from self._waitables

    def add_waitable(self, waitable: Any) -> None:
        """Let the executor wait for the parts of an action client or server."""
        self._waitables.append(waitable)
        self._waits_for(waitable)

    def remove_waitable(self, waitable: Any) -> None:
        """Let the executor wait for it no more; it is not ended by this."""
        if waitable in self._waitables:
            self._waitables.remove(waitable)
            self._detach(waitable)

    # --- destroy ---

    def _drop(self, entities: list[Any], entity: Any) -> bool:
        if entity not in entities:
            return False
        entities.remove(entity)
        self._detach(entity)
        entity.destroy()
        self._wake_executor()
        return True

    def _detach(self, entity: Any) -> None:
        executor = self.executor
        if executor is not None:
            for part in _parts(entity):
                executor._detach(part)

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
            executor.remove_node(cast("Node", self))
        self._parameter_event_publisher = None
        lists = (
            self._waitables,
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
            if self._rosout is not None:
                self._rosout.destroy()
            self._context.graph.remove_node(self._entities)
        self._destroyed = True


def _parts(entity: Any) -> list[Any]:
    """Return what of an entity an executor waits for: its parts, itself, its QoS events."""
    if hasattr(entity, "parts"):
        return [waited for part in entity.parts for waited in _parts(part)]
    events = getattr(entity, "event_handlers", [])
    return [entity, *events] if hasattr(entity, "token") else events
