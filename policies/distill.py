"""Imitation of a teacher that sees more: behaviour cloning and DAgger.

The student's mean action is drawn to the teacher's in every state that is visited. Behaviour
cloning visits the states of the teacher; DAgger lets a falling share of the worlds be driven by
the teacher and the others by the student, so that the student learns to come back from its own
errors. A world keeps its driver for a roll-out. Sequences of past roll-outs are kept and learnt
from again; of a student that remembers, back-propagation through time begins with each sequence.
Source: Ross, Gordon and Bagnell, AISTATS 2011; settings as TacSL, arXiv 2408.06506.
"""

# pyright: standard

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal

import torch
from torch import Tensor, nn

from .actor import Actor, ActorCfg, Memory, forget
from .augment import augmentation
from .base import Env, Observations
from .distributed import ALONE, Ranks
from .learner import COUNTS, Tally, go_on_drawing, load_into, state_of, take_part
from .networks import RelativePose
from .ppo import PpoCfg


@dataclass(frozen=True, kw_only=True)
class DistillCfg:
    """Imitation of a privileged teacher."""

    kind: Literal["dagger", "bc"] = "dagger"
    """dagger: the student drives more and more of the worlds; bc: the teacher drives all."""
    fade: int = 50
    """dagger: iterations over which the teacher's share of the worlds falls from 1 to 0."""
    hidden: tuple[int, ...] = (128, 128)
    """Sizes of the hidden layers."""
    relative: tuple[RelativePose, ...] = ()
    """Pairs of pose observations whose relative pose the student also sees."""
    lengths: tuple[float, ...] = (0.05, 0.01)
    """Lengths at which the relative positions are also given squashed, tanh(p / length) [m]."""
    actor: ActorCfg = field(default_factory=ActorCfg)
    """Pictures and memory of the student."""
    rollout: int = 40
    """Steps of each world between updates; whole sequences."""
    sequence: int = 20
    """Steps of a sequence."""
    replay: int = 8
    """Roll-outs that are kept."""
    epochs: int = 4
    """How often as many steps as a roll-out has are learnt from, drawn from all that are kept."""
    minibatches: int = 4
    """Parts of that."""
    lr: float = 3e-4
    """Learning rate."""
    max_grad_norm: float = 1.0
    """Of the gradient."""

    def __post_init__(self) -> None:
        """Refuse settings that nothing can be learnt with."""
        names = ("fade", "rollout", "sequence", "replay", "epochs", "minibatches")
        whole = {name: getattr(self, name) for name in names}
        whole |= {f"hidden[{i}]": size for i, size in enumerate(self.hidden)}
        for name, value in whole.items():
            if value < 1:
                raise ValueError(f"{name}: expected 1 or more, got {value}")
        amounts = {"lr": self.lr, "max_grad_norm": self.max_grad_norm}
        amounts |= {f"lengths[{i}]": length for i, length in enumerate(self.lengths)}
        for name, value in amounts.items():
            if not 0.0 < value < math.inf:
                raise ValueError(f"{name}: expected a number above 0, got {value}")
        if self.rollout % self.sequence:
            raise ValueError(
                f"rollout: expected a multiple of sequence {self.sequence}, got {self.rollout}"
            )


class Student(nn.Module):
    """The network that learns."""

    def __init__(
        self, cfg: DistillCfg, obs: Observations, groups: Mapping[str, list[str]], action_dim: int
    ) -> None:
        """Build it for observations of these shapes and types (N, ...)."""
        super().__init__()
        self.actor = Actor(cfg, obs, groups["actor"], action_dim)


