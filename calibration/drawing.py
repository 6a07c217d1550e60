"""Pictures of the reports of cameras: corners over the picture, contact sheets, places seen."""

# OpenCV's stubs are incomplete.
# pyright: standard

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise

import cv2
import numpy as np

from sim2arm.core.driver_stage import FloatArray

from .board import Image

WHITE, INK, SOFT, LINE = (255, 255, 255), (30, 30, 30), (120, 120, 120), (220, 220, 220)
BLUE, RED, GREEN, ORANGE = (38, 102, 184), (198, 47, 47), (42, 138, 74), (214, 126, 20)
Colour = tuple[int, int, int]
_FINE = 4
"""Fractions of a pixel that OpenCV draws with: 2^-_FINE."""


def canvas(width: int, height: int) -> Image:
    """Return a white picture (height, width, 3)."""
    return np.full((height, width, 3), 255, dtype=np.uint8)


def text(
    picture: Image, words: str, x: float, y: float, colour: Colour = INK, size: float = 0.45
) -> None:
    """Write words with their lower left corner at a pixel."""
    where = (round(x), round(y))
    cv2.putText(picture, words, where, cv2.FONT_HERSHEY_SIMPLEX, size, colour, 1, cv2.LINE_AA)


def line(
    picture: Image, a: Sequence[float], b: Sequence[float], colour: Colour, thick: int = 1
) -> None:
    """Draw a line between two pixels."""
    cv2.line(picture, _fine(a), _fine(b), colour, thick, cv2.LINE_AA, _FINE)


def dot(
    picture: Image, where: Sequence[float], radius: float, colour: Colour, *, hollow: bool = False
) -> None:
    """Draw a disc or a circle about a pixel."""
    thick = 1 if hollow else -1
    cv2.circle(picture, _fine(where), round(radius * 2**_FINE), colour, thick, cv2.LINE_AA, _FINE)


def _fine(where: Sequence[float]) -> tuple[int, int]:
    x, y = (float(np.clip(v, -1e6, 1e6)) for v in where)
    return round(x * 2**_FINE), round(y * 2**_FINE)


def png(picture: Image) -> bytes:
    """Return a picture (rows, cols, 3) RGB as PNG."""
    done, data = cv2.imencode(".png", cv2.cvtColor(picture, cv2.COLOR_RGB2BGR))
    assert done
    return data.tobytes()


def heat(values: FloatArray, top: float) -> Image:
    """Return values (rows, cols) as colours (rows, cols, 3), 0 dark to `top` bright."""
    level = (255.0 * values / max(top, 1e-12)).clip(0.0, 255.0).astype(np.uint8)
    bgr = cv2.applyColorMap(level, cv2.COLORMAP_VIRIDIS)
    return np.asarray(cv2.cvtColor(bgr, cv2.COLOR_BGR2RGB), dtype=np.uint8)


def map_with_scale(values: FloatArray, size: tuple[int, int], unit: str) -> Image:
    """Return values over the picture, and beside them what the colours mean.

    Args:
        values: (rows, cols) on a grid over the picture.
        size: width and height of the drawing without the scale [pixels].
        unit: of the values.
    """
    width, height = size
    top = float(np.nanmax(values))
    picture = canvas(width + 120, height)
    drawn = heat(values, top)
    picture[:, :width] = cv2.resize(drawn, (width, height), interpolation=cv2.INTER_LINEAR)
    bar = np.linspace(top, 0.0, height - 40)[:, None].repeat(18, axis=1)
    picture[20:-20, width + 14 : width + 32] = heat(bar, top)
    for share in (0.0, 0.5, 1.0):
        y = 20 + (1.0 - share) * (height - 40)
        text(picture, f"{share * top:.2g} {unit}", width + 38, y + 5)
    return picture


def contact_sheet(
    pictures: Sequence[Image], titles: Sequence[str], bad: Sequence[bool], across: int = 3,
    width: int = 300,
) -> Image:  # fmt: skip
    """Return pictures in rows, with titles, framed red where they are bad."""
    cells: list[Image] = []
    for picture, title, wrong in zip(pictures, titles, bad, strict=True):
        height = round(picture.shape[0] * width / picture.shape[1])
        small = cv2.resize(picture, (width, height), interpolation=cv2.INTER_AREA)
        cell = canvas(width + 10, height + 32)
        cell[26 : 26 + height, 5 : 5 + width] = small
        text(cell, title[:44], 5, 18, RED if wrong else INK, 0.4)
        if wrong:
            cv2.rectangle(cell, (4, 25), (width + 5, 26 + height), RED, 2)
        cells.append(cell)
    while len(cells) % across:
        cells.append(canvas(cells[0].shape[1], cells[0].shape[0]))
    rows = [np.concatenate(cells[k : k + across], axis=1) for k in range(0, len(cells), across)]
    return np.concatenate(rows)


