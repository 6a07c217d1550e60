"""Learning from replay, whatever the agent: N worlds act, what they did is kept, updates draw it.

An agent says how it explores and how it learns from a batch; everything else is the same for all:
roll-outs, random first steps, replay, metrics, checkpoints. An iteration is `rollout` steps of each
world and `updates` updates.
"""

# pyright: standard

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar, Protocol

import torch
from torch import Tensor, nn

from .actor import Acting, forget
from .base import Env, Observations
from .buffers import DEMO, Batch, Column, Replay, together
from .distributed import ALONE, Ranks
from .frames import Frames
from .learner import Means, Tally, go_on_drawing, load_into, state_of
from .perception import Perception, Seen

DRAWN = 2**22
"""Bytes of observations that are drawn at once for updates that follow one another."""


@dataclass(frozen=True, kw_only=True)
class ReplayCfg:
    """How an agent acts and learns, whatever it is."""

    rollout: int = 8
    """Steps of each world between updates."""
    updates: int = 8
    """Updates after these steps."""
    batch: int = 256
    """Transitions of an update."""
    rows: int = 200_000
    """Steps that the replay keeps, of all worlds together."""
    random: int = 5_000
    """First steps, of all worlds together, with random actions and without updates."""
    discount: float = 0.99
    """gamma."""
    steps: int = 1
    """Rewards that are summed up before a value stands for the rest (n)."""
    tau: float = 0.005
    """Share of the way that targets go to what they follow, per update."""
    normalise: bool = True
    """Whether vectors are shifted and scaled by what was seen so far."""
    sparse: bool = False
    """Whether the reward is 1 where the task is solved and 0 elsewhere, else that of the task."""
    demos: float = 0.5
    """Share of an update that is of demonstrations, if there are any."""
    interventions: bool = False
    """Whether the reward is -1 for what a person took over after, and 0 elsewhere (RLIF, Luo et
    al., arXiv 2311.12996)."""
    relabel: bool = True
    """Whether episodes that succeed become demonstrations, if there are any."""
    keep: bool = False
    """Whether the replay lies on disk in the run folder, so that a run that goes on has it."""

    def __post_init__(self) -> None:
        """Refuse settings that nothing can be learnt with."""
        for name in ("rollout", "batch", "rows", "steps"):
            if getattr(self, name) < 1:
                raise ValueError(f"{name}: expected 1 or more, got {getattr(self, name)}")
        for name in ("updates", "random"):
            if getattr(self, name) < 0:
                raise ValueError(f"{name}: expected 0 or more, got {getattr(self, name)}")
        if self.updates and self.rows <= self.random:
            raise ValueError(
                f"rows: expected more than random ({self.random}), after which learning begins, "
                f"got {self.rows}"
            )
        if self.sparse and self.interventions:
            raise ValueError("sparse, interventions: expected one of them at most")
        for name in ("discount", "tau", "demos"):
            if not 0.0 <= getattr(self, name) <= 1.0:
                raise ValueError(f"{name}: expected 0 to 1, got {getattr(self, name)}")


class Seeing(Acting, Protocol):
    """What acts and says how it sees: a module.

    Attributes:
        frames: stacks pictures.
        perception: what it sees with.
    """

    frames: Frames
    perception: Perception


class Agent(Protocol):
    """What learns.

    Attributes:
        model: all networks; `model.actor` is what is exported.
        optimizer: of all that learns by slopes.
        columns: of the observations that are kept.
        metrics: names of what an update may return.
        actions: how many actions follow one another in a batch; one, without an axis, if None.
    """

    metrics: ClassVar[tuple[str, ...]]

    @property
    def actions(self) -> int | None: ...  # noqa: D102 - the attributes above

    @property
    def model(self) -> nn.Module: ...  # noqa: D102
    @property
    def optimizer(self) -> torch.optim.Optimizer: ...  # noqa: D102
    @property
    def columns(self) -> dict[str, Column]: ...  # noqa: D102

    @property
    def actor(self) -> Seeing:
        """What acts."""
        ...

    def learn_scale(self, obs: Mapping[str, Tensor]) -> None:
        """Take observations (N, ...) into the normalisers."""
        ...

    def explore(self, seen: Seen, done: Tensor, step: int, generator: torch.Generator) -> Tensor:
        """Return random actions (N, A) in [-1, 1].

        Args:
            seen: by the actor (N, ...).
            done: (N,) bool, worlds whose episode ended in the step before.
            step: how many steps all worlds together have done so far.
            generator: of what is drawn.
        """
        ...

    def update(self, batch: Batch, generator: torch.Generator) -> dict[str, Tensor]:
        """Learn from transitions; no value leaves the device."""
        ...


