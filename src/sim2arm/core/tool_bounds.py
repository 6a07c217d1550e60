"""The box that a tool stays in while the joints stay in ranges."""

# pyright: standard

from __future__ import annotations

import itertools

import numpy as np

from .kinematics import forward
from .robot_types import Chain, FloatArray

_SWEEPS = 4


def tool_bounds(chain: Chain, low: FloatArray, high: FloatArray) -> tuple[FloatArray, FloatArray]:
    """Return the least and the greatest x y z of the tool, (3,) and (3,) [m].

    Along each axis the position is climbed from every corner of the ranges and from their middle,
    one joint at a time: as a function of one joint it is a + b cos q + c sin q, whose maximum in a
    range is known exactly.

    Args:
        chain: of n joints.
        low: (n,) least joint angles [rad].
        high: (n,) greatest.
    """
    corners = list(itertools.product(*zip(low, high, strict=True)))
    start = np.array([*corners, 0.5 * (low + high)])
    ends = [[_highest(chain, start, low, high, sign, k) for k in range(3)] for sign in (-1.0, 1.0)]
    return -np.array(ends[0]), np.array(ends[1])


def _highest(
    chain: Chain, start: FloatArray, low: FloatArray, high: FloatArray, sign: float, axis: int
) -> float:
    """Return the greatest coordinate, or with sign -1 the greatest of its negative [m]."""
    q = start.copy()

    def height(values: FloatArray) -> FloatArray:
        return sign * forward(chain, values)[:, axis, 3]

    for _, i in itertools.product(range(_SWEEPS), range(q.shape[1])):
        at = []
        for angle in (0.0, 0.5 * np.pi, np.pi):
            q[:, i] = angle
            at.append(height(q))
        a, b = 0.5 * (at[0] + at[2]), 0.5 * (at[0] - at[2])
        c = at[1] - a
        peak = np.arctan2(c, b)
        peak += 2.0 * np.pi * np.ceil((low[i] - peak) / (2.0 * np.pi))  # the first above `low`
        ends = [np.full_like(peak, low[i]), np.full_like(peak, high[i])]
        choices = np.stack([*ends, np.where(peak > high[i], ends[0], peak)])
        best = np.argmax(b * np.cos(choices) + c * np.sin(choices), axis=0)
        q[:, i] = np.take_along_axis(choices, best[None], axis=0)[0]
    return float(height(q).max())
