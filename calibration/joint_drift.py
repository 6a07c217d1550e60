"""Offsets between two arms that should follow each other, from paired recordings.

A leader's joints and its follower's differ by an offset, lag by a delay, and by friction that lets
the follower stay behind in the direction of motion. All three are fitted for each joint, robustly
(Huber), the delay by search. What remains is correlated in time: means of a quarter of a second are
taken apart into what each inherits from the last and what is new (autoregression), and the
uncertainty comes from what is new. A drift within the recording is the difference of its halves.

Source: D. Andrews and J. Monahan, "An improved heteroskedasticity and autocorrelation consistent
covariance matrix estimator", Econometrica 60(4), 1992.
"""

# SciPy's stubs are incomplete.
# pyright: standard

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy.stats import t as student

from sim2arm.core.driver_stage import FloatArray

METHOD = (
    "Robust regression of follower on delayed leader with offset and lag in the direction of "
    "motion; uncertainty of prewhitened residuals (Andrews and Monahan 1992)"
)
LEAST_SECONDS = 10.0
MOST_DELAY = 0.5
"""Greatest delay that is looked for [s]."""
BIN = 0.25
"""Time over which residuals are averaged before they are judged [s]."""
LONGEST_MEMORY = 0.97
"""Greatest share that a mean is taken to inherit from the one before: 8 s of memory."""
STILL = math.radians(0.5)
"""Standard deviation below which a leader's joint counts as still [rad]."""
MOVING = math.radians(1.0)
"""Speed from which friction has a direction [rad/s]."""
HUBER = 1.345


@dataclass(frozen=True, kw_only=True)
class DriftCfg:
    """What is found and what counts."""

    alarm_deg: float = 0.5
    """Offset that is an alarm, if its 95 % interval does not reach 0 [deg]."""

    def __post_init__(self) -> None:
        """Check the number."""
        if not self.alarm_deg > 0:
            raise ValueError(f"alarm_deg: expected more than 0, got {self.alarm_deg}")


@dataclass(frozen=True, kw_only=True, eq=False)
class JointDrift:
    """What was found of n joints."""

    names: tuple[str, ...]
    offsets: FloatArray
    """(n,) follower less leader, both as they say [rad]."""
    sigma: FloatArray
    """(n,) one standard deviation of them [rad]."""
    drift: FloatArray
    """(n,) offset of the second half less that of the first [rad]."""
    drift_sigma: FloatArray
    """(n,) [rad]."""
    lag: FloatArray
    """(n,) by which the follower stays behind in the direction of motion [rad]."""
    delay: float
    """Of the follower [s]."""
    residuals: FloatArray
    """(n,) root mean square that remains [rad]."""
    seconds: float
    """Of the recording that was used."""
    alarms: tuple[str, ...]
    """A line for each joint whose offset counts."""
    notes: tuple[str, ...]
    """What could not be told."""

    @property
    def greatest_deg(self) -> float:
        """The greatest offset or change that chance does not explain, 0 if there is none [deg]."""
        sizes = np.concatenate([np.abs(self.offsets), np.abs(self.drift)])
        sigma = np.concatenate([self.sigma, self.drift_sigma])
        return math.degrees(float(np.max(np.where(sizes > 1.96 * sigma, sizes, 0.0))))


