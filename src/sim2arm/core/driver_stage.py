"""From a camera's picture to the array of the contract: undistort, crop, resize; numbers exact.

One function, `run_stage`, for real cameras and for replay. The simulation draws the result of the
stage directly: `stage_intrinsics` says through which pinhole. A stage has a canonical text with a
version, which is `ArraySpec.driver_stage`, so that the contract alone suffices to repeat it.

Pixels: u to the right, v down, the centre of the first pixel at (0, 0), as in OpenCV and in ROS's
`camera_info`. How many numbers describe the lens says which model it is (`LENS_MODELS`): Brown and
Conrady's with 5 (k1 k2 p1 p2 k3), the same over a denominator with 8 (and k4 k5 k6), of fisheyes by
the angle to the axis with 4 (k1 k2 k3 k4). Sources: D. C. Brown, "Decentering distortion of
lenses", Photogrammetric Engineering 32(3), 1966; J. Kannala and S. S. Brandt, "A generic camera
model and calibration method for conventional, wide-angle, and fish-eye lenses", IEEE PAMI 28(8),
2006.
"""

from __future__ import annotations

import math
import re
from dataclasses import dataclass, replace
from functools import lru_cache
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

STAGE_VERSION = 1
"""Rises whenever the same text would give other numbers."""
FloatArray = NDArray[np.float64]
LENS_MODELS = {0: "plumb_bob", 5: "plumb_bob", 8: "rational_polynomial", 4: "equidistant"}
"""By the number of coefficients, as ROS calls the lens model in `camera_info`."""
_BITS = 10
"""Fractions of a pixel that an undistorted picture is interpolated with: 2^-_BITS."""
_TEXT = re.compile(
    r"driver_stage/(?P<version>\d+) (?P<size>\d+x\d+)(?P<undistort> undistort)? "
    r"crop (?P<crop>\d+,\d+,\d+,\d+) (?P<resample>area|nearest) (?P<out>\d+x\d+)"
)


@dataclass(frozen=True, kw_only=True)
class Intrinsics:
    """A pinhole camera with lens distortion: `u = fx x / z + cx`, `v = fy y / z + cy`."""

    width: int
    """[pixels]"""
    height: int
    """[pixels]"""
    fx: float
    """Focal length along a row [pixels]."""
    fy: float
    """Focal length along a column [pixels]."""
    cx: float
    """Column of the optical axis [pixels], (width - 1) / 2 in the middle."""
    cy: float
    """Row of the optical axis [pixels]."""
    distortion: tuple[float, ...] = ()
    """Coefficients of the lens, none or as many as one of `LENS_MODELS` has."""

    def __post_init__(self) -> None:
        """Refuse numbers that no camera has."""
        if self.width < 1 or self.height < 1 or not (self.fx > 0 and self.fy > 0):
            raise ValueError(f"intrinsics: sizes and focal lengths must be above 0, got {self}")
        if len(self.distortion) not in LENS_MODELS:
            raise ValueError(
                "intrinsics: distortion: expected nothing, 5 (k1 k2 p1 p2 k3), 8 (and k4 k5 k6) or "
                f"4 (fisheye: k1 k2 k3 k4), got {len(self.distortion)} numbers"
            )
        if not all(
            math.isfinite(v) for v in (self.fx, self.fy, self.cx, self.cy, *self.distortion)
        ):
            raise ValueError(f"intrinsics: numbers must be finite, got {self}")

    @property
    def distorts(self) -> bool:
        """Whether the lens bends straight lines."""
        return any(self.distortion) or self.fisheye

    @property
    def fisheye(self) -> bool:
        """Whether the lens model is that of fisheyes, which bends also with zeros."""
        return len(self.distortion) == 4


def intrinsics_of_view(width: int, height: int, horizontal_deg: float) -> Intrinsics:
    """Return square pixels without distortion, axis in the middle, by the horizontal angle [deg].

    Raises:
        ValueError: the angle is not between 0 and 180.
    """
    if not 0.0 < horizontal_deg < 180.0:
        raise ValueError(f"horizontal_deg: expected 0 to 180, got {horizontal_deg}")
    focal = 0.5 * width / math.tan(0.5 * math.radians(horizontal_deg))
    middle = (0.5 * (width - 1), 0.5 * (height - 1))
    return Intrinsics(width=width, height=height, fx=focal, fy=focal, cx=middle[0], cy=middle[1])


