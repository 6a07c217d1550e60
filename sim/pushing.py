"""How the T of `push-t` moves when it is pushed, and how long pushes into a goal pose take.

Pushes are slow: friction with the table stops the T at once, and forces at which it slides lie on
an ellipsoid. A force `f` at a point `p` then moves it with a velocity along `f` and a rate of turn
`(p x f) / c^2`, all in the frame of the T. Where the finger does not slip, its own way is that of
the point; and since the force turns with the T, a push moves the T along an arc of a circle.

Source: Lynch, Maekawa and Tanie, IROS 1992 (manipulation and active sensing by pushing).
"""

# pyright: standard

from __future__ import annotations

import math
from functools import cache
from typing import NamedTuple

import torch
from torch import Tensor

from .tasks.push_t import BAR, STEM, PushTCfg

SQUARE = PushTCfg().square
GRIP_RADIUS = 2.0 * SQUARE
"""Torque over force at which the T slides, c [m]: measured in the engine, where it stands on the
corners of its boxes (slides from 0.055 to 0.06 m times the force on); 0.04 m if its weight were
spread evenly."""
TURN_RADIUS = 0.044
"""Length that makes an angle a distance [m]: root mean square of the points of the T."""
PUSH_SPEED = 0.15
"""Fastest push [m/s]."""
REGRASP = 1.5
"""What bringing the fingers to another place of the T costs, and a new contact [s]."""
LENGTHS = (0.0005, 0.001, 0.002, *(0.004 * k for k in range(1, 41)))
"""Ways of the finger that are considered [m]."""
_TOP, _LOW, _END = BAR[1] + BAR[3], BAR[1] - BAR[3], STEM[1] - STEM[3]
_HALF, _SIDE = BAR[2], STEM[2]
EDGES = (
    (-_HALF, _TOP, _HALF, _TOP, 0.0, -1.0),
    (-_HALF, _LOW, -_SIDE, _LOW, 0.0, 1.0),
    (_SIDE, _LOW, _HALF, _LOW, 0.0, 1.0),
    (_HALF, _LOW, _HALF, _TOP, -1.0, 0.0),
    (-_HALF, _LOW, -_HALF, _TOP, 1.0, 0.0),
    (_SIDE, _END, _SIDE, _LOW, -1.0, 0.0),
    (-_SIDE, _END, -_SIDE, _LOW, 1.0, 0.0),
    (-_SIDE, _END, _SIDE, _END, 0.0, 1.0),
)
"""Of the T: ends x y [squares] and the normal inwards."""
POINTS = (9, 3, 3, 3, 3, 6, 6, 3)
"""Points of each edge at which to push."""
FROM_END = 0.25
"""Distance of these from the ends of an edge [squares]."""


class Push(NamedTuple):
    """Pushes without slip, by the way of the finger, in the frame of the T before them."""

    shift: Tensor
    """Displacement of the T (..., L, 2) [m]."""
    turn: Tensor
    """Turn of the T (..., L) [rad]."""
    way: Tensor
    """Direction in which the finger starts (..., 2)."""


def push(point: Tensor, force: Tensor, lengths: Tensor) -> Push:
    """Return what becomes of a T that is pushed.

    Args:
        point: of contact (..., 2) [m].
        force: its direction (..., 2); both in the frame of the T and fixed to it.
        lengths: ways of the finger (L,) [m].
    """
    turn = (point[..., 0] * force[..., 1] - point[..., 1] * force[..., 0]) / GRIP_RADIUS**2
    way = force + turn[..., None] * torch.stack([-point[..., 1], point[..., 0]], dim=-1)
    speed = torch.linalg.vector_norm(way, dim=-1, keepdim=True)
    angle = turn[..., None] / speed * lengths
    chord = torch.sinc(angle / (2.0 * math.pi)) * lengths / speed  # sin(a / 2) / (a / 2)
    ahead, aside = chord * torch.cos(0.5 * angle), chord * torch.sin(0.5 * angle)
    x, y = force[..., :1], force[..., 1:]
    shift = torch.stack([ahead * x - aside * y, aside * x + ahead * y], dim=-1)
    return Push(shift, angle, way / speed)


def wrapped(angle: Tensor) -> Tensor:
    """Return angles [rad] from -pi to pi."""
    return torch.remainder(angle + math.pi, 2.0 * math.pi) - math.pi


def goal_after(goal: Tensor, pushed: Push) -> Tensor:
    """Return where goals (N, 3) lie after pushes: x y [m], yaw [rad] in the frame of the T.

    Args:
        goal: before them.
        pushed: of shapes (N or 1, ..., L).
    """
    goal = goal.reshape(-1, *[1] * (pushed.turn.ndim - 1), 3)
    x, y = (goal[..., :2] - pushed.shift).unbind(-1)
    c, s = torch.cos(pushed.turn), torch.sin(pushed.turn)
    return torch.stack([c * x + s * y, c * y - s * x, wrapped(goal[..., 2] - pushed.turn)], dim=-1)


