"""Objects that dent gels in tests."""

# MuJoCo's extension modules have no stubs.
# pyright: standard, reportAttributeAccessIssue=false

import mujoco
import pytest

from sim2arm.sim.tactile.distance import DistanceGrid, of_geoms

SHAPES = {
    "ball": (mujoco.mjtGeom.mjGEOM_SPHERE, [0.004, 0.0, 0.0]),
    "peg": (mujoco.mjtGeom.mjGEOM_CYLINDER, [0.003, 0.008, 0.0]),
    "wall": (mujoco.mjtGeom.mjGEOM_BOX, [0.002, 0.02, 0.002]),
}
"""Types and sizes [m]."""


@pytest.fixture(scope="session")
def grids() -> dict[str, DistanceGrid]:
    """Return the distances of `SHAPES`."""
    spec = mujoco.MjSpec()
    for name, (kind, size) in SHAPES.items():
        spec.worldbody.add_geom(name=name, type=kind, size=size)
    model = spec.compile()
    return {name: of_geoms(model, [model.geom(name).id]) for name in SHAPES}
