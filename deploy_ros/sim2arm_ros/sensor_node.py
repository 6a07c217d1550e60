"""sensor_node: a sensor's pictures and force fields as topics, where a simulated arm has its own.

Real drivers and recordings that are replayed publish with the same node, raw and compressed, each
picture with the intrinsics of a calibration, if there is one. Their arrays have gone through the
driver stage: in graph.yaml they are `staged`, as those of the simulated arm. On `/diagnostics` it
says each second how the sensor does.

Parameters: `sensor`, a YAML file, see `sensor_file.SensorFile`; `jpeg_quality` and `png_level` of
the compressed topics.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from typing import Any, Protocol

from diagnostic_msgs.msg import DiagnosticArray, DiagnosticStatus
from rclpy.node import Node

from sim2arm.core.driver_stage import Intrinsics
from sim2arm.core.spec import ArraySpec, Reading, StaleReading

from .compress_pictures import Compression, can_compress
from .convert import status_message, to_stamp
from .node_support import STEADY, run_nodes, streaming
from .picture_topics import PictureTopics
from .pictures import camera_of
from .sensor_health import Level, SensorHealth

_LOOKS = 4
"""How often a sensor that does not say when it has news is asked per picture."""
_UNKNOWN_HZ = 60.0
_DIAGNOSTICS_S = 1.0
LEVELS: dict[Level, bytes] = {
    "OK": DiagnosticStatus.OK,
    "WARN": DiagnosticStatus.WARN,
    "ERROR": DiagnosticStatus.ERROR,
    "STALE": DiagnosticStatus.STALE,
}


class Device(Protocol):
    """A sensor, as `sensors.base` has it; live ones have `counters`, `close`, `thread`, too."""

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
        open_sensor: Callable[[SensorNode], tuple[Device, Mapping[str, Intrinsics]]],
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
            ValueError: the sensor is not there, no image holds one of its arrays, or a parameter
                is out of range; one line.
        """
        super().__init__(name, **of_the_node)
        usual = Compression()
        self.declare_parameter("jpeg_quality", usual.jpeg_quality)
        self.declare_parameter("png_level", usual.png_level)
        compression = Compression(
            jpeg_quality=int(self.get_parameter("jpeg_quality").value),
            png_level=int(self.get_parameter("png_level").value),
        )
        self._device, intrinsics = open_sensor(self)
        self._specs, self._calibrated = dict(self._device.spec), frozenset(intrinsics)
        if not can_compress():
            self.get_logger().warning("only raw images: JPEG and PNG need the extra 'vision'")
        self._topics = PictureTopics(
            self, self._specs, intrinsics, compression=compression if can_compress() else None
        )
        self._health = {name: SensorHealth(spec) for name, spec in self._specs.items()}
        self._why = ""
        self._sequence: int | None = None
        for name, spec in self._specs.items():
            if camera_of(spec) is not None and name not in intrinsics:
                self.get_logger().warning(f"{name}: no calibration: camera_info is not published")
        fastest = max([spec.rate_hz or _UNKNOWN_HZ for spec in self._specs.values()])
        self._diagnostics = self.create_publisher(DiagnosticArray, "/diagnostics", streaming(10))
        thread = getattr(self._device, "thread", None)
        if thread is not None:  # a live camera: the timer only says that nothing comes
            thread.on_news = self.create_guard_condition(self.on_timer).trigger
        looks = _LOOKS if thread is None else 1
        self.create_timer(1.0 / (looks * fastest), self.on_timer, clock=STEADY)
        self.create_timer(_DIAGNOSTICS_S, self.on_diagnostics, clock=STEADY)

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
            reading = self._device.read()
        except StaleReading as error:
            self._why = str(error)
            self.get_logger().warning(self._why, throttle_duration_sec=1.0)
            return
        except RuntimeError as error:
            raise ValueError(str(error)) from error
        if reading.sequence == self._sequence:
            return
        self._sequence, self._why = reading.sequence, ""
        age = time.monotonic_ns() - reading.receipt_ns
        for name, array in reading.arrays.items():
            stamp = reading.stamp_ns
            if self._specs[name].clock == "receipt":  # no offset measured: when it arrived
                stamp = self.now_ns() - age
            self._topics.send(name, array, stamp)
            self._health[name].take(stamp, reading.receipt_ns)

    def on_diagnostics(self) -> None:
        """Say how the sensor does, an entry for each of its arrays."""
        now, steady = self.now_ns(), time.monotonic_ns()
        counters = vars(getattr(self._device, "counters", None) or _Uncounted())
        message = DiagnosticArray()
        message.header.stamp = to_stamp(now)
        for name, health in self._health.items():
            found = health.look(now, steady, why=self._why, counters=counters)
            values = {
                **found.values,
                "stamps": getattr(self._device, "stamp_quality", "recorded"),
                "camera_info": "published" if name in self._calibrated else "no calibration",
            }
            label = f"{self.get_name()}: {name}"
            message.status.append(status_message(LEVELS[found.level], label, found.message, values))
        self._diagnostics.publish(message)

    def destroy_node(self) -> None:
        """Let the sensor go too."""
        thread = getattr(self._device, "thread", None)
        if thread is not None:
            thread.on_news = lambda: None  # whoever hears of news is gone
        close = getattr(self._device, "close", None)
        if close is not None:
            close()
        super().destroy_node()


class _Uncounted:
    """Of a recording nobody counts what was lost."""


def open_named(node: SensorNode) -> tuple[Device, Mapping[str, Intrinsics]]:
    """Open what the parameter `sensor` names.

    Raises:
        ValueError: the file is wrong, the sensor is not there, or a library is missing; one line.
    """
    try:
        from .sensor_file import open_file
    except ModuleNotFoundError as error:
        raise ValueError(
            f"a sensor needs {error.name}, which is not installed: pip install 'sim2arm[vision]'"
        ) from error
    return open_file(node)


def main() -> int:
    """Run the node until a signal."""
    return run_nodes(lambda: [SensorNode(open_named)])
