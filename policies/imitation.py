"""Learning from demonstrations: chunks of actions that follow from what was seen."""

# pyright: standard

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, TypeAlias

import torch
from torch import Tensor, nn

from .act import ActCfg, ActNetwork
from .act_jepa import ActJepaCfg, ActJepaNetwork
from .average import Average
from .bc import BcCfg, BcNetwork
from .beso import BesoCfg, BesoNetwork
from .chunks import JOINTS, Bounds, ChunkFeatures, ChunkPolicy, future_of, origin_of
from .demonstrations import Demonstrations
from .diffusion import DiffusionCfg, DiffusionNetwork
from .learner import load_optimizer, optimizer_state
from .networks import Position, RelativePose

AnyNetworkCfg: TypeAlias = ActCfg | ActJepaCfg | BcCfg | BesoCfg | DiffusionCfg
"""Configurations of networks."""
NETWORKS: dict[type, type[nn.Module]] = {
    ActCfg: ActNetwork,
    ActJepaCfg: ActJepaNetwork,
    BcCfg: BcNetwork,
    BesoCfg: BesoNetwork,
    DiffusionCfg: DiffusionNetwork,
}
"""A `ChunkNetwork` of each configuration."""


@dataclass(frozen=True, kw_only=True)
class LearnCfg:
    """Learning of chunks from demonstrations, whatever the network."""

    sees: tuple[str, ...] = ()
    """Arrays that the policy sees; all of the dataset if empty."""
    relative: tuple[RelativePose, ...] = ()
    """Pairs of poses of which it also sees the relative pose."""
    lengths: tuple[float, ...] = ()
    """Lengths at which the relative positions are also given squashed, tanh(p / length) [m]."""
    bases: tuple[Position, ...] = ()
    """Where several arms stand in the frame of the other poses, whose axes they have [m]; what is
    relative to the poses of their tools needs it."""
    offsets: bool = True
    """Whether networks answer with offsets from the joint positions that they see. What they must
    be exact to is then small; the policy still answers with joint positions."""
    batch: int = 8
    """Frames of a step."""
    lr: float = 1e-5
    """Greatest learning rate."""
    warm_up: int = 0
    """Steps over which the learning rate rises to that."""
    cosine: bool = False
    """Whether it falls to 0 until the last step, along half a cosine."""
    weight_decay: float = 1e-4
    """Of AdamW."""
    betas: tuple[float, float] = (0.9, 0.999)
    """Of AdamW."""
    max_grad_norm: float | None = None
    """Of the gradient; any if None."""
    average: bool = False
    """Whether a moving average of the weights is deployed in place of the last ones."""

    def __post_init__(self) -> None:
        """Refuse settings that nothing can be learnt with."""
        if self.batch < 1:
            raise ValueError(f"batch: expected 1 or more, got {self.batch}")
        if self.warm_up < 0:
            raise ValueError(f"warm_up: expected 0 or more, got {self.warm_up}")
        amounts = {"lr": self.lr} | {f"lengths[{i}]": x for i, x in enumerate(self.lengths)}
        if self.max_grad_norm is not None:
            amounts["max_grad_norm"] = self.max_grad_norm
        for name, value in amounts.items():
            if not 0.0 < value < math.inf:
                raise ValueError(f"{name}: expected a number above 0, got {value}")
        if not 0.0 <= self.weight_decay < math.inf:
            raise ValueError(f"weight_decay: expected 0 or more, got {self.weight_decay}")
        if not all(0.0 <= beta < 1.0 for beta in self.betas):
            raise ValueError(f"betas: expected 0 to below 1, got {self.betas}")


def build_policy(
    network: AnyNetworkCfg,
    cfg: LearnCfg,
    arrays: Mapping[str, Tensor],
    actions: Tensor,
    bounds: Bounds,
    joints: Sequence[int],
) -> ChunkPolicy:
    """Return a policy that has learnt nothing yet but how demonstrations are scaled.

    Args:
        network: its configuration.
        cfg: of learning.
        arrays: demonstrated (F, ...).
        actions: demonstrated (F, A), or offsets of whole chunks (F, T, A).
        bounds: least and greatest action.
        joints: of each element of an action its joint among the observed positions, -1 for none.

    Raises:
        PictureError: there is no vector, or an array that no network reads.
        RelativePoseError: a pair names what is no observed pose.
    """
    goal = network.goal if isinstance(network, BesoCfg) else ()
    features = ChunkFeatures(arrays, network.scaling, cfg.relative, cfg.lengths, goal, cfg.bases)
    first = {name: values[:1, None] for name, values in arrays.items()}
    first = {name: v.expand(1, network.history, *v.shape[2:]) for name, v in first.items()}
    built = NETWORKS[type(network)](network, features(first), actions.shape[-1])
    return ChunkPolicy(
        built, network, features, arrays, actions, bounds, origin=joints if cfg.offsets else None
    )


def scaled_by(
    network: AnyNetworkCfg, cfg: LearnCfg, demonstrations: Demonstrations, joints: Sequence[int]
) -> Tensor:
    """Return what says how actions are normalised, demonstrated actions (F, A) or offsets.

    Offsets are those of whole chunks (F, T, A); where an episode ends, its last action stays.
    """
    if not cfg.offsets:
        return demonstrations.actions
    frames = torch.arange(len(demonstrations))
    chunk, _ = demonstrations.chunk(frames, network.chunk, network.past)
    return chunk - origin_of(demonstrations.seen(frames, names=(JOINTS,)), joints)


