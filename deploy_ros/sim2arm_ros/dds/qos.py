# pyright: standard
"""QoS profiles of rclpy, and their translation to and from DDS."""

from __future__ import annotations

from enum import Enum, IntEnum
from typing import Any

from cyclonedds.qos import Policy, Qos

from .ros_time import Duration

INFINITE_NS = (1 << 63) - 1
MAX_BLOCKING_NS = 100_000_000  # default of the DDS specification: 100 ms
# A writer blocks this long at most when a reliable reader stops reading (a stopped process with
# large samples); rmw_cyclonedds waits for ever, which would freeze a control loop.


class InvalidQoSProfileException(Exception):  # noqa: N818 - rclpy's name
    """A profile that cannot be."""


class QoSPolicyEnum(IntEnum):
    """Base of the policies, with short names for the command line."""

    @classmethod
    def short_keys(cls) -> list[str]:
        """Return the names in lower case."""
        return [k.lower() for k in cls.__members__]

    @classmethod
    def get_from_short_key(cls, name: str) -> int:
        """Return the value of a name in any case."""
        return cls[name.upper()].value

    @property
    def short_key(self) -> str:
        """The name in lower case."""
        return self.name.lower()


class HistoryPolicy(QoSPolicyEnum):
    """How many samples are kept."""

    SYSTEM_DEFAULT = 0
    KEEP_LAST = 1
    KEEP_ALL = 2
    UNKNOWN = 3


class ReliabilityPolicy(QoSPolicyEnum):
    """Whether lost samples are sent again."""

    SYSTEM_DEFAULT = 0
    RELIABLE = 1
    BEST_EFFORT = 2
    UNKNOWN = 3
    BEST_AVAILABLE = 4


class DurabilityPolicy(QoSPolicyEnum):
    """Whether late subscriptions get earlier samples."""

    SYSTEM_DEFAULT = 0
    TRANSIENT_LOCAL = 1
    VOLATILE = 2
    UNKNOWN = 3
    BEST_AVAILABLE = 4


class LivelinessPolicy(QoSPolicyEnum):
    """Who says that a publisher is alive."""

    SYSTEM_DEFAULT = 0
    AUTOMATIC = 1
    MANUAL_BY_TOPIC = 3
    UNKNOWN = 4
    BEST_AVAILABLE = 5


class QoSPolicyKind(IntEnum):
    """Policies as bits, as in rmw."""

    INVALID = 1
    DURABILITY = 2
    DEADLINE = 4
    LIVELINESS = 8
    RELIABILITY = 16
    HISTORY = 32
    LIFESPAN = 64
    DEPTH = 128
    LIVELINESS_LEASE_DURATION = 256
    AVOID_ROS_NAMESPACE_CONVENTIONS = 512


QoSHistoryPolicy = HistoryPolicy
QoSReliabilityPolicy = ReliabilityPolicy
QoSDurabilityPolicy = DurabilityPolicy
QoSLivelinessPolicy = LivelinessPolicy

_FIELDS: dict[str, tuple[type, Any]] = {
    "history": (HistoryPolicy, HistoryPolicy.KEEP_LAST),
    "depth": (int, 10),
    "reliability": (ReliabilityPolicy, ReliabilityPolicy.RELIABLE),
    "durability": (DurabilityPolicy, DurabilityPolicy.VOLATILE),
    "lifespan": (Duration, Duration()),
    "deadline": (Duration, Duration()),
    "liveliness": (LivelinessPolicy, LivelinessPolicy.SYSTEM_DEFAULT),
    "liveliness_lease_duration": (Duration, Duration()),
    "avoid_ros_namespace_conventions": (bool, False),
}


class QoSProfile:
    """Quality of service of a publisher, subscription, service or client."""

    history: HistoryPolicy
    depth: int
    reliability: ReliabilityPolicy
    durability: DurabilityPolicy
    lifespan: Duration
    deadline: Duration
    liveliness: LivelinessPolicy
    liveliness_lease_duration: Duration
    avoid_ros_namespace_conventions: bool

    def __init__(self, **kwargs: Any) -> None:
        unknown = kwargs.keys() - _FIELDS.keys()
        assert not unknown, f"Invalid arguments passed to constructor: {sorted(unknown)}"
        if "history" not in kwargs and "depth" not in kwargs:
            raise InvalidQoSProfileException("History and/or depth settings are required.")
        keeps_last = kwargs.get("history", HistoryPolicy.KEEP_LAST) == HistoryPolicy.KEEP_LAST
        if keeps_last and "depth" not in kwargs:
            raise InvalidQoSProfileException("History set to KEEP_LAST without a depth setting.")
        for name, (_, default) in _FIELDS.items():
            setattr(self, name, kwargs.get(name, default))

    def __setattr__(self, name: str, value: Any) -> None:
        kind = _FIELDS[name][0]
        if issubclass(kind, IntEnum) and isinstance(value, int):
            value = kind(value)
        assert isinstance(value, kind), f"{name}: expected {kind.__name__}, got {value!r}"
        object.__setattr__(self, name, value)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, QoSProfile) and vars(self) == vars(other)

    __hash__ = None  # type: ignore[assignment]

    def __repr__(self) -> str:
        body = ", ".join(f"{name}={getattr(self, name)}" for name in _FIELDS)
        return f"QoSProfile({body})"


