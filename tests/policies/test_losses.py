"""Losses against hand-computed numbers and torch.distributions."""

from __future__ import annotations

import torch
from torch.distributions import Independent, Normal, kl_divergence

from sim2arm.policies.losses import (
    clipped_surrogate,
    clipped_value_loss,
    gae,
    gaussian_entropy,
    gaussian_kl,
    gaussian_log_prob,
)


def column(*values: float) -> torch.Tensor:
    """Return (T, 1)."""
    return torch.tensor(values)[:, None]


def test_gae_by_hand() -> None:
    # gamma = 0.5, lambda = 0.5, values 1, 2, 3, next values 2, 3, 4, rewards 1, 1, 1.
    # delta = 1 + 0.5 * 2 - 1 = 1; 1 + 0.5 * 3 - 2 = 0.5; 1 + 0.5 * 4 - 3 = 0.
    # A_2 = 0; A_1 = 0.5 + 0.25 * 0 = 0.5; A_0 = 1 + 0.25 * 0.5 = 1.125.
    none = torch.zeros(3, 1, dtype=torch.bool)
    found = gae(
        column(1, 1, 1), column(1, 2, 3), column(2, 3, 4), none, none, discount=0.5, decay=0.5
    )
    torch.testing.assert_close(found, column(1.125, 0.5, 0.0))


def test_gae_terminated_has_no_future_and_truncated_has() -> None:
    # Step 1 ends the episode. Terminated: delta_1 = 1 - 2 = -1; truncated: 1 + 0.5 * 3 - 2 = 0.5.
    # Neither passes A_2 = 0 + ... back; A_0 = 1 + 0.25 * A_1.
    end = torch.tensor([False, True, False])[:, None]
    none = torch.zeros_like(end)
    inputs = (column(1, 1, 1), column(1, 2, 3), column(2, 3, 4))
    terminated = gae(*inputs, end, end, discount=0.5, decay=0.5)
    truncated = gae(*inputs, none, end, discount=0.5, decay=0.5)
    torch.testing.assert_close(terminated, column(0.75, -1.0, 0.0))
    torch.testing.assert_close(truncated, column(1.125, 0.5, 0.0))


def test_gaussians_equal_torch_distributions() -> None:
    generator = torch.Generator().manual_seed(0)
    mean, new_mean, action = torch.randn(3, 5, 4, generator=generator)
    std, new_std = torch.rand(2, 4, generator=generator) + 0.1
    old = Independent(Normal(mean, std), 1)
    new = Independent(Normal(new_mean, new_std), 1)
    torch.testing.assert_close(gaussian_log_prob(action, mean, std), old.log_prob(action))
    torch.testing.assert_close(gaussian_entropy(std.expand(5, 4)), old.entropy())
    torch.testing.assert_close(gaussian_kl(mean, std, new_mean, new_std), kl_divergence(old, new))


def test_surrogate_by_hand() -> None:
    # Ratios 1.5 and 0.5 with advantages 1 and -1, clip 0.2: min(1.5, 1.2) = 1.2 and
    # min(-0.5, -0.8) = -0.8; loss = -(1.2 - 0.8) / 2 = -0.2.
    ratio = torch.log(torch.tensor([1.5, 0.5]))
    loss = clipped_surrogate(ratio, torch.zeros(2), torch.tensor([1.0, -1.0]), 0.2)
    torch.testing.assert_close(loss, torch.tensor(-0.2))


def test_value_loss_by_hand() -> None:
    # old 0, target 1: value 0.5 is clipped to 0.2: max(0.25, 0.64) = 0.64;
    # value -0.1 is inside: (1.1)^2 = 1.21; mean 0.925.
    value = torch.tensor([0.5, -0.1])
    loss = clipped_value_loss(value, torch.zeros(2), torch.ones(2), 0.2)
    torch.testing.assert_close(loss, torch.tensor(0.925))
