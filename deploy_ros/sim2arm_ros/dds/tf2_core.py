# pyright: standard
"""The tree of frames: what was said about each, and where one is in another at a time."""

from __future__ import annotations

import threading
from typing import Any

import numpy as np

from sim2arm.core.transforms import pose_compose, pose_inverse, quat_normalize

from .messages import message_class
from .ros_logging import get_logger
from .ros_time import NS, Duration, Time
from .tf2_cache import Pose, Stamped, StaticCache, TimeCache
from .tf2_exceptions import (
    ConnectivityException,
    ExtrapolationException,
    InvalidArgumentException,
    LookupException,
    TimeoutException,
    TransformException,
)

__all__ = [
    "BufferCore",
    "ConnectivityException",
    "ExtrapolationException",
    "InvalidArgumentException",
    "LookupException",
    "TimeoutException",
    "TransformException",
]
CACHE_TIME = Duration(seconds=10)  # tf2::BUFFER_CORE_DEFAULT_CACHE_TIME
MAX_DEPTH = 1000  # tf2::BufferCore::MAX_GRAPH_DEPTH
NORM_TOLERANCE = 0.01  # of the squared norm of a quaternion, as in tf2
_IDENTITY: Pose = np.array([0.0, 0.0, 0.0, 1.0, 0.0, 0.0, 0.0])
_NEVER_NS = (1 << 63) - 1


