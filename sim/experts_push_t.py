"""Scripted expert of `push-t`: where and how to push the T next, or how to get there.

In every state it looks at pushes of the closed fingers at points all around the T and takes the one
after which least time is left (`pushing.TimeToGo`), the way to the point included. It needs no
memory: pushing on where the fingers are costs no way, so it changes the place when that pays.
"""

# pyright: standard

from __future__ import annotations

from functools import cache
from typing import TYPE_CHECKING, NamedTuple

import torch
from torch import Tensor

from .pushing import (
    EDGES,
    FROM_END,
    PUSH_SPEED,
    SQUARE,
    distance,
    edge_points,
    gap,
    goal_after,
    push,
    time_to_go,
    wrapped,
)

if TYPE_CHECKING:
    from .experts import Motion, Observations

FINGERS = (0.0095, 0.015)
"""Half the width of the closed fingers of a Franka hand along x and y of the base [m]; they do not
turn."""
ROUND = 0.018
"""Radius of a circle around them [m]."""
LOW, HIGH = 0.034, 0.06
"""Height of the tool when it pushes, and over the T [m]; fingers end 8.5 mm below it."""
UP, DOWN = 0.25, 0.15
"""Fastest way up and down [m/s]."""
SPEED, SLOW, NEAR = 0.3, 0.15, 0.12
"""Fastest motion of the tool: above the T, beside it, towards a contact [m/s]. Faster starts make
the arm dip by more than 2 cm."""
CAREFUL = 0.04
"""Slowest push [m/s]."""
GAIN, GAIN_UP = 5.0, 4.0
"""How fast errors are driven away along the table, and in height [1/s]."""
BEHIND = 0.012
"""Distance from the T from which a contact is made [m]."""
ASIDE, WIDER = 0.006, 0.5
"""How far beside its line the tool may be there [m]; more the nearer it comes, by this share."""
TILT = 0.2
"""Of forces from the normal [rad]; the friction of the T allows 0.38."""
STAY, CONTACT, LIFT = 0.15, 0.35, 0.2
"""What a push costs where the fingers are, elsewhere, and beyond the T, besides its way [s]."""
STOP = 0.0015
"""A T so near the goal stays [m]."""
LENGTHS = (0.0005, 0.001, 0.002, 0.003, 0.005, 0.0075, 0.011, 0.016, 0.023, 0.032, 0.043, 0.056,
           0.072, 0.09, 0.11, 0.135, 0.16)  # fmt: skip
"""Ways of the finger that are considered [m]: coarser than in `pushing`, since the next step looks
again."""
NEVER = 100.0
"""More than any time left [s]."""


class Scene(NamedTuple):
    """What is seen, in the frame of the T."""

    R: Tensor
    """Of the T in the base frame (N, 2, 2)."""
    goal: Tensor
    """x y [m], yaw [rad] (N, 3)."""
    tool: Tensor
    """x y (N, 2) [m]."""
    height: Tensor
    """Of the tool above the table (N,) [m]."""


class Places(NamedTuple):
    """Contacts with the T, in its frame: (N, K, 2) [m] the points and what the tool is to do."""

    point: Tensor
    stand: Tensor
    """Where the tool is `BEHIND` the contact."""
    depth: Tensor
    """How far the tool is beyond touching, along the normal (N, K) [m]."""
    aside: Tensor
    """How far the tool is beside it, along the edge (N, K) [m]."""
    free: Tensor
    """Whether the fingers fit there (N, K)."""


class Ways(NamedTuple):
    """How to get to contacts, (N, K)."""

    time: Tensor
    """[s]."""
    straight: Tensor
    """The tool is behind the contact, or there: it goes on along the table."""
    blocked: Tensor
    """The T is in the way."""


def push_t(obs: Observations) -> Motion:
    """Push where least time is left, or go there, over the T if need be."""
    return _pusher(obs["ee_pose"].device)(obs)


@cache
def _pusher(device: torch.device) -> Pusher:
    return Pusher(device)


