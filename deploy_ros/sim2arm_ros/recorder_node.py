"""recorder_node: writes every message of a run, as it came, to a rosbag2 folder of MCAP files.

Nobody waits for the recorder. Small messages that were lost are asked for again; of pictures, for
which a recorder that hangs could hold up who publishes them, only with the parameter `reliable`.
What is missing is counted on `~/state` and in the log. On a full or broken disk it says so in one
line, ends the log, and stays without recording.

The services `~/start`, `~/keep` and `~/discard` mark episodes; what was said is on `~/episode` and
in the log.
"""

from __future__ import annotations

import json
import os
from functools import partial
from pathlib import Path
from typing import Any

from diagnostic_msgs.msg import DiagnosticStatus
from rclpy.event_handler import SubscriptionEventCallbacks, UnsupportedEventTypeError
from rclpy.node import Node
from rclpy.qos import QoSProfile
from rclpy.serialization import serialize_message
from std_srvs.srv import Trigger

from .bag.description import Topic
from .bag.folder import BagFolder, FolderCfg
from .bag.recording import Recording, RecordingCfg
from .bag.schemas import definition_of
from .convert import status_message
from .log_about import ABOUT, MARKS, STATUS, read_about, recorded_topics
from .node_support import (
    STEADY,
    declare_set_up,
    graph_parameter,
    incompatible,
    latched,
    run_nodes,
    streaming,
)
from .pictures import PICTURES
from .recorder_topics import (
    LATCHED_DEPTH,
    is_stamped,
    message_class,
    offered_qos,
    plain_qos,
    stamp_of,
    with_room,
)

_STATE_PERIOD_S = 1.0
_LOOK_PERIOD_S = 0.25
_MB = 1 << 20


