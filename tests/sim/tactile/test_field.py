"""The force field of gels: hand-computed forces, memory, statics, and what pushes bodies."""

# MuJoCo's extension modules have no stubs.
# pyright: standard, reportAttributeAccessIssue=false

import math
from dataclasses import replace
from typing import Any

import mujoco
import numpy as np
import numpy.typing as npt
import pytest
import torch

from sim2arm.core.transforms import quat_from_matrix, quat_to_matrix
from sim2arm.sim.tactile.distance import DistanceGrid
from sim2arm.sim.tactile.field import FieldCfg, ForceField, GelLaw, GelPlace
from sim2arm.sim.worlds.base import World
from sim2arm.sim.worlds.compiled import add_pair_force_sensor
from sim2arm.sim.worlds.law import LawError
from sim2arm.sim.worlds.table import make_world

STEP, GRAVITY = 1.0 / 480.0, 9.81
LAW = GelLaw(stiffness=5e7, shear=2e7, damping=0.0, shear_damping=0.0, friction=0.5)
CFG = FieldCfg(height=0.028, width=0.020, rows=14, cols=10, law=LAW)  # taxels of 2 x 2 mm
AREA = 4e-6
PEG = {"radius": 0.008, "half": 0.025, "mass": 0.05}
FLAT = (0.0, 0.0, 0.0, 1.0, 0.0, 0.0, 0.0)


def punch(cfg: FieldCfg = CFG) -> tuple[World, ForceField, torch.Tensor]:
    """A gel that looks up, and a square punch of 8 x 8 mm on a mocap body above it."""
    spec = mujoco.MjSpec()
    spec.worldbody.add_body(name="gel")
    body = spec.worldbody.add_body(name="punch", mocap=True)
    body.add_geom(type=mujoco.mjtGeom.mjGEOM_BOX, size=[0.004, 0.004, 0.004], pos=[0.0, 0.0, 0.004])
    field = ForceField(cfg, [GelPlace(body="gel", place=FLAT)], ["punch"])
    world = make_world("mujoco", spec, 1, timestep=STEP, control_substeps=1, law=field)
    pose = world.mocap("punch")
    pose[:] = torch.tensor([0.0, 0.0, 0.01, 1.0, 0.0, 0.0, 0.0])
    world.step()
    return world, field, pose


def total(field: ForceField) -> npt.NDArray[np.float64]:
    """Force on the gel [N] and torque about its origin [N m]."""
    return field.wrench()[0, 0, 0].numpy().astype(float)


def test_a_flat_punch_is_pushed_by_stiffness_times_area_times_depth() -> None:
    world, field, pose = punch()
    pose[0, 2] = -5e-4
    world.step()
    world.step()  # at rest: the step before counts the speed of the way down
    wanted = LAW.stiffness * 16 * AREA * 5e-4
    assert total(field)[2] == pytest.approx(-wanted, rel=1e-4)
    assert np.abs(total(field)[[0, 1, 3, 4, 5]]).max() < 1e-4 * wanted
    pressed = field.forces[0, 0, :, :, 2] < 0.0
    assert pressed.sum() == 16
    assert pressed[5:9, 3:7].all()


def test_drag_grows_with_the_way_stays_for_a_second_and_slips_at_friction() -> None:
    world, field, pose = punch()
    pose[0, 2] = -5e-4
    world.step()
    pose[0, 0] = 5e-5
    world.step()
    elastic = LAW.shear * 16 * AREA * 5e-5
    assert total(field)[0] > 0.5 * elastic
    for _ in range(480):
        world.step()
    assert total(field)[0] == pytest.approx(elastic, rel=0.01)  # held, not let go
    for x in np.linspace(5e-5, 2e-3, 1000):
        pose[0, 0] = x
        world.step()
    most = LAW.friction * LAW.stiffness * 16 * AREA * 5e-4
    world.step()
    assert total(field)[0] == pytest.approx(most, rel=0.01)
    pose[0, 0] -= 2e-5  # back: it gives way as it was strained, from the limit down
    world.step()
    world.step()
    assert total(field)[0] == pytest.approx(most - LAW.shear * 16 * AREA * 2e-5, rel=0.01)


