"""What `test_distributed.py` runs under `torchrun`: `parity FOLDER` or `fail FOLDER`."""

# pyright: standard

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import save_file
from torch import Tensor

from sim2arm.policies.distributed import ALONE, Ranks, ranks_of_torchrun
from sim2arm.policies.ppo import Ppo, PpoCfg
from tests.policies.test_ppo import PointMass

CFG = PpoCfg(hidden=(32, 32), rollout=16, initial_std=0.5)
HALVES, N = 2, 64
HALF = N // HALVES


class Part:
    """Some rows of 64 points; the episodes are those that the 64 would have."""

    action_dim, device, groups = 1, PointMass.device, PointMass().groups

    def __init__(self, rows: slice) -> None:
        self.rows, self.whole = rows, PointMass(N)
        self.num_envs = len(range(N)[rows])
        self.reset, self.desynchronise = self._reset, self.whole.desynchronise
        self.state_dict, self.load_state_dict = self.whole.state_dict, self.whole.load_state_dict

    def _take(self, value: Any) -> Any:
        if isinstance(value, dict):
            return {name: self._take(each) for name, each in value.items()}
        return value[self.rows]

    def _reset(self) -> dict[str, Tensor]:
        return self._take(self.whole.reset())

    def step(self, action: Tensor) -> Any:
        every = torch.zeros(N, 1)
        every[self.rows] = action
        return tuple(self._take(each) for each in self.whole.step(every))


class Halves(Ppo):
    """Holds one half of the points or both; random numbers are those of the half, whoever has it.

    A minibatch takes as many rows of each half: that of both ranks together is that of one.
    """

    def __init__(self, held: list[int], ranks: Ranks) -> None:
        self.held = held
        self.dice = torch.Generator().manual_seed(7)
        self.shuffles = [torch.Generator().manual_seed(half) for half in range(HALVES)]
        self.rows = slice(held[0] * HALF, (held[-1] + 1) * HALF)
        super().__init__(CFG, Part(self.rows), seed=3, ranks=ranks)

    def _normal(self, like: Tensor) -> Tensor:
        return torch.randn((N, like.shape[1]), generator=self.dice)[self.rows]

    def _parts(self, size: int) -> Iterator[Tensor]:
        orders: list[Tensor] = []
        for place, half in enumerate(self.held):
            order = torch.randperm(CFG.rollout * HALF, generator=self.shuffles[half])
            t, n = order // HALF, order % HALF
            orders.append(t * HALF * len(self.held) + place * HALF + n)
        part = CFG.rollout * HALF // CFG.minibatches
        for k in range(CFG.minibatches):
            yield torch.cat([order[k * part : (k + 1) * part] for order in orders])


def parity(ranks: Ranks, folder: Path) -> None:
    """Write what two iterations lead to; the first rank also what they lead to alone."""
    learners = {f"rank{ranks.rank}": Halves([ranks.rank], ranks)}
    if ranks.first:
        learners["alone"] = Halves([0, 1], ALONE)
    for name, learner in learners.items():
        found: dict[str, Tensor] = {}
        for i, metrics in enumerate(learner.train(2)):
            state = {k: v for k, v in learner.state_dict().items() if "generator" not in k}
            state |= {f"metrics/{key}": value for key, value in metrics.items()}
            found |= {f"{i}/{key}": value.detach().clone() for key, value in state.items()}
        save_file(found, folder / f"{name}.safetensors")


def fail(ranks: Ranks, folder: Path) -> None:
    """Train without end, but for the second rank, which breaks."""
    (folder / f"{ranks.rank}.pid").write_text(str(os.getpid()))
    for _ in Halves([ranks.rank], ranks).train(10**6):
        if not ranks.first:
            raise RuntimeError("rank 1 is broken")


if __name__ == "__main__":
    torch.set_num_threads(1)
    torch.set_default_dtype(torch.float64)
    place = ranks_of_torchrun("cpu")
    with place.group("cpu"):
        {"parity": parity, "fail": fail}[sys.argv[1]](place, Path(sys.argv[2]))
    names = [task.read_text() for task in Path("/proc/self/task").glob("*/comm")]
    assert not any("gloo" in name for name in names), names  # see `Ranks.group`
