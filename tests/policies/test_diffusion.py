"""Diffusion policies: samplers, what they learn that regression does not, pictures, the graph."""

# pyright: standard

from collections.abc import Mapping
from dataclasses import replace
from typing import Any, Literal

import numpy as np
import onnx
import onnxruntime as ort
import pytest
import torch
from torch import Tensor, nn

from sim2arm.policies.bundle import RANDOM_OPERATORS
from sim2arm.policies.diffusion import UNROLLED, DiffusionCfg, DiffusionNetwork, diffusion_loss
from sim2arm.policies.encoders import VECTOR
from sim2arm.policies.export import OPSET
from sim2arm.policies.keypoint_encoder import KeypointEncoder, crop_anywhere, crop_middle
from sim2arm.policies.networks import PictureError

SMALL = DiffusionCfg(
    chunk=4, dims=(16, 32), dim=32, layers=2, heads=2, step_dim=16, dropout=0.0, sampler_steps=5,
    width=16, keypoints=8, picture=8,
)  # fmt: skip
ONE = {VECTOR: torch.zeros(1, 2, 1)}


def observations(count: int, seed: int = 0) -> dict[str, Tensor]:
    random = torch.Generator().manual_seed(seed)
    size = (count, 2, 64, 64, 3)
    return {
        VECTOR: torch.randn((count, 2, 5), generator=random),
        "scene": torch.randint(0, 256, size, generator=random, dtype=torch.uint8),
        "touch_field": torch.randn((count, 2, 2, 6, 4, 3), generator=random),
    }


def noise_for(network: DiffusionNetwork, count: int, seed: int = 0) -> dict[str, Tensor]:
    random = torch.Generator().manual_seed(seed)
    shapes = network.cfg.noises(network.shape[1])
    return {name: torch.randn((count, *s), generator=random) for name, s in shapes.items()}


class Oracle(nn.Module):
    """A denoiser that knows what is clean."""

    def __init__(self, clean: Tensor, kept: Tensor) -> None:
        super().__init__()
        self.clean, self.kept = clean, kept

    def forward(self, noisy: Tensor, at: Tensor, seen: Tensor) -> Tensor:
        kept = self.kept[at.long()]
        return (noisy - kept.sqrt() * self.clean) / (1.0 - kept).sqrt()


class Silent(nn.Module):
    """A denoiser that finds no noise."""

    def forward(self, noisy: Tensor, at: Tensor, seen: Tensor) -> Tensor:
        return torch.zeros_like(noisy)


@pytest.mark.parametrize("sampler", ["ddpm", "ddim"])
@pytest.mark.parametrize("count", [1, 8, 100])
def test_who_knows_the_noise_finds_what_is_clean(
    sampler: Literal["ddpm", "ddim"], count: int
) -> None:
    network = DiffusionNetwork(replace(SMALL, sampler=sampler, sampler_steps=count), ONE, 3)
    clean = torch.rand(2, 4, 3) * 2.0 - 1.0
    network.denoiser = Oracle(clean, network.kept)
    with torch.no_grad():
        found = network({VECTOR: torch.zeros(2, 2, 1)}, noise_for(network, 2))
    torch.testing.assert_close(found, clean, atol=1e-4, rtol=0.0)


def test_the_sampler_by_hand() -> None:
    """Where no noise is found the one step, at 0, divides by the root of its share and cuts."""
    cfg = replace(SMALL, sampler_steps=1, clip=0.75)
    network = DiffusionNetwork(cfg, ONE, 1)
    network.denoiser = Silent()
    start = torch.tensor([0.5, -0.5, 2.0, -2.0])[None, :, None]
    found = network({VECTOR: torch.zeros(1, 2, 1)}, {"noise_start": start})
    root = float(network.kept[0].sqrt())
    torch.testing.assert_close(found[0, :, 0], torch.tensor([0.5 / root, -0.5 / root, 0.75, -0.75]))


