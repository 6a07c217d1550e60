"""ACT as LeRobot trains it: its configuration, its parameters in a network of ours.

What differs from ours (`act.py`) is the order of tokens, a normalisation behind the decoder and the
backbone; layers and positions are the same, so they are ours. Source: Zhao et al., arXiv
2304.13705; names of parameters and fields as in LeRobot (Apache-2.0), `policies/act/`.
"""

# pyright: standard

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from sim2arm.policies.attention import DecoderLayer, EncoderLayer, sine_grid

from .files import ForeignError, Tensors, mapping, read_json
from .frozen_resnet import BLOCKS, FrozenResNet

STATE, ENVIRONMENT = "observation.state", "observation.environment_state"
PICTURES, PICTURE = "observation.images.", "observation.image"
ACTION = "action"
_TRAINING_ONLY = "vae_encoder"
"""Beginning of the parameters of the encoder of demonstrated chunks."""


@dataclass(frozen=True, kw_only=True)
class LerobotActCfg:
    """What `config.json` says, as far as the network acts by it."""

    chunk_size: int
    n_action_steps: int
    vision_backbone: str
    dim_model: int
    n_heads: int
    dim_feedforward: int
    feedforward_activation: str
    n_encoder_layers: int
    n_decoder_layers: int
    latent_dim: int
    temporal_ensemble_coeff: float | None
    state: int
    """Numbers of the state."""
    environment: int
    """Numbers of the state of the environment, 0 if it is not seen."""
    pictures: dict[str, tuple[int, int]]
    """Rows and columns of each picture, in the order of the tokens."""
    action: int
    """Numbers of an action."""
    normalization: dict[str, str]
    """Of VISUAL, STATE, ENV and ACTION."""


_NUMBERS = {
    "chunk_size": int,
    "n_action_steps": int,
    "dim_model": int,
    "n_heads": int,
    "dim_feedforward": int,
    "n_encoder_layers": int,
    "n_decoder_layers": int,
    "latent_dim": int,
}
_FIXED = {"n_obs_steps": 1, "pre_norm": False, "replace_final_stride_with_dilation": False}
"""What is not built otherwise."""


def read_config(path: Path) -> LerobotActCfg:
    """Return what a `config.json` says.

    Raises:
        ForeignError: it is not of ACT, or of a network that is not built here.
    """
    data, place = read_json(path), str(path)
    if data.get("type") != "act":
        raise ForeignError(f"{place}: type: expected 'act', got {data.get('type')!r}")
    for name, known in _FIXED.items():
        if bool(data.get(name, known)) != bool(known) or data.get(name, known) not in (known, 0):
            raise ForeignError(f"{place}: {name}: expected {known}, got {data[name]!r}")
    for name, kind in _NUMBERS.items():
        if type(data.get(name)) is not kind or data[name] < 1:
            raise ForeignError(f"{place}: {name}: expected 1 or more, got {data.get(name)!r}")
    activation, backbone = data.get("feedforward_activation"), data.get("vision_backbone")
    if activation not in ("relu", "gelu"):
        raise ForeignError(
            f"{place}: feedforward_activation: expected relu or gelu, got {activation!r}"
        )
    inputs, outputs = (
        _features(data.get(f"{side}_features"), f"{place}: {side}_features")
        for side in ("input", "output")
    )
    pictures = {name: (s[1], s[2]) for name, s in inputs.items() if _is_picture(name, s)}
    if pictures and backbone not in BLOCKS:
        raise ForeignError(f"{place}: vision_backbone: expected {sorted(BLOCKS)}, got {backbone!r}")
    others = set(inputs) - {STATE, ENVIRONMENT} - set(pictures)
    vectors = [inputs.get(STATE), outputs.get(ACTION), inputs.get(ENVIRONMENT, (1,))]
    if others or any(shape is None or len(shape) != 1 for shape in vectors):
        raise ForeignError(
            f"{place}: expected {STATE}, {ACTION} and pictures, got {sorted([*inputs, *outputs])}"
        )
    ensemble = data.get("temporal_ensemble_coeff")
    return LerobotActCfg(
        **{name: data[name] for name in _NUMBERS},
        vision_backbone=str(backbone), feedforward_activation=str(activation),
        temporal_ensemble_coeff=None if ensemble is None else float(ensemble),
        state=inputs[STATE][0], environment=inputs.get(ENVIRONMENT, (0,))[0], pictures=pictures,
        action=outputs[ACTION][0],
        normalization={k: str(v) for k, v in mapping(
            data.get("normalization_mapping"), f"{place}: normalization_mapping").items()},
    )  # fmt: skip


def _features(data: Any, place: str) -> dict[str, tuple[int, ...]]:
    found: dict[str, tuple[int, ...]] = {}
    for name, entry in mapping(data, place).items():
        shape = mapping(entry, f"{place}.{name}").get("shape")
        if not isinstance(shape, list) or not all(type(n) is int and n > 0 for n in shape):
            raise ForeignError(f"{place}.{name}: shape: expected a list of sizes, got {shape!r}")
        found[name] = tuple(shape)
    return found


def _is_picture(name: str, shape: Sequence[int]) -> bool:
    named = name == PICTURE or name.startswith(PICTURES)
    return named and len(shape) == 3 and shape[0] == 3


