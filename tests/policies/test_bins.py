"""Digits of actions: zooming in only ever narrows, and comes back to the cell it started from."""

# pyright: standard

from __future__ import annotations

import numpy as np
import pytest
import torch

from sim2arm.policies.bins import Zoom

ZOOMS = [Zoom(levels=levels, bins=5) for levels in (1, 2, 3, 4)] + [Zoom(levels=3, bins=11)]


def zoomed(action: float, zoom: Zoom) -> tuple[list[int], list[float], float]:
    """Return digits, what each level looked into, and the last middle, interval by interval."""
    low, high, digits, middles = -1.0, 1.0, list[int](), list[float]()
    for _ in range(zoom.levels):
        middles.append(0.5 * (low + high))
        width = (high - low) / zoom.bins
        digit = int(min(max(np.floor((action - low) / width), 0), zoom.bins - 1))
        low, high = low + digit * width, low + (digit + 1) * width
        digits.append(digit)
    return digits, middles, 0.5 * (low + high)


@pytest.mark.parametrize("zoom", ZOOMS)
def test_digits_equal_zooming_into_intervals(zoom: Zoom) -> None:
    rng = np.random.default_rng(0)
    cells = rng.integers(0, zoom.cells, 500)
    away = rng.uniform(0.05, 0.95, 500)  # from the edges, which float32 cannot tell
    actions = 2.0 * (cells + away) / zoom.cells - 1.0
    given = torch.from_numpy(actions.astype(np.float32))[:, None]
    digits = zoom.encode(given)
    middles, decoded = zoom.middles(digits), zoom.decode(digits)
    for i, action in enumerate(actions):
        wanted, looked, last = zoomed(action, zoom)
        assert digits[i, :, 0].tolist() == wanted
        np.testing.assert_allclose(middles[i, :, 0].numpy(), looked, atol=1e-6)
        np.testing.assert_allclose(decoded[i, 0].item(), last, atol=1e-6)


@pytest.mark.parametrize("zoom", ZOOMS)
def test_decoded_is_within_half_a_cell_and_encodes_to_itself(zoom: Zoom) -> None:
    generator = torch.Generator().manual_seed(0)
    actions = 2.0 * torch.rand((200_000, 1), generator=generator) - 1.0
    digits = zoom.encode(actions)
    decoded = zoom.decode(digits)
    assert (decoded - actions).abs().max() <= 1.0 / zoom.cells + 2e-7
    assert torch.equal(zoom.encode(decoded), digits)


def test_every_cell_of_an_action_by_hand() -> None:
    # 2 levels of 3 bins: 9 cells of 2/9. 0.5 lies in cell 6 (0.333 to 0.556): digits 2, 0.
    zoom = Zoom(levels=2, bins=3)
    digits = zoom.encode(torch.tensor([[0.5, -1.0, 1.0, 7.0]]))
    assert digits.tolist() == [[[2, 0, 2, 2], [0, 0, 2, 2]]]
    expected = torch.tensor([[4.0 / 9.0, -8.0 / 9.0, 8.0 / 9.0, 8.0 / 9.0]])
    torch.testing.assert_close(zoom.decode(digits), expected)
    middles = torch.tensor([[[0.0, 0, 0, 0], [2 / 3, -2 / 3, 2 / 3, 2 / 3]]])
    torch.testing.assert_close(zoom.middles(digits), middles)


def test_greater_actions_have_no_smaller_cells() -> None:
    zoom = Zoom()
    actions = torch.linspace(-1.0, 1.0, 10_001)[:, None]
    cells = zoom.cell(zoom.encode(actions))[:, 0]
    assert (cells.diff() >= 0).all() and len(cells.unique()) == zoom.cells


@pytest.mark.parametrize(("levels", "bins"), [(0, 5), (3, 1), (9, 5)])
def test_what_tells_nothing_apart_is_refused(levels: int, bins: int) -> None:
    with pytest.raises(ValueError, match=r"^levels, bins: "):
        Zoom(levels=levels, bins=bins)
