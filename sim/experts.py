"""Scripted experts: what to do in each state of a task, by all that a simulation knows.

They make demonstrations, and show that a task can be done. An expert is a function without memory
of the observations of a task, truth included, to how the tool should move. That of `push-t` is in
`experts_push_t.py`, those of two arms in `experts_pair.py`.
"""

# pyright: standard

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from typing import TypeAlias

import torch
from torch import Tensor

from sim2arm.core.transforms import quat_conjugate, quat_mul, quat_to_rotvec, quat_z_axis

from .experts_push_t import push_t
from .tasks.lift_cube import LiftCubeCfg
from .tasks.peg_placement import PegPlacementCfg

Observations: TypeAlias = Mapping[str, Tensor]
"""Of a task, (N, ...)."""
Motion: TypeAlias = tuple[Tensor, Tensor]
"""Twist of the tool in the base frame (N, 6) [m/s, rad/s], and the wanted share of the gripper's
opening (N,), which only tasks with a gripper action use."""
Expert: TypeAlias = Callable[[Observations], Motion]

GAIN = 4.0
"""How fast an error is driven away [1/s]."""
SPEED, TURN = 0.25, 1.0
"""Fastest motion of the tool [m/s], [rad/s]."""
CAREFUL = 0.5
"""Fastest turn where much is turned while much is moved: wrists come to their limits [rad/s]."""
_LIFT, _PLACE = LiftCubeCfg(), PegPlacementCfg()
PUSH, EVERY = 0.2, 1.0
"""How long an unsteady hand is pushed, and how often [s]."""
UPSIDE_DOWN = (0.0, 1.0, 0.0, 0.0)
"""Orientation of a tool that points down."""


def reach(obs: Observations) -> Motion:
    """Go straight to the goal."""
    tool, goal = obs["ee_pose"], obs["goal_pose"]
    turn = quat_to_rotvec(quat_mul(goal[:, 3:], quat_conjugate(tool[:, 3:])))
    return _moved(goal[:, :3] - tool[:, :3], turn)


def peg_insertion(obs: Observations) -> Motion:
    """Over the true socket, upright, then down."""
    return _down_upon(obs["ee_pose"], obs["true_socket_pose"], hover=0.09, near=0.08, sink=0.09)


def peg_placement(obs: Observations) -> Motion:
    """Turn the peg upright, its foot over the pad; then down."""
    peg, pad = obs["peg_pose"], obs["true_pad_pose"]
    axis = quat_z_axis(peg[:, 3:])
    foot = peg[:, :3] + 0.5 * _PLACE.peg_length * axis
    below = torch.tensor([0.0, 0.0, -1.0], dtype=axis.dtype, device=axis.device).expand_as(axis)
    turn = torch.linalg.cross(axis, below)
    off = pad[:, :3] - foot
    ready = (torch.linalg.vector_norm(off[:, :2], dim=1) < 0.003) & (
        torch.linalg.vector_norm(turn, dim=1) < 0.04
    )
    down = off[:, 2] + _PLACE.pad_height
    height = torch.where(ready | (down > -0.012), down - 0.001, down + 0.02)
    motion, grip = _moved(torch.cat([off[:, :2], height[:, None]], dim=1), turn, CAREFUL)
    motion[:, 2] = motion[:, 2].clamp(min=-0.06)
    return motion, grip


def lift_cube(obs: Observations) -> Motion:
    """Over the true cube, its faces between the pads, down, close, up."""
    tool, cube, width = obs["ee_pose"], obs["true_cube_pose"], obs["gripper_width"][:, 0]
    off = cube[:, :3] - tool[:, :3]
    yaw_tool = 2.0 * torch.atan2(tool[:, 5], tool[:, 4])  # upside down: q = (0, cos, sin, 0)
    yaw_cube = 2.0 * torch.atan2(cube[:, 6], cube[:, 3])
    quarter = math.pi / 2
    yaw = torch.remainder(yaw_cube - yaw_tool + 0.5 * quarter, quarter) - 0.5 * quarter
    over = torch.linalg.vector_norm(off[:, :2], dim=1) < 0.012
    down = off[:, 2]
    grips = over & ((down.abs() < 0.006) | ((down > -0.02) & (width < 0.075)))
    held = grips & (width < _LIFT.edge + 0.001)
    height = torch.where(held, torch.full_like(down, 0.1), torch.where(over, down, down + 0.06))
    turn = torch.cat([torch.zeros_like(off[:, :2]), yaw[:, None]], dim=1)
    motion, _ = _moved(torch.cat([off[:, :2], height[:, None]], dim=1), turn)
    return motion, torch.where(grips, 0.0, 1.0)


