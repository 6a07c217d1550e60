# pyright: standard
"""Adapter to Eclipse Cyclone DDS: the only file that knows its Python binding.

Samples go in and out as raw CDR. The fast path calls the C functions below the binding's public
classes (private names); when a later binding lacks them, `RAW_WRITE` or `RAW_TAKE` is False and
the public `DataWriter`/`DataReader` carry the same bytes.
"""

from __future__ import annotations

import ctypes
import threading
import weakref
from collections.abc import Iterable
from dataclasses import dataclass
from enum import IntEnum
from functools import cache
from typing import Any

from cyclonedds import builtin
from cyclonedds.core import (
    DDSException,
    DDSStatus,
    Entity,
    GuardCondition,
    InstanceState,
    ReadCondition,
    SampleState,
    ViewState,
)
from cyclonedds.core import WaitSet as CycloneWaitSet
from cyclonedds.domain import Domain, DomainParticipant
from cyclonedds.idl import IdlStruct, make_idl_struct
from cyclonedds.idl import types as idl
from cyclonedds.internal import DDS
from cyclonedds.pub import DataWriter, Publisher
from cyclonedds.qos import Policy, Qos
from cyclonedds.sub import DataReader, Subscriber
from cyclonedds.topic import Sample as CycloneSample
from cyclonedds.topic import Topic

from .definitions import FieldSpec, message_spec

try:
    _dds_write = DDS._dll_handle.dds_write
    _dds_write.restype, _dds_write.argtypes = ctypes.c_int32, (ctypes.c_int32, ctypes.c_void_p)
    RAW_WRITE = True
except AttributeError:
    RAW_WRITE = False
try:
    from cyclonedds._clayer import ddspy_take

    RAW_TAKE = True
except ImportError:
    ddspy_take = None
    RAW_TAKE = False

ANY = SampleState.Any | ViewState.Any | InstanceState.Any
INFINITE_NS = (1 << 63) - 1
HANDLE_MASK = (1 << 64) - 1  # the binding returns some handles signed
# The binding converts QoS through buffers that all threads share (cyclonedds.qos._CQos, 11.0.1).
_QOS_LOCK = threading.RLock()
TIMEOUT = DDSException.DDS_RETCODE_TIMEOUT
_IDL = {
    "bool": bool,
    "byte": idl.uint8,
    "string": str,
    **{n: getattr(idl, n) for n in ("int8", "uint8", "int16", "uint16", "int32", "uint32")},
    **{n: getattr(idl, n) for n in ("int64", "uint64", "float32", "float64")},
}


class StatusEvent(IntEnum):
    """Events of readers and writers, valued as their DDS status bits."""

    INCONSISTENT_TOPIC = DDSStatus.InconsistentTopic
    OFFERED_DEADLINE_MISSED = DDSStatus.OfferedDeadlineMissed
    REQUESTED_DEADLINE_MISSED = DDSStatus.RequestedDeadlineMissed
    OFFERED_INCOMPATIBLE_QOS = DDSStatus.OfferedIncompatibleQos
    REQUESTED_INCOMPATIBLE_QOS = DDSStatus.RequestedIncompatibleQos
    SAMPLE_LOST = DDSStatus.SampleLost
    LIVELINESS_LOST = DDSStatus.LivelinessLost
    LIVELINESS_CHANGED = DDSStatus.LivelinessChanged
    PUBLICATION_MATCHED = DDSStatus.PublicationMatched
    SUBSCRIPTION_MATCHED = DDSStatus.SubscriptionMatched


def _enable_events(entity: Entity, events: list[StatusEvent]) -> Entity:
    """Track these events; return what to attach to a wait set."""
    entity.set_status_mask(sum(events))
    return entity


def _take_events(
    entity: Any, events: list[StatusEvent]
) -> list[tuple[StatusEvent, dict[str, int]]]:
    """Return the fields of the status of each event that happened since the last call."""
    changed = entity.get_status_changes()
    found = []
    for event in events:
        if changed & event:
            status = getattr(entity, f"get_{event.name.lower()}_status")()
            found.append((event, {name: getattr(status, name) for name, *_ in status._fields_}))
    return found


class WriteTimeoutError(RuntimeError):
    """A reliable reader did not acknowledge in time; the sample was not sent."""


@dataclass(frozen=True)
class Sample:
    """One received sample: CDR bytes and where it came from."""

    data: bytes
    source_timestamp: int
    """Time of the write, on the wall clock of the writer [ns]."""
    publication_handle: int
    """Local handle of the writer."""


