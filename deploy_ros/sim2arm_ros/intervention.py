"""A person beside a policy: in each tick one of the two asks, and no hand-over makes the arm jump.

While the person's clutch is closed and the arm follows their device, their action counts. A device
that falls silent makes the arm stand, until the person has taken over once. Else the action of the
policy counts. All go through the controller of the run, which goes on from where the arm is
commanded to be, whoever brought it there.
"""

# pyright: standard

from __future__ import annotations

from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from sim2arm.core.contract import Contract
from sim2arm.core.spec import StaleReading
from sim2arm.sensors.teleop.base import TeleopDevice
from sim2arm.sensors.teleop.person import Ask, Person, TeleopCfg

FloatArray = NDArray[np.float64]
_SILENT = "the device was silent: take over once, then the policy goes on"


class Intervention:
    """Who of a person and a policy acts.

    Attributes:
        ask: of the person in this tick.
        let_go: whether the person acted in the tick before and does not in this one: what the
            policy answered before was for an arm that is elsewhere.
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
        self._person_acts = self._fell_silent = False
        self.ask = Ask(action=np.zeros(contract.action.dim), state="held")
        self.let_go = self._thinks = False

    @property
    def may_miss(self) -> bool:
        """Whether the arm stands or follows the person if the policy has no answer now."""
        return self._person_acts or self._thinks

    def refusal(self) -> str:
        """Return why nobody could take over now, or an empty string; a leader may be elsewhere."""
        try:
            self._device.read()
        except (StaleReading, RuntimeError) as error:
            return str(error)
        return ""

    def begin(self, q: FloatArray) -> None:
        """Begin a run at rest at the commanded position q (n,) [rad]: the policy acts."""
        self._person.begin(q)
        self._person_acts = self._fell_silent = self.let_go = self._thinks = False

    def look(self, now_ns: int, q_base_tool: FloatArray, goal: FloatArray) -> None:
        """See what the person asks for in this tick; comes before the policy acts.

        Args:
            now_ns: by the steady clock [ns].
            q_base_tool: (4,) orientation of the tool in the base frame.
            goal: (n,) joint positions that the action before was for [rad].

        Raises:
            RuntimeError: the device failed for good.
        """
        if not self._person_acts:
            self._person.resume(goal, float(self.ask.action[-1]) if self._grips else 1.0)
        before = self._person_acts
        self.ask = ask = self._person.step(now_ns, q_base_tool)
        silent = self._fell_silent or ask.state == "silent"
        self._fell_silent = silent and ask.state != "engaged"
        if self._fell_silent and ask.state == "held":
            self.ask = replace(ask, why=f"{_SILENT} ({ask.why})" if ask.why else _SILENT)
        self._person_acts = self._fell_silent or ask.state == "engaged"
        self.let_go = before and not self._person_acts
        self._thinks = self._thinks or self.let_go

    def choose(self, action: NDArray[np.float32] | None) -> tuple[NDArray[np.float32], bool]:
        """Return the action (A,) of this tick, and whether it is the person's.

        Args:
            action: of the policy (A,), none if it has not answered: then the arm stands.
        """
        if self._person_acts or action is None:
            return self.ask.action.astype(np.float32), True
        self._thinks = False
        self.ask = replace(self.ask, action=action.astype(np.float64))
        return action, False
