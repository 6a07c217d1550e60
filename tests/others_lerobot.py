"""An ACT policy of LeRobot, written by hand, and its answers, from parameters by their names."""

# pyright: standard

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
import yaml
from numpy.typing import NDArray
from safetensors.numpy import save_file
from torch.nn import functional

from sim2arm.core.plain import to_plain
from sim2arm.core.robots import FR3
from sim2arm.sim.arm import SimulatedArm
from sim2arm.sim.tasks.table import make_task
from sim2arm.sim.vision import Vision
from tests.deploy_ros.seeing import SIDE, VISION
from tests.others import BACK, GAINS, SAID, THEIRS, TICKS, Array, floats, write_part

ONE = Vision(sights=(replace(VISION.sights[0], history=1),))
"""What the policy sees."""
DIM, HEADS, FEED, LATENT, CHUNK, STEPS = 16, 2, 24, 4, 6, 3
SCENE = "observation.images.scene"
DEGREES = math.pi / 180.0


def lerobot_config(**changed: Any) -> dict[str, Any]:
    """Return `config.json`; fields that do not matter to acting are left out."""
    return {
        "type": "act", "n_obs_steps": 1, "chunk_size": CHUNK, "n_action_steps": STEPS,
        "input_features": {
            "observation.state": {"type": "STATE", "shape": [7]},
            SCENE: {"type": "VISUAL", "shape": [3, SIDE, SIDE]},
        },
        "output_features": {"action": {"type": "ACTION", "shape": [7]}},
        "normalization_mapping": dict.fromkeys(("VISUAL", "STATE", "ACTION"), "MEAN_STD"),
        "vision_backbone": "resnet18", "pretrained_backbone_weights": None,
        "replace_final_stride_with_dilation": False, "pre_norm": False, "dim_model": DIM,
        "n_heads": HEADS, "dim_feedforward": FEED, "feedforward_activation": "relu",
        "n_encoder_layers": 2, "n_decoder_layers": 1, "use_vae": True, "latent_dim": LATENT,
        "n_vae_encoder_layers": 1, "temporal_ensemble_coeff": None, "dropout": 0.1,
        "kl_weight": 10.0, **changed,
    }  # fmt: skip


def lerobot_weights() -> dict[str, Array]:
    """Return parameters by the names of LeRobot, those of training included."""
    random = np.random.default_rng(2)
    found: dict[str, Array] = {}

    def linear(name: str, *shape: int, bias: bool = True) -> None:
        scale = math.prod(shape[1:]) ** -0.5
        found[f"model.{name}.weight"] = (scale * random.normal(size=shape)).astype(np.float32)
        if bias:
            found[f"model.{name}.bias"] = random.uniform(-0.1, 0.1, shape[0]).astype(np.float32)

    def norm(name: str, size: int, *, frozen: bool = False) -> None:
        found[f"model.{name}.weight"] = random.uniform(0.8, 1.2, size).astype(np.float32)
        found[f"model.{name}.bias"] = random.uniform(-0.1, 0.1, size).astype(np.float32)
        if frozen:
            found[f"model.{name}.running_mean"] = random.normal(size=size).astype(np.float32)
            found[f"model.{name}.running_var"] = random.uniform(0.5, 2.0, size).astype(np.float32)

    def attention(name: str) -> None:
        found[f"model.{name}.in_proj_weight"] = (
            DIM**-0.5 * random.normal(size=(3 * DIM, DIM))
        ).astype(np.float32)
        found[f"model.{name}.in_proj_bias"] = random.uniform(-0.1, 0.1, 3 * DIM).astype(np.float32)
        linear(f"{name}.out_proj", DIM, DIM)

    def layer(name: str, norms: int) -> None:
        attention(f"{name}.self_attn")
        if norms == 3:
            attention(f"{name}.multihead_attn")
        linear(f"{name}.linear1", FEED, DIM)
        linear(f"{name}.linear2", DIM, FEED)
        for k in range(norms):
            norm(f"{name}.norm{k + 1}", DIM)

    linear("backbone.conv1", 64, 3, 7, 7, bias=False)
    norm("backbone.bn1", 64, frozen=True)
    before = 64
    for stage, after in enumerate((64, 128, 256, 512)):
        for block in range(2):
            name = f"backbone.layer{stage + 1}.{block}"
            linear(f"{name}.conv1", after, before, 3, 3, bias=False)
            norm(f"{name}.bn1", after, frozen=True)
            linear(f"{name}.conv2", after, after, 3, 3, bias=False)
            norm(f"{name}.bn2", after, frozen=True)
            if before != after:
                linear(f"{name}.downsample.0", after, before, 1, 1, bias=False)
                norm(f"{name}.downsample.1", after, frozen=True)
            before = after
    for k in range(2):
        layer(f"encoder.layers.{k}", 2)
    layer("decoder.layers.0", 3)
    norm("decoder.norm", DIM)
    linear("encoder_latent_input_proj", DIM, LATENT)
    linear("encoder_robot_state_input_proj", DIM, 7)
    linear("encoder_img_feat_input_proj", DIM, 512, 1, 1)
    linear("encoder_1d_feature_pos_embed", 2, DIM, bias=False)
    linear("decoder_pos_embed", CHUNK, DIM, bias=False)
    linear("action_head", 7, DIM)
    layer("vae_encoder.layers.0", 2)
    linear("vae_encoder_latent_output_proj", 2 * LATENT, DIM)
    return found


