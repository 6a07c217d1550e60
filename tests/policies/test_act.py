"""ACT: parts of its loss by hand, what counts and what does not, and that it learns."""

# pyright: standard

import math
from dataclasses import replace
from typing import Any

import pytest
import torch
from torch import Tensor

from sim2arm.policies.act import ActCfg, ActNetwork, act_loss
from sim2arm.policies.attention import Attention, sine, sine_grid
from sim2arm.policies.encoders import VECTOR
from sim2arm.policies.resnet import ResNet18

SMALL = ActCfg(chunk=6, dim=32, heads=4, feed=64, style_layers=1, layers=1, style=4, width=16)


def observations(count: int, seed: int = 0) -> dict[str, Tensor]:
    random = torch.Generator().manual_seed(seed)
    return {
        VECTOR: torch.randn((count, 1, 5), generator=random),
        "scene": torch.randint(0, 256, (count, 1, 64, 64, 3), generator=random, dtype=torch.uint8),
        "field": torch.randn((count, 1, 2, 6, 4, 3), generator=random),
    }


@pytest.fixture
def network() -> ActNetwork:
    torch.manual_seed(0)
    return ActNetwork(SMALL, observations(1), 3)


def test_attention_by_hand() -> None:
    """Two keys with scores log 3 apart: shares 1/4 and 3/4; what is hidden has none."""
    attention = Attention(2, 1)
    for layer in (attention.query, attention.key, attention.value, attention.out):
        torch.nn.init.eye_(layer.weight)
        torch.nn.init.zeros_(layer.bias)
    query = torch.tensor([[[math.sqrt(2.0) * math.log(3.0), 0.0]]])
    key = torch.tensor([[[0.0, 0.0], [1.0, 0.0], [9.0, 0.0]]])
    value = torch.tensor([[[4.0, 0.0], [8.0, 4.0], [99.0, 99.0]]])
    hidden = torch.tensor([[False, False, True]])
    found = attention(query, key, value, hidden)
    torch.testing.assert_close(found, torch.tensor([[[7.0, 3.0]]]))


def test_positions_by_hand() -> None:
    torch.testing.assert_close(sine(3, 4)[2], torch.tensor([math.sin(2.0), math.cos(2.0),
                               math.sin(0.02), math.cos(0.02)]))  # fmt: skip
    grid = sine_grid(2, 4, 8).reshape(2, 4, 8)
    # row 2 of 2 and column 1 of 4: a whole turn, a quarter; the second wave is 100 times longer
    turn, quarter = 2.0 * math.pi, 0.5 * math.pi
    expected = [
        f(a * r) for a in (turn, quarter) for r in (1.0, 0.01) for f in (math.sin, math.cos)
    ]
    torch.testing.assert_close(grid[1, 0], torch.tensor(expected), atol=1e-5, rtol=0.0)


def test_the_backbone_has_the_published_sizes() -> None:
    """ResNet-18 has 11.18 million weights without classifier; group norms have as many as batch."""
    trunk = ResNet18()
    assert sum(p.numel() for p in trunk.parameters()) == 11_176_512
    assert trunk(torch.zeros(1, 3, 96, 130)).shape == (1, 512, 3, 5)
    with pytest.raises(ValueError, match="a multiple of 16, got 24"):
        ResNet18(width=24)


def test_the_loss_by_hand() -> None:
    """Style N(1, e) of 4 numbers: 4 (-1/2) (1 + 1 - 1 - e); errors where actions count."""
    mean, log_variance = torch.full((2, 4), 1.0), torch.full((2, 4), 1.0)
    chunk, padded = torch.zeros(2, 6, 3), torch.zeros(2, 6, dtype=torch.bool)
    chunk[0, 0], padded[1, 2:] = 1.0, True
    chunk[1, 2:] = 1e9
    found = act_loss(torch.full((2, 6, 3), 2.0), chunk, padded, mean, log_variance, 10.0)
    assert float(found["error"]) == pytest.approx((3 * 1.0 + 7 * 3 * 2.0) / 24)
    assert float(found["divergence"]) == pytest.approx(2.0 * (math.e - 1.0))
    assert float(found["loss"]) == pytest.approx(
        float(found["error"]) + 10.0 * float(found["divergence"])
    )


def test_padded_actions_change_nothing(network: ActNetwork) -> None:
    network.eval()
    obs, padded = observations(2), torch.zeros(2, 6, dtype=torch.bool)
    padded[:, 4:] = True
    chunk = torch.randn(2, 6, 3)
    other = chunk.clone()
    other[:, 4:] = 77.0
    losses = [
        network.loss(obs, actions, padded, torch.Generator().manual_seed(0))["loss"]
        for actions in (chunk, other)
    ]
    assert float(losses[0].detach()) == float(losses[1].detach())


def test_everything_that_is_seen_changes_the_chunk(network: ActNetwork) -> None:
    network.eval()
    obs = observations(2)
    before = network(obs)
    assert before.shape == (2, 6, 3)
    for name, value in obs.items():
        other = network({**obs, name: value.flip(0)})
        assert (other - before).abs().max() > 1e-4, name
    torch.testing.assert_close(network(obs, style=torch.zeros(2, 4)), before)


def test_it_learns_chunks_from_what_it_sees() -> None:
    """Actions that follow from the state, to a seventh of their spread."""
    torch.manual_seed(0)
    state = torch.randn(32, 5)
    obs = {VECTOR: state[:, None]}
    network = ActNetwork(replace(SMALL, dropout=0.0), obs, 3)
    padded = torch.zeros(32, 6, dtype=torch.bool)
    chunk = torch.sin(state[:, None, :3] * torch.arange(1.0, 7.0)[:, None] / 3.0)
    optimizer = torch.optim.AdamW(network.parameters(), lr=3e-3)
    for _ in range(250):
        parts = network.loss(obs, chunk, padded)
        optimizer.zero_grad()
        parts["loss"].backward()
        optimizer.step()
    network.eval()
    with torch.no_grad():
        error = (network(obs) - chunk).abs().mean()
    assert float(error) < 0.15 * float(chunk.std())


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"dim": 30}, "dim: expected a multiple of 4 and of 8 heads, got 30"),
        ({"chunk": 0}, "chunk: expected 1 or more, got 0"),
        ({"dropout": 1.0}, "dropout: expected 0 to below 1"),
        ({"kl_weight": -1.0}, "kl_weight: expected 0 or more"),
    ],
)
def test_sizes_that_do_not_go_together(change: dict[str, Any], said: str) -> None:
    with pytest.raises(ValueError, match=said):
        ActCfg(**change)
