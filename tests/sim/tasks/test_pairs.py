"""Tasks of two arms: what they measure, what counts as done, and experts that do them."""

# pyright: standard

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pytest
import torch

from sim2arm.cli.drive import Drive
from sim2arm.core.contract import Provenance
from sim2arm.core.controllers import EeDeltaCfg
from sim2arm.core.derive import Derivation
from sim2arm.core.robots import UR5E
from sim2arm.core.transforms import quat_to_matrix
from sim2arm.sim.arm import SimulatedArm
from sim2arm.sim.contract import arm_contract
from sim2arm.sim.experts import actions
from sim2arm.sim.experts_pair import PAIR_EXPERTS
from sim2arm.sim.tasks.bimanual_insertion import BimanualInsertionCfg, peg_depth
from sim2arm.sim.tasks.pair import SIDEWAYS, TURNED
from sim2arm.sim.tasks.table import PAIRS, describe_task, make_task
from sim2arm.sim.tasks.transfer_cube import TransferCube, TransferCubeCfg

HZ = 50.0


def make_arm(task: str, num_arms: int = 1) -> SimulatedArm:
    return SimulatedArm(task, "ur5e", num_arms=num_arms, control_hz=HZ)


@pytest.mark.parametrize("name", PAIRS)
def test_both_arms_in_one_vector(name: str) -> None:
    arm = make_arm(name, 2)
    arm.reset([3, 4])
    seen, measured = arm.task.observe(), arm.measured()
    assert (arm.arms, arm.rows) == (2, 4)
    assert measured["joint_position"].shape == (2, 12) and measured["gripper_width"].shape == (2, 2)
    for key in ("joint_position", "joint_velocity", "gripper_width"):
        np.testing.assert_array_equal(measured[key], seen[key].numpy())
    np.testing.assert_allclose(arm.tool_pose(), seen["ee_pose"].numpy(), atol=1e-12)
    contract = arm_contract(arm, EeDeltaCfg(), Provenance(experiment="test"))
    assert contract.all_joint_names[6] == "right_shoulder_pan_joint"
    derived = Derivation(contract)({"joint_position": measured["joint_position"]})
    np.testing.assert_allclose(derived["ee_pose"], arm.tool_pose(), atol=1e-6)
    # the right arm stands 0.7 m to the right of the left one
    world = seen["tool_pose"].unflatten(-1, (2, 7))
    np.testing.assert_allclose(world[:, 1, 1], seen["ee_pose"][:, 8] - 0.35, atol=1e-12)


@pytest.mark.parametrize("name", PAIRS)
def test_an_expert_solves_it(name: str) -> None:
    arm = make_arm(name, 10)
    arm.reset(list(range(10)))
    contract = arm_contract(arm, EeDeltaCfg(rotation_scale=0.03), Provenance(experiment="test"))
    drive, scale = Drive(arm, contract), torch.tensor(contract.action.scale, dtype=torch.float64)
    while not arm.done.all():
        truth = {key: value.to(torch.float64) for key, value in arm.task.observe().items()}
        action = actions(PAIR_EXPERTS[name](truth), scale, contract.period).numpy()
        drive.command(action, arm.measured()["joint_position"])
        arm.step()
    assert not drive.held.any()
    assert int(arm.success.sum()) >= 9


def test_one_arm_is_stopped_and_so_is_the_other() -> None:
    arm = make_arm("transfer-cube", 2)
    contract = arm_contract(arm, EeDeltaCfg(), Provenance(experiment="test"))
    drive, still = Drive(arm, contract), np.zeros((2, 14))
    wild = still.copy()
    wild[0, 7] = np.nan  # the right arm of the first world is asked for what is no number
    drive.command(wild, arm.measured()["joint_position"])
    assert drive.held.tolist() == [True, False] and drive.share.tolist() == [0.0, 1.0]
    assert "finite" in drive.reason(0)
    wild[0] = still[0]
    wild[0, 0] = 1.0
    before = arm.tool_pose()
    wild[1] = wild[0]
    for _ in range(20):  # the left tools are asked to go by 20 cm
        drive.command(wild, arm.measured()["joint_position"])
        arm.step()
    way = np.abs(arm.tool_pose() - before)[:, :3].max(axis=1)
    assert way[0] < 0.002 and way[1] > 0.03


def test_arms_meet_each_other() -> None:
    """Geoms of one arm collide with those of the other and not with their own."""
    model = make_task("transfer-cube", "ur5e").scene().compile()
    kinds = {
        side: {
            (int(model.geom_contype[g]), int(model.geom_conaffinity[g]))
            for g in range(model.ngeom)
            if model.body(int(model.geom_bodyid[g])).name.startswith(side) and model.geom_contype[g]
        }
        for side in ("left_", "right_")
    }
    assert kinds == {"left_": {(6, 1)}, "right_": {(2, 5)}}


def test_orientations_by_hand() -> None:
    down, aside = (quat_to_matrix(torch.tensor(q)) for q in (TURNED, SIDEWAYS))
    torch.testing.assert_close(down[:, 2], torch.tensor([0.0, 0.0, -1.0]))
    torch.testing.assert_close(down[:, 1].abs(), torch.tensor([1.0, 0.0, 0.0]))
    torch.testing.assert_close(aside[:, 2], torch.tensor([0.0, -1.0, 0.0]))
    torch.testing.assert_close(aside[:, 1].abs(), torch.tensor([1.0, 0.0, 0.0]))


def test_depth_by_hand() -> None:
    """The tip is 60 mm before the peg's middle, the mouth 50 mm before the socket's."""
    cfg = BimanualInsertionCfg()
    socket = torch.tensor([[0.5, 0.1, 0.3, 1.0, 0.0, 0.0, 0.0]]).repeat(4, 1)
    peg = socket.clone()
    peg[0, 1] -= 0.08  # tip at -20 mm: 30 mm in
    peg[1, 1] -= 0.12  # tip at -60 mm: before the mouth
    peg[2, 1], peg[2, 0] = peg[2, 1] - 0.08, 0.52  # 20 mm beside
    half = math.sqrt(0.5)
    turned = torch.tensor([half, 0.0, 0.0, half])  # both turned by a quarter about z
    socket[3, 3:], peg[3, 3:] = turned, turned
    peg[3, 0] += 0.08
    torch.testing.assert_close(
        peg_depth(cfg, peg, socket), torch.tensor([0.03, 0.0, 0.0, 0.03]), atol=1e-6, rtol=0.0
    )


def test_what_cannot_be_held_is_refused() -> None:
    with pytest.raises(ValueError, match="edge must be less than the opening"):
        TransferCube(replace(TransferCubeCfg(), edge=0.06), UR5E)
    with pytest.raises(ValueError, match="opening"):
        make_task("bimanual-insertion", "ur5e", "peg_side: 0.04\n" + _rest())


def _rest() -> str:
    text = describe_task(make_task("bimanual-insertion", "ur5e"))[1]
    return "\n".join(line for line in text.splitlines() if not line.startswith("peg_side"))
