"""Imports of policies: what is wrong with files of others is one line, and nothing of them runs."""

# pyright: standard

from __future__ import annotations

import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
import torch
from onnx import TensorProto, helper, numpy_helper
from safetensors.numpy import load_file, save_file

from sim2arm.cli import main as cli
from sim2arm.policies.foreign import files, rsl_rl
from tests import others, others_lerobot

pytestmark = pytest.mark.timeout(120)


def refused(
    kind: str, source: Path, said: list[str], capsys: pytest.CaptureFixture[str], *words: str
) -> str:
    """Import; return the one line that says why not."""
    out = source.parent / "refused"
    assert cli.main(["import", kind, str(source), "--out", str(out), *said, *words]) == 2
    line = capsys.readouterr().err
    assert line.startswith("sim2arm: error: ") and line.count("\n") == 1
    assert not out.exists()
    return line


class Payload:
    """Makes a folder when it is unpickled by somebody who believes it."""

    def __init__(self, path: Path) -> None:
        self.path = str(path)

    def __reduce__(self) -> tuple[Any, ...]:
        return os.mkdir, (self.path,)


def test_a_payload_in_a_checkpoint_never_runs(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    _, said = others.write_rsl_rl(tmp_path)
    path, ran = tmp_path / "model_666.pt", tmp_path / "ran"
    torch.save({**others.rsl_rl_checkpoint("5"), "infos": Payload(ran)}, path)
    line = refused("rsl-rl", path, said, capsys)
    assert "torch.load(weights_only=True) does not read it" in line and not ran.exists()
    torch.load(path, weights_only=False)
    assert ran.exists()  # it was a real one


def _without(part: dict[str, Any], start: str) -> dict[str, Any]:
    return {name: value for name, value in part.items() if not name.startswith(start)}


def _nan(actor: dict[str, Any]) -> dict[str, Any]:
    return {**actor, "mlp.0.bias": torch.full((others.SIZES[1],), torch.nan)}


CHECKPOINTS: dict[str, tuple[Callable[[dict[str, Any]], dict[str, Any]], str]] = {
    "nan": (_nan, "'actor_state_dict/mlp.0.bias' holds numbers that are not finite"),
    "no layer": (lambda a: _without(a, "mlp.0"), "_mean: expected 16 numbers, got 28"),
    "no bias": (lambda a: _without(a, "mlp.2.bias"), "mlp.2: expected the next layer"),
    "no actor": (lambda a: _without(a, "mlp."), "no actor is there"),
    "no deviation": (lambda a: _without(a, "distribution."), "no deviation of actions"),
    "recurrent": (lambda a: {**a, "rnn.rnn.weight_ih_l0": torch.zeros(4, 4)}, "a perceptron alone"),
    "normalizer": (
        lambda a: {**a, "obs_normalizer._mean": torch.zeros(1, 5)},
        "obs_normalizer._mean: expected 28 numbers, got 5",
    ),
}


@pytest.mark.parametrize("case", CHECKPOINTS)
def test_a_checkpoint_that_is_none(
    case: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    change, message = CHECKPOINTS[case]
    path, said = others.write_rsl_rl(tmp_path)
    data = others.rsl_rl_checkpoint("5")
    torch.save({**data, "actor_state_dict": change(data["actor_state_dict"])}, path)
    assert message in refused("rsl-rl", path, said, capsys)


def test_what_is_no_zip_or_unpacks_to_too_much(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    path, said = others.write_rsl_rl(tmp_path)
    monkeypatch.setattr(rsl_rl, "LARGEST_MODEL", 1000)
    assert "bytes unpacked, at most 1000 are read" in refused("rsl-rl", path, said, capsys)
    path.write_bytes(b"cos\nsystem\n")
    assert "expected a zip archive, as torch.save writes" in refused("rsl-rl", path, said, capsys)
    path.unlink()
    assert "cannot be read: No such file" in refused("rsl-rl", path, said, capsys)


def _external() -> Any:
    model = others.mjlab_model()
    weight = model.graph.initializer[0]
    weight.ClearField("raw_data")
    weight.data_location = TensorProto.EXTERNAL
    weight.external_data.add(key="location", value="../../etc/passwd")
    return model


def _with(*nodes: Any) -> Any:
    model = others.mjlab_model()
    model.graph.node.extend(nodes)
    return model


def _nan_model() -> Any:
    weight = others.WEIGHT.copy()
    weight[3, 4] = np.nan
    return others.mjlab_model(weight=weight)


def _two_inputs() -> Any:
    model = others.mjlab_model()
    step = helper.make_tensor_value_info("time_step", TensorProto.FLOAT, [1, 1])
    model.graph.input.append(step)
    return model


def _meta(**changed: str) -> Any:
    return others.mjlab_model(others.MJLAB | changed)


FOREIGN = helper.make_node("Gelu", ["x"], ["z"], domain="com.microsoft")
NOISE = helper.make_node("RandomNormalLike", ["x"], ["z"])
NAN = helper.make_node(
    "Constant", [], ["z"], value=numpy_helper.from_array(others.floats([np.nan]), "z")
)
MODELS: dict[str, tuple[Callable[[], Any], str]] = {
    "external data": (_external, "tensor 'W' keeps its data in another file"),
    "opset too new": (lambda: others.mjlab_model(opset=23), "opset 23, expected 11 to 21"),
    "opset too old": (lambda: others.mjlab_model(opset=9), "opset 9, expected 11 to 21"),
    "operators of others": (lambda: _with(FOREIGN), "operator 'Gelu' is of 'com.microsoft'"),
    "no operator": (lambda: _with(helper.make_node("Nonsense", ["x"], ["z"])), "Nonsense"),
    "noise": (lambda: _with(NOISE), "draws random numbers (RandomNormalLike)"),
    "nan": (_nan_model, "'W' holds numbers that are not a number"),
    "nan in a constant": (lambda: _with(NAN), "'Constant' holds numbers that are not a number"),
    "two inputs": (_two_inputs, "expected one input (1, observations) and one output"),
    "number": (lambda: _meta(joint_damping="1.0,x"), "metadata 'joint_damping': expected numbers"),
    "gains": (lambda: _meta(joint_damping="1.0,2.0"), "expected one for each joint of the fr3"),
    "history": (
        lambda: _meta(observation_history_lengths="1,1,1,5"), "histories are not read",
    ),
    "observations": (
        lambda: _meta(observation_names="joint_pos,joint_vel,command"),
        "the network takes 28 numbers, its observations are 21 (joint_pos 7, joint_vel 7, "
        "goal_pose 7)",
    ),
    "defaults": (
        lambda: _meta(default_joint_pos="0.0,1.0"),
        "default_joint_pos: expected 1 or 7 numbers, got 2",
    ),
}  # fmt: skip


@pytest.mark.parametrize("case", MODELS)
def test_a_model_that_is_none(
    case: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    make, message = MODELS[case]
    path, said = others.write_mjlab(tmp_path)
    path.write_bytes(make().SerializeToString())
    assert message in refused("onnx", path, said, capsys)


def test_files_that_are_cut_linked_or_too_large(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    path, said = others.write_mjlab(tmp_path)
    good = path.read_bytes()
    for share in (0.1, 0.5, 0.9, 0.99):
        path.write_bytes(good[: int(share * len(good))])
        refused("onnx", path, said, capsys)
    path.write_bytes(good)
    link = tmp_path / "link.onnx"
    link.symlink_to(path)
    assert "expected a plain file" in refused("onnx", link, said, capsys)
    monkeypatch.setattr(files.read_file, "__defaults__", (1000,))
    assert "bytes, at most 1000 are read" in refused("onnx", path, said, capsys)


PORT = "models__obs__inputs"
PIPELINES: dict[str, tuple[dict[str, Any], str]] = {
    "traversal": (
        {"models__act__parameters__model_path": "../act.onnx"},
        "expected the name of a file in the same folder, got '../act.onnx'",
    ),
    "absolute": ({"models__act__parameters__model_path": "/etc/passwd"}, "in the same folder"),
    "first values elsewhere": ({"pipeline__initial_values": "../x.safetensors"}, "same folder"),
    "no first values": ({"pipeline__initial_values": None}, "expected the file with the first"),
    "a program": ({"models__act__parameters__backend": "jit"}, "such a file is a program"),
    "changed": ({"models__act__parameters__sha256sum": "0" * 64}, "its SHA-256 is not the one"),
    "unknown edge": ({"pipeline__data_flow": {"obs/x": ["act/features"]}}, "no such ports"),
    "wrong order": ({"pipeline__data_flow": {"act/targets": ["obs/q"]}}, "which runs later"),
    "no target": ({"pipeline__outputs": {"act": ["kp_gains"]}}, "expected an output of kind"),
    "ports": ({PORT: []}, "models.obs.inputs: expected those of the graph"),
    "no ports": ({PORT: "q"}, "expected a list of ports"),
    "frequency": ({"pipeline__configs": {"frequency": -1}}, "expected Hz, got -1"),
    "no models": ({"models": {}}, "models: there is none"),
}


@pytest.mark.parametrize("case", PIPELINES)
def test_a_pipeline_that_is_none(
    case: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    changed, message = PIPELINES[case]
    path, said = others.write_leapp(tmp_path, **changed)
    assert message in refused("leapp", path, said, capsys)


def test_gains_that_depend_on_what_is_seen(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path, said = others.write_leapp(tmp_path, models__act__parameters__sha256sum=None)
    model = onnx.load(tmp_path / "act.onnx")
    model.graph.node[4].input[0] = "x"  # kp_gains
    (tmp_path / "act.onnx").write_bytes(model.SerializeToString())
    assert "gains that depend on what is seen" in refused("leapp", path, said, capsys)


CONFIGS: dict[str, tuple[dict[str, Any], str]] = {
    "type": ({"type": "diffusion"}, "type: expected 'act', got 'diffusion'"),
    "layers before": ({"pre_norm": True}, "pre_norm: expected False, got True"),
    "backbone": ({"vision_backbone": "resnet50"}, "vision_backbone: expected ['resnet18'"),
    "activation": ({"feedforward_activation": "glu"}, "expected relu or gelu, got 'glu'"),
    "another network": ({"dim_model": 32}, "config.json is of another network"),
    "fewer layers": ({"n_encoder_layers": 1}, "'encoder.layers.1.linear1.bias' is not a param"),
    "more layers": ({"n_encoder_layers": 3}, "expected the parameter 'encoder.layers.2."),
    "no number": ({"chunk_size": "many"}, "chunk_size: expected 1 or more, got 'many'"),
    "mode": ({"normalization_mapping": {"STATE": "MAGIC"}}, "normalisation 'MAGIC' is not known"),
    "statistic": ({"normalization_mapping": {"STATE": "MIN_MAX"}}, "MIN_MAX needs the statistic"),
    "features": ({"input_features": {}}, "expected observation.state, action and pictures"),
}


@pytest.mark.parametrize("case", CONFIGS)
def test_a_configuration_that_is_none(
    case: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    changed, message = CONFIGS[case]
    path, said = others_lerobot.write_lerobot(tmp_path, **changed)
    assert message in refused("lerobot-act", path, said, capsys)


def test_weights_steps_and_maps_that_do_not_fit(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path, said = others_lerobot.write_lerobot(tmp_path)
    mapped = tmp_path / "map.yaml"
    good = mapped.read_text()
    for text, message in (
        (good.replace("'3'", "'9'"), "unknown element '9'"),
        (good.replace("'3'", "'2'"), "expected each of 7 elements of the state"),
        (good.replace("scene_rgb: observation.images.scene", "{}"), "map: "),
    ):
        mapped.write_text(text)
        assert message in refused("lerobot-act", path, said, capsys)
    mapped.write_text(good)
    steps = path / "policy_preprocessor.json"
    data = json.loads(steps.read_text())
    data["steps"].insert(0, {"registry_name": "tokenizer_processor", "config": {}})
    steps.write_text(json.dumps(data))
    assert "step 'tokenizer_processor' is not known" in refused("lerobot-act", path, said, capsys)
    weights = load_file(path / "model.safetensors")
    weights["model.action_head.bias"][0] = np.inf
    save_file(weights, path / "model.safetensors")
    line = refused("lerobot-act", path, said, capsys)
    assert "'model.action_head.bias' holds numbers that are not finite" in line
    (path / "model.safetensors").write_bytes(b"\x08" + b"\0" * 7 + b"{" * 8)
    assert "not a safetensors file" in refused("lerobot-act", path, said, capsys)


def test_a_file_of_contract_with_other_fields(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path, said = others.write_mjlab(tmp_path)
    rest = tmp_path / "rest.yaml"
    good = rest.read_text()
    for text, message in (
        (good.replace("inputs", "input"), "input: unknown key"),
        (good.replace("goal_pose", "cube_pose"), "'cube_pose' is not an input of this policy"),
        (good.replace("unit", "uint"), "unit of the input 'goal_pose'"),
        (f"{good}robot: ur5e\n", "robot: fr3 says --robot, ur5e says --contract"),
    ):
        rest.write_text(text)
        assert message in refused("onnx", path, said, capsys)
    rest.write_text(good)
    words = said.copy()
    words[words.index("command=goal_pose")] = "command"
    assert "--names: expected THEIRS=OURS" in refused("onnx", path, words, capsys)


def test_a_bundle_is_replaced_only_when_asked(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path, said = others.write_mjlab(tmp_path)
    words = ["import", "onnx", str(path), "--out", str(tmp_path / "bundle"), *said]
    assert cli.main(words) == 0
    assert cli.main(words) == 2
    assert "exists: pass --overwrite" in capsys.readouterr().err
    assert cli.main([*words, "--overwrite"]) == 0
    (tmp_path / "other").mkdir()
    (tmp_path / "other" / "thesis.tex").write_text("")
    words[4] = str(tmp_path / "other")
    assert cli.main([*words, "--overwrite"]) == 2
    assert "something else than a bundle" in capsys.readouterr().err
