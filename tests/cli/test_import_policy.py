"""`sim2arm import leapp|onnx|rsl-rl|lerobot-act`: the bundle answers as the source does."""

# pyright: standard

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any, cast

import numpy as np
import onnx
import pytest
import torch
from torch import Tensor, nn

from sim2arm.cli import main as cli
from sim2arm.cli import policy_flat
from sim2arm.cli.import_lerobot import GripperMap, JointMap, LerobotMap
from sim2arm.cli.import_lerobot_act import find_elements
from sim2arm.core.kinematics import forward_pose
from sim2arm.core.robots import FR3, SO101
from sim2arm.policies.foreign.flat import flat_model
from sim2arm.policies.foreign.leapp import TEMPORAL
from sim2arm.policies.foreign.lerobot_act import LerobotActCfg
from sim2arm.policies.foreign.lerobot_policy import ImportedAct, LerobotPolicy
from sim2arm.policies.runtime import OnnxPolicy
from sim2arm.policies.verify import load_contract
from tests import others, others_lerobot

pytestmark = pytest.mark.timeout(120)
Obs = dict[str, Any]
ACT = LerobotActCfg(
    chunk_size=1, n_action_steps=1, vision_backbone="resnet18", dim_model=8, n_heads=1,
    dim_feedforward=8, feedforward_activation="relu", n_encoder_layers=1, n_decoder_layers=1,
    latent_dim=1, temporal_ensemble_coeff=None, state=7, environment=0, pictures={}, action=7,
    normalization={},
)  # fmt: skip


def run(kind: str, folder: Path, source: Path, said: list[str]) -> OnnxPolicy:
    """Import a policy and load the bundle, which replays the golden sequences."""
    out = folder / "bundle"
    assert cli.main(["import", kind, str(source), "--out", str(out), *said]) == 0
    assert {p.name for p in out.iterdir()} == {
        "policy.onnx", "contract.yaml", "golden.safetensors", "leapp.yaml", "manifest.yaml",
    }  # fmt: skip
    policy = OnnxPolicy(out)
    assert load_contract(out) == policy.contract
    return policy


def make_obs(seed: int) -> Obs:
    """Return what an arm sees, one row."""
    random = np.random.default_rng(seed)
    q = (np.array(FR3.home) + random.uniform(-0.3, 0.3, 7))[None]
    pose = random.normal(size=(1, 7))
    pose[:, 3:] /= np.linalg.norm(pose[:, 3:])
    values = {
        "joint_position": q,
        "joint_velocity": random.uniform(-1.0, 1.0, (1, 7)),
        "ee_pose": forward_pose(FR3.chain, q),
        "goal_pose": pose,
    }
    found: Obs = {name: value.astype(np.float32) for name, value in values.items()}
    found["scene_rgb"] = random.integers(0, 256, (1, 32, 32, 3), dtype=np.uint8)
    return found


def seen(policy: OnnxPolicy, obs: Obs) -> Obs:
    return {spec.name: obs[spec.name] for spec in policy.contract.observations}


def row(obs: Obs) -> Obs:
    return {name: value[0] for name, value in obs.items()}


