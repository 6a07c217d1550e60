"""Scenes as meshes and places: every type of geom, on both engines, against MuJoCo itself."""

# MuJoCo's extension modules have no stubs.
# pyright: standard, reportAttributeAccessIssue=false

from __future__ import annotations

from typing import Any, cast

import mujoco
import numpy as np
import pytest
import torch

from sim2arm.cli.film_scene import furnished
from sim2arm.core.transforms import quat_to_matrix
from sim2arm.sim.scene_view import INFINITE, Places, SceneView, visible_geoms
from sim2arm.sim.tasks.table import TASKS, make_task
from sim2arm.sim.worlds.base import World
from sim2arm.sim.worlds.mujoco import MujocoWorld
from sim2arm.sim.worlds.table import make_world

ENGINES = ("mujoco", "warp")
SCENE = """
<mujoco>
  <asset>
    <material name="red" rgba="1 0 0 1"/>
    <mesh name="wedge" vertex="0 0 0  0.3 0 0  0 0.2 0  0 0 0.1"/>
  </asset>
  <worldbody>
    <geom name="floor" type="plane" size="2 3 0.1" pos="0 0 -0.5" group="2"/>
    <geom name="post" type="box" size="0.1 0.2 0.3" pos="1 0 0" quat="1 1 0 0" material="red"/>
    <geom name="hull" type="box" size="9 9 9" group="3" contype="0" conaffinity="0"/>
    <geom name="glass" type="box" size="9 9 9" rgba="1 1 1 0" contype="0" conaffinity="0"/>
    <body name="arm" pos="0 0 1">
      <joint type="hinge" axis="1 2 3"/>
      <geom name="bar" type="capsule" fromto="0 0 0 0.4 0 0" size="0.05"/>
      <geom name="rod" type="cylinder" fromto="0 0 0 0 0.5 0.1" size="0.03" rgba="0 0 1 0.5"/>
      <geom name="ball" type="sphere" size="0.07" pos="0 0 0.2" material="red" rgba="0 1 0 1"/>
      <geom name="egg" type="ellipsoid" size="0.1 0.2 0.3" pos="0.2 0 0" quat="1 0.5 0 0"/>
      <geom name="wedge" type="mesh" mesh="wedge" pos="0 0.3 0" quat="1 0 0.3 0"/>
      <body pos="0 0 0.3"><geom name="tip" type="box" size="0.02 0.03 0.04"/></body>
    </body>
    <body name="goal" mocap="true" pos="0.5 0.5 0">
      <geom name="ramp" type="plane" size="0 0.4 0.1" quat="1 0.2 0 0" contype="0"
            conaffinity="0"/>
    </body>
  </worldbody>
</mujoco>
"""
CAPSULE = {0: "cylinder", 1: "sphere", -1: "sphere"}


@pytest.fixture(scope="module", params=ENGINES)
def world(request: pytest.FixtureRequest) -> World:
    """Two worlds in which arm and goal stand differently."""
    spec = mujoco.MjSpec.from_string(SCENE)
    made = make_world(request.param, spec, 2, timestep=1 / 480, control_substeps=1)
    made_any: Any = made
    made_any.qpos[:, 0] = torch.tensor([0.4, -1.2])
    made.mocap("goal")[1] = torch.tensor([0.1, 0.2, 0.3, 0.6, 0.0, 0.0, 0.8])
    made.forward()
    return made


def host(world: World, i: int) -> tuple[Any, mujoco.MjData]:
    """Return model and data of one world as MuJoCo's kinematics has them."""
    model = cast(Any, world).model
    data = mujoco.MjData(model)
    data.qpos[:] = cast(Any, world).qpos[i].numpy()
    goal = world.mocap("goal")[i].numpy()
    data.mocap_pos[0], data.mocap_quat[0] = goal[:3], goal[3:]
    mujoco.mj_kinematics(model, data)
    return model, data


def test_every_visible_geom_is_drawn_where_mujoco_has_it(world: World) -> None:
    view = SceneView(world)
    for i in range(2):
        model, data = host(world, i)
        drawn: set[str] = set()
        for form, place in zip(view.forms, view.places(), strict=True):
            assert place is not None
            for k, geom in enumerate(form.geoms):
                name, kind = model.geom(geom).name, form.name.split("/")[0]
                turn = quat_to_matrix(place.turns[i, k])
                np.testing.assert_allclose(turn, data.geom(name).xmat.reshape(3, 3), atol=2e-6)
                centre = data.geom(name).xpos
                if name == "bar" and kind == "sphere":  # half of 0.4 along the capsule
                    off = np.linalg.norm(place.positions[i, k] - centre)
                    assert off == pytest.approx(0.2, abs=1e-6)
                    ends = centre + 0.2 * turn[:, 2], centre - 0.2 * turn[:, 2]
                    gap = min(np.linalg.norm(place.positions[i, k] - end) for end in ends)
                    assert gap < 1e-6
                else:
                    np.testing.assert_allclose(place.positions[i, k], centre, atol=2e-6)
                drawn.add(name)
        assert drawn == {"post", "bar", "rod", "ball", "egg", "wedge", "tip", "ramp"}
    ends = next(f for f in view.forms if f.name == "sphere/moving")
    assert sorted(cast(Any, world).model.geom(g).name for g in ends.geoms) == [
        *("ball", "bar", "bar", "egg")
    ]
    assert view.ground == pytest.approx(-0.5)


