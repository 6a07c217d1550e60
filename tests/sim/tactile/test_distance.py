"""Signed distances of geoms as grids: values, unions, meshes, the disk."""

# MuJoCo's extension modules have no stubs.
# pyright: standard, reportAttributeAccessIssue=false

import math
from pathlib import Path

import mujoco
import numpy as np
import pytest

from sim2arm.sim.tactile import distance
from sim2arm.sim.tactile.distance import cache_folder, of_geoms
from sim2arm.sim.worlds.law import LawError

GEOM = mujoco.mjtGeom


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Keep grids in a folder of the test."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    return cache_folder()


def make_model(**geom: object) -> mujoco.MjModel:
    spec = mujoco.MjSpec()
    spec.worldbody.add_geom(**geom)
    return spec.compile()


@pytest.mark.parametrize(
    ("kind", "size", "point", "expected"),
    [
        # sphere of 4 mm: |(3, 4, 0)| = 5, so 1 mm outside; halfway to the centre 2 mm inside
        (GEOM.mjGEOM_SPHERE, [0.004, 0, 0], (0.003, 0.004, 0.0), 0.001),
        (GEOM.mjGEOM_SPHERE, [0.004, 0, 0], (0.002, 0.0, 0.0), -0.002),
        # box 3 x 4 x 5 mm (halves): beyond an edge by (0.6, 0.8, 0) mm is 1 mm
        (GEOM.mjGEOM_BOX, [0.003, 0.004, 0.005], (0.0036, 0.0048, 0.0), 0.001),
        (GEOM.mjGEOM_BOX, [0.003, 0.004, 0.005], (0.0, 0.003, 0.0), -0.001),
        # cylinder of radius 3 and half length 5 mm: 0.5 mm above its face, 1 mm inside its side
        (GEOM.mjGEOM_CYLINDER, [0.003, 0.005, 0], (0.001, 0.0, 0.0055), 0.0005),
        (GEOM.mjGEOM_CYLINDER, [0.003, 0.005, 0], (0.0, 0.002, 0.001), -0.001),
        # capsule of radius 2 and half length 5 mm: 1 mm above its end
        (GEOM.mjGEOM_CAPSULE, [0.002, 0.005, 0], (0.0, 0.0, 0.008), 0.001),
    ],
)
def test_primitives(
    kind: int, size: list[float], point: tuple[float, ...], expected: float
) -> None:
    grid = of_geoms(make_model(type=kind, size=size), [0])
    # trilinear cells of 0.3 mm on radii of 2 mm and more: 0.3^2 / (8 * 2) = 6 um
    assert grid.at(np.array(point)) == pytest.approx(expected, abs=2e-5)


def test_a_turned_geom() -> None:
    """A cylinder whose axis is turned to x and moved by 10 mm in y."""
    quat = [math.sqrt(0.5), 0.0, math.sqrt(0.5), 0.0]
    model = make_model(
        type=GEOM.mjGEOM_CYLINDER, size=[0.003, 0.005, 0], pos=[0.0, 0.01, 0.0], quat=quat
    )
    grid = of_geoms(model, [0])
    assert grid.at(np.array([0.0055, 0.01, 0.0])) == pytest.approx(0.0005, abs=2e-5)
    assert grid.at(np.array([0.0, 0.014, 0.0])) == pytest.approx(0.001, abs=2e-5)


def test_outside_of_the_grid_is_a_lower_bound() -> None:
    grid = of_geoms(make_model(type=GEOM.mjGEOM_SPHERE, size=[0.004, 0, 0]), [0])
    points = np.random.default_rng(0).uniform(-0.05, 0.05, (500, 3))
    true = np.linalg.norm(points, axis=-1) - 0.004
    found = grid.at(points)
    far = true > 0.003
    assert (found <= true + 1e-5).all()
    assert (found[far] > 0.5 * true[far]).all()


def test_geoms_of_a_body_are_one_object() -> None:
    spec = mujoco.MjSpec()
    for x in (-0.01, 0.01):
        spec.worldbody.add_geom(type=GEOM.mjGEOM_SPHERE, size=[0.004, 0, 0], pos=[x, 0, 0])
    grid = of_geoms(spec.compile(), [0, 1])
    outside, inside = grid.at(np.array([[-0.004, 0.0, 0.0], [0.01, 0.002, 0.0]]))
    assert outside == pytest.approx(0.002, abs=2e-5)
    assert inside == pytest.approx(-0.002, abs=2e-5)


