"""Actions of one run as requests of joint motion, without ROS: controller, session, ticks.

Policies and people have one each.
"""

# pyright: standard

from __future__ import annotations

import secrets
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from sim2arm.core.contract import Contract
from sim2arm.core.controllers import Controller, EeDelta, from_contract
from sim2arm.core.gripper import WantedWidth
from sim2arm.core.joint_motion import JointMotion
from sim2arm.core.kinematics import forward_pose
from sim2arm.core.robots import Chain, Robot
from sim2arm.core.trajectory import Trajectory, sample

from .gate import GateCfg, motion_and_stop
from .requests import WIDTH, Request

FloatArray = NDArray[np.float64]


class RequestSession:
    """From actions to requests, one run after another.

    Attributes:
        contract: of the actions; its chain is the robot's after `use_chain`.
        robot: with the contract's chain and limits.
        session: name of the run since `begin`.
        tick: number of the next tick.
        width: measured last between the pads of the gripper [m]; whoever reads it sets it.
    """

    def __init__(self, contract: Contract, robot: Robot) -> None:
        """Prepare; `begin` comes before the first request.

        Args:
            contract: says how actions become motion.
            robot: gains and home of the arm.

        Raises:
            ValueError: no controller executes such actions exactly.
        """
        self.contract = contract
        self.robot = replace(robot, chain=contract.kinematic_chain, limits=contract.limits)
        from_contract(self.robot, contract, np.array([robot.home]))  # or says what is missing
        self._controller: Controller | None = None
        self.session, self.tick = "", 0
        self._last, self._since = -1, 0  # the last tick asked for, the first since the gate told
        self._told: tuple[int, Trajectory, FloatArray] | None = None
        self.width: float | None = None
        self._wanted: WantedWidth | None = None

    def use_chain(self, chain: Chain) -> bool:
        """Compute kinematics with the robot's own chain, if it differs by more than rounding.

        Returns:
            Whether it does.
        """
        if max(self.contract.kinematic_chain.difference(chain)) < 1e-9:
            return False
        self.contract = replace(self.contract, chain=chain.to_dict())
        self.robot = replace(self.robot, chain=chain)
        return True

    def begin(self, q: FloatArray) -> None:
        """Begin a run at rest at the commanded position q (n,) [rad].

        Raises:
            ValueError: the gripper acts, and its width was not measured yet.
        """
        self._controller = from_contract(self.robot, self.contract, q[None].astype(np.float64))
        self.session, self.tick = secrets.token_hex(6), 0
        self._last, self._since, self._told = -1, 0, None
        gripper, self._wanted = self.contract.gripper, None
        if gripper is not None and self.contract.grips:
            if self.width is None:
                raise ValueError(f"input {WIDTH!r}: nothing received yet")
            self._wanted = WantedWidth(gripper, np.array([self.width]))

    def resume(self, tick: int, way: Trajectory, ddq: FloatArray) -> None:
        """Go on from what the gate says the arm does, instead of what was asked for.

        What it says of requests from before it was last listened to is known already.

        Args:
            tick: that was not commanded as it was asked.
            way: what the arm does from the end of its period on (1, ...).
            ddq: its acceleration there (n,) [rad/s^2], to the last bit.
        """
        if self._since <= tick < self.tick:
            self._told = tick, way, ddq

    @property
    def goal(self) -> FloatArray:
        """Joint positions (n,) that the last action was for [rad]."""
        return self._motion.goal[0]

    @property
    def commanded(self) -> FloatArray:
        """Joint positions (n,) that were asked for last, at the end of their period [rad]."""
        return self._motion.q[0]

    @property
    def tool(self) -> FloatArray:
        """Pose of the tool (7,) that the last action was for, in the base [m].

        Raises:
            TypeError: actions are not steps of the tool.
        """
        if not isinstance(self._controller, EeDelta):
            raise TypeError("the actions are joint positions: no pose is commanded")
        return self._controller.pose[0]

    def skip(self, ticks: int) -> None:
        """Say that ticks were missed since the last request: the arm is on its last stop.

        Where the gate has told what the arm does, `ask` follows that instead.
        """
        if ticks and self.tick and self._told is None:
            self._follow_the_stop(self._motion, ticks)
        self.tick += ticks

    def ask(self, action: NDArray[np.floating], q: FloatArray, stamp_ns: int) -> Request:
        """Return the request of this tick.

        Args:
            action: (A,) of the contract.
            q: measured joint positions (n,) [rad].
            stamp_ns: of the newest joint state seen; the request applies from then on.
        """
        controller = self._controller
        assert controller is not None  # `begin` comes first
        measured = forward_pose(self.robot.chain, q[None])
        told = self._told is not None
        self._catch_up(controller.motion)
        asked = action[None].astype(np.float64)
        goal, velocity = controller.step(asked, measured)
        request = Request(
            session=self.session, tick=self.tick, stamp_ns=stamp_ns,
            q=goal[0].copy(), dq=velocity[0].copy(),
            width=None if self._wanted is None else float(self._wanted.ask(asked)[0]),
            after=self._last, told=told,
        )  # fmt: skip
        self._last = self.tick
        self.tick += 1
        return request

    def release(self, stamp_ns: int, why: str = "") -> Request:
        """Return the request that ends the run, with what is wrong, if anything is."""
        nothing = np.zeros(len(self.contract.joint_names))
        return Request(
            session=self.session, tick=self.tick, stamp_ns=stamp_ns, q=nothing, dq=nothing,
            release=True, why=why,
        )  # fmt: skip

    @property
    def _motion(self) -> JointMotion:
        assert self._controller is not None  # `begin` comes first
        return self._controller.motion

    def _catch_up(self, motion: JointMotion) -> None:
        """Go on from where the arm is at this tick, if the gate told."""
        if self._told is None:
            return
        (self._last, way, first), self._told, self._since = self._told, None, self.tick
        passed = self.tick - 1 - self._last
        q, dq, ddq, _ = sample(way, np.array([[passed * motion.period]]))
        ddq = ddq[:, 0] if passed else first[None]
        motion.resume(q[:, 0], dq[:, 0], ddq, np.arange(1))

    def _follow_the_stop(self, motion: JointMotion, periods: int) -> None:
        """Go on from where the arm is when requests were missed: on the last stop.

        The gate's trajectory coasts for one period and then stops, so one missed tick changes
        nothing but the acceleration.
        """
        last = motion_and_stop(
            (motion.q_start, motion.dq_start), (motion.q, motion.dq),
            motion.period, np.array(self.robot.limits.ddq_max), GateCfg(),
        )  # fmt: skip
        now = np.array([[(1 + periods) * motion.period]])
        q, dq, ddq, _ = sample(last, now)
        motion.resume(q[:, 0], dq[:, 0], ddq[:, 0], np.arange(1))
