"""Pushes of the T by hand and as laws of motion; the time to go; what the expert does with them."""

# pyright: standard

from __future__ import annotations

import math

import pytest
import torch
from torch import Tensor

from sim2arm.sim.experts_push_t import HIGH, LOW, PUSH_SPEED, SPEED, look, push_t
from sim2arm.sim.pushing import (
    REGRASP,
    Push,
    distance,
    edge_points,
    gap,
    goal_after,
    push,
    time_to_go,
)
from sim2arm.sim.tasks.push_t import PushTCfg, inside_t

TOP = 0.03 * (6.0 / 7.0 + 0.5)
"""Height of the bar's upper edge over the centre of mass [m]."""
CPU = torch.device("cpu")


def pushed(point: tuple[float, float], force: tuple[float, float], *lengths: float) -> Push:
    """Return pushes of one contact."""
    return push(torch.tensor(point), torch.tensor(force), torch.tensor(lengths))


def pose(x: float, y: float, z: float, yaw: float = 0.0) -> Tensor:
    """Return a pose (1, 7)."""
    turn = (math.cos(0.5 * yaw), 0.0, 0.0, math.sin(0.5 * yaw))
    return torch.tensor([[x, y, z, *turn]])


def scene(tool: tuple[float, float, float], goal: tuple[float, float, float]) -> dict[str, Tensor]:
    """Return observations of a T at x = 0.5 m, yaw 0; the others from there."""
    return {
        "ee_pose": pose(0.5 + tool[0], tool[1], tool[2]),
        "block_pose": pose(0.5, 0.0, 0.02),
        "goal_pose": pose(0.5 + goal[0], goal[1], 0.02, goal[2]),
    }


def test_pushing_the_middle_of_the_bar_moves_it_straight() -> None:
    found = pushed((0.0, TOP), (0.0, -1.0), 0.01, 0.1)
    torch.testing.assert_close(found.shift, torch.tensor([[0.0, -0.01], [0.0, -0.1]]))
    assert found.turn.tolist() == [0.0, 0.0]
    assert found.way.tolist() == [0.0, -1.0]


def test_pushing_the_end_of_the_bar_turns_it() -> None:
    """At (0.06, 0.040714) downwards: p x f = -0.06, over 0.06^2 a rate of -16.667 1/m: clockwise.

    The point moves by (0, -1) - 16.667 (-0.040714, 0.06) = (0.678571, -2), of length 2.111980; in
    1 mm of that the T turns by -16.667 / 2.111980 * 0.001 = -0.0078915 and goes down by 0.47 mm.
    """
    found = pushed((0.06, TOP), (0.0, -1.0), 0.001)
    assert found.turn.item() == pytest.approx(-0.0078915, rel=1e-4)
    assert found.way.tolist() == pytest.approx([0.678571 / 2.11198, -2.0 / 2.11198], rel=1e-4)
    assert found.shift[0, 1].item() == pytest.approx(-0.001 / 2.11198, rel=1e-3)
    other = pushed((-0.06, TOP), (0.0, -1.0), 0.001)
    assert other.turn.item() == pytest.approx(0.0078915, rel=1e-4)


def test_pushes_are_arcs_that_follow_each_other() -> None:
    """Twice 3 cm are 6 cm, for any contact; and the finger's way starts where it says."""
    generator = torch.Generator().manual_seed(0)
    points, angle = 0.05 * torch.randn(20, 2, generator=generator), torch.arange(20.0)
    forces = torch.stack([torch.cos(angle), torch.sin(angle)], dim=-1)
    goal = torch.randn(20, 3, generator=generator)
    once, twice = (push(points, forces, torch.tensor([way])) for way in (0.03, 0.06))
    again = goal_after(goal_after(goal, once)[:, 0], once)
    off = again - goal_after(goal, twice)
    off[..., 2] = torch.sin(off[..., 2])
    torch.testing.assert_close(off, torch.zeros_like(off), atol=1e-5, rtol=0.0)
    small = push(points.double(), forces.double(), torch.tensor([1e-6], dtype=torch.float64))
    c, s = torch.cos(small.turn[:, 0]), torch.sin(small.turn[:, 0])
    x, y = points.double().unbind(-1)
    moved = torch.stack([c * x - s * y, s * x + c * y], dim=-1) + small.shift[:, 0]
    torch.testing.assert_close((moved - points) / 1e-6, small.way, atol=1e-4, rtol=0.0)


