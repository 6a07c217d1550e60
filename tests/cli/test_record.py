"""`sim2arm record`: a dataset of a scripted expert whose rows are what the arm did."""

# pyright: standard

from pathlib import Path

import numpy as np
import pytest
import torch

from sim2arm.cli import main as cli
from sim2arm.cli import record
from sim2arm.cli.evaluation import run_episodes
from sim2arm.cli.experiments import EXPERIMENTS
from sim2arm.cli.runs import build_task
from sim2arm.core.contract import Contract
from sim2arm.core.kinematics import forward_pose
from sim2arm.core.plain import from_plain
from sim2arm.policies.dataset.reader import Dataset
from sim2arm.sim.arm import SimulatedArm


def run(out: Path, *words: str) -> int:
    return cli.main(["record", *words, "--out", str(out)])


def test_rows_are_what_the_arm_did(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out = tmp_path / "set"
    assert run(out, "lift-cube", "--episodes", "1", "--seed", "3") == 0
    assert "1 of 1 episodes kept" in capsys.readouterr().out
    assert run(out, "lift-cube", "--episodes", "1", "--seed", "3") == 0  # goes on with the next
    dataset = Dataset(out)
    assert [dataset.notes(k)["seed"] for k in (0, 1)] == [3, 4]
    contract = from_plain(Contract, dataset.index.spec.documents["contract"])
    assert (contract.robot, dataset.index.spec.fps) == ("fr3", 60)
    rows = dataset.episode(0)
    assert rows["next.success"][:, 0].tolist() == [False] * (len(rows["index"]) - 1) + [True]
    assert set(rows["source"]) == {"script"} and not rows["safety.held"].any()
    assert rows["sync.dropped"].sum() == 0
    steps = np.diff(rows["sync.stamp_ns"][:, 0])
    assert np.abs(steps - 1e9 / 60.0).max() <= 1.0
    q = rows["observation.state"][:, :7].astype(float)
    pose = forward_pose(contract.kinematic_chain, q)
    np.testing.assert_allclose(pose[:, :3], rows["measured.ee_pose"][:, :3], atol=1e-5)
    # the arm follows what the gate commanded: within 2 degrees a period later, with a lead two
    later = 1 + bool(dataset.notes(0)["leads"])
    assert np.abs(rows["command.position"][:-later] - q[later:]).max() < 0.035
    assert np.abs(rows["request.ee_delta"]).max() <= 1.0
    np.testing.assert_array_equal(rows["action"][:, 7], rows["request.ee_delta"][:, 6])


def test_joint_targets_do_again_what_steps_did(tmp_path: Path) -> None:
    """The column `action`, played through controller and gate, moves the arm as before."""
    assert run(tmp_path / "set", "lift-cube", "--episodes", "1", "--seed", "5") == 0
    dataset = Dataset(tmp_path / "set")
    contract = from_plain(Contract, dataset.index.spec.documents["contract"])
    rows, tick, arm_q = dataset.episode(0), iter(range(10_000)), list[np.ndarray]()
    result = run_episodes(
        build_task(EXPERIMENTS["lift-cube-ppo"][1]), contract,
        lambda obs: rows["action"][None, next(tick)], [5], num_arms=1,
        record=lambda arm: arm_q.append(arm.joint_state()[0][0]),
    )  # fmt: skip
    assert result.success.all() and len(arm_q) == len(rows["index"])
    np.testing.assert_allclose(arm_q[:-1], rows["observation.state"][1:, :7], atol=1e-4)


def test_a_hand_that_is_pushed_comes_back(tmp_path: Path) -> None:
    words = ["lift-cube", "--episodes", "2", "--seed", "3", "--lead-share", "0", "--keep", "all"]
    assert run(tmp_path / "steady", *words) == 0
    for name in ("pushed", "again"):
        assert run(tmp_path / name, *words, "--disturb", "0.05") == 0
    steady, pushed, again = (Dataset(tmp_path / name) for name in ("steady", "pushed", "again"))
    assert pushed.notes(0)["disturb"] == 0.05 and "disturb" not in steady.notes(0)
    aside, back = list[float](), 0
    for k in range(2):
        own, other = (each.episode(k)["measured.ee_pose"][:, :3] for each in (steady, pushed))
        np.testing.assert_array_equal(own[0], other[0])
        n = min(len(own), len(other))
        aside.append(float(np.abs(own[:n] - other[:n]).max()))
        # until the first push both are the same; its row says what was asked for, not the push
        a, b = steady.episode(k), pushed.episode(k)
        apart = np.any(a["command.position"][:n] != b["command.position"][:n], axis=1)
        if apart.any():
            i = int(apart.argmax())
            for name in ("request.ee_delta", "action", "observation.state"):
                np.testing.assert_array_equal(a[name][i], b[name][i], err_msg=name)
        back += int(pushed.episode(k)["next.success"][-1, 0])
        np.testing.assert_array_equal(other, again.episode(k)["measured.ee_pose"][:, :3])
    assert 0.005 < max(aside) < 0.3  # beside its way: it may fail there
    assert back >= 1  # and back


def test_a_state_is_all_of_the_simulation(tmp_path: Path) -> None:
    """A row's state, put into a world of its seed, is what the row measured."""
    assert run(tmp_path / "set", "peg-placement", "--episodes", "1", "--seed", "7") == 0
    rows = Dataset(tmp_path / "set").episode(0)
    arm = SimulatedArm("peg-placement", "fr3")
    arm.reset(7)
    k = len(rows["index"]) // 2
    for name in ("qpos", "qvel", "mocap_pos", "mocap_quat"):
        arm.world.batch.bind(name)[0] = rows[f"sim.{name}"][k]
    arm.world.forward(torch.tensor([0]))
    np.testing.assert_allclose(arm.tool_pose()[0], rows["measured.ee_pose"][k], atol=1e-9)
    peg = arm.task.observe()["peg_pose"][0].numpy()
    np.testing.assert_allclose(peg, rows["observation.peg_pose"][k], atol=1e-6)


def test_pictures_and_touch(tmp_path: Path) -> None:
    words = ["peg-placement", "--episodes", "1", "--cameras", "scene", "--touch", "image-field"]
    assert run(tmp_path / "set", *words) == 0
    dataset = Dataset(tmp_path / "set")
    kinds = {name: feature.dtype for name, feature in dataset.features.items()}
    assert kinds["observation.images.scene_rgb"] == "video"
    assert kinds["observation.tactile.touch_left_rgb"] == "image"  # lossless
    assert dataset.features["observation.touch_field"].shape == (2, 14, 10, 3)
    rows = dataset.episode(0)
    assert np.abs(rows["observation.touch_field"][-1]).sum() > 1.0  # the peg is held
    scene = dataset.pictures("observation.images.scene_rgb", 0, [0, len(rows["index"]) - 1])
    assert np.abs(np.diff(scene.astype(int), axis=0)).mean() > 1.0  # the arm has moved
    assert (rows["sync.touch_field.age"] <= 1.0 / 60.0 + 1e-6).all()


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["lift-cub"], "unknown task 'lift-cub'; perhaps you meant lift-cube"),
        (["reach", "--episodes", "0"], "--episodes: expected 1 or more, got 0"),
        (["reach", "--cameras", "scen"], "scen"),
        (["reach", "--touch", "field"], "nothing lies free"),
        (["reach", "--disturb", "2"], "--disturb: expected 0 to 1 m/s, got 2.0"),
        (["reach", "--disturb", "1", "--device", "keyboard"], "a person is not disturbed"),
    ],
)
def test_bad_input(
    tmp_path: Path, words: list[str], said: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(tmp_path / "set", *words) == 2
    error = capsys.readouterr().err
    assert said in error and len(error.strip().splitlines()) == 1


def test_a_task_without_an_expert(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delitem(record.ALL_EXPERTS, "reach")
    assert run(tmp_path / "set", "reach") == 2
    error = capsys.readouterr().err
    assert "reach has no scripted expert. Known: bimanual-insertion, bolt-on-nut" in error


def test_another_dataset_in_the_folder(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(tmp_path / "set", "reach", "--episodes", "1") == 0
    assert run(tmp_path / "set", "lift-cube", "--episodes", "1") == 2
    assert "holds other columns" in capsys.readouterr().err
