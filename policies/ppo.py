"""PPO with an asymmetric critic: the actor sees one group of observations, the critic another.

Recipe as in rsl_rl (BSD-3) 5.4: adaptive learning rate from the KL divergence per minibatch,
separate gradient clipping of actor and critic, clipped value loss without a factor, advantages
normalised once per roll-out, empirical normalisation. Different here: a time limit is bootstrapped
with the value of the true last observation, and every epoch draws its own permutation.
Source: Schulman et al., arXiv 1707.06347.
"""

# pyright: standard

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from .base import Env, Observations
from .distributed import ALONE, Ranks
from .losses import (
    clipped_surrogate,
    clipped_value_loss,
    gae,
    gaussian_entropy,
    gaussian_kl,
    gaussian_log_prob,
)
from .networks import EmpiricalNormalization, PoseFeatures, RelativePose, mlp


@dataclass(frozen=True, kw_only=True)
class PpoCfg:
    """Proximal policy optimisation with an asymmetric critic."""

    hidden: tuple[int, ...] = (128, 128)
    """Sizes of the hidden layers of actor and critic."""
    relative: tuple[RelativePose, ...] = ()
    """Pairs of pose observations whose relative pose both networks also see."""
    lengths: tuple[float, ...] = (0.05, 0.01)
    """Lengths at which the relative positions are also given squashed, tanh(p / length) [m]."""
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
        whole |= {f"hidden[{i}]": size for i, size in enumerate(self.hidden)}
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
    """Two perceptrons on raw observations; the normalisers are part of them."""

    def __init__(
        self,
        cfg: PpoCfg,
        shapes: Mapping[str, tuple[int, ...]],
        groups: Mapping[str, list[str]],
        action_dim: int,
    ) -> None:
        """Build networks for observations of the given shapes."""
        super().__init__()
        actor = {name: shapes[name] for name in groups["actor"]}
        critic = {name: shapes[name] for name in groups["critic"]}
        self.actor_features = PoseFeatures(actor, cfg.relative, cfg.lengths)
        self.critic_features = PoseFeatures(critic, cfg.relative, cfg.lengths)
        self.actor_norm = EmpiricalNormalization(self.actor_features.size)
        self.critic_norm = EmpiricalNormalization(self.critic_features.size)
        self.actor = mlp((self.actor_features.size, *cfg.hidden, action_dim))
        self.critic = mlp((self.critic_features.size, *cfg.hidden, 1))
        self.log_std = nn.Parameter(torch.full((action_dim,), cfg.initial_std).log())
        self._least = cfg.least_std
        with torch.no_grad():  # first actions near zero: the arm does not start by jumping
            last = self.actor[-1]
            assert isinstance(last, nn.Linear)
            last.weight.mul_(0.1)
            last.bias.zero_()

    @property
    def std(self) -> Tensor:
        """Deviation of the actions (A,)."""
        return self.log_std.exp().clamp(min=self._least)

    def mean(self, features: Tensor) -> Tensor:
        """Return mean actions (B, A) of raw actor features."""
        return self.actor(self.actor_norm(features))

    def value(self, features: Tensor) -> Tensor:
        """Return values (B,) of raw critic features."""
        return self.critic(self.critic_norm(features))[:, 0]


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
            shapes = {name: tuple(value.shape[1:]) for name, value in obs.items()}
            self.model = ActorCritic(cfg, shapes, env.groups, env.action_dim).to(device)
        ranks.follow_first(self.model.state_dict().values())
        self.lr = torch.tensor(cfg.lr, device=device)
        self.optimizer = torch.optim.Adam(self.model.parameters(), lr=self.lr, fused=True)
        self.iteration = 0
        self._obs = obs
        env.desynchronise()
        T, N, A = cfg.rollout, env.num_envs, env.action_dim
        model = self.model
        sizes = {
            "actor": (model.actor_features.size,), "critic": (model.critic_features.size,),
            "action": (A,), "mean": (A,), "log_prob": (), "value": (), "next_value": (),
            "reward": (),
        }  # fmt: skip
        self._store = {k: torch.zeros((T, N, *size), device=device) for k, size in sizes.items()}
        self._ends = torch.zeros((2, T, N), dtype=torch.bool, device=device)

    @torch.no_grad()
    def act(self, obs: Observations) -> Tensor:
        """Return random actions (N, A)."""
        mean = self.model.mean(self.model.actor_features(obs))
        return mean + self.model.std * self._normal(mean)

    @torch.no_grad()
    def collect(self) -> dict[str, Tensor]:
        """Fill the storage with one roll-out; return episode counts and mean reward terms.

        The counts are those of this rank; `train` adds them up.
        """
        model, store, obs = self.model, self._store, self._obs
        ended = torch.zeros((), device=self.env.device)
        succeeded, diverged, terms = ended.clone(), ended.clone(), {}
        for t in range(self.cfg.rollout):
            actor, critic = model.actor_features(obs), model.critic_features(obs)
            model.actor_norm.merge(*self.ranks.moments(actor))
            model.critic_norm.merge(*self.ranks.moments(critic))
            mean = model.mean(actor)
            action = mean + model.std * self._normal(mean)
            obs, reward, terminated, truncated, info = self.env.step(action)
            # Where an episode goes on, `final_obs` is the next observation, so this is V(s_{t+1}).
            store["next_value"][t] = model.value(model.critic_features(info["final_obs"]))
            store["value"][t] = model.value(critic)
            store["actor"][t], store["critic"][t] = actor, critic
            store["action"][t], store["mean"][t] = action, mean
            store["log_prob"][t] = gaussian_log_prob(action, mean, model.std)
            store["reward"][t] = reward
            self._ends[0, t], self._ends[1, t] = terminated, terminated | truncated
            ended += (terminated | truncated).sum()
            succeeded += (info["success"] & (terminated | truncated)).sum()
            diverged += info["diverged"].sum()
            for name, term in info["reward_terms"].items():
                terms[name] = terms.get(name, 0.0) + term.mean() / self.cfg.rollout
        self._obs = obs
        return {"episodes": ended, "successes": succeeded, "diverged": diverged} | {
            f"reward/{name}": term for name, term in terms.items()
        }

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
        flat = {name: value.flatten(0, 1) for name, value in store.items()}
        flat |= {"advantage": advantage.flatten(), "target": target.flatten()}
        with torch.no_grad():
            std = self.model.std.detach().clone()
        size = flat["reward"].shape[0]
        sums: dict[str, Tensor] = {}
        for _ in range(cfg.epochs):
            for rows in self._parts(size):
                metrics = self._minibatch({n: v[rows] for n, v in flat.items()}, std)
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

    def _minibatch(self, batch: Mapping[str, Tensor], old_std: Tensor) -> dict[str, Tensor]:
        cfg, model = self.cfg, self.model
        mean, std = model.mean(batch["actor"]), model.std
        with torch.no_grad():
            kl = gaussian_kl(batch["mean"], old_std, mean, std).mean()
        policy = clipped_surrogate(
            gaussian_log_prob(batch["action"], mean, std),
            batch["log_prob"], batch["advantage"], cfg.clip,
        )  # fmt: skip
        value = clipped_value_loss(
            model.value(batch["critic"]), batch["value"], batch["target"], cfg.clip
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
            yield self.ranks.total(metrics, counts=("episodes", "successes", "diverged"))

    def state_dict(self) -> dict[str, Tensor]:
        """Return everything learning goes on from, as flat tensors; see `resume` for episodes."""
        state = {f"model/{k}": v for k, v in self.model.state_dict().items()}
        for index, entry in self.optimizer.state_dict()["state"].items():
            state |= {f"optimizer/{index}/{k}": v for k, v in entry.items()}
        return state | {
            "lr": self.lr, "iteration": torch.tensor(self.iteration),
            "generator": self.generator.get_state(),
        } | {f"env/{name}": value for name, value in self.env.state_dict().items()}  # fmt: skip

    def load_state_dict(self, state: Mapping[str, Tensor]) -> None:
        """Take over networks and optimiser; random actions and environment stay as they are."""
        prefix = "model/"
        self.model.load_state_dict(
            {k.removeprefix(prefix): v for k, v in state.items() if k.startswith(prefix)}
        )
        entries: dict[int, dict[str, Tensor]] = {}
        for key, value in state.items():
            if key.startswith("optimizer/"):
                _, index, name = key.split("/")
                entries.setdefault(int(index), {})[name] = value.clone()
        known = self.optimizer.state_dict()
        self.optimizer.load_state_dict({"state": entries, "param_groups": known["param_groups"]})
        self.lr.copy_(state["lr"])
        self.optimizer.param_groups[0]["lr"] = self.lr
        self.iteration = int(state["iteration"])

    def resume(self, state: Mapping[str, Tensor]) -> None:
        """Go on from a `state_dict`; new episodes, which were not drawn before.

        The first rank goes on with the random streams of the state, which is its own; another
        draws from new ones. So the number of ranks may change.

        Raises:
            KeyError, RuntimeError: the state is not of this learner.
            ValueError: it is of a training on another kind of device.
        """
        self.load_state_dict(state)
        if state["generator"].shape != self.generator.get_state().shape:
            raise ValueError(
                "the random streams are those of another kind of device than "
                f"{self.env.device}: resume where the run was trained"
            )
        self.generator.set_state(state["generator"])
        episodes = state["env/generator"]
        if not self.ranks.first:
            self.generator.manual_seed(self.ranks.seed(self._seed, self.iteration, 0))
            stream = torch.Generator(device=self.env.device)
            stream.manual_seed(self.ranks.seed(self._seed, self.iteration, 1))
            episodes = stream.get_state()
        self.env.load_state_dict({"generator": episodes})
        self._obs = self.env.reset()
        self.env.desynchronise()

    def _normal(self, like: Tensor) -> Tensor:
        return torch.randn(like.shape, generator=self.generator, device=like.device)


class ExportedPpo(nn.Module):
    """The deterministic actor in the form that is exported."""

    def __init__(self, model: ActorCritic) -> None:
        """Wrap trained networks."""
        super().__init__()
        self.model = model

    def forward(
        self, obs: dict[str, Tensor], state: dict[str, Tensor], noise: dict[str, Tensor]
    ) -> tuple[Tensor, dict[str, Tensor]]:
        """Return chunks (B, 1, A) in [-1, 1] and the state as it came."""
        mean = self.model.mean(self.model.actor_features(obs))
        return mean.clamp(-1.0, 1.0)[:, None], state
