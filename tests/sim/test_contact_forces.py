"""Contact forces on both engines: weights by hand, whose force on whom, which worlds."""

# MuJoCo's extension modules have no stubs.
# pyright: standard, reportAttributeAccessIssue=false

from __future__ import annotations

import mujoco
import numpy as np
import pytest
import torch

from sim2arm.sim.contact_forces import ContactForces, contact_forces
from sim2arm.sim.worlds.base import World
from sim2arm.sim.worlds.table import make_world

ENGINES = ("mujoco", "warp")
# The upper box is body 1, the lower one body 2: a stack on a table.
STACK = """
<mujoco>
  <option gravity="0 0 -10"/>
  <worldbody>
    <geom type="box" size="1 1 0.1" pos="0 0 -0.1"/>
    <body name="upper" pos="0 0 0.15"><freejoint/><geom type="box" size="0.05 0.05 0.05"
      mass="0.5"/></body>
    <body name="lower" pos="0 0 0.05"><freejoint/><geom type="box" size="0.05 0.05 0.05"
      mass="1"/></body>
    <body name="arm" pos="0 0 3"><joint name="arm"/><geom size="0.1"/></body>
  </worldbody>
  <actuator><motor joint="arm"/></actuator>
</mujoco>
"""


@pytest.fixture(params=ENGINES)
def world(request: pytest.FixtureRequest) -> World:
    """Three worlds at rest; in world 1 the boxes hang in the air."""
    spec = mujoco.MjSpec.from_string(STACK)
    made = make_world(request.param, spec, 3, timestep=1 / 480, control_substeps=8)
    return made


def settle(world: World) -> None:
    for name in ("upper", "lower"):
        world.free_body(name).q[1, 0] = 5.0  # beside the table
    world.forward()
    for _ in range(30):
        world.step()


def between(found: ContactForces, i: int, low: float, high: float) -> np.ndarray:
    """Return the summed force of world `i` at heights between two."""
    height = found.points[:, 2]
    return found.forces[(found.worlds == i) & (height > low) & (height < high)].sum(axis=0)


def test_forces_carry_weights_and_act_on_the_higher_number(world: World) -> None:
    settle(world)
    found = contact_forces(world, [2, 0, 1])
    assert sorted(set(found.worlds.tolist())) == [0, 2]  # none where the boxes fall
    assert found.worlds.tolist() == sorted(found.worlds.tolist())
    for i in (0, 2):
        # Table (body 0) on lower box: (0.5 + 1) x 10 = 15 N upwards.
        np.testing.assert_allclose(between(found, i, -0.02, 0.02), [0, 0, 15], atol=0.05)
        # Upper (body 1) on lower box (body 2): 0.5 x 10 = 5 N downwards.
        np.testing.assert_allclose(between(found, i, 0.08, 0.12), [0, 0, -5], atol=0.05)


def test_only_the_worlds_that_are_asked_for(world: World) -> None:
    settle(world)
    assert set(contact_forces(world, [2]).worlds.tolist()) == {2}
    assert len(contact_forces(world, []).worlds) == 0


def test_there_are_none_from_a_reset_to_the_next_step(world: World) -> None:
    assert len(contact_forces(world, [0, 1, 2]).worlds) == 0
    settle(world)
    world.reset(torch.tensor([True, False, False]))
    world.forward()
    # Not from other worlds: MuJoCo Warp has one list of contacts for all of them.
    left = contact_forces(world, [0, 2])
    assert set(left.worlds.tolist()) == {2}
    np.testing.assert_allclose(between(left, 2, -0.02, 0.02), [0, 0, 15], atol=0.05)
    world.step()
    found = contact_forces(world, [0])
    assert set(found.worlds.tolist()) == {0} and found.points.shape == found.forces.shape
