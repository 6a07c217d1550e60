"""Losses as free functions, each with a hand-computed test."""

from __future__ import annotations

import math

import torch
from torch import Tensor


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
