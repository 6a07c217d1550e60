"""What learners have in common: their state as flat tensors, and going on from it."""

# pyright: standard

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from typing import Any

import torch
from torch import Tensor, nn

from .base import Env
from .distributed import Ranks

COUNTS = ("episodes", "successes", "diverged")
"""Metrics of a roll-out that are sums."""
_RENAMED = (
    (re.compile(r"^(actor|critic)_norm\."), r"\1.norm."),
    (re.compile(r"^(actor|critic)\.(\d+)\."), r"\1.mlp.\2."),
)
"""Names of parameters in older checkpoints, and their present ones."""


def current_name(name: str) -> str:
    """Return the present name of a parameter of an older checkpoint."""
    for pattern, present in _RENAMED:
        name = pattern.sub(present, name)
    return name


def model_state(state: Mapping[str, Tensor], part: str = "") -> dict[str, Tensor]:
    """Return the parameters of a checkpoint's networks, or of a part of them, by present names.

    Args:
        state: a checkpoint.
        part: name of the module, as in `critic`.
    """
    names = {current_name(k.removeprefix("model/")): k for k in state if k.startswith("model/")}
    start = f"{part}." if part else ""
    return {n.removeprefix(start): state[k] for n, k in names.items() if n.startswith(start)}


def take_part(module: nn.Module, state: Mapping[str, Tensor], part: str) -> None:
    """Let a module become a part of a checkpoint's networks.

    Raises:
        ValueError: it is of another size; one line.
    """
    try:
        module.load_state_dict(model_state(state, part))
    except RuntimeError as error:
        raise ValueError(str(error).splitlines()[-1].strip()) from error


class Tally:
    """Counts of a roll-out's episodes and means of its reward terms; no value leaves the device."""

    def __init__(self, device: torch.device, steps: int) -> None:
        """Begin a roll-out of so many steps."""
        self._steps = steps
        self._counts = {name: torch.zeros((), device=device) for name in COUNTS}
        self._terms: dict[str, Tensor] = {}

    def add(self, done: Tensor, info: Mapping[str, Any]) -> None:
        """Count a step: which episodes ended (N,) bool, and what else is known of it."""
        self._counts["episodes"] += done.sum()
        self._counts["successes"] += (info["success"] & done).sum()
        self._counts["diverged"] += info["diverged"].sum()
        for name, term in info["reward_terms"].items():
            mean = term.mean() / self._steps
            self._terms[name] = self._terms[name] + mean if name in self._terms else mean

    def metrics(self) -> dict[str, Tensor]:
        """Return `COUNTS` of this rank, which `Ranks.total` adds up, and `reward/<term>`."""
        return self._counts | {f"reward/{name}": term for name, term in self._terms.items()}


class Means:
    """Means of metrics over updates or iterations; no value leaves the device."""

    def __init__(self, names: Iterable[str] = ()) -> None:
        """Begin; metrics of these names are told even if they never come."""
        self._sums: dict[str, Tensor] = {}
        self._counts: dict[str, int] = dict.fromkeys(names, 0)

    def add(self, values: Mapping[str, Tensor | None]) -> None:
        """Take values; None is none."""
        for name, value in values.items():
            self._counts.setdefault(name, 0)
            if value is not None:
                self._sums[name] = self._sums[name] + value if name in self._sums else value
                self._counts[name] += 1

    def means(self) -> dict[str, Tensor | None]:
        """Return the means; None where no value came."""
        return {name: self._sums[name] / n if n else None for name, n in self._counts.items()}

    def take(self) -> dict[str, Tensor | None]:
        """Return the means and begin again."""
        found = self.means()
        self._sums, self._counts = {}, dict.fromkeys(self._counts, 0)
        return found


def state_of(
    model: nn.Module,
    optimizer: torch.optim.Optimizer,
    generator: torch.Generator,
    iteration: int,
    env: Env,
) -> dict[str, Tensor]:
    """Return networks, optimiser, random streams and iteration as flat tensors."""
    state = {f"model/{k}": v for k, v in model.state_dict().items()} | optimizer_state(optimizer)
    state |= {"iteration": torch.tensor(iteration), "generator": generator.get_state()}
    return state | {f"env/{name}": value for name, value in env.state_dict().items()}


def load_into(
    model: nn.Module, optimizer: torch.optim.Optimizer, state: Mapping[str, Tensor]
) -> int:
    """Take over networks and optimiser; return the iteration.

    Raises:
        KeyError, RuntimeError: the state is not of this learner.
    """
    model.load_state_dict(model_state(state))
    load_optimizer(optimizer, state)
    return int(state["iteration"])


def optimizer_state(optimizer: torch.optim.Optimizer) -> dict[str, Tensor]:
    """Return the state of an optimiser as flat tensors."""
    entries = optimizer.state_dict()["state"].items()
    return {f"optimizer/{index}/{k}": v for index, entry in entries for k, v in entry.items()}


def load_optimizer(optimizer: torch.optim.Optimizer, state: Mapping[str, Tensor]) -> None:
    """Take over an optimiser from a checkpoint.

    Raises:
        RuntimeError, ValueError: the state is not of this optimiser.
    """
    entries: dict[int, dict[str, Tensor]] = {}
    for key, value in state.items():
        if key.startswith("optimizer/"):
            _, index, name = key.split("/")
            entries.setdefault(int(index), {})[name] = value.clone()
    groups = optimizer.state_dict()["param_groups"]
    optimizer.load_state_dict({"state": entries, "param_groups": groups})
    for parameter, entry in optimizer.state.items():
        for name, value in entry.items():
            # fused optimisers go by place in memory, and checkpoints lie there as they are counted
            if value.shape == parameter.shape and value.stride() != parameter.stride():
                entry[name] = torch.empty_like(parameter).copy_(value)


def go_on_drawing(
    state: Mapping[str, Tensor],
    generator: torch.Generator,
    env: Env,
    ranks: Ranks,
    seed: int,
    iteration: int,
) -> None:
    """Let a learner draw on where a state stood.

    The first rank goes on with the random streams of the state, which is its own; another draws
    from new ones. So the number of ranks may change.

    Raises:
        KeyError: the state is not of a learner.
        ValueError: it is of a training on another kind of device.
    """
    if state["generator"].shape != generator.get_state().shape:
        raise ValueError(
            "the random streams are those of another kind of device than "
            f"{env.device}: resume where the run was trained"
        )
    generator.set_state(state["generator"])
    episodes = state["env/generator"]
    if not ranks.first:
        generator.manual_seed(ranks.seed(seed, iteration, 0))
        stream = torch.Generator(device=env.device)
        stream.manual_seed(ranks.seed(seed, iteration, 1))
        episodes = stream.get_state()
    env.load_state_dict({"generator": episodes})
