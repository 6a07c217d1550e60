"""Behaviour cloning: its loss by hand, what it sees, what it learns, and its graph."""

# pyright: standard

from collections.abc import Mapping
from typing import Any

import numpy as np
import onnxruntime as ort
import pytest
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from sim2arm.policies.bc import BcCfg, BcNetwork, chunk_error
from sim2arm.policies.bundle import RANDOM_OPERATORS, onnx_facts
from sim2arm.policies.encoders import VECTOR, PictureError
from sim2arm.policies.observation_encoder import ObservationEncoder

SMALL = BcCfg(chunk=6, history=2, hidden=(64,))


def observations(count: int, history: int, seed: int = 0, side: int = 24) -> dict[str, Tensor]:
    random = torch.Generator().manual_seed(seed)
    pictures = (count, history, side, side, 3)
    return {
        VECTOR: torch.randn((count, history, 5), generator=random),
        "scene": torch.randint(0, 256, pictures, generator=random, dtype=torch.uint8),
        "field": torch.randn((count, history, 2, 6, 4, 3), generator=random),
    }


class Flat(nn.Module):
    """A network whose arrays come one by one, as graphs want them."""

    def __init__(self, network: nn.Module, seen: list[str], noises: list[str]) -> None:
        super().__init__()
        self.network, self.seen, self.noises = network, seen, noises

    def forward(self, *arrays: Tensor) -> Tensor:
        obs = dict(zip(self.seen, arrays[: len(self.seen)], strict=True))
        return self.network(obs, dict(zip(self.noises, arrays[len(self.seen) :], strict=True)))


def in_onnx(
    network: nn.Module, obs: Mapping[str, Tensor], noise: Mapping[str, Tensor]
) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Return what torch and onnxruntime answer, of a graph without random operators."""
    flat = Flat(network, list(obs), list(noise)).eval()
    arrays = (*obs.values(), *noise.values())
    names = [f"input_{i}" for i in range(len(arrays))]
    with torch.no_grad():
        expected = flat(*arrays).numpy()
        example = tuple(torch.zeros_like(array) for array in arrays)
        program = torch.onnx.export(
            flat, example, dynamo=True, opset_version=20, input_names=names, verbose=False
        )
    assert program is not None
    model = program.model_proto.SerializeToString()
    assert not RANDOM_OPERATORS & onnx_facts(model).operators
    session = ort.InferenceSession(model, providers=["CPUExecutionProvider"])
    feed = {name: array.numpy() for name, array in zip(names, arrays, strict=True)}
    return expected, np.asarray(session.run(None, feed)[0])


def test_errors_by_hand() -> None:
    """Distances 1, 2 and 3 of numbers that count: mean 2, mean square 14/3; 99 does not count."""
    found = torch.tensor([[[1.0], [2.0]], [[-3.0], [99.0]]])
    padded = torch.tensor([[False, False], [False, True]])
    zero = torch.zeros_like(found)
    assert float(chunk_error(found, zero, padded, "l1")) == pytest.approx(2.0)
    assert float(chunk_error(found, zero, padded, "mse")) == pytest.approx(14.0 / 3.0)
    assert float(chunk_error(found, zero, torch.ones_like(padded), "l1")) == 0.0


def test_each_tick_is_seen_by_itself() -> None:
    """Of a history each tick has the code that it has alone, its vector first."""
    obs = observations(3, 2)
    encoder = ObservationEncoder(obs)
    found = encoder(obs)
    assert found.shape == (3, 2, encoder.size) and encoder.size == 5 + 2 * 64 + 2 * 64
    torch.testing.assert_close(found[..., :5], obs[VECTOR])
    picture = obs["scene"][:, 1].float() / 127.5 - 1.0  # 0 to 255 as -1 to 1
    torch.testing.assert_close(found[:, 1, 5:133], encoder.pictures["scene"](picture))
    for tick in range(2):
        alone = encoder({name: value[:, tick : tick + 1] for name, value in obs.items()})
        torch.testing.assert_close(found[:, tick : tick + 1], alone)
    with pytest.raises(PictureError, match="'scene': expected pictures of at least 20 x 20"):
        ObservationEncoder(observations(1, 1, side=16))


def test_everything_that_is_seen_changes_the_chunk() -> None:
    torch.manual_seed(0)
    obs = observations(2, 2)
    network = BcNetwork(SMALL, obs, 3).eval()
    before = network(obs)
    assert before.shape == (2, 6, 3)
    for name, value in obs.items():
        for tick in range(2):
            changed = value.clone()
            changed[:, tick] = changed[:, tick].flip(0)
            assert (network({**obs, name: changed}) - before).abs().max() > 1e-5, (name, tick)


@pytest.mark.parametrize("loss", ["l1", "mse"])
def test_padded_actions_change_nothing(loss: Any) -> None:
    obs = observations(2, 1)
    network = BcNetwork(BcCfg(chunk=4, hidden=(8,), loss=loss), obs, 3)
    chunk, padded = torch.randn(2, 4, 3), torch.zeros(2, 4, dtype=torch.bool)
    padded[:, 3] = True
    other = chunk.clone()
    other[:, 3] = 77.0
    losses = [float(network.loss(obs, c, padded)["loss"].detach()) for c in (chunk, other)]
    assert losses[0] == losses[1]


def test_it_learns_chunks_and_the_mean_of_two_ways() -> None:
    """The first number follows from the state; the second is 0.6 or -0.6, and 0 is learnt."""
    torch.manual_seed(0)
    state = torch.randn(64, 1, 3)
    way = torch.where(torch.arange(64) % 2 == 0, 0.6, -0.6)
    state, way = state.repeat_interleave(2, 0), way.repeat_interleave(2, 0)
    way[1::2] *= -1.0
    first = torch.sin(state[:, 0, :1] + torch.arange(4.0))
    chunk = torch.stack([first, way[:, None].expand(-1, 4)], dim=-1)
    network = BcNetwork(BcCfg(chunk=4, hidden=(64, 64), loss="mse"), {VECTOR: state[:1]}, 2)
    optimizer = torch.optim.AdamW(network.parameters(), lr=3e-3)
    padded = torch.zeros(128, 4, dtype=torch.bool)
    for _ in range(300):
        optimizer.zero_grad()
        network.loss({VECTOR: state}, chunk, padded)["loss"].backward()
        optimizer.step()
    with torch.no_grad():
        off = network({VECTOR: state}) - chunk
    assert float(off[..., 0].abs().mean()) < 0.05
    torch.testing.assert_close(
        (off + chunk)[..., 1].abs().max(), torch.tensor(0.0), atol=0.1, rtol=0.0
    )


def test_the_graph_does_the_same() -> None:
    torch.manual_seed(0)
    obs = observations(1, 2)
    expected, found = in_onnx(BcNetwork(SMALL, obs, 3), obs, {})
    np.testing.assert_allclose(found, expected, atol=1e-5, rtol=0.0)


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"chunk": 0}, "chunk: expected 1 or more, got 0"),
        ({"history": 0}, "history: expected 1 or more, got 0"),
        ({"hidden": (8, 0)}, r"hidden\[1\]: expected 1 or more, got 0"),
        ({"loss": "huber"}, r"loss: expected one of \('l1', 'mse'\), got 'huber'"),
        ({"dropout": 1.0}, "dropout: expected 0 to below 1, got 1.0"),
    ],
)
def test_settings_that_are_refused(change: dict[str, Any], said: str) -> None:
    with pytest.raises(ValueError, match=said):
        BcCfg(**change)
