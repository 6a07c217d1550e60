"""The table of colours by slope: by hand, its laws, its file, and what is refused."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from safetensors.numpy import save_file  # pyright: ignore[reportUnknownVariableType]

from sim2arm.core.gradient_table import (
    GradientTable,
    normal,
    places,
    slope,
    slopes,
)
from sim2arm.core.gradient_table_file import read_table, write_table
from sim2arm.core.synthetic_tables import OPTICS, synthetic_table


def make_table(**overrides: Any) -> GradientTable:
    """Return a table of 3 nodes per axis whose red channel changes at the node n = (1, 0)."""
    coefficients = np.zeros((3, 3, 3, 6), np.float32)
    coefficients[1, 2, 0] = [1, 2, 3, 4, 5, 6]
    values: dict[str, Any] = {
        "coefficients": coefficients,
        "background": np.full((2, 4, 3), 100.0, np.float32),
        "sensor": "gel",
        "size": (0.02, 0.01),
        "source": "by hand",
        "licence": "Apache-2.0",
        "date": "2030-01-31T12:00:00+00:00",
    }
    return GradientTable(**(values | overrides))


def test_a_colour_by_hand() -> None:
    # g = (0.75, 0): n = 0.75 / 1.25 = 0.6 along x, so node (1, 0) counts 0.6, the flat one 0.4.
    # At x = 0.5, y = -1: 1/4 + 2 + 3 (-1/2) + 4/2 - 5 + 6 = 3.75; 0.6 of it is 2.25.
    change = make_table().evaluate([0.75, 0.0], 0.5, -1.0)
    np.testing.assert_allclose(change, [2.25, 0.0, 0.0], atol=1e-12)
    # g = (0.75, 1): length of (g, 1) sqrt(2.5625); n_y = 1 / 1.60078 of the weight goes to n_y = 1.
    n_x, n_y = np.array([0.75, 1.0]) / np.sqrt(2.5625)
    change = make_table().evaluate([0.75, 1.0], 0.5, -1.0)
    np.testing.assert_allclose(change[0], 3.75 * n_x * (1.0 - n_y), atol=1e-12)


def test_pictures_round_halves_up_and_stay_within_bounds() -> None:
    table = make_table(background=np.full((1, 1, 3), 253.5, np.float32))
    table.coefficients[1, 2, 0] = [0, 0, 0, 0, 0, 100]
    g = np.zeros((1, 2, 2))
    g[0, 1] = 0.75, 0.0
    # 253.5 becomes 254; 253.5 + 60 is cut to 255.
    assert table.picture(g).tolist() == [[[254, 254, 254], [255, 254, 254]]]


def test_normals_and_slopes_are_inverse() -> None:
    g = np.random.default_rng(0).normal(size=(50, 2))
    np.testing.assert_allclose(slope(normal(g)), g, rtol=1e-10)
    np.testing.assert_allclose(normal([3.0, 0.0]), [3.0 / np.sqrt(10.0), 0.0])


def test_pixels_lie_at_their_centres() -> None:
    x, y = places(2, 4)
    assert x.tolist() == [[-0.75, -0.25, 0.25, 0.75]]
    assert y.tolist() == [[-0.5], [0.5]]


def test_slopes_of_a_plane_and_of_a_step() -> None:
    x, y = np.meshgrid(np.arange(12.0), np.arange(10.0))
    g = slopes(2e-4 * x + 5e-4 * y, (1e-4, 2e-4))
    np.testing.assert_allclose(g[3:-3, 3:-3], np.broadcast_to([2.0, 2.5], (4, 6, 2)), rtol=1e-9)
    # A step of 1 between columns 5 and 6, smoothed by 1 4 6 4 1 and differenced: the weights of
    # (1 5 10 10 5 1) / 32 around it.
    step = slopes(np.tile((np.arange(12) > 5).astype(float), (10, 1)), 1.0)
    np.testing.assert_allclose(step[4, 3:9, 0], np.array([1, 5, 10, 10, 5, 1]) / 32.0)
    np.testing.assert_allclose(step[..., 1], 0.0, atol=1e-15)


def test_a_background_at_another_size_keeps_its_means() -> None:
    background = np.arange(24.0, dtype=np.float32).reshape(2, 4, 3)
    table = make_table(background=background)
    small = table.background_at(1, 2)
    # Red: rows 0 3 6 9 and 12 15 18 21; the left four have the mean 7.5.
    assert small[0, 0, 0] == 7.5 and small.shape == (1, 2, 3)
    # 3 columns of 4: the first covers one pixel and a third of the next: (0 + 3 / 3) / (4 / 3).
    assert table.background_at(2, 3)[0, 0, 0] == pytest.approx(0.75)
    np.testing.assert_array_equal(table.background_at(4, 8)[::2, ::2], background)


@pytest.mark.parametrize("name", OPTICS)
def test_a_flat_gel_is_the_background_and_lights_lie_where_they_shine(name: str) -> None:
    table, optics = synthetic_table(name), OPTICS[name]
    flat = table.picture(np.zeros((optics.rows, optics.cols, 2)))
    np.testing.assert_array_equal(flat, np.floor(table.background + 0.5))
    for channel, light in enumerate(optics.lights):
        angle = np.radians(light.azimuth_deg)
        # A skin that rises away from a light faces it: it falls towards the light.
        facing = -0.3 * np.array([np.cos(angle), np.sin(angle)])
        change = table.evaluate(facing, 0.0, 0.0)
        assert change[channel] == change.max() and 15 < change[channel] < 40
        assert table.evaluate(-facing, 0.0, 0.0)[channel] < -15


def test_synthetic_tables_are_lamberts_law() -> None:
    table, optics = synthetic_table("digit"), OPTICS["digit"]
    g, x, y = np.array([0.2, -0.1]), 0.4, -0.7
    upright = 1.0 / np.sqrt(1.0 + g @ g)
    expected = np.zeros(3)
    for light in optics.lights:
        azimuth, elevation = np.radians([light.azimuth_deg, light.elevation_deg])
        to_light = np.array([np.cos(azimuth), np.sin(azimuth)])
        t = to_light @ [x, y]
        cosine = upright * (np.sin(elevation) - np.cos(elevation) * (g @ to_light))
        bright = 1.0 + light.falloff * t + light.bend * t * t
        expected += np.array(light.colour) * bright * (cosine - np.sin(elevation))
    np.testing.assert_allclose(table.evaluate(g, x, y), expected, atol=0.05)


def test_a_table_survives_its_file(tmp_path: Path) -> None:
    path, table = tmp_path / "new" / "gel.safetensors", synthetic_table("gelsight-mini", 9)
    write_table(path, table)
    again = read_table(path)
    np.testing.assert_array_equal(again.coefficients, table.coefficients)
    np.testing.assert_array_equal(again.background, table.background)
    for name in ("sensor", "size", "source", "licence", "date"):
        assert getattr(again, name) == getattr(table, name)
    with pytest.raises(ValueError, match=r"a gradient table is a \.safetensors file"):
        write_table(tmp_path / "gel.npz", table)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"coefficients": np.zeros((4, 4, 3, 6), np.float32)}, "with B odd, 3 or more, got"),
        ({"coefficients": np.zeros((3, 3, 3, 6))}, "coefficients: expected float32, got float64"),
        ({"coefficients": np.ones((3, 3, 3, 6), np.float32)}, "0 at the node in the middle"),
        ({"coefficients": np.full((3, 3, 3, 6), np.nan, np.float32)}, "not finite"),
        ({"background": np.zeros((4, 4), np.float32)}, r"expected \(rows, cols, 3\)"),
        ({"background": np.zeros((4, 4, 3), np.uint8)}, "expected float32, got uint8"),
        ({"background": np.full((4, 4, 3), 256, np.float32)}, "grey levels from 0 to 255"),
        ({"background": np.full((4, 4, 3), np.nan, np.float32)}, "grey levels from 0 to 255"),
        ({"size": (0.02, 0.0)}, "width and height above 0 m"),
        ({"sensor": ""}, "sensor: must not be empty"),
        ({"date": "yesterday"}, "date: expected ISO 8601"),
    ],
)
def test_what_is_no_table_is_refused(change: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message) as caught:
        make_table(**change)
    assert "\n" not in str(caught.value)
    with pytest.raises(ValueError, match=r"no gel 'fingertip'\. Known gels: "):
        synthetic_table("fingertip")


def test_files_that_are_no_tables_are_refused(tmp_path: Path) -> None:
    path, arrays = tmp_path / "gel.safetensors", {"background": np.zeros((1, 1, 3), np.float32)}
    with pytest.raises(ValueError, match=r"gel\.safetensors: cannot be read: No such file"):
        read_table(path)
    path.write_bytes(b"\x80\x04no tensors")
    with pytest.raises(ValueError, match=r"gel\.safetensors: not a safetensors file"):
        read_table(path)
    save_file(arrays, path)
    with pytest.raises(ValueError, match="its metadata does not say so"):
        read_table(path)
    for about, message in [
        ('{"format": "sim2arm gradient table", "version": 9}', "version 1, got 9"),
        ('{"format": "sim2arm gradient table", "version": 1}', "expected the arrays"),
        ('["sim2arm gradient table"]', "its metadata does not say so"),
    ]:
        save_file(arrays, path, metadata={"about": about})
        with pytest.raises(ValueError, match=message):
            read_table(path)
    write_table(path, make_table())
    data = path.read_bytes().replace(b"sensor", b"zensor")
    path.write_bytes(data)
    with pytest.raises(ValueError, match=r"gel\.safetensors: zensor: unknown key"):
        read_table(path)
