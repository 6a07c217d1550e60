"""Topics of pictures and force fields: true stamps, intrinsics, and which tick sees which."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from diagnostic_msgs.msg import DiagnosticStatus
from numpy.typing import NDArray
from rclpy.node import Node
from sensor_msgs.msg import CameraInfo, CompressedImage, Image

from sim2arm.core.driver_stage import Intrinsics
from sim2arm.core.spec import ArraySpec

from .compress_pictures import Compression, compressed_message, transport_of
from .convert import status_message
from .convert_pictures import camera_info_message, image_message
from .node_support import streaming
from .pictures import Encoding, own_encoding

_SAME_NS = 1000
"""Stamps that differ by less are one, but for rounding of ages."""


class PictureTopics:
    """What a node publishes of the arrays of cameras and gels, simulated ones or drivers.

    Below `~/<input>`: `image_raw`, if asked for `image_raw/compressed` or, of depth,
    `image_raw/compressedDepth`, and `camera_info` of cameras; images are made for who listens. The
    pictures are what the driver
    stage makes: the simulation draws that, and drivers have run it. In lock step `~/observation`
    says which picture belongs to a tick: the one that the tick sees, whenever it was taken.
    """

    def __init__(
        self,
        node: Node,
        specs: Mapping[str, ArraySpec],
        intrinsics: Mapping[str, Intrinsics],
        *,
        lock_step: bool = False,
        compression: Compression | None = None,
    ) -> None:
        """Open the topics.

        Args:
            node: whose topics they are.
            specs: of the arrays.
            intrinsics: of those that cameras take, after the driver stage.
            lock_step: say which pictures belong to a tick.
            compression: how they are sent compressed too; not at all without it.

        Raises:
            ValueError: no image holds one of the arrays.
        """
        self._specs, self._intrinsics = dict(specs), dict(intrinsics)
        self._encodings: dict[str, Encoding] = {
            name: own_encoding(spec) for name, spec in specs.items()
        }
        newest = streaming(1)  # reliable: whoever asks for less gets less
        self._images: dict[str, Any] = {
            name: node.create_publisher(Image, f"~/{name}/image_raw", newest) for name in specs
        }
        self._small: dict[str, Any] = {}
        self._compression = compression or Compression()
        for name, spec in specs.items():
            transport = transport_of(self._encodings[name], spec.unit)
            if compression is not None and transport is not None:
                topic = f"~/{name}/image_raw/{transport}"
                self._small[name] = node.create_publisher(CompressedImage, topic, newest)
        self._infos: dict[str, Any] = {
            name: node.create_publisher(CameraInfo, f"~/{name}/camera_info", newest)
            for name in intrinsics
        }
        self._observation: Any = None
        if lock_step and specs:
            self._observation = node.create_publisher(
                DiagnosticStatus, "~/observation", streaming(10)
            )
        self._stamps: dict[str, int] = {}

    def publish(
        self, seen: Mapping[str, tuple[NDArray[Any], float]], now_ns: int, *, again: bool
    ) -> None:
        """Publish what a tick of the simulation sees.

        Args:
            seen: newest frames and their ages [s].
            now_ns: time of the tick.
            again: also what was published before, for who did not hear it.
        """
        for name, (frame, age) in seen.items():
            stamp, last = now_ns - round(age * 1e9), self._stamps.get(name)
            if last is not None and abs(stamp - last) < _SAME_NS:
                if not again:
                    continue
                stamp = last
            self.send(name, frame, stamp)
        if self._observation is not None:
            told = {"stamp_ns": now_ns, **self._stamps}
            self._observation.publish(status_message(DiagnosticStatus.OK, "observation", "", told))

    def send(self, name: str, frame: NDArray[Any], stamp_ns: int) -> None:
        """Publish one array (*shape) with the stamp of when it was measured [ns]."""
        self._stamps[name] = stamp_ns
        where, encoding = self._specs[name].frame or "", self._encodings[name]
        if self._images[name].get_subscription_count():
            self._images[name].publish(image_message(frame, encoding, where, stamp_ns))
        if name in self._small and self._small[name].get_subscription_count():
            small = compressed_message(frame, encoding, where, stamp_ns, self._compression)
            self._small[name].publish(small)
        if name in self._infos:
            info = camera_info_message(self._intrinsics[name], where, stamp_ns)
            self._infos[name].publish(info)
