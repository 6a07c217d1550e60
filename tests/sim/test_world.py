"""What every world must do, whatever its engine."""

# MuJoCo's extension modules have no stubs.
# pyright: standard, reportAttributeAccessIssue=false

from collections.abc import Callable
from typing import Protocol

import mujoco
import numpy as np
import pytest
import torch

from sim2arm.core.kinematics import forward_and_jacobian
from sim2arm.core.robots import PANDA
from sim2arm.core.transforms import quat_conjugate, quat_mul, quat_to_rotvec
from sim2arm.sim.robots.franka import add_home_key, add_robot
from sim2arm.sim.scene import add_table
from sim2arm.sim.worlds.base import CapacityError, World
from sim2arm.sim.worlds.compiled import add_pair_force_sensor
from sim2arm.sim.worlds.table import WORLDS, make_world

TOOL = PANDA.chain.tool_frame
HALF, MASS = 0.03, 2.0  # box [m], [kg]


class Build(Protocol):
    def __call__(self, spec: mujoco.MjSpec, num_worlds: int) -> World: ...


@pytest.fixture(params=WORLDS)
def build(request: pytest.FixtureRequest) -> Build:
    """Every engine must pass the whole file."""

    def built(spec: mujoco.MjSpec, num_worlds: int) -> World:
        return make_world(request.param, spec, num_worlds, timestep=1.0 / 480.0, control_substeps=8)

    return built


def rounding(world: World) -> float:
    """What a few operations on numbers of order one may be off."""
    return {torch.float64: 1e-12, torch.float32: 2e-6}[world.dtype]


def make_scene() -> mujoco.MjSpec:
    """A Panda, a table, a box that rests on it and a marker."""
    spec = mujoco.MjSpec()
    add_robot(spec, PANDA)
    add_table(spec)
    box = spec.worldbody.add_body(name="box", pos=(0.5, 0.0, HALF))
    box.add_freejoint()
    box.add_geom(name="box", type=mujoco.mjtGeom.mjGEOM_BOX, size=(HALF,) * 3, mass=MASS)
    spec.worldbody.add_body(name="mark", mocap=True, pos=(0.3, 0.3, 0.2))
    spec.worldbody.add_body(name="other", mocap=True, pos=(0.3, -0.3, 0.2))
    add_pair_force_sensor(spec, "world", "box")
    add_pair_force_sensor(spec, "box", "world")
    add_home_key(spec, PANDA)
    return spec


def random_targets(seed: int, num_worlds: int, substeps: int) -> torch.Tensor:
    """Controls near home, gripper half open, different in each world and substep."""
    rng = np.random.default_rng(seed)
    targets = np.empty((num_worlds, substeps, 8))
    targets[..., :7] = PANDA.home + rng.normal(0.0, 0.05, (num_worlds, substeps, 7))
    targets[..., 7] = 0.04
    return torch.from_numpy(targets)


def everything(world: World) -> torch.Tensor:
    """What a task can see of a world, one row per world."""
    arm = world.joints(PANDA.joint_names)
    views = [world.body("box").pose, world.body("box").twist, world.site(TOOL).pose]
    views += [arm.q, arm.dq, world.pair_force("world", "box"), world.time[:, None]]
    return torch.cat([view.clone() for view in views], dim=-1).to(torch.float64)


def test_a_world_starts_at_home(build: Build) -> None:
    world = build(make_scene(), 3)
    assert world.num_worlds == 3
    assert world.timestep == pytest.approx(1.0 / 480.0)
    arm = world.joints(PANDA.joint_names)
    home = torch.tensor(PANDA.home, dtype=world.dtype)
    assert torch.equal(arm.q, home.expand(3, -1))
    np.testing.assert_array_equal(world.time, np.zeros(3))
    T, _ = forward_and_jacobian(PANDA.chain, arm.q)
    np.testing.assert_allclose(world.site(TOOL).pose[:, :3], T[:, :3, 3], atol=rounding(world))


def test_views_are_current_after_a_step(build: Build) -> None:
    world = build(make_scene(), 3)
    world.step(random_targets(0, 3, 8))
    before = everything(world)
    assert before[:, 20:27].abs().min() > 1e-6  # the arm moves
    world.forward()
    torch.testing.assert_close(everything(world), before, rtol=0, atol=rounding(world))
    np.testing.assert_allclose(world.time, np.full(3, 8 / 480.0), atol=1e-3 * rounding(world))


