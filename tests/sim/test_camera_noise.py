"""Noise of cameras: what it adds up to, that it is an episode's own, JPEG beside libjpeg's."""

# pyright: standard

import io
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

from sim2arm.sim.camera_noise import (
    ColourCamera,
    ColourNoise,
    DepthCamera,
    DepthNoise,
    in_shadow,
    light_to_srgb,
    srgb_to_light,
)
from sim2arm.sim.cameras import scene_camera
from sim2arm.sim.jpeg import jpeg

CPU = torch.device("cpu")
CAMERA = scene_camera()


def everywhere(n: int) -> torch.Tensor:
    return torch.ones(n, dtype=torch.bool)


def make_colour(n: int, unit: list[float] | None = None, **overrides: Any) -> ColourCamera:
    camera = ColourCamera(ColourNoise(**overrides), n, CPU)
    drawn = torch.tensor([unit or [0.5, 0.5, 0.5, 0.0]] * n, dtype=torch.float64)
    drawn[:, 3] += torch.arange(n, dtype=torch.float64) / n  # a seed each
    camera.start(everywhere(n), drawn)
    return camera


def make_depth(n: int, **overrides: Any) -> DepthCamera:
    camera = DepthCamera(DepthNoise(**overrides), CAMERA, n, CPU)
    camera.start(everywhere(n), torch.arange(n, dtype=torch.float64)[:, None] / n)
    return camera


def grey(value: int, n: int = 1, size: int = 64) -> torch.Tensor:
    return torch.full((n, size, size, 3), value, dtype=torch.uint8)


def test_without_noise_a_picture_stays() -> None:
    every = torch.arange(256, dtype=torch.uint8).reshape(1, 16, 16, 1).expand(1, 16, 16, 3)
    camera = make_colour(1, shot=0.0, read=0.0)
    assert torch.equal(camera.take(every), every)


def test_srgb_by_hand_and_back() -> None:
    # IEC 61966-2-1: 0.5 is 0.2140 of full light; 0.02 lies on the straight piece, 0.02 / 12.92.
    np.testing.assert_allclose(srgb_to_light(torch.tensor([0.5, 0.02])), [0.21404, 0.001548], 1e-3)
    values = torch.linspace(0.0, 1.0, 50, dtype=torch.float64)
    torch.testing.assert_close(light_to_srgb(srgb_to_light(values)), values, atol=1e-6, rtol=0)


def test_exposure_and_white_balance() -> None:
    # Unit 1 of the exposure is +1 stop: twice the light. 0.2140 of light, 127.5 of 255, becomes
    # 0.428, which is sRGB 0.6857, 174.8. Red gets 1.2, blue 0.8 more: 0.5137 -> 0.7427, 189;
    # 0.3425 -> 0.6209, 158.
    camera = make_colour(1, [1.0, 1.0, 0.0, 0.0], stops=1.0, white=0.2, shot=0.0, read=0.0)
    seen = camera.take(grey(128))[0, 0, 0].tolist()
    np.testing.assert_allclose(seen, [190, 175, 159], atol=1)


def test_shot_noise_has_its_variance() -> None:
    camera = make_colour(4, shot=4e-3, read=0.01)
    light = srgb_to_light(camera.take(grey(180, 4)).double() / 255.0)
    level = float(srgb_to_light(torch.tensor(180 / 255.0)))
    # 49 152 samples: 3 standard errors are 1 % of the deviation.
    assert float(light.std()) == pytest.approx((4e-3 * level + 0.01**2) ** 0.5, rel=0.02)
    assert float(light.mean()) == pytest.approx(level, abs=0.002)
    channels = light.reshape(-1, 3).T
    assert np.abs(np.corrcoef(channels) - np.eye(3)).max() < 0.03


def test_noise_is_the_episodes_own() -> None:
    unit = torch.tensor([[0.5, 0.5, 0.5, 0.1], [0.5, 0.5, 0.5, 0.9], [0.5, 0.5, 0.5, 0.1]])
    many, one = (ColourCamera(ColourNoise(), n, CPU) for n in (3, 1))
    many.start(everywhere(3), unit)
    one.start(everywhere(1), unit[:1])
    first = many.take(grey(90, 3))
    assert torch.equal(first[0], first[2]) and torch.equal(first[:1], one.take(grey(90)))
    assert not torch.equal(first[0], first[1])
    second = many.take(grey(90, 3))
    assert not torch.equal(first[0], second[0])
    many.start(torch.tensor([True, False, False]), unit)  # once more from its start
    third = many.take(grey(90, 3))
    assert torch.equal(third[0], first[0]) and not torch.equal(third[2], first[2])


