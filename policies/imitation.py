"""Imitation of demonstrations: batches of a dataset, and a policy that returns chunks of actions.

A policy takes the arrays of the contract, as on the robot: `observation.state` is joint positions
and gripper width, pictures and touch have their own names. Normalisation is part of the policy.
"""

# pyright: standard

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
import torch
from torch import Tensor, nn

from .act import ActCfg, ActNetwork, act_loss
from .dataset.files import DatasetError
from .dataset.layout import PICTURES
from .dataset.reader import Dataset
from .encoders import FieldEncoder

LEAST_DEVIATION = 1e-2
"""Smallest deviation that numbers are divided by, as in ACT: what hardly varies stays small."""


@dataclass(frozen=True, kw_only=True)
class ImitationCfg:
    """Learning of chunks from demonstrations."""

    sees: tuple[str, ...] = ()
    """Arrays that the policy sees; all that there are if empty."""
    act: ActCfg = field(default_factory=ActCfg)
    """The network and its loss."""
    batch: int = 8
    """Frames of a step."""
    lr: float = 1e-5
    """Learning rate."""
    weight_decay: float = 1e-4
    """Of AdamW."""

    def __post_init__(self) -> None:
        """Refuse settings that nothing can be learnt with."""
        if self.batch < 1:
            raise ValueError(f"batch: expected 1 or more, got {self.batch}")
        if not self.lr > 0.0:
            raise ValueError(f"lr: expected above 0, got {self.lr}")


class Demonstrations:
    """Frames of all episodes of a dataset in memory, by the names of the contract.

    Attributes:
        arrays: (F, ...) of each, pictures uint8.
        actions: (F, A) float32.
    """

    def __init__(self, dataset: Dataset, sees: Sequence[str] = ()) -> None:
        """Read them.

        Args:
            dataset: of `sim2arm record`.
            sees: arrays to keep; all if empty.

        Raises:
            DatasetError: there are no actions, or one of the arrays is not there; one line.
        """
        if "action" not in dataset.features or len(dataset) == 0:
            raise DatasetError(f"{dataset.root}: expected frames with a column 'action'")
        found: dict[str, list[np.ndarray]] = {}
        actions: list[np.ndarray] = []
        for episode in range(dataset.index.episodes):
            for name, values in _arrays(dataset, episode, sees).items():
                found.setdefault(name, []).append(values)
            actions.append(dataset.episode(episode)["action"])
        if absent := [name for name in sees if name not in found]:
            raise DatasetError(
                f"{dataset.root}: there is no array {absent[0]!r}. Known: {sorted(found)}"
            )
        self.arrays = {n: torch.from_numpy(np.concatenate(v)) for n, v in found.items()}
        self.actions = torch.from_numpy(np.concatenate(actions))
        self._last = torch.from_numpy(np.repeat(dataset.starts[1:] - 1, np.diff(dataset.starts)))

    def __len__(self) -> int:
        """Return the number of frames."""
        return len(self.actions)

    def batch(self, frames: Tensor, chunk: int) -> tuple[dict[str, Tensor], Tensor, Tensor]:
        """Return what was seen at frames (B,), the actions from there on, and which are padding.

        Returns:
            Arrays (B, ...); actions (B, chunk, A), the last of an episode repeated beyond its end;
            (B, chunk) bool, where that is so.
        """
        at = frames[:, None] + torch.arange(chunk)
        last = self._last[frames][:, None]
        seen = {name: values[frames] for name, values in self.arrays.items()}
        return seen, self.actions[at.minimum(last)], at > last