@dataclass(frozen=True)
class Endpoint:
    """One writer or reader found by discovery."""

    gid: bytes
    """16 bytes, network order."""
    participant: bytes
    """Gid of its participant."""
    handle: int
    """Local handle, as in `Sample.publication_handle` and `matched_handles`."""
    topic: str
    type_name: str
    qos: Qos
    user_data: dict[str, str]
    alive: bool


def idl_struct(name: str, header: bool = False) -> type[IdlStruct]:
    """Return the IDL type of a ROS message (with the service header in front if asked)."""
    return _idl_struct(name, header)


@cache
def _idl_struct(name: str, header: bool) -> type[IdlStruct]:
    spec = message_spec(name)
    fields = {field.name: _idl_field(field) for field in spec.fields}
    if not fields:
        fields = {"structure_needs_at_least_one_member": idl.uint8}
    if header:
        fields = {"client_guid": idl.uint64, "sequence_number": idl.int64, **fields}
    package, kind, short = name.split("/")
    struct = make_idl_struct(f"{short}_", f"{package}.{kind}.dds_.{short}_", fields)
    struct.__idl__.populate()

    # The public slow path: samples are instances that hold their own bytes.
    def serialize(self: Any, **_: Any) -> bytes:
        return self.raw

    def deserialize(cls: Any, data: bytes, **_: Any) -> Any:
        instance = object.__new__(cls)
        instance.raw = data
        return instance

    struct.serialize = serialize  # type: ignore[method-assign]
    struct.deserialize = classmethod(deserialize)  # type: ignore[assignment, method-assign]
    struct.deserialize_key = classmethod(deserialize)  # type: ignore[assignment, method-assign]
    return struct


def _idl_field(field: FieldSpec) -> Any:
    if field.is_message:
        base: Any = _idl_struct(field.base, False)
    elif field.string_bound:
        base = idl.bounded_str[field.string_bound]
    else:
        base = _IDL[field.base]
    if field.kind == "array":
        return idl.array[base, field.size]
    if field.kind == "sequence":
        return idl.sequence[base, field.size] if field.size else idl.sequence[base]
    return base


class Participant:
    """A domain participant with its configuration, one publisher and one subscriber."""

    def __init__(self, domain_id: int, config: str, user_data: str) -> None:
        try:
            self._domain: Domain | None = _domain(domain_id, config)
            self.entity = DomainParticipant(domain_id, Qos(Policy.Userdata(user_data.encode())))
        except DDSException as error:
            raise RuntimeError(
                f"cannot join DDS domain {domain_id}: {error}. Check ROS_DOMAIN_ID (0-232), "
                "ROS_STATIC_PEERS, CYCLONEDDS_URI, and that fewer than 60 processes use it"
            ) from error
        self.publisher = Publisher(self.entity)
        self.subscriber = Subscriber(self.entity)
        self.gid = self.entity.guid.bytes
        self._topics: dict[tuple[str, str], Topic[Any]] = {}
        _PARTICIPANTS[domain_id] = _PARTICIPANTS.get(domain_id, 0) + 1
        # Once nobody has it any more; a domain that is left by all gives its ports back.
        weakref.finalize(self, _leave, domain_id, self.entity).atexit = False

    def topic(self, name: str, type_name: str, header: bool = False) -> Topic[Any]:
        """Return the topic, created on first use."""
        key = (name, type_name)
        if key not in self._topics:
            self._topics[key] = Topic(self.entity, name, idl_struct(type_name, header))
        return self._topics[key]


_DOMAINS: dict[int, tuple[str, Domain]] = {}
_PARTICIPANTS: dict[int, int] = {}
"""How many there are by domain, in this process."""


def _leave(domain_id: int, entity: DomainParticipant) -> None:
    """Take a participant out of its domain, and the domain out of this process after the last."""
    _PARTICIPANTS[domain_id] -= 1
    if domain_id not in _DOMAINS:  # all was deleted at the end of the process
        return
    delete(entity)
    if _PARTICIPANTS[domain_id] == 0:
        delete(_DOMAINS.pop(domain_id)[1])


def _domain(domain_id: int, config: str) -> Domain:
    """Return the domain of this process; Cyclone allows one configuration per domain."""
    if domain_id in _DOMAINS:
        known, domain = _DOMAINS[domain_id]
        if known != config:
            raise RuntimeError(
                f"DDS domain {domain_id} is already configured differently in this process"
            )
        return domain
    domain = Domain(domain_id, config)
    _DOMAINS[domain_id] = (config, domain)
    return domain