def lerobot_statistics() -> dict[str, Array]:
    home = np.degrees(FR3.home).astype(np.float32)[BACK]
    return {
        "observation.state.mean": home,
        "observation.state.std": np.full(7, 20.0, np.float32),
        f"{SCENE}.mean": floats([0.4, 0.5, 0.6]).reshape(3, 1, 1),
        f"{SCENE}.std": floats([0.2, 0.3, 0.4]).reshape(3, 1, 1),
        "action.mean": home,
        "action.std": np.linspace(1.0, 4.0, 7, dtype=np.float32),
    }


def write_lerobot(folder: Path, *, old: bool = False, **changed: Any) -> tuple[Path, list[str]]:
    """Write the policy; return its folder and what is said beside it."""
    path = folder / "pretrained_model"
    path.mkdir()
    (path / "config.json").write_text(json.dumps(lerobot_config(**changed)))
    weights, statistics = lerobot_weights(), lerobot_statistics()
    if old:  # before version 0.4
        for name, value in statistics.items():
            feature, _, part = name.rpartition(".")
            buffer = f"buffer_{feature.replace('.', '_')}.{part}"
            sides = ("normalize_targets", "unnormalize_outputs")
            for side in sides if feature == "action" else ("normalize_inputs",):
                weights[f"{side}.{buffer}"] = value
    else:
        write_processors(path, statistics)
    save_file(weights, path / "model.safetensors")
    joints = {
        name: {"element": str(THEIRS.index(name)), "scale": DEGREES} for name in FR3.joint_names
    }
    mapped = {"robot": "fr3", "joints": joints, "pictures": {"scene_rgb": SCENE}}
    (folder / "map.yaml").write_text(yaml.safe_dump(mapped))
    arm = SimulatedArm(make_task("reach", "fr3", ""), "fr3", vision=ONE)
    assert arm.eyes is not None
    told = write_part(
        folder / "rest.yaml",
        {
            "inputs": [to_plain(arm.organs.specs["scene_rgb"])],
            "ranges": to_plain(list(arm.eyes.ranges((), 1.0))),
        },
    )
    said = [*SAID[2:], *TICKS, *GAINS, "--map", str(folder / "map.yaml"), *told]
    return path, said


def write_processors(path: Path, statistics: Mapping[str, Array]) -> None:
    """Write the steps before and behind a network, as LeRobot does since version 0.4."""
    about = {"eps": 1e-8, "features": {}, "norm_map": {}}
    files = {
        "policy_preprocessor": (
            {"registry_name": "rename_observations_processor", "config": {"rename_map": {}}},
            {"registry_name": "to_batch_processor", "config": {}},
            {"registry_name": "device_processor", "config": {"device": "cpu"}},
            {"registry_name": "normalizer_processor", "config": about},
        ),
        "policy_postprocessor": (
            {"registry_name": "unnormalizer_processor", "config": about},
            {"registry_name": "device_processor", "config": {"device": "cpu"}},
        ),
    }
    for name, steps in files.items():
        for k, step in enumerate(steps):
            if step["registry_name"].endswith("normalizer_processor"):
                state = f"{name}_step_{k}_{step['registry_name']}.safetensors"
                save_file(dict(statistics), path / state)
                step["state_file"] = state
        (path / f"{name}.json").write_text(json.dumps({"name": name, "steps": list(steps)}))


