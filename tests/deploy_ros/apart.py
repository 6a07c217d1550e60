"""Distances of links by another way than the gate's: matrix products, points along capsules."""

# pyright: standard

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from sim2arm.core.robots import Chain, Robot

Array = NDArray[np.float64]
POINTS = 9  # along a capsule
COARSE = 0.006
"""How much more than the least distance is found, and how much closer links come between two
moments at which the gate looks [m]."""


def links(chain: Chain, q: Array) -> Array:
    """Return the frames (K, n + 2, 4, 4) of base, links and tool at q (K, n)."""
    x, y, z = chain.axes.T
    o = np.zeros_like(x)
    cross = np.array([(o, -z, y), (z, o, -x), (-y, x, o)]).transpose(2, 0, 1)
    frames = [np.tile(np.eye(4), (len(q), 1, 1))]
    for i, T in enumerate(chain.T_parent_joint):
        turn = np.tile(np.eye(4), (len(q), 1, 1))
        s, c = np.sin(q[:, i, None, None]), np.cos(q[:, i, None, None])
        turn[:, :3, :3] = np.eye(3) + s * cross[i] + (1.0 - c) * cross[i] @ cross[i]
        frames.append(frames[-1] @ T @ turn)
    frames.append(frames[-1] @ chain.T_last_tool)
    return np.stack(frames, axis=1)


def distances(robot: Robot, q: Array) -> tuple[Array, Array]:
    """Return distances of links at q (K, n): to each other and above z = 0, (K,) each [m]."""
    body = robot.body
    assert body is not None
    frames = links(robot.chain, q)
    share = np.linspace(0.0, 1.0, POINTS)[:, None]
    lines: list[Array] = []  # (K, points, 3) of each capsule
    for capsule in body.capsules:
        on_link = np.array(capsule.start) * (1.0 - share) + np.array(capsule.end) * share
        T = frames[:, capsule.link]
        lines.append(on_link @ T[:, :3, :3].transpose(0, 2, 1) + T[:, None, :3, 3])
    itself, table = np.full(len(q), np.inf), frames[:, -1, 2, 3]
    for i, one in enumerate(body.capsules):
        if one.above_table:
            table = np.minimum(table, lines[i][..., 2].min(axis=1) - one.radius)
        for j, other in enumerate(body.capsules):
            if (one.link, other.link) in body.pairs:
                gap = _to_segment(lines[i], lines[j][:, :1], lines[j][:, -1:])
                itself = np.minimum(itself, gap.min(axis=1) - one.radius - other.radius)
    return itself, table


def _to_segment(points: Array, start: Array, end: Array) -> Array:
    way = end - start
    long = np.maximum((way**2).sum(-1, keepdims=True), 1e-12)
    share = np.clip(((points - start) * way).sum(-1, keepdims=True) / long, 0.0, 1.0)
    return np.linalg.norm(points - start - share * way, axis=-1)