def photograph(seed: int, height: int, width: int) -> np.ndarray:
    """Smooth hills with edges, so that every frequency occurs."""
    rng = np.random.default_rng(seed)
    coarse = torch.from_numpy(rng.uniform(0, 255, (1, 3, 6, 7)))
    hills = torch.nn.functional.interpolate(coarse, (height, width), mode="bicubic")[0]
    picture = hills.permute(1, 2, 0).numpy().clip(0, 255)
    picture[height // 3 : height // 2, width // 4 : width // 2] = (200, 40, 30)
    return (picture + rng.normal(0, 3, picture.shape)).clip(0, 255).astype(np.uint8)


@pytest.mark.parametrize("quality", [15, 50, 75, 95])
def test_jpeg_is_libjpegs(quality: int) -> None:
    picture = photograph(quality, 83, 90)  # no multiples of 8
    file = io.BytesIO()
    Image.fromarray(picture).save(file, "JPEG", quality=quality, subsampling=2)
    theirs = np.array(Image.open(file)).astype(int)
    ours = jpeg(torch.from_numpy(picture)[None], quality)[0].numpy().astype(int)
    loss = np.abs(theirs - picture).mean()
    assert loss > 1.0
    # Their cosines and colours are whole numbers, which tips coefficients that lie between steps.
    assert np.abs(ours - theirs).mean() < 0.2 * loss
    assert (np.abs(ours - theirs) > 8).mean() < 0.003


def test_a_flat_grey_survives_jpeg() -> None:
    assert (jpeg(grey(128, 2, 16), 50) == 128).all()


def test_quality_of_a_colour_camera_is_used() -> None:
    picture = torch.from_numpy(photograph(0, 64, 64))[None]
    plain, packed = (make_colour(1, quality=q).take(picture) for q in (None, 30))
    assert torch.equal(jpeg(plain, 30), packed)


def test_depth_without_noise_stays_but_for_what_cannot_be_seen() -> None:
    camera = make_depth(1, deviation=0.0, step=0.0, unit=1e-6, lost=0.0)
    depth = torch.full((1, 84, 84), 0.8)
    depth[0, :10] = 0.0  # nothing there
    depth[0, 10:20] = 20.0  # too far
    depth[0, 20:30] = 0.2  # disparity 621 * 0.05 / 0.2 = 155 of 126
    seen = camera.take(depth)
    assert (seen[0, :30] == 0).all()
    torch.testing.assert_close(seen[0, 30:], depth[0, 30:], atol=2e-6, rtol=0)


def test_depth_error_grows_with_the_square() -> None:
    camera = make_depth(64, blob=1, step=0.0, unit=1e-6, lost=0.0)
    reach = CAMERA.intrinsics.fx * 0.05
    for z in (0.5, 1.0):
        error = camera.take(torch.full((64, 84, 84), z))[:, :, 40:] - z
        assert float(error.std()) == pytest.approx(0.08 * z * z / reach, rel=0.03)


def test_depth_comes_in_steps() -> None:
    camera = make_depth(1, deviation=0.0, lost=0.0, unit=1e-6)
    depth = torch.linspace(0.5, 3.0, 84).expand(1, 84, 84).flip(-1).contiguous()
    seen = camera.take(depth)
    steps = CAMERA.intrinsics.fx * 0.05 / seen[seen > 0] * 32.0
    torch.testing.assert_close(steps, steps.round(), atol=2e-3, rtol=0)
    assert float((depth - seen)[seen > 0].abs().max()) > 1e-3
    millimetres = make_depth(1, deviation=0.0, lost=0.0, step=0.0).take(depth) * 1000.0
    torch.testing.assert_close(millimetres, millimetres.round(), atol=1e-3, rtol=0)


def test_lost_squares() -> None:
    camera = make_depth(200, lost=0.1, blob=4)
    seen = camera.take(torch.full((200, 84, 84), 1.0))[:, :, 40:84]
    squares = seen.unflatten(1, (21, 4)).unflatten(3, (11, 4)) == 0.0
    share = squares.double().mean(dim=(2, 4))
    assert ((share == 0.0) | (share == 1.0)).all()
    assert float(share.mean()) == pytest.approx(0.1, abs=0.01)


def test_the_shadow_of_a_near_thing_by_hand() -> None:
    # Background 1 pixel, a thing of 4 pixels in columns 6 and 7. Right picture: the thing lies at
    # 2 and 3; the background of columns 3, 4 too, and that of columns 5 (at 4) is seen. Column 0
    # lies at -1, beyond the edge.
    disparity = torch.tensor([[[1.0, 1, 1, 1, 1, 1, 4, 4, 1, 1]]])
    hidden = in_shadow(disparity)[0, 0].tolist()
    # Columns 3 to 5 are hidden: 3 lies at 2, where the thing is, 4 at 3; of 5, at 4, the thing's
    # right edge at 3 is farther left, so order is lost: no match either.
    assert hidden == [True, False, False, True, True, True, False, False, False, False]
    assert in_shadow(disparity, margin=1.0)[0, 0, 0].item() is False


@pytest.mark.parametrize(
    ("make", "wrong", "text"),
    [
        (ColourNoise, {"quality": 0}, "expected 1 to 100"),
        (ColourNoise, {"white": 1.0}, "white"),
        (ColourNoise, {"shot": -1.0}, "shot"),
        (DepthNoise, {"baseline": 0.0}, "baseline"),
        (DepthNoise, {"lost": 1.0}, "lost"),
        (DepthNoise, {"step": -1.0}, "step"),
    ],
)
def test_errors_say_what_is_wrong(make: Any, wrong: dict[str, Any], text: str) -> None:
    with pytest.raises(ValueError, match=text):
        make(**wrong)
