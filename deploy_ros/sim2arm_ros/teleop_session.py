"""What the teleoperation node does each tick, without ROS: joints, hand, controller, request."""

# pyright: standard

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from sim2arm.core.contract import Contract
from sim2arm.core.kinematics import forward_pose
from sim2arm.core.robots import Robot
from sim2arm.core.sampling import Sampler
from sim2arm.core.spec import Reading
from sim2arm.sensors.teleop.base import TeleopDevice
from sim2arm.sensors.teleop.person import Ask, Person, TeleopCfg

from .request_session import FloatArray, RequestSession
from .requests import Request

JOINTS = "joint_position"


class TeleopSession:
    """One hand on one arm, from joint states to requests.

    Attributes:
        joints: spec of the joint positions that are sampled.
        requests: makes requests of the actions; it names the run, and counts its ticks.
        ask: what the hand asked for last; none before the first tick.
    """

    def __init__(
        self, device: TeleopDevice, contract: Contract, robot: Robot, cfg: TeleopCfg
    ) -> None:
        """Take an open device.

        Args:
            device: in the hand.
            contract: of the arm; what the hand asks for may be actions of another kind.
            robot: gains and home of the arm.
            cfg: how the arm follows.

        Raises:
            ValueError: the device does not go with the arm.
        """
        self._person = Person(device, contract, cfg)
        self.requests = RequestSession(self._person.contract, robot)
        self.joints = replace(
            contract.input(JOINTS), dtype="float64", history=None, sampling="latest"
        )
        self._sampler = Sampler((self.joints,))
        self._in_joints = "joint_position" in (
            contract.action.kind, self._person.contract.action.kind
        )  # fmt: skip
        self.ask: Ask | None = None
        self._first = True

    def push(self, q: FloatArray, stamp_ns: int, now_ns: int, steady_ns: int) -> bool:
        """Take joint positions (n,) [rad]; return whether they were new and in order."""
        reading = Reading(
            arrays={JOINTS: q}, sequence=stamp_ns, stamp_ns=stamp_ns, receipt_ns=steady_ns
        )
        return self._sampler.push(reading, now_ns)

    def forget(self) -> None:
        """Drop all joint positions, as when their clock was set back."""
        self._sampler.reset()

    def refusal(self, q: FloatArray) -> str:
        """Return why the arm must not be handed over at q (n,) [rad], or an empty string.

        Raises:
            RuntimeError: the device failed for good.
        """
        self._person.begin(q)
        return self._person.refusal()

    def begin(self, q: FloatArray) -> None:
        """Begin a run at rest at the commanded position q (n,) [rad]."""
        self._person.begin(q)
        self.requests.begin(q)
        self._first = True

    def act(self, now_ns: int, steady_ns: int, stamp_ns: int, skipped: int = 0) -> Request:
        """Return the request of this tick.

        Args:
            now_ns: of the tick, by the clock of the stamps.
            steady_ns: by the steady clock.
            stamp_ns: of the newest joint state seen; the request applies from then on.
            skipped: ticks that were missed since the last call.

        Raises:
            StaleReading: the joint positions are missing or too old.
            RuntimeError: the device failed for good.
        """
        q = self._sampler.sample(now_ns, steady_ns)[JOINTS]
        tool = forward_pose(self.requests.robot.chain, q[None])[0]
        ask = self._person.step(steady_ns, tool[3:])
        # What was pressed before the run is not meant for it.
        self.ask, self._first = replace(ask, presses=()) if self._first else ask, False
        self.requests.skip(skipped)
        return self.requests.ask(self.ask.action, q, stamp_ns)

    def asked(self) -> tuple[NDArray[np.float64], Sequence[str]]:
        """Return the last action and the names of its elements, in the units of the contract.

        Where they are positions of joints, those that the steps of a tool meant; they are also
        those of a leader arm whose contract has steps of the tool.
        """
        assert self.ask is not None  # `act` comes first
        if self._in_joints:
            return self.requests.goal, self.requests.contract.joint_names
        return self.ask.action, self.requests.contract.action.element_names
