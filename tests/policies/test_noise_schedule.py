"""Noise and its steps: numbers by hand, the formulae of the papers in NumPy, and laws."""

# pyright: standard

import math
from typing import get_args

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from torch import Tensor

from sim2arm.policies.noise_schedule import (
    Prediction,
    Step,
    add_noise,
    ddim_step,
    ddpm_step,
    kept_shares,
    plan,
    split,
    target_of,
)

STEP = Step(at=7, kept=0.36, next_kept=0.64)
PREDICTIONS: tuple[Prediction, ...] = get_args(Prediction)


def test_shares_by_hand() -> None:
    """Squared cosine: 90 deg times 0.008, 0.508 and 1.008 of 1.008 are 0.714, 45.357 and 90 deg."""
    found = kept_shares("squaredcos_cap_v2", 2)
    first = math.cos(math.radians(45.35714286)) ** 2 / math.cos(math.radians(0.71428571)) ** 2
    assert found == pytest.approx([first, first * 0.001], rel=1e-8)  # the second is capped
    assert found[0] == pytest.approx(0.493844, abs=1e-6)
    assert kept_shares("linear", 2) == pytest.approx([0.9999, 0.9999 * 0.98], rel=1e-15)
    many = kept_shares("squaredcos_cap_v2", 100)
    assert many[0] > 0.999 and 0.0 < many[-1] < 1e-5 and (np.diff(many) < 0.0).all()


@pytest.mark.parametrize(
    ("count", "places"),
    [(1, [0]), (8, [84, 72, 60, 48, 36, 24, 12, 0]), (10, [90, 80, 70, 60, 50, 40, 30, 20, 10, 0]),
     (100, list(range(99, -1, -1)))],
)  # fmt: skip
def test_steps_end_at_what_is_clean(count: int, places: list[int]) -> None:
    kept = kept_shares("squaredcos_cap_v2", 100)
    steps = plan(kept, count)
    assert [step.at for step in steps] == places
    assert [step.kept for step in steps] == [kept[place] for place in places]
    assert [step.next_kept for step in steps] == [*(kept[place] for place in places[1:]), 1.0]


@pytest.mark.parametrize("count", [0, 101])
def test_steps_that_were_not_learnt(count: int) -> None:
    with pytest.raises(ValueError, match=f"count: expected 1 to 100 steps, got {count}"):
        plan(kept_shares("linear", 100), count)


def test_a_step_by_hand() -> None:
    """Kept 0.36, then 0.64: of 1.0 with noise 0.5, (1 - 0.8 0.5) / 0.6 = 1 is clean.

    ddim: 0.8 1 + 0.6 0.5. ddpm: 0.36 / 0.64 = 0.5625 is held, so of the clean
    0.8 0.4375 / 0.64 = 0.546875, of the noisy 0.75 0.36 / 0.64 = 0.421875, and the deviation is
    sqrt(0.36 / 0.64 0.4375) = 0.496078.
    """
    noisy, noise = torch.tensor(1.0), torch.tensor(0.5)
    clean, rest = split(noise, noisy, STEP.kept, "epsilon")
    assert float(clean) == pytest.approx(1.0) and float(rest) == 0.5
    assert float(ddim_step(clean, rest, STEP)) == pytest.approx(1.1)
    assert float(ddim_step(clean.clamp(-0.5, 0.5), rest, STEP)) == pytest.approx(0.7)
    for drawn, expected in ((0.0, 0.96875), (2.0, 0.96875 + 2.0 * 0.496078)):
        found = ddpm_step(clean, noisy, torch.tensor(drawn), STEP)
        assert float(found) == pytest.approx(expected, abs=1e-6)
    kept = torch.tensor(0.36)
    assert float(add_noise(torch.tensor(1.0), noise, kept)) == pytest.approx(0.6 + 0.8 * 0.5)
    assert float(target_of(torch.tensor(1.0), noise, kept, "v")) == pytest.approx(0.3 - 0.8)


@pytest.mark.parametrize("prediction", PREDICTIONS)
def test_what_is_found_tells_both_parts(prediction: Prediction) -> None:
    clean, noise = torch.randn(2, 3, 4, 2).unbind(0)
    kept = torch.tensor(0.3)
    found = target_of(clean, noise, kept, prediction)
    parts = split(found, add_noise(clean, noise, kept), 0.3, prediction)
    torch.testing.assert_close(parts[0], clean)
    torch.testing.assert_close(parts[1], noise)


