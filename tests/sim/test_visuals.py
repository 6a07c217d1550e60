"""The description of a simulated arm: shapes and fingers where the simulation has them."""

# pyright: standard

from __future__ import annotations

import numpy as np
import pytest

from sim2arm.core.robots import ROBOTS
from sim2arm.core.urdf import chain_from_urdf
from sim2arm.core.urdf_shapes import UrdfTree
from sim2arm.sim.arm import SimulatedArm
from sim2arm.sim.scene_view import model_of, read
from sim2arm.sim.visuals import seen_urdf


@pytest.mark.parametrize("robot", ROBOTS)
def test_every_link_and_shape_is_where_the_simulation_has_it(robot: str) -> None:
    arm = SimulatedArm("reach", robot)
    text, chain = seen_urdf(arm), arm.robot.chain
    again = chain_from_urdf(text, chain.joint_names, chain.base_frame, chain.tool_frame)
    assert max(chain.difference(again)) < 1e-9
    tree = UrdfTree(text)
    assert len(tree.shapes) > 20
    arm.reset(3)  # another posture than the one that was described
    names = [*chain.joint_names, *arm.robot.gripper.joint_names]
    q = np.concatenate([arm.joint_state()[0][0], arm.finger_state()[0][0]])
    frames = tree.frames(dict(zip(names, q.tolist(), strict=True)))
    model = model_of(arm.world)
    bodies = {model.body(i).name: i for i in range(model.nbody)}
    shared = set(frames) & set(bodies)
    assert len(shared) >= len(arm.robot.gripper.joint_names)
    places = read(arm.world, "xpos")[0].numpy()
    for name in shared:
        np.testing.assert_allclose(frames[name][:3, 3], places[bodies[name]], atol=1e-6)
    # Every sphere and box of the description is a visible geom of the simulation, at its place.
    centres = read(arm.world, "geom_xpos")[0].numpy()
    for shape in tree.shapes:
        if shape.kind == "box":
            centre = (frames[shape.link] @ shape.T_link_shape)[:3, 3]
            assert np.abs(centres - centre).max(axis=1).min() < 1e-5


def test_what_is_not_the_arm_is_not_described() -> None:
    tree = UrdfTree(seen_urdf(SimulatedArm("lift-cube", "fr3")))
    assert not any("cube" in shape.link or "table" in shape.link for shape in tree.shapes)
