"""One small policy of each kind that others train, by hand from the published formats.

All are of the FR3, its joints in another order than ours, and see a goal pose; what they answer is
computed here in numpy or from parameters by their names, never by the code that imports them.
"""

# pyright: standard

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import torch
import yaml
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper
from safetensors.numpy import save_file

from sim2arm.core.robots import FR3

Array = NDArray[Any]
THEIRS = tuple(reversed(FR3.joint_names))
"""Joints in the order of the source."""
BACK = [FR3.joint_names.index(name) for name in THEIRS]
DEFAULT = tuple(round(q, 3) for q in reversed(FR3.home))
SCALE = 0.05
HZ = 60.0
POSE = ("x", "y", "z", "qw", "qx", "qy", "qz")
GOAL: dict[str, Any] = {
    "name": "goal_pose", "kind": "goal", "shape": [7], "unit": "m m m 1 1 1 1",
    "frame": "fr3_link0", "element_names": list(POSE), "low": [-1.0], "high": [1.0],
}  # fmt: skip
GAINS = ["--kp", *map(str, FR3.kp), "--kd", *map(str, FR3.kd)]
SAID = ["--robot", "fr3", "--max-stamp-age-s", "0.3", "--max-receipt-age-s", "1.0"]
TICKS = ["--control-hz", str(HZ)]


def floats(values: Any) -> Array:
    return np.array(values, dtype=np.float32)


def write_part(path: Path, part: Mapping[str, Any]) -> list[str]:
    """Write a file of `--contract`; return the options."""
    path.write_text(yaml.safe_dump(dict(part)))
    return ["--contract", str(path)]


def rounded(values: Any) -> str:
    return ",".join(f"{value:.3f}" for value in values)


# mjlab: one ONNX file

WEIGHT = np.random.default_rng(0).uniform(-0.2, 0.2, (28, 7)).astype(np.float32)
"""From joint_pos, joint_vel, actions and command."""


def onnx_bytes(model: Any) -> bytes:
    onnx.checker.check_model(model)
    return model.SerializeToString()