def test_the_t_by_hand() -> None:
    """Above the bar; in the corner, 3 mm from the stem and 15 from the bar; inside."""
    points = torch.tensor([[0.0, TOP + 0.01], [0.018, TOP - 0.045], [0.0, TOP - 0.015]])
    assert gap(points).tolist() == pytest.approx([0.01, 0.003, -0.015], abs=1e-6)
    border, edges = edge_points()
    assert len(border) == len(edges) == 36
    torch.testing.assert_close(gap(border), torch.zeros(36), atol=1e-6, rtol=0.0)
    inner = border + 1e-4 * torch.tensor([[0.0, -1.0]])
    assert inside_t(inner[edges == 0], PushTCfg().square).all()
    goal = torch.tensor([0.003, 0.004, -0.1])
    assert distance(goal).item() == pytest.approx(0.005 + 0.0044)


def test_the_time_to_go() -> None:
    """10 cm ahead are one push; half a turn takes two or more; left is as far as right."""
    times = time_to_go(CPU)
    here, ahead, turned = times(
        torch.tensor([[0.0, 0.0, 0.0], [0.0, -0.1, 0.0], [0.0, 0.0, math.pi]])
    ).tolist()
    assert here == pytest.approx(0.0, abs=1e-6)
    one = REGRASP + 0.1 / PUSH_SPEED  # between places of the grid it is a little more
    assert one - 1e-3 < ahead < one + 0.5 * REGRASP
    assert 2.0 * REGRASP < turned < 10.0
    goals = 0.1 * torch.randn(50, 3, generator=torch.Generator().manual_seed(0))
    mirrored = goals * torch.tensor([-1.0, 1.0, -1.0])
    torch.testing.assert_close(times(goals), times(mirrored), atol=1e-3, rtol=0.0)
    assert times(torch.tensor([[0.2, 0.2, 3.0]])).item() > times(goals).max().item()


def test_the_expert_pushes_on_where_it_pays() -> None:
    """The goal lies straight ahead of low fingers that touch the middle of the bar."""
    obs = scene((0.0, TOP + 0.015, LOW), (0.0, -0.1, 0.0))
    twist, _ = push_t(obs)
    assert twist[0].tolist() == pytest.approx([0.0, -PUSH_SPEED, 0.0, 0.0, 0.0, 0.0], abs=0.02)


def test_the_expert_goes_over_the_t_to_its_other_side() -> None:
    """The goal is on the side of the fingers: first up, then across, then down."""
    goal = (0.0, 0.11, 0.0)
    low, _ = push_t(scene((0.0, TOP + 0.015, LOW), goal))
    assert low[0, 2] > 0.09 and low[0, :2].norm() < 0.05
    high, _ = push_t(scene((0.0, TOP + 0.015, HIGH), goal))
    assert high[0, 1] < -0.9 * SPEED and high[0, 2].abs() < 1e-6
    behind, _ = push_t(scene((0.0, -0.079 - 0.03, HIGH), goal))
    assert behind[0, 2] < -0.09


def test_the_expert_leaves_a_t_at_its_goal_and_knows_angles_in_full_turns() -> None:
    twist, _ = push_t(scene((0.1, 0.1, LOW), (0.0, 0.0, 0.0)))
    torch.testing.assert_close(twist, torch.zeros(1, 6), atol=1e-6, rtol=0.0)
    seen = look(scene((0.0, 0.0, LOW), (0.1, 0.0, 2.0 * math.pi - 0.1)))
    assert seen.goal[0].tolist() == pytest.approx([0.1, 0.0, -0.1], abs=1e-5)


def test_worlds_do_not_depend_on_each_other() -> None:
    each = [scene((0.02 * i, TOP + 0.03, LOW), (0.02, -0.05, 0.3 * i)) for i in range(5)]
    together, _ = push_t({name: torch.cat([obs[name] for obs in each]) for name in each[0]})
    alone = torch.cat([push_t(obs)[0] for obs in each])
    torch.testing.assert_close(together, alone, atol=1e-5, rtol=0.0)
    assert together.dtype == torch.float32
    double, _ = push_t({name: value.double() for name, value in each[0].items()})
    assert double.dtype == torch.float64
