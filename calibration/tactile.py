"""Calibration of a tactile sensor: a ball of known size pressed at many unknown places.

In: pictures of the flat gel and of the presses. Out: a gradient table, and a record with what it
rests on (slopes and parts of the picture that were touched) and how well it predicts presses that
it was not fitted to. A wrong radius of the ball scales all slopes and shows nowhere; gels with
markers are not for this, because their dots move.

Source of the idea: M. K. Johnson and E. H. Adelson, "Retrographic sensing for the measurement of
surface texture and shape", CVPR 2009.
"""

# pyright: standard

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt

from sim2arm.core.calibration_record import utc_now
from sim2arm.core.gradient_table import NODES, FloatArray, GradientTable, node_normals

from .ball_press import Fit, Samples, fit_table, refine_middles, take_samples
from .contact_circle import Circle, NoContact, find_circle
from .press_pictures import LEAST_PRESSES, Image, Presses

METHOD = "ball presses, linear fit of a gradient table (sim2arm)"
ENOUGH = 3
"""Presses that a node of the table should be seen by."""
RINGS = 10
"""Of the length of the normal's components, in which coverage is told."""


@dataclass(frozen=True, kw_only=True)
class BallPressCfg:
    """How presses become a table."""

    ball_radius: float
    """[m]"""
    size: tuple[float, float]
    """Width and height of what the pictures show of the gel [m]."""
    sensor: str = "gel"
    """Name for the table: a kind of sensor, or one with its serial number."""
    licence: str = "Apache-2.0"
    """Under which the table may be passed on."""
    nodes: int = NODES
    """Of the table, along each axis."""
    margin_px: float = 3.0
    """How far inside the edge of a contact pixels are used [pixels]."""
    smoothness: float = 1.0
    """How much neighbouring nodes share."""
    most_samples: int = 1500
    """Pixels that are used of a press."""
    refinements: int = 2
    """How often the middles of contacts are moved to where the table explains them best."""
    folds: int = 5
    """Groups of presses, each predicted by a table of the others."""
    limit: float = 3.0
    """Largest root mean square, over presses, of the mean error of a press [grey levels]."""
    drift_limit: float = 3.0
    """Largest root mean square of what presses change far from their contacts [grey levels]."""

    def __post_init__(self) -> None:
        """Refuse numbers without meaning."""
        for name in ("ball_radius", "smoothness", "limit", "drift_limit"):
            if not 0.0 < getattr(self, name) < math.inf:
                raise ValueError(f"{name}: expected more than 0, got {getattr(self, name)}")
        if not all(0.0 < s < math.inf for s in self.size):
            raise ValueError(f"size: expected width and height above 0 m, got {self.size}")
        if self.nodes < 3 or self.nodes % 2 == 0:
            raise ValueError(f"nodes: expected an odd number, 3 or more, got {self.nodes}")
        if self.margin_px < 0.0 or self.refinements < 0:
            raise ValueError("margin_px, refinements: expected 0 or more")
        if self.folds < 2 or self.most_samples < 10:
            raise ValueError("folds, most_samples: expected 2 and 10 or more")


@dataclass(frozen=True, kw_only=True, eq=False)
class TactileCalibration:
    """A table and everything that its report shows."""

    table: GradientTable
    fit: Fit
    background: npt.NDArray[np.float32]
    names: Sequence[str]
    """Of the P presses that were used."""
    pictures: Sequence[Image]
    """Of those presses."""
    circles: Sequence[Circle]
    """Their contacts."""
    samples: Samples
    """Pixels under the contacts that the table was fitted to."""
    held_out: FloatArray
    """(M, 3) error of each sample, by a table that did not see its press [grey levels]."""
    drift: FloatArray
    """(P,) change of brightness far from the contact [grey levels]."""
    refused: Mapping[str, str] = field(default_factory=dict)
    """Presses that were not used, and why."""

    @property
    def press_errors(self) -> FloatArray:
        """(P,) mean absolute error over pixels and channels [grey levels]."""
        size = np.abs(self.held_out).mean(axis=1)
        total = np.bincount(self.samples.press, size, minlength=len(self.names))
        return total / np.bincount(self.samples.press, minlength=len(self.names))

    @property
    def slope_coverage(self) -> FloatArray:
        """(RINGS,) share of the nodes in a ring of |n| that enough presses touched."""
        length = np.linalg.norm(node_normals(self.table.nodes), axis=-1)
        ring = np.minimum((length * RINGS).astype(int), RINGS)
        seen = self.fit.seen >= ENOUGH
        return np.array([seen[ring == k].mean() for k in range(RINGS)])

    @property
    def picture_coverage(self) -> FloatArray:
        """(3, 3) presses per ninth of the picture, a press counting where its samples lie."""
        x, y = (3.0 * self.samples.place / np.array(self.samples.size)).astype(int).clip(0, 2).T
        found = np.zeros((3, 3))
        share = 1.0 / np.bincount(self.samples.press, minlength=len(self.names))
        np.add.at(found, (y, x), share[self.samples.press])
        return found