@pytest.mark.parametrize(
    ("kind", "write", "step", "first"),
    [
        ("onnx", others.write_mjlab, others.mjlab_step, np.zeros(7)),
        ("leapp", others.write_leapp, others.leapp_step, others.FIRST),
    ],
)
def test_joints_are_sorted_by_name_and_the_last_action_is_remembered(
    kind: str, write: Callable[..., Any], step: Callable[..., Any], first: Any, tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:  # fmt: skip
    policy = run(kind, tmp_path, *write(tmp_path))
    contract, last = policy.contract, first
    assert contract.low_level.kp == FR3.kp and contract.low_level.kd == FR3.kd
    assert (contract.control_hz, contract.action.kind) == (others.HZ, "joint_position")
    for tick in range(5):
        obs = make_obs(tick)
        expected, last = step(row(obs), last)
        np.testing.assert_allclose(policy.act(seen(policy, obs))[0, 0], expected, atol=2e-6)
    printed = capsys.readouterr().out
    assert "taken for granted: chain and limits are those of the fr3" in printed
    assert "parity of source and graph" in printed and "64 steps" in printed


@pytest.mark.parametrize("layout", others.LAYOUTS)
def test_an_actor_of_every_version_of_rsl_rl(layout: str, tmp_path: Path) -> None:
    policy = run("rsl-rl", tmp_path, *others.write_rsl_rl(tmp_path, layout))
    assert policy.contract.action.scale == (0.005,) * 3 + (0.02,) * 3
    answers: list[Any] = []
    for tick in range(5):
        obs = make_obs(tick)
        answers.append(policy.act(seen(policy, obs))[0, 0])
        expected = others.rsl_rl_step(row(obs), layout)
        np.testing.assert_allclose(answers[-1], expected, atol=5e-6)
    assert np.abs(answers).min() < 0.9  # not all cut off


@pytest.mark.parametrize("old", [False, True])
def test_act_of_lerobot(old: bool, tmp_path: Path) -> None:
    policy = run("lerobot-act", tmp_path, *others_lerobot.write_lerobot(tmp_path, old=old))
    contract = policy.contract
    assert (contract.executor.kind, contract.executor.execute) == ("receding", others_lerobot.STEPS)
    assert contract.input("scene_rgb").driver_stage is not None
    for tick in range(3):
        obs = make_obs(tick)
        chunk = policy.act(seen(policy, obs))[0]
        expected = others_lerobot.lerobot_chunk(row(obs))
        assert chunk.shape == (others_lerobot.CHUNK, 7)
        np.testing.assert_allclose(chunk, expected, rtol=1e-5, atol=5e-6)


def test_everything_that_is_missing_is_asked_for_at_once(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path, _ = others.write_rsl_rl(tmp_path)
    out = tmp_path / "bundle"
    assert cli.main(["import", "rsl-rl", str(path), "--out", str(out)]) == 2
    line = capsys.readouterr().err
    assert line.count("\n") == 1 and "does not say 11 things" in line
    for item in (
        "robot (--robot NAME, or robot in --contract FILE)",
        "control_hz (--control-hz HZ, or control_hz in --contract FILE)",
        "low_level.kp (--kp one per joint [N m/rad], or low_level.kp in --contract FILE)",
        "low_level.kd",
        "activation (--activation NAME)",
        "action.kind",
        "source.observations",
        "source.joint_names",
        "source.action_scale",
        "max_stamp_age_s",
        "max_receipt_age_s",
    ):
        assert item in line
    assert not out.exists()


def test_a_joint_that_the_robot_has_not_is_named(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path, said = others.write_mjlab(tmp_path)
    metadata = others.MJLAB | {"joint_names": others.MJLAB["joint_names"].replace("fr3", "panda")}
    path.write_bytes(others.onnx_bytes(others.mjlab_model(metadata)))
    out = ["--out", str(tmp_path / "bundle")]
    assert cli.main(["import", "onnx", str(path), *out, *said]) == 2
    line = capsys.readouterr().err
    assert "unknown joint 'panda_joint7'" in line and "--names THEIRS=OURS" in line
    assert line.count("\n") == 1
    words = [f"panda_joint{k}=fr3_joint{k}" for k in range(1, 8)]
    at = said.index("--names") + 1
    assert cli.main(["import", "onnx", str(path), *out, *said[:at], *words, *said[at:]]) == 0


def test_two_that_say_different_things(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path, said = others.write_leapp(tmp_path)
    words = ["import", "leapp", str(path), "--out", str(tmp_path / "bundle"), *said]
    assert cli.main([*words, "--control-hz", "50"]) == 2
    line = capsys.readouterr().err
    assert "control_hz: 50.0 says --control-hz, 60.0 says reach.yaml" in line


def test_another_tool_is_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path, said = others.write_rsl_rl(tmp_path)
    rest = tmp_path / "rest.yaml"
    rest.write_text(rest.read_text().replace("fr3_hand_tcp", "fr3_link8"))
    assert cli.main(["import", "rsl-rl", str(path), "--out", str(tmp_path / "b"), *said]) == 2
    assert "tool frame 'fr3_link8': the fr3 of ours ends at" in capsys.readouterr().err


def test_a_graph_that_answers_otherwise_is_not_written(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    path, said = others.write_mjlab(tmp_path)

    def other(source: Any, policy: Any, contract: Any) -> Any:
        return flat_model(source, replace(policy, scale=(0.051,) * 7), contract)

    monkeypatch.setattr(policy_flat, "flat_model", other)
    assert cli.main(["import", "onnx", str(path), "--out", str(tmp_path / "b"), *said]) == 2
    line = capsys.readouterr().err
    assert "parity: step 0 of sequence 0: onnxruntime differs from the source by" in line
    assert not (tmp_path / "b").exists()


def test_chunks_of_leapp_need_an_executor(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    joints, names = [list(others.THEIRS)], [TEMPORAL, list(others.THEIRS)]
    path, said = others.write_leapp(
        tmp_path,
        models__act__parameters__sha256sum=None,
        models__act__outputs=[
            others.leapp_port(
                "chunk", [1, 3, 7], kind="target/joint/position", element_names=names,
                temporal_period_ms=1e3 / others.HZ,
            ),
            others.leapp_port("last_out", [1, 7]),
            others.leapp_port("kp_gains", [1, 7], kind="kp", element_names=joints),
            others.leapp_port("kd_gains", [1, 7], kind="kd", element_names=joints),
        ],
        pipeline__outputs={"act": ["chunk", "kp_gains", "kd_gains"]},
    )  # fmt: skip
    model = onnx.load(tmp_path / "act.onnx")
    shape = np.array([1, 3, 7], np.int64)
    model.graph.initializer.append(onnx.numpy_helper.from_array(shape, "shape"))
    model.graph.node.append(
        onnx.helper.make_node("Concat", ["targets", "last_out", "targets"], ["rows"], axis=0)
    )
    model.graph.node.append(onnx.helper.make_node("Reshape", ["rows", "shape"], ["chunk"]))
    chunk = onnx.helper.make_tensor_value_info("chunk", onnx.TensorProto.FLOAT, [1, 3, 7])
    model.graph.output[0].CopyFrom(chunk)
    (tmp_path / "act.onnx").write_bytes(others.onnx_bytes(model))
    words = ["import", "leapp", str(path), "--out", str(tmp_path / "bundle"), *said]
    assert cli.main(words) == 2
    assert "executor (executor: {kind: receding, execute: N}" in capsys.readouterr().err
    with (tmp_path / "rest_of_leapp.txt").open("a") as file:
        file.write("executor: {kind: receding, execute: 2}\n")
    policy = run("leapp", tmp_path, path, said)
    obs = make_obs(0)
    targets, last = others.leapp_step(row(obs), others.FIRST)
    expected = [targets, last[np.argsort(others.BACK)], targets]
    np.testing.assert_allclose(policy.act(seen(policy, obs))[0], expected, atol=2e-6)


class Echo(nn.Module):
    """A network that asks for what it sees."""

    def forward(self, state: Tensor, environment: Any, pictures: Any) -> Tensor:
        return state[:, None]


def test_a_gripper_of_lerobot_is_metres_in_the_state_and_a_share_in_actions() -> None:
    mapped = LerobotMap(
        robot="so101",
        joints={
            name: JointMap(element=str(5 - k), scale=0.1 + k, offset=float(k))
            for k, name in enumerate(SO101.joint_names)
        },
        gripper=GripperMap(element="0", closed=20.0, opened=100.0),
    )
    cfg = replace(ACT, state=6, action=6)
    elements = find_elements(mapped, SO101, cfg, ())
    one = (np.zeros(1, np.float32), np.ones(1, np.float32))
    policy = LerobotPolicy(
        cfg=cfg, network=cast(Any, Echo()), statistics={"observation.state": one, "action": one}
    )
    q, width = torch.tensor([[0.1, 0.2, 0.3, 0.4, 0.5]]), 0.25 * SO101.gripper.open_width
    obs = {"joint_position": q, "gripper_width": torch.tensor([[width]])}
    chunk, _ = ImportedAct(policy, elements, ())(obs, {}, {})
    # a quarter open: 20 + 0.25 * 80 = 40 in their units, -1 + 2 / 4 = -0.5 in ours
    np.testing.assert_allclose(chunk[0, 0], [0.1, 0.2, 0.3, 0.4, 0.5, -0.5], atol=1e-6)
