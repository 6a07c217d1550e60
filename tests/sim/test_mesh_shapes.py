# MuJoCo's extension modules have no stubs.
# pyright: standard, reportAttributeAccessIssue=false

import math

import mujoco
import numpy as np
import pytest

from sim2arm.sim.mesh_shapes import (
    SEGMENTS,
    Triangles,
    box,
    cylinder,
    plane,
    sphere,
    triangles_of_mesh,
)


def corners(mesh: Triangles) -> np.ndarray:
    """Return the corners of each face (F, 3, 3)."""
    return mesh.vertices[mesh.faces.astype(int)].astype(float)


def volume(mesh: Triangles) -> float:
    """Return the volume inside: positive where faces are wound anticlockwise from outside."""
    a, b, c = np.moveaxis(corners(mesh), 1, 0)
    return float(np.sum(a * np.cross(b, c)) / 6.0)


def areas(mesh: Triangles) -> np.ndarray:
    """Return the area vectors of the faces (F, 3)."""
    a, b, c = np.moveaxis(corners(mesh), 1, 0)
    return 0.5 * np.cross(b - a, c - a)


def test_volumes_by_hand() -> None:
    assert volume(box()) == pytest.approx(8.0)  # 2 x 2 x 2
    polygon = 0.5 * SEGMENTS * math.sin(2.0 * math.pi / SEGMENTS)  # triangles 1 x 1 x sin / 2
    assert volume(cylinder()) == pytest.approx(2.0 * polygon, rel=1e-6)
    assert 0.97 * 4.0 / 3.0 * math.pi < volume(sphere()) < 4.0 / 3.0 * math.pi
    np.testing.assert_allclose(areas(plane()).sum(axis=0), [0.0, 0.0, 4.0])  # looks up


@pytest.mark.parametrize("shape", [box, cylinder, sphere])
def test_each_face_looks_away_from_the_middle_and_the_surface_is_closed(shape: object) -> None:
    mesh = shape()  # type: ignore[operator]
    assert (np.sum(areas(mesh) * corners(mesh).mean(axis=1), axis=-1) > 0.0).all()
    np.testing.assert_allclose(areas(mesh).sum(axis=0), 0.0, atol=1e-6)
    assert np.linalg.norm(areas(mesh), axis=-1).min() > 1e-4  # none is a line


def test_edges_are_sharp_and_round_sides_are_not() -> None:
    assert len(box().vertices) == 6 * 4
    # Caps and side share no vertex; the side shares those between its squares.
    assert len(cylinder().vertices) == 4 * SEGMENTS
    np.testing.assert_allclose(np.linalg.norm(sphere().vertices, axis=-1), 1.0, rtol=1e-6)
    assert len(np.unique(sphere().vertices.round(5), axis=0)) == len(sphere().vertices)


def test_a_mesh_of_a_model_lies_where_its_geom_draws_it() -> None:
    model = mujoco.MjModel.from_xml_string("""
        <mujoco><asset>
          <mesh name="other" vertex="0 0 0  1 0 0  0 1 0  0 0 1"/>
          <mesh name="wedge" vertex="0 0 0  0.3 0 0  0 0.2 0  0 0 0.1"/></asset>
        <worldbody><body pos="1 2 3"><geom type="mesh" mesh="wedge"/></body></worldbody></mujoco>
    """)
    data = mujoco.MjData(model)
    mujoco.mj_kinematics(model, data)
    mesh = triangles_of_mesh(model, "wedge")
    assert volume(mesh) == pytest.approx(0.3 * 0.2 * 0.1 / 6.0, rel=1e-4)
    turn = data.geom_xmat[0].reshape(3, 3)
    placed = mesh.vertices @ turn.T + data.geom_xpos[0]
    expected = [[1, 2, 3], [1, 2, 3.1], [1, 2.2, 3], [1.3, 2, 3]]
    np.testing.assert_allclose(np.unique(placed.round(5), axis=0), expected, atol=1e-5)