@dataclass(frozen=True, kw_only=True)
class DriverStage:
    """What happens to every picture of a camera before anything else sees it."""

    width: int
    """Of the camera's picture [pixels]."""
    height: int
    """Of the camera's picture [pixels]."""
    undistort: bool = False
    """Whether the lens is taken out first (bilinear; black where the camera saw nothing)."""
    crop: tuple[int, int, int, int] = (0, 0, 0, 0)
    """Left, top, width and height of what is kept [pixels]; width 0: everything."""
    resample: Literal["area", "nearest"] = "area"
    """area: mean of what a new pixel covers; nearest: the pixel at its centre, for depth, of which
    a mean across an edge would be a surface that does not exist."""
    out_width: int
    """[pixels]"""
    out_height: int
    """[pixels]"""

    def __post_init__(self) -> None:
        """Refuse a crop outside of the picture and enlargement."""
        left, top, width, height = self.window
        if min(left, top) < 0 or min(width, height, self.out_width, self.out_height) < 1:
            raise ValueError(f"driver stage: sizes must be 1 or more, got {self}")
        if left + width > self.width or top + height > self.height:
            raise ValueError(
                f"driver stage: crop {self.crop} does not lie in {self.width} x {self.height}"
            )
        if self.out_width > width or self.out_height > height:
            raise ValueError(
                f"driver stage: {width} x {height} pixels cannot become {self.out_width} x "
                f"{self.out_height}: it only makes pictures smaller"
            )

    @property
    def window(self) -> tuple[int, int, int, int]:
        """The crop, with the whole picture spelled out."""
        return self.crop if self.crop[2] else (0, 0, self.width, self.height)

    @property
    def text(self) -> str:
        """Canonical name with version and all parameters, for `ArraySpec.driver_stage`."""
        crop = ",".join(map(str, self.window))
        undistort = " undistort" if self.undistort else ""
        return (
            f"driver_stage/{STAGE_VERSION} {self.width}x{self.height}{undistort} crop {crop} "
            f"{self.resample} {self.out_width}x{self.out_height}"
        )


def parse_stage(text: str) -> DriverStage:
    """Return the stage of a canonical text.

    Raises:
        ValueError: it is none, or of another version.
    """
    match = _TEXT.fullmatch(text)
    if match is None:
        raise ValueError(
            f"driver stage {text!r}: expected 'driver_stage/{STAGE_VERSION} 640x480 [undistort] "
            "crop 80,0,480,480 area 84x84'"
        )
    if int(match["version"]) != STAGE_VERSION:
        raise ValueError(
            f"driver stage {text!r}: this program runs version {STAGE_VERSION}: its pictures "
            "would differ from those in training; use the version of sim2arm that trained"
        )
    width, height = map(int, match["size"].split("x"))
    left, top, wide, high = map(int, match["crop"].split(","))
    out_width, out_height = map(int, match["out"].split("x"))
    return DriverStage(
        width=width,
        height=height,
        undistort=match["undistort"] is not None,
        crop=(left, top, wide, high),
        resample="area" if match["resample"] == "area" else "nearest",
        out_width=out_width,
        out_height=out_height,
    )


def run_stage(
    stage: DriverStage, image: NDArray[Any], intrinsics: Intrinsics | None = None
) -> NDArray[Any]:
    """Return a camera's picture as the policy's input.

    Args:
        stage: what to do.
        image: (height, width, channels) uint8, or (height, width) of any type with `nearest`.
        intrinsics: of the camera, needed to undistort.

    Returns:
        (out_height, out_width[, channels]), same type; the same bits on every machine.

    Raises:
        ValueError: another size or type, or intrinsics of another picture.
    """
    if image.shape[:2] != (stage.height, stage.width) or image.ndim not in (2, 3):
        raise ValueError(
            f"driver stage: expected a picture ({stage.height}, {stage.width}[, channels]), got "
            f"{image.shape}: set the camera to that size"
        )
    if stage.resample == "area" and image.dtype != np.uint8:
        raise ValueError(f"driver stage: area takes uint8, got {image.dtype}: use nearest")
    if stage.undistort:
        image = _undistorted(image, _check_camera(stage, intrinsics), stage.resample == "nearest")
    left, top, width, height = stage.window
    image = image[top : top + height, left : left + width]
    if stage.resample == "nearest":
        rows = _centres(height, stage.out_height)
        return image[rows[:, None], _centres(width, stage.out_width)[None]]
    return area_resize(image, stage.out_width, stage.out_height)


