"""bag_node: the messages of a recording once more, as if a robot and its sensors said them now.

MCAP logs of `recorder_node` or of `ros2 bag`. What is played is what the graph binds
(`bag_topics`), never a command. That no gate takes a recording for an arm:

- `/sim2arm/recording` says that one is played here; a gate for real hardware does not become
  active beside it, and faults if one begins. A gate in `dry_run` has no way to a controller.
- Where somebody else publishes one of its topics, it ends with one line, before the first message
  if that is so at the start: a robot may be here.
- `sim2arm ros replay` starts it in a ROS domain of its own.

Parameters: `bag` (folder or file), `graph` (of logs that do not say theirs), `topics` (others that
are played), `rate`, `loop`, `stamps` (now, receipt, recorded), and `hold`: the first moment is
shown until the service `~/play` is called. At the end the node ends.
"""

from __future__ import annotations

import time
from typing import Any, cast, get_args

import rclpy
from diagnostic_msgs.msg import DiagnosticStatus
from rclpy.node import Node
from std_msgs.msg import String
from std_srvs.srv import Trigger

from .bag.playback import Stamps
from .bag.reader import Log
from .bag.scan import LogError
from .bag_player import PlayCfg, Player
from .bag_topics import RECORDING, about_of, choose
from .convert import status_message
from .graph_file import read_graph
from .node_support import STEADY, latched, run_nodes

_STATE_S = 0.25
_LAST_WORDS_S = 0.5
"""Time in which the others take the last messages [s]."""


class BagNode(Node):
    """Plays one recording.

    Attributes:
        player: that does it.
    """

    def __init__(self, **of_the_node: Any) -> None:
        """Open the recording and its topics.

        Raises:
            ValueError: it is none, has nothing to play, or a parameter is wrong; one line.
        """
        super().__init__("bag_node", **of_the_node)
        usual = PlayCfg()
        self.declare_parameter("bag", "")
        self.declare_parameter("graph", "")
        self.declare_parameter("topics", "")
        self.declare_parameter("stamps", usual.stamps)
        self.declare_parameter("rate", usual.rate)
        self.declare_parameter("loop", usual.loop)
        self.declare_parameter("hold", usual.hold)
        cfg, log = self._how(), open_log(self._text("bag"))
        try:
            for problem in log.problems:
                self.get_logger().warning(problem)
            about = about_of(log, read_graph(self._text("graph")))
            more = self._text("topics").replace(",", " ").split()
            chosen = choose(log.messages, about, more)
            self.player = Player(self, log, chosen, cfg, self._announce)
        except BaseException:
            log.close()
            raise
        self._said = self.create_publisher(DiagnosticStatus, "~/state", latched())
        self.create_service(Trigger, "~/play", self.on_play)
        self.create_timer(_STATE_S, self.on_timer, clock=STEADY)
        self.player.start()

    def _announce(self) -> None:
        """Say that what is heard here is a recording."""
        marker = self.create_publisher(String, RECORDING, latched())
        marker.publish(String(data=self._text("bag")))

    def _text(self, name: str) -> str:
        return str(self.get_parameter(name).value)

    def _how(self) -> PlayCfg:
        stamps, known = self._text("stamps"), get_args(Stamps)
        if stamps not in known:
            raise ValueError(f"stamps: expected one of {', '.join(known)}, got {stamps!r}")
        return PlayCfg(
            rate=float(self.get_parameter("rate").value),
            loop=bool(self.get_parameter("loop").value),
            hold=bool(self.get_parameter("hold").value),
            stamps=cast(Stamps, stamps),
        )

    def on_play(self, _: Trigger.Request, response: Trigger.Response) -> Trigger.Response:
        """Go on from the first moment."""
        response.success = self.player.begin()
        response.message = "playing" if response.success else "it plays already"
        return response

    def on_timer(self) -> None:
        """Say how far it is; end the node after the end.

        Raises:
            ValueError: it cannot be played on; one line.
        """
        player = self.player
        values = {
            "phase": player.phase, "sent": player.playback.sent,
            "messages": len(player.playback.messages), "turns": player.playback.turns,
            "topics": len(player.topics),
        }  # fmt: skip
        level = DiagnosticStatus.ERROR if player.error else DiagnosticStatus.OK
        self._said.publish(status_message(level, "recording", player.error, values))
        if player.ended_s and time.monotonic() - player.ended_s > _LAST_WORDS_S:
            if player.error:
                raise ValueError(player.error)
            rclpy.try_shutdown(context=self.context)

    def destroy_node(self) -> None:
        """End the player too."""
        self.player.close()
        super().destroy_node()


def open_log(path: str) -> Log:
    """Return a recording.

    Raises:
        ValueError: it is none, or cannot be read; one line.
    """
    if not path:
        raise ValueError("parameter bag: expected the folder of a recording, got nothing")
    try:
        return Log(path)
    except LogError as error:
        raise ValueError(str(error)) from error
    except OSError as error:
        raise ValueError(f"{path}: cannot be read: {error.strerror or error}") from error


def main() -> int:
    """Play until the end or a signal."""
    return run_nodes(lambda: [BagNode()])