def test_noises_are_declared() -> None:
    shapes = {
        "ddim": {"noise_start": (4, 3)},
        "ddpm": {"noise_start": (4, 3), "noise_steps": (5, 4, 3)},
    }
    for sampler, expected in shapes.items():
        assert replace(SMALL, sampler=sampler).noises(3) == expected
    assert replace(SMALL, denoise=False).noises(3) == {}
    assert (SMALL.past, SMALL.scaling, DiffusionCfg().history) == (1, "range", 2)


def test_the_loss_by_hand() -> None:
    """Errors 1 and 3 squared: mean 5 of both, 1 where the second is left out, 0 where all are."""
    found, target = torch.tensor([[[1.0], [5.0]]]), torch.tensor([[[0.0], [2.0]]])
    assert float(diffusion_loss(found, target, None)) == 5.0
    assert float(diffusion_loss(found, target, torch.tensor([[False, True]]))) == 1.0
    assert float(diffusion_loss(found, target, torch.tensor([[True, True]]))) == 0.0


@pytest.mark.parametrize("masked", [False, True])
def test_padded_actions_count_as_published(masked: bool) -> None:
    """Only the last action is another. Of regression, where actions are no input."""
    torch.manual_seed(0)
    network = DiffusionNetwork(replace(SMALL, masked=masked, denoise=False), ONE, 3)
    padded, chunk = torch.tensor([[False] * 3 + [True]] * 2), torch.randn(2, 4, 3)
    obs, other = {VECTOR: torch.zeros(2, 2, 1)}, chunk.clone()
    other[:, 3] += 1.0
    losses = [float(network.loss(obs, c, padded)["loss"].detach()) for c in (chunk, other)]
    assert (losses[0] == losses[1]) is masked


def test_losses_follow_their_generator() -> None:
    """And not the global one."""
    torch.manual_seed(0)
    network, obs = DiffusionNetwork(SMALL, observations(1), 3), observations(2)
    chunk, padded = torch.rand(2, 4, 3), torch.zeros(2, 4, dtype=torch.bool)
    found: list[float] = []
    for seed in (1, 1, 2):
        random = torch.Generator().manual_seed(seed)
        found.append(float(network.loss(obs, chunk, padded, random)["loss"].detach()))
    assert found[0] == found[1] != found[2]


def learnt(cfg: DiffusionCfg, steps: int, lr: float) -> Tensor:
    """Return 256 chunks (256, T) learnt of chunks that are all 1 or all -1, by a coin."""
    torch.manual_seed(0)
    network, random = DiffusionNetwork(cfg, ONE, 1), torch.Generator().manual_seed(0)
    optimizer = torch.optim.AdamW(network.parameters(), lr=lr)
    obs, padded = {VECTOR: torch.zeros(64, 2, 1)}, torch.zeros(64, cfg.chunk, dtype=torch.bool)
    for _ in range(steps):
        coin = 2.0 * torch.randint(2, (64, 1, 1), generator=random) - 1.0
        loss = network.loss(obs, coin.expand(-1, cfg.chunk, -1), padded, random)["loss"]
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    network.eval()
    with torch.no_grad():
        return network({VECTOR: torch.zeros(256, 2, 1)}, noise_for(network, 256))[..., 0]


@pytest.mark.parametrize(
    ("change", "steps"),
    [
        ({"denoiser": "perceptron"}, 300),
        ({"denoiser": "perceptron", "sampler": "ddpm", "sampler_steps": 20}, 300),
        ({"denoiser": "unet", "dims": (16,), "prediction": "v"}, 120),
    ],
)
def test_where_two_things_were_done_it_does_one_of_them(change: dict[str, Any], steps: int) -> None:
    found = learnt(replace(SMALL, **change), steps, lr=5e-3)
    ups = (found.mean(dim=1) > 0.0).float().mean()
    assert 0.3 < float(ups) < 0.7
    assert float((found.abs() - 1.0).abs().mean()) < 0.25
    assert float((found.sign().sum(dim=1).abs() == SMALL.chunk).float().mean()) > 0.95