Builder = Callable[[Mapping[str, Tensor], Mapping[str, Sequence[str]], int], Agent]
"""From observations (N, ...), groups of their names and the size of an action to an agent."""


class OffPolicy:
    """The algorithm: roll-outs into the replay, updates from it."""

    def __init__(
        self,
        cfg: ReplayCfg,
        build: Builder,
        env: Env,
        *,
        seed: int = 0,
        ranks: Ranks = ALONE,
        folder: Path | None = None,
        reads: bool = False,
    ) -> None:
        """Build the agent and allocate the replay.

        Args:
            cfg: the configuration.
            build: makes the agent for what the environment observes.
            env: the worlds.
            seed: of the run.
            ranks: who trains with it; alone.
            folder: where the replay lies, if it is kept; one that is there is gone on with.
            reads: whether another process acts, and writes the replay of the folder.

        Raises:
            ValueError: there are several ranks, or the replay of the folder is another.
        """
        if not ranks.alone:
            raise ValueError("learning from replay runs in one process: start it without torchrun")
        if cfg.keep and folder is not None and env.device.type != "cpu":
            raise ValueError("learn.keep: a replay on a GPU does not lie on disk: leave it off")
        self.cfg, self.env, self.ranks, self._seed = cfg, env, ranks, seed
        self.generator = torch.Generator(device=env.device).manual_seed(seed)
        obs = env.reset()
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed)
            agent = build(obs, env.groups, env.action_dim)
        self.agent, self.model, self.optimizer = agent, agent.model, agent.optimizer
        rows = max(-(-cfg.rows // env.num_envs), 16)
        self.replay = Replay(
            agent.columns, env.action_dim, rows=rows, worlds=env.num_envs,
            columns={DEMO: Column(dtype=torch.bool)}, device=env.device,
            folder=folder if cfg.keep else None, reads=reads,
        )  # fmt: skip
        self.demos: Replay | None = None
        self.iteration = self._steps = 0
        self._begin(obs)

    @property
    def actor(self) -> Seeing:
        """What acts and is exported."""
        return self.agent.actor

    def begin(self) -> None:
        """Begin new episodes."""
        self._begin(self.env.reset())

    def _begin(self, obs: Observations) -> None:
        """Begin with the first observations of new episodes."""
        env = self.env
        self._obs = obs
        self._memory = self.agent.actor.start(env.num_envs, env.device)
        self._done = torch.ones(env.num_envs, dtype=torch.bool, device=env.device)
        self.replay.cut()
        env.desynchronise()

    @torch.no_grad()
    def collect(self) -> dict[str, Tensor]:
        """Step all worlds; return episode counts and means of rewards."""
        cfg, env, agent, actor = self.cfg, self.env, self.agent, self.agent.actor
        tally, total = Tally(env.device, cfg.rollout), torch.zeros((), device=env.device)
        for _ in range(cfg.rollout):
            kept = {name: self._obs[name] for name in agent.columns}
            if cfg.normalise:
                agent.learn_scale(kept)
            stacked, self._memory = actor.frames.stack(actor.see(self._obs), self._memory)
            if self._steps < cfg.random:
                shape = (env.num_envs, env.action_dim)
                action = torch.rand(shape, generator=self.generator, device=env.device) * 2.0 - 1.0
            else:
                seen = actor.perception(stacked)
                action = agent.explore(seen, self._done, self._steps, self.generator)
            obs, reward, terminated, truncated, info = env.step(action)
            self._done = terminated | truncated
            action = info.get("action", action)  # what was done, where a person took over
            if cfg.sparse:
                reward = info["success"].float()
            if cfg.interventions:
                reward = -info["taken_over"].float()
            last = {name: info["final_obs"][name] for name in agent.columns}
            marks = {DEMO: torch.zeros_like(self._done)}
            self.replay.add(kept, action, reward, terminated, self._done, last, marks)
            if self.demos is not None and cfg.relabel:
                self._relabel(self.demos, self._done & info["success"])
            self._memory = forget(self._memory, self._done)
            self._obs = obs
            self._steps += env.num_envs
            tally.add(self._done, info)
            total += reward.mean() / cfg.rollout
        return tally.metrics() | {"reward": total}

    def _relabel(self, demos: Replay, won: Tensor) -> None:
        """Take the episodes that ended just now in chosen worlds (N,) bool as demonstrations.

        It looks at them, so it is for few worlds.
        """
        for world in won.nonzero()[:, 0].tolist():
            rows = self.replay.latest_episode(world)
            if rows is not None:
                demos.copy_episode(self.replay, world, rows, {DEMO: True})

    @property
    def steps(self) -> int:
        """How many steps all worlds together have done."""
        return self._steps

    def follow_to(self, steps: int) -> None:
        """Take over how far another process is, which acts."""
        self._steps = steps
        self.iteration = steps // (self.cfg.rollout * self.env.num_envs)

    def take_demonstrations(self, demos: Replay) -> None:
        """Learn from demonstrations too: a replay of one world with the same columns."""
        self.demos = demos
        if self.cfg.normalise:
            self.agent.learn_scale(demos.numbers())

    def batches(self, count: int) -> Iterator[Batch]:
        """Yield batches, part of which are demonstrations.

        Drawing costs about the same for few transitions and for many, so those of several updates
        are drawn at once, as far as they are small.
        """
        demos, most = self.demos, max(1, DRAWN // self._bytes())
        while count > 0:
            drawn = min(count, most)
            count -= drawn
            sources = [(self.replay, self.cfg.batch)]
            if demos is not None:
                of_demos = round(self.cfg.demos * self.cfg.batch)
                sources = [(self.replay, self.cfg.batch - of_demos), (demos, of_demos)]
            parts = [self._draw(replay, size, drawn) for replay, size in sources if size]
            if len(parts) == 1:
                yield from parts[0]
            else:
                yield from (together(*both) for both in zip(*parts, strict=True))

    def _draw(self, replay: Replay, size: int, count: int) -> Iterator[Batch]:
        cfg = self.cfg
        found = replay.sample(
            size * count, self.generator,
            discount=cfg.discount, steps=cfg.steps, actions=self.agent.actions,
        )  # fmt: skip
        return found.split(size)

    def _bytes(self) -> int:
        """Return the bytes of the observations of a batch, before and after."""
        columns = self.agent.columns.values()
        each = sum(c.dtype.itemsize * c.stack * math.prod(c.shape) for c in columns)
        return 2 * self.cfg.batch * each

    def update(self) -> dict[str, Tensor | None]:
        """Learn from the replay; no value leaves the device. None: there was no such update."""
        cfg, means = self.cfg, Means(self.agent.metrics)
        for batch in self.batches(cfg.updates if len(self.replay) > cfg.random else 0):
            means.add(self.agent.update(batch, self.generator))
        self.iteration += 1
        return means.take()

    def train(self, iterations: int) -> Iterator[Mapping[str, Tensor | None]]:
        """Yield the metrics of each iteration."""
        for _ in range(iterations):
            metrics = self.collect()
            yield {**metrics, **self.update()}

    def state_dict(self) -> dict[str, Tensor]:
        """Return what learning goes on from, as flat tensors; the replay is not among them.

        It lies on disk or begins anew, see `ReplayCfg.keep`.
        """
        state = state_of(self.model, self.optimizer, self.generator, self.iteration, self.env)
        return state | {"steps": torch.tensor(self._steps)}

    def load_state_dict(self, state: Mapping[str, Tensor]) -> None:
        """Take over networks and optimiser."""
        self.iteration = load_into(self.model, self.optimizer, state)
        self._steps = int(state["steps"])

    def resume(self, state: Mapping[str, Tensor]) -> None:
        """Go on from a `state_dict`, with new episodes.

        A kept replay may hold steps from after the state; they stay, and are done again.

        Raises:
            KeyError, RuntimeError: the state is not of this learner.
            ValueError: it is of a training on another kind of device.
        """
        self.load_state_dict(state)
        go_on_drawing(state, self.generator, self.env, self.ranks, self._seed, self.iteration)
        self.begin()
