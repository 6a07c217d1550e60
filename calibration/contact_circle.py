"""Where a ball touches a gel: circles in the difference between a picture and the flat gel.

Under the ball the skin's slope grows from the middle of the contact to its edge and falls there, so
the difference of colours does the same. The edge is looked for along rays from the middle, where
the difference falls fastest, and a circle is fitted to the points, robustly.
"""

# OpenCV's stubs are incomplete.
# pyright: standard

from __future__ import annotations

import math
from dataclasses import dataclass

import cv2
import numpy as np
import numpy.typing as npt

FloatArray = npt.NDArray[np.float64]
RAYS = 90
ROUNDS = 4
"""How often rays start from a better middle."""
STEP = 0.25
"""Between samples of a ray [pixels]."""


@dataclass(frozen=True, kw_only=True)
class Circle:
    """A contact, in metres from the upper left corner of the picture."""

    x: float
    """Of its middle, to the right [m]."""
    y: float
    """Of its middle, down [m]."""
    radius: float
    """[m]"""
    scatter_px: float
    """Root mean square distance of the edge points from the circle [pixels]."""
    share: float
    """Of the rays that reach the circle inside the picture, those whose edge lies on it."""


class NoContact(ValueError):  # noqa: N818 - what the picture shows, caught by the calibration
    """A picture shows no round contact; the message says what it shows."""


def difference(
    picture: npt.NDArray[np.uint8], background: npt.NDArray[np.float32]
) -> npt.NDArray[np.float32]:
    """Return how far each pixel's colour lies from the background (rows, cols) [grey levels]."""
    apart = picture.astype(np.float32) - background
    length = np.sqrt(np.sum(apart * apart, axis=-1))
    return cv2.GaussianBlur(length, (0, 0), 1.0)


def find_circle(
    picture: npt.NDArray[np.uint8],
    background: npt.NDArray[np.float32],
    pixel: tuple[float, float],
    *,
    least: float = 8.0,
) -> Circle:
    """Return the contact of a ball.

    Args:
        picture: (rows, cols, 3).
        background: (rows, cols, 3) of the flat gel.
        pixel: width and height of a pixel on the gel [m].
        least: smallest difference that counts as a touch [grey levels].

    Raises:
        NoContact: nothing touches, or what touches is not round; one line.
    """
    apart = difference(picture, background)
    x, y, radius = _blob(apart, pixel, least)
    points = inliers = np.zeros((0, 2))
    scatter, unit = 0.0, 0.5 * (pixel[0] + pixel[1])
    for _ in range(ROUNDS):
        points = _edge_points(apart, pixel, x, y, radius)
        if len(points) < RAYS // 3:
            raise NoContact(f"only {len(points)} of {RAYS} rays end at an edge")
        x, y, radius, inliers, scatter = _fit(points, unit)
    around = np.array([x, y]) + radius * _directions()
    inside = np.all((around > 0.0) & (around < np.array(apart.shape[::-1]) * pixel), axis=-1)
    share = len(inliers) / max(int(inside.sum()), 1)
    if inside.sum() < RAYS // 3:
        raise NoContact("most of the contact lies outside of the picture")
    if scatter > 1.5 * unit or share < 0.7:
        raise NoContact(
            f"the contact is not round: {100 * share:.0f} % of its edge lies within two pixels of "
            "a circle"
        )
    return Circle(x=x, y=y, radius=radius, scatter_px=scatter / unit, share=share)


def _directions() -> FloatArray:
    """Return the directions of the rays (RAYS, 2)."""
    angle = np.arange(RAYS) * 2.0 * np.pi / RAYS
    return np.stack([np.cos(angle), np.sin(angle)], axis=-1)


