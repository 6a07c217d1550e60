"""ACT-JEPA: its loss by hand, who learns and who follows, and that embeddings do not collapse."""

# pyright: standard

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from sim2arm.policies.act_jepa import ActJepaCfg, ActJepaNetwork, Distance, embedding_distance
from sim2arm.policies.encoders import VECTOR
from tests.policies.test_bc import in_onnx, observations

SMALL = ActJepaCfg(
    chunk=4,
    future=5,
    dim=32,
    heads=4,
    feed=64,
    layers=1,
    predictor_layers=1,
    predictor_dim=16,
    predictor_feed=32,
    width=16,
    dropout=0.0,
)


def future(count: int, seed: int = 1) -> dict[str, Tensor]:
    seen = observations(count, SMALL.future, seed)
    return {name: seen[name] for name in (VECTOR, "field")}


@pytest.fixture
def network() -> ActJepaNetwork:
    torch.manual_seed(0)
    return ActJepaNetwork(SMALL, observations(1, 1), 3)


def parts(network: ActJepaNetwork, count: int = 2, **changes: Any) -> dict[str, Tensor]:
    random = torch.Generator().manual_seed(2)
    given: dict[str, Any] = {
        "obs": observations(count, 1),
        "chunk": torch.randn((count, 4, 3), generator=random),
        "padded": torch.zeros(count, 4, dtype=torch.bool),
        "future": future(count),
        "absent": torch.zeros(count, 5, dtype=torch.bool),
    }
    return network.loss(**(given | changes))


def test_distances_by_hand() -> None:
    """0.5 and 2 apart count: means 1.25, (0.25 + 4) / 2, and of the smooth one (1/8 + 3/2) / 2."""
    predicted = torch.tensor([[[0.5, 2.0], [9.0, 9.0]]])
    hidden = torch.tensor([[False, True]])
    expected: dict[Distance, float] = {"l1": 1.25, "l2": 2.125, "smooth_l1": 0.8125}
    for distance, value in expected.items():
        found = embedding_distance(predicted, torch.zeros(1, 2, 2), hidden, distance)
        assert float(found) == pytest.approx(value), distance


def test_the_loss_is_the_sum_of_its_parts(network: ActJepaNetwork) -> None:
    network.eval()
    with torch.no_grad():
        last: Any = network.target.layers[-1]
        last.norms[1].weight.mul_(torch.linspace(0.1, 2.0, 32))  # what targets do not keep
    found = parts(network)
    memory, position = network.embed(observations(2, 1))
    assert memory.shape == (2, 2, 32)  # the tick and a grid of one place
    seen = {n: torch.cat([observations(2, 1)[n], v], dim=1) for n, v in future(2).items()}
    target = network.targets(seen, torch.zeros(2, 6, dtype=torch.bool))
    predicted = network.predict(memory, position)
    assert predicted.shape == target.shape == (2, 6, 32)
    torch.testing.assert_close(target.mean(dim=-1), torch.zeros(2, 6), atol=1e-6, rtol=0.0)
    torch.testing.assert_close(target.square().mean(dim=-1), torch.ones(2, 6), atol=1e-3, rtol=0.0)
    torch.testing.assert_close(found["distance"], (predicted - target).abs().mean())
    torch.testing.assert_close(found["loss"], found["error"] + found["distance"])
    weighted = parts(ActJepaNetwork(replace(SMALL, weight=0.0), observations(1, 1), 3))
    torch.testing.assert_close(weighted["loss"], weighted["error"])


def test_what_lies_beyond_the_episode_changes_nothing(network: ActJepaNetwork) -> None:
    """Neither padded actions nor absent ticks, even where there is no future at all."""
    network.eval()
    padded = torch.zeros(2, 4, dtype=torch.bool)
    absent = torch.zeros(2, 5, dtype=torch.bool)
    padded[0, 2:], absent[0, 3:], absent[1] = True, True, True
    chunk = torch.randn(2, 4, 3)
    other_chunk, other_future = chunk.clone(), {n: v.clone() for n, v in future(2).items()}
    other_chunk[padded] = 77.0
    for value in other_future.values():
        value[absent] = 77.0
    one = parts(network, chunk=chunk, padded=padded, absent=absent)
    other = parts(network, chunk=other_chunk, padded=padded, absent=absent, future=other_future)
    for name, value in one.items():
        assert bool(value.isfinite()), name
        torch.testing.assert_close(other[name], value)


def test_only_the_target_encoder_sees_the_future(network: ActJepaNetwork) -> None:
    with torch.no_grad():
        before = parts(network)
    for name in (VECTOR, "field"):
        other = future(2)
        other[name] = other[name].flip(0)
        with torch.no_grad():
            after = parts(network, future=other)
        assert float(after["error"]) == float(before["error"])
        assert abs(float(after["distance"]) - float(before["distance"])) > 1e-5, name


def test_the_target_encoder_learns_nothing_by_itself(network: ActJepaNetwork) -> None:
    parts(network)["loss"].backward()
    learnt = dict(network.named_parameters())
    for name, parameter in learnt.items():
        if name.startswith("target."):
            assert not parameter.requires_grad and parameter.grad is None, name
        else:
            assert parameter.grad is not None and bool(parameter.grad.abs().sum() > 0), name
    stored = network.state_dict()
    assert all(name in stored for name in learnt)
    network.zero_grad()
    parts(network)["distance"].backward()
    assert learnt["context.vector.weight"].grad is not None
    assert learnt["out.weight"].grad is None