def test_regression_does_their_mean() -> None:
    found = learnt(replace(SMALL, denoiser="perceptron", denoise=False), 200, lr=3e-3)
    assert float(found.abs().max()) < 0.3


@pytest.mark.parametrize("denoiser", ["unet", "transformer", "perceptron"])
def test_everything_that_is_seen_changes_the_chunk(denoiser: str) -> None:
    """At each tick; a policy that is not in training answers the same twice."""
    torch.manual_seed(0)
    cfg = replace(SMALL, denoiser=denoiser, clip=None)
    obs = observations(2)
    network = DiffusionNetwork(cfg, obs, 3).eval()
    noise = noise_for(network, 2)
    with torch.no_grad():
        before = network(obs, noise)
        torch.testing.assert_close(network(obs, noise), before, atol=0.0, rtol=0.0)
        for name, value in obs.items():
            for tick in range(2):
                changed = value.clone()
                changed[:, tick] = value[:, tick].flip(0)
                other = network({**obs, name: changed}, noise)
                assert (other - before).abs().max() > 1e-6, (name, tick)
        other = network(obs, {"noise_start": noise["noise_start"].flip(0)})
        assert (other - before).abs().max() > 1e-4


def test_fields_have_their_names_in_the_module() -> None:
    """`chunks.ChunkPolicy` finds their normalisers by them."""
    names = dict(DiffusionNetwork(SMALL, observations(1), 3).named_modules())
    assert "encoder.fields.touch_field" in names


def test_crops() -> None:
    """The middle of 6 x 9 begins at (1, 2) for 4 x 5; anywhere: each is a part of its picture."""
    pictures = torch.arange(20 * 6 * 9).reshape(20, 6, 9, 1)
    middle = crop_middle(pictures, 4, 5)
    assert middle.shape == (20, 4, 5, 1) and middle[0, 0, 0] == 9 + 2
    found = crop_anywhere(pictures, 4, 5, torch.Generator().manual_seed(0))
    first = (found[:, :1, :1] - pictures[:, :1, :1]).flatten()
    tops, lefts = first // 9, first % 9
    assert set(tops.tolist()) == {0, 1, 2} and set(lefts.tolist()) == {0, 1, 2, 3, 4}
    for picture, part, top, left in zip(pictures, found, tops, lefts, strict=True):
        torch.testing.assert_close(part, picture[top : top + 4, left : left + 5])
    same = crop_anywhere(pictures, 6, 9)
    torch.testing.assert_close(same, pictures)


def test_pictures_are_cropped_anywhere_only_in_training() -> None:
    torch.manual_seed(0)
    obs = observations(1)
    encoder = KeypointEncoder(obs, width=16, keypoints=8, picture=8, crop=0.9)
    assert encoder.size == 5 + 8 + 2 * 64 and encoder(obs).shape == (1, 2, encoder.size)
    rows = [encoder(obs, torch.Generator().manual_seed(seed)) for seed in range(4)]
    assert any((row - rows[0]).abs().max() > 1e-6 for row in rows[1:])
    encoder.eval()
    rim = {**obs, "scene": obs["scene"].clone()}
    rim["scene"][:, :, :3] = 0  # of 64 pixels 58 are seen
    torch.testing.assert_close(encoder(rim), encoder(obs), atol=0.0, rtol=0.0)


def test_a_picture_that_features_have_one_place_of() -> None:
    obs = {**ONE, "wrist": torch.zeros((1, 2, 40, 34, 3), dtype=torch.uint8)}
    with pytest.raises(PictureError, match="'wrist': expected more than 32 pixels a side, got 36"):
        DiffusionNetwork(SMALL, obs, 3)
    DiffusionNetwork(replace(SMALL, crop=1.0), obs, 3)