def test_what_stands_still_is_left_out_when_only_motion_is_asked_for(world: World) -> None:
    view = SceneView(world)
    still = {form.name for form in view.forms if not form.moving}
    assert still == {"box/still"}  # the post; a mocap body moves
    places = view.places(moving_only=True)
    for form, place in zip(view.forms, places, strict=True):
        assert (place is None) == (form.name in still)


def test_sizes_and_colours(world: World) -> None:
    view = SceneView(world)
    model = cast(Any, world).model
    seen: dict[tuple[str, str], list[Any]] = {}
    for form, look in zip(view.forms, view.looks(), strict=True):
        for k, geom in enumerate(form.geoms):
            key = (model.geom(geom).name, form.name.split("/")[0])
            seen[key] = [look.scales[1, k], look.colors[1, k], look.opacities[1, k]]

    def check(key: tuple[str, str], scale: Any, color: Any, opacity: float = 1.0) -> None:
        np.testing.assert_allclose(seen[key][0], scale, rtol=1e-5)
        assert seen[key][1].tolist() == color and seen[key][2] == pytest.approx(opacity)

    grey = [128, 128, 128]
    check(("post", "box"), [0.1, 0.2, 0.3], [255, 0, 0])  # the material's
    check(("bar", "cylinder"), [0.05, 0.05, 0.2], grey)
    check(("bar", "sphere"), [0.05, 0.05, 0.05], grey)
    length = np.sqrt(0.5**2 + 0.1**2)
    check(("rod", "cylinder"), [0.03, 0.03, 0.5 * length], [0, 0, 255], 0.5)
    check(("ball", "sphere"), [0.07, 0.07, 0.07], [0, 255, 0])  # its own goes before the material's
    check(("egg", "sphere"), [0.1, 0.2, 0.3], grey)
    check(("wedge", "mesh wedge"), [1.0, 1.0, 1.0], grey)
    check(("ramp", "plane"), [INFINITE, 0.4, 1.0], grey)


@pytest.mark.parametrize("name", ENGINES)
def test_values_per_world_show(name: str) -> None:
    world = make_world(
        name, mujoco.MjSpec.from_string(SCENE), 2, timestep=1 / 480, control_substeps=1
    )
    model = cast(Any, world).model
    bar, tip = model.geom("bar").id, model.geom("tip").id
    world.field("geom_size")[1, bar, :2] = torch.tensor([0.1, 0.3])
    world.field("geom_rgba")[0, tip] = torch.tensor([1.0, 0.5, 0.0, 1.0])
    world.forward()
    view = SceneView(world)
    for form, look, place in zip(view.forms, view.looks(), view.places(), strict=True):
        assert place is not None
        for k, geom in enumerate(form.geoms):
            if geom == bar and form.name.startswith("cylinder"):
                np.testing.assert_allclose(look.scales[:, k, 2], [0.2, 0.3], rtol=1e-6)
            if geom == tip:
                assert look.colors[:, k].tolist() == [[255, 128, 0], [128, 128, 128]]
    ends = next(i for i, form in enumerate(view.forms) if form.name == "sphere/moving")
    rows = [k for k, geom in enumerate(view.forms[ends].geoms) if geom == bar]
    centres = cast(Places, view.places()[ends]).positions[:, rows]
    between = np.linalg.norm(centres[:, 0] - centres[:, 1], axis=-1)
    np.testing.assert_allclose(between, [0.4, 0.6], rtol=1e-5)


@pytest.mark.parametrize("task", sorted(TASKS))
def test_all_that_is_seen_of_a_task_is_drawn(task: str) -> None:
    world = MujocoWorld(furnished(make_task(task, "fr3")).scene(), 1)
    view = SceneView(world)
    drawn = {geom for form in view.forms for geom in form.geoms}
    floor = world.model.geom("floor").id
    assert drawn == set(visible_geoms(world.model)) - {floor} and view.ground == -0.75
    assert len(drawn) > 20
    low, high = view.bounds()
    # Bench: from -0.2 to 0.92 in x, from -0.5 to 0.5 in y; legs on the floor at -0.75.
    assert low == pytest.approx([-0.2, -0.5, -0.75], abs=0.06) and 0.7 < high[2] < 1.3


def test_bounds_by_hand() -> None:
    spec = mujoco.MjSpec.from_string("""
        <mujoco><worldbody><geom type="box" size="1 2 3" pos="1 0 0" quat="1 0 0 1"/>
        </worldbody></mujoco>""")
    view = SceneView(MujocoWorld(spec, 1))
    # A quarter turn around z: half sizes 2, 1, 3 around (1, 0, 0).
    np.testing.assert_allclose(view.bounds(), [[-1, -1, -3], [3, 1, 3]], atol=1e-6)
    assert view.ground is None


def test_what_is_not_drawn_is_refused() -> None:
    spec = mujoco.MjSpec.from_string("""
        <mujoco><asset><hfield name="hills" nrow="2" ncol="2" size="1 1 1 1" elevation="0 1 1 0"/>
        </asset><worldbody><geom name="hills" type="hfield" hfield="hills"/></worldbody></mujoco>
    """)
    with pytest.raises(ValueError, match=r"geom 'hills' of type mjGEOM_HFIELD is not drawn"):
        SceneView(MujocoWorld(spec, 1))
    with pytest.raises(TypeError, match="MuJoCo Warp, got object"):
        SceneView(cast(World, object()))
