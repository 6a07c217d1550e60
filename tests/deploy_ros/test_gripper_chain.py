# pyright: standard, reportMissingModuleSource=false
"""A policy that works a gripper, through real processes, in lock step and in real time."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from sim2arm.cli.evaluation import of_bundle, run_episodes
from sim2arm.cli.ros_evaluation import run_through_ros
from sim2arm.core.contract import Contract, Provenance, StateSpec
from sim2arm.core.controllers import EeDeltaCfg
from sim2arm.policies.export import export_bundle
from sim2arm.policies.runtime import OnnxPolicy
from sim2arm.sim.arm import SimulatedArm
from sim2arm.sim.contract import arm_contract
from sim2arm.sim.tasks.table import make_task
from sim2arm_ros.dds import context as _needs_the_dds_extra  # noqa: F401

pytestmark = pytest.mark.timeout(90)

SETTINGS = "max_steps: 90\n"
CLOCK = StateSpec(name_in="clock", name_out="clock_next", shape=(1,), initial=(0.0,))


class Gripping(nn.Module):
    """Swings a little, and opens and closes by time and by how wide the gripper is."""

    def __init__(self, joints: int) -> None:
        super().__init__()
        random = torch.Generator().manual_seed(0)
        self.joints = nn.Parameter(0.05 * torch.randn(joints, 6, generator=random))

    def forward(
        self, obs: dict[str, Tensor], state: dict[str, Tensor], noise: dict[str, Tensor]
    ) -> tuple[Tensor, dict[str, Tensor]]:
        clock, width = state["clock"], obs["gripper_width"]
        arm = 0.4 * torch.tanh(obs["joint_position"] @ self.joints + 5.0 * width)
        grip = torch.tanh(4.0 * torch.sin(clock * 0.15 + 1.2)) - 3.0 * width
        action = torch.cat([arm, grip.clamp(-1.0, 1.0)], dim=1)
        return action[:, None], {"clock": clock + 1.0}


def write_gripping(path: Path, arm: SimulatedArm) -> Path:
    """Export it with ages that suit a busy machine."""
    contract = arm_contract(arm, EeDeltaCfg(), Provenance(experiment="gripping"))
    seen = ("joint_position", "gripper_width")
    inputs = tuple(
        replace(contract.input(name), max_stamp_age_s=0.3, max_receipt_age_s=0.3) for name in seen
    )
    contract: Contract = replace(contract, inputs=inputs, states=(CLOCK,), ranges=())
    steps = {name: np.stack([arm.measured()[name][0]] * 4).astype(np.float32) for name in seen}
    export_bundle(Gripping(len(contract.joint_names)), contract, [steps], path)
    return path


@pytest.fixture(scope="module")
def bundle(tmp_path_factory: pytest.TempPathFactory) -> Path:
    arm = SimulatedArm(make_task("lift-cube", "fr3", SETTINGS), "fr3")
    return write_gripping(tmp_path_factory.mktemp("gripping") / "bundle", arm)


@pytest.mark.parametrize("robot", ["", "fr3"], ids=["gripper command", "franka hand"])
def test_lock_step_is_the_same_as_in_process_to_the_bit(
    bundle: Path, tmp_path: Path, robot: str
) -> None:
    task, policy = make_task("lift-cube", "fr3", SETTINGS), OnnxPolicy(bundle)
    widths: list[float] = []
    inside = run_episodes(
        task, policy.contract, of_bundle(policy), [0, 3], num_arms=1,
        record=lambda arm: widths.append(float(arm.gripper_width()[0])),
    )  # fmt: skip
    outside = run_through_ros(
        bundle, task, [0, 3], real_time=False, folder=tmp_path / "logs", robot=robot
    )
    assert outside.episodes.endings == inside.endings
    for through, alone in zip(outside.episodes.actions, inside.actions, strict=True):
        np.testing.assert_array_equal(through, alone)
    assert np.ptp(widths) > 0.03, "the gripper hardly moved"
    assert all(course.faults() == [] for course in outside.courses)


def test_in_real_time_it_closes_and_opens(bundle: Path, tmp_path: Path) -> None:
    task = make_task("lift-cube", "fr3", SETTINGS)
    found = run_through_ros(bundle, task, [0], real_time=True, folder=tmp_path / "logs")
    (actions,) = found.episodes.actions
    assert found.episodes.endings == ("time up",)  # nothing held the arm until its time was up
    # What it answers depends on the width that it sees: by how much it is less than 1 at its most.
    assert actions[:, 6].max() - actions[:, 6].min() > 1.5
    report = {item["name"]: item for item in found.activation["items"]}
    assert report["gate_node: gripper: action"]["ok"] and report["gate_node: gripper: width"]["ok"]
