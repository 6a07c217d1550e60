"""Pictures of every sensor: against double precision, and coarse ones against fine ones."""

# pyright: standard

import numpy as np
import numpy.typing as npt
import pytest
import torch

from sim2arm.core.gradient_table import slopes
from sim2arm.core.synthetic_tables import OPTICS, synthetic_table
from sim2arm.core.transforms import quat_mul
from sim2arm.sim.tactile.distance import DistanceGrid
from sim2arm.sim.tactile.gel_camera import GelCamera
from sim2arm.sim.tactile.gel_cfg import GelCfg

CPU = torch.device("cpu")
Floats = npt.NDArray[np.float64]


def make_camera(
    sensor: str, shrunk: int, objects: list[DistanceGrid], gels: int, *, smooth: bool
) -> GelCamera:
    table = synthetic_table(sensor)
    rows, cols = (n // shrunk for n in table.background.shape[:2])
    cfg = GelCfg(
        rows=rows,
        cols=cols,
        pixel=table.size[0] / cols,
        skin_cell=4 // shrunk,
        smooth=smooth,
    )
    background = table.background_at(rows, cols)
    return GelCamera(cfg, objects, gels, table.coefficients, background, device=CPU)


@pytest.mark.parametrize("sensor", [name for name, gel in OPTICS.items() if gel.dots is None])
def test_pictures_are_those_of_the_table_in_double_precision(
    sensor: str, grids: dict[str, DistanceGrid]
) -> None:
    camera = make_camera(sensor, 2, [grids["ball"], grids["wall"]], 25, smooth=True)
    table, rng = synthetic_table(sensor), np.random.default_rng(3)
    changed = 0
    for _ in range(4):  # 100 indentations
        poses = rng.normal(size=(25, 2, 7))
        wide, high = (0.6 * side for side in table.size)
        low, top = [-wide, -high, 0.001], [wide, high, 0.0045]
        poses[..., :3] = rng.uniform(low, top, (25, 2, 3))
        camera.poses.copy_(torch.from_numpy(poses))
        pictures = camera.draw().numpy().astype(int)
        for i in range(25):
            r0, r1, c0, c1 = camera.windows[i].tolist()
            heights = np.zeros(pictures.shape[1:3])
            heights[r0:r1, c0:c1] = camera.heights[i, r0:r1, c0:c1].numpy()
            expected = table.picture(slopes(heights, camera.cfg.pixel)).astype(int)
            apart = np.abs(pictures[i] - expected)
            assert apart[r0:r1, c0:c1].max(initial=0) <= 1
            changed += int(heights.any())
    assert changed > 60


@pytest.mark.parametrize(("name", "depth"), [("ball", 7e-4), ("peg", 8e-4)])
def test_a_coarse_picture_is_a_fine_one_made_smaller(
    name: str, depth: float, grids: dict[str, DistanceGrid]
) -> None:
    """80 x 60, drawn as it is: within 0.6 grey levels in the mean of what 320 x 240 become."""
    table, rng, n = synthetic_table("gelsight-r15"), np.random.default_rng(0), 8
    poses = np.zeros((n, 1, 7))
    poses[:, 0, :2] = rng.uniform(-4e-3, 4e-3, (n, 2))
    poses[:, 0, 2] = {"ball": 0.004, "peg": 0.003}[name] - depth
    angle = rng.uniform(0.0, np.pi, n)
    turn = np.stack([np.cos(angle / 2), 0 * angle, 0 * angle, np.sin(angle / 2)], axis=-1)
    lying = np.array([np.sqrt(0.5), np.sqrt(0.5), 0.0, 0.0])
    poses[:, 0, 3:] = [quat_mul(q, lying) for q in turn]
    pictures = []
    for shrunk in (1, 4):
        # as `sim.touch` makes them: a table is calibrated with smoothed slopes of its own pixels
        camera = make_camera("gelsight-r15", shrunk, [grids[name]], n, smooth=shrunk == 1)
        camera.poses.copy_(torch.from_numpy(poses))
        pictures.append(camera.draw().numpy().astype(float))
    fine = pictures[0].reshape(n, 80, 4, 60, 4, 3).mean(axis=(2, 4))
    flat = table.background_at(80, 60)
    touched = np.abs(fine - flat).max(axis=-1) > 2.0
    apart = np.abs(pictures[1] - fine)[touched]
    assert np.abs(fine - flat)[touched].mean() > 8.0  # what there is to see
    assert apart.mean() < 0.6
    assert np.percentile(apart, 95) < 2.0