def mjlab_model(
    metadata: Mapping[str, str] | None = None, *, weight: Array = WEIGHT, opset: int = 18
) -> Any:
    """Return `actions = tanh(obs @ W)` with metadata."""
    graph = helper.make_graph(
        [
            helper.make_node("MatMul", ["obs", "W"], ["x"], name="product"),
            helper.make_node("Tanh", ["x"], ["actions"]),
        ],
        "policy",
        [helper.make_tensor_value_info("obs", TensorProto.FLOAT, ["batch", len(weight)])],
        [helper.make_tensor_value_info("actions", TensorProto.FLOAT, ["batch", 7])],
        [numpy_helper.from_array(weight, "W")],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", opset)], ir_version=8)
    helper.set_model_props(model, dict(MJLAB if metadata is None else metadata))
    return model


MJLAB = {
    "run_path": "somebody/runs/1",
    "joint_names": ",".join(THEIRS),
    "joint_stiffness": rounded(reversed(FR3.kp)),
    "joint_damping": rounded(reversed(FR3.kd)),
    "default_joint_pos": rounded(DEFAULT),
    "command_names": "command",
    "observation_names": "joint_pos,joint_vel,actions,command",
    "action_scale": str(SCALE),
}


def write_mjlab(folder: Path) -> tuple[Path, list[str]]:
    """Write the file; return it and what is said beside it."""
    path = folder / "policy.onnx"
    path.write_bytes(onnx_bytes(mjlab_model()))
    told = write_part(folder / "rest.yaml", {"inputs": [GOAL]})
    return path, [*SAID, *TICKS, "--names", "command=goal_pose", *told]


def mjlab_step(obs: Mapping[str, Array], last: Array) -> tuple[Array, Array]:
    """Return targets of our joints and the action, for (7,) each."""
    q, dq = obs["joint_position"][BACK], obs["joint_velocity"][BACK]
    seen = np.concatenate([q - np.array(DEFAULT), dq, last, obs["goal_pose"]])
    action = np.tanh(seen @ WEIGHT.astype(np.float64))
    theirs = np.array(DEFAULT) + SCALE * action
    return theirs[np.argsort(BACK)], action


# LEAPP: two ONNX files, YAML, first values

FIRST = np.linspace(-0.5, 0.5, 7, dtype=np.float32)
"""Last action at the start."""
LEAPP_POSE = ("x", "y", "z", "qx", "qy", "qz", "qw")


def leapp_port(name: str, shape: list[int], **more: Any) -> dict[str, Any]:
    return {"name": name, "dtype": "float32", "shape": shape, "type": "tensor", **more}


def write_leapp(folder: Path, **changed: Any) -> tuple[Path, list[str]]:
    """Write the bundle; return its YAML and what is said beside it."""

    def tensor(name: str, size: int) -> Any:
        return helper.make_tensor_value_info(name, TensorProto.FLOAT, [1, size])

    def write(name: str, graph: Any) -> dict[str, Any]:
        opsets = [helper.make_opsetid("", 18)]
        model = helper.make_model(graph, opset_imports=opsets, ir_version=8)
        (folder / name).write_bytes(onnx_bytes(model))
        digest = hashlib.sha256((folder / name).read_bytes()).hexdigest()
        return {"backend": "onnx", "model_path": name, "sha256sum": digest}

    seen = {"q": 7, "dq": 7, "last_in": 7, "goal": 7}
    join = helper.make_graph(
        [helper.make_node("Concat", [*seen], ["features"], axis=1)], "obs",
        [tensor(*each) for each in seen.items()], [tensor("features", 28)],
    )  # fmt: skip
    constants = {
        "W": WEIGHT, "scale": floats([SCALE]), "offset": floats([DEFAULT]),
        "kp": floats([FR3.kp[::-1]]), "kd": floats([FR3.kd[::-1]]),
    }  # fmt: skip
    act = helper.make_graph(
        [
            helper.make_node("MatMul", ["features", "W"], ["x"]),
            helper.make_node("Tanh", ["x"], ["last_out"]),
            helper.make_node("Mul", ["last_out", "scale"], ["y"]),
            helper.make_node("Add", ["y", "offset"], ["targets"]),
            helper.make_node("Identity", ["kp"], ["kp_gains"]),
            helper.make_node("Identity", ["kd"], ["kd_gains"]),
        ],
        "act",
        [tensor("features", 28)],
        [tensor(name, 7) for name in ("targets", "last_out", "kp_gains", "kd_gains")],
        [numpy_helper.from_array(value, name) for name, value in constants.items()],
    )
    joints = [list(THEIRS)]
    save_file({"obs/last_in": FIRST[None]}, folder / "reach_initial_values.safetensors")
    data = {
        "models": {
            "obs": {
                "inputs": [
                    leapp_port("q", [1, 7], kind="state/joint/position", element_names=joints),
                    leapp_port("dq", [1, 7], kind="state/joint/velocity", element_names=joints),
                    leapp_port("last_in", [1, 7]),
                    leapp_port(
                        "goal", [1, 7], kind="command/body/pose", element_names=[list(LEAPP_POSE)]
                    ),
                ],
                "outputs": [leapp_port("features", [1, 28])],
                "parameters": write("obs.onnx", join),
            },
            "act": {
                "inputs": [leapp_port("features", [1, 28])],
                "outputs": [
                    leapp_port(
                        "targets", [1, 7], kind="target/joint/position", element_names=joints
                    ),
                    leapp_port("last_out", [1, 7]),
                    leapp_port("kp_gains", [1, 7], kind="kp", element_names=joints),
                    leapp_port("kd_gains", [1, 7], kind="kd", element_names=joints),
                ],
                "parameters": write("act.onnx", act),
            },
        },
        "pipeline": {
            "data_flow": {"obs/features": ["act/features"]},
            "feedback_flow": {"act/last_out": ["obs/last_in"]},
            "inputs": {"obs": ["q", "dq", "goal"]},
            "outputs": {"act": ["targets", "kp_gains", "kd_gains"]},
            "initial_values": "reach_initial_values.safetensors",
            "configs": {"frequency": HZ},
        },
        "system information": {"leapp version": "0.7.2", "leapp config version": "1.3"},
    }
    for key, value in changed.items():
        *keys, last = key.split("__")
        place: Any = data
        for each in keys:
            place = place[each]
        place[last] = value
    path = folder / "reach.yaml"
    path.write_text(yaml.dump(data, sort_keys=False))  # joints are written once, then as aliases
    goal = {key: GOAL[key] for key in ("name", "frame", "low", "high")}
    told = write_part(folder / "rest_of_leapp.txt", {"inputs": [goal]})
    return path, [*SAID, "--names", "goal=goal_pose", *told]


def leapp_step(obs: Mapping[str, Array], last: Array) -> tuple[Array, Array]:
    """Return targets of our joints and the action, for (7,) each."""
    goal = obs["goal_pose"][[POSE.index(name) for name in LEAPP_POSE]]
    q, dq = obs["joint_position"][BACK], obs["joint_velocity"][BACK]
    action = np.tanh(np.concatenate([q, dq, last, goal]) @ WEIGHT.astype(np.float64))
    return (np.array(DEFAULT) + SCALE * action)[np.argsort(BACK)], action


# rsl_rl: a checkpoint of torch

SIZES = (28, 16, 16, 6)
"""joint_position, joint_velocity, ee_pose, goal_pose -> steps of the tool."""
LAYOUTS = ("1", "2", "3", "4", "5")
"""Versions of rsl_rl."""


def rsl_rl_tensors() -> dict[str, torch.Tensor]:
    random = torch.Generator().manual_seed(1)
    tensors: dict[str, torch.Tensor] = {}
    for k, (before, after) in enumerate(pairwise(SIZES)):
        scale = before**-0.5
        tensors[f"{2 * k}.weight"] = scale * torch.randn(after, before, generator=random)
        tensors[f"{2 * k}.bias"] = 0.1 * torch.randn(after, generator=random)
    return tensors


def rsl_rl_normalizer() -> dict[str, torch.Tensor]:
    mean = torch.linspace(-0.5, 0.5, SIZES[0])[None]
    std = torch.linspace(0.5, 1.5, SIZES[0])[None]
    return {"_mean": mean, "_var": std**2, "_std": std, "count": torch.tensor(100)}


def rsl_rl_checkpoint(layout: str) -> dict[str, Any]:
    """Return what the runner of a version saves; version 1 had no normaliser."""
    layers, norm = rsl_rl_tensors(), rsl_rl_normalizer()
    rest = {"optimizer_state_dict": {"state": {}, "param_groups": []}, "iter": 7, "infos": None}
    critic = {"0.weight": torch.zeros(3, SIZES[0]), "0.bias": torch.zeros(3)}
    if layout in ("4", "5"):
        deviation = "std" if layout == "4" else "distribution.log_std_param"
        actor = {f"mlp.{name}": value for name, value in layers.items()}
        actor |= {f"obs_normalizer.{name}": value for name, value in norm.items()}
        actor[deviation] = torch.zeros(SIZES[-1])
        critics = {f"mlp.{name}": value for name, value in critic.items()}
        return {"actor_state_dict": actor, "critic_state_dict": critics, **rest}
    model = {f"actor.{name}": value for name, value in layers.items()}
    model |= {f"critic.{name}": value for name, value in critic.items()}
    model["log_std" if layout == "2" else "std"] = torch.ones(SIZES[-1])
    if layout == "3":
        model |= {f"actor_obs_normalizer.{name}": value for name, value in norm.items()}
    if layout == "2":
        rest["obs_norm_state_dict"] = norm
    return {"model_state_dict": model, **rest}


def write_rsl_rl(folder: Path, layout: str = "5") -> tuple[Path, list[str]]:
    """Write the checkpoint; return it and what is said beside it."""
    path = folder / "model_100.pt"
    torch.save(rsl_rl_checkpoint(layout), path)
    told = write_part(
        folder / "rest.yaml",
        {
            "inputs": [GOAL],
            "chain": {"tool_frame": "fr3_hand_tcp"},
            "action": {"kind": "ee_delta"},
            "source": {
                "observations": ["joint_position", "joint_velocity", "ee_pose", "goal_pose"],
                "joint_names": list(THEIRS),
                "action_scale": [0.005, 0.005, 0.005, 0.02, 0.02, 0.02],
                "clip_actions": 1.0,
            },
        },
    )
    return path, [*SAID, *TICKS, *GAINS, "--activation", "elu", *told]


def rsl_rl_step(obs: Mapping[str, Array], layout: str) -> Array:
    """Return the action (6,) by hand: numpy in float64."""
    layers = {name: value.double().numpy() for name, value in rsl_rl_tensors().items()}
    q, dq = obs["joint_position"][BACK], obs["joint_velocity"][BACK]
    x = np.concatenate([q, dq, obs["ee_pose"], obs["goal_pose"]]).astype(np.float64)
    if layout != "1":
        norm = {name: value.double().numpy() for name, value in rsl_rl_normalizer().items()}
        x = (x - norm["_mean"][0]) / (norm["_std"][0] + 0.01)
    for k in range(len(SIZES) - 1):
        x = layers[f"{2 * k}.weight"] @ x + layers[f"{2 * k}.bias"]
        if k < len(SIZES) - 2:
            x = np.where(x > 0.0, x, np.expm1(x))
    return x.clip(-1.0, 1.0)