def _blob(
    apart: npt.NDArray[np.float32], pixel: tuple[float, float], least: float
) -> tuple[float, float, float]:
    """Return middle and radius [m] of the largest region that differs."""
    rest = float(np.median(apart))
    top = float(np.quantile(apart, 0.999))
    if top - rest < least:
        raise NoContact(
            f"nothing touches the gel: the picture differs from the background by {top:.1f} "
            f"grey levels, everywhere by {rest:.1f}"
        )
    mask = (apart > rest + 0.35 * (top - rest)).astype(np.uint8)
    mask = cv2.morphologyEx(mask, cv2.MORPH_CLOSE, np.ones((5, 5), np.uint8))
    outlines, _ = cv2.findContours(mask, cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_NONE)
    hull = cv2.convexHull(max(outlines, key=lambda line: cv2.contourArea(cv2.convexHull(line))))
    area = cv2.contourArea(hull)
    if area < 40.0:
        raise NoContact(f"what touches the gel is {area:.0f} pixels small")
    moments = cv2.moments(hull)
    column, row = moments["m10"] / moments["m00"], moments["m01"] / moments["m00"]
    radius = math.sqrt(area * pixel[0] * pixel[1] / math.pi)
    return (column + 0.5) * pixel[0], (row + 0.5) * pixel[1], radius


def _edge_points(
    apart: npt.NDArray[np.float32], pixel: tuple[float, float], x: float, y: float, radius: float
) -> FloatArray:
    """Return points (M, 2) [m] where the difference falls fastest along rays from the middle."""
    step = STEP * min(pixel)
    r = np.arange(0.55 * radius, 1.5 * radius, step)
    along = _directions()
    points = np.array([x, y]) + r[None, :, None] * along[:, None]  # (rays, r, 2)
    column = (points[..., 0] / pixel[0] - 0.5).astype(np.float32)
    row = (points[..., 1] / pixel[1] - 0.5).astype(np.float32)
    found = cv2.remap(apart, column, row, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)
    found = cv2.GaussianBlur(found, (0, 0), sigmaX=0.75 / STEP, sigmaY=1e-3)
    fall = -np.gradient(found.astype(np.float64), step, axis=1)
    rows, cols = apart.shape
    outside = (column < 0) | (row < 0) | (column > cols - 1) | (row > rows - 1)
    fall[outside] = 0.0
    fall[:, [0, -1]] = 0.0
    best = fall.argmax(axis=1)
    ray = np.arange(RAYS)
    depth = fall[ray, best]
    good = depth > 0.3 * np.median(depth[depth > 0]) if (depth > 0).any() else depth > 0
    ray, best = ray[good], best[good]
    before, here, after = (fall[ray, best + k] for k in (-1, 0, 1))
    bend = before - 2.0 * here + after
    shift = np.where(bend < 0, 0.5 * (before - after) / np.where(bend < 0, bend, -1.0), 0.0)
    return np.array([x, y]) + (r[best] + shift * step)[:, None] * along[ray]


def _fit(points: FloatArray, unit: float) -> tuple[float, float, float, FloatArray, float]:
    """Return middle, radius, points on the circle and their scatter [m].

    Iteratively reweighted (Cauchy) least squares of distances, from Kasa's algebraic circle.
    """
    mean = points.mean(axis=0)
    p = points - mean
    a = np.column_stack([p, np.ones(len(p))])
    u, v, w = np.linalg.lstsq(a, np.sum(p * p, axis=1), rcond=None)[0]
    circle = np.array([0.5 * u, 0.5 * v, math.sqrt(max(w + 0.25 * (u * u + v * v), 0.0))])
    off = np.zeros(len(p))
    for _ in range(20):
        away = p - circle[:2]
        length = np.maximum(np.linalg.norm(away, axis=1), 1e-12)
        off = length - circle[2]
        weight = 1.0 / (1.0 + (off / (0.7 * unit)) ** 2)
        jacobian = np.column_stack([-away / length[:, None], -np.ones(len(p))])
        normal = jacobian.T @ (weight[:, None] * jacobian)
        circle = circle - np.linalg.solve(normal + 1e-9 * np.eye(3), jacobian.T @ (weight * off))
    on = np.abs(off) < 2.0 * unit
    scatter = float(np.sqrt(np.mean(off[on] ** 2))) if on.any() else math.inf
    middle = circle[:2] + mean
    return float(middle[0]), float(middle[1]), float(circle[2]), points[on], scatter
