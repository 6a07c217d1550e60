"""Numbers of simulated arms that hide them, found from how they follow an excitation."""

# pyright: standard

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from _calibration_rows import error_rows, every, interval_rows, share_row

from sim2arm.calibration.dynamics_file import EVERY
from sim2arm.calibration.identified import Identified
from sim2arm.cli.table import Row
from sim2arm.core.driver_stage import FloatArray
from sim2arm.core.robots_franka import FR3
from sim2arm.sim.hidden_arm import draw_arm, record_arm
from sim2arm.sim.identification import ArmReplay, identify

SECONDS = 20.0
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
    case = f"FR3, {SECONDS:.0f} s of excitation, joint states 60 Hz in steps of 0.1 mrad"
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
    hidden = draw_arm(FR3, rng)
    recording, width = record_arm(hidden, rng, seconds=SECONDS)
    replay = ArmReplay(FR3, recording, width=width)
    found = identify(replay, EVERY)
    return _Hidden(found, hidden.numbers)
