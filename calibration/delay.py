"""How much later something is seen than it happens: from motion, to a fraction of a sample.

What is seen is a function of what moved, some time before. That function is fitted for every delay
that may be (linear in features of what moved, robustly), and the delay under which least is left is
the one. Nothing else needs to be calibrated: neither lens nor place of a camera, nor a gel. The
uncertainty comes from how much the residuals of whole seconds pull at the delay (a sandwich over
blocks), so that residuals may be correlated in time.

What is found is relative: by how much stamps of what is seen lie behind stamps of what moved.
"""

# SciPy's stubs are incomplete.
# pyright: standard

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

import numpy as np
import numpy.typing as npt
from scipy.interpolate import CubicSpline
from scipy.optimize import minimize_scalar
from scipy.stats import t as student

from sim2arm.core.driver_stage import FloatArray

Relation = Literal["follows", "shifts", "levels"]
"""`follows`: joints that do what other joints are told; `shifts`: how far pictures moved since the
one before, of a camera that joints move or look at; `levels`: one number that depends on one that
moves, a gel on a gripper."""
METHOD = (
    "Delay under which what is seen is explained best by what moved (profile of a robust linear "
    "regression); uncertainty of blocks of residuals"
)
LEAST_SECONDS = 10.0
BLOCK = 2.0
"""Over which residuals may be correlated [s]."""
HUBER = 1.345
GAP = 3.5
"""Usual periods without a sample after which nothing is known between [periods]."""
LEAST_EXPLAINED = 0.3
"""Share of what is seen that motion must explain."""
AMBIGUOUS = 0.1
"""Share of what is explained by which every other delay must be worse."""
MOVING = math.radians(1.0)
"""Speed from which friction has a direction [rad/s]."""
STILL = math.radians(0.3)
"""Standard deviation below which a joint did not move [rad]."""
HATS = 9
MOST_ROWS = 4000
STEP = 0.005
"""Between delays that are tried before the search between them [s]: motion of arms is slower."""
BETWEEN = 0.004
"""Error of a moment between samples of what moved, one standard deviation [periods]."""


@dataclass(frozen=True, eq=False)
class Signal:
    """Something over time."""

    stamps: FloatArray
    """(T,) rising [s]."""
    values: FloatArray
    """(T, n)."""

    def __post_init__(self) -> None:
        """Check that it is one."""
        if self.values.ndim != 2 or len(self.values) != len(self.stamps):
            raise ValueError(
                f"expected ({len(self.stamps)}, n) values, got shape {self.values.shape}"
            )
        if len(self.stamps) < 20 or not (np.diff(self.stamps) > 0).all():
            raise ValueError("stamps: expected 20 or more that rise")
        if not (np.isfinite(self.stamps).all() and np.isfinite(self.values).all()):
            raise ValueError("stamps and values must be finite")

    @property
    def period(self) -> float:
        """The usual time between samples [s]."""
        return float(np.median(np.diff(self.stamps)))


@dataclass(frozen=True, kw_only=True)
class DelayCfg:
    """Where the delay is looked for, and what is accepted."""

    low: float = -0.05
    """Least delay [s]; below 0 where the other signal may be the later one."""
    high: float = 0.4
    """Greatest delay [s]."""
    limit_ms: float = 5.0
    """Half of the 95 % interval with which it is accepted [ms]."""

    def __post_init__(self) -> None:
        """Check the range."""
        if not -1.0 <= self.low < self.high <= 2.0:
            raise ValueError(
                f"low, high: expected -1 <= low < high <= 2 s, got {self.low}, {self.high}"
            )
        if not self.limit_ms > 0:
            raise ValueError(f"limit_ms: expected more than 0, got {self.limit_ms}")


@dataclass(frozen=True, kw_only=True, eq=False)
class Delay:
    """What was found."""

    delay: float
    """[s]."""
    sigma: float
    """One standard deviation of it [s]; 1.96 of them are the half of a 95 % interval."""
    explained: float
    """Share of the variance of what is seen that motion explains."""
    wrong: npt.NDArray[np.bool_]
    """(S,) rows that do not fit the others and hardly count, of the rows that were used."""
    tried: FloatArray
    """(D,) delays that were tried [s]."""
    left: FloatArray
    """(D,) share of the variance that is left with them."""
    stamps: FloatArray
    """(S,) of the rows that were used [s]."""
    seen: FloatArray
    """(S, m) in them."""
    expected: FloatArray
    """(S, m) of motion."""


