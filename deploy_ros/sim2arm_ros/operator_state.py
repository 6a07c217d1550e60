"""What the operator's page knows, and what it says of that in plain words. No ROS, no browser.

Nothing that is old is shown as if it were now: what was heard too long ago counts as unknown.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from sim2arm.core.spec import ArraySpec

from .activation import Item
from .gate_machine import HELD
from .gate_state import LATENCY

FloatArray = NDArray[np.float64]
Level = Literal["moves", "stands", "fault", "unknown"]

SILENT_S = 1.0
"""The gate says ten times a second how it stands; after this it is unknown [s]."""
JOINTS_S = 0.5
"""After this without joint states the drawn arm is marked as old [s]."""
RECORDER_S = 3.0
"""The recorder says every second how it stands; after this it counts as silent [s]."""
PICTURE_S, PICTURE_LATE_S = 1.0, 0.3
"""After this a picture is old whose contract names no budget, and how late the page itself may be
with one: it looks twenty times and draws four times a second [s]."""
HISTORY_S = 30.0
"""What graphs show [s]."""


@dataclass(kw_only=True)
class Status:
    """What a node said of itself last."""

    values: Mapping[str, str] = field(default_factory=dict[str, str])
    reason: str = ""
    heard: float = -float("inf")
    """When, by the steady clock [s]."""

    def hear(self, values: Mapping[str, str], reason: str, now: float) -> None:
        """Take what it says now."""
        self.values, self.reason, self.heard = values, reason, now

    def get(self, name: str) -> str:
        """Return a value, an empty text where it was not said."""
        return self.values.get(name, "")


@dataclass(kw_only=True)
class Curve:
    """The last seconds of one figure."""

    times: deque[float] = field(default_factory=deque[float])
    values: deque[float] = field(default_factory=deque[float])

    def add(self, now: float, value: float) -> None:
        """Note a figure; forget what is older than `HISTORY_S`."""
        self.times.append(now)
        self.values.append(value)
        while self.times and now - self.times[0] > HISTORY_S:
            self.times.popleft()
            self.values.popleft()


@dataclass(kw_only=True)
class OperatorState:
    """What is known now."""

    gate: Status = field(default_factory=Status)
    asker: Status = field(default_factory=Status)
    """The policy, or the hand in its place."""
    recorder: Status = field(default_factory=Status)
    episode: Status = field(default_factory=Status)
    """Of a simulated arm."""
    trial: Status = field(default_factory=Status)
    """Of a comparison, see `cli/compare.py`."""
    reports: dict[str, list[Item]] = field(default_factory=dict[str, list[Item]])
    positions: dict[str, float] = field(default_factory=dict[str, float])
    """By joint [rad] or [m], as measured."""
    velocities: dict[str, float] = field(default_factory=dict[str, float])
    joints_heard: float = -float("inf")
    poses: dict[str, FloatArray] = field(default_factory=dict[str, FloatArray])
    """Goals by name, (7,) x y z qw qx qy qz in the base."""
    pictures: dict[str, float] = field(default_factory=dict[str, float])
    """By input: when the picture that is shown was made, by the steady clock [s]."""
    latency: Curve = field(default_factory=Curve)
    """From an observation to its command, the longest of a tenth of a second [s]."""
    ages: dict[str, Curve] = field(default_factory=dict[str, Curve])
    """By input: age of the newest stamp [s]."""
    deeds: deque[str] = field(default_factory=lambda: deque[str](maxlen=6))
    """What was asked for here and what came of it, the newest last."""

    def hear_gate(self, values: Mapping[str, str], reason: str, now: float) -> None:
        """Take what the gate says."""
        self.gate.hear(values, reason, now)
        latency = values.get(LATENCY, "")
        if latency:
            self.latency.add(now, float(latency))

    def gate_state(self, now: float) -> str:
        """Return HOLD, ACTIVE or FAULT; empty if the gate is silent."""
        return self.gate.get("state") if now - self.gate.heard <= SILENT_S else ""


def words(state: OperatorState, now: float, asker: str = "policy") -> tuple[Level, str, str]:
    """Return how the arm stands: a level, a title, and a sentence for whoever has to act.

    Args:
        state: what is known.
        now: by the steady clock [s].
        asker: who asks the gate, in words.
    """
    gate, silent = state.gate, now - state.gate.heard
    if silent > SILENT_S:
        heard = silent < float("inf")
        since = f"is silent for {silent:.0f} s" if heard else "has said nothing yet"
        advice = "In doubt use the emergency stop."
        text = f"The gate {since}: what the arm does is not known. {advice}"
        return "unknown", "Unknown", text
    name = gate.get("state")
    if name == "ACTIVE":
        return "moves", "Moving", f"The {asker} moves the arm."
    if name == "FAULT":
        return "fault", "Fault", f"{_sentence(gate.reason)} Remove the cause, then Reset."
    why = gate.get("not_ready")
    if gate.get("active") != "True":
        return "stands", "Hold", "The gate is not activated yet; Start activates it."
    if why == HELD:
        return "stands", "Hold", "Held by the operator. Start or Reset ends the hold."
    if why:
        return "stands", "Hold", f"Not ready: {_sentence(why)}"
    if state.asker.get("phase") == "WAITING":
        return "stands", "Hold", f"The gate is ready and the {asker} is about to start."
    stopped = state.asker.reason if state.asker.get("phase") == "STOPPED" else ""
    return "stands", "Hold", f"Ready to start.{' Stopped by: ' + stopped if stopped else ''}"


def refusal(state: OperatorState, now: float) -> str:
    """Return why a start is refused at once, in the words of the gate; empty if it is not.

    A gate that is silent may not be configured yet: who starts has to ask.
    """
    if not state.gate_state(now):
        return ""
    if state.gate.get("state") == "FAULT":
        return f"FAULT: {state.gate.reason}; reset first"
    if state.gate.get("state") == "ACTIVE":
        return "it is moving already"
    return ""


@dataclass(frozen=True, kw_only=True)
class Recording:
    """What a person has to know of the recorder."""

    text: str
    """Which episode it is and how it stands."""
    alarm: str
    """That nothing is recorded, and why; empty while the log runs."""
    gaps: tuple[str, ...]
    """What the log lacks, a sentence each."""
    running: bool
    """Whether an episode is being recorded now."""


def recording(state: OperatorState, now: float) -> Recording:
    """Return what is recorded now, by a recorder that was heard once.

    Args:
        state: what is known.
        now: by the steady clock [s].
    """
    said, silent = state.recorder, now - state.recorder.heard
    number, running = said.get("episode"), said.get("running") == "True"
    error = said.get("error")
    alarm = f"Nothing is recorded: {error}" if error else ""
    if silent > RECORDER_S:
        alarm = f"The recorder is silent for {silent:.0f} s: nothing is recorded."
    if number in ("", "0"):
        text = "No episode was marked." if alarm else "The log runs; no episode is marked yet."
    elif running:
        text = f"Episode {number} is {'cut off' if alarm else 'being recorded'}."
    else:
        text = f"Episode {number} is over."
    gaps: list[str] = []
    for key, why in (
        ("lost", "were lost on their way"),
        ("dropped", "had no room: the disk is too slow"),
    ):
        count = said.get(key)
        if count not in ("", "0"):
            gaps.append(f"The log has gaps: {count} messages {why}.")
    if said.reason and not error:
        gaps.append(f"Not recorded: {said.reason}.")
    return Recording(text=text, alarm=alarm, gaps=tuple(gaps), running=running and not alarm)


def old_picture(state: OperatorState, spec: ArraySpec, now: float) -> float | None:
    """Return the age of the shown picture of an input [s] if it is past its budget, else None.

    Args:
        state: what is known.
        spec: of the input, with its budgets.
        now: by the steady clock [s].
    """
    age = now - state.pictures[spec.name]
    budgets = [b for b in (spec.max_stamp_age_s, spec.max_receipt_age_s) if b is not None]
    return age if age > min(budgets, default=PICTURE_S) + PICTURE_LATE_S else None


def margins(value: float, low: float, high: float) -> tuple[float, float]:
    """Return where a value lies in its range, 0 to 1, and which share of half of it is left."""
    half = 0.5 * (high - low)
    return (value - low) / (high - low), min(value - low, high - value) / half


def _sentence(text: str) -> str:
    text = text.strip().rstrip(".")
    return f"{text[:1].upper()}{text[1:]}." if text else "No reason was given."
