"""What only Warp worlds do: capacity, incidents, graphs that are recorded again."""

# MuJoCo's extension modules have no stubs.
# pyright: standard, reportAttributeAccessIssue=false

from __future__ import annotations

from pathlib import Path

import mujoco
import mujoco_warp as mjw
import pytest
import torch

from sim2arm.sim.worlds import guard
from sim2arm.sim.worlds.base import CapacityError
from sim2arm.sim.worlds.compiled import add_pair_force_sensor
from sim2arm.sim.worlds.incident import read_incident, write_incident
from sim2arm.sim.worlds.warp import WarpWorld

MASS = 2.0


@pytest.fixture
def held() -> WarpWorld:
    """Three worlds of `make_held_scene`."""
    return WarpWorld(make_held_scene(), 3)


def make_scene() -> mujoco.MjSpec:
    """A box that rests on the floor, and a joint with a motor."""
    spec = mujoco.MjSpec()
    spec.worldbody.add_geom(type=mujoco.mjtGeom.mjGEOM_PLANE, size=(1.0, 1.0, 0.1))
    box = spec.worldbody.add_body(name="box", pos=(0.0, 0.0, 0.03))
    box.add_freejoint(name="box")
    box.add_geom(type=mujoco.mjtGeom.mjGEOM_BOX, size=(0.03,) * 3, mass=MASS)
    arm = spec.worldbody.add_body(name="arm", pos=(0.5, 0.0, 0.5))
    arm.add_joint(name="arm", axis=(0.0, 1.0, 0.0))
    arm.add_geom(size=(0.05, 0.0, 0.0), mass=1.0)
    spec.add_actuator(name="arm", target="arm", trntype=mujoco.mjtTrn.mjTRN_JOINT)
    add_pair_force_sensor(spec, "world", "box")
    return spec


def test_contacts_that_find_no_room_are_told_with_the_numbers_to_raise() -> None:
    # A box on a plane: 4 contacts, and 4 rows each with a pyramid of 4 edges.
    world = WarpWorld(make_scene(), 2, contacts=2, rows=5)
    world.step()
    message = r"2 of 2 worlds .*room for 2\).*room for 5\); raise `contacts` to 4 and `rows` to 16"
    with pytest.raises(CapacityError, match=message) as caught:
        world.check_capacity()
    assert caught.value.needed == {"contacts": 4, "rows": 16}
    world.state.overflow.zero_()
    world.step()
    with pytest.raises(CapacityError):  # it still does not fit
        world.check_capacity()
    enough = WarpWorld(make_scene(), 2, contacts=4, rows=16)
    for _ in range(20):
        enough.step()
    enough.check_capacity()
    force = enough.pair_force("world", "box")[:, 2]
    torch.testing.assert_close(force, torch.full_like(force, MASS * 9.81), rtol=1e-2, atol=0)


def test_a_solver_that_ran_out_of_iterations_has_lost_nothing() -> None:
    world = WarpWorld(make_scene(), 2)
    flags = mjw.OverflowType
    world.state.overflow.fill_(int(flags.ITERATIONS | flags.LS_ITERATIONS | flags.EPA_HORIZON))
    world.step()
    world.check_capacity()
    world.state.overflow.fill_(int(flags.ITERATIONS | flags.CONTACT_MATCH))
    world.step()
    with pytest.raises(CapacityError, match=r"\(CONTACT_MATCH\): .* no number to raise") as caught:
        world.check_capacity()
    assert caught.value.needed == {}


def test_an_incident_is_the_step_that_broke_and_runs_again_in_the_c_engine(tmp_path: Path) -> None:
    world = WarpWorld(make_scene(), 3)
    world.field("body_mass")[1] *= 3.0
    world.commit_fields()
    world.forward()
    world.step()
    assert world.incidents() == []
    arm = world.joints(["arm"])
    arm.dq[1] = 1e11  # beyond what MuJoCo takes for a velocity
    controls = torch.linspace(0.0, 1.0, 3 * 4).reshape(3, 4, 1)
    world.step(controls)
    assert world.diverged.tolist() == [False, True, False]
    assert torch.isfinite(world.qpos).all() and torch.isfinite(world.qvel).all()
    world.step()  # what comes later does not change what is kept
    world.field("body_mass")[1] *= 5.0  # that of the next episode
    world.step()
    (incident,) = world.incidents()
    assert incident.world == 1
    assert incident.controls[:, 0].tolist() == pytest.approx(controls[1, :, 0].tolist())
    assert world.incidents() == []

    write_incident(tmp_path / "incident", incident)
    model, data, stored = read_incident(tmp_path / "incident")
    assert model.body("box").mass[0] == pytest.approx(3.0 * MASS)
    assert data.qvel[model.joint("arm").dofadr[0]] == pytest.approx(1e11)
    for row in stored:
        data.ctrl[:] = row
        mujoco.mj_step(model, data)
    assert data.warning[mujoco.mjtWarning.mjWARN_BADQVEL].number > 0


