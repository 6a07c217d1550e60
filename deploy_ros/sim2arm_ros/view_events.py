"""Pictures and joint states for calibrations, from a raw log or from topics as they come."""

# Messages have other types on each backend.
# pyright: standard, reportMissingModuleSource=false

from __future__ import annotations

import time
from collections import deque
from collections.abc import Generator, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import rclpy
from numpy.typing import NDArray
from rclpy.context import Context
from rclpy.executors import SingleThreadedExecutor
from rclpy.node import Node

from sim2arm.calibration.still_views import Event

from .bag.reader import Log
from .convert import joint_field, to_ns
from .convert_pictures import decoded, image_array
from .graph import JOINT_STATE
from .log_era import eras
from .node_support import streaming
from .pictures import COMPRESSED_IMAGE, IMAGE, PICTURES
from .recorder_topics import message_class

PATIENCE_S = 10.0
"""How long topics may be silent."""


@dataclass(frozen=True, kw_only=True)
class ViewTopics:
    """What is listened to."""

    image: str
    """Topic with pictures."""
    compressed: bool = False
    """Whether they are CompressedImage."""
    joints: str = ""
    """Topic with joint states; none where no arm is part of it."""
    names: tuple[str, ...] = ()
    """Joints of the arm, in order."""


def picture_of(message: Any) -> NDArray[np.uint8]:
    """Return the colours (rows, cols, 3) RGB of an Image or CompressedImage.

    Raises:
        ValueError: it has none.
    """
    if hasattr(message, "format"):
        pixels, order = decoded(message), "rgb8"
    else:
        pixels, order = image_array(message), message.encoding
    if pixels.dtype != np.uint8:
        raise ValueError(f"image: expected rgb8, bgr8 or mono8, got {pixels.dtype} ({order})")
    if pixels.ndim == 2:
        pixels = np.repeat(pixels[:, :, None], 3, axis=2)
    return np.ascontiguousarray(pixels[:, :, ::-1] if order == "bgr8" else pixels)


def log_events(log: Log, topics: ViewTopics) -> Iterator[Event]:
    """Yield what a log holds of the topics, by stamps of its receipt.

    Raises:
        ValueError: a topic is not in the log, or its messages cannot be read; one line.
    """
    found: dict[str, int] = {}
    for era in eras(log.messages, numbered=log.ours):
        messages = [*era.of(topics.image), *(era.of(topics.joints) if topics.joints else ())]
        for message in sorted(messages, key=lambda one: one.log_ns):
            picture = message.topic == topics.image
            if picture and message.type not in PICTURES:
                raise ValueError(f"{message.topic}: expected pictures, the log has {message.type}")
            told = era.read(message, message.type if picture else JOINT_STATE)
            if told is None:
                continue
            found[message.topic] = found.get(message.topic, 0) + 1
            yield _event(told, topics)
        for problem, count in era.problems.items():
            raise ValueError(f"{problem} ({count} messages)")
    for topic in filter(None, (topics.image, topics.joints)):
        if topic not in found:
            known = sorted({message.topic for message in log.messages})
            raise ValueError(f"{topic} is not in the log. Topics: {', '.join(known) or 'none'}")


def live_events(topics: ViewTopics) -> Generator[Event]:
    """Yield what comes on the topics, of pictures the newest, until the caller closes this.

    Raises:
        ValueError: nothing comes for `PATIENCE_S`, or what comes cannot be read; one line.
    """
    wanted = {topics.image: (COMPRESSED_IMAGE if topics.compressed else IMAGE, 1)}
    if topics.joints:
        wanted = {topics.joints: (JOINT_STATE, 2000), **wanted}
    for _, message, _ in live_messages(wanted):
        yield _event(message, topics)


def live_messages(wanted: Mapping[str, tuple[str, int]]) -> Generator[tuple[str, Any, int]]:
    """Yield topic, message and time of receipt [ns] of what comes, until the caller closes this.

    Args:
        wanted: type and how many are kept by topic, those that are read first first.

    Raises:
        ValueError: nothing comes on one of them for `PATIENCE_S`; one line.
    """
    context = Context()  # of its own: whoever calls this may have nodes
    rclpy.init(args=[], context=context)
    node = Node("calibration_views", context=context)
    executor = SingleThreadedExecutor(context=context)
    executor.add_node(node)
    queues: dict[str, deque[tuple[Any, int]]] = {}
    for topic, (kind, depth) in wanted.items():
        queue = queues[topic] = deque(maxlen=depth)

        def take(message: Any, queue: deque[tuple[Any, int]] = queue) -> None:
            queue.append((message, time.time_ns()))

        qos = streaming(min(depth, 100), reliable=False)
        node.create_subscription(message_class(kind), topic, take, qos)
    heard = dict.fromkeys(wanted, time.monotonic())
    try:
        while True:
            executor.spin_once(timeout_sec=0.05)
            for topic, queue in queues.items():
                if queue:
                    heard[topic] = time.monotonic()
                while queue:
                    yield (topic, *queue.popleft())
            for topic, when in heard.items():
                if time.monotonic() - when > PATIENCE_S:
                    kinds = " and ".join(dict.fromkeys(kind for kind, _ in wanted.values()))
                    raise ValueError(
                        f"{topic}: nothing came for {PATIENCE_S:g} s: is it published, as {kinds}?"
                    )
    finally:
        executor.shutdown()
        node.destroy_node()
        rclpy.try_shutdown(context=context)


def _event(message: Any, topics: ViewTopics) -> Event:
    stamp = to_ns(message.header.stamp)
    if hasattr(message, "position"):
        return Event(stamp_ns=stamp, q=joints_of(message, topics.names))
    try:
        return Event(stamp_ns=stamp, picture=picture_of(message))
    except ValueError as error:
        raise ValueError(f"{topics.image}: {error}") from error


def joints_of(message: Any, names: Sequence[str]) -> NDArray[np.float64]:
    """Return the positions (n,) of an arm's joints [rad].

    Raises:
        ValueError: one is missing or no number.
    """
    q = joint_field(message, "position", names)
    if not np.isfinite(q).all():
        raise ValueError(f"joint states: expected finite positions, got {q}")
    return q
