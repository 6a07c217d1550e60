"""Dents in a gel: against formulae, whatever a thread computes, with several objects."""

# MuJoCo's extension modules have no stubs.
# pyright: standard, reportAttributeAccessIssue=false, reportArgumentType=false

import math
from dataclasses import replace

import mujoco
import numpy as np
import numpy.typing as npt
import pytest
import torch

from sim2arm.sim.tactile.distance import DistanceGrid, make_atlas, of_geoms
from sim2arm.sim.tactile.gel_cfg import GelCfg, Scratch
from sim2arm.sim.tactile.gel_dents import GelDents
from sim2arm.sim.tactile.membrane_kernels import BLOCK

CPU = torch.device("cpu")
COARSE = GelCfg(rows=120, cols=160, pixel=1.3e-4)
FINE = replace(COARSE, pixel=6.5e-5)
Floats = npt.NDArray[np.float64]


def dents(
    cfg: GelCfg, grids: list[DistanceGrid], poses: Floats, *, follow: bool = True
) -> tuple[Floats, npt.NDArray[np.int32]]:
    """Return dents (I, rows, cols) and windows (I, 4) for poses (I, K, 7)."""
    n = len(poses)
    where = torch.from_numpy(poses).float()
    windows = torch.zeros((n, 4), dtype=torch.int32)
    heights = torch.zeros((n, cfg.rows, cfg.width))
    atlas, scratch = make_atlas(grids, CPU), Scratch(CPU)
    every = torch.ones(n, dtype=torch.bool)
    gels = GelDents(cfg, atlas, where, every, windows, heights, scratch, follow=follow)
    for launch in gels.launches:
        launch()
    found = np.zeros((n, cfg.rows, cfg.cols))
    for i, (r0, r1, c0, c1) in enumerate(windows.tolist()):
        found[i, r0:r1, c0:c1] = gels.dents[i, r0:r1, c0:c1].numpy()
    return found, windows.numpy()


def places(cfg: GelCfg) -> tuple[Floats, Floats]:
    """Return x (1, cols) and y (rows, 1) of the pixels [m]."""
    x = (np.arange(cfg.cols) + 0.5 - 0.5 * cfg.cols) * cfg.pixel
    y = (np.arange(cfg.rows) + 0.5 - 0.5 * cfg.rows) * cfg.pixel
    return x[None].astype(float), y[:, None].astype(float)


def ball(cfg: GelCfg, x: float, y: float, z: float) -> Floats:
    """Return the dents of the ball: z - sqrt(R^2 - r^2) is its lower side."""
    across, down = places(cfg)
    square = 0.004**2 - (across - x) ** 2 - (down - y) ** 2
    return np.where(square > 0.0, np.sqrt(np.maximum(square, 0.0)) - z, 0.0).clip(0.0)


def test_a_ball(grids: dict[str, DistanceGrid]) -> None:
    cfg = COARSE
    poses = np.array([[[1e-3, -2e-3, 0.0035, 1, 0, 0, 0]], [[0.0, 0.0, 0.0041, 1, 0, 0, 0]]])
    found, windows = dents(cfg, [grids["ball"]], poses)
    # 0.3 mm cells on R = 4 mm: 0.3^2 / (8 * 4) = 2.8 um, more where the ball leaves the gel
    np.testing.assert_allclose(found[0], ball(cfg, 1e-3, -2e-3, 0.0035), atol=8e-6)
    assert found[0].max() == pytest.approx(5e-4, abs=5e-6)
    assert found[1].max() == 0.0  # 0.1 mm above the gel
    rows, cols = np.nonzero(found[0])
    r0, r1, c0, c1 = windows[0]
    assert r0 + 2 * BLOCK <= rows.min() + BLOCK and rows.max() < r1
    assert c0 <= cols.min() and cols.max() < c1


@pytest.mark.parametrize("cfg", [COARSE, FINE])
def test_to_follow_surfaces_and_to_look_for_each_pixel_agree(
    cfg: GelCfg, grids: dict[str, DistanceGrid]
) -> None:
    """To follow a surface and to fill in between is a short cut, no other answer."""
    rng = np.random.default_rng(0)
    poses = np.zeros((8, 2, 7))
    poses[:, :, :2] = rng.uniform(-0.004, 0.004, (8, 2, 2))
    poses[:, :, 2] = rng.uniform(0.001, 0.004, (8, 2))
    poses[:, :, 3:] = rng.normal(size=(8, 2, 4))
    both = [grids["ball"], grids["peg"]]
    followed, looked = dents(cfg, both, poses)[0], dents(cfg, both, poses, follow=False)[0]
    assert looked.max() > 1e-3
    apart = np.abs(followed - looked)
    assert apart.mean() < 2e-7
    # at an edge, where another surface begins, a pixel of the old may be believed
    assert (apart > 1e-5).sum() <= 2 and apart.max() < 4e-5


