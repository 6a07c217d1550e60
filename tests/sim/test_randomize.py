"""What terms of randomisation do: to the model by hand, to the physics, on every engine."""

# MuJoCo's extension modules have no stubs.
# pyright: standard, reportAttributeAccessIssue=false

from __future__ import annotations

import math
from itertools import pairwise
from typing import Any

import mujoco
import numpy as np
import pytest
import torch

from sim2arm.core.contract import Provenance
from sim2arm.core.controllers import EeDeltaCfg
from sim2arm.core.robots import FR3
from sim2arm.core.transforms import quat_rotate
from sim2arm.sim.command_path import CommandPath
from sim2arm.sim.contract import make_contract
from sim2arm.sim.env import Env
from sim2arm.sim.physics_terms import (
    Friction,
    Gains,
    GeomSize,
    Gravity,
    GravityCompensation,
    JointDynamics,
    Mass,
    prepare_scene,
)
from sim2arm.sim.randomize import Randomizer, Term
from sim2arm.sim.robots.franka import add_home_key, add_robot
from sim2arm.sim.scene import add_table
from sim2arm.sim.tasks.table import make_task
from sim2arm.sim.worlds.base import World
from sim2arm.sim.worlds.compiled import add_pair_force_sensor
from sim2arm.sim.worlds.table import WORLDS, make_world

N = 3
MASS, SIDE = 2.0, (0.02, 0.03, 0.04)  # box, half sides [m]
JOINTS = FR3.chain.joint_names
TERMS: dict[str, Term] = {
    "mass": Mass(body="box", low=0.5, high=2.0),
    "spread": Mass(body="box", low=1.0, high=1.0, spread=1.5, shift=0.004),
    "friction": Friction(geoms=("box", "table"), low=0.25, high=2.0),
    "joints": JointDynamics(joints=JOINTS, damping=2.0, armature=1.5, dry_friction=0.4),
    "gravity": Gravity(factor=1.1, tilt=0.1),
    "compensation": GravityCompensation(bodies=("fr3_*",), error=0.1),
    "gains": Gains(joints=JOINTS, kp=2.0, kd=1.5),
    "size": GeomSize(geom="box", axis=2, low=-0.005, high=0.01),
}
FIELDS = ("body_mass", "body_inertia", "body_ipos", "geom_friction", "dof_damping", "dof_armature",
          "dof_frictionloss", "body_gravcomp", "opt.gravity", "actuator_gainprm",
          "actuator_biasprm", "geom_size")  # fmt: skip


@pytest.fixture(params=WORLDS)
def world(request: pytest.FixtureRequest) -> World:
    spec = mujoco.MjSpec()
    add_robot(spec, FR3)
    add_table(spec)
    box = spec.worldbody.add_body(name="box", pos=(0.5, 0.0, SIDE[2]))
    box.add_freejoint(name="box")
    box.add_geom(name="box", type=mujoco.mjtGeom.mjGEOM_BOX, size=SIDE, mass=MASS)
    add_pair_force_sensor(spec, "world", "box")
    add_home_key(spec, FR3)
    prepare_scene(spec, list(TERMS.values()))
    return make_world(request.param, spec, N, timestep=1.0 / 480.0, control_substeps=8)


def make_randomizer(world: World, *terms: Term) -> Randomizer:
    commands = CommandPath(FR3, world, period=1.0 / 60.0, substeps=8, cfg=EeDeltaCfg())
    return Randomizer(terms, world, commands)


def everywhere(world: World) -> torch.Tensor:
    return torch.ones(N, dtype=torch.bool, device=world.device)


def units(world: World, randomizer: Randomizer, *rows: float) -> torch.Tensor:
    """The same number for everything that a world draws."""
    column = torch.tensor(rows, dtype=world.dtype)[:, None]
    return column.expand(N, randomizer.count)


def row(world: Any, kind: str, name: str) -> int:
    return int(getattr(world.model, kind)(name).id)


def fields(world: World) -> dict[str, torch.Tensor]:
    return {name: world.field(name).clone() for name in FIELDS}


@pytest.mark.parametrize("name", TERMS)
def test_it_writes_chosen_worlds_and_at_level_zero_what_the_model_says(
    world: World, name: str
) -> None:
    randomizer = make_randomizer(world, TERMS[name])
    before = fields(world)
    chosen = torch.tensor([False, True, False])
    randomizer.write(chosen, units(world, randomizer, 0.0, 0.0, 0.0))
    after = fields(world)
    changed = [key for key in FIELDS if not torch.equal(before[key], after[key])]
    assert changed
    for key in changed:
        assert torch.equal(before[key][~chosen], after[key][~chosen])
    randomizer.level = 0.0
    randomizer.write(everywhere(world), units(world, randomizer, 0.1, 0.5, 0.9))
    for key, values in fields(world).items():
        torch.testing.assert_close(values, before[key], rtol=1e-6, atol=1e-9)


