"""How far an arm is from itself and from its table: links as capsules, pure numpy.

The gate keeps these distances for every trajectory it lets through. Capsules hold the links with
their covers, so a distance here is less than the true one.
"""

# pyright: standard

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from .kinematics import Frame, axis_frames, axis_turns
from .robot_types import Body, Chain, FloatArray

_TINY = 1e-12  # squared length below which a segment is a point [m^2]


@dataclass(frozen=True, kw_only=True)
class Clearance:
    """Smallest distances at some joint angles, (...) each [m]; inf where none is kept."""

    itself: FloatArray
    """Between links; below 0 where capsules overlap."""
    table: FloatArray
    """Of links and tool point above z = 0 of the base frame."""
    closest: tuple[str, str]
    """The two links that come closest to each other in all of them."""


class Clearances:
    """Computes distances of the capsules of one robot."""

    def __init__(self, chain: Chain, body: Body) -> None:
        """Put the pairs that are looked at into arrays."""
        self._chain = chain
        self._names = [f"link{i}" for i in range(len(chain.joint_names) + 1)] + ["the hand"]
        capsules = body.capsules
        self._link = np.array([c.link for c in capsules], dtype=np.int64)
        self._radius = np.array([c.radius for c in capsules])
        lengths = [np.subtract(c.end, c.start) for c in capsules]
        self._around = self._radius + 0.5 * np.linalg.norm(np.reshape(lengths, (-1, 3)), axis=-1)
        turns = np.concatenate([np.eye(3)[None], axis_turns(chain)])[self._link]
        ends = np.array([(c.start, c.end) for c in capsules]).reshape(-1, 2, 3)
        ends = np.einsum("cij,cej->cei", turns, ends)
        self._ends = np.concatenate([ends, np.ones((len(capsules), 2, 1))], axis=-1)  # of x y z p
        pairs = [
            (a, b)
            for a, one in enumerate(capsules)
            for b, other in enumerate(capsules)
            if (one.link, other.link) in body.pairs
        ]
        self._pairs = np.array(pairs, dtype=np.int64).reshape(-1, 2).T
        self._above = np.array([i for i, c in enumerate(capsules) if c.above_table], dtype=np.int64)

    def __call__(self, q: FloatArray, near: float = np.inf) -> Clearance:
        """Return the distances at joint angles q (..., n) [rad].

        Distances of links to each other are exact where they are less than `near` [m]; where they
        are more, which is quicker, some number from `near` to the distance takes their place.
        """
        lead = q.shape[:-1]
        frames = axis_frames(self._chain, q.reshape(-1, q.shape[-1]))
        ends = self._place(frames)
        itself, closest = np.full(lead, np.inf), ("", "")
        if self._pairs.size:
            gaps = self._gaps(ends, near)
            itself = gaps.min(axis=0).reshape(lead)
            worst = int(np.argmin(gaps.min(axis=1)))
            first, second = (self._names[self._link[side[worst]]] for side in self._pairs)
            closest = (first, second)
        table = frames[-1].p[2]
        if len(self._above):
            low = ends[self._above, :, 2].min(axis=1) - self._radius[self._above, None]
            table = np.minimum(low.min(axis=0), table)
        return Clearance(itself=itself, table=table.reshape(lead), closest=closest)

    def _gaps(self, ends: FloatArray, near: float) -> FloatArray:
        """Return the distances (pairs, K) of capsules with ends (capsules, 2, 3, K)."""
        a, b = self._pairs
        middle = 0.5 * (ends[:, 0] + ends[:, 1])
        apart = middle[a] - middle[b]
        around = self._around[a] + self._around[b]
        gaps = np.sqrt(np.einsum("pik,pik->pk", apart, apart)) - around[:, None]  # of balls around
        pair, k = np.nonzero(gaps < near)
        one, other = ends[a[pair], :, :, k], ends[b[pair], :, :, k]  # (M, 2, 3)
        exact = segments_apart(one[:, 0].T, one[:, 1].T, other[:, 0].T, other[:, 1].T)
        gaps[pair, k] = exact - self._radius[a[pair]] - self._radius[b[pair]]
        return gaps

    def _place(self, frames: Sequence[Frame]) -> FloatArray:
        """Return the ends of the capsules in the base, (capsules, 2, 3, K) [m]."""
        count = frames[0].p.shape[-1]
        base = np.zeros((4, 3, count))
        base[:3] = np.eye(3)[:, :, None]
        there = np.array([base, *frames]).reshape(len(frames) + 1, 4, -1)[self._link]
        return np.matmul(self._ends, there).reshape(len(self._link), 2, 3, count)


def segments_apart(p0: FloatArray, p1: FloatArray, r0: FloatArray, r1: FloatArray) -> FloatArray:
    """Return the distance (...) of segments from p0 to p1 and from r0 to r1, (3, ...) each [m].

    The nearest points of both lines, each moved to its segment: first on one, then on the other
    what is nearest to that, then back (Ericson, Real-Time Collision Detection, section 5.1.9).
    """
    d, e, w = p1 - p0, r1 - r0, p0 - r0
    dd, ee, de = _dot(d, d), _dot(e, e), _dot(d, e)
    dw, ew = _dot(d, w), _dot(e, w)
    inner = np.maximum(dd * ee - de * de, _TINY**2)  # 0 of parallels: any point will do
    s = np.clip((de * ew - ee * dw) / inner, 0.0, 1.0)
    t = np.clip((s * de + ew) / np.maximum(ee, _TINY), 0.0, 1.0)
    s = np.clip((t * de - dw) / np.maximum(dd, _TINY), 0.0, 1.0)
    gap = w + s * d - t * e
    return np.sqrt(_dot(gap, gap))


def _dot(a: FloatArray, b: FloatArray) -> FloatArray:
    return a[0] * b[0] + a[1] * b[1] + a[2] * b[2]