def find_drift(
    stamps: FloatArray,
    leader: FloatArray,
    follower: FloatArray,
    names: Sequence[str],
    cfg: DriftCfg | None = None,
) -> JointDrift:
    """Return offset, delay and lag of each joint.

    Args:
        stamps: (T,) times of the rows, rising [s].
        leader: (T, n) joints that are to be followed, in the follower's zero and direction [rad].
        follower: (T, n) joints that follow, measured at the same time [rad].
        names: of the joints.
        cfg: what counts.

    Raises:
        ValueError: too short, stamps that go back, numbers that are not finite, no joint that
            moves, or a follower that does not follow; one line with what to do.
    """
    cfg = cfg or DriftCfg()
    stamps, leader, follower = _checked(stamps, leader, follower, len(names))
    period = float(np.median(np.diff(stamps)))
    times = np.arange(stamps[0], stamps[-1], period)
    lead, follow = _at(times, stamps, leader), _at(times, stamps, follower)
    here = _covered(times, stamps, 3.0 * period)
    moving = lead[here].std(axis=0) > STILL
    if not moving.any():
        raise ValueError(
            "no joint of the leader moves: record the leader moving every joint by 20 degrees or "
            "more, slowly, to and fro"
        )
    delay = _delay(times, lead[:, moving], follow[:, moving], here)
    late = _at(times - delay, times, lead)
    speed = np.gradient(late, period, axis=0)
    edge = here & (times - delay > times[0]) & (times < times[-1] - period)
    fits = [_joint(late[edge, k], speed[edge, k], follow[edge, k]) for k in range(len(names))]
    rows = max(1, round(BIN / period))
    spread = np.array([_spread(fit.design, fit.left, fit.weights, rows)[1] for fit in fits])
    halves = np.array([_halves(fit, rows) for fit in fits])
    offsets = np.array([fit.numbers[0] for fit in fits])
    residuals = np.array([float(np.sqrt(np.mean(fit.left**2))) for fit in fits])
    _check_follows(names, moving, late[edge], follow[edge], residuals)
    still = [name for name, on in zip(names, moving, strict=True) if not on]
    notes = ()
    if still:
        notes = (
            f"{', '.join(still)} did not move: the offset holds where it stood, and neither lag "
            "nor direction is known",
        )
    return JointDrift(
        names=tuple(names),
        offsets=offsets,
        sigma=spread,
        drift=halves[:, 0],
        drift_sigma=halves[:, 1],
        lag=np.array([fit.numbers[1] for fit in fits]),
        delay=delay,
        residuals=residuals,
        seconds=float(edge.sum() * period),
        alarms=tuple(_alarms(names, offsets, spread, halves, cfg)),
        notes=notes,
    )


@dataclass(frozen=True, eq=False)
class _JointFit:
    numbers: FloatArray
    """Offset and lag [rad]."""
    design: FloatArray
    """(T, 2)."""
    left: FloatArray
    """(T,) residuals [rad]."""
    weights: FloatArray


def _joint(leader: FloatArray, speed: FloatArray, follower: FloatArray) -> _JointFit:
    toward = np.tanh(speed / MOVING)
    design = np.stack([np.ones_like(leader), -toward], axis=-1)
    if toward.std() < 0.1:  # it stands still: a lag would be an offset
        design[:, 1] = 0.0
    wanted = follower - leader
    weights = np.ones(len(leader))
    numbers = np.zeros(2)
    left = wanted
    for _ in range(8):
        numbers = _weighted(design, wanted, weights)
        left = wanted - design @ numbers
        scale = max(1.4826 * float(np.median(np.abs(left))), 1e-7)
        weights = np.minimum(1.0, HUBER * scale / np.abs(left).clip(1e-12))
    return _JointFit(numbers=numbers, design=design, left=left, weights=weights)


def _weighted(design: FloatArray, wanted: FloatArray, weights: FloatArray) -> FloatArray:
    root = np.sqrt(weights)[:, None]
    solved = np.linalg.lstsq(root * design, root[:, 0] * wanted, rcond=None)[0]
    return np.asarray(solved, dtype=np.float64)


def _spread(
    design: FloatArray, left: FloatArray, weights: FloatArray, rows: int
) -> tuple[float, float]:
    """Return by how much residuals would move the offset, and the deviation of it.

    1.96 deviations are the half of a 95 % interval.
    """
    count = len(left) // rows
    w = weights[: count * rows].reshape(count, rows)
    total = w.sum(axis=1).clip(1e-9)
    r = (w * left[: count * rows].reshape(count, rows)).sum(axis=1) / total
    x = (w[..., None] * design[: count * rows].reshape(count, rows, 2)).sum(axis=1) / total[:, None]
    move = _weighted(x, r, np.ones(count))
    off = r - x @ move
    memory = float(off[1:] @ off[:-1]) / max(float(off @ off), 1e-300)
    memory += (1.0 + 3.0 * memory) / count  # it is estimated too small; M. Kendall, Biometrika 1954
    memory = min(max(memory, 0.0), LONGEST_MEMORY)
    new_x, new_r = x[1:] - memory * x[:-1], r[1:] - memory * r[:-1]
    move = _weighted(new_x, new_r, np.ones(count - 1))
    each = new_x * (new_r - new_x @ move)[:, None]
    normal = np.linalg.inv(new_x.T @ new_x + 1e-12 * np.eye(2))
    variance = float((normal @ (each.T @ each) @ normal)[0, 0]) * count / max(count - 3, 1)
    independent = max(2.0, count * (1.0 - memory) / (1.0 + memory) - 2.0)
    return float(move[0]), float(student.ppf(0.975, independent)) / 1.96 * math.sqrt(variance)


