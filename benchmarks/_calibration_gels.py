"""Gels that are pressed by arms whose truth is known: how they resist, and how they grip."""

# pyright: standard

from __future__ import annotations

from dataclasses import replace

import numpy as np
from _calibration_rows import error_rows, every, interval_rows, share_row
from numpy.typing import NDArray

from sim2arm.calibration.gel_press import GelFound, Indenter, Pressing, find_gel
from sim2arm.cli.table import Row
from sim2arm.core.driver_stage import FloatArray

RATE = 100.0
STAMP, BALL = Indenter(area=1e-4), Indenter(radius=8e-3)
WRONG = 0.2
Truth = tuple[float, float, float]
"""Stiffness [N/m^3], damping [N s/m^3], friction."""


def gels(seeds: int) -> list[Row]:
    """Return the rows of stamps and balls."""
    rows: list[Row] = []
    for case, indenter, wrong in (
        ("gel, flat stamp of 1 cm^2, 12 presses, 0.05 N, repeats to 0.02 mm", STAMP, 0.0),
        ("gel, ball of 8 mm radius, the same", BALL, 0.0),
        ("gel, flat stamp, 20 % of the forces wrong", STAMP, WRONG),
    ):
        made = every(case, seeds, lambda rng, i=indenter, w=wrong: _measure(rng, i, w))
        rows += _rows(case, made)
    for case, words in REFUSED.items():
        refused = every(case, seeds, lambda rng, c=case, w=words: _refuses(c, w, rng))
        rows.append(share_row(case, "refused, with the reason", refused))
    return rows


REFUSED = {
    "gel that is pressed once": "expected 6 presses or more",
    "gel that is never reached": "depth explains|expected 6 presses|does not grow",
    "gel whose normal is another": "depth explains|does not grow|expected 6 presses",
    "force whose axes are turned by 45 deg": "drag is not along the slide",
}


def _rows(case: str, made: list[tuple[GelFound, Truth]]) -> list[Row]:
    rows: list[Row] = []
    for what, k in (("stiffness", 0), ("friction", 2)):
        told = [getattr(found, what) for found, _ in made]
        true = np.array([truth[k] for _, truth in made])
        value, sigma = (np.array([getattr(t, n) for t in told]) for n in ("value", "sigma"))
        off = 100.0 * (value / true - 1.0)
        rows += error_rows(case, f"error of the {what}", "%", np.abs(off), {})
        rows += error_rows(case, f"worst {what}", "%", np.abs(off).max(keepdims=True), {})
        rows += interval_rows(case, f"the {what}", off[:, None], (100.0 * sigma / true)[:, None])
    return rows


def _measure(rng: np.random.Generator, indenter: Indenter, wrong: float) -> tuple[GelFound, Truth]:
    press, truth = pressing(rng, indenter, wrong=wrong)
    return find_gel(press, indenter), truth


def _refuses(case: str, words: str, rng: np.random.Generator) -> bool:
    press, _ = pressing(rng, STAMP, presses=1 if "once" in case else 12)
    if "never" in case:
        press = _only_noise(press, rng)
    if "turned" in case:
        turn = np.array([[1.0, 1.0], [-1.0, 1.0]]) / np.sqrt(2.0)
        press = replace(press, drag=press.drag @ turn)
    if "normal" in case:
        press = Pressing(times=press.times, depth=press.slide[:, 1], force=press.force,
                         slide=press.slide, drag=press.drag)  # fmt: skip
    try:
        find_gel(press, STAMP)
    except ValueError as error:
        return any(word in str(error) for word in words.split("|"))
    return False


def _only_noise(press: Pressing, rng: np.random.Generator) -> Pressing:
    force = rng.normal(size=press.force.shape) * 0.05
    return Pressing(times=press.times, depth=press.depth, force=force, slide=press.slide,
                    drag=press.drag)  # fmt: skip


def pressing(
    rng: np.random.Generator, indenter: Indenter, *, presses: int = 12, wrong: float = 0.0,
    slides: bool = True,
) -> tuple[Pressing, Truth]:  # fmt: skip
    """Return a recording of presses of other depths and speeds, with slides to and fro in each."""
    stiffness, friction = float(rng.uniform(4e7, 8e7)), float(rng.uniform(0.6, 1.4))
    damping = stiffness * float(rng.uniform(1e-3, 3e-3))
    depth, slide, which = _ways(rng, presses, slides)
    n = len(depth)
    times = np.arange(n) / RATE
    volume, area = indenter.shape(depth)
    rate = np.gradient(depth, times)
    force = np.maximum(stiffness * volume + damping * area * rate, 0.0)
    drag = _dragged(times, slide, force, friction, 2e7 * area)
    place = float(rng.uniform(0.2, 0.6))
    seen = depth + place + rng.normal(size=n) * 5e-6
    seen += (rng.normal(size=presses) * 2e-5)[which]  # as well as it repeats a place
    force = force + rng.normal(size=n) * 0.05 + rng.uniform(-1.0, 1.0)
    bad = rng.random(n) < wrong
    force[bad] += rng.uniform(-5.0, 10.0, int(bad.sum()))
    pulled = drag + rng.normal(size=(n, 2)) * 0.05 + rng.uniform(-0.5, 0.5, 2)
    moved = slide + rng.normal(size=(n, 2)) * 5e-6
    truth = stiffness, damping, friction
    return Pressing(times=times, depth=seen, force=force, slide=moved, drag=pulled), truth


def _ways(
    rng: np.random.Generator, presses: int, slides: bool
) -> tuple[FloatArray, FloatArray, NDArray[np.int64]]:
    """Return depths (T,), below 0 away from the gel, places along it (T, 2), the press (T,)."""
    depths, places = list[FloatArray](), list[FloatArray]()
    for _ in range(presses):
        deepest, slow = float(rng.uniform(3e-4, 9e-4)), float(rng.uniform(0.3, 1.0))
        down = _smooth(round(slow * RATE), -1e-3, deepest)
        stay = np.full(round(1.6 * RATE), deepest)
        depths.append(np.concatenate([np.full(30, -1e-3), down, stay, down[::-1]]))
        turn = float(rng.uniform(0.0, 2 * np.pi))
        there = 0.015 * np.array([np.cos(turn), np.sin(turn)])
        half = _smooth(round(0.8 * RATE), 0.0, 1.0)
        moved = np.concatenate([half, half[::-1]])[:, None] * there * float(slides)
        still = np.zeros((30 + len(down), 2))
        places.append(np.concatenate([still, moved, np.zeros((len(down), 2))]))
    which = np.repeat(np.arange(presses), [len(part) for part in depths])
    return np.concatenate(depths), np.concatenate(places), which


def _smooth(count: int, low: float, high: float) -> FloatArray:
    """Return a way from one value to another that begins and ends at rest (count,)."""
    x = np.linspace(0.0, 1.0, count)
    return low + (high - low) * (3 * x**2 - 2 * x**3)


def _dragged(
    times: FloatArray, slide: FloatArray, normal: FloatArray, friction: float, stiff: FloatArray
) -> FloatArray:
    """Return the drag (T, 2) of an anchor spring that slips where it would pull too much."""
    found, anchor = np.zeros_like(slide), slide[0].copy()
    for i in range(len(times)):
        if normal[i] <= 0.0:
            anchor = slide[i].copy()
            continue
        pull = -stiff[i] * (slide[i] - anchor)
        size, most = float(np.linalg.norm(pull)), friction * normal[i]
        if size > most:
            pull *= most / size
            anchor = slide[i] + pull / stiff[i]
        found[i] = pull
    return found
