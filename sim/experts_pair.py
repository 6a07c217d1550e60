"""Scripted experts of two arms: what both do, by what each of them holds."""

# pyright: standard

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from typing import TypeAlias

import torch
from torch import Tensor

from sim2arm.core.transforms import (
    pose_between,
    quat_conjugate,
    quat_mul,
    quat_rotate,
    quat_to_rotvec,
)

from .tasks.bimanual_insertion import BimanualInsertionCfg
from .tasks.pair import LEFT, RIGHT, SIDEWAYS, TURNED
from .tasks.transfer_cube import TransferCubeCfg

GAIN, SPEED, TURN = 4.0, 0.25, 1.0
"""How fast an error is driven away [1/s], and at most [m/s], [rad/s]."""
MEET = (0.45, 0.0, 0.3)
"""Where the cube is handed over [m]."""
ABOVE = 0.0125
"""The right tool holds the cube so far above its middle, the left one below it [m]: the pads of
both are 2 cm wide."""
AT = 0.008
"""Where the left tool is near enough to close [m]: nearer, fingers touch and it takes its time, and
who learns from that waits for ever."""
HOLD = (0.45, 0.1, 0.25)
"""Where the socket is held [m]."""
UPRIGHT = (1.0, 0.0, 0.0, 0.0)
PEG_GRIP, SOCKET_GRIP = (0.0, -0.025, 0.004), (0.0, 0.02, 0.0)
"""Where tools hold the parts, in their frames: towards the outer ends, since the wrists of the arms
meet where their hands are 10 cm apart; fingers end 1 cm below the tool [m]."""
Motions: TypeAlias = tuple[Tensor, Tensor]
"""Twists of the tools (N, 2, 6), left and right, in the axes of the world [m/s, rad/s], and the
wanted shares of the openings (N, 2)."""
_CUBE, _INSERTION = TransferCubeCfg(), BimanualInsertionCfg()


def transfer_cube(obs: Mapping[str, Tensor]) -> Motions:
    """Take the cube from above, bring it between the arms; take it from there from the left."""
    tools, cube = obs["tool_pose"].unflatten(-1, (2, 7)), obs["cube_pose"]
    left, right, width = tools[:, 0], tools[:, 1], obs["gripper_width"]
    closed = width < _CUBE.edge + 0.002
    low, high = cube[:, :3].clone(), cube[:, :3].clone()
    low[:, 2] -= ABOVE
    high[:, 2] += ABOVE
    left_has = closed[:, 0] & (_length(low - left[:, :3]) < 0.012)
    right_has = closed[:, 1] & (_length(high - right[:, :3]) < 0.012)
    meet = cube.new_tensor(MEET)
    there = _length(cube[:, :3] - meet) < 0.01
    return _both(
        _receive(left, low, left_has, right_has & there),
        _give(right, cube, high, left_has, right_has, width[:, 1], meet),
    )


def _receive(tool: Tensor, grip: Tensor, has: Tensor, ready: Tensor) -> tuple[Tensor, Tensor]:
    """The left arm waits beside, comes when the cube is there, and stays once it has it."""
    side = grip.new_tensor(MEET) + grip.new_tensor((0.0, 0.15, -ABOVE))
    come = ready | (_length(grip - tool[:, :3]) < 0.1) & (grip[:, 2] > 0.5 * MEET[2])
    goal = torch.where(come[:, None], grip, side)
    turn = _turn_to(tool, SIDEWAYS)
    off = goal - tool[:, :3]
    at = come & (_length(off) < AT)
    motion = _drive(off, turn)
    motion = torch.where(has[:, None], 0.0 * motion, motion)
    return motion, torch.where(at | has, 0.0, 1.0)


def _give(
    tool: Tensor,
    cube: Tensor,
    grip: Tensor,
    left_has: Tensor,
    has: Tensor,
    width: Tensor,
    meet: Tensor,
) -> tuple[Tensor, Tensor]:
    """The right arm picks the cube, brings it, and lets go upwards once the left one has it."""
    off = grip - tool[:, :3]
    aside = _length(off[:, :2])
    over = aside < 0.006
    turn = _turn_to(tool, TURNED)
    # on the way to the cube the fingers turn along its faces, a quarter turn at most
    aligned = turn.clone()
    aligned[:, 2] = _face(cube, tool)
    aligned_now = aligned[:, 2].abs() < 0.05
    pick = torch.cat([off[:, :2], (off[:, 2] + _funnel(aside, aligned[:, 2]))[:, None]], 1)
    down = over & aligned_now & (off[:, 2].abs() < 0.004)
    bring = meet - cube[:, :3]
    gone = off.clone()
    gone[:] = 0.0
    gone[:, 2] = torch.where(width > _CUBE.edge + 0.004, 0.1, 0.0)
    goal = torch.where(has[:, None], bring, pick)
    goal = torch.where(left_has[:, None], gone, goal)
    turns = torch.where((has | left_has)[:, None], turn, aligned)
    grip_share = torch.where(has | down, 0.0, 1.0)
    return _drive(goal, turns), torch.where(left_has, 1.0, grip_share)


