# pyright: standard
"""The ROS graph: announces our nodes, and knows the nodes and endpoints of the domain."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

from cyclonedds.qos import Policy, Qos

from .codec import CodecError, decoder, encoder
from .cyclone import INFINITE_NS, BuiltinReader, Endpoint, Participant, Reader, WaitSet, Writer
from .definitions import type_hash
from .messages import message_class

_TYPE = "rmw_dds_common/msg/ParticipantEntitiesInfo"
_SELF, _INFO, _WRITERS, _READERS = range(4)


@dataclass
class NodeEntities:
    """One node of this process: its name, namespace, and the gids of its endpoints."""

    name: str
    namespace: str
    readers: list[bytes] = field(default_factory=list)
    writers: list[bytes] = field(default_factory=list)


@dataclass(frozen=True)
class NodeInfo:
    """One node of the domain."""

    name: str
    namespace: str
    participant: bytes
    readers: frozenset[bytes]
    writers: frozenset[bytes]


class Graph:
    """Announces and observes; a thread follows discovery and wakes who waits for a change."""

    def __init__(self, participant: Participant) -> None:
        self._participant = participant
        topic = participant.topic("ros_discovery_info", _TYPE)
        self._writer = Writer(participant, topic, _info_qos(1))
        self._reader = Reader(participant, topic, _info_qos(None))
        self._publications = BuiltinReader(participant, publications=True)
        self._subscriptions = BuiltinReader(participant, publications=False)
        self._own: list[NodeEntities] = []
        self._hold = 0
        self._changed = threading.Condition(threading.RLock())
        self._listeners: list[Callable[[], None]] = []
        self._nodes: dict[bytes, list[NodeInfo]] = {}
        self._endpoints: dict[bool, dict[bytes, Endpoint]] = {True: {}, False: {}}
        self._by_handle: dict[int, Endpoint] = {}
        self._waitset = WaitSet(participant)
        self._waitset.attach(self._reader.condition, _INFO)
        self._waitset.attach(self._publications.condition, _WRITERS)
        self._waitset.attach(self._subscriptions.condition, _READERS)
        self._running = True
        self.dropped = 0
        self._thread = threading.Thread(target=self._follow, name="ros-graph", daemon=True)
        self._thread.start()

    def stop(self) -> None:
        """Withdraw our nodes and end the thread."""
        with self._changed:
            if not self._running:
                return
            self._running = False
            self._own.clear()
            self._announce()
            self._changed.notify_all()
        self._waitset.wake()
        if threading.current_thread() is not self._thread:
            self._thread.join(5.0)  # what it waits on is deleted next

    # --- our side ---

    @contextmanager
    def batch(self) -> Iterator[None]:
        """Announce once at the end instead of at each change."""
        with self._changed:
            self._hold += 1
        try:
            yield
        finally:
            with self._changed:
                self._hold -= 1
            self._announce()

    def add_node(self, name: str, namespace: str) -> NodeEntities:
        """Announce a node."""
        node = NodeEntities(name, namespace)
        with self._changed:
            self._own.append(node)
        self._announce()
        return node

    def remove_node(self, node: NodeEntities) -> None:
        """Withdraw a node."""
        with self._changed:
            if node in self._own:
                self._own.remove(node)
        self._announce()

    def change(self, node: NodeEntities, gid: bytes, writer: bool, add: bool) -> None:
        """Announce that a node got or lost an endpoint."""
        with self._changed:
            gids = node.writers if writer else node.readers
            if add:
                gids.append(gid)
            elif gid in gids:
                gids.remove(gid)
        self._announce()

    def _announce(self) -> None:
        gid, info = message_class("rmw_dds_common/msg/Gid"), message_class(_TYPE)
        entry = message_class("rmw_dds_common/msg/NodeEntitiesInfo")
        with self._changed:
            if self._hold:
                return
            message = info(
                gid=gid(data=list(self._participant.gid)),
                node_entities_info_seq=[
                    entry(
                        node_namespace=node.namespace,
                        node_name=node.name,
                        reader_gid_seq=[gid(data=list(g)) for g in node.readers],
                        writer_gid_seq=[gid(data=list(g)) for g in node.writers],
                    )
                    for node in self._own
                ],
            )
            self._writer.write(encoder(_TYPE)(message))

    # --- the domain ---

    def _follow(self) -> None:
        while self._running:
            tokens = self._waitset.wait(INFINITE_NS)
            if not tokens:
                continue
            with self._changed:
                if _INFO in tokens:
                    self._take_nodes()
                if _WRITERS in tokens:
                    self._take_endpoints(self._publications, True)
                if _READERS in tokens:
                    self._take_endpoints(self._subscriptions, False)
                self._changed.notify_all()
                listeners = list(self._listeners)
            for listener in listeners:
                listener()

    def _take_nodes(self) -> None:
        decode = decoder(_TYPE)
        for sample in self._reader.take(1000):
            try:
                message = decode(sample.data)
            except CodecError:
                self.dropped += 1
                continue
            participant = bytes(message.gid.data)
            self._nodes[participant] = [
                NodeInfo(
                    n.node_name,
                    n.node_namespace,
                    participant,
                    frozenset(bytes(g.data) for g in n.reader_gid_seq),
                    frozenset(bytes(g.data) for g in n.writer_gid_seq),
                )
                for n in message.node_entities_info_seq
            ]

    def _take_endpoints(self, reader: BuiltinReader, writers: bool) -> None:
        known = self._endpoints[writers]
        for endpoint in reader.take():
            if endpoint.alive:
                known[endpoint.gid] = self._by_handle[endpoint.handle] = endpoint
                continue
            # The sample of a departure carries the key alone.
            gone = known.pop(endpoint.gid, None)
            if gone is not None:
                self._by_handle.pop(gone.handle, None)
            if writers and gone is not None and gone.topic == "ros_discovery_info":
                self._nodes.pop(gone.participant, None)

    def nodes(self) -> list[NodeInfo]:
        """Return all nodes, ours included."""
        with self._changed:
            found = [n for p, ns in self._nodes.items() if p != self._participant.gid for n in ns]
            ours = [
                NodeInfo(
                    n.name,
                    n.namespace,
                    self._participant.gid,
                    frozenset(n.readers),
                    frozenset(n.writers),
                )
                for n in self._own
            ]
            return ours + found

    def endpoints(self, writers: bool) -> list[Endpoint]:
        """Return all writers or readers of the domain."""
        with self._changed:
            return list(self._endpoints[writers].values())

    def user_data(self, handles: list[int]) -> list[dict[str, str]]:
        """Return the user data of matched endpoints, as far as discovery has shown them."""
        with self._changed:
            found = (self._by_handle.get(handle) for handle in handles)
            return [endpoint.user_data for endpoint in found if endpoint is not None]

    def wait_until(self, condition: Callable[[], bool], timeout_sec: float | None) -> bool:
        """Wait for a change of the graph that makes the condition true."""
        end = None if timeout_sec is None else time.monotonic() + timeout_sec
        with self._changed:
            while not condition():
                if not self._running:
                    return False
                left = None if end is None else end - time.monotonic()
                if left is not None and left <= 0:
                    return False
                # Matching follows discovery by a moment, without a notification of its own.
                self._changed.wait(0.01 if left is None else min(0.01, left))
        return True

    def on_change(self, listener: Callable[[], None]) -> None:
        """Call back, in the thread of the graph, after each change."""
        with self._changed:
            self._listeners.append(listener)


def _info_qos(depth: int | None) -> Qos:
    history: Any = Policy.History.KeepAll if depth is None else Policy.History.KeepLast(depth)
    return Qos(
        Policy.Reliability.Reliable(INFINITE_NS),
        Policy.Durability.TransientLocal,
        history,
        Policy.DurabilityService(0, Policy.History.KeepLast(1), -1, -1, -1),
        Policy.WriterDataLifecycle(autodispose=False),
        Policy.DataRepresentation(True, False),
        Policy.Userdata(f"typehash={type_hash(_TYPE)};".encode()),
    )
