"""Networks that tell noise: FiLM by hand, published sizes, what sees what."""

# pyright: standard

import math
from collections.abc import Callable

import pytest
import torch
from torch import Tensor, nn

from sim2arm.policies.diffusion_transformer import DiffusionTransformer
from sim2arm.policies.film import Condition, Film, PerceptronDenoiser, waves
from sim2arm.policies.unet import UNet

CHUNK, SEEN = (8, 3), (2, 5)
DENOISERS: dict[str, Callable[[], nn.Module]] = {
    "unet": lambda: UNet(3, 10, (16, 32), 8, True),
    "unet, joined": lambda: UNet(3, 10, (16, 32), 8, False),
    "transformer": lambda: DiffusionTransformer(CHUNK, SEEN, 32, 4, 2, 0.0),
    "perceptron": lambda: PerceptronDenoiser(CHUNK, 10, 32, 2, 8, True),
    "perceptron, joined": lambda: PerceptronDenoiser(CHUNK, 10, 32, 2, 8, False),
}


def count(network: nn.Module) -> int:
    return sum(p.numel() for p in network.parameters())


def test_film_by_hand() -> None:
    """Two channels: stretched by the first number and by 3, shifted by the second and by -1."""
    film = Film(2, 2)
    with torch.no_grad():
        film.layer.weight.copy_(torch.tensor([[1.0, 0.0], [0.0, 0.0], [0.0, 1.0], [0.0, 0.0]]))
        film.layer.bias.copy_(torch.tensor([0.0, 3.0, 0.0, -1.0]))
        found = film(torch.tensor([[[10.0, 20.0], [1.0, 2.0]]]), torch.tensor([[0.5, 7.0]]))
    torch.testing.assert_close(found, torch.tensor([[[12.0, 17.0], [2.0, 5.0]]]))


def test_steps_go_through_a_perceptron() -> None:
    """16 hidden units of mish(1) = tanh(log(1 + e)) = 0.865098, each twice, and 0.5."""
    condition = Condition(4, 3)
    for layer, bias in ((condition.first, 1.0), (condition.second, 0.5)):
        nn.init.zeros_(layer.weight)
        nn.init.constant_(layer.bias, bias)
    nn.init.constant_(condition.second.weight, 2.0)
    seen = torch.tensor([[[1.0], [2.0], [3.0]], [[4.0], [5.0], [6.0]]])
    found = condition(torch.tensor([9.0]), seen)
    step = 16 * 2.0 * 0.865098 + 0.5
    expected = [[step] * 4 + [1.0, 2.0, 3.0], [step] * 4 + [4.0, 5.0, 6.0]]
    torch.testing.assert_close(found, torch.tensor(expected), atol=1e-4, rtol=0.0)


def test_steps_as_waves_by_hand() -> None:
    """Of 4 numbers: sines, then cosines, of the step and of a 10 000th of it."""
    expected = [[0.0, 0.0, 1.0, 1.0],
                [math.sin(3.0), math.sin(3e-4), math.cos(3.0), math.cos(3e-4)]]  # fmt: skip
    torch.testing.assert_close(waves(torch.tensor([0.0, 3.0]), 4), torch.tensor(expected))


def test_the_unet_has_the_published_size() -> None:
    """Dims 256, 512, 1024, actions of 2, 2 ticks of 20: 65.8 million, as in theirs.

    By formula: a block is two convolutions of 5 with norms, FiLM, and 1 x 1 where sizes differ.
    """
    condition = 256 + 2 * 20
    total = (256 + 1) * 1024 + (1024 + 1) * 256  # the step
    down = [(2, 256), (256, 512), (512, 1024)]
    for before, after in [*down, (1024, 1024), (2048, 512), (1024, 256)]:
        for size in (before, after):
            total += (5 * size + 3) * after + (5 * after + 3) * after
            total += (condition + 1) * 2 * after
            total += (size + 1) * after if size != after else 0
    total += sum((3 * d + 1) * d for d in (256, 512))  # half as long
    total += sum((4 * d + 1) * d for d in (512, 256))  # twice as long
    total += (5 * 256 + 3) * 256 + (256 + 1) * 2  # the end
    assert total == 65_783_298
    assert count(UNet(2, 40, (256, 512, 1024), 256, True)) == total