def bolt_on_nut(obs: Observations) -> Motion:
    """Over the true nut, upright, down; once the thread has caught, turn clockwise."""
    motion, grip = _down_upon(
        obs["ee_pose"], obs["true_nut_pose"], hover=0.09, near=0.085, sink=0.05
    )
    caught = obs["thread"][:, 0] > 0.0
    screw = torch.zeros_like(motion)
    screw[:, 2], screw[:, 5] = -0.003, -TURN
    return torch.where(caught[:, None], screw, motion), grip


EXPERTS: dict[str, Expert] = {
    "reach": reach,
    "peg-insertion": peg_insertion,
    "peg-placement": peg_placement,
    "lift-cube": lift_cube,
    "bolt-on-nut": bolt_on_nut,
    "push-t": push_t,
}
"""By task."""


class Unsteady:
    """An expert's unsteady hand: at times it is pushed aside, and then comes back.

    So there are states beside the expert's way, and what to do there. Pushes are drawn velocities
    that last 0.2 s, one per second on average; between them the expert finds the time for what is
    fine. Source of the idea: DART, Laskey et al., arXiv 1703.09327, whose noise is white and all
    the time.
    """

    def __init__(self, seed: int, deviation: float, period: float) -> None:
        """Begin an episode.

        Args:
            seed: of it.
            deviation: of velocities along each axis [m/s], 5 times that about each [rad/s].
            period: of control [s].
        """
        self._draw = torch.Generator().manual_seed(seed)
        self._sizes = deviation * torch.tensor([1.0, 1.0, 1.0, 5.0, 5.0, 5.0], dtype=torch.float64)
        self._lasts, self._share = max(1, round(PUSH / period)), period / (EVERY - PUSH)
        self._left, self._push = 0, torch.zeros(6, dtype=torch.float64)

    def shaken(self, motion: Motion) -> Motion:
        """Return a motion of the expert (N, [arms,] 6) as the hand does it."""
        twist, grip = motion
        drawn = torch.randn(twist.shape, generator=self._draw, dtype=twist.dtype) * self._sizes
        begins = float(torch.rand((), generator=self._draw, dtype=torch.float64)) < self._share
        if self._left == 0 and begins:
            self._left, self._push = self._lasts, drawn
        pushed = self._left > 0
        self._left -= pushed
        return (twist + self._push if pushed else twist), grip


def actions(motion: Motion, scale: Tensor, period: float) -> Tensor:
    """Return actions (N, A) in [-1, 1] of the controller that moves the tool by steps.

    Args:
        motion: of the tool, or of several (N, arms, 6) and (N, arms).
        scale: (A,) step of an action of 1 [m], [rad]; the seventh is the gripper's, and so on for
            further arms.
        period: of control [s].
    """
    twist, grip = motion
    if twist.ndim == 3:
        parts = zip(twist.unbind(1), grip.unbind(1), scale.chunk(twist.shape[1]), strict=True)
        return torch.cat([actions((t, g), own, period) for t, g, own in parts], dim=1)
    found = twist * period / scale[:6]
    if len(scale) > 6:
        found = torch.cat([found, (2.0 * grip - 1.0)[:, None]], dim=1)
    return found.clamp(-1.0, 1.0)


def _moved(off: Tensor, turn: Tensor, most_turn: float = TURN) -> Motion:
    """Return the motion that drives away an offset (N, 3) [m] and a rotation (N, 3) [rad]."""
    parts = [
        value * (most / torch.linalg.vector_norm(value, dim=1, keepdim=True).clamp(min=most))
        for value, most in ((GAIN * off, SPEED), (GAIN * turn, most_turn))
    ]
    return torch.cat(parts, dim=1), torch.ones_like(off[:, 0])


def _down_upon(tool: Tensor, goal: Tensor, *, hover: float, near: float, sink: float) -> Motion:
    """Return the motion over a goal and upright, then down along its axis.

    Args:
        tool: its pose (N, 7).
        goal: pose (N, 7) of what is to be met, its axis upright.
        hover: height of the tool above it where it aligns [m].
        near: height below which it does not go up again [m].
        sink: how fast it goes down [m/s].
    """
    off = goal[:, :3] - tool[:, :3]
    down = torch.tensor(UPSIDE_DOWN, dtype=tool.dtype, device=tool.device)
    turn = quat_to_rotvec(quat_mul(down.expand(len(tool), 4), quat_conjugate(tool[:, 3:])))
    turn[:, 2] = 0.0  # what is held is round
    aligned = torch.linalg.vector_norm(off[:, :2], dim=1) < 0.0015
    aligned &= torch.linalg.vector_norm(turn, dim=1) < 0.02
    low = aligned | (off[:, 2] > -near)
    over = torch.cat([off[:, :2], off[:, 2:] + hover], dim=1)
    motion, grip = _moved(over, turn)
    motion[:, 2] = torch.where(low, torch.full_like(off[:, 2], -sink), motion[:, 2])
    return motion, grip
