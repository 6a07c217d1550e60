"""How a gel resists, from presses against something of known shape and slides along it.

The law is that of the simulation's gels (`sim.tactile.field.GelLaw`): pressure grows with depth and
with its speed, k d + c d', at each place by itself, and drag is at most friction times pressure. So
a flat stamp of area A that is d deep is pressed back by A (k d + c d'), and a ball of radius R by k
times the volume that lies below the surface, a cap of pi d^2 (R - d / 3). A search over places of
one surface for all presses gives a start; from there Gauss-Newton steps find all numbers, a surface
for each press, and how slides are tilted against it.
Numbers that a few presses alone would change are not known that well: intervals come from leaving
out each press in turn (jackknife; Efron and Tibshirani, An Introduction to the Bootstrap, 1993,
chapter 11).
"""

# SciPy's stubs are incomplete.
# pyright: standard

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import gaussian_filter1d
from scipy.stats import t as student

from sim2arm.core.driver_stage import FloatArray

METHOD = "Winkler law of presses and slides, robust least squares, jackknife over presses"
_ROUNDS = 12  # of weights; they have settled long before
_NEAR = 2e-4  # farthest that a surface moves in a round [m]
_HUBER, _TUKEY = 1.345, 4.685  # usual widths in robust standard deviations
_GRID = 61  # places of the surface that are tried to begin with
_DEEPEST = 0.01  # no gel is pressed deeper [m]
_SLIDES = 1e-3  # a way along the surface that is none [m]
_TILT = 0.1  # greatest slope of a slide [rad]
_ACROSS = 0.2  # greatest share of the drag across a slide
_FLOOR = 0.002  # what smoothing and the noise of depths change in all presses alike
_APART_S = 0.1  # contacts closer than this are one press


@dataclass(frozen=True, kw_only=True)
class Indenter:
    """What is pressed: a flat stamp or a ball."""

    area: float = 0.0
    """Of a flat stamp that lies in the gel as a whole [m^2]; 0 for a ball."""
    radius: float = 0.0
    """Of a ball [m]; 0 for a stamp."""

    def __post_init__(self) -> None:
        """Refuse what is neither."""
        if (self.area > 0) == (self.radius > 0) or self.area < 0 or self.radius < 0:
            raise ValueError("expected the area of a flat stamp or the radius of a ball")

    def shape(self, depth: FloatArray) -> tuple[FloatArray, FloatArray]:
        """Return the volume below the surface [m^3] and the area there [m^2] at depths (T,) [m]."""
        d = np.maximum(depth, 0.0)
        if self.area > 0:
            return self.area * d, np.where(d > 0, self.area, 0.0)
        d = np.minimum(d, self.radius)
        return np.pi * d * d * (self.radius - d / 3.0), np.pi * d * (2.0 * self.radius - d)


@dataclass(frozen=True, kw_only=True, eq=False)
class Pressing:
    """A recording, T rows in time."""

    times: FloatArray
    """(T,) [s]."""
    depth: FloatArray
    """(T,) way into the gel along its normal, from anywhere [m]."""
    force: FloatArray
    """(T,) that the gel is pressed with [N], up to a constant."""
    slide: FloatArray
    """(T, 2) place along the surface [m]."""
    drag: FloatArray
    """(T, 2) force along the surface on what slides [N], up to a constant."""


@dataclass(frozen=True, kw_only=True)
class GelPressCfg:
    """What counts, and what is accepted."""

    smooth_s: float = 0.01
    """Over which positions are smoothed before they become speeds [s]."""
    least_presses: int = 6
    """Fewer presses are refused."""
    slip_speed: float = 0.002
    """Slower than this nothing counts as sliding [m/s]."""
    run_in: float = 0.004
    """Way after the start of a slide that is left out: the gel only bends at first [m]."""
    least_explained: float = 0.7
    """Share of the force's variance; below it the recording is refused."""
    limit: float = 0.1
    """Greatest half of an interval, as a share, with which it is accepted."""


@dataclass(frozen=True, kw_only=True)
class Told:
    """A number and the half of its 95 % interval."""

    value: float
    half: float

    @property
    def sigma(self) -> float:
        """One standard deviation."""
        return self.half / 1.96