def find_delay(
    moved: Signal, seen: Signal, relation: Relation, cfg: DelayCfg | None = None
) -> Delay:
    """Return by how much what is seen is later than what moved.

    Args:
        moved: what moved: (T, n) joints [rad], or one number.
        seen: what is seen of it: (S, m). For `shifts` each row is since the row before, the first
            of none.
        relation: of both.
        cfg: where the delay is looked for.

    Raises:
        ValueError: too short, too little motion, what is seen does not follow it, or does so
            equally well with another delay; one line with what to do.
    """
    cfg = cfg or DelayCfg()
    fit = _Fit(moved, seen, relation, cfg)
    step = STEP
    tried = np.arange(cfg.low, cfg.high + 0.5 * step, step)
    costs = np.array([fit.cost_from_scratch(float(d)) for d in tried])
    best = int(costs.argmin())
    if best in (0, len(tried) - 1):
        raise ValueError(
            f"the delay lies at the end of {cfg.low:g} to {cfg.high:g} s in which it was looked "
            "for: look farther, or record faster motion"
        )
    delay = float(tried[best])
    for _ in range(6):
        fit.weigh(delay)
        around = (delay - 2.0 * step, delay + 2.0 * step)
        found = minimize_scalar(fit.cost, bounds=around, method="bounded", options={"xatol": 1e-6})
        delay = float(getattr(found, "x"))  # noqa: B009 - of no declared type
    left = np.array([fit.left(float(d)) for d in tried])
    here = fit.left(delay)
    _check(tried, left, delay, here, fit, step)
    return Delay(
        delay=delay,
        sigma=fit.sigma(delay, 0.1 * step),
        explained=1.0 - here,
        wrong=fit.weights < 0.5,
        tried=tried,
        left=left,
        stamps=fit.stamps,
        seen=fit.seen,
        expected=fit.expected(delay),
    )


