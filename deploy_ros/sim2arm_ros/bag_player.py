"""Plays the messages of a recording through the publishers of a node, in a thread of its own."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from rclpy.node import Node
from rosgraph_msgs.msg import Clock

from .bag.playback import HeldStart, Playback, Stamps, new_stamp, restamped
from .bag.reader import Log, LogMessage
from .bag.scan import LogError
from .convert import to_stamp
from .node_support import latched, streaming
from .recorder_topics import is_stamped, message_class, stamp_of

_DISCOVERY_S = 1.0
"""Time in which the others of the domain become known, before the first message [s]."""
_LOOK_NS = 250_000_000
"""How often it looks who else publishes [ns]."""
_CLOCK_NS = 5_000_000
"""Longest step of `/clock` where stamps are recorded [ns]."""


@dataclass(frozen=True, kw_only=True)
class PlayCfg:
    """How a recording is played."""

    rate: float = 1.0
    """2 plays twice as fast."""
    loop: bool = False
    """Begin again after the end."""
    hold: bool = False
    """Show the first moment until `begin`."""
    stamps: Stamps = "now"
    """Of the messages."""

    def __post_init__(self) -> None:
        """Refuse what does not go together."""
        if self.stamps == "recorded" and (self.loop or self.hold):
            raise ValueError("stamps recorded: time neither stands nor goes back: no loop, no hold")


class Player:
    """One recording.

    Attributes:
        playback: what is due when.
        topics: types of what is played, by name.
        error: why it ended early, empty if it did not.
        ended_s: when it ended, by the steady clock [s]; 0 before.
    """

    def __init__(
        self,
        node: Node,
        log: Log,
        topics: Mapping[str, str],
        cfg: PlayCfg,
        announce: Callable[[], None],
    ) -> None:
        """Open the publishers.

        Args:
            node: whose they are; its clock says what now is.
            log: the recording, open as long as this is.
            topics: what is played.
            cfg: how.
            announce: says that a recording is played, once it is known that no robot is here.

        Raises:
            ValueError: a type is not installed, or stamps mean nothing; one line.
        """
        self.topics, self._cfg, self._node, self._log = topics, cfg, node, log
        self._announce = announce
        played = [message for message in log.messages if message.topic in topics]
        self.playback = Playback(played, rate=cfg.rate, loop=cfg.loop)
        classes = {name: message_class(kind) for name, kind in topics.items()}
        self._stamped = {name: is_stamped(kind) for name, kind in classes.items()}
        self._check_stamps()
        self._publishers: dict[str, Any] = {
            name: node.create_publisher(
                kind, name, latched() if name in log.kept else streaming(10)
            )
            for name, kind in classes.items()
        }
        self._clock: Any = None
        if cfg.stamps == "recorded":
            self._clock = node.create_publisher(Clock, "/clock", streaming(10))
        self._begin, self._stop = threading.Event(), threading.Event()
        if not cfg.hold:
            self._begin.set()
        self.error, self.ended_s = "", 0.0
        self._thread = threading.Thread(target=self._run, name="player", daemon=True)

    def start(self) -> None:
        """Start the thread."""
        self._thread.start()

    def begin(self) -> bool:
        """Go on from the first moment; return whether it was held."""
        held = not self._begin.is_set()
        self._begin.set()
        return held

    @property
    def phase(self) -> str:
        """HELD, PLAYING or ENDED."""
        if self.ended_s:
            return "ENDED"
        return "PLAYING" if self._begin.is_set() else "HELD"

    def close(self) -> None:
        """End the thread and close the log."""
        self._stop.set()
        self._begin.set()
        if self._thread.is_alive():
            self._thread.join(2.0)
        self._log.close()

    # -- messages ------------------------------------------------------------------------------

    def _check_stamps(self) -> None:
        """See with the first message of each topic that its stamp means something."""
        seen = set[str]()
        for message in self.playback.messages:
            if message.topic not in seen:
                seen.add(message.topic)
                try:
                    self._bytes(message, 10**18)
                except ValueError as error:
                    raise ValueError(f"{message.topic}: {error}") from error

    def _bytes(self, message: LogMessage, now_ns: int) -> bytes:
        """Return what is sent of a message at a ROS time."""
        data = message.data
        # A stamp of 0 says nothing, as in robot descriptions; it stays.
        stamp = stamp_of(data) if self._stamped[message.topic] else 0
        moved = new_stamp(message.log_ns, stamp, now_ns, self._cfg.stamps, self._cfg.rate)
        return data if moved is None else restamped(data, moved)

    def _send(self, message: LogMessage) -> None:
        now = self._node.get_clock().now().nanoseconds
        self._publishers[message.topic].publish(self._bytes(message, now))

    def _check_alone(self) -> None:
        """See that nobody else says what the recording says.

        Raises:
            ValueError: somebody does; a robot may be in this domain.
        """
        mine = (self._node.get_name(), self._node.get_namespace())
        for name in self.topics:
            for peer in self._node.get_publishers_info_by_topic(name):
                if (peer.node_name, peer.node_namespace) != mine:
                    raise ValueError(
                        f"{peer.node_name} publishes {name}, too: a robot or a simulation may be "
                        "in this ROS domain; play the recording in another (ROS_DOMAIN_ID)"
                    )

    # -- the thread ----------------------------------------------------------------------------

    def _run(self) -> None:
        try:
            self._stop.wait(_DISCOVERY_S)
            self._check_alone()
            self._announce()
            self._play(self._hold())
        except (LogError, ValueError) as error:
            self.error = str(error)
        except Exception as error:  # a fault of ours: the node ends with it
            self.error = f"{type(error).__name__}: {error}"
        self.ended_s = time.monotonic()

    def _hold(self) -> int | None:
        """Show the first moment until `begin`; return where it lies in the log, none without."""
        if not self._cfg.hold:
            return None
        held = HeldStart(self.playback.messages, time.monotonic_ns(), self._cfg.rate)
        watch = _Seldom(self._check_alone)
        while not (self._begin.is_set() or self._stop.is_set()):
            watch()
            while (message := held.take(time.monotonic_ns())) is not None:
                self._send(message)
            self._begin.wait(max(0.0, 1e-9 * (held.next_ns - time.monotonic_ns())))
        return held.begin_ns

    def _play(self, begin_ns: int | None) -> None:
        since = time.monotonic_ns()
        at, watch = self.playback.messages[0].log_ns, _Seldom(self._check_alone)
        self.playback.start(since, begin_ns)
        while not self._stop.is_set():
            watch()
            now, due = time.monotonic_ns(), self.playback.next_ns
            if due is None:
                return
            if due <= now:
                message = self.playback.take(now)
                assert message is not None
                self._tell_time(message.log_ns)
                self._send(message)
                at, since = message.log_ns, now
                continue
            wait = due - now
            if self._clock is not None:
                self._tell_time(at + round((now - since) * self._cfg.rate))
                wait = min(wait, _CLOCK_NS)
            self._stop.wait(1e-9 * wait)

    def _tell_time(self, log_ns: int) -> None:
        if self._clock is not None:
            self._clock.publish(Clock(clock=to_stamp(log_ns)))


class _Seldom:
    """Calls something, but not more often than every quarter of a second."""

    def __init__(self, call: Callable[[], None]) -> None:
        self._call, self._at = call, 0

    def __call__(self) -> None:
        now = time.monotonic_ns()
        if now - self._at > _LOOK_NS:
            self._at = now
            self._call()