@dataclass(frozen=True, kw_only=True, eq=False)
class GelFound:
    """What presses told of a gel."""

    stiffness: Told
    """Pressure per depth [N/m^3]."""
    damping: Told
    """Pressure per speed of depth [N s/m^3]."""
    friction: Told | None
    """Of Coulomb; None where nothing slid."""
    surfaces: FloatArray
    """(P,) where the indenter meets the gel in each press, as depths of the recording [m]."""
    groups: NDArray[np.int64]
    """(T,) to which press a row belongs."""
    bias: float
    """Constant of the force [N]."""
    slides: int
    """Presses with a slide that counts."""
    held_out: float
    """Root mean square error of the force in the last quarter of the presses, of numbers that the
    others told [N]."""
    deep: FloatArray
    """(T,) how deep the indenter lies [m], below 0 away from the gel."""
    explained: float
    """Share of the force's variance that depth and its speed explain, of rows that fit."""
    expected: FloatArray
    """(T,) force that the numbers explain [N], with the constant of the recording."""
    wrong: NDArray[np.bool_]
    """(T,) rows that do not fit the others."""

    @property
    def presses(self) -> int:
        """How many there are."""
        return len(self.surfaces)

    @property
    def deepest(self) -> float:
        """Greatest depth [m]."""
        return float(self.deep.max())

    @property
    def strongest(self) -> float:
        """Greatest force that the numbers explain [N]."""
        return float((self.expected - self.bias).max())


@dataclass(frozen=True)
class _Fit:
    surfaces: FloatArray  # (P,) of each press
    k: float
    c: float
    bias: float
    tilt: FloatArray  # (2,) depth per way along the surface


