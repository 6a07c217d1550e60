"""What the policy node does each tick, without ROS: sample, derive, infer, control, request."""

# pyright: standard

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from sim2arm.core.acting import Acting
from sim2arm.core.contract import Contract
from sim2arm.core.derive import Derivation
from sim2arm.core.executor import ChunkExhausted
from sim2arm.core.gripper import element_of
from sim2arm.core.kinematics import forward_pose
from sim2arm.core.robots import Chain, Robot
from sim2arm.core.sampling import Later, Sampler
from sim2arm.core.spec import Reading, StaleReading
from sim2arm.core.tool_box import ToolBox
from sim2arm.policies.runtime import OnnxPolicy

from .gate_state import MachineCfg
from .intervention import Intervention
from .request_session import FloatArray, RequestSession
from .requests import WIDTH, Request

WARM_UP = 10
"""Calls of the policy before it is used: the first ones are slow."""


class PolicySession:
    """One policy on one arm, from readings to requests.

    Attributes:
        sampled: specs of what is sampled; joint positions in float64 as measured, from which the
            controller computes where the tool is.
        acting: makes actions of the policy's chunks.
        requests: makes requests of the actions; it names the run, and counts its ticks.
        action: what was asked for last, (A,).
        who: asked for it.
        person: who may take over, None without one.
        box: that the commanded position of the tool stays in, whoever asks; None without one.
        thinks_s: how long the policy took to answer, in the warm-up [s]; None before.
    """

    def __init__(
        self, policy: OnnxPolicy, robot: Robot, *, beside: bool = False,
        max_skew_s: float | None = None, person: Intervention | None = None,
    ) -> None:  # fmt: skip
        """Prepare the samplers of the policy's contract.

        Args:
            policy: a verified bundle with one row.
            robot: limits and gains; its chain is the contract's until `use_chain`.
            beside: whether the policy may run beside the ticks (`Acting`).
            max_skew_s: most time between the stamps of the sensors that a tick sees [s]; None where
                each has its own age alone.
            person: who may take over.

        Raises:
            ValueError: the contract asks for something that is not done here.
        """
        self.policy, self.requests = policy, RequestSession(policy.contract, robot)
        self.derivation = Derivation(self.contract)
        self.sampled = tuple(
            replace(spec, dtype="float64") if spec.name == "joint_position" else spec
            for spec in self.derivation.sampled
        )
        self.sampler = Sampler(self.sampled)
        self.acting = Acting(policy, self.contract, beside=beside)
        self.person, self.who = person, "policy"
        self.box: ToolBox | None = None
        self.thinks_s: float | None = None
        self._newest: dict[str, tuple[Reading, int]] = {}
        self._max_skew_s = max_skew_s
        self._sensors = [spec.name for spec in self.sampled if spec.kind == "sensor"]
        self.action: NDArray[np.float32] = np.zeros(self.contract.action.dim, dtype=np.float32)

    @property
    def may_think_s(self) -> float:
        """Longest time that the policy may take to answer [s].

        Where it thinks beside the ticks that is what the executor waits for a chunk; else what a
        gate waits for a request, and beyond a control period ticks are missed.
        """
        executor, action = self.contract.executor, self.contract.action
        if self.acting.beside:
            return max(executor.delay * action.dt_s, self.contract.period)
        return MachineCfg().request_timeout_s

    @property
    def contract(self) -> Contract:
        """That of the policy, with the robot's chain after `use_chain`."""
        return self.requests.contract

    def use_chain(self, chain: Chain) -> None:
        """Compute kinematics with the robot's own chain, if it differs by more than rounding."""
        if self.requests.use_chain(chain):
            self.derivation = Derivation(self.contract)

    def warm_up(self) -> None:
        """Run the policy a few times on zeros; then it is as if it had never been asked."""
        frame = {
            spec.name: np.zeros((1, *spec.array_shape), dtype=spec.dtype)
            for spec in self.contract.observations
        }
        took: list[float] = []
        for _ in range(WARM_UP):
            begun = time.perf_counter()
            self.policy.act(frame)
            took.append(time.perf_counter() - begun)
        self.thinks_s = float(np.median(took[WARM_UP // 2 :]))
        noise = self.contract.noise
        self.policy.reset(seeds=[noise.seed if noise else 0])

    def push(
        self, name: str, value: NDArray[Any] | Later, stamp_ns: int, now_ns: int, steady_ns: int
    ) -> bool:
        """Take the reading of one input; return whether it was new and in order."""
        reading = Reading(
            arrays={name: value}, sequence=stamp_ns, stamp_ns=stamp_ns, receipt_ns=steady_ns
        )
        if name == WIDTH:
            assert not isinstance(value, Later)
            self.requests.width = float(value[0])
            if name not in self.sampler.buffers:  # the policy does not see it
                return True
        if not self.sampler.push(reading, now_ns):
            return False
        self._newest[name] = (reading, now_ns)
        return True

    def joints(self) -> FloatArray:
        """Return the joint positions (n,) that were measured last [rad].

        Raises:
            StaleReading: nothing was received yet.
        """
        if "joint_position" not in self._newest:
            raise StaleReading("input 'joint_position': nothing received yet")
        reading, _ = self._newest["joint_position"]
        return np.asarray(reading.arrays["joint_position"])

    def forget(self) -> None:
        """Drop all readings, as when their clock was set back."""
        self.sampler.reset()
        self._newest.clear()

    def sample(self, now_ns: int, steady_ns: int) -> dict[str, NDArray[Any]]:
        """Return every sampled input (*array_shape).

        Raises:
            StaleReading: an input is missing or too old, or two are too far apart.
            ValueError: a picture is not what the contract says.
        """
        found = self.sampler.sample(now_ns, steady_ns)
        self._check_skew()
        return found

    def _check_skew(self) -> None:
        stamps = {name: self.sampler.stamps[name] for name in self._sensors}
        if self._max_skew_s is None or not stamps:
            return
        old, new = min(stamps, key=lambda n: stamps[n]), max(stamps, key=lambda n: stamps[n])
        apart = (stamps[new] - stamps[old]) / 1e9
        if apart > self._max_skew_s:
            raise StaleReading(
                f"inputs {old!r} and {new!r} are {apart:.3f} s apart, allowed {self._max_skew_s}"
            )

    def begin(self, q: FloatArray) -> None:
        """Reset the policy; it starts from the commanded position q (n,) [rad], at rest.

        Histories begin with the newest reading: nothing from before the reset is in them.
        """
        self.acting.begin()
        self.sampler.reset()
        for reading, now_ns in self._newest.values():
            self.sampler.push(reading, now_ns)
        self.requests.begin(q)
        if self.person is not None:
            spec, width, element = self.contract.gripper, self.requests.width, 1.0
            if self.contract.grips and spec is not None and width is not None:
                element = element_of(spec, width)
            self.person.begin(q, element)

    def act(
        self, sampled: dict[str, NDArray[Any]], stamp_ns: int, time_ns: int, skipped: int = 0
    ) -> Request:
        """Return the request of this tick.

        Args:
            sampled: what `sample` returned.
            stamp_ns: of the newest joint state seen; the request applies from then on.
            time_ns: of the tick, on any clock that advances by a period from tick to tick; where
                there is a person, the steady clock.
            skipped: ticks that were missed since the last call.

        Raises:
            ValueError: an answer of the policy is not finite.
            RuntimeError: the person's device failed for good.
            ChunkExhausted: no entry of a chunk is for this tick.
        """
        self.look(sampled, time_ns, skipped)
        try:
            answer = self.acting.act(self.observe(sampled), time_ns)[0]
        except ChunkExhausted:
            if self.person is None or not self.person.may_miss:
                raise
            answer = None
        return self.ask(sampled, stamp_ns, answer)

    def observe(self, sampled: Mapping[str, NDArray[Any]]) -> dict[str, NDArray[Any]]:
        """Return what the policy sees (1, ...) of what `sample` returned."""
        return self.derivation.complete({name: value[None] for name, value in sampled.items()})

    def look(self, sampled: Mapping[str, NDArray[Any]], time_ns: int, skipped: int) -> None:
        """Begin a tick: see what the person asks for, if there is one.

        Raises:
            RuntimeError: the person's device failed for good.
        """
        self.requests.skip(skipped)
        if self.person is None:
            return
        tool = forward_pose(self.requests.robot.chain, joints_of(sampled)[None])[0]
        self.person.look(time_ns, tool[3:], self.requests.goal)
        if self.person.let_go:
            self.acting.forget()

    def ask(
        self, sampled: Mapping[str, NDArray[Any]], stamp_ns: int, answer: NDArray[Any] | None
    ) -> Request:
        """Return the request of a tick, after `look`.

        Args:
            sampled: what `sample` returned.
            stamp_ns: of the newest joint state seen.
            answer: of whoever answers (A,); None where nobody does.
        """
        if self.person is not None:
            self.action, self.who = self.person.choose(answer)
        else:
            assert answer is not None
            self.action, self.who = answer, "policy"
        if self.box is not None:
            asked, tool = self.action[None].astype(np.float64), self.requests.tool[None, :3]
            kept = self.box.keep(asked, tool, self.contract.action.scale[0])
            self.action = kept[0].astype(np.float32)
        return self.requests.ask(self.action, joints_of(sampled), stamp_ns)


def joints_of(sampled: Mapping[str, NDArray[Any]]) -> FloatArray:
    """Return the measured joint positions (n,) [rad]; of a history the newest."""
    joints = sampled["joint_position"]
    return joints if joints.ndim == 1 else joints[-1]