def test_a_mesh_is_like_the_primitive_that_it_draws() -> None:
    half = np.array([0.003, 0.004, 0.005])
    corners = half * (np.stack(np.meshgrid(*[[-1, 1]] * 3, indexing="ij"), -1).reshape(-1, 3))
    spec = mujoco.MjSpec()
    mesh = spec.add_mesh(name="box")
    mesh.uservert = corners.ravel()
    spec.worldbody.add_geom(name="mesh", type=GEOM.mjGEOM_MESH, meshname="box")
    spec.worldbody.add_geom(name="box", type=GEOM.mjGEOM_BOX, size=half)
    model = spec.compile()
    # near a face: cells of both grids lie elsewhere, which shows at edges and beyond the grids
    points = np.random.default_rng(1).uniform(-0.0025, 0.0025, (300, 3))
    points[:, 2] += 0.0055
    points = points[np.abs(points[:, 2] - 0.005) < 0.0004]
    a, b = (of_geoms(model, [model.geom(name).id]).at(points) for name in ("mesh", "box"))
    np.testing.assert_allclose(a, b, atol=2e-6)


def test_the_disk_keeps_grids_by_content(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    model = make_model(type=GEOM.mjGEOM_SPHERE, size=[0.004, 0, 0])
    first = of_geoms(model, [0])
    (file,) = folder.iterdir()
    monkeypatch.setattr(distance, "_build", None)  # would fail if it were asked
    np.testing.assert_array_equal(of_geoms(model, [0]).values, first.values)
    monkeypatch.undo()
    monkeypatch.setenv("XDG_CACHE_HOME", str(folder.parent.parent))
    of_geoms(make_model(type=GEOM.mjGEOM_SPHERE, size=[0.005, 0, 0]), [0])
    assert len(list(folder.iterdir())) == 2
    file.write_bytes(b"damaged")
    np.testing.assert_array_equal(of_geoms(model, [0]).values, first.values)


def test_a_folder_that_cannot_be_written_is_no_problem(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "file"))
    grid = of_geoms(make_model(type=GEOM.mjGEOM_SPHERE, size=[0.004, 0, 0]), [0])
    assert grid.at(np.array([0.004, 0.0, 0.0])) == pytest.approx(0.0, abs=2e-5)


def test_refusals() -> None:
    sphere = make_model(name="ball", type=GEOM.mjGEOM_SPHERE, size=[1.0, 0, 0])
    with pytest.raises(ValueError, match="expected at least one"):
        of_geoms(sphere, [])
    with pytest.raises(ValueError, match="nodes for ball: choose a larger one"):
        of_geoms(sphere, [0])
    egg = make_model(name="egg", type=GEOM.mjGEOM_ELLIPSOID, size=[0.01, 0.02, 0.03])
    with pytest.raises(ValueError, match="geom 'egg': no signed distance for its type ellipsoid"):
        of_geoms(egg, [0])


@pytest.mark.parametrize(("change", "count"), [("open", 3), ("turned", 3), ("split", 0)])
def test_a_mesh_without_an_inside_is_refused(change: str, count: int) -> None:
    """A tetrahedron without a face, or with one that looks inwards; split vertices do no harm."""
    corners = np.array([[0, 0, 0], [0.01, 0, 0], [0, 0.01, 0], [0, 0, 0.01]], dtype=np.float32)
    faces = np.array([[0, 2, 1], [0, 1, 3], [1, 2, 3], [0, 3, 2]], dtype=np.int32)
    assert distance._lone_edges(corners, faces) == 0
    if change == "open":
        faces = faces[:3]
    elif change == "turned":
        faces[2] = faces[2, ::-1]
    else:
        corners, faces = corners[faces.ravel()], np.arange(12, dtype=np.int32).reshape(4, 3)
    assert distance._lone_edges(corners, faces) == count


def test_an_open_mesh_names_its_geom() -> None:
    spec = mujoco.MjSpec()
    corners = [0, 0, 0, 0.01, 0, 0, 0, 0.01, 0, 0, 0, 0.01]
    shell = mujoco.mjtMeshInertia.mjMESH_INERTIA_SHELL
    spec.add_mesh(name="cup", uservert=corners, userface=[0, 2, 1, 0, 1, 3, 1, 2, 3], inertia=shell)
    spec.worldbody.add_geom(name="mine", type=GEOM.mjGEOM_MESH, meshname="cup")
    with pytest.raises(LawError, match=r"geom 'mine': expected a closed mesh .* 3 edges"):
        of_geoms(spec.compile(), [0])