class BufferCore:
    """Frames and their transforms of the last `cache_time`; may be used by several threads."""

    def __init__(self, cache_time: Duration = CACHE_TIME) -> None:
        self._length_ns = _nanoseconds(cache_time)
        self._lock = threading.RLock()
        self._caches: dict[str, StaticCache | TimeCache] = {}
        self._authorities: dict[str, str] = {}
        self._names: dict[str, None] = {}  # in the order in which they were heard of

    # --- what is said ---

    def set_transform(self, transform: Any, authority: str) -> None:
        """Take in a TransformStamped of a frame that moves."""
        self._set(transform, authority, static=False)

    def set_transform_static(self, transform: Any, authority: str) -> None:
        """Take in a TransformStamped of a frame that stays where it is."""
        self._set(transform, authority, static=True)

    def _set(self, transform: Any, authority: str, static: bool) -> None:
        parent = transform.header.frame_id.removeprefix("/")
        child = transform.child_frame_id.removeprefix("/")
        T_parent_child = _pose(transform.transform)
        problem = _problem(parent, child, T_parent_child)
        if problem:
            get_logger("tf2").error(f"transform of {child!r} by {authority} ignored: {problem}")
            return
        T_parent_child[3:] = quat_normalize(T_parent_child[3:])
        entry = Stamped(_nanoseconds(transform.header.stamp), parent, T_parent_child)
        with self._lock:
            cache = self._caches.get(child)
            if cache is None or isinstance(cache, StaticCache) != static:
                cache = StaticCache() if static else TimeCache(self._length_ns)
                self._caches[child] = cache
            self._names.update({child: None, parent: None})
            kept = cache.insert(entry)
            if kept:
                self._authorities[child] = authority
        if not kept:
            get_logger("tf2").warning(
                f"transform of {child!r} by {authority} ignored: it is more than the cache time "
                "older than the newest"
            )

    def clear(self) -> None:
        """Forget all transforms; the names stay known."""
        with self._lock:
            for cache in self._caches.values():
                cache.clear()

    # --- what is asked ---

    def lookup_transform_core(self, target_frame: str, source_frame: str, time: Any) -> Any:
        """Return the TransformStamped of the source frame in the target frame.

        Args:
            target_frame: Frame in which the answer is.
            source_frame: Frame whose pose is asked for.
            time: Time or stamp; 0 is the latest at which both are known.

        Raises:
            LookupException: a frame is not known.
            ConnectivityException: the frames are in different trees.
            ExtrapolationException: the time is before or after what is known.
            InvalidArgumentException: a name is empty or begins with '/'.
        """
        stamp_ns, T_target_source = self._lookup(target_frame, source_frame, _nanoseconds(time))
        return _message(stamp_ns, target_frame, source_frame, T_target_source)

    def lookup_transform_full_core(
        self,
        target_frame: str,
        target_time: Any,
        source_frame: str,
        source_time: Any,
        fixed_frame: str,
    ) -> Any:
        """Return the source frame at one time in the target frame at another.

        The fixed frame is what does not move between the times. See `lookup_transform_core`.
        """
        for name in (target_frame, source_frame, fixed_frame):
            self._check(name)
        _, T_fixed_source = self._lookup(fixed_frame, source_frame, _nanoseconds(source_time))
        stamp_ns, T_target_fixed = self._lookup(
            target_frame, fixed_frame, _nanoseconds(target_time)
        )
        T_target_source = pose_compose(T_target_fixed, T_fixed_source)
        return _message(stamp_ns, target_frame, source_frame, T_target_source)

    def can_transform_core(
        self, target_frame: str, source_frame: str, time: Any
    ) -> tuple[bool, str]:
        """Return whether `lookup_transform_core` answers, and why not."""
        try:
            self.lookup_transform_core(target_frame, source_frame, time)
        except TransformException as error:
            return False, str(error)
        return True, ""

    def can_transform_full_core(
        self,
        target_frame: str,
        target_time: Any,
        source_frame: str,
        source_time: Any,
        fixed_frame: str,
    ) -> tuple[bool, str]:
        """Return whether `lookup_transform_full_core` answers, and why not."""
        try:
            self.lookup_transform_full_core(
                target_frame, target_time, source_frame, source_time, fixed_frame
            )
        except TransformException as error:
            return False, str(error)
        return True, ""

    def get_latest_common_time(self, target_frame: str, source_frame: str) -> Time:
        """Return the latest time at which both frames are known, 0 where nothing moves."""
        self._check(target_frame)
        self._check(source_frame)
        with self._lock:
            return Time(nanoseconds=self._common_ns(target_frame, source_frame))

    def all_frames_as_string(self) -> str:
        """Return one line per frame that has a parent."""
        with self._lock:
            return "".join(
                f"Frame {child} exists with parent {entry.parent}.\n"
                for child, cache in self._caches.items()
                if (entry := cache.latest()) is not None
            )

    def all_frames_as_yaml(self) -> str:
        """Return parent, broadcaster, rate [Hz] and times [s] of each frame."""
        with self._lock:
            texts = [self._as_yaml(child) for child in self._caches]
        return "".join(texts) or "[]"

    def _as_yaml(self, child: str) -> str:
        cache = self._caches[child]
        entry = cache.latest()
        if entry is None:
            return ""
        oldest_ns, newest_ns, count = cache.span()
        rate = count * 1e9 / max(newest_ns - oldest_ns, 100_000)
        return (
            f"{child}: \n  parent: '{entry.parent}'\n"
            f"  broadcaster: '{self._authorities[child]}'\n  rate: {rate:.3f}\n"
            f"  most_recent_transform: {newest_ns * 1e-9:.6f}\n"
            f"  oldest_transform: {oldest_ns * 1e-9:.6f}\n"
            f"  buffer_length: {(newest_ns - oldest_ns) * 1e-9:.3f}\n"
        )

    # --- the tree ---

    def _check(self, name: str) -> None:
        if not name or name.startswith("/"):
            raise InvalidArgumentException(
                f"frame {name!r}: a name must not be empty or begin with '/'"
            )
        with self._lock:
            if name not in self._names:
                raise LookupException(f"frame {name!r} is not known. Known: {list(self._names)}")

    def _lookup(self, target: str, source: str, stamp_ns: int) -> tuple[int, Pose]:
        """Return the time of the answer [ns] and the pose of source in target."""
        with self._lock:
            if target == source:
                cache = self._caches.get(target)
                latest = cache.latest() if cache is not None and stamp_ns == 0 else None
                return stamp_ns if latest is None else latest.stamp_ns, _IDENTITY
            self._check(target)
            self._check(source)
            if stamp_ns == 0:
                stamp_ns = self._common_ns(target, source)
            try:
                return stamp_ns, self._walk(target, source, stamp_ns)
            except ExtrapolationException as error:
                raise ExtrapolationException(
                    f"{error} (looking for frame {source!r} in frame {target!r})"
                ) from error

    def _walk(self, target: str, source: str, stamp_ns: int) -> Pose:
        top, T_top_source, gap = self._up(source, target, stamp_ns)
        if top == target:
            return T_top_source
        frame, T_frame_target, problem = self._up(target, top, stamp_ns)
        if frame == top:
            return pose_compose(pose_inverse(T_frame_target), T_top_source)
        raise problem or gap or _not_connected(target, source)

    def _up(
        self, frame: str, stop: str, stamp_ns: int
    ) -> tuple[str, Pose, ExtrapolationException | None]:
        """Walk towards the root until `stop`, or until nothing more is known.

        Returns:
            The frame that was reached, the pose in it of where the walk began, and what was
            missing there.
        """
        T_frame_start = _IDENTITY
        for _ in range(MAX_DEPTH):
            cache = self._caches.get(frame)
            if frame == stop or cache is None:
                return frame, T_frame_start, None
            try:
                entry = cache.at(stamp_ns)
            except ExtrapolationException as error:
                return frame, T_frame_start, error
            T_frame_start = pose_compose(entry.T_parent_child, T_frame_start)
            frame = entry.parent
        raise LookupException(f"the tree of frames has a loop at {frame!r}")

    def _common_ns(self, target: str, source: str) -> int:
        """Return the latest time at which all frames between the two are known."""
        if target == source:
            cache = self._caches.get(source)
            latest = cache.latest() if cache is not None else None
            return 0 if latest is None else latest.stamp_ns
        of_source, of_target = self._line(source), self._line(target)
        shared = next((frame for frame in of_target if frame in of_source), None)
        if shared is None:
            raise _not_connected(target, source)
        stamps = [
            stamp_ns
            for line in (of_source, of_target)
            for stamp_ns in list(line.values())[: list(line).index(shared)]
            if stamp_ns
        ]
        return min(stamps, default=0)

    def _line(self, frame: str) -> dict[str, int]:
        """Return a frame and its ancestors, each with its latest stamp (0 where it stands)."""
        line: dict[str, int] = {}
        while frame not in line:
            cache = self._caches.get(frame)
            latest = cache.latest() if cache is not None else None
            line[frame] = 0 if latest is None else latest.stamp_ns
            if latest is None:
                return line
            frame = latest.parent
        raise LookupException(f"the tree of frames has a loop at {frame!r}")