def distance(goal: Tensor) -> Tensor:
    """Return how far goals (..., 3) are, turns included [m]."""
    return torch.linalg.vector_norm(goal[..., :2], dim=-1) + TURN_RADIUS * goal[..., 2].abs()


def edge_points() -> tuple[Tensor, Tensor]:
    """Return points at which to push (P, 2) [m], and the edges on which they lie (P,)."""
    points, edges = [], []
    for i, (edge, count) in enumerate(zip(EDGES, POINTS, strict=True)):
        start, end = torch.tensor(edge[:2]), torch.tensor(edge[2:4])
        margin = FROM_END * (end - start) / torch.linalg.vector_norm(end - start)
        share = torch.linspace(0.0, 1.0, count)[:, None]
        points.append(SQUARE * torch.lerp(start + margin, end - margin, share))
        edges += [i] * count
    return torch.cat(points), torch.tensor(edges)


def gap(points: Tensor) -> Tensor:
    """Return the distance of points (..., 2) [m] from the T in its frame, below 0 inside."""
    found = []
    for x, y, half_x, half_y in (BAR, STEM):
        middle, half = points.new_tensor([x, y]), points.new_tensor([half_x, half_y])
        off = (points - SQUARE * middle).abs() - SQUARE * half
        outside = torch.linalg.vector_norm(off.clamp(min=0.0), dim=-1)
        found.append(outside + off.amax(dim=-1).clamp(max=0.0))
    return torch.minimum(*found)


class TimeToGo:
    """Time of pushing a T into a goal [s], by where the goal lies in its frame.

    By value iteration on a grid that is finer near the goal: of each pose, the best push over
    `LENGTHS` at one of the points of `edge_points`, each after `REGRASP`.
    """

    FAR, FINE, FINE_TURN = 0.25, 0.004, 0.1
    """Half the width of the grid, and scales below which it is even [m], [m], [rad]."""
    NODES = 15
    """Along each axis."""
    CLOSE, CRAWL = 0.002, 0.01
    """Without pushes: how far off is as bad as `REGRASP` [m]; far away, at a speed [m/s]."""

    def __init__(self) -> None:
        """Iterate until pushes bring no more; a second or two."""
        self._scale = torch.tensor([self.FINE, self.FINE, self.FINE_TURN])
        self._most = torch.log1p(torch.tensor([self.FAR, self.FAR, math.pi]) / self._scale)
        even = torch.linspace(-1.0, 1.0, self.NODES)
        axes = [
            torch.sign(even) * scale * torch.expm1(even.abs() * most)
            for scale, most in zip(self._scale, self._most, strict=True)
        ]
        half = self.NODES // 2 + 1  # the T is its mirror image: (x, y, yaw) is (-x, y, -yaw)
        goals = torch.stack(torch.meshgrid(axes[0][:half], *axes[1:], indexing="ij"), dim=-1)
        lengths, (points, edges) = torch.tensor(LENGTHS), edge_points()
        pushed = push(points, torch.tensor(EDGES)[edges, 4:], lengths)
        pushed = Push(*(part[None] for part in pushed))
        off = distance(goals)
        times = REGRASP * torch.minimum(
            (off / self.CLOSE) ** 1.5, 1.0 + off / (self.CRAWL * REGRASP)
        )
        change = math.inf
        while change > 0.05:
            self._table = torch.cat([times, times[:-1].flip(0, 2)])
            best = [
                (self(goal_after(rows, pushed)) + lengths / PUSH_SPEED).flatten(1).amin(dim=1)
                for rows in goals.reshape(-1, 3).split(500)
            ]
            found = torch.minimum(times, torch.cat(best).reshape_as(off) + REGRASP)
            change, times = float((times - found).max()), found

    def to(self, device: torch.device) -> TimeToGo:
        """Move to a device; return itself."""
        self._table, self._scale, self._most = (
            part.to(device) for part in (self._table, self._scale, self._most)
        )
        return self

    def __call__(self, goals: Tensor) -> Tensor:
        """Return the times (...) of goals (..., 3) float32, interpolated."""
        place = torch.sign(goals) * torch.log1p(goals.abs() / self._scale) / self._most
        found = torch.nn.functional.grid_sample(
            self._table[None, None],
            place.flip(-1).reshape(1, 1, 1, -1, 3),
            padding_mode="border",
            align_corners=True,
        )
        return found.reshape(goals.shape[:-1])


@cache
def time_to_go(device: torch.device) -> TimeToGo:
    """Return the times on a device, which are computed once."""
    return TimeToGo().to(device)
