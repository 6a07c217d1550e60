"""What a node can ask about the ROS graph."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from enum import IntEnum

from .context import Context
from .cyclone import Endpoint
from .graph import NodeInfo
from .names import (
    dds_topic,
    expand_topic_name,
    full_node_name,
    ros_service,
    ros_service_type,
    ros_topic,
    ros_type,
    validate_full_topic_name,
    validate_topic_name,
)
from .qos import QoSProfile, from_dds

NamesAndTypes = list[tuple[str, list[str]]]
_UNKNOWN_NODE = "_NODE_NAME_UNKNOWN_"
_UNKNOWN_NAMESPACE = "_NODE_NAMESPACE_UNKNOWN_"


class TopicEndpointTypeEnum(IntEnum):
    """Kind of endpoint."""

    INVALID = 0
    PUBLISHER = 1
    SUBSCRIPTION = 2


class TypeHash:
    """The RIHS01 hash of a type."""

    def __init__(self, version: int = -1, value: bytes = b"\0" * 32) -> None:
        self.version = version
        self.value = value

    def __str__(self) -> str:
        if self.version <= 0:
            return "INVALID"
        return f"RIHS{self.version:02}_{self.value.hex()}"

    def __eq__(self, other: object) -> bool:
        return isinstance(other, TypeHash) and (self.version, self.value) == (
            other.version,
            other.value,
        )

    __hash__ = None  # type: ignore[assignment]

    @classmethod
    def parse(cls, text: str) -> TypeHash:
        """Return the hash that a user data entry holds, an invalid one where it is malformed."""
        head, _, digits = text.partition("_")
        try:
            value = bytes.fromhex(digits)
            version = int(head.removeprefix("RIHS"))
        except ValueError:
            return cls()
        return cls(version, value) if head.startswith("RIHS") and len(value) == 32 else cls()


class TopicEndpointInfo:
    """One publisher or subscription of the graph."""

    def __init__(
        self, node: NodeInfo | None, endpoint: Endpoint, topic_type: str, kind: int
    ) -> None:
        self.node_name = node.name if node else _UNKNOWN_NODE
        self.node_namespace = node.namespace if node else _UNKNOWN_NAMESPACE
        self.topic_type = topic_type
        self.topic_type_hash = TypeHash.parse(endpoint.user_data.get("typehash", ""))
        self.endpoint_type = TopicEndpointTypeEnum(kind)
        self.endpoint_gid = list(endpoint.gid)
        self.qos_profile: QoSProfile = from_dds(endpoint.qos)

    def __str__(self) -> str:
        gid = ".".join(f"{b:02x}" for b in self.endpoint_gid)
        qos = self.qos_profile
        return "\n".join(
            [
                f"Node name: {self.node_name}",
                f"Node namespace: {self.node_namespace}",
                f"Topic type: {self.topic_type}",
                f"Topic type hash: {self.topic_type_hash}",
                f"Endpoint type: {self.endpoint_type.name}",
                f"GID: {gid}",
                "QoS profile:",
                f"  Reliability: {qos.reliability.name}",
                f"  History (Depth): {qos.history.name}",
                f"  Durability: {qos.durability.name}",
                f"  Lifespan: {_duration(qos.lifespan.nanoseconds)}",
                f"  Deadline: {_duration(qos.deadline.nanoseconds)}",
                f"  Liveliness: {qos.liveliness.name}",
                f"  Liveliness lease duration: "
                f"{_duration(qos.liveliness_lease_duration.nanoseconds)}",
            ]
        )


def _duration(ns: int) -> str:
    return "Infinite" if ns >= (1 << 63) - 1 else f"{ns} nanoseconds"


def _plain(name: str) -> str | None:
    return name


def _collect(
    endpoints: Iterable[Endpoint],
    name_of: Callable[[str], str | None],
    type_of: Callable[[str], str | None],
) -> NamesAndTypes:
    """Return the names of topics or services, each with its types, sorted."""
    found: dict[str, set[str]] = {}
    for endpoint in endpoints:
        name, kind = name_of(endpoint.topic), type_of(endpoint.type_name)
        if name is not None and kind is not None:
            found.setdefault(name, set()).add(kind)
    return [(name, sorted(found[name])) for name in sorted(found)]


class NodeGraph:
    """Mixin of Node."""

    _context: Context
    get_name: Callable[[], str]
    get_namespace: Callable[[], str]

    def _endpoints_of(self, writers: bool) -> list[Endpoint]:
        return self._context.graph.endpoints(writers)

    # --- nodes ---

    def get_node_names(self) -> list[str]:
        """Return the names of all nodes."""
        return [n.name for n in self._context.graph.nodes()]

    def get_node_names_and_namespaces(self) -> list[tuple[str, str]]:
        """Return names and namespaces of all nodes."""
        return [(n.name, n.namespace) for n in self._context.graph.nodes()]

    def get_node_names_and_namespaces_with_enclaves(self) -> list[tuple[str, str, str]]:
        """Return names, namespaces and enclaves of all nodes (enclaves are not followed: '/')."""
        return [(n.name, n.namespace, "/") for n in self._context.graph.nodes()]

    def get_fully_qualified_node_names(self) -> list[str]:
        """Return the full names of all nodes."""
        return [full_node_name(n.name, n.namespace) for n in self._context.graph.nodes()]

    def wait_for_node(self, fully_qualified_node_name: str, timeout: float) -> bool:
        """Wait for a node to appear; return whether it did."""
        name = fully_qualified_node_name
        full = name if name.startswith("/") else f"/{name}"
        return self._context.graph.wait_until(
            lambda: full in self.get_fully_qualified_node_names(), timeout
        )

    # --- topics and services ---

    def get_topic_names_and_types(self, no_demangle: bool = False) -> NamesAndTypes:
        """Return all topics and their types (`no_demangle`: as DDS knows them)."""
        endpoints = [*self._endpoints_of(True), *self._endpoints_of(False)]
        if no_demangle:
            return _collect(endpoints, _plain, _plain)
        return _collect(endpoints, ros_topic, ros_type)

    def get_service_names_and_types(self) -> NamesAndTypes:
        """Return all services and their types."""
        endpoints = [*self._endpoints_of(True), *self._endpoints_of(False)]
        return _collect(endpoints, ros_service, ros_service_type)

    def _by_node(self, name: str, namespace: str, writers: bool) -> list[Endpoint]:
        nodes = [
            n for n in self._context.graph.nodes() if (n.name, n.namespace) == (name, namespace)
        ]
        if not nodes:
            from .exceptions import NodeNameNonExistentError

            raise NodeNameNonExistentError(
                f"Cannot get names and types by node '{full_node_name(name, namespace)}': "
                "node not found"
            )
        gids = frozenset[bytes]().union(*(n.writers if writers else n.readers for n in nodes))
        return [e for e in self._endpoints_of(writers) if e.gid in gids]

    def get_publisher_names_and_types_by_node(
        self, node_name: str, node_namespace: str, no_demangle: bool = False
    ) -> NamesAndTypes:
        """Return the topics that a node publishes."""
        found = self._by_node(node_name, node_namespace, True)
        return _collect(found, *((_plain, _plain) if no_demangle else (ros_topic, ros_type)))

    def get_subscriber_names_and_types_by_node(
        self, node_name: str, node_namespace: str, no_demangle: bool = False
    ) -> NamesAndTypes:
        """Return the topics that a node subscribes to."""
        found = self._by_node(node_name, node_namespace, False)
        return _collect(found, *((_plain, _plain) if no_demangle else (ros_topic, ros_type)))

    def get_service_names_and_types_by_node(
        self, node_name: str, node_namespace: str
    ) -> NamesAndTypes:
        """Return the services that a node offers."""
        found = self._by_node(node_name, node_namespace, False)
        requests = [e for e in found if e.topic.startswith("rq/")]
        return _collect(requests, ros_service, ros_service_type)

    def get_client_names_and_types_by_node(
        self, node_name: str, node_namespace: str
    ) -> NamesAndTypes:
        """Return the services that a node calls."""
        found = self._by_node(node_name, node_namespace, True)
        requests = [e for e in found if e.topic.startswith("rq/")]
        return _collect(requests, ros_service, ros_service_type)

    # --- endpoints ---

    def _full_name(self, name: str, service: bool) -> str:
        validate_topic_name(name, is_service=service)
        full = expand_topic_name(name, self.get_name(), self.get_namespace())
        validate_full_topic_name(full, is_service=service)
        return full

    def _count(self, dds_name: str, writers: bool) -> int:
        return sum(e.topic == dds_name for e in self._endpoints_of(writers))

    def count_publishers(self, topic_name: str) -> int:
        """Return the number of publishers of a topic."""
        return self._count(dds_topic(self._full_name(topic_name, False)), True)

    def count_subscribers(self, topic_name: str) -> int:
        """Return the number of subscriptions to a topic."""
        return self._count(dds_topic(self._full_name(topic_name, False)), False)

    def count_services(self, service_name: str) -> int:
        """Return the number of servers of a service."""
        return self._count(f"rq{self._full_name(service_name, True)}Request", False)

    def count_clients(self, service_name: str) -> int:
        """Return the number of clients of a service."""
        return self._count(f"rq{self._full_name(service_name, True)}Request", True)

    def get_publishers_info_by_topic(
        self, topic_name: str, no_mangle: bool = False
    ) -> list[TopicEndpointInfo]:
        """Return the publishers of a topic with node, gid, type hash and QoS."""
        return self._info_by_topic(topic_name, no_mangle, writers=True)

    def get_subscriptions_info_by_topic(
        self, topic_name: str, no_mangle: bool = False
    ) -> list[TopicEndpointInfo]:
        """Return the subscriptions to a topic with node, gid, type hash and QoS."""
        return self._info_by_topic(topic_name, no_mangle, writers=False)

    def _info_by_topic(
        self, topic_name: str, no_mangle: bool, writers: bool
    ) -> list[TopicEndpointInfo]:
        name = topic_name if no_mangle else dds_topic(self._full_name(topic_name, False))
        owners = {
            gid: n
            for n in self._context.graph.nodes()
            for gid in (n.writers if writers else n.readers)
        }
        kind = TopicEndpointTypeEnum.PUBLISHER if writers else TopicEndpointTypeEnum.SUBSCRIPTION
        return [
            TopicEndpointInfo(owners.get(e.gid), e, ros_type(e.type_name) or e.type_name, kind)
            for e in self._endpoints_of(writers)
            if e.topic == name
        ]