def find_gel(press: Pressing, indenter: Indenter, cfg: GelPressCfg | None = None) -> GelFound:
    """Return how a gel resists.

    Args:
        press: the recording, in which the indenter is away from the gel between presses.
        indenter: its shape.
        cfg: what counts.

    Raises:
        ValueError: it does not tell: too few presses, no force, or no depth; one line.
    """
    cfg = cfg or GelPressCfg()
    rate = _speed(press.times, press.depth, cfg.smooth_s)
    start = _one_surface(press, rate, indenter)
    groups = _presses(press, float(start.surfaces[0]))
    count = int(groups.max()) + 1
    if count < cfg.least_presses:
        raise ValueError(
            f"expected {cfg.least_presses} presses or more, with the indenter away from the gel "
            f"between them, got {count}"
        )
    start = replace(start, surfaces=np.repeat(start.surfaces, count))
    rows = _Rows(press, rate, groups, indenter)
    fit, weights = rows.fit(start, np.ones(len(groups), dtype=bool))
    fits = [rows.fit(fit, groups != k)[0] for k in range(count)]
    expected = rows.expected(fit)[0]
    explained = _explained(press.force, expected, weights > 0.0)
    if explained < cfg.least_explained:
        raise ValueError(
            f"depth explains {100 * explained:.0f} % of the force, expected "
            f"{100 * cfg.least_explained:.0f} % or more: is the normal the right one, and does the "
            "indenter reach the gel?"
        )
    deep = rows.depth(fit)
    if indenter.radius > 0.0 and float(deep.max()) > indenter.radius:
        raise ValueError(
            f"the ball lies {1e3 * deep.max():.2f} mm deep, expected less than its radius, "
            f"{1e3 * indenter.radius:.2f} mm"
        )
    friction, slides = _friction(press, groups, _sliding(press, groups, deep, cfg), fit, fits)
    return GelFound(
        stiffness=_told(fit.k, [other.k for other in fits], _FLOOR),
        damping=_told(fit.c, [other.c for other in fits]),
        friction=friction, surfaces=fit.surfaces, groups=groups, bias=fit.bias, slides=slides,
        held_out=rows.held_out(fit, count - max(1, count // 4), weights > 0.0),
        deep=deep, expected=expected, wrong=weights == 0.0, explained=explained,
    )  # fmt: skip


def _speed(times: FloatArray, place: FloatArray, smooth_s: float) -> FloatArray:
    """Return the derivative of a place (T, ...) of about even times."""
    width = smooth_s / max(float(np.median(np.diff(times))), 1e-9)
    smooth = gaussian_filter1d(place, max(width, 1e-3), axis=0, mode="nearest")
    return np.gradient(smooth, times, axis=0)


def _one_surface(press: Pressing, rate: FloatArray, indenter: Indenter) -> _Fit:
    """Return where all begins: numbers of one surface for all presses."""
    depth, force = press.depth, press.force
    low, high = float(depth.min()), float(depth.max())
    if high - low < 1e-6 or np.ptp(force) == 0.0:
        raise ValueError("nothing was pressed: neither depth nor force changes")
    best: tuple[float, _Fit] | None = None
    reach = min(high - low, _DEEPEST)  # an approach may be long
    for surface in np.linspace(high - reach, high - 0.02 * reach, _GRID):
        volume, area = indenter.shape(depth - surface)
        columns = np.stack([volume, area * rate, np.ones_like(depth)], axis=1)
        size = np.maximum(np.abs(columns).max(axis=0), 1e-30)
        scaled, x = columns / size, np.zeros(3)
        for _ in range(3):
            left = np.abs(force - scaled @ x)
            weights = _weights(left, tight=False)
            root = np.sqrt(weights)
            x = np.linalg.lstsq(scaled * root[:, None], force * root, rcond=None)[0]
        cost = float(np.median(np.abs(force - scaled @ x)))
        k, c, bias = (float(v) for v in x / size)
        if best is None or cost < best[0]:
            best = cost, _Fit(np.array([surface]), k, c, bias, np.zeros(2))
    assert best is not None
    if best[1].k <= 0.0:
        raise ValueError("the force does not grow with the depth: is the normal the right one?")
    return best[1]


@dataclass(frozen=True)
class _Rows:
    """Rows of a recording, and what numbers of a gel make of them."""

    press: Pressing
    rate: FloatArray
    groups: NDArray[np.int64]
    indenter: Indenter

    @cached_property
    def slide(self) -> FloatArray:
        """(T, 2) places along the surface about their middle [m]; zeros where nothing slides."""
        found = self.press.slide - self.press.slide.mean(axis=0)
        return found if float(np.ptp(found, axis=0).max()) > _SLIDES else 0.0 * found

    def depth(self, fit: _Fit) -> FloatArray:
        """Return how deep the indenter is (T,) [m], of slides not quite along the gel too."""
        return self.press.depth - fit.surfaces[self.groups] + self.slide @ fit.tilt

    def expected(self, fit: _Fit) -> tuple[FloatArray, FloatArray]:
        """Return the force (T,) and its derivatives (T, 6) by k, c, bias, tilts and surface."""
        deep = self.depth(fit)
        volume, area = self.indenter.shape(deep)
        stiff = fit.k * area
        by = np.stack(
            [volume, area * self.rate, np.ones_like(deep), *(stiff * self.slide.T), -stiff], axis=1
        )
        return fit.k * volume + fit.c * area * self.rate + fit.bias, by

    def fit(self, start: _Fit, rows: NDArray[np.bool_]) -> tuple[_Fit, FloatArray]:
        """Return the numbers of some rows, and the weights of all (T,), 0 for what does not fit.

        Each press has a surface of its own: an arm does not repeat a place to a hundredth of a
        millimetre. Gauss-Newton steps with robust weights; where damping would be negative it is 0.
        """
        fit, count = start, len(start.surfaces)
        weights = np.zeros(len(rows))
        for turn in range(_ROUNDS):
            force, by = self.expected(fit)
            left = self.press.force - force
            weights[rows] = _weights(np.abs(left[rows]), tight=turn >= _ROUNDS // 2)
            full = np.zeros((len(rows), 5 + count))
            full[:, :5] = by[:, :5]
            full[np.arange(len(rows)), 5 + self.groups] = by[:, 5]
            size = np.maximum(np.abs(full[rows]).max(axis=0), 1e-30)
            scaled, w = full[rows] / size, weights[rows][:, None]
            normal = scaled.T @ (w * scaled) + 1e-9 * np.eye(5 + count)
            step = np.linalg.solve(normal, scaled.T @ (w[:, 0] * left[rows])) / size
            near = np.clip(step[5:], -_NEAR, _NEAR)
            tilt = np.clip(fit.tilt + np.clip(step[3:5], -0.02, 0.02), -_TILT, _TILT)
            fit = _Fit(fit.surfaces + near, max(fit.k + step[0], 0.1 * fit.k),
                       max(fit.c + step[1], 0.0), fit.bias + step[2], tilt)  # fmt: skip
        return fit, weights

    def held_out(self, fit: _Fit, first: int, good: NDArray[np.bool_]) -> float:
        """Return the rms error [N] of presses from a number on, of what the others told.

        Their surfaces are their own: where the indenter meets the gel is no number of the gel.
        """
        told, _ = self.fit(fit, self.groups < first)
        own = replace(fit, k=told.k, c=told.c, bias=told.bias, tilt=told.tilt)
        left = self.press.force - self.expected(own)[0]
        return _rms(left[(self.groups >= first) & good])


def _weights(left: FloatArray, *, tight: bool) -> FloatArray:
    """Return robust weights of distances (T,); tight ones leave out what lies far off."""
    size = left / max(1.4826 * float(np.median(left)), 1e-9)
    if tight:
        return np.where(size < _TUKEY, (1.0 - (size / _TUKEY) ** 2) ** 2, 0.0)
    return np.minimum(1.0, _HUBER / np.maximum(size, 1e-9))


def _presses(press: Pressing, surface: float) -> NDArray[np.int64]:
    """Return (T,) to which press a row belongs: each begins half-way between two contacts."""
    inside = press.depth - surface
    touching = inside > 0.1 * inside.max()
    edges = np.flatnonzero(np.diff(touching.astype(int)))
    begins = [press.times[i] for i in edges if not touching[i]]
    ends = [press.times[i] for i in edges if touching[i]]
    if touching[0]:
        begins.insert(0, press.times[0])
    if touching[-1]:
        ends.append(press.times[-1])
    cuts = [0.5 * (a + b) for a, b in zip(ends[:-1], begins[1:], strict=True) if b - a > _APART_S]
    return np.searchsorted(np.array(cuts), press.times)


def _sliding(
    press: Pressing, groups: NDArray[np.int64], deep: FloatArray, cfg: GelPressCfg
) -> FloatArray:
    """Return (T, 2) the direction in which the indenter slides over the gel, zeros elsewhere."""
    velocity = _speed(press.times, press.slide, cfg.smooth_s)
    fast = np.linalg.norm(velocity, axis=1)
    unit = velocity / np.maximum(fast, 1e-9)[:, None]
    moves = (fast > cfg.slip_speed) & (deep > 0.2 * deep.max())
    found = np.zeros_like(unit)
    way, last = 0.0, None
    for i in range(1, len(press.times)):
        turned = last is not None and float(unit[i] @ last) < 0.5
        if not moves[i] or groups[i] != groups[i - 1] or turned:
            way, last = 0.0, None
        if not moves[i]:
            continue
        last = unit[i]
        way += float(fast[i] * (press.times[i] - press.times[i - 1]))
        if way > cfg.run_in:
            found[i] = unit[i]
    return found


def _friction(
    press: Pressing, groups: NDArray[np.int64], sliding: FloatArray, fit: _Fit, fits: list[_Fit]
) -> tuple[Told | None, int]:
    """Return the friction of rows that slide, and in how many presses there are any.

    What is left out for an interval is left out of the constant of the force as well.
    """
    away = press.depth < fit.surfaces[groups]
    rest = np.median(press.drag[away], axis=0) if away.sum() > 10 else np.zeros(2)
    rows = np.any(sliding != 0.0, axis=1)
    with_slides = np.unique(groups[rows])
    if len(with_slides) < 3:
        return None, len(with_slides)
    pull = press.drag - rest
    along = -np.einsum("ti,ti->t", pull, sliding)[rows]
    across = (pull[:, 0] * sliding[:, 1] - pull[:, 1] * sliding[:, 0])[rows]
    if np.median(along) <= 0.0 or abs(np.median(across)) > _ACROSS * np.median(along):
        raise ValueError(
            "the drag is not along the slide: are the axes of the force those that were said?"
        )
    force, group = press.force[rows], groups[rows]
    value = _ratio(force - fit.bias, along)
    without = [_ratio((force - fits[k].bias)[group != k], along[group != k]) for k in with_slides]
    return _told(value, without), len(with_slides)


def _ratio(x: FloatArray, y: FloatArray) -> float:
    """Return the robust ratio of sums: noise of x, which a slope would suffer from, cancels out."""
    weights, ratio = np.ones_like(x), 0.0
    for turn in range(_ROUNDS):
        ratio = float(np.sum(weights * y) / max(float(np.sum(weights * x)), 1e-30))
        weights = _weights(np.abs(y - ratio * x), tight=turn >= _ROUNDS // 2)
    return ratio


def _told(value: float, without: list[float], floor: float = 0.0) -> Told:
    """Return a number with the interval that leaving out each press in turn gives, and a share."""
    n = len(without)
    spread = np.array(without) - np.mean(without)
    sigma = float(np.sqrt((n - 1) / n * np.sum(spread**2)))
    half = float(student.ppf(0.975, n - 1)) * sigma
    return Told(value=value, half=float(np.hypot(half, floor * value)))


def _explained(force: FloatArray, expected: FloatArray, rows: NDArray[np.bool_]) -> float:
    """Return the share of the variance of some rows that is explained, at least 0."""
    left = float(np.var((force - expected)[rows]))
    return max(0.0, 1.0 - left / max(float(np.var(force[rows])), 1e-30))


def _rms(values: FloatArray) -> float:
    return float(np.sqrt(np.mean(values**2))) if len(values) else float("nan")
