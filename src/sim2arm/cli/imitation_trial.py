"""What a policy of demonstrations is measured on while it learns: episodes, or what is held out."""

# pyright: standard

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from itertools import pairwise

import numpy as np
import torch
from numpy.typing import NDArray

from sim2arm.core.acting import Seen
from sim2arm.core.contract import Contract
from sim2arm.policies.chunks import ChunkPolicy
from sim2arm.policies.torch_policy import TorchPolicy
from sim2arm.sim.robots.actuators import find_actuators

from .errors import user_input
from .evaluation import Chunks, Episodes, run_episodes
from .imitation_runs import open_held_out
from .imitations import ImitateCfg
from .runs import build_task, find_cameras, find_touch
from .trial import FIRST_SEED

FRAMES = 256
"""Most held out frames that chunks are compared at."""
TOGETHER = 16
"""Of these at once: pictures take much memory."""
Found = dict[str, float | str]
"""Columns of the metrics, empty where nothing was measured."""


def trial_of(cfg: ImitateCfg, contract: Contract) -> Trial | HeldOut:
    """Return what measures a policy: trials of the task, or held out demonstrations without one.

    Raises:
        UserError: nothing is held out.
    """
    return HeldOut(cfg, contract) if cfg.task is None else Trial(cfg, contract)


class Trial:
    """The same seeded episodes each time, through controller and gate."""

    def __init__(self, cfg: ImitateCfg, contract: Contract) -> None:
        """Take what episodes are made of."""
        self._cfg, self._contract = cfg, contract

    def run(
        self,
        policy: ChunkPolicy,
        seeds: Sequence[int] = (),
        watch: Callable[[Seen], None] | None = None,
    ) -> Episodes:
        """Return the episodes of a policy.

        Args:
            policy: of the contract.
            seeds: of the episodes; those of trials if there are none.
            watch: called with what it sees whenever it is asked, (N, ...) each.
        """
        cfg = self._cfg
        seeds = seeds or range(FIRST_SEED, FIRST_SEED + cfg.trial_episodes)
        n = min(len(seeds), cfg.trial_episodes)
        cameras, touch = find_cameras(cfg.cameras), find_touch(cfg.touch)
        with user_input("actuators"):
            actuators = find_actuators(cfg.actuators, cfg.robot)
        own = TorchPolicy(policy, self._contract, n)
        acting = Chunks(own if watch is None else _Watched(own, watch), self._contract, n)
        return run_episodes(
            build_task(cfg), self._contract, acting, seeds, num_arms=n,
            actuators=actuators, vision=None if cameras is None else cameras.vision, touch=touch,
        )  # fmt: skip

    def measure(self, policy: ChunkPolicy | None) -> Found:
        """Return the share of episodes that succeed, of no policy nothing."""
        return {"measured": "" if policy is None else round(self.run(policy).rate, 4)}

    def score(self, found: Found) -> float:
        """Return how good a policy is, of what was measured: more is better."""
        return float(found["measured"])

    def frames(self, policy: ChunkPolicy, ticks: int) -> list[dict[str, np.ndarray]]:
        """Return what a policy sees in each of four episodes, (ticks, ...) of each array."""
        found: list[Mapping[str, np.ndarray]] = []
        Trial(replace(self._cfg, trial_episodes=4), self._contract).run(policy, watch=found.append)
        found = found[:ticks]
        return [
            {name: np.stack([frame[name][row] for frame in found]) for name in found[0]}
            for row in range(4)
        ]


class HeldOut:
    """Demonstrations that are not learnt from."""

    def __init__(self, cfg: ImitateCfg, contract: Contract) -> None:
        """Read them.

        Raises:
            UserError: there are none.
        """
        names = [s.name for s in contract.observations if s.kind not in ("prefix", "noise")]
        self._cfg, self._contract = cfg, contract
        self._demos = open_held_out(cfg, names)
        count = len(self._demos)
        self._some = torch.arange(0, count, max(1, count // FRAMES))[:FRAMES]

    def measure(self, policy: ChunkPolicy | None) -> Found:
        """Return how far chunks are from what was done, of no policy nothing.

        It is the mean of all their actions within the episodes, each in its own unit (rad).
        """
        found: Found = {"measured": "", "held_out": ""}
        if policy is not None:
            apart = np.concatenate([self._apart(policy, at) for at in self._some.split(TOGETHER)])
            found["held_out"] = round(float(apart.mean()), 6)
        return found

    def score(self, found: Found) -> float:
        """Return how good a policy is, of what was measured: more is better."""
        return -float(found["held_out"])

    def _apart(self, policy: ChunkPolicy, frames: torch.Tensor) -> NDArray[np.float32]:
        """Return how far actions of chunks at frames are from what was done, (actions, A)."""
        wanted, absent = self._demos.chunk(frames, self._contract.action.horizon)
        own = TorchPolicy(policy, self._contract, len(frames)).act(self._seen(frames))
        return np.abs(own - wanted.numpy())[~absent.numpy()]

    def frames(self, policy: ChunkPolicy, ticks: int) -> list[dict[str, np.ndarray]]:
        """Return what was seen in the held out episodes, (ticks, ...) of each array."""
        starts = self._demos.starts.tolist()
        return [
            self._seen(torch.arange(first, min(first + ticks, end)))
            for first, end in pairwise(starts)
        ]

    def _seen(self, frames: torch.Tensor) -> dict[str, np.ndarray]:
        history = self._cfg.algo.history
        seen = self._demos.seen(frames, history)
        return {n: (v if history > 1 else v[:, 0]).numpy() for n, v in seen.items()}


class _Watched:
    """A policy that tells what it sees."""

    def __init__(self, policy: TorchPolicy, watch: Callable[[Seen], None]) -> None:
        self._policy, self._watch = policy, watch

    def reset(self) -> None:
        self._policy.reset()

    def act(self, obs: Seen) -> NDArray[np.float32]:
        self._watch({name: np.array(value) for name, value in obs.items()})
        return self._policy.act(obs)