def test_numbers_by_hand(world: World) -> None:
    terms = [term for name, term in TERMS.items() if name != "spread"]
    randomizer = make_randomizer(world, *terms)
    # 1 + 1 + 21 + 3 + 1 + 2 + 1 numbers
    assert randomizer.count == 30
    nominal = {name: values[0] for name, values in fields(world).items()}
    randomizer.write(everywhere(world), units(world, randomizer, 0.0, 0.5, 1.0))
    now = fields(world)
    box, geom, arm = row(world, "body", "box"), row(world, "geom", "box"), slice(0, 7)

    def close(values: torch.Tensor, expected: Any) -> None:
        np.testing.assert_allclose(values, expected, rtol=2e-6)

    close(now["body_mass"][:, box], [1.0, 2.0, 4.0])
    # Ixx of a box: m (b^2 + c^2) / 3 = 2 (0.0009 + 0.0016) / 3 = 1.6667e-3, times the factor
    close(now["body_inertia"][:, box, 0], [0.8333333e-3, 1.6666667e-3, 3.3333333e-3])
    # geometric middle of 0.25 and 2: 0.7071
    close(now["geom_friction"][:, geom, 0], [0.25, math.sqrt(0.5), 2.0])
    close(now["dof_damping"][:, 3] / nominal["dof_damping"][3].clamp(min=1e-9),
          [0.5, 1.0, 2.0] if nominal["dof_damping"][3] > 0 else [0.0, 0.0, 0.0])  # fmt: skip
    close(now["dof_armature"][:, 3] / nominal["dof_armature"][3], [1 / 1.5, 1.0, 1.5])
    close(now["dof_frictionloss"][:, 3] - nominal["dof_frictionloss"][3], [0.0, 0.2, 0.4])
    close(torch.linalg.vector_norm(now["opt.gravity"], dim=-1), [9.81 / 1.1, 9.81, 9.81 * 1.1])
    # turned by -0.1 rad about x and about y: x = cos(0.1) sin(0.1), y = -sin(0.1)
    downhill = now["opt.gravity"][0] / torch.linalg.vector_norm(now["opt.gravity"][0])
    close(downhill, [0.0993347, -0.0998334, -0.9900333])
    close(now["actuator_gainprm"][:, arm, 0] / nominal["actuator_gainprm"][arm, 0],
          [[0.5] * 7, [1.0] * 7, [2.0] * 7])  # fmt: skip
    close(now["actuator_biasprm"][:, arm, 1] / nominal["actuator_biasprm"][arm, 1],
          [[0.5] * 7, [1.0] * 7, [2.0] * 7])  # fmt: skip
    close(now["actuator_biasprm"][:, arm, 2] / nominal["actuator_biasprm"][arm, 2],
          [[1 / 1.5] * 7, [1.0] * 7, [1.5] * 7])  # fmt: skip
    close(now["body_gravcomp"][:, row(world, "body", "fr3_link3")], [0.9, 1.0, 1.1])
    close(now["geom_size"][:, geom, 2], [0.035, 0.0425, 0.05])


def test_the_spread_of_mass_is_that_of_a_possible_body(world: World) -> None:
    randomizer = make_randomizer(world, TERMS["spread"])
    box = row(world, "body", "box")
    unit = units(world, randomizer, 0.5, 0.5, 0.5).clone()
    unit[1, 1] = 1.0  # the second moment along x times 1.5
    unit[2, 4:] = 0.0  # the centre of mass by -4 mm
    randomizer.write(everywhere(world), unit)
    inertia = world.field("body_inertia")[:, box]
    # S = m (a, b, c)^2 / 3 = (2.667e-4, 6e-4, 1.0667e-3); Iyy = Sxx + Szz, Izz = Sxx + Syy
    np.testing.assert_allclose(inertia[0], [1.66667e-3, 1.33333e-3, 8.66667e-4], rtol=1e-5)
    np.testing.assert_allclose(inertia[1], [1.66667e-3, 1.46667e-3, 1.0e-3], rtol=1e-5)
    np.testing.assert_allclose(world.field("body_ipos")[:, box], [[0] * 3, [0] * 3, [-0.004] * 3])
    generator = torch.Generator().manual_seed(0)
    for _ in range(50):
        drawn = torch.rand((N, randomizer.count), generator=generator, dtype=world.dtype)
        randomizer.write(everywhere(world), drawn)
        i = world.field("body_inertia")[:, box]
        assert (i > 0).all() and (i.sum(dim=-1, keepdim=True) - 2 * i > 0).all()


