"""What the policy node does each tick, without ROS: sample, derive, infer, control, request."""

# pyright: standard

from __future__ import annotations

import secrets
from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from sim2arm.core.acting import Acting
from sim2arm.core.controllers import Controller, from_contract
from sim2arm.core.derive import Derivation
from sim2arm.core.joint_motion import JointMotion
from sim2arm.core.kinematics import forward_pose
from sim2arm.core.robots import Chain, Robot
from sim2arm.core.sampling import Later, Sampler
from sim2arm.core.spec import Reading
from sim2arm.core.trajectory import sample
from sim2arm.policies.runtime import OnnxPolicy

from .gate import GateCfg, motion_and_stop
from .requests import Request

FloatArray = NDArray[np.float64]
WARM_UP = 10
"""Calls of the policy before it is used: the first ones are slow."""


class PolicySession:
    """One policy on one arm, from readings to requests.

    Attributes:
        sampled: specs of what is sampled; joint positions in float64 as measured, from which the
            controller computes where the tool is.
        acting: makes actions of the policy's chunks.
        session: name of the run since the last reset.
        tick: number of the next tick.
        action: what the policy answered last, (A,).
    """

    def __init__(self, policy: OnnxPolicy, robot: Robot, *, beside: bool = False) -> None:
        """Prepare the samplers of the policy's contract.

        Args:
            policy: a verified bundle with one row.
            robot: limits and gains; its chain is the contract's until `use_chain`.
            beside: whether the policy may run beside the ticks (`Acting`).

        Raises:
            ValueError: the contract asks for something that is not done here.
        """
        self.policy, self.contract = policy, policy.contract
        self.robot = replace(
            robot, chain=self.contract.kinematic_chain, limits=self.contract.limits
        )
        self.derivation = Derivation(self.contract)
        self.sampled = tuple(
            replace(spec, dtype="float64") if spec.name == "joint_position" else spec
            for spec in self.derivation.sampled
        )
        self.sampler = Sampler(self.sampled)
        self.acting = Acting(policy, self.contract, beside=beside)
        from_contract(self.robot, self.contract, np.array([robot.home]))  # or says what is missing
        self._controller: Controller | None = None
        self._newest: dict[str, tuple[Reading, int]] = {}
        self.session, self.tick = "", 0
        self.action: NDArray[np.float32] = np.zeros(self.contract.action.dim, dtype=np.float32)

    def use_chain(self, chain: Chain) -> None:
        """Compute kinematics with the robot's own chain, if it differs by more than rounding."""
        if max(self.contract.kinematic_chain.difference(chain)) < 1e-9:
            return
        self.contract = replace(self.contract, chain=chain.to_dict())
        self.robot = replace(self.robot, chain=chain)
        self.derivation = Derivation(self.contract)

    def warm_up(self) -> None:
        """Run the policy a few times on zeros; then it is as if it had never been asked."""
        frame = {
            spec.name: np.zeros((1, *spec.array_shape), dtype=spec.dtype)
            for spec in self.contract.observations
        }
        for _ in range(WARM_UP):
            self.policy.act(frame)
        noise = self.contract.noise
        self.policy.reset(seeds=[noise.seed if noise else 0])

    def push(
        self, name: str, value: NDArray[Any] | Later, stamp_ns: int, now_ns: int, steady_ns: int
    ) -> bool:
        """Take the reading of one input; return whether it was new and in order."""
        reading = Reading(
            arrays={name: value}, sequence=stamp_ns, stamp_ns=stamp_ns, receipt_ns=steady_ns
        )
        if not self.sampler.push(reading, now_ns):
            return False
        self._newest[name] = (reading, now_ns)
        return True

    def forget(self) -> None:
        """Drop all readings, as when their clock was set back."""
        self.sampler.reset()
        self._newest.clear()

    def sample(self, now_ns: int, steady_ns: int) -> dict[str, NDArray[Any]]:
        """Return every sampled input (*array_shape).

        Raises:
            StaleReading: an input is missing or too old.
            ValueError: a picture is not what the contract says.
        """
        return self.sampler.sample(now_ns, steady_ns)

    def begin(self, q: FloatArray) -> None:
        """Reset the policy; it starts from the commanded position q (n,) [rad], at rest.

        Histories begin with the newest reading: nothing from before the reset is in them.
        """
        self.acting.begin()
        self.sampler.reset()
        for reading, now_ns in self._newest.values():
            self.sampler.push(reading, now_ns)
        self._controller = from_contract(self.robot, self.contract, q[None].astype(np.float64))
        self.session, self.tick = secrets.token_hex(6), 0

    def resume(self, q: FloatArray, dq: FloatArray, ddq: FloatArray) -> None:
        """Go on from what the gate commanded (n,) instead of what was asked for last."""
        if self._controller is not None:
            self._controller.motion.resume(q[None], dq[None], ddq[None], np.arange(1))

    def act(
        self, sampled: dict[str, NDArray[Any]], stamp_ns: int, time_ns: int, skipped: int = 0
    ) -> Request:
        """Return the request of this tick.

        Args:
            sampled: what `sample` returned.
            stamp_ns: of the newest joint state seen; the request applies from then on.
            time_ns: of the tick, on any clock that advances by a period from tick to tick.
            skipped: ticks that were missed since the last call.

        Raises:
            ValueError: an answer of the policy is not finite.
            ChunkExhausted: no entry of a chunk is for this tick.
        """
        controller = self._controller
        assert controller is not None  # `begin` comes first
        rows = {name: value[None] for name, value in sampled.items()}
        obs = self.derivation.complete(rows)
        if skipped and self.tick:
            self._follow_the_stop(controller.motion, skipped)
        self.tick += skipped
        action = self.acting.act(obs, time_ns)
        joints = rows["joint_position"]
        now = joints if joints.ndim == 2 else joints[:, -1]  # of a history the newest
        measured = forward_pose(self.robot.chain, now)
        q, dq = controller.step(action.astype(np.float64), measured)
        request = Request(
            session=self.session, tick=self.tick, stamp_ns=stamp_ns, q=q[0].copy(), dq=dq[0].copy()
        )
        self.action = action[0]
        self.tick += 1
        return request

    def release(self, stamp_ns: int) -> Request:
        """Return the request that ends the session."""
        nothing = np.zeros(len(self.contract.joint_names))
        return Request(
            session=self.session, tick=self.tick, stamp_ns=stamp_ns, q=nothing, dq=nothing,
            release=True,
        )  # fmt: skip

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