def _not_connected(target: str, source: str) -> ConnectivityException:
    return ConnectivityException(f"frames {target!r} and {source!r} are not in one tree")


def _problem(parent: str, child: str, T_parent_child: Pose) -> str | None:
    """Return why a transform cannot be used."""
    if not parent or not child:
        return "header.frame_id and child_frame_id must not be empty"
    if parent == child:
        return "header.frame_id and child_frame_id are the same"
    if np.isnan(T_parent_child).any():
        return f"it has values that are not numbers: {T_parent_child.tolist()}"
    if abs(float(T_parent_child[3:] @ T_parent_child[3:]) - 1.0) >= NORM_TOLERANCE:
        return f"its quaternion (w x y z) is no rotation: {T_parent_child[3:].tolist()}"
    return None


def _nanoseconds(value: Any) -> int:
    """Return a Time, a Duration or a message of either in nanoseconds."""
    if hasattr(value, "sec") and hasattr(value, "nanosec"):
        return value.sec * NS + value.nanosec
    if hasattr(value, "nanoseconds"):
        return value.nanoseconds
    raise TypeError(f"expected a time with sec and nanosec, or nanoseconds, got {value!r}")


def _pose(transform: Any) -> Pose:
    p, q = transform.translation, transform.rotation
    return np.array([p.x, p.y, p.z, q.w, q.x, q.y, q.z])


def _message(stamp_ns: int, frame_id: str, child_frame_id: str, T_a_b: Pose) -> Any:
    message: Any = message_class("geometry_msgs/msg/TransformStamped")()
    message.header.stamp.sec, message.header.stamp.nanosec = divmod(stamp_ns, NS)
    message.header.frame_id, message.child_frame_id = frame_id, child_frame_id
    p, q = message.transform.translation, message.transform.rotation
    p.x, p.y, p.z, q.w, q.x, q.y, q.z = T_a_b.tolist()
    return message
