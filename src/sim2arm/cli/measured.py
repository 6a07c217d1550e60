"""Episodes with the actions taken in them: recorded, kept in a file, compared in pairs."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from safetensors import SafetensorError
from safetensors.numpy import load, save

from sim2arm.core.contract import ActionSpec, Contract
from sim2arm.sim.arm import SimulatedArm
from sim2arm.sim.tasks.base import Task

from .evaluation import Act, Episodes, run_episodes
from .progress import Progress

TOLERANCE = 1e-5
"""Largest difference of equal actions, in units of the action range."""


@dataclass(frozen=True, kw_only=True)
class Measured:
    """Episodes, and what was recorded in them."""

    episodes: Episodes
    latency_ms: NDArray[np.float64] = field(default_factory=lambda: np.zeros(0))
    """Per control step, from observation to command [ms]; empty in process."""
    missed: int = 0
    """Control periods that passed without a command."""
    activation: Mapping[str, Any] = field(default_factory=dict[str, Any])
    """The activation report of the nodes; empty in process."""
    reasons: tuple[str, ...] = ()
    """Per episode why it ended early, empty if it did not; none in process."""


def measure_in_process(
    task: Task,
    contract: Contract,
    act: Act,
    seeds: Sequence[int],
    *,
    num_arms: int,
    label: str,
    begin: Callable[[], None] = lambda: None,
) -> Measured:
    """Run seeded episodes in process and show how far they are.

    Args:
        task: the task, on the contract's robot.
        contract: says how actions become motion.
        act: the policy, on `num_arms` rows.
        seeds: of the episodes.
        num_arms: episodes that run together.
        label: of the progress line.
        begin: called before each group of episodes, to reset the policy.
    """
    with Progress(label, len(seeds), "episodes") as progress:
        groups = 0

        def next_group() -> None:
            nonlocal groups
            groups += 1
            begin()

        def show(arm: SimulatedArm) -> None:
            done = (groups - 1) * num_arms + int(arm.done.sum())
            progress.update(min(len(seeds), done))

        episodes = run_episodes(
            task=task,
            contract=contract,
            act=act,
            seeds=seeds,
            num_arms=num_arms,
            begin=next_group,
            record=show,
        )
    return Measured(episodes=episodes)


def write_measured(path: Path, measured: Measured) -> None:
    """Write a measurement as safetensors with JSON in its header; whole or not at all."""
    episodes = measured.episodes
    arrays = {
        "seeds": np.asarray(episodes.seeds, dtype=np.int64),
        "success": episodes.success.astype(np.uint8),
        "steps": np.asarray(episodes.steps, dtype=np.int64),
        "lengths": np.asarray([len(each) for each in episodes.actions], dtype=np.int64),
        "actions": np.concatenate([each.astype(np.float32) for each in episodes.actions]),
        "latency_ms": np.asarray(measured.latency_ms, dtype=np.float64),
    }
    facts = {
        "slowed": episodes.slowed,
        "refused": episodes.refused,
        "diverged": episodes.diverged,
        "ticks": episodes.ticks,
        "missed": measured.missed,
        "activation": dict(measured.activation),
        "reasons": list(measured.reasons),
    }
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = path.with_name(f"{path.name}.partial")
    partial.write_bytes(save(arrays, metadata={"facts": json.dumps(facts)}))
    partial.replace(path)


def read_measured(path: Path) -> Measured:
    """Read what `write_measured` wrote.

    Raises:
        ValueError: the file is damaged.
    """
    data = path.read_bytes()
    try:
        arrays: dict[str, NDArray[Any]] = load(data)
    except SafetensorError as error:
        raise ValueError(f"not a safetensors file: {error}") from error
    # The header of safetensors: its length in 8 bytes, then JSON.
    head = json.loads(data[8 : 8 + int.from_bytes(data[:8], "little")])
    facts: dict[str, Any] = json.loads(head["__metadata__"]["facts"])
    ends = np.cumsum(arrays["lengths"])[:-1]
    episodes = Episodes(
        seeds=tuple(int(seed) for seed in arrays["seeds"]),
        success=arrays["success"].astype(bool),
        steps=arrays["steps"],
        slowed=facts["slowed"],
        refused=facts["refused"],
        diverged=facts["diverged"],
        ticks=facts["ticks"],
        actions=tuple(np.split(arrays["actions"], ends)),
    )
    return Measured(
        episodes=episodes,
        latency_ms=arrays["latency_ms"],
        missed=facts["missed"],
        activation=facts["activation"],
        reasons=tuple(facts["reasons"]),
    )


@dataclass(frozen=True, kw_only=True)
class Pairing:
    """The same seeds run in two ways: a (in process) and b (through the nodes)."""

    both: int
    only_a: int
    only_b: int
    neither: int
    same_steps: int
    """Pairs with the same outcome after the same number of steps."""
    largest: float
    """Largest difference of two actions at the same step, in units of the action range."""
    discordant: tuple[str, ...]
    """One line per pair with different outcomes: the seed, what happened, where it parted."""


def pair(a: Measured, b: Measured, action: ActionSpec) -> Pairing:
    """Compare the episodes of `b` with those of `a` that have the same seeds.

    Raises:
        ValueError: a seed of `b` was not run in `a`.
    """
    place = {seed: row for row, seed in enumerate(a.episodes.seeds)}
    missing = [seed for seed in b.episodes.seeds if seed not in place]
    if missing:
        raise ValueError(f"seeds {missing[:3]} were not run in process: nothing to pair with")
    rows = np.array([place[seed] for seed in b.episodes.seeds])
    won, through = a.episodes.success[rows], b.episodes.success
    same = (won == through) & (a.episodes.steps[rows] == b.episodes.steps)
    before = [a.episodes.actions[place[seed]] for seed in b.episodes.seeds]
    apart = [part(x, y, action) for x, y in zip(before, b.episodes.actions, strict=True)]
    lines = [
        _explain(a, b, int(rows[i]), i, *apart[i]) for i in np.flatnonzero(won != through).tolist()
    ]
    return Pairing(
        both=int(np.sum(won & through)),
        only_a=int(np.sum(won & ~through)),
        only_b=int(np.sum(~won & through)),
        neither=int(np.sum(~won & ~through)),
        same_steps=int(np.sum(same)),
        largest=max((largest for largest, _ in apart), default=0.0),
        discordant=tuple(lines),
    )


def part(
    a: NDArray[np.float32], b: NDArray[np.float32], action: ActionSpec
) -> tuple[float, int | None]:
    """Return how far two episodes' actions are apart, and from which step on.

    Args:
        a: (steps, A) actions of one episode.
        b: (steps, A) actions of the other; steps past the shorter one are not compared.
        action: gives the range.

    Returns:
        The largest difference in units of the action range, and the first step with more than
        `TOLERANCE`, or None.
    """
    steps = min(len(a), len(b))
    if steps == 0:
        return 0.0, None
    span = np.asarray(action.high) - np.asarray(action.low)
    apart = (np.abs(a[:steps].astype(np.float64) - b[:steps]) / span).max(axis=-1)
    beyond = np.flatnonzero(apart > TOLERANCE)
    return float(apart.max()), int(beyond[0]) if beyond.size else None


def _explain(a: Measured, b: Measured, row: int, i: int, largest: float, first: int | None) -> str:
    def outcome(measured: Measured, index: int) -> str:
        episodes = measured.episodes
        word = "success" if episodes.success[index] else "no success"
        # An episode that was broken off has actions, but no end of which the steps were counted.
        return f"{word} after {episodes.steps[index] or len(episodes.actions[index])} steps"

    line = f"seed {b.episodes.seeds[i]}: in process {outcome(a, row)}, through ROS {outcome(b, i)}"
    if first is None:
        line += "; the actions are equal as far as both go"
    else:
        line += f"; the actions part at step {first} and differ by up to {largest:.2g} of the range"
    lengths = [len(each) for each in b.episodes.actions]
    if sum(lengths) == len(b.latency_ms):
        begin = sum(lengths[:i])
        own = b.latency_ms[begin : begin + lengths[i]]
        if own.size:
            line += f"; slowest command after {own.max():.1f} ms"
    if i < len(b.reasons) and b.reasons[i]:
        line += f"; {b.reasons[i]}"
    return line
