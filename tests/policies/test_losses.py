"""Losses against hand-computed numbers and torch.distributions."""

# pyright: standard

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from torch.distributions import (
    Independent,
    Normal,
    TanhTransform,
    TransformedDistribution,
    kl_divergence,
)

from sim2arm.policies.losses import (
    atoms_of,
    bellman,
    clipped_normal,
    clipped_surrogate,
    clipped_value_loss,
    cross_entropy,
    dominance,
    gae,
    gaussian_entropy,
    gaussian_kl,
    gaussian_log_prob,
    lowest,
    margin,
    project,
    quantile_huber,
    squashed_normal,
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


def test_clipped_normal_by_hand() -> None:
    # Noise 2 at deviation 0.2 is 0.4, clipped to 0.3: 0.5 + 0.3; 0.9 + 0.3 is put back to 1.
    mean = torch.tensor([[0.5, 0.9, -0.2]], requires_grad=True)
    action = clipped_normal(mean, 0.2, torch.tensor([[2.0, 2.0, -1.0]]), clip=0.3)
    torch.testing.assert_close(action, torch.tensor([[0.8, 1.0 - 1e-6, -0.4]]))
    action.sum().backward()
    torch.testing.assert_close(mean.grad, torch.ones(1, 3), atol=0, rtol=0)  # where put back, too
    free = clipped_normal(torch.zeros(1, 1), 0.2, torch.tensor([[2.0]]))
    torch.testing.assert_close(free, torch.tensor([[0.4]]))


def test_squashed_normal_equals_torch_distributions() -> None:
    generator = torch.Generator().manual_seed(0)
    mean, log_std, noise = torch.randn(3, 64, 2, generator=generator, dtype=torch.float64)
    action, log_prob = squashed_normal(mean, log_std, noise)
    oracle = TransformedDistribution(
        Independent(Normal(mean, log_std.exp()), 1), [TanhTransform(cache_size=1)]
    )
    torch.testing.assert_close(action, torch.tanh(mean + log_std.exp() * noise))
    near = action.abs().amax(dim=-1) < 0.999  # beyond, atanh of the oracle rounds
    assert near.sum() > 40
    torch.testing.assert_close(log_prob[near], oracle.log_prob(action)[near], atol=1e-8, rtol=1e-6)


def test_squashed_normal_far_out_is_finite() -> None:
    # u = 30: log(1 - tanh^2) = log 4 - 60. Density of noise 0 at deviation 1: -0.9189.
    mean = torch.tensor([[30.0]], requires_grad=True)
    _, log_prob = squashed_normal(mean, torch.zeros(1, 1), torch.zeros(1, 1))
    torch.testing.assert_close(log_prob, torch.tensor([-0.91894 - 1.38629 + 60.0]))
    log_prob.backward()
    torch.testing.assert_close(mean.grad, torch.tensor([[2.0]]))


def test_bellman_by_hand() -> None:
    found = bellman(torch.tensor([1.0, 2.0]), torch.tensor([0.9, 0.0]), torch.tensor([10.0, 10.0]))
    torch.testing.assert_close(found, torch.tensor([10.0, 2.0]))


def projected(
    probability: np.ndarray, reward: float, discount: float, atoms: np.ndarray
) -> np.ndarray:
    """Return one distribution projected atom by atom, as equation 7 of arXiv 1707.06887 says."""
    found, step = np.zeros(len(atoms)), atoms[1] - atoms[0]
    for mass, atom in zip(probability, atoms, strict=True):
        place = (np.clip(reward + discount * atom, atoms[0], atoms[-1]) - atoms[0]) / step
        for i in range(len(atoms)):
            found[i] += mass * np.clip(1.0 - abs(place - i), 0.0, 1.0)
    return found


@pytest.mark.parametrize(
    ("low", "high", "count"), [(-2.0, 2.0, 51), (0.0, 200.0, 51), (-10, 10, 101)]
)
@pytest.mark.parametrize("reward", [0.0, 1.0, 0.37])
@pytest.mark.parametrize("discount", [0.0, 0.99, 0.97, 1.0])
def test_projection_equals_the_oracle_and_keeps_the_mass(
    low: float, high: float, count: int, reward: float, discount: float
) -> None:
    rng, atoms = np.random.default_rng(0), np.linspace(low, high, count)
    given = rng.dirichlet(np.ones(count), size=(2, 3))
    found = project(
        torch.from_numpy(given), torch.full((2,), reward, dtype=torch.float64),
        torch.full((2,), discount, dtype=torch.float64), torch.from_numpy(atoms),
    ).numpy()  # fmt: skip
    expected = [[projected(p, reward, discount, atoms) for p in row] for row in given]
    np.testing.assert_allclose(found, expected, atol=1e-9)
    np.testing.assert_allclose(found.sum(axis=-1), 1.0, atol=1e-9)


def test_projection_in_float32_keeps_the_mass_on_every_atom_alone() -> None:
    atoms = atoms_of(-2.0, 2.0, 51)
    alone = torch.eye(51)[None].expand(4, 51, 51)  # each atom certain
    rewards, discounts = torch.tensor([0.0, 0.0, 5.0, -0.08]), torch.tensor([1.0, 0.0, 0.99, 1.0])
    found = project(alone, rewards, discounts, atoms)
    torch.testing.assert_close(found.sum(dim=-1), torch.ones(4, 51), atol=1e-6, rtol=0)
    torch.testing.assert_close(found[0], torch.eye(51), atol=2e-5, rtol=0)  # stays
    assert (found[1].argmax(dim=-1) == 25).all()  # terminal, no reward: all on 0
    assert (found[2].argmax(dim=-1) == 50).all()  # beyond the end
    assert found[3, 10, 9] > 0.9999  # one step down


def test_cross_entropy_by_hand() -> None:
    # softmax of (0, log 3) is (1/4, 3/4).
    logits = torch.tensor([[0.0, math.log(3.0)]])
    expected = -(0.5 * math.log(0.25) + 0.5 * math.log(0.75))
    torch.testing.assert_close(
        cross_entropy(torch.tensor([[0.5, 0.5]]), logits), torch.tensor([expected])
    )


def test_quantile_huber_by_hand() -> None:
    # Two quantiles (0, 1) at tau 1/4, 3/4, target 2. delta = 2: |1/4 - 0| (2 - 1/2) = 0.375;
    # delta = 1: |3/4| 0.5 = 0.375. Target -3: delta -3: |1/4 - 1| 2.5 = 1.875; delta -4:
    # |3/4 - 1| 3.5 = 0.875. Mean of the four: 0.875.
    loss = quantile_huber(torch.tensor([[[0.0, 1.0]]]), torch.tensor([[2.0, -3.0]]))
    torch.testing.assert_close(loss, torch.tensor(0.875))


def test_quantiles_of_the_loss_are_those_of_the_samples() -> None:
    samples = torch.arange(100.0)[None]
    quantiles = torch.zeros(1, 1, 5, requires_grad=True)
    optimizer = torch.optim.Adam([quantiles], lr=1.0)
    for _ in range(2000):
        optimizer.zero_grad()
        quantile_huber(quantiles, samples).backward()
        optimizer.step()
    expected = torch.tensor([9.5, 29.5, 49.5, 69.5, 89.5])  # at 0.1, 0.3, 0.5, 0.7, 0.9
    torch.testing.assert_close(quantiles.detach()[0, 0], expected, atol=1.5, rtol=0)


def test_lowest_drops_the_greatest() -> None:
    found = lowest(torch.tensor([[[3.0, 1.0], [5.0, 2.0]]]), 1)
    torch.testing.assert_close(found, torch.tensor([[1.0, 2.0, 3.0]]))


def test_dominance_by_hand() -> None:
    # F = (0, 0.5, 1) of the better, (0.5, 1, 1) of the worse.
    better, worse = torch.tensor([0.0, 0.5, 0.5]), torch.tensor([0.5, 0.5, 0.0])
    torch.testing.assert_close(dominance(better, worse), torch.tensor(0.0))
    torch.testing.assert_close(dominance(worse, better), torch.tensor(1.0))
    torch.testing.assert_close(dominance(better, better), torch.tensor(0.0))


def test_margin_by_hand() -> None:
    # The expert chose the second, 1.0; 0.95 lies 0.05 below (0.05 short of 0.1), 2 is 1.1 short.
    values = torch.tensor([[0.95, 1.0, 2.0, 0.0]], requires_grad=True)
    loss = margin(values, torch.tensor([1]), 0.1)
    torch.testing.assert_close(loss, torch.tensor([0.05 + 1.1]))
    loss.sum().backward()
    torch.testing.assert_close(values.grad, torch.tensor([[1.0, -2.0, 1.0, 0.0]]))