def bimanual_insertion(obs: Mapping[str, Tensor]) -> Motions:
    """Each arm takes its part from above and lifts it; then the right one puts its peg in."""
    tools, width = obs["tool_pose"].unflatten(-1, (2, 7)), obs["gripper_width"]
    socket, peg = obs["socket_pose"], obs["peg_pose"]
    at_socket, at_peg = (
        part[:, :3] + quat_rotate(part[:, 3:], part.new_tensor(grip).expand(len(part), 3))
        for part, grip in ((socket, SOCKET_GRIP), (peg, PEG_GRIP))
    )
    has_socket = _has(tools[:, LEFT], at_socket, width[:, LEFT], _INSERTION.outer)
    has_peg = _has(tools[:, RIGHT], at_peg, width[:, RIGHT], _INSERTION.peg_side)
    hold = socket.new_tensor(HOLD) - socket[:, :3]
    left = _drive(hold, _turn_to(socket, UPRIGHT))
    right = _insert(peg, socket, has_socket & (_length(hold) < 0.01))
    return _both(
        _take(tools[:, LEFT], socket, at_socket, has_socket, left),
        _take(tools[:, RIGHT], peg, at_peg, has_peg, right),
    )


def _has(tool: Tensor, grip: Tensor, width: Tensor, size: float) -> Tensor:
    return (width < size + 0.002) & (_length(grip - tool[:, :3]) < 0.02)


def _take(
    tool: Tensor, part: Tensor, grip: Tensor, has: Tensor, then: Tensor
) -> tuple[Tensor, Tensor]:
    """Pick a part that lies along y from above; once it is held move as `then` says (N, 6)."""
    off = grip - tool[:, :3]
    yaw = 2.0 * torch.atan2(part[:, 6], part[:, 3])
    turn = _turn_to(tool, TURNED)
    turn[:, 2] += yaw
    aside = _length(off[:, :2])
    ready = (aside < 0.004) & (turn[:, 2].abs() < 0.05)
    height = off[:, 2] + torch.where(off[:, 2].abs() < 0.004, 0.0, _funnel(aside, turn[:, 2]))
    motion = _drive(torch.cat([off[:, :2], height[:, None]], dim=1), turn)
    down = ready & (off[:, 2].abs() < 0.003)
    return torch.where(has[:, None], then, motion), torch.where(has | down, 0.0, 1.0)


def _insert(peg: Tensor, socket: Tensor, ready: Tensor) -> Tensor:
    """Return the motion of a held peg (N, 6): before the mouth of a socket, then in."""
    cfg = _INSERTION
    mouth = -0.5 * (cfg.socket_length + cfg.peg_length)
    inside = pose_between(socket, peg)
    aside = _length(inside[:, [0, 2]])
    turn = quat_to_rotvec(quat_mul(socket[:, 3:], quat_conjugate(peg[:, 3:])))
    aligned = (aside < 0.0015) & (_length(turn) < 0.03)
    in_it = inside[:, 1] > mouth + 0.002
    forward = ready & (aligned | in_it)
    along = torch.where(forward, mouth + cfg.depth + 0.015, mouth - 0.03) - inside[:, 1]
    way = torch.stack([-inside[:, 0], along.clamp(-0.0625, 0.0125), -inside[:, 2]], dim=1)
    return _drive(quat_rotate(socket[:, 3:], way), turn)


def _funnel(aside: Tensor, turn: Tensor) -> Tensor:
    """Return how far above its goal a tool stays (N,) [m], that is aside (N,) [m] and turned [rad].

    It comes down as it comes near: where it went up at once for being aside, a push made it go up
    and down for ever.
    """
    off = (aside - 0.003).clamp(min=0.0) + 0.05 * (turn.abs() - 0.03).clamp(min=0.0)
    return (8.0 * off).clamp(max=0.08)


def _face(cube: Tensor, tool: Tensor) -> Tensor:
    """Return by how much a tool that points down must turn about z to close on faces (N,) [rad]."""
    yaw_tool = 2.0 * torch.atan2(tool[:, 5], tool[:, 4])
    yaw_cube = 2.0 * torch.atan2(cube[:, 6], cube[:, 3])
    quarter = 0.5 * math.pi
    return torch.remainder(yaw_cube - yaw_tool + 0.5 * quarter, quarter) - 0.5 * quarter


def _turn_to(tool: Tensor, wanted: tuple[float, ...]) -> Tensor:
    goal = tool.new_tensor(wanted).expand(len(tool), 4)
    return quat_to_rotvec(quat_mul(goal, quat_conjugate(tool[:, 3:])))


def _drive(off: Tensor, turn: Tensor) -> Tensor:
    parts = [
        value * (most / _length(value)[:, None].clamp(min=most))
        for value, most in ((GAIN * off, SPEED), (GAIN * turn, TURN))
    ]
    return torch.cat(parts, dim=1)


def _both(left: tuple[Tensor, Tensor], right: tuple[Tensor, Tensor]) -> tuple[Tensor, Tensor]:
    motions, grips = zip(left, right, strict=True)
    return torch.stack(motions, dim=1), torch.stack(grips, dim=1)


def _length(values: Tensor) -> Tensor:
    return torch.linalg.vector_norm(values, dim=-1)


PAIR_EXPERTS: dict[str, Callable[[Mapping[str, Tensor]], Motions]] = {
    "transfer-cube": transfer_cube,
    "bimanual-insertion": bimanual_insertion,
}
"""By task."""