def test_viscous_drag_has_no_memory() -> None:
    law = replace(LAW, kind="viscous", shear_damping=1e5)
    world, field, pose = punch(replace(CFG, law=law))
    pose[0, 2] = -5e-4
    world.step()
    for _ in range(5):
        pose[0, 0] += 1e-3 * STEP  # 1 mm/s
        world.step()
    assert total(field)[0] == pytest.approx(1e5 * 16 * AREA * 1e-3, rel=0.01)
    world.step()
    assert abs(total(field)[0]) < 1e-6


def test_a_twisted_punch_drags_its_taxels_around() -> None:
    world, field, pose = punch()
    pose[0, 2] = -5e-4
    world.step()
    angle = 0.02
    pose[0, 3], pose[0, 6] = math.cos(0.5 * angle), math.sin(0.5 * angle)
    world.step()
    world.step()
    x = np.array([-3e-3, -1e-3, 1e-3, 3e-3])
    polar = 2.0 * 4.0 * np.sum(x * x) * AREA  # of x^2 + y^2 over 4 x 4 taxels
    assert total(field)[5] == pytest.approx(LAW.shear * polar * math.sin(angle), rel=0.01)
    assert np.abs(total(field)[:2]).max() < 1e-4


def test_taxels_press_as_deep_as_a_formula_says(grids: dict[str, DistanceGrid]) -> None:
    spec = mujoco.MjSpec()
    spec.worldbody.add_body(name="gel")
    spec.worldbody.add_body(name="a", mocap=True, pos=[-0.004, -0.006, 0.0035])
    spec.worldbody.add_body(name="b", mocap=True, pos=[0.003, 0.005, 0.0032])
    cfg = replace(CFG, bend=10.0, rows=28, cols=20)  # domed by 1 mm at the ends
    balls = [grids["ball"], grids["ball"]]
    field = ForceField(cfg, [GelPlace(body="gel", place=FLAT)], ["a", "b"], grids=balls)
    world = make_world("mujoco", spec, 1, timestep=STEP, control_substeps=1, law=field)
    world.step()
    x = (np.arange(20) - 9.5) * 1e-3
    y = (np.arange(28)[:, None] - 13.5) * 1e-3
    z = -5.0 * (x * x + y * y)
    points = np.stack(np.broadcast_arrays(x, y, z), axis=-1)
    wanted = np.zeros((28, 20, 3))
    for place in ([-0.004, -0.006, 0.0035], [0.003, 0.005, 0.0032]):
        away = points - place
        far = np.linalg.norm(away, axis=-1, keepdims=True)
        depth = np.maximum(0.004 - far, 0.0)  # of a ball of 4 mm; the two are apart
        wanted += LAW.stiffness * 1e-6 * depth * away / far
    found = field.forces[0, 0].numpy()
    # a normal is that of a cell of 0.3 mm: on a ball of 4 mm half a cell is 0.04 rad
    assert np.abs(found - wanted).max() < 0.05 * np.abs(wanted).max()
    assert np.count_nonzero(np.linalg.norm(wanted, axis=-1)) > 15
    sums = field.wrench()[0, 0].numpy()
    push = wanted.sum(axis=(0, 1))
    np.testing.assert_allclose(sums[:, :3].sum(axis=0), push, atol=0.03 * np.abs(push).max())
    moments = np.cross(points, found).sum(axis=(0, 1))
    np.testing.assert_allclose(sums[:, 3:].sum(axis=0), moments, rtol=1e-3, atol=1e-6)


# -- a peg between two gels ------------------------------------------------------------------------