def stage_intrinsics(stage: DriverStage, intrinsics: Intrinsics) -> Intrinsics:
    """Return the intrinsics of the pictures that a stage makes of a camera's.

    Raises:
        ValueError: the camera's picture has another size.
    """
    _check_camera(stage, intrinsics)
    left, top, width, height = stage.window
    x, y = stage.out_width / width, stage.out_height / height
    # A pixel's centre lies half a pixel from its edge, and the edges are what scales.
    return replace(
        intrinsics,
        width=stage.out_width,
        height=stage.out_height,
        fx=intrinsics.fx * x,
        fy=intrinsics.fy * y,
        cx=(intrinsics.cx - left + 0.5) * x - 0.5,
        cy=(intrinsics.cy - top + 0.5) * y - 0.5,
        distortion=() if stage.undistort else intrinsics.distortion,
    )


def area_resize(image: NDArray[np.uint8], width: int, height: int) -> NDArray[np.uint8]:
    """Return a smaller picture: each pixel the mean of the area it covers, halves rounded up.

    All sums are whole numbers, so their order does not matter.

    Args:
        image: (h, w) or (h, w, channels) uint8.
        width: of the result, at most w [pixels].
        height: of the result, at most h [pixels].
    """
    h, w = image.shape[:2]
    rows = _sums(image.reshape(h, -1), height).reshape(height, w, -1)
    columns = _sums(np.ascontiguousarray(rows.transpose(1, 0, 2)), width)  # (width, height, c)
    mean = (2 * columns.transpose(1, 0, 2) + h * w) // (2 * h * w)
    return mean.astype(np.uint8).reshape(height, width, *image.shape[2:])


def distort(intrinsics: Intrinsics, points: FloatArray) -> FloatArray:
    """Return where the lens puts points (..., 2) = (x / z, y / z) of the ideal picture."""
    if not intrinsics.distorts:
        return points
    x, y = points[..., 0], points[..., 1]
    r2 = x * x + y * y
    if intrinsics.fisheye:
        r = np.sqrt(r2)
        factor = np.where(r > 1e-9, _bent_angle(intrinsics, np.arctan(r)) / r.clip(1e-9), 1.0)
        return points * factor[..., None]
    k1, k2, p1, p2, k3, *below = intrinsics.distortion
    radial = 1.0 + r2 * (k1 + r2 * (k2 + r2 * k3))
    if below:
        k4, k5, k6 = below
        radial = radial / (1.0 + r2 * (k4 + r2 * (k5 + r2 * k6)))
    return np.stack(
        [
            x * radial + 2.0 * p1 * x * y + p2 * (r2 + 2.0 * x * x),
            y * radial + p1 * (r2 + 2.0 * y * y) + 2.0 * p2 * x * y,
        ],
        axis=-1,
    )


def undistort(intrinsics: Intrinsics, points: FloatArray) -> FloatArray:
    """Return the ideal points (..., 2) that the lens puts at given ones: `distort` inverted.

    Raises:
        ValueError: the lens model folds within these points, so that it has no inverse there, or
            they are those of a fisheye that looks sideways or back.
    """
    if intrinsics.fisheye:
        return _straightened(intrinsics, points)
    found = points.copy()
    for _ in range(100):
        error = distort(intrinsics, found) - points
        if np.abs(error).max() < 1e-12:
            return found
        if np.abs(error).max() > 100.0:
            break
        found -= error
    raise _no_inverse(intrinsics)


def _bent_angle(intrinsics: Intrinsics, angle: FloatArray) -> FloatArray:
    """Return at which distance from the axis a fisheye puts rays by their angle to it [rad]."""
    k1, k2, k3, k4 = intrinsics.distortion
    square = angle * angle
    return angle * (1.0 + square * (k1 + square * (k2 + square * (k3 + square * k4))))


def _straightened(intrinsics: Intrinsics, points: FloatArray) -> FloatArray:
    """Return `undistort` of a fisheye: the angles by Newton's method, then their tangents."""
    k1, k2, k3, k4 = intrinsics.distortion
    far = np.linalg.norm(points, axis=-1)
    angle = far.copy()
    for _ in range(30):
        square = angle * angle
        slope = 1.0 + square * (
            3.0 * k1 + square * (5.0 * k2 + square * (7.0 * k3 + square * 9.0 * k4))
        )
        if not (slope > 0.0).all():
            break
        step = (_bent_angle(intrinsics, angle) - far) / slope
        angle = angle - step
        if np.abs(step).max(initial=0.0) < 1e-13:
            if (angle >= 0.5 * math.pi - 1e-3).any():
                break
            return points * (np.where(far > 1e-9, np.tan(angle) / far.clip(1e-9), 1.0))[..., None]
    raise _no_inverse(intrinsics)


def _no_inverse(intrinsics: Intrinsics) -> ValueError:
    return ValueError(
        f"distortion {intrinsics.distortion} has no inverse over this picture: it was measured on "
        "another one, or the lens needs another model (fisheye)"
    )


