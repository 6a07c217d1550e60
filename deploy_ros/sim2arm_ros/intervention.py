"""A person beside a policy: in each tick one of the two asks, and no hand-over makes the arm jump.

While the person's clutch is closed and the arm follows their device, their action counts. A device
that falls silent makes the arm stand, until the person has taken over once; so does whatever goes
wrong while the clutch is closed, until it is open. Else the action of the policy counts. All go
through the controller of the run, which goes on from where the arm is commanded to be, whoever
brought it there.
"""

# pyright: standard

from __future__ import annotations

from dataclasses import replace
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from sim2arm.core.contract import Contract
from sim2arm.core.spec import StaleReading
from sim2arm.sensors.teleop.base import TeleopDevice
from sim2arm.sensors.teleop.person import Ask, Person, TeleopCfg

FloatArray = NDArray[np.float64]
Who = Literal["policy", "human", "nobody"]
"""Whose action is done; nobody: the arm stands."""
_SILENT = "the device was silent: take over once, then the policy goes on"
_CLOSED = "the clutch is closed: open it once (a device without one needs `buttons` that have one)"
_THINKS_NS = 1_000_000_000
"""Longest time until the policy answers after it got the arm back [ns]."""


class Intervention:
    """Who of a person and a policy acts.

    Attributes:
        ask: of the person in this tick.
        acts: whether the policy does not act in this tick.
        let_go: whether the policy acts again from this tick on: what it answered before was for an
            arm that is elsewhere.
    """

    def __init__(self, device: TeleopDevice, contract: Contract, cfg: TeleopCfg) -> None:
        """Take an open device.

        Args:
            device: in the hand.
            contract: of the policy.
            cfg: how the arm follows.

        Raises:
            ValueError: the device does not go with the arm, asks for actions of another kind, or
                never leaves anything to the policy.
        """
        if cfg.clutch == "always":
            raise ValueError("settings: clutch: expected device, got always: no policy acts")
        self._device, self._person = device, Person(device, contract, cfg)
        theirs, kind = self._person.contract.action.kind, contract.action.kind
        if theirs != kind:
            raise ValueError(
                f"device: expected one that asks for {kind} as the policy does, got one that asks "
                f"for {theirs}"
            )
        self._grips = contract.grips
        self.begin(np.zeros(len(contract.joint_names)), 1.0)

    def begin(self, q: FloatArray, gripper: float) -> None:
        """Begin a run at rest: the policy acts.

        Args:
            q: (n,) commanded position [rad].
            gripper: element of an action that leaves the gripper where it is.
        """
        self._person.begin(q, gripper)
        self._gripper = gripper
        self.ask = Ask(action=np.zeros(self._person.contract.action.dim), state="held")
        self.acts = self.let_go = self._fell_silent = False
        self._opened, self._first = False, True  # the clutch was seen open
        self._waits_since: int | None = None  # for the policy, after it got the arm back
        self._now_ns = 0

    @property
    def may_miss(self) -> bool:
        """Whether the arm does without an answer of the policy in this tick."""
        since = self._waits_since
        return self.acts or (since is not None and self._now_ns - since < _THINKS_NS)

    def refusal(self) -> str:
        """Return why nobody could take over now, or an empty string; a leader may be elsewhere."""
        try:
            closed = self._device.read().clutch
        except (StaleReading, RuntimeError) as error:
            return str(error)
        return _CLOSED if closed else ""

    def look(self, now_ns: int, q_base_tool: FloatArray, goal: FloatArray) -> None:
        """See what the person asks for in this tick; comes before the policy acts.

        Args:
            now_ns: by the steady clock [ns].
            q_base_tool: (4,) orientation of the tool in the base frame.
            goal: (n,) joint positions that the action before was for [rad].

        Raises:
            RuntimeError: the device failed for good.
        """
        if not self.acts:
            self._person.resume(goal, self._gripper)
        before, self._now_ns = self.acts, now_ns
        ask = self._person.step(now_ns, q_base_tool)
        self._opened = self._opened or ask.released
        engaged = ask.state == "engaged" and self._opened
        self._fell_silent = (self._fell_silent or ask.state == "silent") and not engaged
        # Whatever is wrong with a closed clutch or its device, nobody asked the policy to go on.
        self.acts = engaged or self._fell_silent or (before and not ask.released)
        why = ask.why
        if self._fell_silent and ask.state == "held":
            why = f"{_SILENT} ({why})" if why else _SILENT
        elif ask.state == "engaged" and not self._opened:
            why = _CLOSED
        self.ask = replace(ask, why=why, presses=() if self._first else ask.presses)
        self._first = False  # what was pressed before the run is not meant for it
        self.let_go = before and not self.acts
        if self.let_go:
            self._waits_since = now_ns

    def choose(self, action: NDArray[np.float32] | None) -> tuple[NDArray[np.float32], Who]:
        """Return the action (A,) of this tick, and whose it is.

        Args:
            action: of the policy (A,), none if it has not answered: then the arm stands.
        """
        if self.acts or action is None:
            chosen = self.ask.action.astype(np.float32)
            who: Who = "human" if self.acts and self.ask.state == "engaged" else "nobody"
        else:
            chosen, who, self._waits_since = action, "policy", None
        if self._grips:
            self._gripper = float(chosen[-1])
        return chosen, who
