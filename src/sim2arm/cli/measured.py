"""Episodes with the actions taken in them: recorded, kept in a file, compared in pairs."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from safetensors import SafetensorError
from safetensors.numpy import load, save

from sim2arm.core.contract import ActionSpec, Contract
from sim2arm.core.durable import write_durably
from sim2arm.sim.arm import SimulatedArm
from sim2arm.sim.tasks.base import Task

from .evaluation import Act, Episodes, run_episodes
from .progress import Progress

TOLERANCE = 1e-5
"""Largest difference of equal actions, in units of the action range."""


COUNTS = ("missed", "late", "slowed", "refused", "unheard")
"""What is counted of an episode through the nodes, besides its latencies."""


@dataclass(frozen=True, kw_only=True)
class Course:
    """What happened on the way of one episode through the nodes."""

    latency_ms: NDArray[np.float64] = field(default_factory=lambda: np.zeros(0))
    """Per command, from the observation to its arrival at the arm [ms]; empty in lock step."""
    missed: int = 0
    """Control periods that passed without a new command: the gate got no request, or one so late
    that it was left out."""
    late: int = 0
    """Commands that came after the start of their motion and were joined on the way."""
    slowed: int = 0
    """Commands that the gate slowed."""
    refused: int = 0
    """Requests that the gate refused."""
    unheard: int = 0
    """Ticks of which no action was heard: the policy skipped them or the message was lost."""
    reason: str = ""
    """Why it was broken off, empty if it was not."""

    def faults(self) -> list[str]:
        """Return what went wrong, in words."""
        words = (
            "periods without a new command", "late commands", "commands slowed by the gate",
            "requests refused by the gate", "ticks without an action",
        )  # fmt: skip
        counts = [getattr(self, name) for name in COUNTS]
        found = [f"{n} {what}" for n, what in zip(counts, words, strict=True) if n]
        return [*found, self.reason] if self.reason else found


@dataclass(frozen=True, kw_only=True)
class Measured:
    """Episodes, and what was recorded in them."""

    episodes: Episodes
    real_time: bool = False
    """The nodes kept their own time: observations have ages, motions start a lead later."""
    courses: tuple[Course, ...] = ()
    """Per episode; none in process."""
    activation: Mapping[str, Any] = field(default_factory=dict[str, Any])
    """The activation report of the nodes; empty in process."""

    @property
    def latency_ms(self) -> NDArray[np.float64]:
        """Latencies of all commands [ms]; none in process and in lock step."""
        return np.concatenate([np.zeros(0), *(course.latency_ms for course in self.courses)])

    @property
    def missed(self) -> int:
        """Control periods that passed without a new command."""
        return sum(course.missed for course in self.courses)

    @property
    def late(self) -> int:
        """Commands that came after the start of their motion and were joined on the way."""
        return sum(course.late for course in self.courses)


def measure_in_process(
    task: Task,
    contract: Contract,
    act: Act,
    seeds: Sequence[int],
    *,
    num_arms: int,
    label: str,
) -> Measured:
    """Run seeded episodes in process and show how far they are.

    Args:
        task: the task, on the contract's robot.
        contract: says how actions become motion.
        act: the policy, on `num_arms` rows.
        seeds: of the episodes.
        num_arms: episodes that run together.
        label: of the progress line.
    """
    with Progress(label, len(seeds), "episodes") as progress:
        groups = 0

        def next_group() -> None:
            nonlocal groups
            groups += 1

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
        "latency_ms": measured.latency_ms,
        "latencies": np.asarray([len(c.latency_ms) for c in measured.courses], dtype=np.int64),
        "counts": np.asarray(
            [[getattr(c, name) for name in COUNTS] for c in measured.courses], dtype=np.int64
        ).reshape(-1, len(COUNTS)),
    }
    if episodes.scores is not None:
        arrays["scores"] = episodes.scores
    facts = {
        "slowed": episodes.slowed,
        "refused": episodes.refused,
        "diverged": episodes.diverged,
        "ticks": episodes.ticks,
        "endings": list(episodes.endings),
        "real_time": measured.real_time,
        "activation": dict(measured.activation),
        "reasons": [course.reason for course in measured.courses],
    }
    write_durably(path, save(arrays, metadata={"facts": json.dumps(facts)}))


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
        endings=tuple(facts["endings"]),
        actions=tuple(np.split(arrays["actions"], ends)),
        scores=arrays.get("scores"),
    )
    return Measured(
        episodes=episodes,
        real_time=facts["real_time"],
        courses=_courses(arrays, facts["reasons"]),
        activation=facts["activation"],
    )


def _courses(arrays: Mapping[str, NDArray[Any]], reasons: Sequence[str]) -> tuple[Course, ...]:
    latencies = np.split(arrays["latency_ms"], np.cumsum(arrays["latencies"])[:-1])
    return tuple(
        Course(latency_ms=own, reason=reason, **dict(zip(COUNTS, counts, strict=True)))
        for own, counts, reason in zip(latencies, arrays["counts"].tolist(), reasons, strict=False)
    )


@dataclass(frozen=True, kw_only=True)
class Pairing:
    """The same seeds run in two ways: a (in process) and b (through the nodes)."""

    both: int
    only_a: int
    only_b: int
    neither: int
    same_steps: int
    """Pairs with the same outcome after the same number of ticks of the policy, at least one."""
    largest: float | None
    """Largest difference of two actions at the same tick, in units of the action range; None if
    there is nothing to compare, or in lock step if an action is missing (`incomplete`)."""
    discordant: tuple[str, ...]
    """One line per pair with different outcomes: the seed, what happened, where it parted."""
    incomplete: tuple[str, ...]
    """In lock step one line per pair of which not every action of both ways was recorded."""


def pair(a: Measured, b: Measured, action: ActionSpec) -> Pairing:
    """Compare the episodes of `b` with those of `a` that have the same seeds.

    Raises:
        ValueError: a seed of `b` was not run in `a`.
    """
    place = {seed: row for row, seed in enumerate(a.episodes.seeds)}
    missing = [seed for seed in b.episodes.seeds if seed not in place]
    if missing:
        raise ValueError(f"seeds {missing[:3]} were not run in process: nothing to pair with")
    mates = [place[seed] for seed in b.episodes.seeds]
    rows = np.array(mates)
    won, through = a.episodes.success[rows], b.episodes.success
    steps = b.episodes.steps
    same = (won == through) & (a.episodes.steps[rows] == steps) & (steps > 0)
    before = [a.episodes.actions[row] for row in mates]
    apart = [part(x, y, action) for x, y in zip(before, b.episodes.actions, strict=True)]
    compared = [largest for largest, _ in apart if largest is not None]
    incomplete = () if b.real_time else _incomplete(b, before)
    return Pairing(
        both=int(np.sum(won & through)),
        only_a=int(np.sum(won & ~through)),
        only_b=int(np.sum(~won & through)),
        neither=int(np.sum(~won & ~through)),
        same_steps=int(np.sum(same)),
        largest=None if incomplete else max(compared, default=None),
        discordant=tuple(
            _explain(a, b, mates[i], i, *apart[i]) for i in np.flatnonzero(won != through).tolist()
        ),
        incomplete=incomplete,
    )


def part(
    a: NDArray[np.float32], b: NDArray[np.float32], action: ActionSpec
) -> tuple[float | None, int | None]:
    """Return how far two episodes' actions are apart, and from which step on.

    Args:
        a: (steps, A) actions of one episode.
        b: (steps, A) actions of the other; steps past the shorter one are not compared.
        action: gives the range.

    Returns:
        The largest difference in units of the action range, None if there is no action to compare;
        and the first step with more than `TOLERANCE`, or None.
    """
    steps = min(len(a), len(b))
    if steps == 0:
        return None, None
    span = np.asarray(action.high) - np.asarray(action.low)
    apart = (np.abs(a[:steps].astype(np.float64) - b[:steps]) / span).max(axis=-1)
    beyond = np.flatnonzero(apart > TOLERANCE)
    return float(apart.max()), int(beyond[0]) if beyond.size else None


def _incomplete(b: Measured, before: Sequence[NDArray[np.float32]]) -> tuple[str, ...]:
    lines: list[str] = []
    courses = b.courses or (Course(),) * len(before)
    for seed, x, y, course in zip(
        b.episodes.seeds, before, b.episodes.actions, courses, strict=True
    ):
        if course.unheard or len(x) != len(y):
            unheard = f", {course.unheard} not heard" if course.unheard else ""
            lines.append(f"seed {seed}: {len(x)} actions in process, {len(y)} through ROS{unheard}")
    return tuple(lines)


def _explain(
    a: Measured, b: Measured, row: int, i: int, largest: float | None, first: int | None
) -> str:
    """Return what is known of why a pair turned out differently; nothing is guessed."""
    parts = [
        f"seed {b.episodes.seeds[i]}: in process {_outcome(a.episodes, row)}, through ROS "
        f"{_outcome(b.episodes, i)}"
    ]
    if largest is None:
        parts.append("there are no actions to compare")
    elif first is None:
        parts.append("the actions are equal as far as both go")
    else:
        parts.append(
            f"the actions part at step {first} and differ by up to {largest:.2g} of the range"
        )
    course = b.courses[i] if i < len(b.courses) else Course()
    if course.latency_ms.size:
        parts.append(f"slowest command after {course.latency_ms.max():.1f} ms")
    nothing = "no fault on the way" + ("; ages and lead as in real time" if b.real_time else "")
    return "; ".join(parts + (course.faults() or [nothing]))


def _outcome(episodes: Episodes, row: int) -> str:
    word = "success" if episodes.success[row] else "no success"
    ending = episodes.endings[row] if episodes.endings and not episodes.success[row] else ""
    return f"{word} after {episodes.steps[row]} steps" + (f" ({ending})" if ending else "")