def close_domains() -> None:
    """Delete every DDS entity of this process, at its end."""
    for _, domain in list(_DOMAINS.values()):
        delete(domain)
    _DOMAINS.clear()


def delete(entity: Entity) -> None:
    """Delete a DDS entity now, and not when Python collects it."""
    entity.__del__()


class Writer:
    """A DataWriter that takes CDR bytes."""

    def __init__(self, participant: Participant, topic: Topic[Any], qos: Qos) -> None:
        with _QOS_LOCK:
            self.entity: DataWriter[Any] = DataWriter(participant.publisher, topic, qos)
        self._type = topic.data_type
        self._ref = self.entity._ref
        self.gid = self.entity.guid.bytes
        self.handle = self.entity.instance_handle & HANDLE_MASK

    def write(self, data: bytearray) -> None:
        """Send one sample.

        Raises:
            WriteTimeoutError: a reliable reader blocks for longer than the QoS allows.
            RuntimeError: Cyclone refused the sample.
        """
        data += b"\0" * (-len(data) & 3)
        if RAW_WRITE:
            first = ctypes.c_char.from_buffer(data)
            sample = CycloneSample(ctypes.addressof(first), len(data))
            code = _dds_write(self._ref, ctypes.byref(sample))
        else:
            code = self._public_write(bytes(data))
        if code == TIMEOUT:
            raise WriteTimeoutError("a reliable reader does not keep up; sample dropped")
        if code < 0:
            raise RuntimeError(f"Cyclone DDS refused a sample: {DDSException(code)}")

    def _public_write(self, data: bytes) -> int:
        sample = object.__new__(self._type)
        sample.raw = data
        try:
            self.entity.write(sample)
        except DDSException as error:
            return error.code
        return 0

    def wait_for_acks(self, timeout_ns: int) -> bool:
        """Wait until all reliable readers have everything; return whether they do."""
        code = self.entity._wait_for_acks(self._ref, timeout_ns)  # type: ignore[call-arg]
        if code == TIMEOUT:  # the public method fails here (11.0.1)
            return False
        if code < 0:
            raise RuntimeError(
                f"Cyclone DDS cannot wait for acknowledgements: {DDSException(code)}"
            )
        return True

    def assert_liveliness(self) -> None:
        """Say that the writer is alive."""
        DDS._dll_handle.dds_assert_liveliness(self._ref)

    def close(self) -> None:
        """Delete the writer."""
        delete(self.entity)

    def matched_handles(self) -> list[int]:
        """Return the handles of the readers that this writer reaches."""
        return [h & HANDLE_MASK for h in self.entity.get_matched_subscriptions()]

    def matched_count(self) -> int:
        """Return the number of readers that this writer reaches."""
        return len(self.entity.get_matched_subscriptions())

    def enable_events(self, events: list[StatusEvent]) -> Entity:
        """Track these events; return what to attach to a wait set."""
        return _enable_events(self.entity, events)

    def take_events(self, events: list[StatusEvent]) -> list[tuple[StatusEvent, dict[str, int]]]:
        """Return the status of each event that happened since the last call."""
        return _take_events(self.entity, events)


class Reader:
    """A DataReader that returns CDR bytes."""

    def __init__(self, participant: Participant, topic: Topic[Any], qos: Qos) -> None:
        with _QOS_LOCK:
            self.entity: DataReader[Any] = DataReader(participant.subscriber, topic, qos)
        self._ref = self.entity._ref
        self.gid = self.entity.guid.bytes
        self.condition = ReadCondition(self.entity, ANY)

    def take(self, count: int = 1) -> list[Sample]:
        """Take up to `count` samples; what carries no data (a writer left) is dropped."""
        if RAW_TAKE and ddspy_take is not None:
            taken = ddspy_take(self._ref, ANY, count)
            if isinstance(taken, int):
                raise RuntimeError(f"Cyclone DDS cannot take: {DDSException(taken)}")
            pairs: Iterable[tuple[bytes, Any]] = taken
        else:
            public = self.entity.take(count)
            pairs = [(getattr(s, "raw", b""), s.sample_info) for s in public]
        return [
            Sample(data, info.source_timestamp, info.publication_handle & HANDLE_MASK)
            for data, info in pairs
            if info.valid_data
        ]

    def has_data(self) -> bool:
        """Return whether `take` would find anything."""
        return bool(self.condition.triggered)

    def close(self) -> None:
        """Delete the reader."""
        delete(self.condition)
        delete(self.entity)

    def matched_handles(self) -> list[int]:
        """Return the handles of the writers that this reader hears."""
        return [h & HANDLE_MASK for h in self.entity.get_matched_publications()]

    def matched_count(self) -> int:
        """Return the number of writers that this reader hears."""
        return len(self.entity.get_matched_publications())

    def enable_events(self, events: list[StatusEvent]) -> Entity:
        """Track these events; return what to attach to a wait set."""
        return _enable_events(self.entity, events)

    def take_events(self, events: list[StatusEvent]) -> list[tuple[StatusEvent, dict[str, int]]]:
        """Return the status of each event that happened since the last call."""
        return _take_events(self.entity, events)


