"""Data-parallel training: what the ranks that `torchrun` started have to agree on.

Each rank has its share of the worlds and an own random stream; networks, normalisers, learning
rate and metrics are the same on all. A method of `Ranks` that brings values together is called by
all ranks in the same order. Where nothing was started by `torchrun`, or one process, everything
returns what came in: no process group, the same numbers.
"""

# pyright: standard

from __future__ import annotations

import os
import signal
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import timedelta

import numpy as np
import torch
import torch.distributed as dist
import torch.distributed.nn  # see `Ranks.group`
from torch import Tensor, nn

PATIENCE = timedelta(minutes=30)
"""How long ranks wait for one another: the first measures and writes files in between."""


class FirstRankError(RuntimeError):
    """The first rank failed and says why; the others end with it."""


@dataclass(frozen=True, kw_only=True)
class Ranks:
    """The place of this process among those that train together."""

    rank: int = 0
    """From 0; the first one writes files."""
    size: int = 1
    local_rank: int = 0
    """Among those of this machine: the number of its GPU."""
    local_size: int = 1

    @property
    def alone(self) -> bool:
        """Whether there are no others."""
        return self.size == 1

    @property
    def first(self) -> bool:
        """Whether this one writes the run folder and speaks."""
        return self.rank == 0

    def share(self, total: int) -> int:
        """Return this rank's part of a number of worlds.

        Raises:
            ValueError: it does not divide evenly; means over ranks would not be means over worlds.
        """
        if total % self.size:
            raise ValueError(f"expected a multiple of the {self.size} ranks, got {total}")
        return total // self.size

    def seed(self, seed: int, *more: int) -> int:
        """Return this rank's seed: that of the first is the seed itself.

        Args:
            seed: of the run.
            more: what else sets the stream apart.
        """
        if self.first:
            return seed
        stream = np.random.SeedSequence(seed, spawn_key=(self.rank, *more))
        return int(stream.generate_state(1, np.uint64)[0] >> np.uint64(1))

    def device(self, name: str) -> str:
        """Return the device of this rank: its own GPU where a GPU is asked for."""
        return f"cuda:{self.local_rank}" if not self.alone and name.startswith("cuda") else name

    def threads(self) -> int:
        """Return its share of the machine's cores, 0 (all of them) where it is alone."""
        return 0 if self.alone else max(1, (os.cpu_count() or 1) // self.local_size)

    def moments(self, x: Tensor) -> tuple[int, Tensor, Tensor]:
        """Return count, mean and variance (divided by the count) of all rows (B, ...) of all ranks.

        Every rank must have the same B. Source: Chan, Golub and LeVeque, 1979.
        """
        mean, var = x.mean(dim=0), x.var(dim=0, unbiased=False)
        if self.alone:
            return len(x), mean, var
        every = mean.new_zeros((self.size, 2, *mean.shape))  # each rank adds its row
        every[self.rank, 0], every[self.rank, 1] = mean, var
        dist.all_reduce(every)
        means, vars_ = every[:, 0], every[:, 1]
        mean = means.mean(dim=0)
        return self.size * len(x), mean, (vars_ + (means - mean) ** 2).mean(dim=0)

    def standardise(self, x: Tensor) -> Tensor:
        """Return values shifted and scaled to mean 0 and deviation 1 over all ranks."""
        if self.alone:
            return (x - x.mean()) / (x.std() + 1e-8)
        count, mean, var = self.moments(x.flatten())
        return (x - mean) / ((var * (count / (count - 1))).sqrt() + 1e-8)

    def average_gradients(
        self, parameters: Iterable[nn.Parameter], values: Sequence[Tensor]
    ) -> list[Tensor]:
        """Average the gradients in place, and return the averages of some numbers, at once."""
        if self.alone:
            return list(values)
        gradients = [p.grad for p in parameters if p.grad is not None]
        parts = [*gradients, *values]
        flat = torch.cat([part.detach().flatten() for part in parts])
        dist.all_reduce(flat)
        flat /= self.size
        pieces = flat.split([part.numel() for part in parts])
        for gradient, piece in zip(gradients, pieces, strict=False):
            gradient.copy_(piece.view_as(gradient))
        return [piece[0] for piece in pieces[len(gradients) :]]

    def total(self, values: Mapping[str, Tensor], *, counts: Iterable[str]) -> dict[str, Tensor]:
        """Return numbers of all ranks: sums of the counts, means of the others."""
        if self.alone:
            return dict(values)
        flat = torch.stack([value.detach().reshape(()) for value in values.values()])
        dist.all_reduce(flat)
        counted = set(counts)
        return {
            name: value if name in counted else value / self.size
            for name, value in zip(values, flat, strict=True)
        }

    def follow_first(self, tensors: Iterable[Tensor]) -> None:
        """Overwrite tensors with those of the first rank."""
        if not self.alone:
            for tensor in tensors:
                dist.broadcast(tensor, src=0)

    def any(self, *flags: bool) -> tuple[bool, ...]:
        """Return of each flag whether it is set on some rank; waits for the device."""
        if self.alone:
            return flags
        raised = torch.tensor(flags, dtype=torch.int32, device=_device())
        dist.all_reduce(raised, op=dist.ReduceOp.MAX)
        return tuple(bool(flag) for flag in raised.tolist())

    def first_does(self, work: Callable[[], object]) -> None:
        """Do something on the first rank; if it fails, all ranks fail.

        Raises:
            FirstRankError: it failed there; there, its own error is raised.
        """
        failure: Exception | None = None
        if self.first:
            try:
                work()
            except Exception as error:
                failure = error
        (failed,) = self.any(failure is not None)
        if failure is not None:
            raise failure
        if failed:
            raise FirstRankError("the first rank failed")

    @contextmanager
    def interrupts(self, *, alone: bool = False) -> Iterator[Callable[[], bool]]:
        """Give a function that tells whether Ctrl-C was pressed; alone, it raises as ever.

        A rank that left in the middle of an update would leave the others waiting, so ranks see
        to it together, with `any`.

        Args:
            alone: whether it is told, not raised, where there are no others; the second time it
                is raised.
        """
        asked: list[int] = []
        if self.alone and not alone:
            yield lambda: False
            return

        def ask(number: int, _: object) -> None:
            if self.alone and asked:
                raise KeyboardInterrupt
            asked.append(number)

        before = signal.signal(signal.SIGINT, ask)
        try:
            yield lambda: bool(asked)
        finally:
            signal.signal(signal.SIGINT, before)

    @contextmanager
    def group(self, device: str) -> Iterator[None]:
        """Be connected: over gloo where the device is the CPU, else over nccl.

        The group must be gone when this ends: the threads of gloo let go of Python's tensors, and
        one that does it while Python ends aborts the process. Default arguments in
        `torch.distributed.nn` keep a group that is there when an optimiser first imports it, so
        it is imported above, before there is one.
        """
        if self.alone:
            yield
            return
        backend = "nccl" if device.startswith("cuda") else "gloo"
        dist.init_process_group(backend, timeout=PATIENCE)
        try:
            yield
        except KeyboardInterrupt:  # agreed upon; after another error, others may be in the middle
            dist.destroy_process_group()
            raise
        dist.destroy_process_group()


ALONE = Ranks()


def ranks_of_torchrun(device: str) -> Ranks:
    """Return the place that `torchrun` gave this process; `ALONE` without it or with one process.

    Where a GPU is asked for, each rank takes its own.

    Raises:
        ValueError: there are fewer GPUs than ranks on this machine.
    """
    size = int(os.environ["WORLD_SIZE"]) if dist.is_torchelastic_launched() else 1
    if size == 1:
        return ALONE
    rank, local = int(os.environ["RANK"]), int(os.environ["LOCAL_RANK"])
    local_size = int(os.environ["LOCAL_WORLD_SIZE"])
    if device.startswith("cuda"):
        found = torch.cuda.device_count()
        if found < local_size:
            raise ValueError(f"expected a GPU for each of {local_size} ranks, found {found}")
        torch.cuda.set_device(local)
    return Ranks(rank=rank, size=size, local_rank=local, local_size=local_size)


def _device() -> torch.device:
    """Return where the process group takes tensors from."""
    return torch.device("cuda" if dist.get_backend() == "nccl" else "cpu")
