"""Convolutions over few ticks: what torch computes, forth and back; how their weights lie."""

# pyright: standard

import copy
from collections.abc import Callable

import pytest
import torch
from torch import nn

from sim2arm.policies.learner import load_optimizer, optimizer_state
from sim2arm.policies.tick_conv import TickConv, TickGrow, meetings

PAIRS: dict[str, tuple[Callable[[], nn.Module], Callable[[], nn.Module]]] = {
    "as many ticks": (lambda: TickConv(6, 4, 5), lambda: nn.Conv1d(6, 4, 5, padding=2)),
    "one place": (lambda: TickConv(6, 4, 1), lambda: nn.Conv1d(6, 4, 1)),
    "half": (lambda: TickConv(6, 6, 3, 2), lambda: nn.Conv1d(6, 6, 3, stride=2, padding=1)),
    "twice": (lambda: TickGrow(6), lambda: nn.ConvTranspose1d(6, 6, 4, stride=2, padding=1)),
}


def test_who_meets_whom_by_hand() -> None:
    """Of 4 ticks: place 0 of 5 is two earlier, which only ticks 2 and 3 have; place 4 two later."""
    found = {place: (short, long) for place, short, long in meetings(4, 5, 1, 2)}
    assert found[0] == (slice(2, 4), slice(0, 2, 1))
    assert found[2] == (slice(0, 4), slice(0, 4, 1))
    assert found[4] == (slice(0, 2), slice(2, 4, 1))
    # of 1 tick only the middle meets anything
    assert [place for place, _, _ in meetings(1, 5, 1, 2)] == [2]
    # half of 4 ticks: ticks 0 and 1 stand at 0 and 2, place 0 of 3 one earlier
    found = {place: (short, long) for place, short, long in meetings(4, 3, 2, 1)}
    assert found[0] == (slice(1, 2), slice(1, 2, 2))
    assert found[2] == (slice(0, 2), slice(1, 4, 2))


@pytest.mark.parametrize("rows", [1, 3])
@pytest.mark.parametrize("name", PAIRS)
def test_it_does_what_torch_does(name: str, rows: int) -> None:
    """From the same seed they are the same layer; answers and slopes differ by rounding."""
    built: list[nn.Module] = []
    for make in PAIRS[name]:
        torch.manual_seed(0)
        built.append(make())
    for ticks in (1, 2, 3, 4, 7, 16):
        if name == "half" and ticks < 2:
            continue
        given = torch.randn(rows, 6, ticks)
        slope = None
        found: list[list[torch.Tensor]] = []
        for module in built:
            x = given.clone().requires_grad_()
            answer = module(x)
            slope = torch.randn_like(answer) if slope is None else slope
            answer.backward(slope)
            assert x.grad is not None
            slopes = [p.grad for p in module.parameters() if p.grad is not None]
            assert len(slopes) == 2
            found.append([answer, x.grad, *slopes])
            module.zero_grad()
        for mine, its in zip(*found, strict=True):
            torch.testing.assert_close(mine, its, atol=1e-5, rtol=1e-5)


def test_a_first_layer_needs_no_slopes_of_what_it_sees() -> None:
    module, x = TickConv(6, 4, 5), torch.randn(3, 6, 8)
    module(x).sum().backward()
    assert x.grad is None and module.weight.grad is not None


def test_weights_lie_channels_last_and_stay_so() -> None:
    module = TickConv(6, 4, 5)
    assert module.weight.shape == (4, 6, 5) and module.weight.stride() == (30, 1, 6)
    other = copy.deepcopy(module)
    other.load_state_dict({n: v.contiguous() for n, v in module.state_dict().items()})
    module(torch.randn(2, 6, 8)).sum().backward()
    assert other.weight.stride() == (30, 1, 6)
    assert module.weight.grad is not None and module.weight.grad.stride() == (30, 1, 6)
    torch.testing.assert_close(other.weight, module.weight, rtol=0, atol=0)


def test_a_fused_optimiser_goes_on_with_them() -> None:
    """It goes by place in memory, where a checkpoint lies otherwise; a plain one does the same."""
    torch.manual_seed(0)
    first = TickConv(6, 4, 5)
    modules = {fused: copy.deepcopy(first) for fused in (False, True)}
    slopes = [torch.randn(4, 6, 5) for _ in range(4)]
    for fused, module in modules.items():
        optimizer = torch.optim.AdamW(module.parameters(), lr=0.1, fused=fused)
        for step, slope in enumerate(slopes):
            module.weight.grad = torch.empty_like(module.weight).copy_(slope)
            optimizer.step()
            if step == 1:
                state = {n: v.contiguous() for n, v in optimizer_state(optimizer).items()}
                optimizer = torch.optim.AdamW(module.parameters(), lr=0.1, fused=fused)
                load_optimizer(optimizer, state)
    torch.testing.assert_close(modules[True].weight, modules[False].weight, atol=1e-6, rtol=0)