class _Fit:
    """Regressions of what is seen on what moved, for any delay, over the same rows."""

    def __init__(self, moved: Signal, seen: Signal, relation: Relation, cfg: DelayCfg) -> None:
        self._spline = CubicSpline(moved.stamps, moved.values, axis=0)
        self._features = _features(moved, relation)
        self._period = moved.period
        self._each = relation == "follows"
        self._shifts = relation == "shifts"
        if self._each and moved.values.shape[1] != seen.values.shape[1]:
            raise ValueError(
                f"expected as many joints as were told: {moved.values.shape[1]}, got "
                f"{seen.values.shape[1]}"
            )
        times, before = seen.stamps, np.concatenate([seen.stamps[:1], seen.stamps[:-1]])
        begin = before if self._shifts else times
        rows = _covered(moved, begin - cfg.high - 0.02, times - cfg.low + 0.02)
        if self._shifts:
            rows &= times - before < GAP * seen.period
        seconds = float(rows.sum() * seen.period)
        if not self._shifts:  # more of them tell nothing more of the same motion
            rows = np.flatnonzero(rows)[:: 1 + int(rows.sum()) // MOST_ROWS]
        self.stamps, self._before, self.seen = times[rows], before[rows], seen.values[rows]
        if seconds < LEAST_SECONDS:
            raise ValueError(
                f"{seconds:.1f} s of both signals overlap without gaps, expected "
                f"{LEAST_SECONDS:g} or more: record half a minute"
            )
        self.weights = np.ones(len(self.seen))
        off = self.seen - np.median(self.seen, axis=0)
        self._scale = np.sqrt(np.mean(off**2, axis=0))
        if not (self._scale > 1e-12).any():
            raise ValueError("what is seen does not change: is it the right topic?")
        self._scale = np.maximum(self._scale, 1e-9)

    def _designs(self, delay: float) -> list[FloatArray]:
        """Return (S, p) for all outputs, or one for each."""
        now = self._features(self._spline, self.stamps - delay)
        if self._shifts:
            now = now - self._features(self._spline, self._before - delay)
        one = np.ones((len(self.stamps), 1))
        if not self._each:
            return [np.concatenate([one, now], axis=1)]
        parts = np.split(now, self.seen.shape[1], axis=1)
        return [np.concatenate([one, part], axis=1) for part in parts]

    def expected(self, delay: float) -> FloatArray:
        """Return (S, m) what is seen by the regression with the weights of now."""
        designs = self._designs(delay)
        return self._columns([_solve(x, y, self.weights) for x, y in self._pairs(designs)], designs)

    def _pairs(self, designs: list[FloatArray]) -> list[tuple[FloatArray, FloatArray]]:
        """Return designs with what they explain, (S, m) for all or (S, 1) for each output."""
        if len(designs) == 1:
            return [(designs[0], self.seen)]
        return [(x, self.seen[:, k : k + 1]) for k, x in enumerate(designs)]

    def _columns(self, numbers: list[FloatArray], designs: list[FloatArray]) -> FloatArray:
        return np.concatenate([x @ b for x, b in zip(designs, numbers, strict=True)], axis=1)

    def _slope(self, delay: float, h: float) -> FloatArray:
        """Return (S, m) by how much more is expected for a longer delay, nothing else making up."""
        designs = self._designs(delay)
        numbers = [_solve(x, y, self.weights) for x, y in self._pairs(designs)]
        after, before = self._designs(delay + h), self._designs(delay - h)
        parts: list[FloatArray] = []
        for x, b, late, early in zip(designs, numbers, after, before, strict=True):
            raw = (late - early) @ b / (2.0 * h)
            parts.append(raw - x @ _solve(x, raw, self.weights))
        return np.concatenate(parts, axis=1)

    def weigh(self, delay: float) -> None:
        """Give rows that do not fit a smaller weight (Huber), scales robustly."""
        for _ in range(3):
            off = self.seen - self.expected(delay)
            self._scale = np.maximum(1.4826 * np.median(np.abs(off), axis=0), 1e-9)
            far = np.sqrt(np.mean((off / self._scale) ** 2, axis=1))
            self.weights = np.minimum(1.0, HUBER / far.clip(1e-9))

    def cost(self, delay: float) -> float:
        """Return the weighted mean square of what is left, in scales."""
        off = (self.seen - self.expected(delay)) / self._scale
        return float(np.sum(self.weights[:, None] * off**2) / self.weights.sum())

    def cost_from_scratch(self, delay: float) -> float:
        """Return a robust measure of what is left, whatever fitted before."""
        self.weights = np.ones(len(self.seen))
        size = np.sqrt(np.mean((self.seen - np.median(self.seen, axis=0)) ** 2, axis=0))
        size = np.maximum(size, 1e-9)
        off = np.zeros_like(self.seen)
        for _ in range(2):
            off = (self.seen - self.expected(delay)) / size
            far = np.sqrt(np.mean(off**2, axis=1))
            self.weights = np.minimum(1.0, HUBER * np.median(far).clip(1e-9) / far.clip(1e-12))
        return float(np.mean(np.sqrt(np.mean(off**2, axis=1))))

    def left(self, delay: float) -> float:
        """Return the share of the variance that is left, of the rows that count."""
        w = self.weights[:, None]
        mean = np.sum(w * self.seen, axis=0) / np.sum(w)
        off, size = self.seen - self.expected(delay), self.seen - mean
        return float(np.sum(w * (off / self._scale) ** 2) / np.sum(w * (size / self._scale) ** 2))

    def sigma(self, delay: float, h: float) -> float:
        """Return the deviation of a delay from the pull of blocks of residuals."""
        w, slope = self.weights[:, None], self._slope(delay, h) / self._scale
        off = (self.seen - self.expected(delay)) / self._scale
        pull = np.sum(w * slope * off, axis=1)
        # Rows beyond Huber's bound pull alike however far they are: across alone they count.
        size = np.linalg.norm(off, axis=1).clip(1e-12)
        along = np.where(self.weights < 1.0, (np.sum(slope * off, axis=1) / size) ** 2, 0.0)
        curve = (self.weights * (np.sum(slope**2, axis=1) - along)).clip(0.0)
        curvature = max(float(np.sum(curve)), 1e-300)
        block = np.floor((self.stamps - self.stamps[0]) / BLOCK).astype(np.int64)
        sums = np.bincount(block, weights=pull)
        # Blocks without motion tell nothing: how many are worth as much as all of them.
        told = np.bincount(block, weights=curve)
        count = max(2.5, float(np.sum(told)) ** 2 / float(np.sum(told**2)))
        rows = len(pull) / max(len(pull) - self._designs(delay)[0].shape[1], 1)
        variance = float(np.sum(sums**2)) / curvature**2 * count / (count - 1.0) * rows
        spread = float(student.ppf(0.975, count - 1.0)) / 1.96 * math.sqrt(variance)
        return math.hypot(spread, BETWEEN * self._period)


def _solve(x: FloatArray, y: FloatArray, weights: FloatArray) -> FloatArray:
    """Return the numbers (p, m) of a weighted regression of y (S, m) on x (S, p)."""
    left = x.T * weights
    normal = left @ x
    normal[np.diag_indices(len(normal))] += 1e-12 * np.trace(normal)
    return np.asarray(np.linalg.solve(normal, left @ y), dtype=np.float64)


def _features(moved: Signal, relation: Relation) -> Callable[[CubicSpline, FloatArray], FloatArray]:
    """Return what what is seen depends on: from a curve and times (S,) to (S, p)."""
    values = moved.values
    if relation == "follows":
        return _joint_features
    if relation == "levels":
        if values.shape[1] != 1:
            raise ValueError(f"expected one number that moves, got {values.shape[1]}")
        low, high = np.quantile(values, (0.01, 0.99))
        if not high - low > 1e-9:
            raise ValueError("nothing moves: close and open the gripper again and again")
        knots = np.linspace(low, high, HATS)

        def hats(curve: CubicSpline, times: FloatArray) -> FloatArray:
            x = curve(times)
            return np.maximum(0.0, 1.0 - np.abs(x - knots) / (knots[1] - knots[0]))[:, 1:]

        return hats
    moving = values.std(axis=0) > STILL
    if not moving.any():
        raise ValueError("no joint moves: move the arm to and fro, at changing speed")
    middle, size = values[:, moving].mean(axis=0), values[:, moving].std(axis=0)
    first, second = np.triu_indices(int(moving.sum()))

    def bends(curve: CubicSpline, times: FloatArray) -> FloatArray:
        x = (curve(times)[:, moving] - middle) / size
        return np.concatenate([x, x[:, first] * x[:, second]], axis=1)

    return bends


def _joint_features(curve: CubicSpline, times: FloatArray) -> FloatArray:
    """Position, acceleration (of what the law cannot hold) and friction of each joint: (S, 3 n).

    Speed is not among them: a lag in proportion to it is what a delay is.
    """
    parts = (curve(times), curve(times, 2), np.tanh(curve(times, 1) / MOVING))
    return np.stack(parts, axis=2).reshape(len(times), -1)


def _covered(moved: Signal, begin: FloatArray, end: FloatArray) -> npt.NDArray[np.bool_]:
    """Return between which times nothing is missing of what moved."""
    inside = (begin >= moved.stamps[0]) & (end <= moved.stamps[-1])
    wide = np.diff(moved.stamps) > GAP * moved.period
    count = np.concatenate([[0], np.cumsum(wide)])
    first = np.searchsorted(moved.stamps, begin, side="right") - 1
    last = np.searchsorted(moved.stamps, end, side="left") - 1
    n = len(wide)
    return inside & (count[(last + 1).clip(0, n)] == count[first.clip(0, n)])


def _check(
    tried: FloatArray, left: FloatArray, delay: float, here: float, fit: _Fit, step: float
) -> None:
    """Refuse a delay that motion does not tell.

    Raises:
        ValueError: so it is.
    """
    if 1.0 - here < LEAST_EXPLAINED:
        raise ValueError(
            f"motion explains {100 * (1 - here):.0f} % of what is seen, expected "
            f"{100 * LEAST_EXPLAINED:.0f} or more: are these the right topics, and is what is seen "
            "moved by nothing else?"
        )
    flat = left.max() - here < 2.0 * AMBIGUOUS * (1.0 - here)
    if flat and left.max() < 2.0 * here + 0.02:
        raise ValueError(
            f"all delays of {1e3 * tried[0]:.0f} to {1e3 * tried[-1]:.0f} ms explain what is seen "
            "nearly alike: the motion repeats itself; record motion at changing speed"
        )
    lower = np.flatnonzero((left[1:-1] <= left[:-2]) & (left[1:-1] <= left[2:])) + 1
    far = np.abs(tried - delay) > max(4.0 * step, 0.02)
    best = int(np.abs(tried - delay).argmin())
    for k in lower[far[lower]]:
        ridge = float(left[min(k, best) : max(k, best) + 1].max())
        ripple = ridge - left[k] < 0.5 * (ridge - here)  # in the side of the same valley
        if not ripple and left[k] - here < AMBIGUOUS * (1.0 - here):
            raise ValueError(
                f"delays of {1e3 * delay:.0f} and {1e3 * tried[k]:.0f} ms explain what is seen "
                "nearly alike: the motion repeats itself; record motion at changing speed"
            )