class LerobotAct(nn.Module):
    """Normalised state and pictures to normalised chunks (B, T, A)."""

    def __init__(self, cfg: LerobotActCfg) -> None:
        """Build it."""
        super().__init__()
        dim = cfg.dim_model
        self.cfg = cfg
        self.latent, self.state = nn.Linear(cfg.latent_dim, dim), nn.Linear(cfg.state, dim)
        self.environment = nn.Linear(cfg.environment, dim) if cfg.environment else None
        self.backbone = FrozenResNet(cfg.vision_backbone) if cfg.pictures else None
        self.project = nn.Conv2d(FrozenResNet.size, dim, 1) if cfg.pictures else None
        self.places = nn.Parameter(torch.zeros(2 + bool(cfg.environment), dim))
        sizes = dim, cfg.n_heads, cfg.dim_feedforward, 0.0
        self.encoder = nn.ModuleList(EncoderLayer(*sizes) for _ in range(cfg.n_encoder_layers))
        self.decoder = nn.ModuleList(DecoderLayer(*sizes) for _ in range(cfg.n_decoder_layers))
        self.norm = nn.LayerNorm(dim)
        self.queries = nn.Parameter(torch.zeros(cfg.chunk_size, dim))
        self.out = nn.Linear(dim, cfg.action)
        if cfg.feedforward_activation == "gelu":
            for layer in (*self.encoder, *self.decoder):
                layer.set_submodule("feed.1", nn.GELU())

    def forward(
        self, state: Tensor, environment: Tensor | None, pictures: Sequence[Tensor]
    ) -> Tensor:
        """Return chunks.

        Args:
            state: normalised (B, S).
            environment: normalised (B, E), if the network sees it.
            pictures: normalised (B, 3, H, W), in the order of the configuration.
        """
        count = len(state)
        style = state.new_zeros((count, self.cfg.latent_dim))
        tokens = [self.latent(style), self.state(state)]
        if self.environment is not None and environment is not None:
            tokens.append(self.environment(environment))
        x, position = torch.stack(tokens, dim=1), self.places[None]
        for picture in pictures:
            assert self.backbone is not None and self.project is not None
            grid = self.project(self.backbone(picture))
            place = sine_grid(grid.shape[2], grid.shape[3], self.cfg.dim_model)
            x = torch.cat([x, grid.flatten(2).transpose(1, 2)], dim=1)
            position = torch.cat([position, place[None]], dim=1)
        for layer in self.encoder:
            x = layer(x, position)
        place = self.queries[None]
        asked = torch.zeros_like(place).expand(count, -1, -1)
        for layer in self.decoder:
            asked = layer(asked, place, x, position)
        return self.out(self.norm(asked))


def fill(network: LerobotAct, tensors: Mapping[str, np.ndarray], place: str) -> None:
    """Give a network the parameters of a `model.safetensors`.

    Args:
        network: to be changed.
        tensors: of the file, without what normalises.
        place: name of the file, for messages.

    Raises:
        ForeignError: one is missing, has another shape, or is not known.
    """
    left: Tensors = {
        name.removeprefix("model."): value
        for name, value in tensors.items()
        if not name.removeprefix("model.").startswith(_TRAINING_ONLY)
    }
    wanted, names = network.state_dict(), _names(network)
    found: dict[str, Tensor] = {}
    for name, (theirs, third) in names.items():
        if theirs not in left:
            raise ForeignError(f"{place}: expected the parameter {theirs!r}")
        value = left[theirs]
        if third is not None:  # queries, keys and values lie in one tensor
            rows = len(value) // 3
            value = value[third * rows : (third + 1) * rows]
        found[name] = torch.from_numpy(np.ascontiguousarray(value)).float()
        if found[name].shape != wanted[name].shape:
            raise ForeignError(
                f"{place}: {theirs}: expected shape {tuple(wanted[name].shape)}, got "
                f"{tuple(found[name].shape)}: config.json is of another network"
            )
    unknown = sorted(set(left) - {theirs for theirs, _ in names.values()})
    if unknown:
        raise ForeignError(f"{place}: {unknown[0]!r} is not a parameter of this network")
    network.load_state_dict(found)


_PLAIN = {
    "latent": "encoder_latent_input_proj",
    "state": "encoder_robot_state_input_proj",
    "environment": "encoder_env_state_input_proj",
    "project": "encoder_img_feat_input_proj",
    "norm": "decoder.norm",
    "out": "action_head",
    "places": "encoder_1d_feature_pos_embed.weight",
    "queries": "decoder_pos_embed.weight",
}


def _names(network: LerobotAct) -> dict[str, tuple[str, int | None]]:
    """Return for each of our parameters theirs, and which third of its rows."""
    found: dict[str, tuple[str, int | None]] = {}
    for name in network.state_dict():
        first, _, rest = name.partition(".")
        if first in _PLAIN:
            found[name] = (".".join(filter(None, (_PLAIN[first], rest))), None)
        elif first == "backbone":
            found[name] = (name, None)
        else:
            index, _, inner = rest.partition(".")
            found[name] = _layer_name(f"{first}.layers.{index}", inner)
    return found


_FEED = {"0": "linear1", "3": "linear2"}
_ATTENTION = {"attention": "self_attn", "own": "self_attn", "cross": "multihead_attn"}
_THIRDS = ("query", "key", "value")


def _layer_name(layer: str, name: str) -> tuple[str, int | None]:
    """Return their name of a parameter of a layer, and which third of its rows."""
    first, *rest = name.split(".")
    if first == "norms":
        return f"{layer}.norm{int(rest[0]) + 1}.{rest[1]}", None
    if first == "feed":
        return f"{layer}.{_FEED[rest[0]]}.{rest[1]}", None
    part, kind = rest
    if part == "out":
        return f"{layer}.{_ATTENTION[first]}.out_proj.{kind}", None
    return f"{layer}.{_ATTENTION[first]}.in_proj_{kind}", _THIRDS.index(part)