class Pusher:
    """The expert, with its tables on a device."""

    def __init__(self, device: torch.device) -> None:
        """Compute the tables."""
        edges = torch.tensor(EDGES, device=device)
        points, edge = (part.to(device) for part in edge_points())
        inward = edges[:, 4:]
        along = torch.stack([-inward[:, 1], inward[:, 0]], dim=-1)
        ends = SQUARE * torch.stack([edges[:, :2], edges[:, 2:4]])  # (2, 8, 2)
        span = (ends * along).sum(dim=-1).sort(dim=0).values
        self._span = span + SQUARE * 0.1 * FROM_END * torch.tensor([[1.0], [-1.0]], device=device)
        self._level = (ends[0] * inward).sum(dim=-1)
        self._edges = inward, along
        self._points, self._edge = points, torch.cat([edge, torch.arange(8, device=device)])
        self._inward, self._along = inward[self._edge], along[self._edge]
        tilt = torch.tensor([-TILT, 0.0, TILT], device=device)[:, None]
        n, t = self._inward[:, None], self._along[:, None]
        self._force = torch.cos(tilt) * n + torch.sin(tilt) * t  # (K, 3, 2)
        self._lengths = torch.tensor(LENGTHS, device=device)
        self._half = torch.tensor(FINGERS, device=device)
        self._time_to_go = time_to_go(device)

    def __call__(self, obs: Observations) -> Motion:
        """Return what to do."""
        scene = look(obs)
        places = self._places(scene)
        ways = self._ways(scene, places)
        pushed = push(places.point[:, :, None], self._force, self._lengths)
        left = self._time_to_go(goal_after(scene.goal, pushed)) + self._lengths / PUSH_SPEED
        best = (left + ways.time[:, :, None, None]).flatten(1).argmin(dim=1)
        rows, count = torch.arange(len(best), device=best.device), len(LENGTHS)
        k, force, length = best // (3 * count), best // count % 3, self._lengths[best % count]
        here = Places(*(part[rows, k] for part in places))
        way = Ways(*(part[rows, k] for part in ways))
        towards = pushed.way[rows, k, force]
        along = torch.where(
            way.straight[:, None],
            self._pushing(here, k, towards, length),
            _going(scene, here, way.blocked),
        )
        along = torch.where((distance(scene.goal) < STOP)[:, None], 0.0, along)
        height = torch.where(way.blocked & ~way.straight, HIGH, LOW)
        twist = torch.zeros_like(obs["ee_pose"][:, :6])
        twist[:, :2] = (scene.R @ along[..., None])[..., 0]
        twist[:, 2] = (GAIN_UP * (height - scene.height)).clamp(-DOWN, UP)
        return twist, torch.zeros_like(twist[:, 0])

    def _places(self, scene: Scene) -> Places:
        """Return the contacts: fixed points of the edges, and where the fingers touch each now."""
        inward, along = self._edges
        turned = (scene.R[:, None] @ inward[..., None])[..., 0]  # (N, 8, 2)
        # A corner of the fingers touches, or where an edge is parallel to a face, its middle.
        corner = self._half * (15.0 * turned).clamp(-1.0, 1.0)
        corner = (scene.R.mT[:, None] @ corner[..., None])[..., 0]
        now = ((scene.tool[:, None] + corner) * along).sum(dim=-1)
        now = torch.clamp(now, self._span[0], self._span[1])
        touched = now[..., None] * along + self._level[:, None] * inward
        point = torch.cat([self._points.expand(len(touched), -1, -1), touched], dim=1)
        touch = point - corner[:, self._edge]
        stand = touch - BEHIND * self._inward
        off = scene.tool[:, None] - touch
        signs = torch.tensor([[1.0, 1.0], [1.0, -1.0], [-1.0, 1.0], [-1.0, -1.0]]).to(off)
        outline = (scene.R.mT[:, None] @ (signs * self._half)[..., None])[..., 0][:, None]
        free = gap(touch[:, :, None] + outline).amin(dim=-1) > -0.002
        free &= gap(stand[:, :, None] + outline).amin(dim=-1) > 0.003
        depth, aside = (off * self._inward).sum(dim=-1), (off * self._along).sum(dim=-1)
        return Places(point, stand, depth, aside, free)

    def _ways(self, scene: Scene, places: Places) -> Ways:
        """Return how to get to the contacts."""
        touched = torch.arange(len(self._edge), device=places.depth.device) >= len(self._points)
        depth, aside = places.depth, places.aside.abs()
        low = (scene.height < LOW + 0.008)[:, None] & (depth > -BEHIND - 0.01) & (depth < 0.008)
        there = low & touched & (aside < 0.01) & (depth > -0.004)
        beside = ASIDE + WIDER * (depth + BEHIND).clamp(min=0.0)
        behind = low & ~touched & (aside < beside) & (depth < -0.002)
        blocked = _blocked(scene, places.stand)
        height = scene.height[:, None]
        down = (height - LOW).clamp(min=0.0) / DOWN
        over = (HIGH - height).clamp(min=0.0) / UP + (HIGH - LOW) / DOWN
        way = torch.linalg.vector_norm(scene.tool[:, None] - places.stand, dim=-1) / SPEED
        time = way + CONTACT + torch.where(blocked, torch.maximum(over, down) + LIFT, down)
        time = torch.where(places.free & ~touched, time, NEVER)
        time = torch.where(behind, aside / SPEED - depth / NEAR, time)
        return Ways(torch.where(there, STAY, time), there | behind, blocked)

    def _pushing(self, here: Places, k: Tensor, towards: Tensor, length: Tensor) -> Tensor:
        """Return the velocity (N, 2) of a tool that pushes, or comes near to do it."""
        speed = (GAIN * length).clamp(CAREFUL, PUSH_SPEED)
        near = (speed - GAIN * here.depth.clamp(max=0.0)).clamp(max=NEAR)[:, None]
        near = near * self._inward[k] - GAIN * here.aside[:, None] * self._along[k]
        return torch.where((here.depth > -0.003)[:, None], speed[:, None] * towards, near)