class BuiltinReader:
    """Discovery of all writers (`publications`) or readers of the domain, own ones included."""

    def __init__(self, participant: Participant, publications: bool) -> None:
        topic = (
            builtin.BuiltinTopicDcpsPublication
            if publications
            else builtin.BuiltinTopicDcpsSubscription
        )
        self.entity = builtin.BuiltinDataReader(participant.subscriber, topic)
        self.condition = ReadCondition(self.entity, ANY)

    def take(self) -> list[Endpoint]:
        """Return what changed since the last call."""
        with _QOS_LOCK:
            changed = self.entity.take(1000)
        return [_endpoint(e, e.sample_info.instance_state == InstanceState.Alive) for e in changed]


def _endpoint(found: Any, alive: bool) -> Endpoint:
    data = found.qos[Policy.Userdata].data if found.qos and Policy.Userdata in found.qos else b""
    return Endpoint(
        found.key.bytes,
        found.participant_key.bytes,
        found.sample_info.instance_handle & HANDLE_MASK,
        found.topic_name,
        found.type_name,
        found.qos,
        parse_user_data(data),
        alive,
    )


def parse_user_data(data: bytes) -> dict[str, str]:
    """Parse `key=value;` pairs, ignoring what is malformed."""
    pairs = (part.partition("=") for part in data.decode("ascii", "replace").split(";"))
    return {key: value for key, sign, value in pairs if sign}


class WaitSet:
    """Blocks until an attached entity has something, without holding the GIL.

    Attach and wake may be called from any thread while another one waits.
    """

    def __init__(self, participant: Participant) -> None:
        self._set: Any = CycloneWaitSet(participant.entity)
        self._guard = GuardCondition(participant.entity)
        self._lock = threading.Lock()
        self._attached: dict[int, tuple[Entity, Any]] = {}
        self._buffer = (ctypes.c_void_p * 16)()
        self._raw_attach(self._guard, 0)

    def attach(self, entity: Entity, token: int) -> None:
        """Attach an entity; `wait` returns the token (> 0) when it triggers."""
        with self._lock:
            if token not in self._attached:
                self._attached[token] = (entity, None)
                self._raw_attach(entity, token)

    def detach(self, token: int) -> None:
        """Detach what was attached with the token, if anything."""
        with self._lock:
            entity, _ = self._attached.pop(token, (None, None))
            if entity is not None:
                self._set._waitset_detach(self._set._ref, entity._ref)

    def wake(self) -> None:
        """Let the current or the next `wait` return."""
        self._guard.set(True)

    def wait(self, timeout_ns: int) -> list[int]:
        """Wait for the attached entities; return the tokens that triggered."""
        with self._lock:
            size = len(self._attached) + 1
            if len(self._buffer) < size:
                self._buffer = (ctypes.c_void_p * (2 * size))()
            buffer = self._buffer
        pointer = ctypes.cast(buffer, ctypes.POINTER(ctypes.c_void_p))
        count = self._set._waitset_wait(self._set._ref, pointer, len(buffer), timeout_ns)
        if count < 0:
            raise RuntimeError(f"Cyclone DDS cannot wait: {DDSException(count)}")
        tokens = [buffer[i] or 0 for i in range(min(count, len(buffer)))]
        if 0 in tokens:
            self._guard.set(False)
        return [t for t in tokens if t]

    def _raw_attach(self, entity: Entity, token: int) -> None:
        code = self._set._waitset_attach(self._set._ref, entity._ref, token or None)
        if code < 0:
            raise RuntimeError(f"Cyclone DDS cannot attach: {DDSException(code)}")