def test_what_is_drawn_is_felt(world: World) -> None:
    randomizer = make_randomizer(world, TERMS["mass"], TERMS["size"])
    randomizer.write(everywhere(world), units(world, randomizer, 1.0, 0.5, 0.0))
    height = world.field("geom_size")[:, row(world, "geom", "box"), 2]
    world.free_body("box").q[:, 2] = height
    world.forward()
    for _ in range(120):
        world.step()
    # It stands on the table at its own height with its own weight.
    np.testing.assert_allclose(world.body("box").pose[:, 2], height, atol=1e-3)
    weight = world.field("body_mass")[:, row(world, "body", "box")] * 9.81
    np.testing.assert_allclose(world.pair_force("world", "box")[:, 2], weight, rtol=5e-3)


def test_friction_of_both_sides_is_felt(world: World) -> None:
    term = Friction(geoms=("box", "table"), low=0.1, high=1.0)
    randomizer = make_randomizer(world, term)
    randomizer.write(everywhere(world), units(world, randomizer, 0.0, 0.25, 0.5))
    box = world.free_body("box")
    box.dq[:, 0] = 1.0
    world.forward()
    for _ in range(6):
        world.step()
    # v - mu g t after 0.1 s, mu = 0.1 * 10^unit; above 0.5 it would tip over
    expected = [1.0 - 0.1 * 10.0**unit * 0.981 for unit in (0.0, 0.25, 0.5)]
    np.testing.assert_allclose(box.dq[:, 0], expected, atol=0.02)  # it presses harder at first


def test_an_arm_that_is_carried_by_half_sinks_to_where_its_stiffness_holds_it(
    world: World,
) -> None:
    term = GravityCompensation(bodies=("fr3_*",), error=0.5)
    randomizer = make_randomizer(world, term)
    randomizer.write(everywhere(world), units(world, randomizer, 0.0, 0.5, 1.0))
    arm = world.joints(JOINTS)
    arm.target.copy_(arm.q)
    start = world.site(FR3.chain.tool_frame).pose[:, 2].clone()
    for _ in range(60):
        world.step()
    moved = world.site(FR3.chain.tool_frame).pose[:, 2] - start
    assert moved[0] < -0.002 and moved[2] > 0.002
    assert moved[1].abs() < 1e-4


def test_a_star_names_all_that_begin_so(world: World) -> None:
    model: Any = world.model  # type: ignore[attr-defined]
    term = GravityCompensation(bodies=("fr3_*",), error=0.5)
    randomizer = make_randomizer(world, term)
    randomizer.write(everywhere(world), units(world, randomizer, 1.0, 1.0, 1.0))
    now = world.field("body_gravcomp")[0]
    arm = [model.body(i).name.startswith("fr3_") for i in range(model.nbody)]
    nominal = torch.tensor(model.body_gravcomp, dtype=now.dtype)
    torch.testing.assert_close(now, torch.where(torch.tensor(arm), 1.5, 1.0) * nominal)
    with pytest.raises(KeyError, match="geom 'cup_\\*' is not in the model"):
        make_randomizer(world, Friction(geoms=("cup_*",)))


def test_stiffness_is_felt_and_the_way_stays_the_same(world: World) -> None:
    commands = CommandPath(FR3, world, period=1.0 / 60.0, substeps=8, cfg=EeDeltaCfg())
    randomizer = Randomizer([TERMS["gains"]], world, commands)
    randomizer.write(everywhere(world), units(world, randomizer, 0.0, 0.5, 1.0))
    arm, tool = world.joints(JOINTS), world.site(FR3.chain.tool_frame)
    commands.start(everywhere(world), arm.q)
    action = torch.zeros((N, 6), dtype=world.dtype)
    action[:, 0] = 0.5
    for _ in range(30):
        world.step(commands.plan(action, tool.pose))
    wanted = commands.goal
    lag = (wanted - arm.q).abs().amax(dim=-1)
    # kd / kp of the law and of the lead agree, so the velocity is followed and the lag is small in
    # all; with the nominal lead it would be (kd'/kp' - kd/kp) dq, tens of mrad.
    assert (lag < 0.03).all()
    # Ratio of kd / kp: (1/1.5) / (1/2), 1, 1.5 / 2.
    np.testing.assert_allclose(commands.lead[:, 0] / commands.lead[1, 0], [4 / 3, 1, 0.75], 1e-5)