def _halves(fit: _JointFit, rows: int) -> tuple[float, float]:
    """Return by how much the offset of the second half differs, and the deviation of that."""
    middle = len(fit.left) // 2
    first, second = (
        _spread(fit.design[part], fit.left[part], fit.weights[part], rows)
        for part in (slice(0, middle), slice(middle, None))
    )
    return second[0] - first[0], math.hypot(first[1], second[1])


def _delay(
    times: FloatArray, leader: FloatArray, follower: FloatArray, here: npt.NDArray[np.bool_]
) -> float:
    """Return the delay under which speeds agree best [s], between samples by a parabola."""
    period = times[1] - times[0]
    most = int(min(MOST_DELAY / period, len(times) // 4))
    a = np.gradient(leader, period, axis=0)
    b = np.gradient(follower, period, axis=0)
    scale = a.std(axis=0).clip(1e-9)
    costs = np.full(most + 1, np.inf)
    for shift in range(most + 1):
        both = here[shift:] & here[: len(here) - shift]
        off = (b[shift:] - a[: len(a) - shift])[both] / scale
        if len(off) > 10:
            costs[shift] = np.median(np.abs(off).sum(axis=1))
    best = int(costs.argmin())
    if 0 < best < most and np.isfinite(costs[best + 1]):
        left, middle, right = costs[best - 1 : best + 2]
        bend = left - 2.0 * middle + right
        return float(period * (best + (0.5 * (left - right) / bend if bend > 0 else 0.0)))
    return float(period * best)


def _at(times: FloatArray, stamps: FloatArray, values: FloatArray) -> FloatArray:
    return np.stack([np.interp(times, stamps, column) for column in values.T], axis=-1)


def _covered(times: FloatArray, stamps: FloatArray, most: float) -> npt.NDArray[np.bool_]:
    """Return where rows lie near enough on both sides: what was lost is not filled in."""
    after = np.searchsorted(stamps, times, side="left").clip(1, len(stamps) - 1)
    return (stamps[after] - stamps[after - 1]) <= most


def _checked(
    stamps: FloatArray, leader: FloatArray, follower: FloatArray, n: int
) -> tuple[FloatArray, FloatArray, FloatArray]:
    stamps, leader, follower = (np.asarray(v, dtype=np.float64) for v in (stamps, leader, follower))
    if leader.shape != (len(stamps), n) or follower.shape != leader.shape:
        raise ValueError(
            f"expected ({len(stamps)}, {n}) joints of leader and follower, got {leader.shape} and "
            f"{follower.shape}"
        )
    if not all(np.isfinite(v).all() for v in (stamps, leader, follower)):
        raise ValueError("stamps and joints must be finite")
    if len(stamps) < 20 or not (np.diff(stamps) > 0).all():
        raise ValueError("stamps: expected 20 or more that rise")
    if stamps[-1] - stamps[0] < LEAST_SECONDS:
        raise ValueError(
            f"expected {LEAST_SECONDS:g} s or more, got {stamps[-1] - stamps[0]:.1f} s: record a "
            "minute"
        )
    return stamps, leader, follower


def _check_follows(
    names: Sequence[str], moving: npt.NDArray[np.bool_], leader: FloatArray, follower: FloatArray,
    residuals: FloatArray,
) -> None:  # fmt: skip
    """Refuse joints that turn the other way or stand still, of which an offset means nothing."""
    for k, name in enumerate(names):
        if not moving[k]:
            continue
        a, b = leader[:, k] - leader[:, k].mean(), follower[:, k] - follower[:, k].mean()
        slope = float(a @ b) / float(a @ a)
        if slope < 0.8 or slope > 1.25:
            what = "turns the other way" if slope < -0.5 else f"moves by {slope:.2f} of the leader"
            raise ValueError(
                f"joint {name!r} of the follower {what}: put direction and range of the motor "
                "right before offsets are looked for"
            )


def _alarms(
    names: Sequence[str], offsets: FloatArray, sigma: FloatArray, halves: FloatArray, cfg: DriftCfg
) -> list[str]:
    limit = math.radians(cfg.alarm_deg)
    found: list[str] = []
    for k, name in enumerate(names):
        half = 1.96 * sigma[k]
        if abs(offsets[k]) > limit and abs(offsets[k]) > half:
            found.append(
                f"{name}: offset {math.degrees(offsets[k]):+.2f} deg (95 %: +- "
                f"{math.degrees(half):.2f}), limit {cfg.alarm_deg:g}"
            )
        drift, spread = halves[k]
        if abs(drift) > limit and abs(drift) > 1.96 * spread:
            found.append(
                f"{name}: the offset changed by {math.degrees(drift):+.2f} deg within the recording"
            )
    return found