_KEEP = HistoryPolicy.KEEP_LAST
qos_profile_unknown = QoSProfile(
    history=HistoryPolicy.UNKNOWN,
    reliability=ReliabilityPolicy.UNKNOWN,
    durability=DurabilityPolicy.UNKNOWN,
    liveliness=LivelinessPolicy.UNKNOWN,
)
qos_profile_default = QoSProfile(history=_KEEP, depth=10)
qos_profile_system_default = QoSProfile(
    history=HistoryPolicy.SYSTEM_DEFAULT,
    depth=0,
    reliability=ReliabilityPolicy.SYSTEM_DEFAULT,
    durability=DurabilityPolicy.SYSTEM_DEFAULT,
)
qos_profile_sensor_data = QoSProfile(
    history=_KEEP, depth=5, reliability=ReliabilityPolicy.BEST_EFFORT
)
qos_profile_services_default = QoSProfile(history=_KEEP, depth=10)
qos_profile_parameters = QoSProfile(history=_KEEP, depth=1000)
qos_profile_parameter_events = QoSProfile(history=_KEEP, depth=1000)
qos_profile_action_status_default = QoSProfile(
    history=_KEEP, depth=1, durability=DurabilityPolicy.TRANSIENT_LOCAL
)
qos_profile_best_available = QoSProfile(
    history=_KEEP,
    depth=10,
    reliability=ReliabilityPolicy.BEST_AVAILABLE,
    durability=DurabilityPolicy.BEST_AVAILABLE,
    liveliness=LivelinessPolicy.BEST_AVAILABLE,
)


class QoSPresetProfiles(Enum):
    """The predefined profiles."""

    UNKNOWN = qos_profile_unknown
    DEFAULT = qos_profile_default
    SYSTEM_DEFAULT = qos_profile_system_default
    SENSOR_DATA = qos_profile_sensor_data
    SERVICES_DEFAULT = qos_profile_services_default
    PARAMETERS = qos_profile_parameters
    PARAMETER_EVENTS = qos_profile_parameter_events
    ACTION_STATUS_DEFAULT = qos_profile_action_status_default
    BEST_AVAILABLE = qos_profile_best_available

    @classmethod
    def short_keys(cls) -> list[str]:
        """Return the names in lower case."""
        return [k.lower() for k in cls.__members__]

    @classmethod
    def get_from_short_key(cls, name: str) -> QoSProfile:
        """Return the profile of a name in any case."""
        return cls[name.upper()].value


class QoSCompatibility(IntEnum):
    """Whether a publisher and a subscription match."""

    OK = 0
    WARNING = 1
    ERROR = 2


def qos_check_compatible(
    publisher_qos: QoSProfile, subscription_qos: QoSProfile
) -> tuple[QoSCompatibility, str]:
    """Return whether the two match, and why not."""
    pub, sub = publisher_qos, subscription_qos
    reasons = []
    if (pub.reliability, sub.reliability) == (
        ReliabilityPolicy.BEST_EFFORT,
        ReliabilityPolicy.RELIABLE,
    ):
        reasons.append("ERROR: Best effort publisher and reliable subscription;")
    if (pub.durability, sub.durability) == (
        DurabilityPolicy.VOLATILE,
        DurabilityPolicy.TRANSIENT_LOCAL,
    ):
        reasons.append("ERROR: Volatile publisher and transient local subscription;")
    if _ns(pub.deadline) > _ns(sub.deadline):
        reasons.append("ERROR: Subscription deadline is less than publisher deadline;")
    if (pub.liveliness, sub.liveliness) == (
        LivelinessPolicy.AUTOMATIC,
        LivelinessPolicy.MANUAL_BY_TOPIC,
    ):
        reasons.append("ERROR: Publisher's liveliness is automatic, subscription's is manual;")
    if _ns(pub.liveliness_lease_duration) > _ns(sub.liveliness_lease_duration):
        reasons.append("ERROR: Subscription lease duration is less than publisher's;")
    if reasons:
        return QoSCompatibility.ERROR, "".join(reasons)
    uncertain = {0, 3}  # SYSTEM_DEFAULT, UNKNOWN
    if uncertain & {pub.reliability, sub.reliability, pub.durability, sub.durability}:
        return QoSCompatibility.WARNING, "WARNING: a policy is system default or unknown;"
    return QoSCompatibility.OK, ""