def test_a_moved_centre_of_mass_is_felt(world: World) -> None:
    # In free fall, turning at 5 rad/s about x with the centre of mass 4 mm off along -y: it falls
    # straight, so the origin of the body circles about it.
    randomizer = make_randomizer(world, TERMS["spread"])
    randomizer.write(everywhere(world), units(world, randomizer, 0.0, 0.5, 1.0))
    box = world.free_body("box")
    box.q[:, 2] = 1.0
    box.dq[:, 3] = 5.0
    world.forward()
    for _ in range(6):  # 0.1 s, half a radian
        world.step()
    centre = world.field("body_ipos")[:, row(world, "body", "box")]
    at = world.body("box").pose
    now = at[:, :3] + quat_rotate(at[:, 3:], centre)
    start = torch.tensor([0.5, 0.0, 1.0], dtype=world.dtype) + centre
    # Its velocity at the start is w x r = 5 (0, -z, y) of the centre.
    speed = 5.0 * torch.stack([0 * centre[:, 0], -centre[:, 2], centre[:, 1]], dim=-1)
    expected = start + 0.1 * speed
    expected[:, 2] -= 0.5 * 9.81 * 0.1**2
    np.testing.assert_allclose(now, expected, atol=1.2e-3)  # semi-implicit steps: g dt t / 2
    assert (at[0, :3] - at[2, :3]).abs().max() > 1e-3


