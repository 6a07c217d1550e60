"""Replay: what N worlds saw and did, kept once, row after row, and sampled as transitions.

Each world has a ring of rows. A row is an observation and what followed from it: action, reward,
whether the episode ended. Where one ended, its last observation is a row of its own, without
action, so that the next observation of row t is always row t + 1. Frames are therefore stored
once; what an observation stacks, what n steps are summed up and which actions follow is found on
sampling, by index. All of it happens on the device of the rows, and nothing waits for it.
"""

# pyright: standard

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from sim2arm.core.durable import make_folder

_GOES_ON, _CUT, _ENDED, _LAST = 0, 1, 2, 3
"""Of a row: the episode went on; was cut (time limit); ended in a state without future; or it is
the last observation of an episode."""
_KIND, _AGE, _NUMBER = "row.kind", "row.age", "row.number"
ACTION, REWARD = "action", "reward"
DEMO = "demo"
"""Column: whether an expert did it."""
SPARE = 256
"""Oldest rows that a reader leaves alone, as another process may write over them."""
TRIES = 8
"""Rows that are drawn for one transition; the first that is one is taken."""


@dataclass(frozen=True, kw_only=True)
class Column:
    """What a row holds under one name."""

    shape: tuple[int, ...] = ()
    dtype: torch.dtype = torch.float32
    stack: int = 1
    """Of an observation: how many of the latest are seen together, oldest first. At the start of an
    episode its first stands for those before."""


@dataclass(frozen=True, kw_only=True)
class Batch:
    """Transitions."""

    obs: dict[str, Tensor]
    """(B, [stack,] ...)."""
    action: Tensor
    """(B, A), or (B, T, A): the actions from here on; after the end of the episode, or the newest,
    the last one again."""
    reward: Tensor
    """(B,) discounted sum over k steps."""
    discount: Tensor
    """(B,) gamma^k, of as many steps as were there; 0 where the episode ended in a state without
    future."""
    next_obs: dict[str, Tensor]
    """(B, [stack,] ...) after those steps."""
    columns: dict[str, Tensor] = field(default_factory=dict[str, Tensor])
    """(B, ...) whatever else was written."""

    def split(self, count: int) -> Iterator[Batch]:
        """Yield it as batches of so many transitions, which are views."""
        parts = {
            name: {key: value.split(count) for key, value in getattr(self, name).items()}
            for name in ("obs", "next_obs", "columns")
        }
        plain = {n: getattr(self, n).split(count) for n in ("action", "reward", "discount")}
        for k in range(len(plain["reward"])):
            mapped = {n: {key: v[k] for key, v in part.items()} for n, part in parts.items()}
            yield Batch(**mapped, **{name: value[k] for name, value in plain.items()})


def together(first: Batch, second: Batch) -> Batch:
    """Return the transitions of two batches with the same columns."""
    return Batch(
        obs={n: torch.cat([v, second.obs[n]]) for n, v in first.obs.items()},
        action=torch.cat([first.action, second.action]),
        reward=torch.cat([first.reward, second.reward]),
        discount=torch.cat([first.discount, second.discount]),
        next_obs={n: torch.cat([v, second.next_obs[n]]) for n, v in first.next_obs.items()},
        columns={n: torch.cat([v, second.columns[n]]) for n, v in first.columns.items()},
    )


