"""Simulated arms whose numbers are drawn and not told: what an identification has to find."""

# pyright: standard

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy.interpolate import CubicSpline

from sim2arm.calibration.dynamics_file import unit_of
from sim2arm.calibration.excitation import ExcitationCfg, make_excitation
from sim2arm.core.driver_stage import FloatArray
from sim2arm.core.robots import Robot
from sim2arm.core.trajectory import Trajectory

from .arm import SimulatedArm
from .delay import CommandDelay
from .identification import TIMESTEP, Recording
from .measured_terms import MeasuredArm


@dataclass(frozen=True, kw_only=True)
class HiddenArm:
    """One arm, by the names of `calibration.dynamics_file`."""

    robot: Robot
    numbers: dict[str, float]

    @property
    def delay(self) -> float:
        """Of all motion [s], a whole number of physics steps."""
        return self.numbers["delay"]

    @property
    def term(self) -> MeasuredArm:
        """Its physics, exactly."""
        physics = {name: value for name, value in self.numbers.items() if name != "delay"}
        return MeasuredArm(
            joints=self.robot.joint_names, tool=self.robot.chain.tool_frame,
            numbers={name: (value, value) for name, value in physics.items()},
            units={name: unit_of(name) for name in physics},
        )  # fmt: skip

    @property
    def commands(self) -> CommandDelay:
        """How late its motion comes, exactly."""
        return CommandDelay(low=self.delay, high=self.delay)


def draw_arm(robot: Robot, rng: np.random.Generator) -> HiddenArm:
    """Return an arm that differs from its model as robots do, and carries something."""
    numbers: dict[str, float] = {}
    for name, torque in zip(robot.joint_names, robot.limits.tau_max, strict=True):
        numbers[f"coulomb/{name}"] = 0.01 * torque * rng.uniform(0.5, 3.0)
        numbers[f"viscous/{name}"] = 0.02 * torque * rng.uniform(0.5, 2.0)
        numbers[f"armature/{name}"] = rng.uniform(0.07, 0.3)
    numbers |= {"kp": rng.uniform(0.8, 1.25), "kd": rng.uniform(0.8, 1.25)}
    numbers["payload/mass"] = rng.uniform(0.3, 1.5)
    numbers |= {f"payload/{axis}": rng.uniform(-0.06, 0.06) for axis in "xyz"}
    numbers["delay"] = float(rng.integers(2, 16)) * TIMESTEP
    return HiddenArm(robot=robot, numbers={name: float(v) for name, v in numbers.items()})


def record_arm(
    hidden: HiddenArm,
    rng: np.random.Generator,
    *,
    seconds: float = 20.0,
    hz: float = 60.0,
    noise: float = 1e-4,
    lost: float = 0.02,
) -> tuple[Recording, float]:
    """Let an arm follow an excitation; return what was told and measured, and its gripper's width.

    Args:
        hidden: the arm.
        rng: draws the motion and the noise.
        seconds: of motion.
        hz: rate of joint states.
        noise: of the encoders, and their step [rad].
        lost: share of joint states that do not arrive.
    """
    term = hidden.term
    arm = SimulatedArm("reach", hidden.robot.name, control_hz=hz, physics=(term,))
    arm.change_physics(np.full(term.count, 0.5))
    arm.reset(int(rng.integers(1000)))
    cfg = ExcitationCfg(seconds=seconds, seed=int(rng.integers(1000)), tries=8)
    motion = arm.joint_state()[0][0] + make_excitation(hidden.robot, 1 / hz, cfg)
    times = np.arange(len(motion)) / hz
    speeds = CubicSpline(times, motion, bc_type="clamped")(times, 1)
    arm.command(
        Trajectory(times=times[None], q=motion[None], dq=speeds[None]),
        after=round(hidden.delay / TIMESTEP),
    )
    measured: list[FloatArray] = []
    for _ in range(len(motion) - 2):
        measured.append(arm.joint_state()[0][0])
        arm.step()
    q = np.stack(measured)
    q = np.round((q + noise * rng.normal(size=q.shape)) / noise) * noise
    there = rng.random(len(q)) > lost
    there[:5] = True
    recording = Recording(
        told_stamps=times, told_q=motion, told_dq=speeds, stamps=times[: len(q)][there], q=q[there]
    )
    return recording, arm.task.grip_width
