"""Numbers of simulated arms that hide them, found from how they follow an excitation."""

# pyright: standard

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from _calibration_rows import error_rows, every, interval_rows, share_row
from scipy.interpolate import CubicSpline

from sim2arm.calibration.excitation import ExcitationCfg, make_excitation
from sim2arm.calibration.identified import Identified
from sim2arm.cli.table import Row
from sim2arm.core.driver_stage import FloatArray
from sim2arm.core.robots_franka import FR3
from sim2arm.core.trajectory import Trajectory
from sim2arm.sim.arm import SimulatedArm
from sim2arm.sim.identification import ArmReplay, Recording, identify
from sim2arm.sim.measured_terms import MeasuredArm

SECONDS = 20.0
HZ = 60.0
STEP = 1e-4
"""Of the encoders, and their noise [rad]."""
LOST = 0.02
"""Share of joint states that are lost."""
WITHIN = 0.05
KINDS = {"coulomb": "%", "viscous": "%", "armature": "%", "kp": "%", "kd": "%", "payload/mass": "%"}


@dataclass(frozen=True, eq=False)
class _Hidden:
    found: Identified
    true: dict[str, float]

    def off(self, kind: str) -> FloatArray:
        """Return found over true less 1 of numbers of a kind."""
        return np.array([
            n.value / self.true[n.name] - 1.0
            for n in self.found.numbers if n.name.startswith(kind)
        ])  # fmt: skip


def dynamics(seeds: int) -> list[Row]:
    """Return the rows of FR3s with other friction, inertia, gains, payload and delay."""
    case = f"FR3, {SECONDS:.0f} s of excitation, joint states {HZ:.0f} Hz in steps of 0.1 mrad"
    each = every(case, seeds, _measure)
    rows: list[Row] = []
    for kind, unit in KINDS.items():
        off = np.stack([hidden.off(kind) for hidden in each])
        worst = 100.0 * np.abs(off).max(axis=1)
        rows += error_rows(case, f"error of {kind}, worst joint", unit, worst, {})
        rows.append(share_row(case, f"{kind} within 5 %", (np.abs(off) < WITHIN).ravel().tolist()))
    late = np.array([h.found.value("delay")[0] - h.true["delay"] for h in each])
    rows += error_rows(case, "error of the delay", "ms", 1e3 * np.abs(late), {})
    error = np.array([[n.value - h.true[n.name] for n in h.found.numbers] for h in each])
    sigma = np.array([h.found.sigma for h in each])
    rows += interval_rows(case, "the numbers", error, sigma)
    before, after = (
        np.array([1e3 * np.sqrt(np.mean(getattr(h.found, name) ** 2)) for h in each])
        for name in ("held_before", "held_after")
    )
    rows += error_rows(case, "held-out difference", "mrad", after, {"numbers of the model": before})
    return rows


def _measure(rng: np.random.Generator) -> _Hidden:
    true = _draw(rng)
    recording, width = _record(true, rng)
    replay = ArmReplay(FR3, recording, width=width)
    found = identify(replay, ["coulomb", "viscous", "armature", "kp", "kd", "payload", "delay"])
    return _Hidden(found, true)


def _draw(rng: np.random.Generator) -> dict[str, float]:
    true: dict[str, float] = {}
    for name, torque in zip(FR3.joint_names, FR3.limits.tau_max, strict=True):
        true[f"coulomb/{name}"] = 0.01 * torque * rng.uniform(0.5, 3.0)
        true[f"viscous/{name}"] = 0.02 * torque * rng.uniform(0.5, 2.0)
        true[f"armature/{name}"] = rng.uniform(0.07, 0.3)
    true |= {"kp": rng.uniform(0.8, 1.25), "kd": rng.uniform(0.8, 1.25)}
    true["payload/mass"] = rng.uniform(0.3, 1.5)
    true |= {f"payload/{axis}": rng.uniform(-0.06, 0.06) for axis in "xyz"}
    true["delay"] = float(rng.integers(2, 16)) / 480.0
    return true


def _record(true: dict[str, float], rng: np.random.Generator) -> tuple[Recording, float]:
    """Let a simulated arm with these numbers follow an excitation, and measure it."""
    numbers = {name: value for name, value in true.items() if name != "delay"}
    hidden = MeasuredArm(
        joints=FR3.joint_names, tool=FR3.chain.tool_frame,
        numbers={name: (value, value) for name, value in numbers.items()},
        units=dict.fromkeys(numbers, "1"),
    )  # fmt: skip
    arm = SimulatedArm("reach", "fr3", physics=(hidden,))
    arm.change_physics(np.full(hidden.count, 0.5))
    arm.reset(int(rng.integers(1000)))
    cfg = ExcitationCfg(seconds=SECONDS, seed=int(rng.integers(1000)), tries=8)
    motion = arm.joint_state()[0][0] + make_excitation(FR3, 1 / HZ, cfg)
    times = np.arange(len(motion)) / HZ
    speeds = CubicSpline(times, motion, bc_type="clamped")(times, 1)
    arm.command(
        Trajectory(times=times[None], q=motion[None], dq=speeds[None]),
        after=round(true["delay"] * 480.0),
    )
    measured: list[FloatArray] = []
    for _ in range(len(motion) - 2):
        measured.append(arm.joint_state()[0][0])
        arm.step()
    q = np.stack(measured)
    q = np.round((q + STEP * rng.normal(size=q.shape)) / STEP) * STEP
    there = rng.random(len(q)) > LOST
    there[:5] = True
    return Recording(
        told_stamps=times, told_q=motion, told_dq=speeds, stamps=times[: len(q)][there], q=q[there]
    ), arm.task.grip_width