def validate_depth(qos_or_depth: QoSProfile | int) -> QoSProfile:
    """Return the profile, or the default one with this depth."""
    if isinstance(qos_or_depth, QoSProfile):
        return qos_or_depth
    if not isinstance(qos_or_depth, int):
        raise TypeError(f"Expected QoSProfile or int, but received {type(qos_or_depth)!r}")
    if qos_or_depth < 0:
        raise ValueError("History depth must be greater than or equal to zero")
    return QoSProfile(depth=qos_or_depth)


# --- DDS ------------------------------------------------------------------------------------


def _ns(duration: Duration) -> int:
    return duration.nanoseconds or INFINITE_NS  # zero: unspecified


def to_dds(profile: QoSProfile, user_data: str, writer: bool) -> Qos:
    """Return the DDS QoS as rmw_cyclonedds sets it.

    BEST_AVAILABLE becomes reliable and transient local for a writer, best effort and volatile
    for a reader: the choice that matches whatever comes later.
    """
    if profile.history == HistoryPolicy.KEEP_ALL:
        history: Any = Policy.History.KeepAll
    else:
        history = Policy.History.KeepLast(max(1, profile.depth))
    best_effort = profile.reliability == ReliabilityPolicy.BEST_EFFORT or (
        profile.reliability == ReliabilityPolicy.BEST_AVAILABLE and not writer
    )
    latched = profile.durability == DurabilityPolicy.TRANSIENT_LOCAL or (
        profile.durability == DurabilityPolicy.BEST_AVAILABLE and writer
    )
    lease = _ns(profile.liveliness_lease_duration)
    policies: list[Any] = [
        Policy.WriterDataLifecycle(autodispose=False),
        history,
        Policy.Reliability.BestEffort
        if best_effort
        else Policy.Reliability.Reliable(MAX_BLOCKING_NS),
        Policy.Durability.TransientLocal if latched else Policy.Durability.Volatile,
        Policy.Liveliness.ManualByTopic(lease)
        if profile.liveliness == LivelinessPolicy.MANUAL_BY_TOPIC
        else Policy.Liveliness.Automatic(lease),
        Policy.Deadline(_ns(profile.deadline)),
        Policy.DataRepresentation(True, False),
        Policy.Userdata(user_data.encode()),
    ]
    if latched:
        policies.append(Policy.DurabilityService(0, history, -1, -1, -1))
    if writer:
        policies.append(Policy.Lifespan(_ns(profile.lifespan)))
    return Qos(*policies)


def from_dds(qos: Qos, plain: bool = False) -> QoSProfile:
    """Return the profile of a discovered endpoint; history is not on the wire."""

    def duration(ns: int) -> Duration:
        return Duration(nanoseconds=ns)

    liveliness = _get(qos, Policy.Liveliness)
    reliability = _get(qos, Policy.Reliability)
    lifespan, deadline = _get(qos, Policy.Lifespan), _get(qos, Policy.Deadline)
    manual = isinstance(liveliness, Policy.Liveliness.ManualByTopic)
    return QoSProfile(
        history=HistoryPolicy.UNKNOWN,
        depth=0,
        reliability=ReliabilityPolicy.RELIABLE
        if isinstance(reliability, Policy.Reliability.Reliable)
        else ReliabilityPolicy.BEST_EFFORT,
        durability=DurabilityPolicy.VOLATILE
        if _get(qos, Policy.Durability) in (None, Policy.Durability.Volatile)
        else DurabilityPolicy.TRANSIENT_LOCAL,
        lifespan=duration(lifespan.lifespan if lifespan else INFINITE_NS),
        deadline=duration(deadline.deadline if deadline else INFINITE_NS),
        liveliness=LivelinessPolicy.MANUAL_BY_TOPIC if manual else LivelinessPolicy.AUTOMATIC,
        liveliness_lease_duration=duration(
            liveliness.lease_duration if liveliness else INFINITE_NS
        ),
        avoid_ros_namespace_conventions=plain,
    )


def _get(qos: Qos, policy: Any) -> Any:
    return qos[policy] if policy in qos else None  # noqa: SIM401 - Qos has no get
