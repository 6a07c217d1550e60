"""Losses and targets as free functions, each with a hand-computed test."""

from __future__ import annotations

import math

import torch
from torch import Tensor
from torch.nn import functional


def gae(
    reward: Tensor,
    value: Tensor,
    next_value: Tensor,
    terminated: Tensor,
    done: Tensor,
    *,
    discount: float,
    decay: float,
) -> Tensor:
    """Return generalised advantages (T, N).

    `A_t = delta_t + discount * decay * (1 - done_t) * A_{t+1}` with
    `delta_t = r_t + discount * (1 - terminated_t) * V(s_{t+1}) - V(s_t)`.

    Args:
        reward: (T, N).
        value: (T, N) V(s_t).
        next_value: (T, N) V(s_{t+1}) of the true next state: where an episode was cut by the time
            limit, of its last observation, not of the one after the reset.
        terminated: (T, N) bool, the episode ended in a state without future.
        done: (T, N) bool, terminated or cut.
        discount: gamma.
        decay: lambda.

    Source: Schulman et al., arXiv 1506.02438.
    """
    delta = reward + discount * next_value * (~terminated) - value
    carry = discount * decay * (~done)
    advantage = torch.zeros_like(delta)
    last = torch.zeros_like(delta[0])
    for t in range(len(delta) - 1, -1, -1):
        last = delta[t] + carry[t] * last
        advantage[t] = last
    return advantage


def gaussian_log_prob(action: Tensor, mean: Tensor, std: Tensor) -> Tensor:
    """Return the log-density (B,) of actions (B, A) under independent normals."""
    z = (action - mean) / std
    return (-0.5 * z * z - std.log() - 0.5 * math.log(2.0 * math.pi)).sum(dim=-1)


def gaussian_entropy(std: Tensor) -> Tensor:
    """Return the entropy (B,) [nat] of independent normals with std (B, A)."""
    return (std.log() + 0.5 * (1.0 + math.log(2.0 * math.pi))).sum(dim=-1)


def gaussian_kl(mean: Tensor, std: Tensor, new_mean: Tensor, new_std: Tensor) -> Tensor:
    """Return KL(old || new) (B,) [nat] between independent normals (B, A)."""
    ratio = (std * std + (mean - new_mean) ** 2) / (2.0 * new_std * new_std)
    return (torch.log(new_std / std) + ratio - 0.5).sum(dim=-1)


def clipped_surrogate(
    log_prob: Tensor, old_log_prob: Tensor, advantage: Tensor, clip: float
) -> Tensor:
    """Return PPO's policy loss: -mean(min(ratio A, clip(ratio) A)).

    Source: Schulman et al., arXiv 1707.06347, equation 7.
    """
    ratio = torch.exp(log_prob - old_log_prob)
    clipped = ratio.clamp(1.0 - clip, 1.0 + clip)
    return -torch.minimum(ratio * advantage, clipped * advantage).mean()


def clipped_value_loss(value: Tensor, old_value: Tensor, target: Tensor, clip: float) -> Tensor:
    """Return the mean of the worse of the plain and the clipped squared error."""
    near = old_value + (value - old_value).clamp(-clip, clip)
    return torch.maximum((value - target) ** 2, (near - target) ** 2).mean()


def clipped_normal(
    mean: Tensor, std: Tensor | float, noise: Tensor, clip: float | None = None
) -> Tensor:
    """Return actions of DrQ-v2's exploration: normal numbers, put back between -1 and 1.

    Where an action is put back, the slope to its mean stays 1.

    Args:
        mean: (B, A) in [-1, 1].
        std: deviation, a number or (B, 1).
        noise: (B, A) standard normal.
        clip: greatest distance from the mean, if any.

    Source: Yarats et al., arXiv 2107.09645.
    """
    away = std * noise
    action = mean + (away if clip is None else away.clamp(-clip, clip))
    inside = action.clamp(-1.0 + 1e-6, 1.0 - 1e-6)
    return action + (inside - action).detach()


def squashed_normal(mean: Tensor, log_std: Tensor, noise: Tensor) -> tuple[Tensor, Tensor]:
    """Return actions tanh(u) (B, A), u normal, and their log-density (B,).

    `log(1 - tanh(u)^2)` is taken as `2 (log 2 - u - softplus(-2 u))`, which is exact for large u.

    Args:
        mean: (B, A) of u.
        log_std: (B, A) logarithm of the deviation of u.
        noise: (B, A) standard normal.

    Source: Haarnoja et al., arXiv 1812.05905, appendix C.
    """
    u = mean + log_std.exp() * noise
    normal = -0.5 * noise * noise - log_std - 0.5 * math.log(2.0 * math.pi)
    slope = 2.0 * (math.log(2.0) - u - functional.softplus(-2.0 * u))
    return torch.tanh(u), (normal - slope).sum(dim=-1)


