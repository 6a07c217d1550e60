"""Noise of diffusion: how much of it there is at each step, and how steps take it away.

What is noisy is `sqrt(kept) clean + sqrt(1 - kept) noise`: the share `kept` of the variance is
still that of the data. It falls from nearly 1 at step 0 to nearly 0 at the last.

Sources: Ho et al., arXiv 2006.11239 (DDPM); Nichol and Dhariwal, arXiv 2102.09672 (squared
cosine); Song et al., arXiv 2010.02502 (DDIM); Salimans and Ho, arXiv 2202.00512 (v).
"""

# pyright: standard

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, TypeAlias

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

Betas = Literal["squaredcos_cap_v2", "linear"]
"""How the variance that is added at each step grows; names as in diffusers."""
Prediction = Literal["epsilon", "sample", "v"]
"""What a network finds: the noise, what is clean, or sqrt(kept) noise - sqrt(1 - kept) clean."""
MOST_BETA = 0.999
OFFSET = 0.008
"""Of the squared cosine, so that its first steps are not too small."""
LINEAR = (1e-4, 2e-2)
"""First and last variance of the linear schedule."""


Number: TypeAlias = float | Tensor
"""A number, or inside a loop of an exported graph a float64 tensor without axes."""


@dataclass(frozen=True, kw_only=True)
class Step:
    """One step of a sampler."""

    at: Number
    """Where it starts, of the steps that were learnt."""
    kept: Number
    """Share of the variance that is clean there."""
    next_kept: Number
    """Share where it ends: 1 at the end of the last."""


def kept_shares(betas: Betas, steps: int) -> NDArray[np.float64]:
    """Return the share of the variance that is clean at each step, (steps,) float64.

    Args:
        betas: how the added variance grows.
        steps: how many are learnt.
    """
    if betas == "linear":
        added = np.linspace(*LINEAR, steps)
    else:
        edges = np.arange(steps + 1) / steps
        left = np.cos(0.5 * np.pi * (edges + OFFSET) / (1.0 + OFFSET)) ** 2
        added = np.minimum(1.0 - left[1:] / left[:-1], MOST_BETA)
    return np.cumprod(1.0 - added, dtype=np.float64)


def plan(kept: NDArray[np.float64], count: int) -> tuple[Step, ...]:
    """Return the steps of a sampler, equally far apart, the last of them at step 0.

    The rest of a division is left out at the noisy end: 8 of 100 steps start at 84 (the "leading"
    spacing of diffusers, without offset).

    Args:
        kept: shares of all steps that were learnt.
        count: steps of the sampler.

    Raises:
        ValueError: more steps than were learnt, or none.
    """
    if not 1 <= count <= len(kept):
        raise ValueError(f"count: expected 1 to {len(kept)} steps, got {count}")
    places = [i * (len(kept) // count) for i in reversed(range(count))]
    after = [float(kept[place]) for place in places[1:]]
    return tuple(
        Step(at=place, kept=float(kept[place]), next_kept=share)
        for place, share in zip(places, [*after, 1.0], strict=True)
    )


def add_noise(clean: Tensor, noise: Tensor, kept: Tensor) -> Tensor:
    """Return what is noisy.

    Args:
        clean: chunks (B, T, A).
        noise: standard normal numbers (B, T, A).
        kept: share of the variance that is clean, (B, 1, 1).
    """
    return kept.sqrt() * clean + (1.0 - kept).sqrt() * noise


def target_of(clean: Tensor, noise: Tensor, kept: Tensor, prediction: Prediction) -> Tensor:
    """Return what a network should find (B, T, A); arguments as of `add_noise`."""
    if prediction == "epsilon":
        return noise
    if prediction == "sample":
        return clean
    return kept.sqrt() * noise - (1.0 - kept).sqrt() * clean


def split(
    found: Tensor, noisy: Tensor, kept: Number, prediction: Prediction
) -> tuple[Tensor, Tensor]:
    """Return what is clean and what is noise, (B, T, A) each.

    Args:
        found: by the network (B, T, A).
        noisy: what it saw (B, T, A).
        kept: share of the variance that is clean.
        prediction: what the network finds.
    """
    signal, spread = kept**0.5, (1.0 - kept) ** 0.5
    if prediction == "epsilon":
        return (noisy - spread * found) / signal, found
    if prediction == "sample":
        return found, (noisy - signal * found) / spread
    return signal * noisy - spread * found, signal * found + spread * noisy


def ddpm_step(clean: Tensor, noisy: Tensor, noise: Tensor, step: Step) -> Tensor:
    """Return what is less noisy (B, T, A): drawn given both the noisy and the clean.

    Its variance is that of the true posterior ("fixed_small"); at the end of the last step it is 0.

    Args:
        clean: what is taken for clean, clipped if that is wanted (B, T, A).
        noisy: (B, T, A).
        noise: standard normal numbers (B, T, A).
        step: of the sampler.
    """
    held = step.kept / step.next_kept
    rest = 1.0 - step.kept
    of_clean = step.next_kept**0.5 * (1.0 - held) / rest
    of_noisy = held**0.5 * (1.0 - step.next_kept) / rest
    deviation = ((1.0 - step.next_kept) / rest * (1.0 - held)) ** 0.5
    return of_clean * clean + of_noisy * noisy + deviation * noise


def ddim_step(clean: Tensor, noise: Tensor, step: Step) -> Tensor:
    """Return what is less noisy (B, T, A), nothing drawn (eta = 0).

    Args:
        clean: what is taken for clean, clipped if that is wanted (B, T, A).
        noise: what is taken for noise (B, T, A); clipping does not change it, as published.
        step: of the sampler.
    """
    return step.next_kept**0.5 * clean + (1.0 - step.next_kept) ** 0.5 * noise
