"""Dropout: its share, scale and slopes; nothing is left out but in training; attention with it."""

# pyright: standard

import pytest
import torch
from torch.nn.functional import dropout

from sim2arm.policies.attention import Attention
from sim2arm.policies.dropout import Dropout, dropped


@pytest.mark.parametrize("share", [0.001, 0.1, 0.5, 0.9])
def test_share_and_scale(share: float) -> None:
    torch.manual_seed(0)
    count = 1_000_003  # the last word is not used up
    found = dropped(torch.ones(count), share)
    absent = float((found == 0.0).float().mean())
    assert absent == pytest.approx(share, abs=4.0 * (share / count) ** 0.5 + 2**-17)
    assert found.max().item() == pytest.approx(1.0 / (1.0 - share))
    # neighbours, which share a word, are independent
    left, right = (found[:-1] == 0.0).float(), (found[1:] == 0.0).float()
    assert float((left * right).mean()) == pytest.approx(share**2, abs=5.0 * (share / count) ** 0.5)


def test_places_differ_between_calls_and_follow_the_seed() -> None:
    x = torch.ones(100)
    torch.manual_seed(1)
    first, second = dropped(x, 0.5), dropped(x, 0.5)
    torch.manual_seed(1)
    assert torch.equal(first, dropped(x, 0.5)) and not torch.equal(first, second)


def test_slopes_are_those_of_what_stays() -> None:
    x = torch.randn(3, 5, requires_grad=True)
    found = dropped(x, 0.4)
    found.sum().backward()
    assert x.grad is not None
    torch.testing.assert_close(x.grad, (found != 0.0).float() / 0.6)


def test_all_and_nothing() -> None:
    x = torch.randn(10)
    assert torch.equal(dropped(x, 0.0), x) and not dropped(x, 1.0).any()
    module = Dropout(0.5)
    assert torch.equal(module.eval()(x), x) and not torch.equal(module.train()(x), x)


def test_attention_leaves_out_weights_as_torch_does() -> None:
    """Many draws have the mean of none, and the spread of torch's own."""
    torch.manual_seed(0)
    module, x = Attention(8, 2, 0.3).train(), torch.randn(1, 6, 8)
    hidden = torch.tensor([[False, False, False, False, True, True]])
    with torch.no_grad():
        many = x.expand(20_000, -1, -1)
        drawn = module(many, many, many, hidden.expand(20_000, -1))
        mean = module.eval()(x, x, x, hidden)[0]
        q, k, v = (layer(x).unflatten(-1, (2, -1)).transpose(1, 2) for layer in (
            module.query, module.key, module.value))  # fmt: skip
        weights = (q @ k.mT / 2.0).masked_fill(hidden[:, None, None], -torch.inf).softmax(-1)
        theirs = dropout(weights.expand(20_000, -1, -1, -1), 0.3) @ v
        theirs = module.out(theirs.transpose(1, 2).flatten(-2))
    torch.testing.assert_close(drawn.mean(0), mean, atol=0.02, rtol=0.0)
    torch.testing.assert_close(drawn.std(0), theirs.std(0), atol=0.02, rtol=0.05)