@pytest.mark.parametrize(
    ("build", "message"),
    [
        (lambda: Mass(body="box", low=0.0), "expected factors 0 < low <= 1 <= high"),
        (lambda: Mass(body="box", low=1.1, high=1.2), "expected factors 0 < low <= 1 <= high"),
        (lambda: Mass(body="box", spread=0.5), "expected factors"),
        (lambda: Mass(body="box", shift=-1.0), "shift: expected 0 m or more"),
        (lambda: Gravity(tilt=2.0), "tilt: expected 0 to 0.5 rad"),
        (lambda: JointDynamics(joints=JOINTS, dry_friction=-0.1), "dry_friction: expected 0 N m"),
        (lambda: GeomSize(geom="box", low=0.1, high=0.2), "expected low <= 0 <= high"),
    ],
)
def test_what_is_no_range_is_refused(build: Any, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        build()


def test_a_name_that_is_not_in_the_model(world: World) -> None:
    with pytest.raises(KeyError, match="body 'cup' is not in the model"):
        make_randomizer(world, Mass(body="cup"))


def test_the_ranges_are_for_the_contract(world: World) -> None:
    randomizer = make_randomizer(world, TERMS["mass"], TERMS["gravity"])
    assert [(r.name, r.unit, r.low, r.high) for r in randomizer.ranges] == [
        ("physics/mass/box", "1", 0.5, 2.0),
        ("physics/gravity", "1", 1 / 1.1, 1.1),
        ("physics/gravity tilt", "rad", -0.1, 0.1),
    ]


def test_at_half_the_level_what_is_drawn_ends_where_the_ranges_say(world: World) -> None:
    randomizer = make_randomizer(world, *(t for name, t in TERMS.items() if name != "spread"))
    nominal = {name: values[0] for name, values in fields(world).items()}
    randomizer.level = 0.5
    randomizer.write(everywhere(world), units(world, randomizer, 0.0, 0.5, 1.0))
    now = fields(world)
    box, geom = row(world, "body", "box"), row(world, "geom", "box")
    size = torch.linalg.vector_norm(now["opt.gravity"], dim=-1)
    factors = {name: now[name] / nominal[name] for name in ("body_mass", "dof_armature")}
    found = {
        "mass/box": factors["body_mass"][:, box],
        "friction/box": now["geom_friction"][:, geom, 0] / nominal["geom_friction"][geom, 0],
        "joint armature": factors["dof_armature"][:, 3],
        "added joint dry friction": now["dof_frictionloss"][:, 3] - nominal["dof_frictionloss"][3],
        "gravity": size / 9.81,
        "gravity tilt": torch.asin(now["opt.gravity"][:, 1] / size),
        "gain kp": now["actuator_biasprm"][:, 0, 1] / nominal["actuator_biasprm"][0, 1],
        "gain kd": now["actuator_biasprm"][:, 0, 2] / nominal["actuator_biasprm"][0, 2],
        "size 2/box": now["geom_size"][:, geom, 2] - nominal["geom_size"][geom, 2],
    }
    ranges = {r.name.removeprefix("physics/"): (r.low, r.high) for r in randomizer.ranges}
    for name, values in found.items():
        np.testing.assert_allclose(values[[0, 2]], ranges[name], rtol=1e-5, atol=1e-8, err_msg=name)
    # Half the way in the logarithm of a factor, sqrt(0.25) and sqrt(2); half of an offset.
    assert ranges["friction/box"] == pytest.approx((0.5, 1.41421356))
    assert ranges["size 2/box"] == pytest.approx((-0.0025, 0.005))
    randomizer.level = 0.0
    assert {r.high - r.low for r in randomizer.ranges} == {0.0}


@pytest.mark.parametrize("engine", WORLDS)
def test_a_seed_is_an_episode_with_its_physics(engine: str) -> None:
    terms = (
        Mass(body="peg", low=0.5, high=2.0),
        JointDynamics(joints=JOINTS, damping=2.0, armature=1.5, dry_friction=0.4),
        Gains(joints=JOINTS, kp=1.3, kd=1.1),
        GeomSize(geom="peg", axis=0, low=-0.001, high=0.001),
    )
    worlds: dict[int, Env] = {}

    def play(*seeds: int) -> torch.Tensor:
        """Return mass, joints, finger forces and peg of each world after 40 steps, (N, ...)."""
        n = len(seeds)
        if n not in worlds:
            task = make_task("peg-insertion", "fr3")
            worlds[n] = Env(task, FR3, num_envs=n, terms=terms, world=engine)
        env = worlds[n]
        env.reset(seeds)
        mass = env.world.field("body_mass")[:, row(env.world, "body", "peg"), None].clone()
        action = torch.tensor([0.3, -0.2, -0.4, 0.1, 0.2, 0.3]).expand(n, 6)
        obs = {}
        for _ in range(40):
            obs, *_ = env.step(action)
        names = ("joint_position", "joint_velocity", "peg_force", "peg_in_socket")
        return torch.cat([mass.to(torch.float32), *(obs[name] for name in names)], dim=-1)

    several = play(5, 6, 7)
    assert len(torch.unique(several[:, 0])) == 3
    assert several[:, 0].min() >= 0.025 and several[:, 0].max() <= 0.1
    assert len(torch.unique(several[:, 1])) == 3
    others_changed = play(8, 6, 9)
    assert torch.equal(others_changed[1], several[1])
    assert (others_changed[[0, 2]] != several[[0, 2]]).any(dim=-1).all()
    assert torch.equal(play(6)[0], several[1])


def test_the_contract_tells_what_was_drawn() -> None:
    terms = (Gravity(tilt=0.05), Gains(joints=JOINTS, kp=1.25, kd=1.1))
    env = Env(make_task("reach", "fr3"), FR3, num_envs=1, terms=terms)
    contract = make_contract(env, Provenance(experiment="test"))
    np.testing.assert_allclose(contract.low_level.kp_range[0], (600 / 1.25, 600 * 1.25))
    np.testing.assert_allclose(contract.low_level.kd_range[0], (50 / 1.1, 50 * 1.1))
    ranges = {r.name: (r.low, r.high) for r in contract.ranges}
    assert ranges["physics/gravity tilt"] == (-0.05, 0.05)
    env.level = 0.5  # as far as a curriculum came
    contract = make_contract(env, Provenance(experiment="test"))
    np.testing.assert_allclose(contract.low_level.kp_range[0], (600 / 1.25**0.5, 600 * 1.25**0.5))
    np.testing.assert_allclose(contract.low_level.kd_range[0], (50 / 1.1**0.5, 50 * 1.1**0.5))
    ranges = {r.name: (r.low, r.high) for r in contract.ranges}
    assert ranges["physics/gravity tilt"] == (-0.025, 0.025)
    for level in (-0.1, 1.1, math.nan):
        with pytest.raises(ValueError, match="level: expected 0 to 1, got"):
            env.level = level
    plain = make_contract(
        Env(make_task("reach", "fr3"), FR3, num_envs=1), Provenance(experiment="test")
    )
    assert plain.low_level.kp_range[0] == (600.0, 600.0)
    assert [r.name for r in plain.ranges] == ["latency/lead"]


def test_episodes_that_begin_draw_their_own_physics() -> None:
    terms = (Mass(body="peg", low=0.5, high=2.0),)
    task = make_task("peg-insertion", "fr3", "max_steps: 3")
    env = Env(task, FR3, num_envs=4, terms=terms)
    env.reset()
    mass = env.world.field("body_mass")[:, row(env.world, "body", "peg")]
    seen = [mass.clone()]
    for _ in range(6):
        env.step(torch.zeros((4, 6)))
        seen.append(mass.clone())
    changed = [not torch.equal(a, b) for a, b in pairwise(seen)]
    assert changed == [False, False, True, False, False, True]
