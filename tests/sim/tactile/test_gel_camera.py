"""Skin and pictures of gels: against the membrane's exact solution and a NumPy reference."""

# pyright: standard

import math
from dataclasses import replace
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
import torch

from sim2arm.sim.tactile.distance import DistanceGrid
from sim2arm.sim.tactile.gel_camera import GelCamera
from sim2arm.sim.tactile.gel_cfg import GelCfg

CPU = torch.device("cpu")
MOST_APART = 30
"""Greatest difference of a pixel at an edge that is filled in [grey level]."""
GEL = GelCfg(rows=96, cols=128, pixel=1e-4)
Floats = npt.NDArray[np.float64]


def make_table(nodes: int = 65) -> npt.NDArray[np.float32]:
    """Return a table that is smooth in the slope, so that it could be a real one."""
    n_y, n_x = np.meshgrid(*[np.linspace(-1, 1, nodes)] * 2, indexing="ij")
    rng = np.random.default_rng(0)
    parts = rng.normal(size=(5, 3, 6)) * [12, 12, 12, 30, 30, 80]
    forms = np.stack([n_x, n_y, n_x * n_y, n_x**2, n_y**2], axis=-1)
    return np.einsum("yxf,fck->yxck", forms, parts).astype(np.float32)


def make_background(cfg: GelCfg = GEL) -> npt.NDArray[np.float32]:
    rng = np.random.default_rng(1)
    return rng.integers(60, 200, (cfg.rows, cfg.cols, 3)).astype(np.float32)


def make_camera(
    *objects: DistanceGrid, cfg: GelCfg = GEL, num_gels: int = 1, follow: bool = True
) -> GelCamera:
    how = make_table(), make_background(cfg)
    return GelCamera(cfg, objects, num_gels, *how, device=CPU, follow=follow)


def put(camera: GelCamera, *pose: float, gel: int = 0, k: int = 0) -> None:
    camera.poses[gel, k] = torch.tensor([*pose, 1.0, 0.0, 0.0, 0.0][:7])


def reference(heights: Floats, cfg: GelCfg) -> npt.NDArray[np.int64]:
    """Return the picture of a skin (rows, cols) [m] in double precision."""
    table, nodes = make_table().astype(float), len(make_table())
    wide = np.pad(heights, 3, mode="edge")
    kernels = np.array([0, 1, 4, 6, 4, 1, 0]) / 16.0, np.array([-1, -4, -5, 0, 5, 4, 1]) / 32.0

    def filtered(rows: Floats, cols: Floats) -> Floats:
        found = np.zeros_like(heights)
        for i, j in np.ndindex(7, 7):
            found += rows[i] * cols[j] * wide[i : i + cfg.rows, j : j + cfg.cols]
        return found / cfg.pixel

    g_x, g_y = filtered(kernels[0], kernels[1]), filtered(kernels[1], kernels[0])
    length = np.sqrt(1.0 + g_x**2 + g_y**2)
    px, py = ((g / length + 1.0) * 0.5 * (nodes - 1) for g in (g_x, g_y))
    i, j = (np.minimum(p.astype(int), nodes - 2) for p in (px, py))
    fx, fy = (px - i)[..., None, None], (py - j)[..., None, None]
    t = (1 - fy) * ((1 - fx) * table[j, i] + fx * table[j, i + 1])
    t += fy * ((1 - fx) * table[j + 1, i] + fx * table[j + 1, i + 1])
    x = ((2 * np.arange(cfg.cols) + 1) / cfg.cols - 1)[None]
    y = ((2 * np.arange(cfg.rows) + 1) / cfg.rows - 1)[:, None]
    forms = np.stack(np.broadcast_arrays(x * x, y * y, x * y, x, y, 1.0), axis=-1)
    colour = make_background(cfg) + np.einsum("rcak,rck->rca", t, forms)
    return np.floor(np.clip(colour + 0.5, 0, 255)).astype(int)


@pytest.mark.parametrize(("rows", "cols"), [(96, 128), (61, 83), (80, 60)])
def test_a_flat_gel_is_the_background(rows: int, cols: int, grids: dict[str, DistanceGrid]) -> None:
    cfg = replace(GEL, rows=rows, cols=cols)
    camera = make_camera(grids["ball"], cfg=cfg, num_gels=2)
    camera.picture.fill_(7)
    put(camera, 0.0, 0.0, 0.0035)
    camera.draw()
    put(camera, 0.0, 0.0, 0.0045)  # leaves the gel: nothing stays of the picture before
    np.testing.assert_array_equal(camera.draw()[0].numpy(), make_background(cfg))
    np.testing.assert_array_equal(camera.picture[1].numpy(), make_background(cfg))


def test_pictures_of_gels_that_are_not_chosen_stay(grids: dict[str, DistanceGrid]) -> None:
    camera = make_camera(grids["ball"], num_gels=20)
    camera.poses[:, 0, 2] = 0.0035
    before = camera.draw().clone()
    camera.poses[:, 0, 2] = 0.0033
    camera.chosen[::2] = False
    after = camera.draw().clone()
    assert torch.equal(after[::2], before[::2])
    camera.chosen.fill_(True)
    assert torch.equal(camera.draw()[1::2], after[1::2])
    assert (after[1::2] != before[1::2]).any()


