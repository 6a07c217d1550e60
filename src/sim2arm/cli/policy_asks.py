"""What a policy of others does not say: looked for in options and a file, asked for all at once.

The file of `--contract` has the fields of `contract.yaml` that are missing, and under `source` how
observations and actions are in the source, where that has no place in a contract:

    robot: fr3
    control_hz: 50.0
    low_level: {kp: [600.0, ...], kd: [50.0, ...]}
    inputs:
      - {name: goal_pose, kind: goal, shape: [7], unit: m m m 1 1 1 1, frame: fr3_link0}
"""

# pyright: standard

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

from sim2arm.core.contract import ExecutorSpec, Range, TrainedRange
from sim2arm.core.plain import from_plain, load_yaml

from .errors import UserError, user_input

ActionKind = Literal["joint_position", "ee_delta"]
"""Kinds of actions that a controller executes."""


@dataclass(frozen=True, kw_only=True)
class SaidCfg:
    """What is said beside the source, whatever it is."""

    out: Path
    """Folder of the bundle."""
    contract: Path | None = None
    """YAML file with what the source does not say, in the fields of contract.yaml."""
    robot: str | None = None
    """Name of the arm."""
    control_hz: float | None = None
    """Actions per second in training."""
    max_stamp_age_s: float | None = None
    """Oldest stamp of a reading that the policy may use [s]."""
    max_receipt_age_s: float | None = None
    """Longest time since the last message [s]."""
    tool_frame: str | None = None
    """Tool whose pose the policy sees or moves."""
    kp: tuple[float, ...] = ()
    """Stiffness in training, in the order of the arm's joints [N m/rad]."""
    kd: tuple[float, ...] = ()
    """Damping in training, in that order [N m s/rad]."""
    names: tuple[str, ...] = ()
    """Joints and observations that are called otherwise here: THEIRS=OURS ..."""
    overwrite: bool = False
    """Replace a bundle that is there."""

    @property
    def renamed(self) -> dict[str, str]:
        """Names here by names there.

        Raises:
            UserError: one is not THEIRS=OURS.
        """
        for each in self.names:
            if each.count("=") != 1 or not all(each.split("=")):
                raise UserError(f"--names: expected THEIRS=OURS, got {each!r}")
        return dict(each.split("=") for each in self.names)


@dataclass(frozen=True, kw_only=True)
class FlatPart:
    """How observations become one vector, and actions targets, in the source."""

    observations: tuple[str, ...] = ()
    """Names of the observations in the order of the vector: joint_pos (from the default position),
    joint_vel, actions (the last), joint_position, joint_velocity, ee_pose, or an input that
    --contract describes."""
    observation_scale: tuple[float, ...] = ()
    """What each observation is multiplied by; 1 for all if it is not said."""
    joint_names: tuple[str, ...] = ()
    """Joints in the order of the source."""
    default_joint_pos: tuple[float, ...] = ()
    """Their default positions, in that order [rad]."""
    action_scale: tuple[float, ...] = ()
    """What an action of 1 is, one number or one per action: radians from the default position, or
    metres and radians of a step of the tool."""
    clip_actions: float | None = None
    """Where actions are cut off by amount, if they are."""


@dataclass(frozen=True, kw_only=True)
class ChainPart:
    """Of the chain."""

    tool_frame: str | None = None


@dataclass(frozen=True, kw_only=True)
class ActionPart:
    """Of the action."""

    kind: ActionKind | None = None
    parameters: dict[str, float] = field(default_factory=dict[str, float])


@dataclass(frozen=True, kw_only=True)
class LowLevelPart:
    """Of the law."""

    kp: tuple[float, ...] = ()
    kd: tuple[float, ...] = ()
    kp_range: tuple[Range, ...] = ()
    kd_range: tuple[Range, ...] = ()


@dataclass(frozen=True, kw_only=True)
class ContractPart:
    """The content of the file of `--contract`: a part of a contract."""

    robot: str | None = None
    control_hz: float | None = None
    chain: ChainPart = field(default_factory=ChainPart)
    inputs: tuple[dict[str, Any], ...] = ()
    """Fields of `ArraySpec`, by name."""
    action: ActionPart = field(default_factory=ActionPart)
    executor: ExecutorSpec | None = None
    low_level: LowLevelPart = field(default_factory=LowLevelPart)
    ranges: tuple[TrainedRange, ...] = ()
    source: FlatPart = field(default_factory=FlatPart)

    def input(self, name: str) -> dict[str, Any]:
        """Return the fields of an input that are told, none if it is not."""
        return next((dict(entry) for entry in self.inputs if entry.get("name") == name), {})


def read_part(path: Path | None) -> ContractPart:
    """Return the content of the file of `--contract`; nothing is told without one.

    Raises:
        UserError: it cannot be read, or has other fields.
    """
    if path is None:
        return ContractPart()
    with user_input("contract", path):
        part = from_plain(ContractPart, load_yaml(path.read_text(encoding="utf-8"), "file"))
        if any(not isinstance(entry.get("name"), str) for entry in part.inputs):
            raise ValueError("inputs: each needs the key name")
        return part


class Asks:
    """What was said, what was taken for granted, and what is missing.

    Attributes:
        said: by options.
        part: by the file.
        assumed: one line each.
    """

    def __init__(self, said: SaidCfg) -> None:
        """Read the file.

        Raises:
            UserError: it cannot be read.
        """
        self.said, self.part = said, read_part(said.contract)
        self.assumed: list[str] = []
        self._missing: list[str] = []

    def find(self, name: str, option: str, known: Mapping[str, Any], hint: str = "") -> Any:
        """Return what is said of a field; None, and note that it is missing, if nothing is.

        Args:
            name: of the field, in the file.
            option: that gives it.
            known: what is said, by who says it; None and () are nothing.
            hint: how its value looks.

        Raises:
            UserError: two say different things.
        """
        told = {who: value for who, value in known.items() if value not in (None, ())}
        (first, value), *others = [*told.items()] or [("", None)]
        for who, other in others:
            if other != value:
                raise UserError(f"{name}: {_short(value)} says {first}, {_short(other)} says {who}")
        if not told:
            self.miss(name, f"{option}{f' {hint}' if hint else ''}, or {name} in --contract FILE")
        return value

    def miss(self, what: str, how: str) -> None:
        """Note that something is missing, and how it is given."""
        line = f"{what} ({how})"
        if line not in self._missing:
            self._missing.append(line)

    def assume(self, line: str) -> None:
        """Note what is taken for granted."""
        if line not in self.assumed:
            self.assumed.append(line)

    def finish(self) -> None:
        """See that nothing is missing.

        Raises:
            UserError: lists all that is.
        """
        if self._missing:
            raise UserError(
                f"the source does not say {len(self._missing)} things that the arm needs to know: "
                + "; ".join(self._missing)
            )


def _short(value: Any) -> str:
    if isinstance(value, Sequence) and not isinstance(value, str):
        return " ".join(map(str, value))
    return str(value)
