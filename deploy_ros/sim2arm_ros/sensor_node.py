"""sensor_node: a sensor's pictures and force fields as topics, where a simulated arm has its own.

Real drivers and recordings that are replayed publish with the same node. Their arrays have gone
through the driver stage: in graph.yaml they are `staged`, as those of the simulated arm. The
parameter `sensor` names a YAML file, see `sensor_file.SensorFile`.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from typing import Any, Protocol

from rclpy.node import Node

from sim2arm.core.driver_stage import Intrinsics
from sim2arm.core.spec import ArraySpec, Reading, StaleReading

from .node_support import STEADY, run_nodes
from .picture_topics import PictureTopics

_LOOKS = 4
"""How often the sensor is asked per picture; the newest is late by at most a part of its period."""
_UNKNOWN_HZ = 60.0


class Source(Protocol):
    """A sensor, as `sensors.base` has it."""

    @property
    def spec(self) -> Mapping[str, ArraySpec]:
        """Its arrays as the contract lists them."""
        ...

    def read(self) -> Reading:
        """Return the newest reading, possibly the same again.

        Raises:
            StaleReading: it is too old, or nothing came yet.
        """
        ...


class SensorNode(Node):
    """Publishes each new reading of a sensor once, below `~/<input>`.

    A sensor that goes stale falls silent, and the policy that needs it stops by itself.
    """

    def __init__(
        self,
        open_sensor: Callable[[SensorNode], tuple[Source, Mapping[str, Intrinsics]]],
        name: str = "sensor",
        **of_the_node: Any,
    ) -> None:
        """Open the sensor and its topics.

        Args:
            open_sensor: returns it, and the intrinsics of arrays that a camera takes, after the
                driver stage; stamps are by `now_ns` of the node.
            name: of the node.
            of_the_node: other arguments of `rclpy.node.Node`.

        Raises:
            ValueError: the sensor is not there, or no image holds one of its arrays.
        """
        super().__init__(name, **of_the_node)
        self._source, intrinsics = open_sensor(self)
        self._specs = dict(self._source.spec)
        self._topics = PictureTopics(self, self._specs, intrinsics)
        self._sequence: int | None = None
        fastest = max([spec.rate_hz or _UNKNOWN_HZ for spec in self._specs.values()])
        self.create_timer(1.0 / (_LOOKS * fastest), self.on_timer, clock=STEADY)

    def now_ns(self) -> int:
        """Return the ROS time, 0 before a simulated clock has come [ns]."""
        return self.get_clock().now().nanoseconds

    def on_timer(self) -> None:
        """Publish the newest reading if it is a new one.

        Raises:
            ValueError: the sensor will never give what was asked for; it ends the node.
        """
        if self.now_ns() == 0:
            return
        try:
            reading = self._source.read()
        except StaleReading as error:
            self.get_logger().warning(str(error), throttle_duration_sec=1.0)
            return
        except RuntimeError as error:
            raise ValueError(str(error)) from error
        if reading.sequence == self._sequence:
            return
        self._sequence = reading.sequence
        age = time.monotonic_ns() - reading.receipt_ns
        for name, array in reading.arrays.items():
            stamp = reading.stamp_ns
            if self._specs[name].clock == "receipt":  # no offset measured: when it arrived
                stamp = self.now_ns() - age
            self._topics.send(name, array, stamp)

    def destroy_node(self) -> None:
        """Let the sensor go too."""
        close = getattr(self._source, "close", None)
        if close is not None:
            close()
        super().destroy_node()


def main() -> int:
    """Run the node until a signal."""
    from .sensor_file import open_file

    return run_nodes(lambda: [SensorNode(open_file)])
