"""Delays that are found from motion, of cameras, gels and arms whose truth is known."""

# pyright: standard

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from _calibration_rows import error_rows, every, interval_rows, share_row

from sim2arm.calibration.delay import Delay, Relation, Signal, find_delay
from sim2arm.cli.table import Row
from sim2arm.core.driver_stage import FloatArray
from sim2arm.core.kinematics import forward
from sim2arm.core.robots_franka import FR3

SECONDS = 40.0
WRONG = 0.2
Curve = Callable[[FloatArray], FloatArray]
Recording = tuple[float, Signal, Signal, Relation]
"""True delay [s], what moved, what was seen, and how that depends."""


def delays(seeds: int) -> list[Row]:
    """Return the rows of cameras, gels and arms."""
    rows: list[Row] = []
    for case, make in {
        "camera on the tool, 30 Hz, 0.3 px, 5 % of pictures lost": camera,
        "camera on the tool, 20 % of pictures moved by something else": spoiled,
        "gel, 25 Hz, joint states of the gripper 100 Hz": gel,
        "command, joint states 250 Hz, lag and friction of an arm": command,
    }.items():
        found = every(case, seeds, lambda rng, m=make: _measure(m(rng)))
        off = np.array([f.delay - true for f, true in found])
        sigma = np.array([f.sigma for f, _ in found])
        rows += error_rows(case, "error of the delay", "ms", 1e3 * np.abs(off), {})
        rows += error_rows(case, "worst of all", "ms", 1e3 * np.abs(off).max(keepdims=True), {})
        rows += interval_rows(case, "the delay", off[:, None], sigma[:, None])
    for case, words in REFUSED.items():
        refused = every(case, seeds, lambda rng, c=case, w=words: _refuses(c, w, rng))
        rows.append(share_row(case, "refused, with the reason", refused))
    return rows


REFUSED = {
    "motion that repeats itself": ("repeats itself",),
    "an arm that stands still": ("no joint moves",),
    "pictures of something else": ("expected 30 or more", "lies at the end", "nearly alike"),
}


def _measure(recording: Recording) -> tuple[Delay, float]:
    true, moved, seen, relation = recording
    return find_delay(moved, seen, relation), true


def _refuses(case: str, words: tuple[str, ...], rng: np.random.Generator) -> bool:
    if case == "motion that repeats itself":
        _, moved, seen, relation = camera(rng, repeats=True)
    elif case == "an arm that stands still":
        _, moved, seen, relation = camera(rng, size=0.0)
    else:
        _, moved, seen, relation = camera(rng)
        seen = Signal(seen.stamps, rng.normal(size=seen.values.shape))
    try:
        find_delay(moved, seen, relation)
    except ValueError as error:
        return any(word in str(error) for word in words)
    return False


def swings(rng: np.random.Generator, n: int, size: float, *, repeats: bool = False) -> Curve:
    """Return positions (T, n) of joints over time: sums of swings of other rates each."""
    if repeats:
        rates = np.full((n, 1), 5.0)
        sizes = np.full((n, 1), size / 8)
    else:
        rates, sizes = rng.uniform(0.1, 1.2, (n, 4)), size * rng.uniform(0.3, 1.0, (n, 4)) / 4
    phases = rng.uniform(0, 2 * np.pi, rates.shape)

    def at(times: FloatArray) -> FloatArray:
        waves = np.sin(2 * np.pi * rates * times[:, None, None] + phases)
        return np.asarray((sizes * waves).sum(axis=-1), dtype=np.float64)

    return at


def encoders(curve: Curve, rate: float, step: float, rng: np.random.Generator) -> Signal:
    """Return joint states: in steps, one in fifty lost."""
    times = np.arange(0.0, SECONDS, 1.0 / rate)
    times = times[rng.random(len(times)) > 0.02]
    return Signal(times, np.round(curve(times) / step) * step)


def camera(rng: np.random.Generator, *, size: float = 0.35, repeats: bool = False) -> Recording:
    """Return a camera on the tool of an FR3 that looks at a room of points."""
    home, swing = np.asarray(FR3.home), swings(rng, 7, size, repeats=repeats)
    true = float(rng.uniform(0.0, 0.2))
    stamps = np.arange(0.3, SECONDS - 0.3, 1 / 30)
    stamps = stamps[rng.random(len(stamps)) > 0.05]
    T = forward(FR3.chain, home + swing(stamps - true))
    first = T[len(T) // 2]
    points = (
        rng.uniform([-0.6, -0.6, 0.7], [0.6, 0.6, 1.4], (60, 3)) @ first[:3, :3].T + first[:3, 3]
    )
    local = np.einsum("tji,tpj->tpi", T[:, :3, :3], points[None] - T[:, None, :3, 3])
    pixels = 600.0 * local[..., :2] / local[..., 2:].clip(0.05)
    shifts = np.diff(pixels, axis=0, prepend=pixels[:1]).mean(axis=1)
    shifts += rng.normal(size=shifts.shape) * 0.3
    states = encoders(lambda t: home + swing(t), 100.0, 1e-4, rng)
    return true, states, Signal(stamps, shifts), "shifts"


def spoiled(rng: np.random.Generator) -> Recording:
    """Return a camera before which something else moves in a fifth of the pictures."""
    true, moved, seen, relation = camera(rng)
    values = seen.values.copy()
    bad = rng.random(len(values)) < WRONG
    values[bad] += rng.normal(size=(int(bad.sum()), 2)) * 25.0
    return true, moved, Signal(seen.stamps, values), relation


def gel(rng: np.random.Generator) -> Recording:
    """Return a gel on a gripper that closes on something again and again."""
    true, begins = float(rng.uniform(0.0, 0.1)), np.cumsum(rng.uniform(0.8, 1.6, 60))
    speeds = rng.uniform(0.25, 0.5, 60)

    def width(times: FloatArray) -> FloatArray:
        found = np.full(len(times), 0.06)
        for k in range(0, 58, 2):
            ramp = [np.clip((times - begins[j]) / speeds[j], 0, 1) for j in (k, k + 1)]
            found -= 0.04 * (ramp[0] - ramp[1])
        return found[:, None]

    stamps = np.arange(0.3, SECONDS - 0.3, 1 / 25)
    pressed = np.maximum(0.0, 0.03 - width(stamps - true)) * 600.0
    pressed += rng.normal(size=pressed.shape) * 0.05
    return true, encoders(width, 100.0, 1e-5, rng), Signal(stamps, pressed), "levels"


def command(rng: np.random.Generator) -> Recording:
    """Return an arm that does what it is told later, less what inertia and friction take."""
    swing, true = swings(rng, 7, 0.35), float(rng.uniform(0.0, 0.1))
    stamps, h = np.arange(0.3, SECONDS - 0.3, 1 / 250), 1e-3
    late = [swing(stamps - true + k * h) for k in (-1, 0, 1)]
    speed, bend = (late[2] - late[0]) / (2 * h), (late[2] - 2 * late[1] + late[0]) / h**2
    q = late[1] - 2e-4 * bend - 1e-3 * np.tanh(speed / 0.01)
    q = np.round((q + rng.normal(size=q.shape) * 1e-4) / 1e-4) * 1e-4
    told = encoders(swing, 100.0, 1e-7, rng)
    return true, told, Signal(stamps, q), "follows"
