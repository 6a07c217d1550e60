"""PPO with an asymmetric critic: the actor sees one group of observations, the critic another.

Recipe as in rsl_rl (BSD-3) 5.4: adaptive learning rate from the KL divergence per minibatch,
separate gradient clipping of actor and critic, clipped value loss without a factor, advantages
normalised once per roll-out, empirical normalisation. Different here: a time limit is bootstrapped
with the value of the true last observation, and every epoch draws its own permutation.

An actor that remembers is trained on whole roll-outs of some worlds per minibatch, from the memory
with which each roll-out began: back-propagation through time is cut there, and where an episode
ends. With the critic of a privileged teacher, frozen or not, this is the second stage of asymmetric
actor-critic distillation (TacSL, arXiv 2408.06506).
Source: Schulman et al., arXiv 1707.06347.
"""

# pyright: standard

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Literal

import torch
from torch import Tensor, nn

from .actor import Actor, ActorCfg, Critic, Memory, forget
from .augment import augmentation
from .base import Env, Observations
from .distributed import ALONE, Ranks
from .learner import (
    COUNTS,
    Tally,
    go_on_drawing,
    load_into,
    model_state,
    state_of,
    take_part,
)
from .losses import (
    clipped_surrogate,
    clipped_value_loss,
    gae,
    gaussian_entropy,
    gaussian_kl,
    gaussian_log_prob,
)
from .networks import RelativePose

ACTOR = "actor/"
"""What the names of the actor's features in the storage begin with."""


@dataclass(frozen=True, kw_only=True)
class PpoCfg:
    """Proximal policy optimisation with an asymmetric critic."""

    hidden: tuple[int, ...] = (128, 128)
    """Sizes of the hidden layers of actor and critic."""
    relative: tuple[RelativePose, ...] = ()
    """Pairs of pose observations whose relative pose both networks also see."""
    lengths: tuple[float, ...] = (0.05, 0.01)
    """Lengths at which the relative positions are also given squashed, tanh(p / length) [m]."""
    actor: ActorCfg = field(default_factory=ActorCfg)
    """Pictures and memory of the actor."""
    critic_hidden: tuple[int, ...] = ()
    """Sizes of the critic's hidden layers where they are others."""
    critic_relative: tuple[RelativePose, ...] = ()
    """Pairs that only the critic sees, after those of `relative`."""
    sees: Literal["actor", "critic"] = "actor"
    """Group of observations that the actor sees; critic: a teacher, which no robot can run."""
    freeze_critic: bool = False
    """Whether the critic stays as a teacher's training left it."""
    rollout: int = 24
    """Steps of each world between updates."""
    epochs: int = 5
    """Passes over a roll-out."""
    minibatches: int = 4
    """Parts of a pass."""
    clip: float = 0.2
    """Clipping range of the ratio and of the value."""
    discount: float = 0.99
    """gamma."""
    decay: float = 0.95
    """lambda of the advantages."""
    entropy: float = 0.002
    """Weight of the entropy."""
    lr: float = 1e-3
    """First learning rate."""
    lr_low: float = 1e-5
    """Least learning rate."""
    lr_high: float = 1e-2
    """Greatest learning rate."""
    desired_kl: float = 0.01
    """Above twice of it the learning rate falls by 1.5, below half it rises by 1.5."""
    max_grad_norm: float = 1.0
    """Of the actor and of the critic, each."""
    initial_std: float = 0.7
    """First deviation of the actions."""
    least_std: float = 0.05
    """Floor of the deviation."""

    def __post_init__(self) -> None:
        """Refuse settings that nothing can be learnt with."""
        whole = {name: getattr(self, name) for name in ("rollout", "epochs", "minibatches")}
        for label in ("hidden", "critic_hidden"):
            whole |= {f"{label}[{i}]": size for i, size in enumerate(getattr(self, label))}
        for name, value in whole.items():
            if value < 1:
                raise ValueError(f"{name}: expected 1 or more, got {value}")
        positive = ("clip", "lr", "lr_low", "lr_high", "desired_kl", "max_grad_norm",
                    "initial_std", "least_std")  # fmt: skip
        amounts = {name: getattr(self, name) for name in positive}
        amounts |= {f"lengths[{i}]": length for i, length in enumerate(self.lengths)}
        for name, value in amounts.items():
            if not 0.0 < value < math.inf:
                raise ValueError(f"{name}: expected a number above 0, got {value}")
        for name in ("discount", "decay", "entropy"):
            if not 0.0 <= getattr(self, name) <= 1.0:
                raise ValueError(f"{name}: expected 0 to 1, got {getattr(self, name)}")
        if self.lr_low > self.lr_high:
            raise ValueError(f"lr_low {self.lr_low} lies above lr_high {self.lr_high}")


