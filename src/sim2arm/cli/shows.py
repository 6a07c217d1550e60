"""Episodes that can be watched: of an experiment, of a run's policy, of a bundle.

Each plays rounds of seeded episodes, one per world, and tells after every control step what there
is to see. Whoever watches may take his time, and leaves by an exception.
"""

# pyright: standard

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol, TypeAlias

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from sim2arm.core.contract import Contract
from sim2arm.policies.actor import Acting, Memory, forget
from sim2arm.policies.runtime import OnnxPolicy
from sim2arm.sim.actuators import Actuators
from sim2arm.sim.arm import SimulatedArm
from sim2arm.sim.env import Env
from sim2arm.sim.robots.actuators import IDEAL, find_actuators
from sim2arm.sim.tasks.base import Task
from sim2arm.sim.worlds.base import World

from .errors import UserError, user_input
from .evaluation import of_bundle, run_episodes
from .experiments import TrainCfg
from .film_scene import furnished
from .playback import Actions
from .runs import build_env, build_learner, find_cameras, load_learner, on_engine, read_config

if TYPE_CHECKING:
    from sim2arm.sim.vision import Vision

ENGINES = ("mujoco", "warp")
"""Worlds whose poses and contacts are known here."""
BoolArray: TypeAlias = NDArray[np.bool_]


@dataclass(frozen=True, kw_only=True, eq=False)
class Moment:
    """What there is to see of N worlds after a control step."""

    world: World
    seeds: tuple[int, ...]
    """Of the episodes of this round; worlds beyond them have none."""
    step: int
    """Control steps since the round began, from 1 on."""
    shown: BoolArray
    """(N,) whether the state of the world belongs to its episode; that of one that is over does
    not: keep what was shown before."""
    running: BoolArray
    """(N,) episodes that go on."""
    success: BoolArray
    """(N,) episodes that have succeeded."""
    rewards: Mapping[str, NDArray[np.float64]]
    """Named terms of this step, (N,) each."""
    pictures: Mapping[str, Tensor] = field(default_factory=dict[str, Tensor])
    """What the policy's cameras see, (N, [history,] H, W[, 3]) each; memory of the cameras."""


Watch: TypeAlias = Callable[[Moment], None]


class Show(Protocol):
    """Episodes in N worlds."""

    @property
    def name(self) -> str:
        """What is shown, as in `reach-ppo`."""
        ...

    @property
    def num_worlds(self) -> int:
        """N."""
        ...

    @property
    def period(self) -> float:
        """Of control steps [s]."""
        ...

    @property
    def has_policy(self) -> bool:
        """Whether there is a policy."""
        ...

    def play(self, seeds: Sequence[int], actions: Callable[[], Actions], watch: Watch) -> None:
        """Play one episode per seed, at most N; returns when all are over.

        Args:
            seeds: of the episodes; the same seed, the same episode.
            actions: says before each step what moves the arms.
            watch: called after each step.
        """
        ...


class TrainingShow:
    """Episodes of the environment in which an experiment trains, policy and all."""

    def __init__(self, name: str, env: Env, actor: Acting | None = None) -> None:
        """Take an environment in a scene that can be filmed, and a policy."""
        self.name, self._env, self._actor = name, env, actor
        self._memory: Memory = {}

    @property
    def num_worlds(self) -> int:
        """See `Show`."""
        return self._env.num_envs

    @property
    def period(self) -> float:
        """See `Show`."""
        return self._env.period

    @property
    def has_policy(self) -> bool:
        """See `Show`."""
        return self._actor is not None

    @torch.no_grad()
    def play(self, seeds: Sequence[int], actions: Callable[[], Actions], watch: Watch) -> None:
        """See `Show`."""
        env, n = self._env, self.num_worlds
        # What is not drawn from the seeds comes from the stream: delays, noise, a late start.
        stream = torch.Generator(env.device).manual_seed(seeds[0])
        env.load_state_dict({"generator": stream.get_state()})
        noise = np.random.default_rng(seeds[0])
        obs = env.reset([*seeds, *[seeds[-1]] * (n - len(seeds))])
        names = () if env.eyes is None else env.eyes.names
        running = np.arange(n) < len(seeds)
        success = np.zeros(n, dtype=bool)
        step = 0
        self._memory = {} if self._actor is None else self._actor.start(n, env.device)
        while running.any():
            action = self._action(obs, actions(), noise)
            obs, _, terminated, truncated, info = env.step(action)
            self._memory = forget(self._memory, terminated | truncated)
            ended = (terminated | truncated).cpu().numpy()
            success |= running & info["success"].cpu().numpy()
            running, step = running & ~ended, step + 1
            watch(
                Moment(
                    world=env.world,
                    seeds=tuple(seeds),
                    step=step,
                    shown=running,  # the others stand at the start of another episode already
                    running=running,
                    success=success.copy(),
                    rewards=_host(info["reward_terms"]),
                    pictures={name: obs[name] for name in names},
                )
            )

    def _action(self, obs: dict[str, Tensor], kind: Actions, noise: np.random.Generator) -> Tensor:
        if kind == "policy" and self._actor is not None:
            action, self._memory = self._actor(self._actor.see(obs), self._memory)
            return action
        shape = (self.num_worlds, self._env.action_dim)
        return torch.from_numpy(undirected(kind, shape, noise)).to(self._env.device)