def test_the_transformer_has_the_published_size() -> None:
    """8 layers of 256, chunks of 10 actions of 2, 2 ticks of 20: 8.96 million, as in theirs.

    By formula: 8 layers of 8 attention maps, a perceptron 4 times as wide and 3 norms.
    """
    feed = (256 + 1) * 1024 + (1024 + 1) * 256
    total = 8 * (8 * (256 + 1) * 256 + feed + 3 * 512) + feed + 512
    total += (2 + 1) * 256 + (20 + 1) * 256 + (256 + 1) * 2 + (10 + 3) * 256
    assert total == 8_963_586
    assert count(DiffusionTransformer((10, 2), (2, 20), 256, 4, 8, 0.3)) == total


@pytest.mark.parametrize("name", DENOISERS)
def test_all_that_is_given_counts(name: str) -> None:
    """Each number of noise, step and observation; one step for all rows is one for each."""
    torch.manual_seed(0)
    network = DENOISERS[name]().eval()
    noisy, at, seen = torch.randn(2, *CHUNK), torch.tensor([3.0, 3.0]), torch.randn(2, *SEEN)
    with torch.no_grad():
        before = network(noisy, at, seen)
        assert before.shape == (2, *CHUNK)
        torch.testing.assert_close(network(noisy, at[:1], seen), before)
        assert (network(noisy, at + 40.0, seen) - before).abs().min(dim=0).values.max() > 1e-4
        for given in (noisy, seen):
            for place in range(given[0].numel()):
                given.view(2, -1)[0, place] += 1.0
                change = (network(noisy, at, seen) - before).abs()
                given.view(2, -1)[0, place] -= 1.0
                assert change[0].max() > 1e-6 and change[1].max() < 1e-5, (name, place)


def test_actions_do_not_see_later_ones() -> None:
    """Nor what was seen after their own tick; all see earlier ones."""
    torch.manual_seed(0)
    network = DiffusionTransformer(CHUNK, (3, 5), 32, 4, 2, 0.0).eval()
    noisy, at, seen = torch.randn(1, *CHUNK), torch.tensor([3.0]), torch.randn(1, 3, 5)
    before = network(noisy, at, seen)
    for given in (noisy, seen):
        for place in range(given.shape[1]):
            other = given.clone()
            other[:, place] += 1.0
            pair = (other, seen) if given is noisy else (noisy, other)
            change = (network(pair[0], at, pair[1]) - before).abs().amax(dim=(0, 2))
            assert change[:place].sum() == 0.0 and (change[place:] > 1e-7).all(), place


def test_an_action_of_a_unet_sees_all_others() -> None:
    torch.manual_seed(0)
    network, seen = UNet(3, 10, (16, 32), 8, True).eval(), torch.randn(1, *SEEN)
    noisy: Tensor = torch.randn(1, 16, 3, requires_grad=True)
    network(noisy, torch.tensor([3.0]), seen)[0, 0].sum().backward()
    assert noisy.grad is not None and (noisy.grad.abs().amax(dim=(0, 2)) > 1e-9).all()


@pytest.mark.parametrize("dims", [(), (16, 20)])
def test_channels_that_groups_do_not_divide(dims: tuple[int, ...]) -> None:
    with pytest.raises(ValueError, match="dims: expected multiples of 8, got"):
        UNet(3, 10, dims, 8, True)


def test_heads_that_do_not_divide_tokens() -> None:
    with pytest.raises(ValueError, match="heads: expected a divisor of 32, got 5"):
        DiffusionTransformer(CHUNK, SEEN, 32, 5, 1, 0.0)
