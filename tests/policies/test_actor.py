"""Encoders, memory and the actor made of them: hand-computed numbers, laws, errors."""

# pyright: standard

from __future__ import annotations

import math
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from sim2arm.policies.actor import Actor, ActorCfg, forget
from sim2arm.policies.augment import Augmentation, color_matrix, crop, recolor
from sim2arm.policies.encoders import FieldEncoder, PictureEncoder, kinds_of, soft_argmax
from sim2arm.policies.networks import PictureError
from sim2arm.policies.ppo import PpoCfg
from sim2arm.policies.recurrent import Lstm

N, T = 3, 6


def make_obs(steps: int = T) -> dict[str, Tensor]:
    """Return observations (T, N, ...) of a vector, a picture and a field."""
    torch.manual_seed(0)
    return {
        "x": torch.randn(steps, N, 4),
        "eye": torch.randint(0, 256, (steps, N, 20, 24, 3), dtype=torch.uint8),
        "skin": torch.randn(steps, N, 2, 5, 4, 3),
    }


def make_actor(**changes: Any) -> Actor:
    """Return an actor of all three with random weights, larger than at a start."""
    obs = {name: value[0] for name, value in make_obs(1).items()}
    actor = Actor(PpoCfg(actor=ActorCfg(**changes), hidden=(8,), lengths=()), obs, list(obs), 2)
    with torch.no_grad():
        nn.init.normal_(actor.mlp[-1].weight)  # type: ignore[arg-type]
    return actor


def test_soft_argmax_by_hand() -> None:
    maps = torch.zeros(1, 2, 3, 5)
    maps[0, 0, 0, 4] = 100.0  # the last column of the first row: x = 1, y = -1
    # The second map is flat: the middle.
    torch.testing.assert_close(soft_argmax(maps), torch.tensor([[1.0, -1.0, 0.0, 0.0]]))
    # Two pixels in a row, scores 0 and ln 3: shares 1/4 and 3/4, x = -1/4 + 3/4; half as steep at
    # temperature 2, scores ln sqrt(3): x = (sqrt(3) - 1) / (sqrt(3) + 1).
    pair = torch.tensor([[[[0.0, math.log(3.0)], [-1e9, -1e9]]]])
    assert float(soft_argmax(pair)[0, 0]) == pytest.approx(0.5)
    root = math.sqrt(3.0)
    assert float(soft_argmax(pair, 2.0)[0, 0]) == pytest.approx((root - 1.0) / (root + 1.0))


def test_a_shifted_picture_shifts_the_places() -> None:
    # Where a feature is found moves by a pixel of the last map (2 of the picture), 2 / (13 - 1).
    torch.manual_seed(1)
    encoder = PictureEncoder("eye", (44, 44, 3))
    encoder.log_temperature.data.fill_(math.log(1e-3))  # so that borders do not matter
    picture = torch.zeros(2, 44, 44, 3)
    spot = torch.rand(8, 8, 3)
    picture[0, 18:26, 18:26], picture[1, 18:26, 20:28] = spot, spot
    out = encoder(picture).reshape(2, -1, 2)
    moved = (out[1] - out[0]).detach()
    inner = (out.detach().abs() < 0.8).all(dim=(0, 2))
    assert inner.sum() >= 5
    torch.testing.assert_close(moved[inner, 0], torch.full_like(moved[inner, 0], 2.0 / 13.0))
    torch.testing.assert_close(moved[inner, 1], torch.zeros_like(moved[inner, 1]))


def test_kinds_go_by_shape_and_type() -> None:
    obs = {name: value[0] for name, value in make_obs(1).items()}
    kinds = kinds_of(obs | {"pose": torch.zeros(N, 7)})
    assert list(kinds.vectors) == ["x", "pose"]
    assert kinds.pictures == {"eye": (20, 24, 3)}
    assert kinds.fields == {"skin": (2, 5, 4, 3)}


@pytest.mark.parametrize(
    ("obs", "message"),
    [
        (
            {"depth": torch.zeros(2, 30, 40)},
            r"no network reads 'depth', float32 of shape \(30, 40\)",
        ),
        ({"eye": torch.zeros(2, 30, 40, 3)}, r"no network reads 'eye', float32"),
        ({"eye": torch.zeros(2, 24, 24, 3, dtype=torch.uint8)}, "expected a vector"),
    ],
)
def test_what_no_network_reads(obs: dict[str, Tensor], message: str) -> None:
    with pytest.raises(PictureError, match=message):
        kinds_of(obs)