def _arrays(dataset: Dataset, episode: int, sees: Sequence[str]) -> dict[str, np.ndarray]:
    """Return the arrays of an episode (frames, ...), float32 or pictures."""
    rows, found = dataset.episode(episode), dict[str, np.ndarray]()
    state = rows["observation.state"]
    found["joint_position"], found["gripper_width"] = state[:, :-1], state[:, -1:]
    found["joint_velocity"] = rows["observation.velocity"]
    found["ee_pose"] = rows["measured.ee_pose"].astype(np.float32)
    for key, feature in dataset.features.items():
        name = key.rpartition(".")[2]
        if not key.startswith("observation.") or name in ("state", "velocity"):
            continue
        if sees and name not in sees:
            continue
        if feature.dtype in PICTURES:
            found[name] = dataset.pictures(key, episode, range(len(state)))
        else:
            found[name] = rows[key].astype(np.float32)
    return {name: values for name, values in found.items() if not sees or name in sees}


class ChunkPolicy(nn.Module):
    """What the contract gives to chunks of actions; normalisers are part of it."""

    def __init__(self, cfg: ImitationCfg, demonstrations: Demonstrations) -> None:
        """Build it for demonstrations, whose means and deviations it takes."""
        super().__init__()
        first = {name: values[:1] for name, values in demonstrations.arrays.items()}
        self.network = ActNetwork(cfg.act, first, demonstrations.actions.shape[1])
        self.vectors = self.network.vectors
        for name in (*self.vectors, "action"):
            values = demonstrations.actions if name == "action" else demonstrations.arrays[name]
            deviation = values.std(dim=0, unbiased=False).clamp(min=LEAST_DEVIATION)
            self.register_buffer(f"mean_{name}", values.mean(dim=0))
            self.register_buffer(f"deviation_{name}", deviation)
        for name, encoder in self.network.fields.items():
            values = demonstrations.arrays[name].flatten(0, -2)
            assert isinstance(encoder, FieldEncoder)
            encoder.norm.update(values)

    def normalised(self, name: str, values: Tensor) -> Tensor:
        """Return values of a vector, or of actions under `action`, with mean 0 and deviation 1."""
        return (values - getattr(self, f"mean_{name}")) / getattr(self, f"deviation_{name}")

    def see(self, obs: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """Return what the network takes."""
        return {
            name: self.normalised(name, value) if name in self.vectors else value
            for name, value in obs.items()
        }

    def forward(
        self, obs: dict[str, Tensor], state: dict[str, Tensor], noise: dict[str, Tensor]
    ) -> tuple[Tensor, dict[str, Tensor]]:
        """Return chunks (B, T, A) in [-1, 1]; it carries nothing from one to the next."""
        chunk = self.network(self.see(obs))
        deviation, mean = (self.get_buffer(f"{name}_action") for name in ("deviation", "mean"))
        return (chunk * deviation + mean).clamp(-1.0, 1.0), {}


class Imitation:
    """Steps of learning.

    Attributes:
        policy: what learns.
        steps: so far.
    """

    def __init__(self, cfg: ImitationCfg, demonstrations: Demonstrations, *, seed: int = 0) -> None:
        """Begin; the seed is of weights, batches and noise."""
        self.cfg, self.demonstrations, self.steps = cfg, demonstrations, 0
        self._random = torch.Generator().manual_seed(seed)
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed)
            self.policy = ChunkPolicy(cfg, demonstrations)
        self._optimizer = torch.optim.AdamW(
            self.policy.parameters(), lr=cfg.lr, weight_decay=cfg.weight_decay
        )

    def step(self) -> dict[str, float]:
        """Learn from a batch; return the parts of the loss."""
        self.policy.train()
        frames = torch.randint(len(self.demonstrations), (self.cfg.batch,), generator=self._random)
        seen, chunk, padded = self.demonstrations.batch(frames, self.cfg.act.chunk)
        network = self.policy.network
        wanted = self.policy.normalised("action", chunk)
        parts = act_loss(network, self.policy.see(seen), wanted, padded, self._random)
        self._optimizer.zero_grad(set_to_none=True)
        parts["loss"].backward()
        self._optimizer.step()
        self.steps += 1
        return {name: float(value.detach()) for name, value in parts.items()}
