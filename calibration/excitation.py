"""Motion that tells the numbers of an arm: every joint to and fro at many rates, within limits.

Each joint is a sum of sines of rates that differ, slow ones for friction and gravity, fast ones for
inertia and gains, so that no two joints move alike. Of many such motions that keep the limits, the
distance of links from each other and the table, the one is taken whose joints' speeds,
accelerations and directions are told apart best.
"""

# pyright: standard

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from sim2arm.core.bodies import Clearances
from sim2arm.core.driver_stage import FloatArray
from sim2arm.core.limits import velocity_bounds
from sim2arm.core.robots import Robot

SINES = 5
REST = 2.0
"""At both ends, from and to rest [s]."""
STILL = 1.0
"""At the start, in which it stands [s]."""
NEAR = 0.1
"""How far from the home pose each joint may stand at the start [rad]."""
STARTS = 24
"""Starts that are tried, each joint at one end of where it may stand."""
APART = 0.03
"""More than the gate keeps of links from each other and from the table [m]."""


@dataclass(frozen=True, kw_only=True)
class ExcitationCfg:
    """How an arm is to move."""

    seconds: float = 30.0
    """How long."""
    most_rad: float = 0.5
    """Greatest move of a joint from its start [rad]."""
    share: float = 0.4
    """Of the limits of speed, acceleration and jerk that is used."""
    slowest_hz: float = 0.1
    """Least rate of a sine."""
    fastest_hz: float = 1.2
    """Greatest rate of a sine."""
    seed: int = 0
    """Of the motions that are tried."""
    tries: int = 60
    """How many are tried."""

    def __post_init__(self) -> None:
        """Refuse what is no motion."""
        for name, low, high in (
            ("seconds", 8.0, 300.0), ("most_rad", 0.02, math.pi), ("share", 0.02, 0.8),
            ("slowest_hz", 0.02, 5.0), ("fastest_hz", 0.05, 10.0),
        ):  # fmt: skip
            value = getattr(self, name)
            if not low <= value <= high:
                raise ValueError(f"{name}: expected {low:g} to {high:g}, got {value}")
        if self.slowest_hz >= self.fastest_hz:
            raise ValueError(
                f"slowest_hz: expected less than fastest_hz {self.fastest_hz}, got "
                f"{self.slowest_hz}"
            )
        if self.tries < 1:
            raise ValueError(f"tries: expected 1 or more, got {self.tries}")


def make_excitation(
    robot: Robot, period: float, cfg: ExcitationCfg | None = None, table_height: float = 0.0
) -> FloatArray:
    """Return how far each joint is from where it starts, (T, n) [rad], a row per period.

    Args:
        robot: the arm; it starts within `NEAR` of its home pose.
        period: of control [s].
        cfg: how it moves.
        table_height: height that everything stays above [m].

    Raises:
        ValueError: no motion that was tried keeps the limits, or what the links take up is not
            known; one line.
    """
    cfg = cfg or ExcitationCfg()
    if robot.body is None:
        raise ValueError(
            f"what the links of {robot.name} take up is not known, so that nothing keeps them "
            "apart: give its robot file a body"
        )
    random = np.random.default_rng(cfg.seed)
    times = np.arange(0.0, cfg.seconds, period)
    best, found = -math.inf, None
    for _ in range(cfg.tries):
        tried = _within(robot, _sines(robot, times, cfg, random), period, cfg, table_height)
        if tried is None:
            continue
        worth = _worth(tried, period)
        if worth > best:
            best, found = worth, tried
    if found is None:
        raise ValueError(
            f"no motion of {cfg.most_rad:g} rad about the home pose of {robot.name} keeps its "
            "limits: expected a smaller most_rad"
        )
    return found


def _sines(
    robot: Robot, times: FloatArray, cfg: ExcitationCfg, random: np.random.Generator
) -> FloatArray:
    n = len(robot.joint_names)
    ends = np.log([cfg.slowest_hz, cfg.fastest_hz])
    rates = np.exp(random.uniform(ends[0], ends[1], (n, SINES)))
    rates[:, 0], rates[:, -1] = (
        cfg.slowest_hz * random.uniform(1, 2, n),
        cfg.fastest_hz * (random.uniform(0.7, 1.0, n)),
    )
    sizes = random.uniform(0.5, 1.0, (n, SINES)) * rates**-0.7  # fast ones are smaller
    phases = random.uniform(0, 2 * math.pi, (n, SINES))
    waves = (sizes * np.sin(2 * math.pi * rates * times[:, None, None] + phases)).sum(axis=-1)
    waves *= cfg.most_rad / np.abs(waves).max(axis=0)
    inside = np.minimum(times - STILL, times[-1] - times) / REST
    u = inside.clip(0.0, 1.0)[:, None]
    return waves * u**3 * (10.0 - 15.0 * u + 6.0 * u**2)


def _within(
    robot: Robot, motion: FloatArray, period: float, cfg: ExcitationCfg, table: float
) -> FloatArray | None:
    """Return a motion that is made smaller until it keeps the limits; None where none is left."""
    limits, home = robot.limits, np.asarray(robot.home)
    low, high = velocity_bounds(limits, home + motion)
    most = cfg.share * np.minimum(np.abs(low), np.abs(high)).min(axis=0)
    changes = [motion]
    for _ in range(3):
        changes.append(np.gradient(changes[-1], period, axis=0))
    _, speed, acceleration, jerk = changes
    room = np.minimum(np.asarray(limits.q_max) - home, home - np.asarray(limits.q_min)) - NEAR
    room = room.clip(0.0)
    peaks = (
        (np.abs(motion), room), (np.abs(speed), most),
        (np.abs(acceleration), cfg.share * np.asarray(limits.ddq_max)),
        (np.abs(jerk), cfg.share * np.asarray(limits.dddq_max)),
    )  # fmt: skip
    factor = np.ones(motion.shape[1])
    for values, bound in peaks:
        factor = np.minimum(factor, bound / values.max(axis=0).clip(1e-9))
    motion = motion * factor
    assert robot.body is not None  # `make_excitation` refuses others
    clear, margin = Clearances(robot.chain, robot.body), robot.body.margin
    there = clear(home)
    # Where the home pose itself is close, half of its room is kept.
    itself = margin + min(APART, 0.5 * (float(there.itself) - margin))
    above = table + min(APART, 0.5 * (float(there.table) - table))
    ends = NEAR * np.random.default_rng(0).choice([-1.0, 1.0], (STARTS, 1, len(home)))
    some = motion[:: max(1, round(0.05 / period))]
    for _ in range(8):
        gaps, elsewhere = clear(home + some), clear(home + ends + some)
        fine = gaps.itself.min() > itself and gaps.table.min() > above
        if fine and elsewhere.itself.min() > margin and elsewhere.table.min() > table:
            return motion
        motion, some = 0.8 * motion, 0.8 * some
    return None


def _worth(motion: FloatArray, period: float) -> float:
    """Return how well speed, acceleration and direction of all joints are told apart."""
    speed = np.gradient(motion, period, axis=0)
    bend = np.gradient(speed, period, axis=0)
    parts = [np.tanh(speed / 0.02), speed, bend, motion]
    x = np.concatenate(parts, axis=1)
    size = x.std(axis=0)
    if size.min() < 1e-9:
        return -math.inf
    apart = np.linalg.slogdet(np.corrcoef(x.T) + 1e-9 * np.eye(x.shape[1]))[1]
    return float(apart + 2.0 * np.log(np.concatenate([speed.std(axis=0), bend.std(axis=0)])).sum())