class Distill:
    """The algorithm: roll-outs of teacher and student, replay, update."""

    def __init__(self, cfg: DistillCfg, env: Env, *, seed: int = 0, ranks: Ranks = ALONE) -> None:
        """Build student and replay; `train` needs a teacher, `take_teacher`.

        Args:
            cfg: the configuration.
            env: this rank's share of the worlds; its seed is `ranks.seed(seed)`.
            seed: of the run: networks are the same on all ranks, roll-outs are not.
            ranks: who trains with it.
        """
        self.cfg, self.env, self.ranks, self._seed = cfg, env, ranks, seed
        device = env.device
        self.generator = torch.Generator(device=device).manual_seed(ranks.seed(seed))
        obs = env.reset()
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed)
            self.model = Student(cfg, obs, env.groups, env.action_dim).to(device)
        ranks.follow_first(self.model.state_dict().values())
        self.optimizer = torch.optim.Adam(self.model.parameters(), lr=cfg.lr, fused=True)
        self.teacher: Actor | None = None
        self.iteration = 0
        self._begin(obs)
        seen = self.model.actor.see(self._obs)
        self._new = cfg.rollout // cfg.sequence * env.num_envs
        columns = cfg.replay * self._new
        shapes = {**seen, "wanted": torch.zeros((1, env.action_dim), device=device)}
        self._replay = {
            name: value.new_zeros((cfg.sequence, columns, *value.shape[1:]))
            for name, value in shapes.items()
        }
        self._begun = torch.zeros((cfg.sequence, columns), dtype=torch.bool, device=device)
        self._before = self.model.actor.start(columns, device)

    @property
    def actor(self) -> Actor:
        """What acts and is exported."""
        return self.model.actor

    def take_teacher(self, cfg: PpoCfg, names: Sequence[str], state: Mapping[str, Tensor]) -> None:
        """Take the actor of another run as teacher.

        Args:
            cfg: with which it was trained.
            names: of the observations that it sees.
            state: its checkpoint.

        Raises:
            ValueError: this environment lacks an observation, the teacher is of another size, or
                it remembers.
        """
        absent = [name for name in names if name not in self._obs]
        if absent:
            raise ValueError(
                f"the teacher sees {', '.join(absent)}, which is not observed here. Observed: "
                f"{', '.join(sorted(self._obs))}"
            )
        teacher = Actor(cfg, self._obs, names, self.env.action_dim)
        if teacher.remembers:
            raise ValueError("expected a teacher without memory")
        take_part(teacher, state, "actor")
        self.teacher = teacher.to(self.env.device).requires_grad_(False)

    @property
    def share(self) -> float:
        """Share of the worlds that the teacher drives (beta)."""
        return 1.0 if self.cfg.kind == "bc" else max(0.0, 1.0 - self.iteration / self.cfg.fade)

    @torch.no_grad()
    def act(self, seen: Mapping[str, Tensor]) -> Tensor:
        """Return the student's actions (N, A) of raw features; its memory advances."""
        mean, self._memory = self.model.actor(seen, self._memory)
        return mean

    @torch.no_grad()
    def collect(self) -> dict[str, Tensor]:
        """Put one roll-out into the replay; return episode counts and mean reward terms.

        The counts are those of this rank; `train` adds them up.
        """
        cfg, actor, env, teacher = self.cfg, self.model.actor, self.env, self.teacher
        if teacher is None:
            raise ValueError("expected a teacher: take_teacher first")
        tally, mean_reward = Tally(env.device, cfg.rollout), torch.zeros((), device=env.device)
        drawn = torch.rand(env.num_envs, generator=self.generator, device=env.device)
        led = (drawn < self.share)[:, None]
        done = torch.zeros(env.num_envs, dtype=torch.bool, device=env.device)
        for t in range(cfg.rollout):
            columns, step = self._columns(t // cfg.sequence), t % cfg.sequence
            if step == 0:
                for name, value in self._memory.items():
                    self._before[name][columns] = value
            seen = actor.see(self._obs)
            actor.learn_scale(seen, self.ranks)
            own = self.act(seen)
            wanted = teacher(teacher.see(self._raw), {})[0].clamp(-1.0, 1.0)  # as the arm acts
            for name, value in {**seen, "wanted": wanted}.items():
                self._replay[name][step, columns] = value
            self._begun[step, columns] = done & (step > 0)
            obs, reward, terminated, truncated, info = env.step(torch.where(led, wanted, own))
            done = terminated | truncated
            self._memory = forget(self._memory, done)
            self._see(obs, done)
            tally.add(done, info)
            mean_reward += reward.mean() / cfg.rollout
        self._kept += 1
        return tally.metrics() | {"reward": mean_reward}

    def update(self) -> dict[str, Tensor]:
        """Learn from the replay; no value leaves the device."""
        cfg, actor, device = self.cfg, self.model.actor, self.env.device
        filled = min(self._kept, cfg.replay) * self._new
        total = torch.zeros((), device=device)
        share = torch.tensor(self.share, device=device)
        part = (max(1, self._new // cfg.minibatches),)
        for _ in range(cfg.epochs * cfg.minibatches):
            rows = torch.randint(filled, part, generator=self.generator, device=device)
            seen = {name: value[:, rows] for name, value in self._replay.items()}
            wanted = seen.pop("wanted")
            memory = {name: value[rows] for name, value in self._before.items()}
            mean = actor.sequence(seen, memory, self._begun[:, rows])
            loss = torch.mean((mean - wanted) ** 2)
            self.optimizer.zero_grad(set_to_none=True)
            loss.backward()
            (loss,) = self.ranks.average_gradients(actor.parameters(), [loss.detach()])
            nn.utils.clip_grad_norm_(actor.parameters(), cfg.max_grad_norm)
            self.optimizer.step()
            total += loss
        self.iteration += 1
        return {"imitation_loss": total / (cfg.epochs * cfg.minibatches), "teacher_share": share}

    def train(self, iterations: int) -> Iterator[dict[str, Tensor]]:
        """Yield the metrics of each iteration, of all ranks: roll-out, then update.

        Raises:
            ValueError: there is no teacher.
        """
        for _ in range(iterations):
            metrics = self.collect()
            metrics |= self.update()
            yield self.ranks.total(metrics, counts=COUNTS)

    def state_dict(self) -> dict[str, Tensor]:
        """Return what learning goes on from, as flat tensors: all but replay and teacher."""
        return state_of(self.model, self.optimizer, self.generator, self.iteration, self.env)

    def load_state_dict(self, state: Mapping[str, Tensor]) -> None:
        """Take over networks and optimiser; roll-outs and environment stay as they are."""
        self.iteration = load_into(self.model, self.optimizer, state)

    def resume(self, state: Mapping[str, Tensor]) -> None:
        """Go on from a `state_dict`; new episodes, which were not drawn before.

        Raises:
            KeyError, RuntimeError: the state is not of this learner.
            ValueError: it is of a training on another kind of device.
        """
        self.load_state_dict(state)
        go_on_drawing(state, self.generator, self.env, self.ranks, self._seed, self.iteration)
        self._begin(self.env.reset())

    def _begin(self, obs: Observations) -> None:
        """Begin with the first observations of new episodes and an empty replay."""
        env, actor = self.env, self.model.actor
        self._kept = 0
        self._memory: Memory = actor.start(env.num_envs, env.device)
        self._augment = augmentation(actor, env.num_envs, self.generator)
        self._see(obs, torch.ones(env.num_envs, dtype=torch.bool, device=env.device))
        env.desynchronise()

    def _see(self, obs: Observations, begun: Tensor) -> None:
        """Take observations: as they are for the teacher, as training shows them for the student.

        Args:
            obs: (N, ...).
            begun: (N,) bool, worlds whose episode begins.
        """
        self._raw = obs
        self._obs = obs if self._augment is None else self._augment(obs, begun)

    def _columns(self, k: int) -> slice:
        """Return where the k-th sequence of this roll-out is put."""
        first = self._kept % self.cfg.replay * self._new + k * self.env.num_envs
        return slice(first, first + self.env.num_envs)