def calibrate(presses: Presses, cfg: BallPressCfg) -> TactileCalibration:
    """Return the table that the presses make.

    Raises:
        ValueError: pixels would not be square, or too few pictures show a contact; one line.
    """
    rows, cols = presses.flat[0].shape[:2]
    pixel = (cfg.size[0] / cols, cfg.size[1] / rows)
    if not 0.9 < pixel[0] / pixel[1] < 1.0 / 0.9:
        raise ValueError(
            f"size: {1e3 * cfg.size[0]:g} x {1e3 * cfg.size[1]:g} mm on {cols} x {rows} pixels: "
            f"a pixel would be {1e3 * pixel[0]:.4f} mm wide and {1e3 * pixel[1]:.4f} mm high"
        )
    mean: Any = np.mean(np.stack(presses.flat), axis=0, dtype=np.float64)
    background: npt.NDArray[np.float32] = mean.astype(np.float32)
    circles, refused = _find_circles(presses, background, pixel, cfg)
    if len(circles) < LEAST_PRESSES:
        why = f"; {next(iter(refused))}: {next(iter(refused.values()))}" if refused else ""
        raise ValueError(
            f"expected {LEAST_PRESSES} or more presses with a round contact, got {len(circles)} of "
            f"{len(presses.pressed)}{why}"
        )
    pictures = [presses.pressed[k] for k in circles]
    found = list(circles.values())
    samples = take_samples(
        pictures,
        background,
        found,
        radius=cfg.ball_radius,
        size=cfg.size,
        margin_px=cfg.margin_px,
        most=cfg.most_samples,
        rng=np.random.default_rng(0),
    )
    fit = fit_table(samples, cfg.nodes, cfg.smoothness)
    for _ in range(cfg.refinements):
        samples = refine_middles(samples, fit, most=max(pixel))
        fit = fit_table(samples, cfg.nodes, cfg.smoothness)
    return TactileCalibration(
        table=_table(fit, background, cfg, len(found)),
        fit=fit,
        background=background,
        names=[presses.names[k] for k in circles],
        pictures=pictures,
        circles=found,
        samples=samples,
        held_out=_held_out(samples, cfg),
        drift=np.array(
            [_drift(p, background, c, pixel) for p, c in zip(pictures, found, strict=True)]
        ),
        refused={presses.names[k]: why for k, why in refused.items()},
    )


def _find_circles(
    presses: Presses,
    background: npt.NDArray[np.float32],
    pixel: tuple[float, float],
    cfg: BallPressCfg,
) -> tuple[dict[int, Circle], dict[int, str]]:
    """Return the contacts by number of the press, and why others were refused."""
    circles: dict[int, Circle] = {}
    refused: dict[int, str] = {}
    for k, picture in enumerate(presses.pressed):
        try:
            circle = find_circle(picture, background, pixel)
        except NoContact as error:
            refused[k] = str(error)
            continue
        inner = circle.radius / max(pixel) - cfg.margin_px
        if circle.radius > 0.98 * cfg.ball_radius:
            refused[k] = (
                f"a contact with a radius of {1e3 * circle.radius:.2f} mm is too wide for the ball"
            )
        elif inner < 4.0:
            refused[k] = f"the contact is {inner + cfg.margin_px:.1f} pixels wide: press deeper"
        else:
            circles[k] = circle
    return circles, refused


def _table(
    fit: Fit, background: npt.NDArray[np.float32], cfg: BallPressCfg, count: int
) -> GradientTable:
    return GradientTable(
        coefficients=fit.coefficients.astype(np.float32),
        background=background,
        sensor=cfg.sensor,
        size=cfg.size,
        source=f"{METHOD}, {count} presses of a ball with a radius of {1e3 * cfg.ball_radius:g} mm",
        licence=cfg.licence,
        date=utc_now(),
    )


def _held_out(samples: Samples, cfg: BallPressCfg) -> FloatArray:
    """Return the errors (M, 3) of samples by tables that did not see their presses."""
    off = np.zeros_like(samples.change)
    for fold in range(cfg.folds):
        mine = samples.press % cfg.folds == fold
        if mine.any() and not mine.all():
            other = fit_table(samples.where(~mine), cfg.nodes, cfg.smoothness)
            part = samples.where(mine)
            off[mine] = part.change - other.predict(part)
    return off


def _drift(
    picture: Image,
    background: npt.NDArray[np.float32],
    circle: Circle,
    pixel: tuple[float, float],
) -> float:
    """Return the median change of brightness beyond twice the radius of the contact."""
    rows, cols = picture.shape[:2]
    x, y = (np.arange(cols) + 0.5) * pixel[0], (np.arange(rows) + 0.5) * pixel[1]
    far = np.hypot(x[None] - circle.x, y[:, None] - circle.y) > 2.0 * circle.radius
    if not far.any():
        return 0.0
    return float(np.median(picture[far].mean(axis=-1) - background[far].mean(axis=-1)))
