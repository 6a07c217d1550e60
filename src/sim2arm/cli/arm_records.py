"""What calibrations found of an arm, in place of guesses: what training draws its physics from."""

# pyright: standard

from __future__ import annotations

from collections.abc import Collection
from dataclasses import replace
from typing import TYPE_CHECKING

from sim2arm.calibration.dynamics_file import MeasuredDynamics, read_dynamics
from sim2arm.calibration.gel_file import MeasuredGel, read_gel
from sim2arm.calibration.latency import read_latency
from sim2arm.core.robots import Robot
from sim2arm.sim.delay import CommandDelay
from sim2arm.sim.gel_terms import GelFriction, GelStiffness
from sim2arm.sim.measured_terms import FIELDS, SPREAD, measured_arm
from sim2arm.sim.physics_terms import Gains, JointDynamics
from sim2arm.sim.randomize import Term

from .errors import user_input
from .experiments import TrainCfg
from .randomizations import RANDOMIZATIONS

if TYPE_CHECKING:
    from sim2arm.sim.touch import Touch


def physics_terms(cfg: TrainCfg, robot: Robot) -> tuple[Term, ...]:
    """Return what differs in physics; what was measured of the arm replaces guesses about it.

    Raises:
        UserError: the file is no record of the numbers of this arm.
    """
    terms = _with_gel(RANDOMIZATIONS[cfg.randomization](robot).physics, measured_gel(cfg.gel))
    found = measured_dynamics(cfg)
    if found is None:
        return terms
    with user_input("--dynamics"):
        arm = measured_arm(found, robot)
    return (*(t for t in terms if not _replaced(t, found.numbers)), arm)


def measured_gel(file: str) -> MeasuredGel | None:
    """Return how the gels resist, None where that was not measured.

    Raises:
        UserError: the file is no record of a gel.
    """
    if not file:
        return None
    with user_input("--gel"):
        return read_gel(file)


def gel_of(settings: object) -> str:
    """Return the record of the gels that a policy was trained with, empty for none."""
    return settings.gel if isinstance(settings, TrainCfg) else ""


def measured_touch(touch: Touch, file: str) -> Touch:
    """Return gels that resist as a record says.

    What it does not say goes with the stiffness, and so does damping, which delays of a recording
    change.

    Raises:
        UserError: the file is no record of a gel.
    """
    found = measured_gel(file)
    if found is None:
        return touch
    law, stiffness = touch.law, found.stiffness[0]
    factor = stiffness / law.stiffness
    return replace(
        touch,
        law=replace(
            law, stiffness=stiffness, damping=factor * law.damping, shear=factor * law.shear,
            shear_damping=factor * law.shear_damping,
            friction=law.friction if found.friction is None else found.friction[0],
        ),
    )  # fmt: skip


def _with_gel(terms: tuple[Term, ...], found: MeasuredGel | None) -> tuple[Term, ...]:
    """Return terms in which what was measured of the gels replaces guesses."""
    if found is None:
        return terms
    told = {GelStiffness: found.stiffness, GelFriction: found.friction}
    kept = tuple(t for t in terms if told.get(type(t)) is None)  # type: ignore[arg-type]
    more = [
        kind(low=1.0 - SPREAD * half / value, high=1.0 + SPREAD * half / value)
        for kind, (value, half) in ((k, v) for k, v in told.items() if v is not None)
    ]
    return (*kept, *more)


def _replaced(term: Term, numbers: Collection[str]) -> bool:
    """Return whether all that a term draws was measured; what was not stays a guess.

    What was measured is written last, so that guesses about the same number do not count.
    """
    if isinstance(term, Gains):
        return bool({"kp", "kd"} & set(numbers))  # one is not drawn without the other
    if isinstance(term, JointDynamics):
        every = {f"{kind}/{joint}" for kind in FIELDS for joint in term.joints}
        return every <= set(numbers)
    return False


def measured_dynamics(cfg: TrainCfg) -> MeasuredDynamics | None:
    """Return the numbers of the arm that were measured, None where none were.

    Raises:
        UserError: the file is no record of them.
    """
    if not cfg.dynamics:
        return None
    with user_input("--dynamics"):
        return read_dynamics(cfg.dynamics)


def command_delay(cfg: TrainCfg, robot: Robot) -> CommandDelay | None:
    """Return how late commands come: as the randomisation says, or as records do.

    Raises:
        UserError: a file is no record of latencies, or of an arm.
    """
    term = RANDOMIZATIONS[cfg.randomization](robot).commands
    found = measured_dynamics(cfg)
    if found is not None and "delay" in found.numbers:
        low, high = found.around("delay", SPREAD)
        term = replace(term or CommandDelay(), low=low, high=high, share=1.0)
    if not cfg.latency:
        return term
    return replace(term or CommandDelay(), jitter=0.0, samples=measured_latency(cfg))


def measured_latency(cfg: TrainCfg) -> tuple[float, ...]:
    """Return the latencies that commands draw from [s], none where nothing was measured."""
    if not cfg.latency:
        return ()
    with user_input("--latency"):
        return read_latency(cfg.latency)
