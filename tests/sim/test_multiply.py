"""Paths for moved objects, by hand."""

# pyright: standard

import math

import numpy as np

from sim2arm.core.transforms import pose_between
from sim2arm.sim.multiply import PARTS, Part, bridge, carry, together
from sim2arm.sim.tasks.table import PAIRS, TASKS

NONE = (1.0, 0.0, 0.0, 0.0)
QUARTER = (math.sqrt(0.5), 0.0, 0.0, math.sqrt(0.5))


def poses(*rows: tuple[float, ...]) -> np.ndarray:
    return np.array([(*row, *NONE)[:7] for row in rows])


def test_a_part_goes_with_its_object() -> None:
    """The object lay at x = 1 and lies at y = 1, turned by a quarter: 10 cm before it stays so."""
    path = poses((0.8, 0.0, 0.2), (0.9, 0.0, 0.1))
    before = {"cube": poses((1.0, 0.0, 0.0), (1.0, 0.0, 0.0))}
    now = {"cube": np.array([0.0, 1.0, 0.0, *QUARTER])}
    start = np.array([0.0, 0.8, 0.2, *QUARTER])
    found, ticks = carry(path, [Part(about="cube")], before, now, start, 0.02)
    np.testing.assert_allclose(
        found, [[0.0, 0.8, 0.2, *QUARTER], [0.0, 0.9, 0.1, *QUARTER]], atol=1e-12
    )
    assert ticks.tolist() == [0, 1]


def test_behind_the_lift_the_path_is_that_of_the_demonstration() -> None:
    path = poses((0.0, 0.0, 0.0), (0.0, 0.0, 0.0), (0.0, 0.0, 0.3))
    before = {"cube": poses((0.0, 0.0, 0.0), (0.0, 0.0, 0.001), (0.0, 0.0, 0.01))}
    now = {"cube": np.array([0.1, 0.0, 0.0, *NONE])}
    parts = [Part(about="cube", until_held=True), Part()]
    found, ticks = carry(path, parts, before, now, np.array([0.1, 0.0, 0.0, *NONE]), 0.1)
    np.testing.assert_allclose(found[:2], poses((0.1, 0.0, 0.0), (0.1, 0.0, 0.0)))
    np.testing.assert_allclose(found[-1], path[-1])
    # sqrt(0.1^2 + 0.3^2) m at 0.15 m/s: 2.1 s, so 21 poses between
    assert ticks.tolist() == [0, 1, *[2] * 22]


def test_bridges_by_hand() -> None:
    """6 cm at 0.15 m/s take 0.4 s: three poses between at 0.1 s; a radian takes one second."""
    way = bridge(poses((0.0, 0.0, 0.0))[0], poses((0.06, 0.0, 0.0))[0], 0.1)
    np.testing.assert_allclose(way[:, 0], [0.015, 0.03, 0.045])
    turned = np.array([0.0, 0.0, 0.0, math.cos(0.5), 0.0, 0.0, math.sin(0.5)])
    way = bridge(poses((0.0, 0.0, 0.0))[0], turned, 0.25)
    half = pose_between(way[1], turned)
    np.testing.assert_allclose(2.0 * math.acos(half[3]), 0.5)
    assert len(way) == 3 and len(bridge(turned, turned, 0.1)) == 0


def test_tools_come_to_each_tick_together() -> None:
    slow = poses((0.0, 0.0, 0.0), (1.0, 0.0, 0.0), (2.0, 0.0, 0.0), (3.0, 0.0, 0.0))
    fast = poses((5.0, 0.0, 0.0), (6.0, 0.0, 0.0))
    both, ticks = together([(slow, np.array([0, 0, 0, 1])), (fast, np.array([0, 1]))])
    assert both[:, 0, 0].tolist() == [0.0, 1.0, 2.0, 3.0]
    assert both[:, 1, 0].tolist() == [5.0, 5.0, 5.0, 6.0]
    assert ticks.tolist() == [0, 0, 0, 1]


def test_tasks_whose_paths_can_be_carried() -> None:
    assert set(TASKS | PAIRS) - set(PARTS) == {"push-t", "reach", "peg-placement"}
