"""One of the two processes of `bench pictures`: `send` is sensor_node, `hear` what a policy does.

Each prints one JSON object when its standard input ends.
"""

# OpenCV's stubs are incomplete.
# pyright: standard, reportMissingModuleSource=false

from __future__ import annotations

import json
import sys
import threading
import time
from typing import Any

import numpy as np

from sim2arm.core.spec import ArraySpec, Reading
from sim2arm_ros.dds import install

install()

import rclpy  # noqa: E402
from rclpy.executors import SingleThreadedExecutor  # noqa: E402
from rclpy.node import Node  # noqa: E402

from sim2arm_ros.convert import MESSAGES, to_ns  # noqa: E402
from sim2arm_ros.convert_pictures import check_picture, read_picture  # noqa: E402
from sim2arm_ros.graph import InputBinding  # noqa: E402
from sim2arm_ros.node_support import streaming  # noqa: E402
from sim2arm_ros.sensor_node import SensorNode  # noqa: E402

WIDTH, HEIGHT, RATE_HZ = 640, 480, 30.0
_KEPT = 8
RGB = ArraySpec(name="rgb", kind="sensor", shape=(HEIGHT, WIDTH, 3), dtype="uint8", rate_hz=RATE_HZ)
DEPTH = ArraySpec(name="depth", kind="sensor", shape=(HEIGHT, WIDTH), unit="m", rate_hz=RATE_HZ)
SPECS = {spec.name: spec for spec in (RGB, DEPTH)}
_RAW, _SMALL = "sensor_msgs/msg/Image", "sensor_msgs/msg/CompressedImage"
_HEARD: dict[str, tuple[str, str, Any, Any]] = {
    "colour, raw": ("rgb", "image_raw", _RAW, "rgb8"),
    "colour, JPEG": ("rgb", "image_raw/compressed", _SMALL, "rgb8"),
    "depth, raw": ("depth", "image_raw", _RAW, "32FC1"),
    "depth, PNG": ("depth", "image_raw/compressedDepth", _SMALL, "16UC1"),
}
CASES = {
    name: (
        array,
        InputBinding(
            topic=f"/sensor/{array}/{topic}", type=kind, field="image", encoding=encoding,
            reliability="best_effort", depth=1,
        ),
    )
    for name, (array, topic, kind, encoding) in _HEARD.items()
}  # fmt: skip
"""By name: the array, and how a policy hears it."""


class Painter:
    """A camera that makes a picture per period, as large as a real one's when compressed.

    Soft shapes with the noise of a sensor (2 grey levels, 2 mm), which is what fills JPEG and PNG.
    """

    def __init__(self, name: str) -> None:
        self.spec = {name: SPECS[name]}
        self._name, self._start = name, time.monotonic_ns()
        self._number, self._taken = 0, self._start
        self.thread, self.on_news = self, lambda: None
        self._over = threading.Event()
        random = np.random.default_rng(0)
        y, x = np.mgrid[0:HEIGHT, 0:WIDTH]
        lengths = ((0, 31), (1, 47), (2, 83))  # phase, and pixels per radian
        shapes = [np.sin(x / s + k) * np.cos(y / (s + 9)) for k, s in lengths]
        waves = np.stack(shapes, axis=-1)
        self._pictures: list[Any] = []
        for _ in range(_KEPT):
            if name == "rgb":
                noise = random.normal(0.0, 2.0, waves.shape)
                self._pictures.append((128 + 90 * waves + noise).clip(0, 255).astype(np.uint8))
            else:
                noise = random.normal(0.0, 0.002, waves.shape[:2])
                self._pictures.append((0.8 + 0.3 * waves[..., 0] + noise).astype(np.float32))

        threading.Thread(target=self._run, daemon=True).start()

    def _run(self) -> None:
        while not self._over.is_set():
            due = self._start + round(1e9 * (self._number + 1) / RATE_HZ)
            self._over.wait(max(0.0, 1e-9 * (due - time.monotonic_ns())))
            self._number, self._taken = self._number + 1, time.monotonic_ns()
            self.on_news()

    def close(self) -> None:
        self._over.set()

    def read(self) -> Reading:
        taken, number = self._taken, self._number
        stamp = taken + time.time_ns() - time.monotonic_ns()
        array = self._pictures[number % _KEPT]
        return Reading(
            arrays={self._name: array}, sequence=number, stamp_ns=stamp, receipt_ns=taken
        )


def send(case: str) -> dict[str, Any]:
    """Publish until standard input ends."""
    node = SensorNode(lambda _: (Painter(CASES[case][0]), {}))
    seconds, cpu = _spin(node)
    return {"cpu": cpu / seconds}


def hear(case: str) -> dict[str, Any]:
    """Decode every picture that comes, until standard input ends."""
    array, binding = CASES[case]
    heard: list[tuple[int, float, int]] = []

    def on_picture(message: Any) -> None:
        check_picture(message, binding, SPECS[array])
        read_picture(message, binding, SPECS[array])
        stamp = to_ns(message.header.stamp)
        heard.append((stamp, 1e-9 * (time.time_ns() - stamp), len(message.data)))

    node = Node("listener")
    node.create_subscription(
        MESSAGES[binding.type], binding.topic, on_picture, streaming(binding.depth, reliable=False)
    )
    seconds, cpu = _spin(node)
    return {"heard": heard, "cpu": cpu / seconds}


def _spin(node: Node) -> tuple[float, float]:
    """Run a node until standard input ends; return the time and that of the processor [s]."""
    executor, over = SingleThreadedExecutor(), threading.Event()
    executor.add_node(node)
    threading.Thread(target=lambda: (sys.stdin.read(), over.set()), daemon=True).start()
    print("ready", flush=True)
    start, cpu = time.monotonic(), time.process_time()
    while not over.is_set():
        executor.spin_once(timeout_sec=0.1)
    spent = time.monotonic() - start, time.process_time() - cpu
    node.destroy_node()
    rclpy.try_shutdown()
    return spent


if __name__ == "__main__":
    rclpy.init(args=[])
    role, name = sys.argv[1:]
    print(json.dumps({"send": send, "hear": hear}[role](name)), flush=True)