def make_held_scene() -> mujoco.MjSpec:
    """A ball that a weld, off at the start, holds to a mocap body, and a motor that is slow."""
    spec = mujoco.MjSpec()
    spec.worldbody.add_body(name="hand", mocap=True, pos=(0.0, 0.0, 1.0))
    ball = spec.worldbody.add_body(name="ball", pos=(0.0, 0.0, 1.0))
    ball.add_freejoint(name="ball")
    ball.add_geom(size=(0.1, 0.0, 0.0), mass=1.0)
    spec.add_equality(
        type=mujoco.mjtEq.mjEQ_WELD, objtype=mujoco.mjtObj.mjOBJ_BODY, name="held", name1="hand",
        name2="ball", active=False,
    )  # fmt: skip
    arm = spec.worldbody.add_body(name="arm", pos=(0.5, 0.0, 0.5))
    arm.add_joint(name="arm", axis=(0.0, 1.0, 0.0))
    arm.add_geom(size=(0.05, 0.0, 0.0), mass=1.0)
    motor = spec.add_actuator(name="arm", target="arm", trntype=mujoco.mjtTrn.mjTRN_JOINT)
    motor.dyntype = mujoco.mjtDyn.mjDYN_FILTER
    motor.dynprm[0] = 1.0  # [s]
    spec.add_key(name="home", act=[0.3], mpos=[0.0, 0.0, 1.5], mquat=[1.0, 0.0, 0.0, 0.0])
    return spec


def hold(world: WarpWorld) -> None:
    """Weld the balls of two worlds, with their motors at 0.7."""
    world.mocap("hand")[:2, 2] = 1.2
    world.equality("held")[:2] = True
    world.read("act")[:2] = 0.7


def test_an_incident_has_the_weld_and_the_activation_and_a_broken_world_neither(
    held: WarpWorld, tmp_path: Path
) -> None:
    world = held
    start = torch.tensor([0.0, 0.0, 1.5, 1.0, 0.0, 0.0, 0.0])
    torch.testing.assert_close(world.mocap("hand"), start.expand(3, -1))
    assert world.read("act")[:, 0].tolist() == pytest.approx([0.3] * 3)
    hold(world)
    world.joints(["arm"]).dq[1] = 1e11
    world.step()
    assert world.diverged.tolist() == [False, True, False]
    assert world.equality("held").tolist() == [True, False, False]
    # In 8 steps of 1/480 s activations sink towards their control, 0, by about 1/60.
    assert world.read("act")[:, 0].tolist() == pytest.approx([0.7, 0.3, 0.3], abs=0.02)
    assert world.body("hand").pose[:, 2].tolist() == pytest.approx([1.2, 1.5, 1.5])
    (incident,) = world.incidents()
    write_incident(tmp_path / "incident", incident)
    _, data, _ = read_incident(tmp_path / "incident")
    assert data.eq_active.tolist() == [1]
    assert data.act.tolist() == pytest.approx([0.7])
    assert data.mocap_pos[0, 2] == pytest.approx(1.2)


def test_a_recorded_step_allocates_no_room_for_its_controls(
    held: WarpWorld, monkeypatch: pytest.MonkeyPatch
) -> None:
    held.step()
    asked: list[object] = []
    monkeypatch.setattr(guard.wp, "zeros_like", asked.append)
    held.guard.remember(held._path)
    assert asked == []


def test_a_field_that_becomes_one_per_world_is_in_the_next_step() -> None:
    world = WarpWorld(make_scene(), 2)
    world.step()  # with a graph that knows one gravity
    world.field("opt.gravity")[1] = torch.tensor([0.0, 0.0, 9.81])
    world.step()
    assert (world.free_body("box").dq[:, 2] > 0.05).tolist() == [False, True]


def test_a_scene_without_actuators_falls() -> None:
    spec = mujoco.MjSpec()
    ball = spec.worldbody.add_body(name="ball", pos=(0.0, 0.0, 1.0))
    ball.add_freejoint(name="ball")
    ball.add_geom(size=(0.1, 0.0, 0.0))
    world = WarpWorld(spec, 2)
    world.step()
    # 8 steps of h = 1/480 s, speed before place: 1 - g h^2 (1 + ... + 8) = 1 - 36 * 9.81 / 480^2
    expected = torch.full((2,), 1.0 - 36 * 9.81 / 480**2)
    torch.testing.assert_close(world.body("ball").pose[:, 2], expected, rtol=0, atol=1e-6)


@pytest.mark.parametrize("name", ["body_pos", "geom_quat"])
def test_a_field_that_would_move_nothing_is_refused(name: str) -> None:
    with pytest.raises(ValueError, match="places what is fixed to the world once"):
        WarpWorld(make_scene(), 2).field(name)