def test_our_step_is_mj_step(build: Build) -> None:
    world = build(make_scene(), 2)
    reference = make_scene()
    reference.option.timestep = 1.0 / 480.0
    reference.option.integrator = mujoco.mjtIntegrator.mjINT_IMPLICITFAST
    reference.option.jacobian = mujoco.mjtJacobian.mjJAC_DENSE
    model = reference.compile()
    data = [mujoco.MjData(model) for _ in range(2)]
    for one in data:
        mujoco.mj_resetDataKeyframe(model, one, 0)
        mujoco.mj_forward(model, one)
    for k in range(5):
        targets = random_targets(k, 2, 6)
        world.step(targets)
        for i, one in enumerate(data):
            for row in targets[i].numpy():
                one.ctrl[:] = row
                mujoco.mj_step(model, one)
    q, box = world.joints(PANDA.joint_names).q, world.free_body("box").q
    # The same bits in the same precision; in single precision, 30 steps of its rounding.
    off = {torch.float64: 0.0, torch.float32: 2e-5}[world.dtype]
    for i, one in enumerate(data):
        np.testing.assert_allclose(q[i], one.qpos[:7], rtol=0, atol=off)
        np.testing.assert_allclose(box[i], one.qpos[9:16], rtol=0, atol=off)


def test_one_world_is_many_worlds(build: Build) -> None:
    targets = random_targets(1, 5, 8)
    many, one = build(make_scene(), 5), build(make_scene(), 1)
    for _ in range(3):
        many.step(targets)
        one.step(targets[3:4])
    np.testing.assert_array_equal(everything(many)[3:4], everything(one))


def test_the_same_inputs_give_the_same_bits(build: Build) -> None:
    results = []
    for _ in range(2):
        world = build(make_scene(), 4)
        for k in range(3):
            world.step(random_targets(k, 4, 8))
        results.append(everything(world))
    np.testing.assert_array_equal(results[0], results[1])


def test_targets_of_one_substep_and_none(build: Build) -> None:
    world, other = build(make_scene(), 2), build(make_scene(), 2)
    targets = random_targets(2, 2, 1)
    for _ in range(8):
        world.step(targets)
    other.step(targets)
    for _ in range(7):
        other.step(other_controls(other))
    torch.testing.assert_close(everything(world), everything(other), rtol=0, atol=0)
    held = build(make_scene(), 2)
    held.joints(PANDA.joint_names).target[:] = targets[:, 0, :7].to(held.dtype)
    held.step()
    np.testing.assert_allclose(held.time, 8 / 480.0, rtol=1e-5)
    assert (held.joints(PANDA.joint_names).q - torch.tensor(PANDA.home)).abs().max() > 1e-4


def other_controls(world: World) -> torch.Tensor:
    """The controls as they stand, as targets of one substep."""
    arm = world.joints(PANDA.joint_names).target
    width = torch.full((world.num_worlds, 1), 0.04, dtype=arm.dtype)
    return torch.cat([arm, width], dim=-1)[:, None]


@pytest.mark.parametrize("as_mask", [False, True])
def test_reset_touches_only_the_chosen_worlds(build: Build, as_mask: bool) -> None:
    world = build(make_scene(), 4)
    start = everything(world)
    for k in range(3):
        world.step(random_targets(k, 4, 8))
    moved = everything(world)
    chosen = torch.tensor([False, True, False, True]) if as_mask else torch.tensor([3, 1])
    world.reset(chosen)
    world.forward(chosen)
    after = everything(world)
    np.testing.assert_array_equal(after[[0, 2]], moved[[0, 2]])
    np.testing.assert_array_equal(after[[1, 3]], start[[1, 3]])


def test_state_is_writable(build: Build) -> None:
    world = build(make_scene(), 3)
    arm, box = world.joints(PANDA.joint_names), world.free_body("box")
    arm.q[1, 0] = 0.5
    box.q[1] = torch.tensor([0.4, 0.1, 0.5, 1.0, 0.0, 0.0, 0.0])
    box.dq[1, :3] = torch.tensor([0.1, 0.0, 0.2])
    world.forward()
    np.testing.assert_allclose(world.body("box").pose[1, :3], [0.4, 0.1, 0.5], rtol=1e-6)
    off = rounding(world)
    np.testing.assert_allclose(world.body("box").twist[1], [0.1, 0.0, 0.2, 0, 0, 0], atol=off)
    T, _ = forward_and_jacobian(PANDA.chain, arm.q)
    np.testing.assert_allclose(world.site(TOOL).pose[:, :3], T[:, :3, 3], atol=off)
    assert world.site(TOOL).pose[1, 1] > 0.1  # turned to the left