def gripper(engine: str, num_worlds: int, *, law: GelLaw) -> tuple[World, ForceField]:
    """Two fingers with gels that are pressed together around the upper end of a peg."""
    spec = mujoco.MjSpec()
    spec.option.gravity = [0.0, 0.0, -GRAVITY]
    places = []
    for side, sign in (("left", 1.0), ("right", -1.0)):
        body = spec.worldbody.add_body(name=side, pos=[0.0, 0.0, 0.2], gravcomp=1.0)
        body.add_joint(name=side, type=mujoco.mjtJoint.mjJNT_SLIDE, axis=[0.0, sign, 0.0],
                       damping=1400.0, armature=0.05)  # fmt: skip
        body.add_geom(type=mujoco.mjtGeom.mjGEOM_SPHERE, size=[0.005], mass=0.03,
                      contype=0, conaffinity=0)  # fmt: skip
        spec.add_actuator(name=side, target=side, trntype=mujoco.mjtTrn.mjTRN_JOINT)
        y, z = np.array([0.0, 0.0, -1.0]), np.array([0.0, -sign, 0.0])
        frame = np.stack([np.cross(y, z), y, z], axis=1)
        turn = quat_from_matrix(frame)
        places.append(GelPlace(body=side, place=(0.0, 0.0, 0.0, *turn.tolist())))
    peg = spec.worldbody.add_body(name="peg", pos=[0.001, 0.0, 0.2 - 0.017])
    peg.add_freejoint()
    peg.add_geom(type=mujoco.mjtGeom.mjGEOM_CYLINDER, size=[PEG["radius"], PEG["half"], 0.0],
                 mass=PEG["mass"], contype=0)  # fmt: skip
    for side in ("left", "right"):
        add_pair_force_sensor(spec, side, "peg")
    field = ForceField(replace(CFG, law=law), places, ["peg"])
    world = make_world(engine, spec, num_worlds, timestep=STEP, control_substeps=1, law=field)
    fingers = world.joints(["left", "right"])
    fingers.q[:] = PEG["radius"] - 8e-4
    fingers.target[:] = -4.0  # [N]
    world.forward()
    return world, field


@pytest.fixture(scope="module", params=["mujoco", "warp"])
def held(request: pytest.FixtureRequest) -> tuple[World, ForceField, npt.NDArray[np.float64]]:
    """A peg that was held for a second, and the drag that carried it after the first half."""
    world, field = gripper(request.param, 2, law=GelLaw())
    for _ in range(240):
        world.step()
    before = field.forces[..., 1].sum(dim=(2, 3)).clone()
    for _ in range(480):
        world.step()
    return world, field, before.numpy()


def on_peg(field: ForceField, world: World, n: int) -> npt.NDArray[np.float64]:
    """Force [N] and torque about the peg's centre [N m], from the field alone, in the world."""
    x = (np.arange(10) - 4.5) * 2e-3
    y = (np.arange(14)[:, None] - 6.5) * 2e-3
    points = np.stack(np.broadcast_arrays(x, y, 0.0 * y), axis=-1)
    found = np.zeros(6)
    centre = world.body("peg").pose[n, :3].numpy()
    for g, gel in enumerate(field.gels):
        finger = world.body(gel.body).pose[n].numpy().astype(float)
        R = quat_to_matrix(finger[3:]) @ quat_to_matrix(np.array(gel.place[3:]))
        forces = -field.forces[n, g].numpy().astype(float) @ R.T
        arms = points @ R.T + finger[:3] - centre
        found += np.concatenate([forces.sum(axis=(0, 1)), np.cross(arms, forces).sum(axis=(0, 1))])
    return found


def test_the_field_carries_the_weight_of_what_rests(held: Any) -> None:
    world, field, _ = held
    weight = PEG["mass"] * GRAVITY
    for n in range(2):
        force, torque = np.split(on_peg(field, world, n), 2)
        np.testing.assert_allclose(force, [0.0, 0.0, weight], atol=0.002 * weight)
        assert np.abs(torque).max() < 0.02 * weight * 0.017  # its lever on the gels
    assert world.body("peg").twist.abs().max() < 1e-3
    pairs = [world.pair_force(side, "peg").numpy() for side in ("left", "right")]
    assert pairs[0][0, 1] == pytest.approx(-4.0, rel=0.02)  # the left finger pushes along -y
    np.testing.assert_allclose((pairs[0] + pairs[1])[0], [0.0, 0.0, weight], atol=0.002 * weight)


def test_a_held_peg_is_not_let_go_in_a_second(held: Any) -> None:
    _, field, before = held
    after = field.forces[..., 1].sum(dim=(2, 3)).numpy()
    assert before.min() > 0.1  # [N], the peg pulls the gels down
    assert (after / before).min() > 0.9
    assert (after / before).max() < 1.1