class Replay:
    """The latest rows of N worlds.

    Attributes:
        obs: columns of observations.
        columns: those that are written beside action and reward.
        action_dim: elements of an action.
        worlds: N.
        rows: of each world, at most.
        device: where they are.
    """

    def __init__(
        self,
        obs: Mapping[str, Column],
        action_dim: int,
        *,
        rows: int,
        worlds: int = 1,
        columns: Mapping[str, Column] | None = None,
        device: torch.device | None = None,
        folder: Path | None = None,
        reads: bool = False,
    ) -> None:
        """Allocate, or go on with the rows of a folder.

        Args:
            obs: what is seen.
            action_dim: elements of an action.
            rows: of each world that are kept.
            worlds: N.
            columns: what is written beside.
            device: of the rows; the CPU by default.
            folder: where rows are kept on disk, as memory of this process; a kill loses none that
                was whole. Only on a CPU.
            reads: whether another process writes the rows of the folder; see `follow`.

        Raises:
            ValueError: too few rows, a folder on a GPU, or one with other rows.
            OSError: the folder cannot be written.
        """
        self.obs, self.columns, self.action_dim = dict(obs), dict(columns or {}), action_dim
        self.worlds, self.rows, self.device = worlds, rows, device or torch.device("cpu")
        most = max([1, *(column.stack for column in self.obs.values())])
        if rows < most + 3 or worlds < 1:
            raise ValueError(f"rows: expected {most + 3} or more in 1 world or more, got {rows}")
        if folder is not None and self.device.type != "cpu":
            raise ValueError("folder: rows on disk are memory of the CPU; leave out the folder")
        known = _all_columns(self.obs, self.columns, action_dim)
        # one row more, where writes go that are for nobody
        self._data = {
            name: _allocate(name, (worlds, rows + 1, *c.shape), c.dtype, self.device, folder)
            for name, c in known.items()
        }
        self._stack = most
        self._reads, self._spare = reads, SPARE if reads else 0
        if reads and (folder is None or rows < 4 * SPARE):
            raise ValueError(f"reads: expected a folder, and {4 * SPARE} rows or more, got {rows}")
        self._world = torch.arange(worlds, device=self.device)
        self._head = torch.zeros(worlds, dtype=torch.int64, device=self.device)
        self._age = torch.zeros(worlds, dtype=torch.int32, device=self.device)
        self._added = 0
        if reads:
            self.follow()
        elif folder is not None:
            self._go_on()

    def __len__(self) -> int:
        """Return how many rows can be sampled at most, those of the ends of episodes included."""
        return self.worlds * min(self.rows, self._added)

    def add(
        self,
        obs: Mapping[str, Tensor],
        action: Tensor,
        reward: Tensor,
        terminated: Tensor,
        done: Tensor,
        final_obs: Mapping[str, Tensor],
        columns: Mapping[str, Tensor] | None = None,
    ) -> None:
        """Write a step of all worlds.

        Args:
            obs: what was seen (N, ...), of stacked observations the newest.
            action: what was done (N, A).
            reward: what came of it (N,).
            terminated: (N,) bool, the episode ended in a state without future.
            done: (N,) bool, it ended or was cut.
            final_obs: what was seen after the action (N, ...); where the episode goes on it has no
                meaning.
            columns: what else there is (N, ...).
        """
        kind = done.to(torch.uint8) * _CUT + (done & terminated).to(torch.uint8) * (_ENDED - _CUT)
        values = {**obs, **(columns or {}), ACTION: action, REWARD: reward}
        self._write(values, kind, torch.ones_like(done))
        self._age += 1
        if self.device.type != "cpu" or bool(done.any()):  # looking costs less there than writing
            self._write(final_obs, torch.full_like(kind, _LAST), done)
            self._age *= ~done
        self._added += 1

    def _write(self, values: Mapping[str, Tensor], kind: Tensor, chosen: Tensor) -> None:
        """Write a row in chosen worlds (N,) bool; what is not given stays as it is."""
        place = torch.where(chosen, self._head % self.rows, self.rows)
        marks = {_KIND: kind, _AGE: self._age, _NUMBER: self._head + 1}  # 0: never written
        for name, value in {**{n: values[n] for n in self._data if n in values}, **marks}.items():
            data = self._data[name]
            data[self._world, place] = value.to(data.dtype)
        self._head += chosen

    def sample(
        self,
        batch: int,
        generator: torch.Generator,
        *,
        discount: float,
        steps: int = 1,
        actions: int | None = None,
    ) -> Batch:
        """Return transitions, each world as probable, then each of its rows.

        Args:
            batch: how many.
            generator: of what is drawn, on the device.
            discount: gamma.
            steps: n, rewards that are summed up at most.
            actions: how many actions follow one another; one, without an axis, if None.

        Raises:
            ValueError: fewer than two rows were written.
        """
        if self._added < 2:
            raise ValueError("nothing to sample: expected 2 rows or more")
        world, row = self._draw(batch, generator)
        return self.gather(world, row, discount=discount, steps=steps, actions=actions)

    def _draw(self, batch: int, generator: torch.Generator) -> tuple[Tensor, Tensor]:
        """Return worlds and rows (B,) of transitions whose observations are whole."""
        shape, device = (batch, TRIES), self.device
        world = torch.randint(0, self.worlds, (batch,), generator=generator, device=device)
        head = self._head[world][:, None]
        oldest = (head - self.rows + self._spare).clamp(min=0)
        share = torch.rand(shape, generator=generator, device=device, dtype=torch.float64)
        row = oldest + (share * (head - 1 - oldest)).to(torch.int64)  # the newest has no successor
        valid = self._is_transition(world[:, None], row, oldest)
        # beyond all tries: the newest step before the newest row
        last = head[:, 0] - 2
        last = last - (self._read(_KIND, world, last) == _LAST).to(torch.int64)
        first = valid.to(torch.uint8).argmax(dim=1, keepdim=True)
        found = torch.where(valid.any(dim=1), row.gather(1, first)[:, 0], last)
        return world, found

    def _is_transition(self, world: Tensor, row: Tensor, oldest: Tensor) -> Tensor:
        back = self._read(_AGE, world, row).clamp(max=self._stack - 1)
        return (self._read(_KIND, world, row) != _LAST) & (row - back >= oldest)

    def gather(
        self,
        world: Tensor,
        row: Tensor,
        *,
        discount: float,
        steps: int = 1,
        actions: int | None = None,
    ) -> Batch:
        """Return the transitions of worlds (B,) from rows (B,) on, see `sample`.

        Rows count from the first one ever written; each must be a step that was followed by another
        row.
        """
        newest = self._head[world] - 1
        ahead = torch.arange(max(steps, actions or 1), device=self.device)
        rows = row[:, None] + ahead  # (B, K)
        kinds = self._read(_KIND, world[:, None], rows)
        goes_on = (kinds == _GOES_ON) & (rows < newest[:, None])
        # a step is there if all before it went on
        there = torch.cat([torch.ones_like(goes_on[:, :1]), goes_on[:, :-1]], dim=1).cumprod(dim=1)
        summed = there[:, :steps] * (rows[:, :steps] < newest[:, None])
        rewards = self._read(REWARD, world[:, None], rows[:, :steps])
        powers = discount ** ahead[:steps].to(torch.float32)
        count = summed.sum(dim=1)  # k, at least 1
        after = row + count
        ended = self._read(_KIND, world, after - 1) == _ENDED
        follow = row[:, None] + (there.cumsum(dim=1) - 1)[:, : actions or 1]
        action = self._read(ACTION, world[:, None], follow)
        return Batch(
            obs=self._observe(world, row),
            action=action[:, 0] if actions is None else action,
            reward=(summed * powers * rewards).sum(dim=1),
            discount=discount ** count.to(torch.float32) * ~ended,
            next_obs=self._observe(world, after),
            columns={name: self._read(name, world, row) for name in self.columns},
        )

    def _observe(self, world: Tensor, row: Tensor) -> dict[str, Tensor]:
        age, found = self._read(_AGE, world, row), dict[str, Tensor]()
        for name, column in self.obs.items():
            if column.stack == 1:
                found[name] = self._read(name, world, row)
                continue
            back = torch.arange(column.stack - 1, -1, -1, device=self.device)
            rows = row[:, None] - torch.minimum(back, age[:, None])
            found[name] = self._read(name, world[:, None], rows)
        return found

    def _read(self, name: str, world: Tensor, row: Tensor) -> Tensor:
        """Return values (..., *shape) of worlds and rows that broadcast to (...)."""
        data = self._data[name]
        places = world * (self.rows + 1) + row % self.rows
        flat = data.flatten(0, 1).index_select(0, places.flatten())
        return flat.reshape(*places.shape, *data.shape[2:])

    def episodes(self, world: int = 0) -> Sequence[tuple[int, int]]:
        """Return first and last row of the whole episodes of a world that are still there.

        The last row is that of the last observation. It looks at the rows: not on a hot path.
        """
        head = int(self._head[world])
        rows = torch.arange(max(0, head - self.rows), head, device=self.device)
        where = torch.full_like(rows, world)
        ages, kinds = (self._read(name, where, rows).tolist() for name in (_AGE, _KIND))
        found: list[tuple[int, int]] = []
        for row, age, kind in zip(rows.tolist(), ages, kinds, strict=True):
            if kind == _LAST and row - age >= int(rows[0]):
                found.append((row - age, row))
        return found

    def latest_episode(self, world: int) -> tuple[int, int] | None:
        """Return first and last row of the episode of a world that ended just now, if it is whole.

        It looks at the rows: not on a hot path.
        """
        head = int(self._head[world])
        where, last = torch.tensor([world], device=self.device), head - 1
        row = torch.tensor([last], device=self.device)
        first = last - int(self._read(_AGE, where, row))
        ended = head > 0 and int(self._read(_KIND, where, row)) == _LAST
        return (first, last) if ended and first >= max(0, head - self.rows) else None

    def numbers(self) -> dict[str, Tensor]:
        """Return the latest observations of the only world (rows, ...) that are no pictures."""
        head = int(self._head[0])
        rows = torch.arange(max(0, head - self.rows), head, device=self.device)
        names = [name for name, column in self.obs.items() if column.dtype.is_floating_point]
        return {name: self._read(name, torch.zeros_like(rows), rows) for name in names}

    def copy_episode(
        self,
        other: Replay,
        world: int,
        rows: tuple[int, int],
        marks: Mapping[str, bool] | None = None,
    ) -> None:
        """Take over an episode of another replay with the same columns, as the only world's.

        Args:
            other: where it is.
            world: of the other one.
            rows: first and last, see `episodes`.
            marks: columns that become something else.
        """
        first, last = rows
        at = torch.arange(first, last + 1, device=other.device)
        where = torch.full_like(at, world)
        names = (*self.obs, *self.columns, ACTION, REWARD, _KIND)
        values = {n: other._read(n, where, at).to(self.device) for n in names}
        for name, mark in (marks or {}).items():
            values[name] = torch.full_like(values[name], mark)
        self._age.zero_()
        yes = torch.ones(1, dtype=torch.bool, device=self.device)
        for i in range(len(at)):
            kind = values[_KIND][i : i + 1]
            self._write({n: v[i : i + 1] for n, v in values.items()}, kind, yes)
            self._age += 1
        self._age.zero_()
        self._added += len(at)

    def state_dict(self) -> dict[str, Tensor]:
        """Return rows and counts as flat tensors; those of a folder stay there."""
        return {f"data/{n}": v for n, v in self._data.items()} | {
            "head": self._head, "age": self._age, "added": torch.tensor(self._added)
        }  # fmt: skip

    def load_state_dict(self, state: Mapping[str, Tensor]) -> None:
        """Take over rows and counts.

        Raises:
            KeyError, RuntimeError: they are of another replay.
        """
        for name, data in self._data.items():
            data.copy_(state[f"data/{name}"])
        self._head.copy_(state["head"])
        self._age.copy_(state["age"])
        self._added = int(state["added"])

    def cut(self) -> None:
        """Say that nothing follows from the newest rows: what comes next are other episodes.

        The newest row of a running episode becomes its last observation.
        """
        if not self._added or self._reads:
            return
        newest, before = self._head - 1, self._head - 2
        runs = self._read(_KIND, self._world, newest) != _LAST
        follows = runs & (self._read(_AGE, self._world, newest) > 0)
        kinds = self._data[_KIND]
        for row, chosen, kind in ((newest, runs, _LAST), (before, follows, _CUT)):
            kinds[self._world, torch.where(chosen, row % self.rows, self.rows)] = kind
        self._age.zero_()

    def follow(self) -> int:
        """Take note of the rows that another process wrote since; return how many there ever were.

        A row counts once its number is there, which is written last. The oldest rows are left
        alone: they may be written over while they are read.
        """
        numbers = self._data[_NUMBER]
        while True:
            there = numbers[self._world, self._head % self.rows] > self._head
            if not bool(there.any()):
                break
            self._head += there
        self._added = int(self._head.min())
        return self._added

    def since(self, row: int) -> dict[str, Tensor]:
        """Return observations (n, ...) of the only world from a row on, of those there are."""
        rows = torch.arange(max(row, self._added - self.rows + self._spare, 0), self._added)
        where = torch.zeros_like(rows)
        return {name: self._read(name, where, rows) for name in self.obs}

    def ended_since(self, row: int) -> list[tuple[int, int]]:
        """Return first and last row of the only world's episodes whose end was written since a row.

        It looks at the rows: not on a hot path.
        """
        oldest = max(self._added - self.rows + self._spare, 0)
        rows = torch.arange(max(row, oldest), self._added)
        where = torch.zeros_like(rows)
        last = rows[self._read(_KIND, where, rows) == _LAST]
        ages = self._read(_AGE, torch.zeros_like(last), last)
        found = zip((last - ages).tolist(), last.tolist(), strict=True)
        return [(first, end) for first, end in found if first >= oldest]

    def won(self, last: int) -> bool:
        """Return whether the only world's episode that ends with a row was rewarded in the end."""
        before = torch.tensor([last - 1])
        return bool(self._read(REWARD, torch.zeros_like(before), before) > 0.0)

    def _go_on(self) -> None:
        """Find the newest whole row of each world in what a folder held."""
        self._head.copy_(self._data[_NUMBER][:, :-1].amax(dim=1))
        self._added = int(self._head.min())
        self.cut()