def test_a_pose_is_kept_when_the_world_moves_on(build: Build) -> None:
    world = build(make_scene(), 2)
    tool = world.site(TOOL)
    before = tool.pose
    copy = before.clone()
    world.step(random_targets(0, 2, 8))
    np.testing.assert_array_equal(before, copy)
    assert not torch.equal(tool.pose, copy)


def test_mocap_bodies_move_when_written(build: Build) -> None:
    world = build(make_scene(), 3)
    mark, other = world.mocap("mark"), world.mocap("other")
    np.testing.assert_allclose(mark[0], [0.3, 0.3, 0.2, 1, 0, 0, 0], rtol=1e-6)
    mark[1, :3] = torch.tensor([0.1, 0.2, 0.3], dtype=mark.dtype)
    world.step(random_targets(0, 3, 2))
    np.testing.assert_allclose(world.body("mark").pose[1, :3], [0.1, 0.2, 0.3], rtol=1e-6)
    np.testing.assert_allclose(world.body("mark").pose[0, :3], [0.3, 0.3, 0.2], rtol=1e-6)
    np.testing.assert_allclose(world.body("other").pose, other)
    world.reset(torch.tensor([1]))
    world.forward()
    np.testing.assert_allclose(world.body("mark").pose[1, :3], [0.3, 0.3, 0.2], rtol=1e-6)


def test_jacobian_gives_the_twist_and_the_finite_difference(build: Build) -> None:
    world = build(make_scene(), 2)
    arm, tool = world.joints(PANDA.joint_names), world.site(TOOL)
    arm.dq[:] = torch.from_numpy(np.random.default_rng(0).normal(0.0, 0.5, (2, 7))).to(world.dtype)
    world.forward()
    J = world.jacobian(TOOL, PANDA.joint_names)
    assert J.shape == (2, 6, 7)
    np.testing.assert_allclose(tool.twist, (J @ arm.dq[..., None])[..., 0], atol=rounding(world))
    # In single precision a wide step, whose cube and whose rounding are then the error.
    h, off = {torch.float64: (1e-6, 1e-8), torch.float32: (1e-2, 1e-4)}[world.dtype]
    start = arm.q.clone()
    for i in range(7):
        poses = []
        for sign in (1.0, -1.0):
            arm.q[:] = start
            arm.q[:, i] += sign * h
            world.forward()
            poses.append(tool.pose)
        linear = (poses[0][:, :3] - poses[1][:, :3]) / (2 * h)
        turn = quat_mul(poses[0][:, 3:], quat_conjugate(poses[1][:, 3:]))
        angular = quat_to_rotvec(turn) / (2 * h)
        np.testing.assert_allclose(J[:, :3, i], linear, atol=off)
        np.testing.assert_allclose(J[:, 3:, i], angular, atol=off)


def test_twist_of_a_spinning_body(build: Build) -> None:
    # A body frame away from the centre of mass: the hand turns about joint 1 at 1 rad/s, so its
    # origin at (x, 0) moves with (0, x).
    world = build(make_scene(), 1)
    world.joints(PANDA.joint_names).dq[0, 0] = 1.0
    world.forward()
    hand = world.body("panda_hand")
    x = float(hand.pose[0, 0])
    np.testing.assert_allclose(hand.twist[0], [0, x, 0, 0, 0, 1.0], atol=rounding(world))


def test_pair_force_is_the_weight_of_a_resting_box(build: Build) -> None:
    world = build(make_scene(), 3)
    for _ in range(120):  # 2 s
        world.step()
    weight = MASS * 9.81  # 19.62 N
    np.testing.assert_allclose(world.pair_force("world", "box"), [[0, 0, weight]] * 3, atol=1e-3)
    np.testing.assert_allclose(world.pair_force("box", "world"), [[0, 0, -weight]] * 3, atol=1e-3)
    world.free_body("box").q[1, 2] = 0.5  # in the air
    world.step(other_controls(world))
    np.testing.assert_allclose(world.pair_force("world", "box")[1], 0.0, atol=1e-12)
    world.reset(torch.tensor([2]))
    world.forward()
    np.testing.assert_array_equal(world.pair_force("world", "box")[2], [0.0, 0.0, 0.0])
    np.testing.assert_allclose(world.pair_force("world", "box")[0], [0, 0, weight], atol=1e-3)


