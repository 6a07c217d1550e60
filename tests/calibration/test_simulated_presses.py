"""The simulator presses a ball into gels whose table is known; the calibration finds the table."""

# MuJoCo's extension modules have no stubs.
# pyright: standard, reportAttributeAccessIssue=false

from __future__ import annotations

from dataclasses import replace

import mujoco
import numpy as np
import pytest
import torch

from sim2arm.calibration.press_pictures import Presses
from sim2arm.calibration.tactile import BallPressCfg, calibrate
from sim2arm.core.gradient_table import GradientTable, slope
from sim2arm.core.synthetic_tables import OPTICS, table_of
from sim2arm.sim.tactile.distance import of_geoms
from sim2arm.sim.tactile.gel_camera import GelCamera
from sim2arm.sim.tactile.gel_cfg import GelCfg
from tests.calibration.presses import RADIUS, random_places

ROWS, COLS, PRESSES = 96, 128, 24


def simulated_presses(gel: GradientTable) -> Presses:
    """Return pictures of the Warp renderer, its skin spread beyond the ball, with noise."""
    spec = mujoco.MjSpec()
    spec.worldbody.add_geom(type=mujoco.mjtGeom.mjGEOM_SPHERE, size=[RADIUS, 0.0, 0.0])
    ball = of_geoms(spec.compile(), [0])
    cfg = GelCfg(rows=ROWS, cols=COLS, pixel=gel.size[0] / COLS)
    camera = GelCamera(
        cfg, [ball], PRESSES, gel.coefficients, gel.background, device=torch.device("cpu")
    )
    rng = np.random.default_rng(0)
    places, depths = random_places(gel, PRESSES, rng), rng.uniform(3e-4, 1e-3, PRESSES)
    for k, ((x, y), depth) in enumerate(zip(places, depths.tolist(), strict=True)):
        middle = [x - 0.5 * gel.size[0], y - 0.5 * gel.size[1], RADIUS - depth]
        camera.poses[k, 0] = torch.tensor([*middle, 1.0, 0.0, 0.0, 0.0])
    pictures = camera.draw().numpy().astype(float)
    flat = np.broadcast_to(gel.background, (10, ROWS, COLS, 3))

    def noisy(clean: np.ndarray) -> list[np.ndarray]:
        found = clean + rng.normal(0.0, 1.0, clean.shape)
        return list(np.floor(found.clip(0.0, 255.0) + 0.5).astype(np.uint8))

    return Presses(
        flat=noisy(flat), pressed=noisy(pictures), names=[f"{k}" for k in range(PRESSES)]
    )


@pytest.mark.parametrize("name", ["gelsight-mini", "digit"])
def test_the_table_of_the_simulator_is_recovered(name: str) -> None:
    """Within 0.7 grey levels in the mean, where colours change by 15."""
    gel = table_of(replace(OPTICS[name], rows=ROWS, cols=COLS), name)
    cfg = BallPressCfg(
        ball_radius=RADIUS, size=gel.size, nodes=33, most_samples=400, folds=2, refinements=1
    )
    found = calibrate(simulated_presses(gel), cfg)
    assert not found.refused
    rng = np.random.default_rng(1)
    angle, length = rng.uniform(-np.pi, np.pi, 4000), 0.4 * np.sqrt(rng.uniform(size=4000))
    g = slope(length[:, None] * np.stack([np.cos(angle), np.sin(angle)], axis=-1))
    x, y = rng.uniform(-0.9, 0.9, (2, 4000))
    truth = gel.evaluate(g, x, y)
    assert np.abs(truth).mean() > 12.0
    assert np.abs(found.table.evaluate(g, x, y) - truth).mean() < 0.7
    assert found.press_errors.mean() < 1.5  # the noise alone is 0.8