def test_pictures_are_those_of_a_reference(grids: dict[str, DistanceGrid]) -> None:
    """100 indentations, also over the rim: within a grey level of double precision."""
    camera, rng = make_camera(grids["ball"], grids["wall"], num_gels=100), np.random.default_rng(2)
    poses = rng.normal(size=(100, 2, 7))
    poses[..., :3] = rng.uniform([-0.006, -0.005, 0.001], [0.006, 0.005, 0.004], (100, 2, 3))
    camera.poses.copy_(torch.from_numpy(poses))
    pictures = camera.draw().numpy().astype(int)
    changed = 0
    for i in range(100):
        r0, r1, c0, c1 = camera.windows[i].tolist()
        heights = np.zeros((GEL.rows, GEL.cols))
        heights[r0:r1, c0:c1] = camera.heights[i, r0:r1, c0:c1].numpy()
        expected = reference(heights, GEL)
        inside = np.zeros(heights.shape, dtype=bool)
        inside[r0:r1, c0:c1] = True
        assert np.abs(pictures[i] - expected)[inside].max() <= 1
        np.testing.assert_array_equal(pictures[i][~inside], make_background()[~inside])
        changed += int((pictures[i] != make_background()).any())
    assert changed > 90


@pytest.mark.parametrize(("rows", "cols"), [(96, 128), (80, 60), (61, 83)])
def test_each_pixel_by_itself_makes_the_same_pictures(
    rows: int, cols: int, grids: dict[str, DistanceGrid]
) -> None:
    """What suits a GPU and what suits a CPU: within a grey level but for a few of 10 000 pixels.

    They are at edges, where what is filled in believes a surface for a pixel too long: a tenth of
    what an edge changes.
    """
    cfg, rng = GelCfg(rows=rows, cols=cols, pixel=7e-5), np.random.default_rng(4)
    both = [make_camera(grids["ball"], grids["wall"], cfg=cfg, num_gels=20, follow=f)
            for f in (True, False)]  # fmt: skip
    poses = rng.normal(size=(20, 2, 7))
    poses[..., :3] = rng.uniform([-0.004, -0.003, 0.001], [0.004, 0.003, 0.004], (20, 2, 3))
    for camera in both:
        camera.poses.copy_(torch.from_numpy(poses))
    some, each = (camera.draw().numpy().astype(int) for camera in both)
    assert (each != make_background(cfg)).mean() > 0.3
    apart = np.abs(some - each)
    assert (apart > 1).mean() < 8e-4 and apart.max() <= MOST_APART


def test_the_skin_beside_a_wall_falls_exponentially(grids: dict[str, DistanceGrid]) -> None:
    """In one dimension `u = reach^2 u''` beside an edge: u = d exp(-x / reach)."""
    cfg = GelCfg(rows=96, cols=256, pixel=1e-4, reach=1e-3)
    camera = make_camera(grids["wall"], cfg=cfg)
    put(camera, 0.0, 0.0, 0.0015)
    skin = camera.dent()[0, 48].numpy()
    assert skin[128] == pytest.approx(5e-4, abs=2e-6)
    x = (np.arange(256) + 0.5 - 128) * cfg.pixel - 0.002
    beside = (x > 3e-4) & (x < 3e-3)
    # The last cell of 0.4 mm on the wall holds its dent up to its middle, 0.2 mm before the edge.
    expected = 5e-4 * np.exp(-(x[beside] + 2e-4) / cfg.reach)
    np.testing.assert_allclose(skin[beside], expected, atol=0.07 * 5e-4)


def test_the_skin_lies_on_what_dents_it(grids: dict[str, DistanceGrid]) -> None:
    camera = make_camera(grids["ball"])
    put(camera, 0.0, 0.0, 0.0035)
    skin = camera.dent()[0].numpy()
    x, y = (np.arange(n) * GEL.pixel - 0.5 * (n - 1) * GEL.pixel for n in (GEL.cols, GEL.rows))
    r2 = x[None] ** 2 + y[:, None] ** 2
    dent = np.sqrt(np.maximum(0.004**2 - r2, 0.0)) - 0.0035
    assert (skin >= dent - 1e-5).all()
    near = r2 < 0.001**2  # where the membrane alone would lie higher
    np.testing.assert_allclose(skin[near], dent[near], atol=1e-5)
    outside = dent < -1e-5
    assert skin[outside].max() > 2e-5  # pulled along


def test_a_picture_does_not_depend_on_the_others(grids: dict[str, DistanceGrid]) -> None:
    many, one = make_camera(grids["ball"], num_gels=3), make_camera(grids["ball"])
    for gel, x in enumerate((-0.003, 0.0, 0.003)):
        put(many, x, 0.001, 0.0036, gel=gel)
    put(one, 0.003, 0.001, 0.0036)
    assert torch.equal(many.draw()[2], one.draw()[0])


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"table": np.zeros((64, 64, 3, 6), np.float32)}, "B odd, got"),
        ({"table": np.ones((65, 65, 3, 6), np.float32)}, "no change of colour where there is no"),
        ({"background": np.zeros((3, 3, 3), np.float32)}, r"expected \(96, 128, 3\), got"),
    ],
)
def test_refusals(grids: dict[str, DistanceGrid], change: dict[str, Any], message: str) -> None:
    given: dict[str, Any] = {"table": make_table(), "background": make_background()} | change
    with pytest.raises(ValueError, match=message):
        GelCamera(GEL, [grids["ball"]], 1, **given, device=CPU)
    with pytest.raises(ValueError, match="pixel: expected a number above 0, got inf"):
        GelCfg(rows=8, cols=8, pixel=math.inf)
    with pytest.raises(ValueError, match="cols: expected 8 or more, got 2"):
        GelCfg(rows=8, cols=2, pixel=1e-4)