def check_intrinsics(stage: DriverStage, intrinsics: Intrinsics | None) -> None:
    """Check that a stage has what it needs, before the first picture.

    Raises:
        ValueError: it undistorts, and the camera's intrinsics are not there or of another picture.
    """
    if stage.undistort or intrinsics is not None:
        _check_camera(stage, intrinsics)


def _check_camera(stage: DriverStage, intrinsics: Intrinsics | None) -> Intrinsics:
    if intrinsics is None:
        raise ValueError("driver stage: undistort needs the intrinsics of the camera")
    if (intrinsics.width, intrinsics.height) != (stage.width, stage.height):
        raise ValueError(
            f"driver stage: expected intrinsics of {stage.width} x {stage.height} pixels, got "
            f"{intrinsics.width} x {intrinsics.height}: calibrate at the size that is used"
        )
    return intrinsics


@lru_cache(maxsize=16)
def overlap(old: int, new: int) -> FloatArray:
    """Return (new, old): how much of each old pixel a new one covers, in 1 / new of an old one."""
    edges = np.arange(new + 1)[:, None] * old
    starts = np.arange(old)[None] * new
    covered = np.minimum(edges[1:], starts + new) - np.maximum(edges[:-1], starts)
    return np.maximum(covered, 0).astype(np.float64)


def _sums(values: NDArray[Any], new: int) -> NDArray[np.int64]:
    """Return (new, ...): of n rows the sums that each of `new` equal parts covers, times `new`."""
    edges = np.arange(new + 1) * values.shape[0]
    whole, rest = edges // new, edges % new  # each edge lies rest / new into row `whole`
    sums = np.empty((new, *values.shape[1:]), dtype=np.int64)
    for part in range(new):  # one sum over rows each is several times as fast as `reduceat`
        rows = values[whole[part] : whole[part + 1]]
        np.sum(rows, axis=0, dtype=np.int64, out=sums[part])
    sums *= new
    share = rest[1:-1].reshape(-1, *[1] * (values.ndim - 1))
    cut = share * values[whole[1:-1]].astype(np.int64)
    sums[:-1] += cut
    sums[1:] -= cut
    return sums


def _centres(old: int, new: int) -> NDArray[np.int64]:
    return ((2 * np.arange(new) + 1) * old) // (2 * new)


def _undistorted(image: NDArray[Any], intrinsics: Intrinsics, nearest: bool) -> NDArray[Any]:
    corners, weights, centre, inside = _sources(intrinsics)
    flat = image.reshape(intrinsics.height * intrinsics.width, -1)
    if nearest:
        taken = flat.take(centre, axis=0)
    else:
        sums = np.full(flat.shape, 1 << (2 * _BITS - 1), dtype=np.uint32)
        for corner, weight in zip(corners, weights, strict=True):
            sums += weight * flat.take(corner, axis=0)
        taken = (sums >> (2 * _BITS)).astype(image.dtype)
    taken[~inside] = 0
    return taken.reshape(image.shape)


@lru_cache(maxsize=4)
def _sources(
    intrinsics: Intrinsics,
) -> tuple[list[NDArray[Any]], list[NDArray[Any]], NDArray[Any], NDArray[np.bool_]]:
    """Return for each pixel of the ideal picture which pixels of the camera's it is made of.

    Returns:
        Four neighbours and their weights (pixels, 1) that sum to 4^_BITS, the nearest pixel, and
        whether it lies in the picture, (pixels,).
    """
    k = intrinsics
    v, u = np.mgrid[0 : k.height, 0 : k.width].astype(np.float64)
    bent = distort(k, np.stack([(u - k.cx) / k.fx, (v - k.cy) / k.fy], axis=-1))
    u, v = (bent[..., 0] * k.fx + k.cx).ravel(), (bent[..., 1] * k.fy + k.cy).ravel()
    inside = (u >= -0.5) & (u <= k.width - 0.5) & (v >= -0.5) & (v <= k.height - 0.5)
    u, v = u.clip(0.0, k.width - 1.0), v.clip(0.0, k.height - 1.0)
    left, top = u.astype(np.int64), v.astype(np.int64)
    right, below = np.minimum(left + 1, k.width - 1), np.minimum(top + 1, k.height - 1)
    one = 1 << _BITS
    x, y = np.rint((u - left) * one), np.rint((v - top) * one)
    corners = [r * k.width + c for r in (top, below) for c in (left, right)]
    weights = [(a * b).astype(np.uint32)[:, None] for a in (one - y, y) for b in (one - x, x)]
    centre = np.rint(v).astype(np.int64) * k.width + np.rint(u).astype(np.int64)
    return corners, weights, centre, inside
