"""How far pads are apart when an episode starts with something between them."""

# pyright: standard, reportAttributeAccessIssue=false

from dataclasses import replace

import numpy as np
import pytest
import torch

from sim2arm.core.robots import FR3, UR5E, Robot
from sim2arm.sim.env import Env
from sim2arm.sim.tasks.bolt_on_nut import BoltOnNutCfg
from sim2arm.sim.tasks.peg_insertion import PegInsertionCfg
from sim2arm.sim.tasks.peg_placement import PegPlacementCfg
from sim2arm.sim.tasks.shapes import PAD_GAP
from sim2arm.sim.tasks.table import build_task
from sim2arm.sim.touch import Touch

HELD = {
    "insertion": (PegInsertionCfg(), 2.0 * PegInsertionCfg().peg_radius),
    "placement": (PegPlacementCfg(), 2.0 * PegPlacementCfg().peg_radius),
    "bolt": (BoltOnNutCfg(), BoltOnNutCfg().flats),
}
"""Task and width of what is held [m]."""


@pytest.mark.parametrize("robot", [FR3, UR5E], ids=lambda robot: robot.name)
@pytest.mark.parametrize("case", HELD)
def test_pads_start_about_what_they_hold(case: str, robot: Robot) -> None:
    """Without gels beside it; gels lie in it."""
    cfg, width = HELD[case]
    touch = Touch(sees=())
    for gels, gap in ((None, PAD_GAP), (touch, -touch.grip)):
        env = Env(build_task(cfg, robot), robot, num_envs=1, touch=gels, threads=1)
        env.reset([0])
        q = env.world.joints(robot.gripper.joint_names).q.numpy()
        np.testing.assert_allclose(robot.gripper.width(q), width + 2.0 * gap, atol=1e-9)


def test_gels_of_another_hand_hold_a_peg() -> None:
    env = Env(build_task(PegPlacementCfg(), UR5E), UR5E, num_envs=2, touch=Touch(), threads=1)
    env.reset([1, 2])
    obs = {}
    for _ in range(20):
        obs = env.step(torch.zeros(2, env.action_dim))[0]
    pressed = obs["touch_field"][..., 0].sum(dim=(2, 3))
    assert (pressed > 2.0).all()  # [N]
    torch.testing.assert_close(pressed[:, 0], pressed[:, 1], rtol=0.1, atol=0.0)


@pytest.mark.parametrize("case", HELD)
def test_slides_that_do_not_close_at_zero_start_as_wide(case: str) -> None:
    """Joints that run from 40 mm downwards: at 40 mm - w / 2 the pads are w apart."""
    cfg, width = HELD[case]
    env = Env(build_task(cfg, FR3), FR3, num_envs=1, threads=1)
    odd = replace(FR3.gripper, closed=0.04, opening=-1.0)
    env.task.robot = replace(FR3, gripper=odd)  # type: ignore[attr-defined]
    env.reset([0])
    q = env.world.joints(FR3.gripper.joint_names).q.numpy()
    np.testing.assert_allclose(q, 0.04 - 0.5 * width - PAD_GAP, atol=1e-9)


@pytest.mark.parametrize("case", ["insertion", "placement"])
def test_a_peg_that_no_hand_holds_is_refused(case: str) -> None:
    cfg = replace(HELD[case][0], peg_radius=0.05)
    with pytest.raises(ValueError, match=r"peg_radius, twice, must be less than the opening"):
        build_task(cfg, FR3)