class BundleShow:
    """Episodes of a bundle: onnxruntime, controller, gate and low-level law, as on the robot."""

    def __init__(
        self,
        name: str,
        task: Task,
        policy: OnnxPolicy,
        *,
        actuators: Actuators,
        vision: Vision | None = None,
    ) -> None:
        """Take a policy, its task in a scene that can be filmed, and what its arm has."""
        self.name, self._task, self._policy, self._vision = name, task, policy, vision
        self._actuators, self.has_policy = actuators, True

    @property
    def num_worlds(self) -> int:
        """See `Show`."""
        return self._policy.num_envs

    @property
    def period(self) -> float:
        """See `Show`."""
        return self._policy.contract.period

    def play(self, seeds: Sequence[int], actions: Callable[[], Actions], watch: Watch) -> None:
        """See `Show`; a motion that the gate refuses ends the motion of its arm."""
        policy, n, noise = self._policy, self.num_worlds, np.random.default_rng(seeds[0])
        counted, own = np.arange(n) < len(seeds), of_bundle(policy)
        before = counted

        def act(obs: dict[str, NDArray[np.float32]]) -> NDArray[np.floating]:
            kind = actions()
            if kind == "policy":
                return own(obs)
            if policy.contract.action.relative_to == "absolute":
                return astray(kind, obs, policy.contract, noise)
            return undirected(kind, (n, policy.contract.action.dim), noise)

        def record(arm: SimulatedArm) -> None:
            nonlocal before
            running = counted & ~arm.done
            watch(
                Moment(
                    world=arm.world,
                    seeds=tuple(seeds),
                    step=arm.ticks,
                    shown=before,  # the end of an episode too
                    running=running,
                    success=counted & arm.success,
                    rewards=_host(arm.task.reward(arm.world)),
                    pictures=arm.pictures,
                )
            )
            before = running

        run_episodes(
            self._task, policy.contract, act, seeds, num_arms=n, begin=own.begin, record=record,
            actuators=self._actuators, vision=self._vision,
        )  # fmt: skip


def undirected(kind: Actions, shape: tuple[int, int], noise: np.random.Generator) -> Any:
    """Return actions (N, A) that no policy chose: zero or random in [-1, 1], float32."""
    if kind == "zero":
        return np.zeros(shape, dtype=np.float32)
    return noise.uniform(-1.0, 1.0, shape).astype(np.float32)


def astray(
    kind: Actions, obs: Mapping[str, NDArray[Any]], contract: Contract, noise: np.random.Generator
) -> Any:
    """Return joint positions (N, A) that no policy chose: those measured, or some near them."""
    action, q = contract.action, obs["joint_position"]
    n = len(contract.joint_names)
    now = q.reshape(len(q), -1, n)[:, -1]  # of a history the newest
    found = np.zeros((len(now), action.dim), dtype=np.float32)
    found[:, :n] = now if kind == "zero" else now + noise.uniform(-0.1, 0.1, now.shape)
    if kind != "zero":
        found[:, n:] = noise.uniform(action.low[n:], action.high[n:], found[:, n:].shape)
    return found


def _host(terms: Mapping[str, Tensor]) -> dict[str, NDArray[np.float64]]:
    return {name: term.detach().cpu().numpy().astype(np.float64) for name, term in terms.items()}


def show_experiment(name: str, cfg: TrainCfg, num_worlds: int) -> TrainingShow:
    """Return the environment of an experiment, without a policy.

    Raises:
        UserError: a setting is not possible.
    """
    return TrainingShow(name, _stage(cfg, num_worlds))


def show_run(
    folder: Path,
    num_worlds: int,
    *,
    world: str | None,
    device: str | None,
    cameras: str | None = None,
) -> TrainingShow:
    """Return the environment of a run with its policy, as the checkpoint left it.

    Args:
        folder: of the run.
        num_worlds: N.
        world: engine of the physics; that of the run by default.
        device: where it runs; that of the run by default.
        cameras: whose pictures are told; those of the run by default.

    Raises:
        UserError: there is no run, or its checkpoint cannot be read.
    """
    _, cfg, _ = read_config(folder)
    # The networks only: a small environment on the CPU tells their sizes.
    learner = build_learner(on_engine(cfg, "mujoco", "cpu"), 1)
    load_learner(learner, folder)
    cfg = on_engine(cfg, world or cfg.world, device or cfg.device)
    cfg = replace(cfg, cameras=cameras or cfg.cameras)
    env = _stage(cfg, num_worlds)
    learner.model.to(env.device)
    return TrainingShow(str(folder), env, learner.actor)


def _stage(cfg: TrainCfg, num_worlds: int) -> Env:
    if cfg.world not in ENGINES:
        raise UserError(
            f"world {cfg.world!r} cannot be shown: take --world {' or --world '.join(ENGINES)}"
        )
    if cfg.cameras != "none":  # its pictures are those of training: nothing is put around it
        return build_env(cfg, num_worlds)
    return build_env(cfg, num_worlds, dress=furnished)


def show_bundle(
    bundle: Path, task: Task, num_worlds: int, *, cameras: str = "none", actuators: str = IDEAL
) -> BundleShow:
    """Return the simulated arm of a bundle, with a set of cameras.

    Args:
        bundle: its folder.
        task: its task.
        num_worlds: N.
        cameras: name of what the policy sees.
        actuators: name of what is between law and joints.

    Raises:
        UserError: the bundle cannot be read, or the robot has no such actuators.
    """
    with user_input("bundle"):
        policy = OnnxPolicy(bundle, num_envs=num_worlds)
    with user_input("actuators"):
        between = find_actuators(actuators, policy.contract.robot)
    found = find_cameras(cameras)
    if found is None:
        return BundleShow(str(bundle), furnished(task), policy, actuators=between)
    return BundleShow(str(bundle), task, policy, actuators=between, vision=found.vision)
