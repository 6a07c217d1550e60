"""The derived inputs of the contract are what the simulation observes, sign included."""

# pyright: standard

from typing import Any

import numpy as np
import pytest
import torch

from sim2arm.core.contract import LowLevelSpec
from sim2arm.core.derive import Derivation
from sim2arm.core.robots import ROBOTS
from sim2arm.sim.arm import SimulatedArm
from sim2arm.sim.specs import arm_specs
from tests.builders import make_contract


@pytest.mark.parametrize("name", ROBOTS)
def test_the_simulated_tool_pose_is_the_formula(name: str) -> None:
    robot, n = ROBOTS[name], 500
    arm = SimulatedArm("reach", name, num_arms=n)
    q = np.random.default_rng(0).uniform(
        robot.limits.q_min, robot.limits.q_max, (n, len(robot.home))
    )
    arm.world.joints(robot.joint_names).q[:] = torch.from_numpy(q)
    arm.world.forward(torch.arange(n))
    specs = arm_specs(robot)
    overrides: dict[str, Any] = {
        "robot": name,
        "joint_names": robot.joint_names,
        "chain": robot.chain.to_dict(),
        "limits": robot.limits,
        "inputs": (specs["joint_position"], specs["ee_pose"]),
        "low_level": LowLevelSpec(
            kind="joint_impedance",
            kp=robot.kp,
            kd=robot.kd,
            kp_range=tuple((k, k) for k in robot.kp),
            kd_range=tuple((k, k) for k in robot.kd),
        ),
    }
    found = Derivation(make_contract(**overrides))({"joint_position": q})["ee_pose"]
    # Both are rounded from float64 values that agree to 1e-14.
    np.testing.assert_allclose(found, arm.tool_pose(), rtol=0, atol=6e-8)