def test_the_field_is_the_wrench_that_moves_a_body() -> None:
    world, field = gripper("mujoco", 1, law=GelLaw())
    fingers, peg = world.joints(["left", "right"]), world.free_body("peg")
    worst = np.zeros(2)
    scale = np.zeros(2)
    inertia = world.model.body("peg").inertia  # type: ignore[attr-defined]
    axes = quat_to_matrix(world.model.body("peg").iquat)  # type: ignore[attr-defined]
    for k in range(150):
        fingers.target[:] = torch.tensor([-4.0 - 2.0 * math.sin(0.3 * k), -4.0])
        if k == 60:
            peg.dq[:] += torch.tensor([0.05, 0.02, 0.1, 2.0, 3.0, 1.0])  # knocked
        velocity = peg.dq[0].numpy().copy()
        turn = quat_to_matrix(peg.q[0, 3:].numpy())
        world.forward()
        start = [world.body(name).pose.clone() for name in ("peg", "left", "right")]
        world.step()
        change = (peg.dq[0].numpy() - velocity) / STEP
        tensor = axes @ np.diag(inertia) @ axes.T
        spin = tensor @ change[3:] + np.cross(velocity[3:], tensor @ velocity[3:])
        wanted = np.concatenate([PEG["mass"] * change[:3], turn @ spin])
        wanted[2] += PEG["mass"] * GRAVITY
        found = _of(field, start)
        worst = np.maximum(worst, np.abs((found - wanted).reshape(2, 3)).max(axis=1))
        scale = np.maximum(scale, np.abs(wanted.reshape(2, 3)).max(axis=1))
    assert (scale > [0.5, 0.005]).all(), scale  # [N], [N m]: it was shaken
    assert (worst < 0.02 * scale).all(), (worst, scale)


def _of(field: ForceField, start: list[torch.Tensor]) -> npt.NDArray[np.float64]:
    """As `on_peg`, with poses from before the step: those at which the forces acted."""

    class Then:
        def body(self, name: str) -> Any:
            pose = start[["peg", "left", "right"].index(name)]
            return type("Frame", (), {"pose": pose})

    return on_peg(field, Then(), 0)  # type: ignore[arg-type]


@pytest.mark.parametrize("stiffness", [2e7, 3e8])
def test_what_is_held_comes_to_rest_whatever_the_stiffness(stiffness: float) -> None:
    law = GelLaw(stiffness=stiffness, shear=stiffness / 3, damping=0.0, shear_damping=0.0)
    world, field = gripper("mujoco", 1, law=law)
    for _ in range(480):
        world.step()
    assert world.body("peg").twist.abs().max() < 0.02
    assert on_peg(field, world, 0)[2] == pytest.approx(PEG["mass"] * GRAVITY, rel=0.02)


def test_worlds_forget_alone_and_do_not_depend_on_each_other() -> None:
    world, field = gripper("mujoco", 3, law=GelLaw())
    alone, other = gripper("mujoco", 1, law=GelLaw())
    field.numbers[1, :, 0] *= 2.0
    for _ in range(30):
        world.step()
        alone.step()
    assert torch.equal(field.forces[0], other.forces[0])
    assert torch.equal(field.forces[0], field.forces[2])
    assert not torch.equal(field.forces[0], field.forces[1])
    kept = field.forces[2].clone()
    field.start(torch.tensor([True, False, False]))
    assert field.forces[0].abs().max() == 0.0
    assert field.wrench()[0].abs().max() == 0.0
    assert torch.equal(field.forces[2], kept)


def test_a_process_takes_no_law() -> None:
    field = ForceField(CFG, [GelPlace(body="gel", place=FLAT)], ["punch"])
    with pytest.raises(LawError, match="process"):
        make_world("process", mujoco.MjSpec(), 1, timestep=STEP, control_substeps=1, law=field)


@pytest.mark.parametrize(
    "settings", [{"stiffness": 0.0}, {"friction": -1.0}, {"shear": math.inf}, {"kind": "sticky"}]
)
def test_what_is_no_gel_is_refused(settings: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match=next(iter(settings))):
        GelLaw(**settings)


def test_an_object_without_a_shape_is_refused() -> None:
    spec = mujoco.MjSpec()
    spec.worldbody.add_body(name="gel")
    spec.worldbody.add_body(name="nothing", mocap=True)
    field = ForceField(CFG, [GelPlace(body="gel", place=FLAT)], ["nothing"])
    with pytest.raises(ValueError, match="at least one"):
        make_world("mujoco", spec, 1, timestep=STEP, control_substeps=1, law=field)