def busiest(times: FloatArray, activity: FloatArray, seconds: float) -> float:
    """Return where the part of a recording begins in which most happens [s].

    Args:
        times: (T,) rising [s].
        activity: (T,) how much happens.
        seconds: length of the part.
    """
    starts = np.arange(times[0], max(times[0] + 1e-9, times[-1] - seconds), 0.5)
    sums = [float(activity[(times >= s) & (times < s + seconds)].sum()) for s in starts]
    return float(starts[int(np.argmax(sums))])


class Plan:
    """A drawing to scale of places in space, seen along one axis.

    Attributes:
        picture: what was drawn.
    """

    def __init__(
        self, places: FloatArray, axes: tuple[int, int], names: tuple[str, str], width: int = 440
    ) -> None:
        """Prepare a picture in which all places (N, 3) [m] fit; `axes` go right and up."""
        self._axes = axes
        flat = places[:, list(axes)]
        low, high = flat.min(axis=0), flat.max(axis=0)
        span = float(max((high - low).max(), 0.2)) * 1.25
        self._low = 0.5 * (low + high) - 0.5 * span
        self._scale = width / span
        self._width = width
        self.picture = canvas(width, width)
        step = next(s for s in (0.02, 0.05, 0.1, 0.2, 0.5, 1.0, 2.0, 5.0) if span / s <= 8)
        for axis in (0, 1):
            first = np.ceil(self._low[axis] / step) * step
            for value in np.round(np.arange(first, self._low[axis] + span, step), 6):
                at = (value - self._low[axis]) * self._scale
                at = at if axis == 0 else width - at
                ends = ((at, 0), (at, width)) if axis == 0 else ((0, at), (width, at))
                line(self.picture, *ends, LINE)
                where = (at + 2, width - 4) if axis == 0 else (2, at - 2)
                text(self.picture, f"{value + 0.0:.2g}", *where, SOFT, 0.35)
        text(self.picture, f"{names[0]} to the right, {names[1]} up [m]", 60, 16, SOFT, 0.42)

    def at(self, place: FloatArray) -> tuple[float, float]:
        """Return the pixel of a place (3,) [m]."""
        x, y = (place[list(self._axes)] - self._low) * self._scale
        return float(x), float(self._width - y)

    def path(self, places: FloatArray, colour: Colour, thick: int = 1) -> None:
        """Draw lines through places (N, 3) [m]."""
        for a, b in pairwise(places):
            line(self.picture, self.at(a), self.at(b), colour, thick)

    def frame(self, T: FloatArray, length: float) -> None:
        """Draw the axes of a pose (4, 4): x red, y green, z blue."""
        for k, colour in enumerate((RED, GREEN, BLUE)):
            self.path(np.stack([T[:3, 3], T[:3, 3] + length * T[:3, k]]), colour, 2)

    def say(self, words: str, place: FloatArray, colour: Colour = INK) -> None:
        """Write beside a place (3,) [m]."""
        x, y = self.at(place)
        text(self.picture, words, x + 6, y - 6, colour, 0.42)


def strip(
    times: FloatArray, seen: FloatArray, expected: FloatArray, shown: float, width: int,
    height: int, edge: int,
) -> Image:  # fmt: skip
    """Return what was seen over time (dots) and what was expected (a line), (height, width, 3).

    Args:
        times: (T,), of which `shown` are drawn from 0 on [s].
        seen: (T,).
        expected: (T,).
        shown: how long the strip is [s].
        width: of the picture.
        height: of the picture.
        edge: margin to the left and right.
    """
    picture = canvas(width, height)
    both = np.concatenate([seen, expected])
    low, high = float(both.min()), float(both.max())
    high = max(high, low + 1e-12)

    def places(values: FloatArray) -> list[tuple[float, float]]:
        x = edge + times / shown * (width - 2 * edge)
        y = height - 12 - (values - low) / (high - low) * (height - 24)
        return [(float(a), float(b)) for a, b in zip(x, y, strict=True)]

    for a, b in pairwise(places(expected)):
        line(picture, a, b, ORANGE, 2)
    for place in places(seen):
        dot(picture, place, 1.6, BLUE)
    for second in range(int(shown) + 1):
        x = edge + second / shown * (width - 2 * edge)
        line(picture, (x, height - 6), (x, height - 1), SOFT)
        text(picture, f"{second} s", x + 3, height - 2, SOFT, 0.33)
    for value, y in ((low, height - 8), (high, 16)):
        text(picture, f"{value:.3g}", 2, y, SOFT, 0.36)
    line(picture, (edge, height - 1), (width - edge, height - 1), LINE)
    return picture