def test_the_target_encoder_follows() -> None:
    """It keeps 0.9, half-way through 0.95 and at last all; buffers are those of the other."""
    torch.manual_seed(0)
    cfg = replace(SMALL, momentum=0.9, last_momentum=1.0)
    network = ActJepaNetwork(cfg, observations(1, 1), 3)
    own, others = network.target.state_dict(), network.context.state_dict()
    for name, value in own.items():
        assert torch.equal(value, others[name]), name
    with torch.no_grad():
        for parameter in network.context.parameters():
            parameter.add_(torch.randn_like(parameter))
    network.context.fields["field"].norm.update(torch.randn(50, 3))  # pyright: ignore
    for done, kept in ((0.0, 0.9), (0.5, 0.95), (1.0, 1.0), (2.0, 1.0)):
        old = {n: p.clone() for n, p in network.target.named_parameters()}
        network.follow(done)
        for name, parameter in network.target.named_parameters():
            expected = kept * old[name] + (1.0 - kept) * others[name]
            torch.testing.assert_close(parameter, expected, msg=f"{name} at {done}")
    for name, buffer in network.target.named_buffers():
        assert torch.equal(buffer, others[name]), name


def test_targets_have_no_dropout() -> None:
    torch.manual_seed(0)
    network = ActJepaNetwork(replace(SMALL, dropout=0.5), observations(1, 1), 3)
    seen, none = future(3), torch.zeros(3, 6, dtype=torch.bool)
    ticks = {n: torch.cat([v[:, :1], v], dim=1) for n, v in seen.items()}
    network.train()
    assert torch.equal(network.targets(ticks, none), network.targets(ticks, none))
    assert not torch.equal(network(observations(1, 1)), network(observations(1, 1)))


def test_everything_that_is_seen_changes_the_chunk(network: ActJepaNetwork) -> None:
    network.eval()
    obs = observations(2, 1)
    before = network(obs)
    assert before.shape == (2, 4, 3)
    for name, value in obs.items():
        other = network({**obs, name: value.flip(0)})
        assert (other - before).abs().max() > 1e-4, name
    assert (before[:, 0] - before[:, 1]).abs().max() > 1e-3


def turning(count: int, random: torch.Generator) -> tuple[dict[str, Tensor], Tensor, Tensor]:
    """Points on a turning wheel: now (count, 1, 6), later (count, 5, 6), actions (count, 4, 2)."""
    angle = 6.28 * torch.rand((count, 1), generator=random) + 0.4 * torch.arange(6.0)
    mix = torch.randn((2, 6), generator=torch.Generator().manual_seed(0))
    points = torch.stack([angle.cos(), angle.sin()], dim=-1) @ mix
    chunk = torch.stack([angle.sin(), (2.0 * angle).cos()], dim=-1)[:, :4]
    return {VECTOR: points[:, :1]}, points[:, 1:], chunk


def test_it_learns_actions_and_the_future_and_does_not_collapse() -> None:
    """Embeddings keep their spread, and each prediction is of its own future."""
    torch.manual_seed(0)
    random = torch.Generator().manual_seed(0)
    network = ActJepaNetwork(replace(SMALL, momentum=0.95), {VECTOR: torch.zeros(1, 1, 6)}, 2)
    optimizer = torch.optim.AdamW(network.parameters(), lr=3e-3)
    padded, absent = torch.zeros(64, 4, dtype=torch.bool), torch.zeros(64, 5, dtype=torch.bool)
    first: dict[str, Tensor] = {}
    found: dict[str, Tensor] = {}
    for step in range(200):
        obs, later, chunk = turning(64, random)
        found = network.loss(obs, chunk, padded, future={VECTOR: later}, absent=absent)
        first = first or found
        optimizer.zero_grad()
        found["loss"].backward()
        optimizer.step()
        network.follow(step / 200)
    assert float(found["spread"]) > 0.5
    assert float(found["distance"].detach()) < 0.25 * float(first["distance"].detach())
    network.eval()
    with torch.no_grad():
        obs, later, chunk = turning(128, random)
        assert float((network(obs) - chunk).abs().mean()) < 0.12
        none = torch.zeros(128, 6, dtype=torch.bool)
        target = network.targets({VECTOR: torch.cat([obs[VECTOR], later], dim=1)}, none)
        predicted = network.predict(*network.embed(obs))
        own = embedding_distance(predicted, target, none, "l1")
        other = embedding_distance(predicted, target.roll(1, dims=0), none, "l1")
    assert float(own) < 0.3 * float(other)


def test_the_graph_does_the_same_without_the_target_encoder(network: ActJepaNetwork) -> None:
    obs = observations(1, 1)
    with torch.no_grad():
        for parameter in network.target.parameters():
            parameter.fill_(torch.nan)
    expected, found = in_onnx(network, obs, {})
    assert np.isfinite(expected).all()
    np.testing.assert_allclose(found, expected, atol=1e-5, rtol=0.0)


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"chunk": 0}, "chunk: expected 1 or more, got 0"),
        ({"future": 0}, "future: expected 1 or more, got 0"),
        ({"dim": 36}, "dim: expected a multiple of 4 and of 8 heads, got 36"),
        ({"predictor_dim": 12}, "predictor_dim: expected a multiple of 1 and of 8 heads, got 12"),
        ({"dropout": 1.0}, "dropout: expected 0 to below 1"),
        ({"distance": "cosine"}, r"distance: expected one of \('l1', 'smooth_l1', 'l2'\)"),
        ({"weight": -1.0}, "weight: expected 0 or more"),
        ({"momentum": 1.1}, "momentum: expected 0 to 1"),
        ({"last_momentum": 0.9}, "momentum: expected 0 to 1, rising to last_momentum"),
    ],
)
def test_settings_that_are_refused(change: dict[str, Any], said: str) -> None:
    with pytest.raises(ValueError, match=said):
        ActJepaCfg(**change)
