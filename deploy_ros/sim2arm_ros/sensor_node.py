"""A sensor's pictures and force fields as topics: what a robot has where the simulation draws.

Real drivers and recordings that are replayed publish with the same node, and their arrays have gone
through the driver stage: in graph.yaml they are `staged`, as those of the simulated arm.
"""

from __future__ import annotations

import time
from collections.abc import Mapping
from typing import Any, Protocol

from rclpy.node import Node

from sim2arm.core.driver_stage import Intrinsics
from sim2arm.core.spec import ArraySpec, Reading, StaleReading

from .node_support import STEADY
from .picture_topics import PictureTopics

_LOOKS = 4
"""How often the sensor is asked per picture; the newest is late by at most a part of its period."""
_UNKNOWN_HZ = 60.0


class Sensor(Protocol):
    """What gives the readings."""

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
        sensor: Sensor,
        name: str,
        intrinsics: Mapping[str, Intrinsics] | None = None,
        **of_the_node: Any,
    ) -> None:
        """Open the topics.

        Args:
            sensor: what is published.
            name: of the node.
            intrinsics: of arrays that a camera takes, after the driver stage.
            of_the_node: other arguments of `rclpy.node.Node`.

        Raises:
            ValueError: no image holds one of its arrays.
        """
        super().__init__(name, **of_the_node)
        self._sensor, self._specs = sensor, dict(sensor.spec)
        self._topics = PictureTopics(self, self._specs, intrinsics or {})
        self._sequence: int | None = None
        fastest = max([spec.rate_hz or _UNKNOWN_HZ for spec in self._specs.values()])
        self.create_timer(1.0 / (_LOOKS * fastest), self.on_timer, clock=STEADY)

    def on_timer(self) -> None:
        """Publish the newest reading if it is a new one."""
        try:
            reading = self._sensor.read()
        except StaleReading as error:
            self.get_logger().warning(str(error), throttle_duration_sec=1.0)
            return
        if reading.sequence == self._sequence:
            return
        self._sequence = reading.sequence
        age = time.monotonic_ns() - reading.receipt_ns
        for name, array in reading.arrays.items():
            stamp = reading.stamp_ns
            if self._specs[name].clock == "receipt":  # no offset measured: when it arrived
                stamp = self.get_clock().now().nanoseconds - age
            self._topics.send(name, array, stamp)
