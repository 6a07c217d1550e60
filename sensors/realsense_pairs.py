"""Colour and depth of a RealSense camera that belong together, and depth where colour sees it.

librealsense's own `syncer` learns from frames that came which others to expect, and splits pairs
when it learnt the wrong thing; so frames are paired here, by their stamps alone.
"""

# pyrealsense2 has no types.
# pyright: standard

from __future__ import annotations

from typing import Any

_WAIT_MS = 1000
"""Upper bound of what is done at once in this thread."""


class FramePairs:
    """The newest frames of both streams until they are a pair."""

    def __init__(self, sdk: Any, rate_hz: float) -> None:
        """Wait for frames of a rate; two within half a period are a pair."""
        self._sdk, self._apart_ms = sdk, 500.0 / rate_hz
        self._waiting: dict[Any, Any] = {}

    def add(self, frame: Any) -> tuple[Any, Any] | None:
        """Return colour and depth if a frame completes them."""
        self._waiting[frame.get_profile().stream_type()] = frame
        colour = self._waiting.get(self._sdk.stream.color)
        depth = self._waiting.get(self._sdk.stream.depth)
        if colour is None or depth is None:
            return None
        if abs(colour.get_timestamp() - depth.get_timestamp()) > self._apart_ms:
            return None
        self._waiting.clear()
        return colour, depth


class DepthInColour:
    """Moves depth, pixel by pixel, to where the colour camera would see it."""

    def __init__(self, sdk: Any) -> None:
        """Prepare librealsense's blocks."""
        self._align = sdk.align(sdk.stream.color)
        self._pair: list[Any] = []
        self._out = sdk.frame_queue(1, True)
        self._join = sdk.processing_block(self._make_set)
        self._join.start(self._out)

    def _make_set(self, _: Any, source: Any) -> None:
        source.frame_ready(source.allocate_composite_frame(self._pair))

    def align(self, colour: Any, depth: Any) -> Any:
        """Return the frame of depth in the pixels of colour; 0 where nothing was measured."""
        self._pair = [colour, depth]
        self._join.invoke(colour)
        self._pair = []
        pair = self._out.wait_for_frame(_WAIT_MS).as_frameset()
        return self._align.process(pair).get_depth_frame()