def lerobot_chunk(obs: Mapping[str, Any]) -> NDArray[Any]:
    """Return a chunk (T, 7) of our joints, from parameters by their names, in float64."""
    w = {
        k.removeprefix("model."): torch.from_numpy(v).double() for k, v in lerobot_weights().items()
    }
    s = {k: torch.from_numpy(v).double() for k, v in lerobot_statistics().items()}
    state = torch.from_numpy(np.degrees(obs["joint_position"].astype(np.float64))[BACK])
    state = (state - s["observation.state.mean"]) / (s["observation.state.std"] + 1e-8)
    picture = torch.from_numpy(obs["scene_rgb"]).double().permute(2, 0, 1) / 255.0
    picture = (picture - s[f"{SCENE}.mean"]) / (s[f"{SCENE}.std"] + 1e-8)
    grid = _convolve(_resnet(picture[None], w), w, "encoder_img_feat_input_proj")
    tokens = [
        w["encoder_latent_input_proj.bias"],
        w["encoder_robot_state_input_proj.weight"] @ state
        + w["encoder_robot_state_input_proj.bias"],
        *grid[0].flatten(1).T,
    ]
    x = torch.stack(tokens)[:, None]  # (S, 1, D), as nn.MultiheadAttention has it
    places = [*w["encoder_1d_feature_pos_embed.weight"], *_grid_positions(*grid.shape[2:])]
    position = torch.stack(places)[:, None]
    for k in range(2):
        name = f"encoder.layers.{k}"
        at = x + position
        x = _norm(x + _attend(at, at, x, w, f"{name}.self_attn"), w, f"{name}.norm1")
        x = _norm(x + _feed(x, w, name), w, f"{name}.norm2")
    name, queries = "decoder.layers.0", w["decoder_pos_embed.weight"][:, None]
    y = torch.zeros_like(queries)
    y = _norm(y + _attend(y + queries, y + queries, y, w, f"{name}.self_attn"), w, f"{name}.norm1")
    seen = _attend(y + queries, x + position, x, w, f"{name}.multihead_attn")
    y = _norm(y + seen, w, f"{name}.norm2")
    y = _norm(_norm(y + _feed(y, w, name), w, f"{name}.norm3"), w, "decoder.norm")
    chunk = y[:, 0] @ w["action_head.weight"].T + w["action_head.bias"]
    degrees = (chunk * s["action.std"] + s["action.mean"]).numpy()
    return np.radians(degrees)[:, np.argsort(BACK)]


def _convolve(x: torch.Tensor, w: Any, name: str, **more: Any) -> torch.Tensor:
    return functional.conv2d(x, w[f"{name}.weight"], w.get(f"{name}.bias"), **more)


def _batch(x: torch.Tensor, w: Any, name: str) -> torch.Tensor:
    parts = (w[f"{name}.{part}"] for part in ("running_mean", "running_var", "weight", "bias"))
    return functional.batch_norm(x, *parts, training=False, eps=1e-5)


def _resnet(x: torch.Tensor, w: Any) -> torch.Tensor:
    x = _batch(_convolve(x, w, "backbone.conv1", stride=2, padding=3), w, "backbone.bn1").relu()
    x = functional.max_pool2d(x, 3, stride=2, padding=1)
    for stage in range(1, 5):
        for block in range(2):
            name = f"backbone.layer{stage}.{block}"
            stride = 2 if stage > 1 and block == 0 else 1
            y = _convolve(x, w, f"{name}.conv1", stride=stride, padding=1)
            y = _convolve(_batch(y, w, f"{name}.bn1").relu(), w, f"{name}.conv2", padding=1)
            if stride == 2:
                x = _convolve(x, w, f"{name}.downsample.0", stride=2)
                x = _batch(x, w, f"{name}.downsample.1")
            x = (x + _batch(y, w, f"{name}.bn2")).relu()
    return x


def _attend(q: Any, k: Any, v: Any, w: Any, name: str) -> torch.Tensor:
    module = torch.nn.MultiheadAttention(DIM, HEADS).double().eval()
    parts = ("in_proj_weight", "in_proj_bias", "out_proj.weight", "out_proj.bias")
    module.load_state_dict({part: w[f"{name}.{part}"] for part in parts})
    with torch.no_grad():
        return module(q, k, v)[0]


def _norm(x: torch.Tensor, w: Any, name: str) -> torch.Tensor:
    return functional.layer_norm(x, (DIM,), w[f"{name}.weight"], w[f"{name}.bias"])


def _feed(x: torch.Tensor, w: Any, name: str) -> torch.Tensor:
    hidden = functional.linear(x, w[f"{name}.linear1.weight"], w[f"{name}.linear1.bias"]).relu()
    return functional.linear(hidden, w[f"{name}.linear2.weight"], w[f"{name}.linear2.bias"])


def _grid_positions(rows: int, cols: int) -> list[torch.Tensor]:
    """Return sines and cosines of row and column, from 0 to 2 pi over the grid."""
    half, found = DIM // 2, list[torch.Tensor]()
    for row in range(1, rows + 1):
        for col in range(1, cols + 1):
            numbers: list[float] = []
            for place, count in ((row, rows), (col, cols)):
                angle = 2.0 * math.pi * place / (count + 1e-6)
                for k in range(half // 2):
                    turned = angle / 10_000.0 ** (2.0 * k / half)
                    numbers += [math.sin(turned), math.cos(turned)]
            found.append(torch.tensor(numbers, dtype=torch.float64))
    return found