class ActorCritic(nn.Module):
    """Actor and critic on raw observations, and the deviation of the actions."""

    def __init__(
        self,
        cfg: PpoCfg,
        obs: Mapping[str, Tensor],
        groups: Mapping[str, list[str]],
        action_dim: int,
    ) -> None:
        """Build networks for observations of these shapes and types (N, ...)."""
        super().__init__()
        self.actor = Actor(cfg, obs, groups[cfg.sees], action_dim)
        self.critic = Critic(
            {name: obs[name] for name in groups["critic"]},
            hidden=cfg.critic_hidden or cfg.hidden,
            relative=(*cfg.relative, *cfg.critic_relative),
            lengths=cfg.lengths,
        )
        self.log_std = nn.Parameter(torch.full((action_dim,), cfg.initial_std).log())
        self._least = cfg.least_std

    @property
    def std(self) -> Tensor:
        """Deviation of the actions (A,)."""
        return self.log_std.exp().clamp(min=self._least)


class Ppo:
    """The algorithm: roll-out storage, action, update."""

    def __init__(self, cfg: PpoCfg, env: Env, *, seed: int = 0, ranks: Ranks = ALONE) -> None:
        """Build networks and storage for an environment; draws come from an own generator.

        Args:
            cfg: the configuration.
            env: this rank's share of the worlds; its seed is `ranks.seed(seed)`.
            seed: of the run: networks are the same on all ranks, random actions are not.
            ranks: who trains with it.
        """
        self.cfg, self.env, self.ranks, self._seed = cfg, env, ranks, seed
        device = env.device
        self.generator = torch.Generator(device=device).manual_seed(ranks.seed(seed))
        obs = env.reset()
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed)
            self.model = ActorCritic(cfg, obs, env.groups, env.action_dim).to(device)
        ranks.follow_first(self.model.state_dict().values())
        self.lr = torch.tensor(cfg.lr, device=device)
        self.optimizer = torch.optim.Adam(self.model.parameters(), lr=self.lr, fused=True)
        self.iteration = 0
        self._begin(obs)
        T, N, A = cfg.rollout, env.num_envs, env.action_dim
        zeros = {
            f"{ACTOR}{name}": value.new_zeros((T, *value.shape))
            for name, value in self.model.actor.see(self._obs).items()
        }
        sizes = {
            "critic": (self.model.critic.features.size,), "action": (A,), "mean": (A,),
            "log_prob": (), "value": (), "next_value": (), "reward": (),
        }  # fmt: skip
        for name, size in sizes.items():
            zeros[name] = torch.zeros((T, N, *size), device=device)
        self._store = zeros
        self._ends = torch.zeros((2, T, N), dtype=torch.bool, device=device)
        self._before = self._memory

    @property
    def actor(self) -> Actor:
        """What acts and is exported."""
        return self.model.actor

    def _begin(self, obs: Observations) -> None:
        """Begin with the first observations of new episodes."""
        env, actor = self.env, self.model.actor
        self._memory = actor.start(env.num_envs, env.device)
        self._augment = augmentation(actor, env.num_envs, self.generator)
        self._obs = self._seen(obs, torch.ones(env.num_envs, dtype=torch.bool, device=env.device))
        env.desynchronise()

    def _seen(self, obs: Observations, begun: Tensor) -> Observations:
        """Return observations as training shows them; where episodes begin (N,), drawn anew."""
        return obs if self._augment is None else self._augment(obs, begun)

    def take_networks(self, state: Mapping[str, Tensor]) -> None:
        """Take over actor and critic of a checkpoint, with their normalisers.

        Raises:
            ValueError: they are of another size.
        """
        try:
            self.model.load_state_dict(model_state(state))
        except RuntimeError as error:
            last = str(error).splitlines()[-1].strip()
            raise ValueError(f"its networks are others: {last}") from error

    def take_critic(self, state: Mapping[str, Tensor]) -> None:
        """Take over the critic of a checkpoint, with its normaliser.

        Raises:
            ValueError: it is of another size.
        """
        take_part(self.model.critic, state, "critic")

    @torch.no_grad()
    def act(self, seen: Mapping[str, Tensor]) -> tuple[Tensor, Tensor]:
        """Return random actions and their means (N, A) of raw features; the memory advances."""
        mean, self._memory = self.model.actor(seen, self._memory)
        return mean + self.model.std * self._normal(mean), mean

    @torch.no_grad()
    def collect(self) -> dict[str, Tensor]:
        """Fill the storage with one roll-out; return episode counts and mean reward terms.

        The counts are those of this rank; `train` adds them up.
        """
        model, store, obs = self.model, self._store, self._obs
        tally = Tally(self.env.device, self.cfg.rollout)
        self._before = self._memory
        for t in range(self.cfg.rollout):
            seen, critic = model.actor.see(obs), model.critic.features(obs)
            model.actor.learn_scale(seen, self.ranks)
            if not self.cfg.freeze_critic:
                model.critic.norm.merge(*self.ranks.moments(critic))
            action, mean = self.act(seen)
            obs, reward, terminated, truncated, info = self.env.step(action)
            done = terminated | truncated
            self._memory = forget(self._memory, done)
            obs = self._seen(obs, done)
            # Where an episode goes on, `final_obs` is the next observation, so this is V(s_{t+1}).
            store["next_value"][t] = model.critic(model.critic.features(info["final_obs"]))
            store["value"][t], store["critic"][t] = model.critic(critic), critic
            for name, value in seen.items():
                store[f"{ACTOR}{name}"][t] = value
            store["action"][t], store["mean"][t] = action, mean
            store["log_prob"][t] = gaussian_log_prob(action, mean, model.std)
            store["reward"][t] = reward
            self._ends[0, t], self._ends[1, t] = terminated, done
            tally.add(done, info)
        self._obs = obs
        return tally.metrics()

    def update(self) -> dict[str, Tensor]:
        """Learn from the storage; no value leaves the device."""
        cfg, store = self.cfg, self._store
        terminated, done = self._ends
        advantage = gae(
            store["reward"], store["value"], store["next_value"], terminated, done,
            discount=cfg.discount, decay=cfg.decay,
        )  # fmt: skip
        target = advantage + store["value"]
        advantage = self.ranks.standardise(advantage)
        data = {**store, "advantage": advantage, "target": target}
        with torch.no_grad():
            std = self.model.std.detach().clone()
        remembers = self.model.actor.remembers
        if remembers:  # a minibatch is the whole roll-out of some worlds
            begun = torch.cat([torch.zeros_like(done[:1]), done[:-1]])
            data["begun"], size = begun, self.env.num_envs
        else:
            data = {name: value.flatten(0, 1) for name, value in data.items()}
            size = data["reward"].shape[0]
        sums: dict[str, Tensor] = {}
        for _ in range(cfg.epochs):
            for rows in self._parts(size):
                batch = {n: v[:, rows] if remembers else v[rows] for n, v in data.items()}
                memory = {n: v[rows] for n, v in self._before.items()}
                metrics = self._minibatch(batch, memory, std)
                for name, value in metrics.items():
                    sums[name] = sums.get(name, torch.zeros_like(value)) + value
        self.iteration += 1
        count = cfg.epochs * cfg.minibatches
        return {n: v / count for n, v in sums.items()} | {
            "reward": store["reward"].mean(), "std": std.mean(), "lr": self.lr.clone(),
        }  # fmt: skip

    def _parts(self, size: int) -> Iterator[Tensor]:
        """Yield the rows of each minibatch of an epoch; one of all ranks is what they have each."""
        order = torch.randperm(size, generator=self.generator, device=self.env.device)
        part = size // self.cfg.minibatches
        for k in range(self.cfg.minibatches):
            yield order[k * part : (k + 1) * part]

    def _mean(self, batch: Mapping[str, Tensor], memory: Memory) -> Tensor:
        """Return the mean actions of a minibatch, from its raw features."""
        seen = {n.removeprefix(ACTOR): v for n, v in batch.items() if n.startswith(ACTOR)}
        if "begun" in batch:
            return self.model.actor.sequence(seen, memory, batch["begun"])
        return self.model.actor(seen, memory)[0]

    def _minibatch(
        self, batch: Mapping[str, Tensor], memory: Memory, old_std: Tensor
    ) -> dict[str, Tensor]:
        cfg, model = self.cfg, self.model
        mean, std = self._mean(batch, memory), model.std
        with torch.no_grad():
            kl = gaussian_kl(batch["mean"], old_std, mean, std).mean()
        policy = clipped_surrogate(
            gaussian_log_prob(batch["action"], mean, std),
            batch["log_prob"], batch["advantage"], cfg.clip,
        )  # fmt: skip
        with torch.set_grad_enabled(not cfg.freeze_critic):
            value = clipped_value_loss(
                model.critic(batch["critic"]), batch["value"], batch["target"], cfg.clip
            )
        entropy = gaussian_entropy(std)
        self.optimizer.zero_grad(set_to_none=True)
        (policy + value - cfg.entropy * entropy).backward()
        kl, policy, value = self.ranks.average_gradients(
            model.parameters(), [kl, policy.detach(), value.detach()]
        )
        self._adapt_lr(kl)
        nn.utils.clip_grad_norm_([*model.actor.parameters(), model.log_std], cfg.max_grad_norm)
        nn.utils.clip_grad_norm_(model.critic.parameters(), cfg.max_grad_norm)
        self.optimizer.step()
        return {"kl": kl, "policy_loss": policy, "value_loss": value}

    def _adapt_lr(self, kl: Tensor) -> None:
        """Change the learning rate tensor in place: lower if kl is large, higher if small."""
        cfg = self.cfg
        factor = torch.where(kl > 2.0 * cfg.desired_kl, 1.0 / 1.5, 1.0)
        factor = torch.where((kl > 0.0) & (kl < 0.5 * cfg.desired_kl), 1.5, factor)
        self.lr.mul_(factor).clamp_(cfg.lr_low, cfg.lr_high)

    def train(self, iterations: int) -> Iterator[dict[str, Tensor]]:
        """Yield the metrics of each iteration, of all ranks: roll-out, then update."""
        for _ in range(iterations):
            metrics = self.collect()
            metrics |= self.update()
            yield self.ranks.total(metrics, counts=COUNTS)

    def state_dict(self) -> dict[str, Tensor]:
        """Return everything learning goes on from, as flat tensors; see `resume` for episodes."""
        state = state_of(self.model, self.optimizer, self.generator, self.iteration, self.env)
        return state | {"lr": self.lr}

    def load_state_dict(self, state: Mapping[str, Tensor]) -> None:
        """Take over networks and optimiser; random actions and environment stay as they are."""
        self.iteration = load_into(self.model, self.optimizer, state)
        self.lr.copy_(state["lr"])
        self.optimizer.param_groups[0]["lr"] = self.lr

    def resume(self, state: Mapping[str, Tensor]) -> None:
        """Go on from a `state_dict`; new episodes, which were not drawn before.

        Raises:
            KeyError, RuntimeError: the state is not of this learner.
            ValueError: it is of a training on another kind of device.
        """
        self.load_state_dict(state)
        go_on_drawing(state, self.generator, self.env, self.ranks, self._seed, self.iteration)
        self._begin(self.env.reset())

    def _normal(self, like: Tensor) -> Tensor:
        return torch.randn(like.shape, generator=self.generator, device=like.device)