def bellman(reward: Tensor, discount: Tensor, value: Tensor) -> Tensor:
    """Return targets (B,): `R + d V`.

    Args:
        reward: (B,) discounted sum of the rewards up to the next observation.
        discount: (B,) what the value of that observation counts: gamma^k after k steps, 0 where
            the episode ended in a state without future.
        value: (B,) of it.
    """
    return reward + discount * value


def atoms_of(low: float, high: float, count: int, device: torch.device | None = None) -> Tensor:
    """Return the returns (Z,) that a categorical distribution stands on."""
    return torch.linspace(low, high, count, device=device)


def project(probability: Tensor, reward: Tensor, discount: Tensor, atoms: Tensor) -> Tensor:
    """Return distributions of `r + d z` on the atoms of z; the mass stays what it was.

    A return between two atoms is shared by them as its distances say, one beyond the ends goes to
    the end. The shares are one matrix per row, `max(0, 1 - |b_j - i|)`, so no case is special.

    Args:
        probability: (B, ..., Z) of distributions on the atoms.
        reward: (B,).
        discount: (B,).
        atoms: (Z,) equidistant, rising.

    Source: Bellemare, Dabney and Munos, arXiv 1707.06887, equation 7.
    """
    last = len(atoms) - 1
    low, high = atoms[0], atoms[-1]
    moved = (reward[:, None] + discount[:, None] * atoms - low) * (last / (high - low))
    place = torch.arange(last + 1, device=atoms.device, dtype=atoms.dtype)
    shares = 1.0 - (moved.clamp(0.0, last)[:, :, None] - place).abs()  # (B, from, to)
    flat = probability.flatten(1, -2) if probability.ndim > 2 else probability[:, None]
    return (flat @ shares.clamp(min=0.0)).reshape(probability.shape)


def cross_entropy(target: Tensor, logits: Tensor) -> Tensor:
    """Return `-sum target log softmax(logits)` (...) of distributions (..., Z)."""
    return -(target * functional.log_softmax(logits, dim=-1)).sum(dim=-1)


def quantile_huber(quantiles: Tensor, targets: Tensor) -> Tensor:
    """Return the mean Huber loss (kappa 1) of quantiles, as TQC has it.

    Args:
        quantiles: (B, C, K) of C critics, at tau_i = (i + 1/2) / K.
        targets: (B, T) samples of the return, of one weight.

    Source: Dabney et al., arXiv 1710.10044, equation 10; Kuznetsov et al., arXiv 2005.04269.
    """
    count = quantiles.shape[-1]
    tau = (torch.arange(count, device=quantiles.device) + 0.5) / count
    shape = (*quantiles.shape, targets.shape[-1])  # (B, C, K, T)
    each, target = quantiles[..., None].expand(shape), targets[:, None, None, :].expand(shape)
    huber = functional.huber_loss(each, target, reduction="none")
    weight = torch.where(target < each, 1.0 - tau[:, None], tau[:, None])
    return (weight * huber).mean()


def lowest(quantiles: Tensor, drop: int) -> Tensor:
    """Return the targets (B, C K - drop) of TQC: all quantiles (B, C, K) but the `drop` greatest.

    Source: Kuznetsov et al., arXiv 2005.04269, section 4.3.
    """
    pooled = quantiles.flatten(1).sort(dim=-1).values
    return pooled[:, : pooled.shape[1] - drop]


def dominance(expert: Tensor, other: Tensor) -> Tensor:
    """Return how far distributions (..., Z) are from being stochastically below an expert's (...).

    The expert's first-order dominates where its cumulative distribution lies nowhere above:
    `sum relu(F_expert - F_other)` is then 0.

    Source: Seo, Uruc and James, arXiv 2407.07787, appendix.
    """
    count = other.shape[-1]
    sums = torch.ones((count, count), device=other.device, dtype=other.dtype).triu()
    return functional.relu((expert - other) @ sums).sum(dim=-1)  # quicker than its slope by cumsum


def margin(values: Tensor, chosen: Tensor, least: float) -> Tensor:
    """Return how much values fall short of being `least` below that of what was chosen (...).

    Args:
        values: (..., B) of all that could be done.
        chosen: (...) int64, which of them an expert did.
        least: how far the others are to lie below.

    Source: Hester et al., arXiv 1704.03732, with the sum over the others in place of the worst.
    """
    expert = values.gather(-1, chosen[..., None])
    short = (values - expert + least).clamp(min=0.0)
    others = torch.ones_like(values).scatter(-1, chosen[..., None], 0.0)
    return (others * short).sum(dim=-1)