def test_pictures_and_fields_that_are_too_small() -> None:
    assert PictureEncoder("eye", (20, 20, 3)).layers(torch.zeros(1, 3, 20, 20)).shape[2:] == (2, 2)
    with pytest.raises(PictureError, match="at least 20 x 20 pixels, got 19 x 60"):
        PictureEncoder("eye", (19, 60, 3))
    with pytest.raises(PictureError, match="2 x 2 taxels or more, got 1 x 4"):
        FieldEncoder("skin", (2, 1, 4, 3))


def test_gels_share_weights_and_keep_their_place() -> None:
    encoder = FieldEncoder("skin", (2, 5, 4, 3))
    field = torch.randn(1, 2, 5, 4, 3)
    left, right = encoder(field).chunk(2, dim=1)
    swapped = encoder(field.flip(1))
    torch.testing.assert_close(swapped, torch.cat([right, left], dim=1))


def test_lstm_is_that_of_torch_while_nothing_begins() -> None:
    ours, theirs = Lstm(4, 5, 2), nn.LSTM(4, 5, 2)
    for layer in range(2):
        ours.from_input[layer].data.copy_(getattr(theirs, f"weight_ih_l{layer}"))
        ours.from_before[layer].data.copy_(getattr(theirs, f"weight_hh_l{layer}"))
        both = getattr(theirs, f"bias_ih_l{layer}") + getattr(theirs, f"bias_hh_l{layer}")
        ours.bias[layer].data.copy_(both)
    x, h, c = torch.randn(T, N, 4), torch.randn(N, 2, 5), torch.randn(N, 2, 5)
    out, last_h, last_c = ours(x, h, c)
    expected, (want_h, want_c) = theirs(x, (h.transpose(0, 1).contiguous(),
                                            c.transpose(0, 1).contiguous()))  # fmt: skip
    torch.testing.assert_close(out, expected)
    torch.testing.assert_close(last_h, want_h.transpose(0, 1))
    torch.testing.assert_close(last_c, want_c.transpose(0, 1))


@pytest.mark.parametrize("pictures", ["color", "diff", "concat"])
@pytest.mark.parametrize("lstm", [0, 6])
def test_a_sequence_is_its_steps(pictures: str, lstm: int) -> None:
    actor, obs = make_actor(lstm=lstm, lstm_layers=2, pictures=pictures), make_obs()
    begun = torch.zeros(T, N, dtype=torch.bool)
    begun[2, 0] = begun[3, 1] = begun[4, 1] = True
    memory = actor.start(N, torch.device("cpu"))
    _, memory = actor(actor.see({n: v[0] for n, v in make_obs(1).items()}), memory)  # not empty
    before, steps = memory, []
    for t in range(T):
        memory = forget(memory, begun[t])
        mean, memory = actor(actor.see({n: v[t] for n, v in obs.items()}), memory)
        steps.append(mean)
    seen = [actor.see({n: v[t] for n, v in obs.items()}) for t in range(T)]
    joined = {name: torch.stack([one[name] for one in seen]) for name in seen[0]}
    torch.testing.assert_close(actor.sequence(joined, before, begun), torch.stack(steps))


def test_gradients_do_not_cross_the_end_of_an_episode() -> None:
    lstm = Lstm(4, 5, 1)
    x = torch.randn(T, 1, 4, requires_grad=True)
    h = torch.randn(1, 1, 5, requires_grad=True)
    begun = torch.zeros(T, 1, dtype=torch.bool)
    begun[3] = True
    lstm(x, h, torch.zeros(1, 1, 5), begun)[0][3:].sum().backward()
    assert x.grad is not None and h.grad is not None
    assert not x.grad[:3].any() and not h.grad.any()
    assert x.grad[3:].abs().sum(dim=(1, 2)).min() > 0.0


def test_the_first_picture_is_kept_until_the_episode_ends() -> None:
    actor = make_actor(pictures="diff")
    obs = [{n: v[t] for n, v in make_obs().items()} for t in range(3)]
    memory = actor.start(N, torch.device("cpu"))
    for one in obs[:2]:
        _, memory = actor(actor.see(one), memory)
        assert torch.equal(memory["first_eye"], obs[0]["eye"])
    memory = forget(memory, torch.tensor([False, True, False]))
    _, memory = actor(actor.see(obs[2]), memory)
    assert torch.equal(memory["first_eye"][1], obs[2]["eye"][1])
    assert torch.equal(memory["first_eye"][::2], obs[0]["eye"][::2])
    # Of a picture that is the first one, the network is shown that nothing differs.
    start = actor.start(N, torch.device("cpu"))
    changed = obs[0] | {"eye": 255 - obs[0]["eye"]}
    torch.testing.assert_close(
        actor(actor.see(obs[0]), start)[0], actor(actor.see(changed), start)[0]
    )


