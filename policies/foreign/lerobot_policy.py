"""A policy of LeRobot in the units of a contract: what is exported."""

# pyright: standard

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn

from .files import ForeignError, check_file, read_tensors
from .lerobot_act import ACTION, ENVIRONMENT, STATE, LerobotAct, LerobotActCfg, fill, read_config
from .lerobot_statistics import Affine, read_statistics

CONFIG, WEIGHTS = "config.json", "model.safetensors"
WIDTH = "gripper_width"
_WHITE = 255.0
"""LeRobot's pictures are numbers from 0 to 1."""


@dataclass(frozen=True, kw_only=True)
class Elements:
    """Where joints are in state and action; what they are there: ours = scale theirs + offset."""

    places: tuple[int, ...]
    """Of the joints, and of the gripper behind them if it acts."""
    gripper: bool
    """Whether the last is the gripper: metres in the state, a share of its opening in actions."""
    state_scale: tuple[float, ...]
    state_offset: tuple[float, ...]
    action_scale: tuple[float, ...]
    action_offset: tuple[float, ...]


@dataclass(frozen=True, kw_only=True)
class LerobotPolicy:
    """What was read of a folder."""

    cfg: LerobotActCfg
    network: LerobotAct
    statistics: dict[str, Affine]


def read_lerobot(folder: Path) -> LerobotPolicy:
    """Return the policy of a folder.

    Raises:
        ForeignError: a file is missing or says what is not built here.
    """
    if not folder.is_dir():
        raise ForeignError(f"{folder}: expected a folder with {CONFIG} and {WEIGHTS}")
    cfg = read_config(folder / CONFIG)
    check_file(folder / WEIGHTS)
    weights = read_tensors(folder / WEIGHTS)
    statistics = read_statistics(folder, cfg, weights)
    sizes = {STATE: cfg.state, ACTION: cfg.action, ENVIRONMENT: cfg.environment}
    for name, affine in statistics.items():
        size = sizes.get(name, 3)
        if any(values.size not in (1, size) for values in affine):
            raise ForeignError(f"{folder}: statistics of {name}: expected {size} numbers")
    with torch.random.fork_rng(devices=[]):
        network = LerobotAct(cfg).eval()
    fill(network, weights, str(folder / WEIGHTS))
    return LerobotPolicy(cfg=cfg, network=network, statistics=statistics)


class ImportedAct(nn.Module):
    """`forward(obs, state, noise) -> (chunk, state)` in radians and shares of the opening."""

    def __init__(
        self, policy: LerobotPolicy, elements: Elements, pictures: tuple[str, ...], *,
        environment: str | None = None,
    ) -> None:  # fmt: skip
        """Put a network between units and normalisers.

        Args:
            policy: what was read.
            elements: where joints and gripper are.
            pictures: inputs of the contract, in the order of the network.
            environment: input of the contract that is the state of the environment.
        """
        super().__init__()
        self.network, self.pictures = policy.network, pictures
        self.gripper, self.environment = elements.gripper, environment
        order = np.argsort(elements.places)
        self.order, self.places = order.tolist(), list(elements.places)
        for name in ("state_scale", "state_offset", "action_scale", "action_offset"):
            values = np.asarray(getattr(elements, name), np.float32)
            self.register_buffer(name, torch.from_numpy(values))
        for k, name in enumerate(policy.cfg.pictures):
            self._keep(f"picture_{k}", policy.statistics[name], (-1, 1, 1))
        for label, name in (("seen", STATE), ("acted", ACTION), ("around", ENVIRONMENT)):
            if name in policy.statistics:
                self._keep(label, policy.statistics[name], (-1,))

    def _keep(self, label: str, affine: Affine, shape: tuple[int, ...]) -> None:
        for part, values in zip(("center", "spread"), affine, strict=True):
            self.register_buffer(f"{label}_{part}", torch.from_numpy(values).reshape(shape))

    def _normal(self, label: str, values: Tensor) -> Tensor:
        center, spread = (self.get_buffer(f"{label}_{part}") for part in ("center", "spread"))
        return (values - center) / spread

    def forward(
        self, obs: dict[str, Tensor], state: dict[str, Tensor], noise: dict[str, Tensor]
    ) -> tuple[Tensor, dict[str, Tensor]]:
        """Return chunks (B, T, A); nothing is carried on."""
        ours = obs["joint_position"]
        if self.gripper:
            ours = torch.cat([ours, obs[WIDTH]], dim=-1)
        theirs = (ours - self.get_buffer("state_offset")) / self.get_buffer("state_scale")
        around = None
        if self.environment is not None:
            around = self._normal("around", obs[self.environment])
        pictures = [
            self._normal(f"picture_{k}", obs[name].permute(0, 3, 1, 2).float() / _WHITE)
            for k, name in enumerate(self.pictures)
        ]
        chunk = self.network(self._normal("seen", theirs[..., self.order]), around, pictures)
        chunk = chunk * self.get_buffer("acted_spread") + self.get_buffer("acted_center")
        chunk = chunk[..., self.places] * self.get_buffer("action_scale")
        return chunk + self.get_buffer("action_offset"), {}