def test_an_equality_acts_where_it_is_switched_on_until_the_reset(build: Build) -> None:
    spec = make_scene()
    spec.add_equality(
        name="held",
        type=mujoco.mjtEq.mjEQ_WELD,
        objtype=mujoco.mjtObj.mjOBJ_BODY,
        name1="mark",
        name2="box",
        active=False,
        data=[0.0] * 6 + [1.0, 0.0, 0.0, 0.0, 1.0, 0.0],
    )
    world = build(spec, 3)
    world.free_body("box").q[:, 2] = 1.0  # falls
    world.mocap("mark")[:] = world.free_body("box").q
    acts = world.equality("held")
    assert not acts.any()
    acts[1] = True
    for _ in range(6):
        world.step()
    # Free fall for 0.1 s: 9.81 * 0.1^2 / 2 = 49 mm.
    height = world.body("box").pose[:, 2]
    np.testing.assert_allclose(height[[0, 2]], 0.951, atol=2e-3)
    assert height[1] > 0.998
    world.reset(torch.tensor([False, True, True]))
    assert not world.equality("held").any()


def test_fields_per_world_change_the_physics(build: Build) -> None:
    world = build(make_scene(), 3)
    body = [world_body(world, "box")]
    mass = world.field("body_mass")
    assert mass.shape[0] == 3
    mass[1, body] *= 2.0
    world.field("body_inertia")[1, body] *= 2.0
    world.commit_fields()
    for _ in range(120):
        world.step()
    forces = world.pair_force("world", "box")[:, 2]
    np.testing.assert_allclose(forces, [19.62, 39.24, 19.62], atol=2e-3)


def world_body(world: World, name: str) -> int:
    """The row of a body in the model's fields."""
    model = make_scene().compile()
    assert world.field("body_mass").shape[1] == model.nbody
    return int(model.body(name).id)


def test_gains_per_world(build: Build) -> None:
    world = build(make_scene(), 2)
    world.field("actuator_gainprm")[1, :7, 0] *= 0.5
    world.field("actuator_biasprm")[1, :7, 1] *= 0.5
    world.commit_fields()
    targets = random_targets(0, 1, 8).expand(2, -1, -1)
    world.step(targets)
    dq = world.joints(PANDA.joint_names).dq
    assert (dq[0].abs() > dq[1].abs()).all()


def test_a_diverged_world_is_reported_until_its_reset(build: Build) -> None:
    world = build(make_scene(), 3)
    world.joints(PANDA.joint_names).q[1, 0] = float("nan")
    world.step(random_targets(0, 3, 4))
    before = world.diverged
    assert before.tolist() == [False, True, False]
    assert torch.isfinite(everything(world)[[0, 2]]).all()
    world.reset(torch.tensor([1]))
    world.forward()
    assert not world.diverged.any()
    assert before.tolist() == [False, True, False]  # an environment tells it after the reset
    assert torch.isfinite(everything(world)).all()


def test_nothing_is_lost_for_want_of_room(build: Build) -> None:
    world = build(make_scene(), 2)
    for _ in range(5):
        world.step()
    world.check_capacity()  # four contacts of the box


def test_the_c_engine_tells_when_its_arena_is_too_small() -> None:
    spec = make_scene()
    spec.memory = 9000  # [bytes]; four contacts of condim 3 need more
    world = make_world("mujoco", spec, 2, timestep=1.0 / 480.0, control_substeps=8)
    world.step()
    with pytest.raises(CapacityError, match=r"no room .* in 2 of 2 worlds; raise the memory"):
        world.check_capacity()


ERRORS: dict[str, tuple[Callable[[World], object], type[Exception], str]] = {
    "body": (lambda w: w.body("cup"), KeyError, "body 'cup' is not in the model. Known"),
    "joint": (lambda w: w.joints(["panda_joint9"]), KeyError, "joint 'panda_joint9' is not"),
    "order": (
        lambda w: w.joints(["panda_joint2", "panda_joint1"]),
        ValueError,
        "in the order of the model",
    ),
    "free": (lambda w: w.free_body("panda_hand"), ValueError, "no free joint"),
    "mocap": (lambda w: w.mocap("box"), ValueError, "not a mocap body"),
    "force": (lambda w: w.pair_force("box", "panda_hand"), ValueError, "add_pair_force_sensor"),
    "shape": (
        lambda w: w.step(torch.zeros(2, 4, 7, dtype=torch.float64)),
        ValueError,
        r"\(2, substeps, 8\)",
    ),
    "empty": (
        lambda w: w.step(torch.zeros(2, 0, 8, dtype=torch.float64)),
        ValueError,
        "at least one substep",
    ),
    "field": (lambda w: w.field("body_weight"), ValueError, "body_weight"),
}


@pytest.mark.parametrize(("call", "error", "text"), ERRORS.values(), ids=ERRORS)
def test_errors_say_what_is_wrong(
    build: Build, call: Callable[[World], object], error: type[Exception], text: str
) -> None:
    with pytest.raises(error, match=text):
        call(build(make_scene(), 2))