def test_states_are_what_is_carried() -> None:
    actor = make_actor(lstm=6, lstm_layers=2, pictures="concat")
    start = actor.start(N, torch.device("cpu"))
    _, after = actor(actor.see({n: v[0] for n, v in make_obs(1).items()}), start)
    assert {s.name_in: ((N, *s.shape), s.dtype) for s in actor.states} == {
        name: (tuple(v.shape), str(v.dtype).removeprefix("torch.")) for name, v in after.items()
    }
    assert make_actor().states == ()


def test_settings_of_no_network() -> None:
    with pytest.raises(ValueError, match="lstm: expected 0 or more, got -1"):
        ActorCfg(lstm=-1)
    with pytest.raises(ValueError, match="lstm_layers: expected 1 or more"):
        ActorCfg(lstm_layers=0)


def test_colours_by_hand() -> None:
    grey, red = torch.full((1, 2, 2, 3), 0.4), torch.zeros(1, 1, 2, 3)
    red[..., 0] = 0.5
    twice = torch.tensor([[2.0, 1.0, 1.0, 0.0]])
    torch.testing.assert_close(recolor(grey, color_matrix(twice), twice[:, 1]), 2.0 * grey)
    # Without saturation only the luma is left: 0.299 * 0.5 in all channels.
    none = torch.tensor([[1.0, 1.0, 0.0, 1.0]])
    torch.testing.assert_close(
        recolor(red, color_matrix(none), none[:, 1]),
        torch.full_like(red, 0.1495),
        atol=2e-4,
        rtol=0,
    )
    # Grey has no hue: turning it changes nothing.
    turned = torch.tensor([[1.0, 1.0, 1.0, 2.0]])
    torch.testing.assert_close(
        recolor(grey, color_matrix(turned), turned[:, 1]), grey, atol=1e-4, rtol=0
    )
    # Contrast 0.5 about the mean 0.4 of 0.2 and 0.6: 0.3 and 0.5.
    pair = torch.tensor([0.2, 0.6]).reshape(1, 1, 2, 1).expand(1, 1, 2, 3)
    half = torch.tensor([[1.0, 0.5, 1.0, 0.0]])
    torch.testing.assert_close(
        recolor(pair, color_matrix(half), half[:, 1])[0, 0, :, 0],
        torch.tensor([0.3, 0.5]), atol=2e-4, rtol=0,
    )  # fmt: skip


def test_crop_by_hand() -> None:
    ramp = torch.arange(8.0).reshape(1, 1, 8, 1).expand(1, 4, 8, 3)
    whole = torch.tensor([[0.0, 0.0, 1.0, 1.0]])
    torch.testing.assert_close(crop(ramp, whole), ramp)
    # The right half, 4 pixels wide, from 3.5 + 1/4 in steps of a half.
    right = crop(ramp, torch.tensor([[0.5, 0.0, 0.5, 1.0]]))
    torch.testing.assert_close(right[0, 0, :7, 0], 3.75 + 0.5 * torch.arange(7.0))


def test_augmentation_is_drawn_per_episode_and_a_little_per_step() -> None:
    generator = torch.Generator().manual_seed(0)
    change = Augmentation("full", ("eye",), 32, generator)
    picture = torch.randint(0, 256, (1, 24, 24, 3), dtype=torch.uint8).expand(32, -1, -1, -1)
    obs = {"eye": picture, "x": torch.ones(32, 1)}
    begun = torch.arange(32) < 16
    first, again = change(obs, torch.ones_like(begun)), change(obs, begun)
    assert first["eye"].dtype == torch.uint8
    assert first["x"] is obs["x"]
    apart = (first["eye"].float() - again["eye"].float()).abs().mean(dim=(1, 2, 3))
    # Another episode, and the jitter of a step alone.
    assert apart[begun].mean() > 2.0 * apart[~begun].mean() > 0.0
    assert not torch.equal(first["eye"][0], first["eye"][1])