class Flat(nn.Module):
    """A network with its tensors one by one, as an ONNX graph has them."""

    def __init__(self, network: DiffusionNetwork, obs: Mapping[str, Tensor]) -> None:
        super().__init__()
        self.network, self.names = network, tuple(obs)

    def forward(self, *tensors: Tensor) -> Tensor:
        seen = dict(zip(self.names, tensors, strict=False))
        names = self.network.cfg.noises(self.network.shape[1])
        noise = dict(zip(names, tensors[len(seen) :], strict=True))
        return self.network(seen, noise)


@pytest.mark.parametrize(
    "change",
    [
        {"denoiser": "unet", "sampler": "ddpm", "sampler_steps": 2},
        {"denoiser": "transformer", "layers": 1, "sampler_steps": 3},
        {"denoiser": "perceptron", "sampler": "ddpm", "sampler_steps": 40, "layers": 1},
    ],
)
def test_the_graph_answers_like_the_network(change: dict[str, Any]) -> None:
    """In onnxruntime, for the U-Net with pictures and fields; it draws nothing itself."""
    torch.manual_seed(0)
    names = list(observations(1)) if change["denoiser"] == "unet" else [VECTOR]
    obs = {name: observations(1)[name] for name in names}
    network = DiffusionNetwork(replace(SMALL, **change), obs, 3)
    flat = Flat(network, obs).eval()
    given = (*obs.values(), *noise_for(network, 1).values())
    names += network.cfg.noises(3)
    program = torch.onnx.export(
        flat, given, dynamo=True, opset_version=OPSET, input_names=names,
        verbose=False,
    )  # fmt: skip
    assert program is not None
    model: Any = program.model_proto
    assert isinstance(model, onnx.ModelProto)
    nodes = [*model.graph.node, *(node for part in model.functions for node in part.node)]
    assert not RANDOM_OPERATORS & {node.op_type for node in nodes}
    assert ("Loop" in {node.op_type for node in nodes}) == (network.cfg.sampler_steps > UNROLLED)
    session = ort.InferenceSession(model.SerializeToString())
    for seed in range(3):
        all_of_it = observations(1, seed) | noise_for(network, 1, seed)
        feed = {name: all_of_it[name].numpy() for name in names}
        with torch.no_grad():
            expected = flat(*(all_of_it[name] for name in names)).numpy()
        found = session.run(None, feed)[0]
        np.testing.assert_allclose(np.asarray(found), expected, rtol=0.0, atol=1e-5)


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"chunk": 0}, "chunk: expected 1 or more, got 0"),
        ({"history": 0}, "history: expected 1 or more, got 0"),
        ({"history": 17}, "history: expected at most 16, the chunk that covers it, got 17"),
        ({"chunk": 10}, "chunk: expected a multiple of 4 for 3 levels of the U-Net, got 10"),
        ({"dims": ()}, "dims: expected multiples of 8"),
        ({"dims": (64, 100)}, "dims: expected multiples of 8"),
        ({"step_dim": 7}, "step_dim: expected an even number from 4, got 7"),
        ({"denoiser": "lstm"}, "denoiser: expected one of .*, got 'lstm'"),
        ({"sampler": "euler"}, "sampler: expected one of"),
        ({"prediction": "noise"}, "prediction: expected one of"),
        ({"betas": "cosine"}, "betas: expected one of"),
        ({"sampler_steps": 101}, "sampler_steps: expected at most 100 train_steps, got 101"),
        ({"clip": 0.0}, "clip: expected a number above 0 or None, got 0.0"),
        ({"crop": 1.1}, "crop: expected a share above 0, at most 1, got 1.1"),
        ({"denoiser": "transformer", "dim": 30}, "dim: expected an even number from 4 that 4 head"),
        ({"denoiser": "transformer", "dropout": 1.0}, "dropout: expected 0 to below 1, got 1.0"),
        ({"denoiser": "transformer", "film": False}, "film: the transformer has none"),
    ],
)
def test_settings_that_do_not_go_together(change: dict[str, Any], said: str) -> None:
    with pytest.raises(ValueError, match=said):
        DiffusionCfg(**change)