def unscaled(network: AnyNetworkCfg, cfg: LearnCfg, size: int) -> Tensor:
    """Return zeros like `scaled_by`, of actions (A = size): a checkpoint brings the scale."""
    return torch.zeros((2, *([network.chunk] if cfg.offsets else []), size))


class Imitation:
    """Steps of learning.

    Attributes:
        network: configuration of the network.
        policy: what learns.
        steps: so far.
    """

    def __init__(
        self,
        network: AnyNetworkCfg,
        cfg: LearnCfg,
        demonstrations: Demonstrations,
        bounds: Bounds,
        joints: Sequence[int],
        *,
        total: int,
        seed: int = 0,
    ) -> None:
        """Begin.

        Args:
            network: its configuration.
            cfg: of learning.
            demonstrations: with the arrays that the policy sees.
            bounds: least and greatest action.
            joints: of each element of an action its joint, -1 for none.
            total: steps that will be learnt, for the learning rate.
            seed: of weights, batches and noise.

        Raises:
            PictureError: there is no vector, or an array that no network reads.
            RelativePoseError: a pair names what is no observed pose.
        """
        self.cfg, self.demonstrations, self.steps, self._total = cfg, demonstrations, 0, total
        self.network = network
        self._random = torch.Generator().manual_seed(seed)
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed)
            values = scaled_by(network, cfg, demonstrations, joints)
            arrays = demonstrations.arrays
            self.policy = build_policy(network, cfg, arrays, values, bounds, joints)
        self._average = Average(self.policy) if cfg.average else None
        self._optimizer = torch.optim.AdamW(
            self.policy.parameters(), lr=cfg.lr, weight_decay=cfg.weight_decay, betas=cfg.betas,
            fused=True,
        )  # fmt: skip

    @property
    def deployed(self) -> ChunkPolicy:
        """The policy that acts: the average if there is one."""
        if self._average is None:
            return self.policy
        assert isinstance(self._average.module, ChunkPolicy)
        return self._average.module

    @property
    def lr(self) -> float:
        """Learning rate of the next step."""
        cfg, done = self.cfg, self.steps
        if done < cfg.warm_up:
            return cfg.lr * (done + 1) / cfg.warm_up
        if not cfg.cosine:
            return cfg.lr
        share = (done - cfg.warm_up) / max(1, self._total - cfg.warm_up)
        return 0.5 * cfg.lr * (1.0 + math.cos(math.pi * min(1.0, share)))

    def step(self) -> dict[str, Tensor]:
        """Learn from a batch; return the parts of the loss."""
        cfg = self.cfg
        self.policy.train()
        frames = torch.randint(len(self.demonstrations), (cfg.batch,), generator=self._random)
        parts = self._loss(frames)
        self._optimizer.zero_grad(set_to_none=True)
        parts["loss"].backward()
        if cfg.max_grad_norm is not None:
            nn.utils.clip_grad_norm_(self.policy.parameters(), cfg.max_grad_norm)
        for group in self._optimizer.param_groups:
            group["lr"] = self.lr
        self._optimizer.step()
        self.steps += 1
        built: Any = self.policy.network
        if hasattr(built, "follow"):
            built.follow(min(1.0, self.steps / self._total))
        if self._average is not None:
            self._average.follow(self.policy, self.steps)
        return {name: value.detach() for name, value in parts.items()}

    def _loss(self, frames: Tensor) -> dict[str, Tensor]:
        """Return the parts of the loss at frames (B,)."""
        network, demos, policy = self.network, self.demonstrations, self.policy
        chunk, padded = demos.chunk(frames, network.chunk, network.past)
        seen, more = demos.seen(frames, network.history), dict[str, Any]()
        if size := future_of(network):
            kinds = policy.features.kinds
            coming, more["absent"] = demos.ahead(frames, size, (*kinds.vectors, *kinds.fields))
            more["future"] = policy.features(coming)
        built: Any = policy.network
        return built.loss(
            policy.features(seen), policy.learnt(chunk, seen), padded, self._random, **more
        )

    def state_dict(self) -> dict[str, Tensor]:
        """Return weights, average, optimiser, random stream and steps as flat tensors."""
        state = {f"model/{k}": v for k, v in self.policy.state_dict().items()}
        if self._average is not None:
            state |= {f"average/{k}": v for k, v in self._average.module.state_dict().items()}
        state |= optimizer_state(self._optimizer)
        return state | {"steps": torch.tensor(self.steps), "generator": self._random.get_state()}

    def load_state_dict(self, state: Mapping[str, Tensor]) -> None:
        """Go on where another stood.

        Raises:
            KeyError, RuntimeError: the state is not of this learner.
        """
        modules: dict[str, nn.Module] = {"model/": self.policy}
        if self._average is not None:
            modules["average/"] = self._average.module
        for start, module in modules.items():
            module.load_state_dict(
                {k.removeprefix(start): v for k, v in state.items() if k.startswith(start)}
            )
        load_optimizer(self._optimizer, state)
        self._random.set_state(state["generator"])
        self.steps = int(state["steps"])


def deployed_weights(state: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Return the weights of the policy that acts, of a checkpoint."""
    start = "average/" if any(name.startswith("average/") for name in state) else "model/"
    return {k.removeprefix(start): v for k, v in state.items() if k.startswith(start)}