class RecorderNode(Node):
    """Records until it ends."""

    def __init__(self, **of_the_node: Any) -> None:
        """Begin the log and listen.

        Args:
            of_the_node: other arguments of `rclpy.node.Node`.

        Raises:
            ValueError: the folder cannot be written or is not empty, the disk is full, or bundle
                or graph cannot be read; one line.
        """
        super().__init__("recorder_node", **of_the_node)
        self.declare_parameter("folder", "")
        declare_set_up(self)
        self.declare_parameter("task", "")
        self.declare_parameter("topics", "")
        self.declare_parameter("reliable", False)
        self.declare_parameter("chunk_s", 0.25)
        self.declare_parameter("split_mb", 2048)
        self.declare_parameter("queue_mb", 256)
        self.declare_parameter("least_free_mb", 200)
        about = read_about(self._text("bundle"), graph_parameter(self), self._text("task"))
        topics = recorded_topics(about)
        names = {topic.name: self.resolve_topic_name(topic.name) for topic in topics}
        names[MARKS] = self.resolve_topic_name("~/episode")
        texts = about.texts() | {"names": json.dumps(names, sort_keys=True)}
        self.recording = self._begin({ABOUT: texts})
        self._marks = self.create_publisher(DiagnosticStatus, "~/episode", latched())
        self._state_topic = self.create_publisher(DiagnosticStatus, "~/state", latched())
        self._episode, self._running, self._said_error = 0, False, False
        self._heard: dict[str, tuple[Any, QoSProfile]] = {}
        self._wanted = set(self._text("topics").replace(",", " ").split())
        self._add_topic(names[MARKS], STATUS, latched())
        self._reliable = bool(self.get_parameter("reliable").value)
        for topic in topics:
            picture = topic.type in PICTURES
            qos = streaming(topic.depth, reliable=topic.reliable or (picture and self._reliable))
            self._try(
                names[topic.name], topic.type, latched(LATCHED_DEPTH) if topic.latched else qos
            )
        for event in ("start", "keep", "discard"):
            self.create_service(Trigger, f"~/{event}", partial(self.on_mark, event))
        self.create_timer(_STATE_PERIOD_S, self.on_timer, clock=STEADY)
        self.create_timer(_LOOK_PERIOD_S, self.look, clock=STEADY)
        self.get_logger().info(f"recording to {self._text('folder')}")

    def _text(self, name: str) -> str:
        return str(self.get_parameter(name).value)

    def _number(self, name: str) -> float:
        value = float(self.get_parameter(name).value)
        if not 0 <= value < 1e6:
            raise ValueError(f"parameter {name}: expected 0 or more, got {value}")
        return value

    def _begin(self, about: dict[str, dict[str, str]]) -> Recording:
        folder = self._text("folder")
        if not folder:
            raise ValueError("parameter folder: expected the folder of the log, got nothing")
        cfg = FolderCfg(
            split_bytes=max(1, int(self._number("split_mb") * _MB)),
            least_free_bytes=int(self._number("least_free_mb") * _MB),
        )
        waiting = RecordingCfg(
            queue_bytes=int(self._number("queue_mb") * _MB), chunk_s=self._number("chunk_s")
        )
        try:
            return Recording(BagFolder(Path(folder), about, cfg), waiting)
        except OSError as error:
            raise ValueError(f"{folder}: cannot be written: {error.strerror or error}") from error

    # -- topics --------------------------------------------------------------------------------

    def _add_topic(self, name: str, kind: str, qos: QoSProfile) -> None:
        text, type_hash = definition_of(kind)
        self.recording.add_topic(
            Topic(name=name, type=kind, definition=text, type_hash=type_hash, qos=[plain_qos(qos)])
        )

    def listen(self, name: str, kind: str, qos: QoSProfile) -> None:
        """Record a topic of a type `package/msg/Name`.

        Raises:
            ValueError: there is no such type here.
        """
        message = message_class(kind)
        self._add_topic(name, kind, qos)
        call = partial(self.on_message, name, is_stamped(message))
        lost = SubscriptionEventCallbacks(message_lost=partial(self.on_lost, name))
        try:
            opened = self.create_subscription(
                message, name, call, qos, raw=True, event_callbacks=lost
            )
        except UnsupportedEventTypeError:  # this middleware does not tell what it loses
            opened = self.create_subscription(message, name, call, qos, raw=True)
        self._heard[name] = (opened, qos)

    def look(self) -> None:
        """Listen to further topics once somebody publishes them, with what they offer."""
        for name in sorted(self._wanted):
            peers = self.get_publishers_info_by_topic(name)
            if not peers:
                continue
            self._wanted.discard(name)
            if self.resolve_topic_name(name) in self._heard:
                continue
            reliable = self._reliable or peers[0].topic_type not in PICTURES
            qos = offered_qos([peer.qos_profile for peer in peers], reliable=reliable)
            self._try(self.resolve_topic_name(name), peers[0].topic_type, qos)

    def _try(self, name: str, kind: str, qos: QoSProfile) -> None:
        try:
            self.listen(name, kind, qos)
        except ValueError as error:
            self.get_logger().error(f"{name} is not recorded: {error}")

    def on_message(self, name: str, stamped: bool, data: bytes) -> None:
        """Take the bytes of a message."""
        now = self.get_clock().now().nanoseconds
        made = stamp_of(data) if stamped else 0
        self.recording.put(name, now, made or now, data)

    def on_lost(self, name: str, info: Any) -> None:
        """Note what the middleware says that it lost."""
        count, now = int(info.total_count_change), self.get_clock().now().nanoseconds
        self.recording.lose(name, count, now)

    # -- episodes ------------------------------------------------------------------------------

    def on_mark(
        self, event: str, _: Trigger.Request, response: Trigger.Response
    ) -> Trigger.Response:
        """Mark the start or the end of an episode."""
        problem = self._problem(event)
        if problem is None:
            self._episode += int(event == "start")
            self._running = event == "start"
            values = {"event": event, "number": self._episode, "task": self._text("task")}
            message = status_message(DiagnosticStatus.OK, "episode", event, values)
            now = self.get_clock().now().nanoseconds
            self.recording.put(
                self._marks.topic_name, now, now, bytes(serialize_message(message)), urgent=True
            )
            self._marks.publish(message)
        response.success = problem is None
        response.message = problem or f"episode {self._episode}: {event}"
        return response

    def _problem(self, event: str) -> str | None:
        error = self.recording.state().error
        if error:
            return f"nothing is recorded: {error}"
        if event == "start" and self._running:
            return f"episode {self._episode} runs: keep or discard it first"
        if event != "start" and not self._running:
            return "no episode runs: start one first"
        return None

    # -- state ---------------------------------------------------------------------------------

    def on_timer(self) -> None:
        """Say how the recording stands; end it after an error."""
        state, mismatches = self.recording.state(), self._mismatches()
        level = DiagnosticStatus.OK
        words = state.error or "; ".join(mismatches)
        if state.error:
            level = DiagnosticStatus.ERROR
            self._stop(state.error)
        elif state.dropped or state.lost or mismatches:
            level = DiagnosticStatus.WARN
        values = {"episode": self._episode, "running": self._running} | vars(state)
        self._state_topic.publish(status_message(level, "recorder", words, values))

    def _mismatches(self) -> list[str]:
        """Return a line per publisher that the recorder does not hear because of its QoS."""
        return [
            f"{name} from {peer.node_name}: {reason}"
            for name, (_, qos) in self._heard.items()
            for peer in self.get_publishers_info_by_topic(name)
            if (reason := incompatible(peer.qos_profile, qos))
        ]

    def _stop(self, error: str) -> None:
        """Listen no more, but stay: the others go on, and who looks is told why."""
        if not self._said_error:
            self._said_error = True
            self.get_logger().error(f"recording has ended: {error}; what came before is kept")
        for subscription, _ in self._heard.values():
            self.destroy_subscription(subscription)
        self._heard.clear()
        self._wanted.clear()

    def destroy_node(self) -> None:
        """End the log too."""
        self.recording.close()
        super().destroy_node()


def main() -> int:
    """Run the node until a signal."""
    os.environ["CYCLONEDDS_URI"] = with_room(os.environ.get("CYCLONEDDS_URI", ""))
    return run_nodes(lambda: [RecorderNode()])