def test_steps_keep_the_share_they_say() -> None:
    """Of the true parts, ddim keeps both; of ddpm, signal and variance add up to it."""
    clean, noise = torch.randn(2, 3, 4, 2, dtype=torch.float64).unbind(0)
    for step in plan(kept_shares("squaredcos_cap_v2", 100), 10):
        expected = math.sqrt(step.next_kept) * clean + math.sqrt(1.0 - step.next_kept) * noise
        torch.testing.assert_close(ddim_step(clean, noise, step), expected)
        one, zero = torch.ones((), dtype=torch.float64), torch.zeros((), dtype=torch.float64)
        parts = [
            float(ddpm_step(a, b, c, step))
            for a, b, c in ((one, zero, zero), (zero, one, zero), (zero, zero, one))
        ]
        of_clean, of_noisy, deviation = parts
        signal = of_clean + of_noisy * math.sqrt(step.kept)
        variance = of_noisy**2 * (1.0 - step.kept) + deviation**2
        assert signal == pytest.approx(math.sqrt(step.next_kept), rel=1e-9)
        assert variance == pytest.approx(1.0 - step.next_kept, abs=1e-12)
        if step.at == 0:
            assert parts == [1.0, 0.0, 0.0]


@pytest.mark.parametrize("count", [8, 10, 100])
@pytest.mark.parametrize("betas", ["squaredcos_cap_v2", "linear"])
@pytest.mark.parametrize("prediction", PREDICTIONS)
def test_runs_are_those_of_the_papers(betas: str, prediction: Prediction, count: int) -> None:
    """Whole runs of both samplers with a network that is made up, clipped at 1."""
    kept = kept_shares(betas, 100)  # pyright: ignore[reportArgumentType]
    expected = papers_shares(betas)
    np.testing.assert_allclose(kept, expected, rtol=1e-12)
    random = np.random.default_rng(count)
    start, noises = random.normal(size=(4, 2)), random.normal(size=(count, 4, 2))
    for sampler in ("ddpm", "ddim"):
        x = torch.from_numpy(start)
        for index, step in enumerate(plan(kept, count)):
            found = torch.tanh(1.3 * x + 0.01 * step.at)
            clean, rest = split(found, x, step.kept, prediction)
            clean = clean.clamp(-1.0, 1.0)
            if sampler == "ddpm":
                x = ddpm_step(clean, x, torch.from_numpy(noises[index]), step)
            else:
                x = ddim_step(clean, rest, step)
        theirs = papers_run(sampler, prediction, expected, start, noises)
        np.testing.assert_allclose(as_array(x), theirs, rtol=0.0, atol=1e-10)


def as_array(x: Tensor) -> NDArray[np.float64]:
    return x.numpy()


def papers_shares(betas: str) -> NDArray[np.float64]:
    """Return alpha-bar of 100 steps: products one by one of 1 - beta."""
    shares, product = np.zeros(100), 1.0
    for t in range(100):
        if betas == "linear":
            beta = 0.0001 + (0.02 - 0.0001) * t / 99
        else:
            f = [math.cos((u / 100 + 0.008) / 1.008 * math.pi / 2.0) ** 2 for u in (t, t + 1)]
            beta = min(1.0 - f[1] / f[0], 0.999)
        product *= 1.0 - beta
        shares[t] = product
    return shares


def papers_run(
    sampler: str,
    prediction: str,
    shares: NDArray[np.float64],
    start: NDArray[np.float64],
    noises: NDArray[np.float64],
) -> NDArray[np.float64]:
    """Return what is left of noise: equations 6 and 7 of DDPM, 12 of DDIM with sigma = 0."""
    x, stride = start, 100 // len(noises)
    for noise, t in zip(noises, range((len(noises) - 1) * stride, -1, -stride), strict=True):
        bar, before = shares[t], shares[t - stride] if t > 0 else 1.0
        found = np.tanh(1.3 * x + 0.01 * t)
        if prediction == "epsilon":
            epsilon = found
        elif prediction == "sample":
            epsilon = (x - bar**0.5 * found) / (1.0 - bar) ** 0.5
        else:
            epsilon = bar**0.5 * found + (1.0 - bar) ** 0.5 * x
        clean = np.clip((x - (1.0 - bar) ** 0.5 * epsilon) / bar**0.5, -1.0, 1.0)
        if sampler == "ddim":
            x = before**0.5 * clean + (1.0 - before) ** 0.5 * epsilon
            continue
        alpha = bar / before
        mean = (before**0.5 * (1.0 - alpha) * clean + alpha**0.5 * (1.0 - before) * x) / (1.0 - bar)
        variance = (1.0 - before) / (1.0 - bar) * (1.0 - alpha)
        x = mean + (variance**0.5 * noise if t > 0 else 0.0)
    return x
