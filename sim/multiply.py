"""Paths of demonstrations for moved objects: parts of a path go with what they are about.

A path is what was asked of the tools, tick by tick. Each part of it is about an object, or about
nothing that moves; the part is carried with the object from where it was to where it is, and
bridges lead from where the tool is to where a part begins. What comes of it is tried in simulation,
and only successes are kept.

Source: Mandlekar et al., arXiv 2310.17596 (MimicGen).
"""

# pyright: standard

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from sim2arm.core.transforms import (
    pose,
    pose_between,
    pose_compose,
    pose_inverse,
    quat_from_rotvec,
    quat_mul,
    quat_to_rotvec,
)

FloatArray = NDArray[np.float64]
SPEED, TURN = 0.15, 1.0
"""Of bridges: most speed [m/s], [rad/s]."""
LIFTED = 0.005
"""An object is held once it is so much higher than it lay [m]."""


@dataclass(frozen=True, kw_only=True)
class Part:
    """A part of the path of one tool."""

    about: str = ""
    """Observation that is the pose of the object; of nothing that moves if empty."""
    until_held: bool = False
    """Whether it ends when that object is lifted; else it goes to the end."""


ALL_ABOUT = {
    "lift-cube": "true_cube_pose",
    "peg-insertion": "true_socket_pose",
    "bolt-on-nut": "true_nut_pose",
}
PARTS: dict[str, tuple[tuple[Part, ...], ...]] = {
    **{task: ((Part(about=name),),) for task, name in ALL_ABOUT.items()},
    "transfer-cube": (
        (Part(),),
        (Part(about="cube_pose", until_held=True), Part()),
    ),
    "bimanual-insertion": (
        (Part(about="socket_pose", until_held=True), Part()),
        (Part(about="peg_pose", until_held=True), Part()),
    ),
}
"""Of each task the parts of each arm, in the order of the contract.

Not of `reach`, whose goals lie so far apart that carried paths leave the workspace, nor of
`peg-placement`, where the peg lies otherwise in the hand each time."""


def carry(
    path: FloatArray,
    parts: Sequence[Part],
    before: Mapping[str, FloatArray],
    now: Mapping[str, FloatArray],
    start: FloatArray,
    period: float,
) -> tuple[FloatArray, NDArray[np.int64]]:
    """Return the path of a tool for moved objects.

    Args:
        path: demonstrated poses (T, 7).
        parts: of it.
        before: poses of objects in the demonstration (T, 7).
        now: where they are (7,).
        start: where the tool is (7,).
        period: of control [s].

    Returns:
        Poses (T', 7), and the tick of the demonstration that each is like (T',); a bridge is like
        the tick that it leads to.
    """
    poses, ticks = list[FloatArray](), list[NDArray[np.int64]]()
    first, here = 0, start
    for part in parts:
        end = len(path)
        if part.until_held:
            height = before[part.about][:, 2]
            lifted = np.flatnonzero(height > height[0] + LIFTED)
            end = int(lifted[0]) if len(lifted) else len(path)
        piece = path[first:end]
        if part.about:
            moved = pose_compose(now[part.about], pose_inverse(before[part.about][0]))
            piece = pose_compose(np.broadcast_to(moved, piece.shape), piece)
        if len(piece):
            way = bridge(here, piece[0], period)
            poses += [way, piece]
            ticks += [np.full(len(way), first), np.arange(first, end)]
            here = piece[-1]
        first = end
    return np.concatenate(poses), np.concatenate(ticks)


def bridge(start: FloatArray, end: FloatArray, period: float) -> FloatArray:
    """Return poses (n, 7) on the way between two, without them, as slow as `SPEED` and `TURN`."""
    off = end[:3] - start[:3]
    turn = quat_to_rotvec(pose_between(pose(0.0 * off, start[3:]), pose(0.0 * off, end[3:]))[3:])
    longest = max(np.linalg.norm(off) / SPEED, np.linalg.norm(turn) / TURN)
    count = max(0, math.ceil(longest / period) - 1)
    share = (np.arange(count) + 1.0)[:, None] / (count + 1)
    turns = quat_mul(np.broadcast_to(start[3:], (count, 4)), quat_from_rotvec(share * turn))
    return np.concatenate([start[:3] + share * off, turns], axis=-1)


def together(
    paths: Sequence[tuple[FloatArray, NDArray[np.int64]]],
) -> tuple[FloatArray, NDArray[np.int64]]:
    """Return paths of tools that come to each tick of the demonstration together.

    Args:
        paths: of each tool, as `carry` returns them, of the same demonstration.

    Returns:
        Poses (T', tools, 7) and ticks (T',); who comes to a tick sooner waits there.
    """
    poses, ticks = list[FloatArray](), list[int]()
    for tick in range(max(int(own[-1]) for _, own in paths) + 1):
        steps = [path[own == tick] for path, own in paths]
        count = max(len(each) for each in steps)
        for k in range(count):
            poses.append(np.stack([each[min(k, len(each) - 1)] for each in steps]))
            ticks.append(tick)
    return np.stack(poses), np.array(ticks)
