"""What moved and what was seen of it, with stamps and times of receipt: of a raw log, or live."""

# Messages have other types on each backend.
# pyright: standard, reportMissingModuleSource=false

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass
from typing import Any

import numpy as np

from .bag.reader import Log
from .convert import reference_from, to_ns
from .convert_pictures import image_array
from .forces import WRENCH
from .graph import JOINT_STATE
from .log_era import eras
from .pictures import COMPRESSED_IMAGE, IMAGE
from .view_events import joints_of, live_messages, picture_of

STATE = "control_msgs/msg/JointTrajectoryControllerState"
KINDS = (JOINT_STATE, STATE, IMAGE, COMPRESSED_IMAGE, WRENCH)
"""Types of messages that tell of motion."""


@dataclass(frozen=True, kw_only=True)
class MotionTopics:
    """What is listened to."""

    moved: str
    """Topic that says what moved."""
    seen: str
    """Topic that says what was seen of it."""
    names: tuple[str, ...]
    """Joints, in order."""


@dataclass(frozen=True, kw_only=True, eq=False)
class Told:
    """One message."""

    moved: bool
    """Whether it says what moved; else what was seen."""
    stamp_ns: int
    receipt_ns: int
    """When it came, by the clock of the stamps."""
    values: np.ndarray
    """(n,) positions, a picture (rows, cols, 3) uint8, a field (rows, cols, 3) [N], or force and
    torque (6,) [N], [N m]."""
    speeds: np.ndarray | None = None
    """(n,) that a controller is told; None of what is seen."""


def log_motion(log: Log, topics: MotionTopics) -> Iterator[Told]:
    """Yield what a log holds of the topics, in the order of receipt, of its longest run.

    Raises:
        ValueError: a topic is not in the log, or its messages cannot be read; one line.
    """
    runs = eras(log.messages, numbered=log.ours)
    wanted = (topics.moved, topics.seen)
    for topic in wanted:
        if not any(run.of(topic) for run in runs):
            known = sorted({message.topic for message in log.messages})
            raise ValueError(f"{topic} is not in the log. Topics: {', '.join(known) or 'none'}")
    run = max(runs, key=lambda one: sum(len(one.of(topic)) for topic in wanted))
    messages = [message for topic in wanted for message in run.of(topic)]
    for message in sorted(messages, key=lambda one: one.log_ns):
        _check(message.topic, message.type)
        told = run.read(message, message.type)
        for problem in run.problems:
            raise ValueError(problem)
        yield _told(message.topic, told, message.log_ns, topics)


def live_motion(topics: MotionTopics, kinds: tuple[str, str], seconds: float) -> Iterator[Told]:
    """Yield what comes on the topics for a while.

    Args:
        topics: what is listened to.
        kinds: types of messages of what moved and of what was seen.
        seconds: for how long, from the first message of each on.

    Raises:
        ValueError: nothing comes, or what comes cannot be read; one line.
    """
    for topic, kind in zip((topics.moved, topics.seen), kinds, strict=True):
        _check(topic, kind)
    wanted = {
        topics.moved: (kinds[0], 2000),
        topics.seen: (kinds[1], 2000 if kinds[1] == WRENCH else 10),
    }
    missing, end = set(wanted), float("inf")
    with closing(live_messages(wanted)) as messages:
        for topic, message, receipt in messages:
            missing.discard(topic)
            if not missing and end == float("inf"):
                end = time.monotonic() + seconds
            if time.monotonic() > end:
                return
            yield _told(topic, message, receipt, topics)


def _check(topic: str, kind: str) -> None:
    if kind not in KINDS:
        raise ValueError(f"{topic}: expected one of {', '.join(KINDS)}, it is {kind}")


def _told(topic: str, message: Any, receipt_ns: int, topics: MotionTopics) -> Told:
    try:
        values, speeds = _values(message, topics.names)
    except ValueError as error:
        raise ValueError(f"{topic}: {error}") from error
    return Told(
        moved=topic == topics.moved, stamp_ns=to_ns(message.header.stamp), receipt_ns=receipt_ns,
        values=values, speeds=speeds,
    )  # fmt: skip


def _values(message: Any, names: tuple[str, ...]) -> tuple[np.ndarray, np.ndarray | None]:
    if hasattr(message, "reference"):
        return reference_from(message, names)
    if hasattr(message, "position"):
        return joints_of(message, names), None
    if hasattr(message, "wrench"):
        force, torque = message.wrench.force, message.wrench.torque
        return np.array([force.x, force.y, force.z, torque.x, torque.y, torque.z]), None
    if getattr(message, "encoding", "") == "32FC3":
        return image_array(message).copy(), None
    return picture_of(message), None