def look(obs: Observations) -> Scene:
    """Return the scene of observations."""
    tool, block, goal = (obs[name].float() for name in ("ee_pose", "block_pose", "goal_pose"))
    yaw, goal_yaw = (2.0 * torch.atan2(pose[:, 6], pose[:, 3]) for pose in (block, goal))
    c, s = torch.cos(yaw), torch.sin(yaw)
    R = torch.stack([c, -s, s, c], dim=-1).reshape(-1, 2, 2)
    at, hand = ((R.mT @ (pose[:, :2] - block[:, :2])[..., None])[..., 0] for pose in (goal, tool))
    return Scene(R, torch.cat([at, wrapped(goal_yaw - yaw)[:, None]], dim=1), hand, tool[:, 2])


def _blocked(scene: Scene, stand: Tensor) -> Tensor:
    """Return whether the T is in the straight way of the fingers (N, K).

    Low fingers, which may touch it now, must not come nearer.
    """
    share = torch.arange(1, 9, device=stand.device)[:, None] / 8.0
    tool = scene.tool[:, None, None]
    nearest = gap(torch.lerp(tool, stand[:, :, None], share)).amin(dim=-1)
    now = gap(scene.tool)[:, None]
    low = (scene.height < LOW + 0.008)[:, None]
    need = torch.where(low, (now - 0.001).clamp(max=ROUND), ROUND)
    nearest = torch.where(low, nearest, torch.minimum(nearest, now))
    return nearest < torch.minimum(need, gap(stand) - 1e-4)


def _going(scene: Scene, here: Places, blocked: Tensor) -> Tensor:
    """Return the velocity (N, 2) of a tool on its way; near a T in the way it waits to be high."""
    off = GAIN * (here.stand - scene.tool)
    most = torch.where(scene.height > LOW + 0.015, SPEED, SLOW)
    speed = torch.linalg.vector_norm(off, dim=-1)
    high = (scene.height - HIGH + 0.009) / 0.004
    away = (gap(scene.tool) - ROUND) / 0.03
    wait = torch.where(blocked, torch.maximum(high, away).clamp(0.0, 1.0), 1.0)
    return off * (wait * most / torch.maximum(speed, most))[:, None]
