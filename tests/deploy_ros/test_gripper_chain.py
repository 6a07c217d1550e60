# pyright: standard, reportMissingModuleSource=false
"""A policy that works a gripper, through real processes, in lock step and in real time."""

from __future__ import annotations

import time
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
from sim2arm_ros.dds import install

install()

from sensor_msgs.msg import JointState  # noqa: E402
from std_srvs.srv import Trigger  # noqa: E402

from sim2arm_ros.graph_file import read_graph  # noqa: E402
from sim2arm_ros.launcher import (  # noqa: E402
    Launch,
    Place,
    policy_graph,
    private_domain,
    simulated_arm,
)
from sim2arm_ros.node_support import streaming  # noqa: E402
from sim2arm_ros.supervisor import Supervisor  # noqa: E402

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


def write_gripping(path: Path, arm: SimulatedArm, policy: nn.Module | None = None) -> Path:
    """Export it, or another one, with ages that suit a busy machine."""
    contract = arm_contract(arm, EeDeltaCfg(), Provenance(experiment="gripping"))
    seen = ("joint_position", "gripper_width")
    inputs = tuple(
        replace(contract.input(name), max_stamp_age_s=0.3, max_receipt_age_s=0.3) for name in seen
    )
    contract: Contract = replace(contract, inputs=inputs, states=(CLOCK,), ranges=())
    steps = {name: np.stack([arm.measured()[name][0]] * 4).astype(np.float32) for name in seen}
    policy = policy or Gripping(len(contract.joint_names))
    export_bundle(policy, contract, [steps], path)
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


class Closing(Gripping):
    """Swings a little with an open gripper, then closes it."""

    def forward(
        self, obs: dict[str, Tensor], state: dict[str, Tensor], noise: dict[str, Tensor]
    ) -> tuple[Tensor, dict[str, Tensor]]:
        action, more = super().forward(obs, state, noise)
        grip = torch.where(state["clock"] > 30.0, -1.0, 1.0)
        return torch.cat([action[:, 0, :6], grip], dim=1)[:, None], more


def closes(operator: Supervisor, widths: list[float]) -> bool:
    """Let the policy run until its gripper closes; return whether a busy machine let it."""
    operator.activate("gate_node")
    operator.call(Trigger, "/gate_node/reset", Trigger.Request())
    operator.spin_until(lambda: operator.gate.get("ready") == "True", 20.0, "gate")
    operator.policy.clear()
    widths.clear()
    operator.activate("policy_node")

    def stopped() -> bool:
        return operator.policy.get("phase") == "STOPPED"

    operator.spin_until(lambda: stopped() or max(widths, default=0.0) > 0.07, 20.0, "open gripper")
    operator.spin_until(lambda: stopped() or widths[-1] < 0.06, 20.0, "gripper that closes")
    if stopped():
        operator.transition("policy_node", "deactivate")
        operator.transition("gate_node", "deactivate")
    return not stopped()


@pytest.mark.parametrize("robot", ["", "fr3"], ids=["gripper command", "franka hand"])
def test_a_stop_ends_the_closing_of_a_gripper(tmp_path: Path, robot: str) -> None:
    """It closes no further; closing takes 0.4 s and more, a stop a cycle or two."""
    settings = tmp_path / "task.yaml"
    settings.write_text("max_steps: 100000\n")
    bundle = write_gripping(
        tmp_path / "bundle",
        SimulatedArm(make_task("lift-cube", "fr3", SETTINGS), "fr3"),
        Closing(7),
    )
    place = Place(robot=robot)
    arm = simulated_arm("lift-cube", "fr3", 60.0, lock_step=False, settings=settings, place=place)
    env = private_domain()
    widths: list[float] = []

    def hear(message: JointState) -> None:
        fingers = [p for n, p in zip(message.name, message.position, strict=True) if "finger" in n]
        if fingers:
            widths.append(sum(fingers))

    topic = read_graph(None, robot).inputs["gripper_width"].topic
    gate, policy = policy_graph(bundle, place=place, flights=tmp_path / "flights")
    patient = {"request_timeout_s": 0.5, "clock_freeze_s": 0.5}  # for a busy machine
    nodes = [arm, replace(gate, parameters={**gate.parameters, **patient}), policy]
    with (
        Launch(nodes, log_folder=tmp_path / "logs", env=env) as launch,
        Supervisor(alive=launch.dead, env=env) as operator,
    ):
        operator.node.create_subscription(JointState, topic, hear, streaming(100))
        operator.configure()
        assert any(closes(operator, widths) for _ in range(5)), f"{operator.gate}"
        operator.call(Trigger, "/gate_node/estop", Trigger.Request())
        at, end = widths[-1], time.monotonic() + 1.0
        operator.spin_until(lambda: time.monotonic() > end, 5.0, "time")
        assert at > 0.02, "it closed too fast to be stopped"
        assert widths[-1] > at - 0.015 and abs(widths[-1] - widths[-5]) < 1e-3


def test_in_real_time_it_closes_and_opens(bundle: Path, tmp_path: Path) -> None:
    task = make_task("lift-cube", "fr3", SETTINGS)
    found = run_through_ros(bundle, task, [0], real_time=True, folder=tmp_path / "logs")
    (actions,) = found.episodes.actions
    assert found.episodes.endings == ("time up",)  # nothing held the arm until its time was up
    # What it answers depends on the width that it sees: by how much it is less than 1 at its most.
    assert actions[:, 6].max() - actions[:, 6].min() > 1.5
    report = {item["name"]: item for item in found.activation["items"]}
    assert report["gate_node: gripper: action"]["ok"] and report["gate_node: gripper: width"]["ok"]