def _all_columns(
    obs: Mapping[str, Column], columns: Mapping[str, Column], action_dim: int
) -> dict[str, Column]:
    """Return all that a row holds, in the order in which it is written.

    Raises:
        ValueError: two have one name.
    """
    fixed = {
        ACTION: Column(shape=(action_dim,)),
        REWARD: Column(),
        _KIND: Column(dtype=torch.uint8),
        _AGE: Column(dtype=torch.int32),
        _NUMBER: Column(dtype=torch.int64),  # the last to be written, so a row with it is whole
    }
    known = {**obs, **columns, **fixed}
    if len(known) != len(obs) + len(columns) + len(fixed):
        raise ValueError(f"columns: names must differ from one another and from {sorted(fixed)}")
    return known


def _allocate(
    name: str, shape: Sequence[int], dtype: torch.dtype, device: torch.device, folder: Path | None
) -> Tensor:
    """Return memory, zero where nothing was kept in the folder.

    Raises:
        ValueError: the folder holds something else.
    """
    if folder is None:
        return torch.zeros(*shape, dtype=dtype, device=device)
    make_folder(folder)
    path, kind = folder / f"{name}.npy", np.dtype(str(dtype).removeprefix("torch."))
    if not path.is_file():
        return torch.from_numpy(np.lib.format.open_memmap(path, "w+", kind, tuple(shape)))
    kept = np.lib.format.open_memmap(path, "r+")
    if kept.shape != tuple(shape) or kept.dtype != kind:
        raise ValueError(
            f"{path}: expected {kind} {list(shape)}, got {kept.dtype} {list(kept.shape)}: it is of "
            "another replay; choose another folder"
        )
    return torch.from_numpy(kept)