@pytest.mark.parametrize("cols", [80, 160, 320])
def test_a_thin_ridge_is_not_missed(cols: int) -> None:
    """A rod 0.5 mm thick that stands 0.2 mm out of a plate, wherever it lies between the looks."""
    spec = mujoco.MjSpec()
    for name, kind, size in (("plate", "BOX", [0.015, 0.015, 0.002]),
                             ("rod", "CAPSULE", [2.5e-4, 0.004, 0.0])):  # fmt: skip
        kind_of = getattr(mujoco.mjtGeom, f"mjGEOM_{kind}")
        spec.worldbody.add_geom(name=name, type=kind_of, size=size)
    model = spec.compile()
    objects = [of_geoms(model, [model.geom(name).id]) for name in ("plate", "rod")]
    cfg = GelCfg(rows=cols * 3 // 4, cols=cols, pixel=0.0208 / cols)
    poses = np.zeros((9, 2, 7))
    poses[..., 3] = 1.0
    poses[:, 0, 2] = 0.002 - 4e-4
    poses[:, 1, 0] = np.linspace(0.0, 4.0, 9) * cfg.pixel
    poses[:, 1, 2] = -4e-4 - 2e-4 + 2.5e-4
    poses[:, 1, 3] = poses[:, 1, 4] = math.sqrt(0.5)  # along the columns
    followed, looked = dents(cfg, objects, poses)[0], dents(cfg, objects, poses, follow=False)[0]
    ridge = looked > 5e-4
    assert ridge.any(axis=(1, 2)).all()
    assert (followed[ridge] > 4.5e-4).all()


def test_what_lies_lower_under_a_surface_that_is_followed_is_found() -> None:
    """A shelf with air above it: its edge begins under the plate that was followed up to there."""
    spec = mujoco.MjSpec()
    box = mujoco.mjtGeom.mjGEOM_BOX
    for name, half, centre in (("plate", 6e-4, [0.0, 0.0, 6e-4]),
                               ("shelf", 2e-4, [0.004, 0.0, -8e-4])):  # fmt: skip
        spec.worldbody.add_geom(name=name, type=box, size=[0.004, 0.004, half], pos=centre)
    model = spec.compile()
    object_of_both = of_geoms(model, [model.geom(name).id for name in ("plate", "shelf")])
    poses = np.array([[[0.0, 0.0, -2e-4, 1, 0, 0, 0]]])
    followed, looked = (dents(FINE, [object_of_both], poses, follow=f)[0] for f in (True, False))
    assert (looked > 1.1e-3).sum() > 1000  # the shelf
    assert (np.abs(followed - looked) > 1e-5).sum() <= 2


def test_the_deeper_of_two_objects_counts(grids: dict[str, DistanceGrid]) -> None:
    cfg = COARSE
    left = [-2e-3, 0.0, 0.0036, 1, 0, 0, 0]
    right = [2e-3, 0.0, 0.0034, 1, 0, 0, 0]
    both = dents(cfg, [grids["ball"]] * 2, np.array([[left, right]]))[0][0]
    alone = [dents(cfg, [grids["ball"]], np.array([[p]]))[0][0] for p in (left, right)]
    np.testing.assert_allclose(both, np.maximum(*alone), atol=2e-6)


def test_no_dent_is_deeper_than_the_gel(grids: dict[str, DistanceGrid]) -> None:
    cfg = replace(COARSE, depth=1e-3)
    found = dents(cfg, [grids["ball"]], np.array([[[0.0, 0.0, 0.001, 1, 0, 0, 0]]]))[0][0]
    assert found.max() == pytest.approx(1e-3, abs=1e-7)


def test_a_domed_gel(grids: dict[str, DistanceGrid]) -> None:
    """On a dome a dent begins below its surface: dent = that of the flat gel - bend r^2 / 2."""
    cfg = replace(COARSE, bend=20.0)
    found = dents(cfg, [grids["ball"]], np.array([[[0.0, 0.0, 0.0035, 1, 0, 0, 0]]]))[0][0]
    x, y = places(cfg)
    square = 0.004**2 - x**2 - y**2
    low = np.where(square > 0.0, 0.0035 - np.sqrt(np.maximum(square, 0.0)), 1.0)
    expected = np.maximum(-10.0 * (x**2 + y**2) - low, 0.0)
    np.testing.assert_allclose(found, expected, atol=8e-6)
