"""What publishers, subscriptions, services and clients share: endpoints in the graph."""

from __future__ import annotations

import itertools
from typing import TYPE_CHECKING

from .cyclone import Reader, Writer
from .definitions import type_hash
from .exceptions import InvalidHandle, RCLError
from .graph import NodeEntities
from .qos import QoSProfile, to_dds

if TYPE_CHECKING:
    from .context import Context

_tokens = itertools.count(1)
_service_ids = itertools.count(1)


def new_token() -> int:
    """Return a number for a wait set, unique in this process."""
    return next(_tokens)


def new_service_id(participant_gid: bytes) -> str:
    """Return the identity that a service or client writes into its user data.

    As in rmw_cyclonedds: the participant's prefix and a counter, bytes in hex joined by dots.
    """
    raw = participant_gid[:12] + next(_service_ids).to_bytes(4, "big")
    return ".".join([f"{raw[0]:2x}", *(f"{b:x}" for b in raw[1:])])


class Endpoints:
    """The DDS writers and readers of one ROS entity, announced in the graph with it."""

    def __init__(self, context: Context, node: NodeEntities) -> None:
        self.context = context
        self._node = node
        self._closed = False
        self._writers: list[Writer] = []
        self._readers: list[Reader] = []

    def writer(self, topic: str, type_name: str, qos: QoSProfile, extra: str = "") -> Writer:
        """Create and announce a writer; `extra` user data mark a service or client."""
        data = f"{extra}typehash={type_hash(type_name)};"
        participant = self.context.participant
        dds_topic = participant.topic(topic, type_name, header=bool(extra))
        writer = Writer(participant, dds_topic, to_dds(qos, data, writer=True))
        self._writers.append(writer)
        self.context.graph.change(self._node, writer.gid, writer=True, add=True)
        return writer

    def reader(self, topic: str, type_name: str, qos: QoSProfile, extra: str = "") -> Reader:
        """Create and announce a reader; see `writer`."""
        data = f"{extra}typehash={type_hash(type_name)};"
        participant = self.context.participant
        dds_topic = participant.topic(topic, type_name, header=bool(extra))
        reader = Reader(participant, dds_topic, to_dds(qos, data, writer=False))
        self._readers.append(reader)
        self.context.graph.change(self._node, reader.gid, writer=False, add=True)
        return reader

    def check(self, what: str) -> None:
        """Raise if the entity was destroyed or the context is shut down."""
        if self._closed:
            raise InvalidHandle(f"{what} was destroyed")
        if not self.context.ok():
            raise RCLError(f"{what}: the context is shut down")

    @property
    def closed(self) -> bool:
        """Whether the entity was destroyed."""
        return self._closed

    def close(self) -> None:
        """Withdraw and delete the endpoints."""
        if self._closed:
            return
        self._closed = True
        with self.context.graph.batch():
            for writer in self._writers:
                self.context.graph.change(self._node, writer.gid, writer=True, add=False)
            for reader in self._readers:
                self.context.graph.change(self._node, reader.gid, writer=False, add=False)
        for entity in (*self._writers, *self._readers):
            entity.close()
