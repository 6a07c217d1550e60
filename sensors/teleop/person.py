"""What a person asks of an arm in each control tick: a device, its clutch, actions of a contract.

Simulated arms (`sim2arm record`) and `teleop_node` share it.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

import numpy as np

from sim2arm.core.contract import Contract
from sim2arm.core.controllers import as_tool_steps
from sim2arm.core.joint_targets import as_joint_targets
from sim2arm.core.spec import StaleReading

from .base import FloatArray, TeleopDevice, TeleopReading, new_presses
from .clutch import TwistCfg, TwistTeleop
from .devices import open_device
from .following import FollowCfg, JointTeleop
from .paired import PairedDevice

HandState = Literal["engaged", "held", "silent"]
"""The arm follows the device; it stands, as the clutch is open or for another reason; it stands, as
nothing is heard of the device."""


@dataclass(frozen=True, kw_only=True)
class TeleopCfg:
    """How an arm follows a person's hand."""

    clutch: Literal["device", "always"] = "device"
    """device: the arm follows while the device's clutch is closed; always: without it."""
    buttons: str = ""
    """Another device, as `keyboard` beside a leader arm: its clutch and its buttons count too."""
    twist: TwistCfg = field(default_factory=TwistCfg)
    """Of keyboards, gamepads and SpaceMice."""
    follow: FollowCfg = field(default_factory=FollowCfg)
    """Of leader arms."""


@dataclass(frozen=True, kw_only=True, eq=False)
class Ask:
    """What is asked for in one control tick."""

    action: FloatArray
    """(A,) of the contract; where the arm does not follow, one with which it stands."""
    state: HandState
    why: str = ""
    """Why it does not follow; one line."""
    presses: tuple[str, ...] = ()
    """What was pressed since the tick before, of `PRESSES`."""
    released: bool = False
    """Whether the device is heard, and says that the clutch is open."""


def open_hand(text: str, cfg: TeleopCfg) -> TeleopDevice:
    """Return the open device of `NAME` or `NAME:WHERE`, with the one beside it.

    Raises:
        ValueError, OSError: see `open_device`.
    """
    always = cfg.clutch == "always"
    device = open_device(text, always=always)
    if not cfg.buttons:
        return device
    try:
        return PairedDevice(device, open_device(cfg.buttons, always=always))
    except BaseException:
        device.close()
        raise


def asked_of(kind: Literal["twist", "joints"], contract: Contract) -> Contract:
    """Return the contract of what a device asks for: steps of the tool, or joint positions.

    How the joints move is as in the contract that is given.
    """
    wanted = "joint_position" if kind == "joints" else "ee_delta"
    if contract.action.kind == wanted:
        return contract
    return as_joint_targets(contract) if kind == "joints" else as_tool_steps(contract)


class Person:
    """A device in a hand, on one arm.

    Attributes:
        contract: of the actions that are asked for.
    """

    def __init__(self, device: TeleopDevice, contract: Contract, cfg: TeleopCfg) -> None:
        """Take an open device; `begin` comes before the first `step`.

        Raises:
            ValueError: the leader lacks a joint of the arm, or there are several arms.
        """
        if contract.num_arms > 1:
            raise ValueError(f"a hand moves one arm, and here are {contract.num_arms}")
        self._device, self._cfg = device, cfg
        self.contract = asked_of(device.kind, contract)
        self._pressed: Mapping[str, int] = {}
        self._twist = TwistTeleop(cfg.twist)
        self._joints: JointTeleop | None = None
        if device.kind == "joints":
            names, limits = contract.joint_names, contract.limits
            self._joints = JointTeleop(
                names, device.joint_names, np.zeros(len(names)), cfg=cfg.follow,
                limits=(limits.q_min, limits.q_max),
            )  # fmt: skip

    def begin(self, q: FloatArray, gripper: float = 1.0) -> None:
        """Start anew, with an arm that is commanded to stand at q (n,) [rad].

        Args:
            q: joint positions.
            gripper: element of the gripper, -1 closed, 1 open.
        """
        self._twist.reset(gripper)
        if self._joints is not None:
            self._joints.reset(q, gripper)

    def resume(self, q: FloatArray, gripper: float) -> None:
        """Go on from where somebody else brought the arm; the clutch closes anew from there.

        Args:
            q: (n,) joint positions that were commanded last [rad].
            gripper: element of the gripper, -1 closed, 1 open.
        """
        self._twist.resume(gripper)
        if self._joints is not None:
            self._joints.resume(q, gripper)

    def refusal(self) -> str:
        """Return why the arm must not be handed over now, or an empty string.

        A leader has to stand where the arm stands, unless only its motions count.

        Raises:
            RuntimeError: the device failed for good.
        """
        if self._joints is None:
            return ""
        try:
            return self._joints.start_problem(self._device.read())
        except StaleReading as stale:
            return str(stale)

    def step(self, now_ns: int, q_base_tool: FloatArray | None = None) -> Ask:
        """Return what is asked for in this control tick.

        Args:
            now_ns: by the steady clock [ns].
            q_base_tool: (4,) orientation of the tool in the base frame.

        Raises:
            RuntimeError: the device failed for good.
        """
        reading, why = None, ""
        try:
            reading = self._device.read()
        except StaleReading as stale:
            why = str(stale)
        if self._joints is not None:
            joints = self._joints.step(reading, now_ns, why)
            action = np.append(joints.q, joints.gripper)
            follows, why = joints.follows, joints.why
        else:
            twist = self._twist.step(reading, now_ns, q_base_tool, why)
            action, follows, why = twist.action, twist.follows, twist.why
        return Ask(
            action=action[: self.contract.action.dim],
            state="engaged" if follows else "silent" if self._silent(reading, now_ns) else "held",
            why=why,
            presses=self._presses(reading),
            released=self._released(reading, now_ns),
        )

    def _released(self, reading: TeleopReading | None, now_ns: int) -> bool:
        return reading is not None and not reading.clutch and not self._silent(reading, now_ns)

    def _silent(self, reading: TeleopReading | None, now_ns: int) -> bool:
        cfg = self._cfg.follow if self._joints is not None else self._cfg.twist
        return reading is None or now_ns - reading.receipt_ns > 1e9 * cfg.max_age

    def _presses(self, reading: TeleopReading | None) -> tuple[str, ...]:
        if reading is None:
            return ()
        before, self._pressed = self._pressed, reading.presses
        return new_presses(before, reading.presses)
