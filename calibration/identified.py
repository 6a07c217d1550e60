"""What replays say of the numbers of an arm: how well each is told, and how well all explain it.

The uncertainty is a sandwich: how much each second of each joint's residuals pulls at the numbers,
so that residuals may be correlated in time. A number whose interval is as wide as what it could be
was not told by the motion, and is named.
"""

# NumPy infers too little here.
# pyright: standard

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt

from sim2arm.core.driver_stage import FloatArray

BLOCK = 1.0
"""Over which residuals may be correlated [s]."""
HUBER = 1.345
TIED = 0.995
"""Correlation from which two numbers are told only together."""


@dataclass(frozen=True, kw_only=True)
class Number:
    """One number of an arm."""

    name: str
    """Kind, and joint or axis: `coulomb/fr3_joint1`."""
    value: float
    low: float
    """Least value that it can have."""
    high: float
    """Greatest value that it can have."""
    unit: str
    scale: float
    """What would be much of it: half an interval of that size tells nothing."""


@dataclass(frozen=True, kw_only=True, eq=False)
class Identified:
    """What was found of P numbers of an arm of n joints."""

    numbers: tuple[Number, ...]
    sigma: FloatArray
    """(P,) one standard deviation of each."""
    correlation: FloatArray
    """(P, P)."""
    before: FloatArray
    """(n,) root mean square difference with the numbers of the model, fitted rows [rad]."""
    after: FloatArray
    """(n,) with those that were found [rad]."""
    held_before: FloatArray
    """(n,) as `before`, of the rows that were held out [rad]."""
    held_after: FloatArray
    """(n,) as `after`, of the rows that were held out [rad]."""
    seconds: float
    """Of the rows that were fitted."""
    missing: tuple[str, ...] = ()
    """What was looked for and not told: left as the model has it."""

    @property
    def told(self) -> npt.NDArray[np.bool_]:
        """(P,) which of them the motion told."""
        return 1.96 * self.sigma < np.array([n.scale for n in self.numbers])

    def value(self, name: str) -> tuple[float, float]:
        """Return a number and its standard deviation.

        Raises:
            KeyError: it was not looked for.
        """
        for number, sigma in zip(self.numbers, self.sigma, strict=True):
            if number.name == name:
                return number.value, float(sigma)
        raise KeyError(name)

    @property
    def tied(self) -> list[tuple[str, str, float]]:
        """Pairs of numbers that are told only together, with their correlation."""
        rows, columns = np.nonzero(np.triu(np.abs(self.correlation) > TIED, 1))
        return [
            (self.numbers[i].name, self.numbers[k].name, float(self.correlation[i, k]))
            for i, k in zip(rows.tolist(), columns.tolist(), strict=True)
        ]


def numbers_of(numbers: Sequence[Number], values: FloatArray) -> tuple[Number, ...]:
    """Return numbers with other values."""
    return tuple(replace(n, value=float(v)) for n, v in zip(numbers, values, strict=True))


def robust_weights(off: FloatArray, fitted: npt.NDArray[np.bool_]) -> FloatArray:
    """Return (R, n) what residuals (R, n) are multiplied by: each joint's noise, and outliers less.

    Args:
        off: of all rows.
        fitted: (R,) which of them count for the noise.
    """
    noise = 1.4826 * np.median(np.abs(off[fitted]), axis=0)
    far = np.abs(off) / np.maximum(noise, 1e-9)
    return np.sqrt(np.minimum(1.0, HUBER / far.clip(1e-9))) / np.maximum(noise, 1e-9)


def told_by(
    numbers: Sequence[Number],
    moves: FloatArray,
    off: FloatArray,
    before: FloatArray,
    weights: FloatArray,
    times: FloatArray,
    fitted: npt.NDArray[np.bool_],
) -> Identified:
    """Return what a fit tells.

    Args:
        numbers: P of them, with the values that were found.
        moves: (R, n, P) by how much joints move per number [rad per unit].
        off: (R, n) simulated less measured [rad].
        before: (R, n) the same with the numbers of the model [rad].
        weights: (R, n) of the residuals.
        times: (R,) of the rows [s].
        fitted: (R,) which rows were fitted.
    """
    w = weights[fitted]
    J = moves[fitted] * w[..., None]
    r = off[fitted] * w
    size = np.sqrt(np.einsum("rnp,rnp->p", J, J)).clip(1e-300)
    J = J / size  # numbers differ by orders of magnitude
    # Residuals beyond Huber's bound pull alike however far they are: they do not bend the cost.
    inside = w >= (1.0 - 1e-9) * w.max(axis=0)
    normal = np.einsum("rnp,rnq->pq", J * inside[..., None], J)
    block = np.floor((times[fitted] - times[fitted][0]) / BLOCK).astype(np.int64)
    pulls = np.zeros((int(block[-1]) + 1, J.shape[1], J.shape[2]))
    np.add.at(pulls, block, J * r[..., None])
    inverse = np.linalg.pinv(normal, rcond=1e-10, hermitian=True)
    # Noise alone; blocks of each joint by itself; blocks of all joints, whose stamps may be off
    # together: the widest of the three is right in the case that the others do not see.
    each = [inverse]
    for flat in (pulls.reshape(-1, J.shape[2]), pulls.sum(axis=1)):
        few = len(flat) / max(len(flat) - J.shape[2], 0.25 * len(flat))
        each.append(few * inverse @ (flat.T @ flat) @ inverse)
    covariance = max(each, key=lambda c: float(np.trace(c)))
    spread = np.sqrt(np.max([np.diagonal(c) for c in each], axis=0).clip(0.0))
    tied = covariance / np.outer(*2 * [np.sqrt(np.diagonal(covariance)).clip(1e-300)])
    # What moves nothing, or nothing of its own, is not known at all.
    known = np.abs(np.diagonal(inverse @ normal) - 1.0) < 1e-3
    sigma = np.where(known & (size > 1e-12), spread / size, np.inf)
    return Identified(
        numbers=tuple(numbers), sigma=sigma, correlation=tied.clip(-1.0, 1.0),
        before=_rms(before[fitted]), after=_rms(off[fitted]),
        held_before=_rms(before[~fitted]), held_after=_rms(off[~fitted]),
        seconds=float(times[fitted][-1] - times[fitted][0]),
    )  # fmt: skip


def _rms(off: FloatArray) -> FloatArray:
    return np.sqrt(np.mean(off**2, axis=0))
