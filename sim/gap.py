"""How far the simulated arm is from a real one, and which of its numbers explain most of it.

Two ways to be wrong are told apart. Open loop: the simulated arm is told what the real one was
told, from the start of the recording to its end. Restarted: it begins again where the real one was,
every half second, so that what is left is what goes wrong within that time.
"""

# MuJoCo's extension modules have no stubs, SciPy's are incomplete.
# pyright: standard, reportAttributeAccessIssue=false

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy.optimize import lsq_linear
from scipy.signal import savgol_filter

from sim2arm.calibration.delay import Delay, DelayCfg, Signal, find_delay
from sim2arm.core.driver_stage import FloatArray

from .identification import ArmReplay, jacobian

WINDOW = 0.5
"""Between restarts [s]."""
SMOOTH = 0.1
"""Over which measured positions are smoothed for speeds [s]."""


@dataclass(frozen=True, kw_only=True, eq=False)
class Gap:
    """What was found of an arm of n joints, over R readings."""

    times: FloatArray
    """(R,) [s]."""
    open_loop: FloatArray
    """(R, n) simulated less measured [rad]."""
    restarted: FloatArray
    """(R, n) the same, restarted every half second [rad]."""
    delay: Delay | None
    """Of the measured behind the simulated joints; None where motion does not tell."""
    why_no_delay: str
    shares: dict[str, float]
    """By kind of number: which share of the open loop's mean square it alone may explain, joints
    weighted alike."""

    def rms(self, what: FloatArray) -> FloatArray:
        """Return (n,) the root mean squares of differences (R, n)."""
        return np.sqrt(np.mean(what**2, axis=0))


def measure_gap(replay: ArmReplay, values: FloatArray | None = None) -> Gap:
    """Return how far the simulated arm is from the one of a recording.

    Args:
        replay: of the recording.
        values: (P,) numbers of the arm; those of the model by default.
    """
    start = np.array([n.value for n in replay.numbers]) if values is None else values
    (found,) = replay.run(start[None])
    off = found - replay.measured
    delay, why = None, ""
    try:
        delay = find_delay(
            Signal(replay.times, found), Signal(replay.times, replay.measured), "follows",
            DelayCfg(low=-0.1, high=0.2),
        )  # fmt: skip
    except ValueError as error:
        why = str(error)
    return Gap(
        times=replay.times, open_loop=off,
        restarted=replay.restarted(start, WINDOW, _speeds(replay)) - replay.measured,
        delay=delay, why_no_delay=why, shares=_shares(replay, start, off),
    )  # fmt: skip


def _speeds(replay: ArmReplay) -> FloatArray:
    """Return (S, n) speeds of all measured joints [rad/s], smoothed."""
    recording = replay.recording
    stamps = recording.stamps
    period = float(np.median(np.diff(stamps)))
    even = np.arange(stamps[0], stamps[-1], period)  # some may be lost
    q = np.stack([np.interp(even, stamps, joint) for joint in recording.q.T], axis=1)
    rows = max(5, 2 * (int(SMOOTH / period) // 2) + 1)
    rows = min(rows, len(q) - 1 + len(q) % 2)
    speeds = np.asarray(savgol_filter(q, rows, 2, deriv=1, delta=period, axis=0), dtype=np.float64)
    return np.stack([np.interp(stamps, even, joint) for joint in speeds.T], axis=1)


def _shares(replay: ArmReplay, start: FloatArray, off: FloatArray) -> dict[str, float]:
    """Return which share of the differences each kind of number explains, to first order."""
    weights = 1.0 / np.sqrt(np.mean(off**2, axis=0)).clip(1e-9)
    wanted = (-off * weights).ravel()
    scales = np.array([n.scale for n in replay.numbers])
    every = list(range(len(scales)))
    moves, _ = jacobian(replay, start, every, start / scales, scales)
    moves = (moves * weights[None, :, None]).reshape(-1, len(scales))
    groups: dict[str, list[int]] = {}
    for k, number in enumerate(replay.numbers):
        groups.setdefault(number.name.partition("/")[0], []).append(k)
    found: dict[str, float] = {}
    for kind, rows in groups.items():
        rows = [k for k in rows if np.abs(moves[:, k]).max() > 1e-12]
        if not rows:
            found[kind] = 0.0
            continue
        low = np.array([(replay.numbers[k].low - start[k]) / scales[k] for k in rows])
        high = np.array([(replay.numbers[k].high - start[k]) / scales[k] for k in rows])
        fit = lsq_linear(moves[:, rows], wanted, bounds=(low - 1e-12, high + 1e-12))
        left = wanted - moves[:, rows] @ fit.x
        found[kind] = float(max(0.0, 1.0 - (left @ left) / max(wanted @ wanted, 1e-300)))
    return found
