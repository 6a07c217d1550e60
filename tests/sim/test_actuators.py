"""Actuator models by hand: one scene of single joints, on both engines.

Each joint is a body of 0.2 kg m^2 about a vertical axis with a servo of no stiffness to speak of,
so that its control is a torque, or one with the gains of a robot.
"""

# MuJoCo's extension modules have no stubs.
# pyright: standard, reportAttributeAccessIssue=false

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import mujoco
import numpy as np
import pytest
import torch

from sim2arm.core.robots import FR3, ROBOTS
from sim2arm.sim.actuator_terms import MotorLimits, Stiction
from sim2arm.sim.actuators import (
    ActuatorError,
    Actuators,
    GearFriction,
    JointActuator,
    Motor,
    put_actuators,
)
from sim2arm.sim.arm import SimulatedArm
from sim2arm.sim.env import Env
from sim2arm.sim.physics_terms import Gains
from sim2arm.sim.randomize import Randomizer
from sim2arm.sim.robots.actuators import ACTUATORS, find_actuators
from sim2arm.sim.robots.models import add_robot
from sim2arm.sim.robots.parts import add_servo
from sim2arm.sim.tasks.table import make_task
from sim2arm.sim.worlds.base import World
from sim2arm.sim.worlds.compiled import UnknownNameError
from sim2arm.sim.worlds.table import make_world

H = 1.0 / 480.0  # substep [s]
INERTIA = 0.2  # [kg m^2]
SOFT = (1e-3, 0.0, 10.0)  # kp, kd, limit: the control is 1000 times a torque
STIFF = (600.0, 50.0, 10.0)
STALL, FREE = 10.0, 2.0  # [N m], [rad/s]
COULOMB, BREAKAWAY, DEFLECTION = 1.0, 1.5, 2e-3  # [N m], [rad]
STUCK = GearFriction(coulomb=COULOMB, breakaway=BREAKAWAY, deflection=DEFLECTION)
MOTOR = Motor(stall_torque=STALL, no_load_speed=FREE)
MODELS: dict[str, JointActuator] = {
    "plain": JointActuator(),
    "motor": JointActuator(motor=MOTOR),
    "dry": JointActuator(friction=GearFriction(coulomb=COULOMB)),
    "viscous": JointActuator(friction=GearFriction(viscous=0.5)),
    "stuck": JointActuator(friction=STUCK),
    "both": JointActuator(motor=MOTOR, friction=STUCK),
}
SERVOS = {f"{name}_servo": model for name, model in MODELS.items()}
JOINTS = (*MODELS, *SERVOS)
ENGINES = ("mujoco", "warp")


def make_scene(actuators: Actuators, joints: tuple[str, ...] = JOINTS) -> mujoco.MjSpec:
    spec = mujoco.MjSpec()
    for name in joints:
        body = spec.worldbody.add_body(name=name)
        body.explicitinertial, body.mass, body.inertia = True, 1.0, (INERTIA,) * 3
        body.add_joint(name=name, type=mujoco.mjtJoint.mjJNT_HINGE, axis=(0.0, 0.0, 1.0))
        gains = STIFF if name.endswith("_servo") else SOFT
        add_servo(spec, name, name, mujoco.mjtTrn.mjTRN_JOINT, gains=gains)
    put_actuators(spec, actuators, H)
    return spec


@pytest.fixture(scope="module", params=ENGINES)
def engine(request: pytest.FixtureRequest) -> World:
    return make_world(request.param, make_scene(MODELS | SERVOS), 2, timestep=H, control_substeps=8)


@pytest.fixture
def world(engine: World) -> World:
    engine.reset()
    engine.forward()
    return engine


def control(world: World, substeps: int, **controls: float) -> torch.Tensor:
    """Controls of named joints, 0 for the others, (N, S, nu)."""
    values = torch.zeros((world.num_worlds, substeps, len(JOINTS)), dtype=world.dtype)
    for name, value in controls.items():
        values[:, :, JOINTS.index(name)] = value
    return values


def torques(world: World, substeps: int, **wanted: float) -> torch.Tensor:
    """Torques [N m] of named joints with soft servos, while their angles are below 10 rad."""
    return control(world, substeps, **{name: value / SOFT[0] for name, value in wanted.items()})


def speeds(world: World, name: str, targets: torch.Tensor, periods: int) -> np.ndarray:
    """Speed of a joint (T,) after each of some control periods, of the first world."""
    joint, found = world.joints([name]), []
    for _ in range(periods):
        world.step(targets)
        found.append(float(joint.dq[0, 0]))
    return np.array(found)


def start(world: World, **dq: float) -> None:
    for name, value in dq.items():
        world.joints([name]).dq[:] = value
    world.forward()


# -- the motor ---------------------------------------------------------------------------------


def test_it_speeds_up_along_the_line_and_not_beyond(world: World) -> None:
    # I dw/dt = 10 (1 - w / 2): w = 2 (1 - exp(-t / 0.04 s)); implicit steps of h are late by
    # h / 2 or so, 5 % of 0.04 s
    found = speeds(world, "motor", torques(world, 8, motor=1e3), 30)
    times = 8 * H * np.arange(1, 31)
    exact = FREE * (1.0 - np.exp(-times / 0.04))
    np.testing.assert_allclose(found, exact, atol=0.03)
    # by hand: the first step has the stall torque, each after it leaves 1 / (1 + h 5 / 0.2)
    ratio = H * (STALL / FREE) / INERTIA
    left = (1.0 - ratio) * (1.0 + ratio) ** (1.0 - 8.0 * np.arange(1, 31))
    np.testing.assert_allclose(found, FREE * (1.0 - left), rtol=2e-4)
    assert found.max() <= FREE * (1.0 + 1e-6) and found[-1] > 0.999 * FREE


def test_a_stiff_law_speeds_up_no_faster(world: World) -> None:
    found = speeds(world, "motor_servo", control(world, 8, motor_servo=1e3), 30)
    assert found.max() <= FREE * (1.0 + 1e-6) and found[-1] > 0.999 * FREE


@pytest.mark.parametrize(
    ("speed", "torque"),
    [
        (0.0, STALL),  # at rest
        (1.0, 0.5 * STALL),  # half of it is left at half the speed
        (-1.5, STALL),  # against the motion all of it, not 1.75 of it
    ],
)
def test_the_torque_of_one_substep(world: World, speed: float, torque: float) -> None:
    start(world, motor=speed)
    world.step(torques(world, 1, motor=1e3))
    gain = float(world.joints(["motor"]).dq[0, 0]) - speed
    slope = 0.0 if torque == STALL else STALL / FREE  # a constant torque has none
    assert gain == pytest.approx(torque * H / (INERTIA + H * slope), rel=1e-4)


def test_it_brakes_beyond_the_no_load_speed_and_energy_only_falls(world: World) -> None:
    start(world, motor=3.0, both=3.0)
    targets = torques(world, 8, motor=1e3, both=1e3)
    motor, both = world.joints(["motor"]), world.joints(["both"])
    energies = []
    for _ in range(30):
        world.step(targets)
        energies.append([float(0.5 * INERTIA * joint.dq[0, 0] ** 2) for joint in (motor, both)])
    found = np.array(energies)
    assert (np.diff(found, axis=0) <= 1e-7).all()
    assert found[-1, 0] == pytest.approx(0.5 * INERTIA * FREE**2, rel=1e-3)
    # with friction of 1 N m the line crosses it at 90 % of the no-load speed
    assert found[-1, 1] == pytest.approx(0.5 * INERTIA * (0.9 * FREE) ** 2, rel=1e-3)


def test_a_stiff_law_comes_to_rest_at_its_target(world: World) -> None:
    joint = world.joints(["motor_servo"])
    for _ in range(120):
        world.step(control(world, 8, motor_servo=1.0))
    assert float(joint.q[0, 0]) == pytest.approx(1.0, abs=1e-5)
    assert abs(float(joint.dq[0, 0])) < 1e-4  # single precision: 600 N m/rad times 1e-7 rad


def test_below_its_limits_a_motor_is_the_ideal_law(world: World) -> None:
    motor, plain = world.joints(["motor_servo"]), world.joints(["plain_servo"])
    off = 0.0
    for i in range(60):
        target = 0.05 * math.sin(0.1 * i)
        world.step(control(world, 8, motor_servo=target, plain_servo=target))
        off = max(off, float((motor.q - plain.q).abs().max()))
    assert off < (1e-12 if world.dtype == torch.float64 else 1e-6)
    assert float(plain.q.abs().max()) > 1e-3


# -- friction ----------------------------------------------------------------------------------


def test_below_breakaway_it_gives_and_holds_above_it_slides(world: World) -> None:
    joint = world.joints(["stuck"])
    for i in range(60):  # a jump would swing beyond what holds
        world.step(torques(world, 8, stuck=0.8 * BREAKAWAY * (i + 1) / 60))
    below = torques(world, 8, stuck=0.8 * BREAKAWAY)
    for _ in range(240):
        world.step(below)
    held = float(joint.q[0, 0])
    # dz = (1 - z / 2 mrad) dq up to z = 1.6 mrad: 2 mrad ln(1 / (1 - 0.8)) = 3.2 mrad, more where
    # it swings or the ramp is quick
    assert 1.609 * DEFLECTION < held < 2.5 * DEFLECTION
    for _ in range(600):
        world.step(below)
    assert float(joint.q[0, 0]) == pytest.approx(held, abs=1e-6)  # 10 s later
    assert abs(float(joint.dq[0, 0])) < 1e-6
    share = 0.8
    while share < 1.2 and float(joint.dq[0, 0]) < 0.1:  # 0.06 of it per second
        share += 0.001
        world.step(torques(world, 8, stuck=share * BREAKAWAY))
    assert 0.99 < share < 1.03
    for _ in range(60):
        world.step(torques(world, 8, stuck=share * BREAKAWAY))
    # 1.5 N m against 1 N m in motion: 2.5 rad/s^2 for 1 s
    assert float(joint.q[0, 0]) > 1.0


def test_without_stiction_a_load_creeps_at_the_rate_of_the_constraint(world: World) -> None:
    joint = world.joints(["dry"])
    found = speeds(world, "dry", torques(world, 8, dry=0.5), 30)
    # MuJoCo's defaults: R f / b = (1 - 0.9) / 0.9 f / I / (2 / (0.95 * 0.02 s)) = 1.06e-3 f / I
    expected = (0.1 / 0.9) * (0.5 / INERTIA) * (0.95 * 0.02 / 2.0)
    assert found[-1] == pytest.approx(expected, rel=0.1)
    assert float(joint.q[0, 0]) < 2e-3


@pytest.mark.parametrize(
    ("name", "seconds"),
    [
        ("dry", 2.0 * INERTIA / COULOMB),  # I w / F = 0.4 s
        # LuGre adds 2 h^2 750 N m/rad = 6.5e-3 kg m^2, 3 %, to the inertia
        ("stuck", 2.0 * (INERTIA + 2.0 * H * H * BREAKAWAY / DEFLECTION) / COULOMB),
    ],
)
def test_dry_friction_stops_a_joint_in_time(world: World, name: str, seconds: float) -> None:
    start(world, **{name: 2.0})
    world.step(control(world, 8))  # the bristle, which a reset lets go, bends
    start(world, **{name: 2.0})
    found = speeds(world, name, control(world, 1), round(1.5 * seconds / H))
    halfway = np.flatnonzero(found < 1.0)[0] * H
    assert halfway == pytest.approx(0.5 * seconds, abs=2.0 * H)
    stopped = np.flatnonzero(found < 0.03)[0] * H
    assert stopped == pytest.approx(seconds, rel=0.03)
    # kinetic energy only falls, until the bristle swings: 1 N m / sqrt(750 N m/rad I) = 0.08 rad/s
    moving = found > 0.09
    assert (np.diff(found[moving]) < 0.0).all() and not moving[np.argmin(moving) :].any()
    assert np.abs(found[-1]) < 0.01


def test_viscous_friction_by_hand(world: World) -> None:
    start(world, viscous=2.0)
    found = speeds(world, "viscous", control(world, 8), 12)
    # implicit steps: each leaves 1 / (1 + h 0.5 / 0.2); the soft servo takes another 1e-4
    left = (1.0 + H * 0.5 / INERTIA) ** (-8.0 * np.arange(1, 13))
    np.testing.assert_allclose(found, 2.0 * left, rtol=2e-4)


def test_a_servo_with_stiction_stops_where_its_spring_is_weaker_than_breakaway(
    world: World,
) -> None:
    joint = world.joints(["both_servo"])
    for _ in range(120):
        world.step(control(world, 8, both_servo=0.5))
    # 600 N m/rad: at most 1.5 N m / 600 = 2.5 mrad away
    assert abs(float(joint.q[0, 0]) - 0.5) <= BREAKAWAY / STIFF[0]
    assert abs(float(joint.dq[0, 0])) < 1e-4


@pytest.mark.parametrize(
    ("engine", "q_off", "dq_off"),
    # single precision: 1e-7 of some radians and radians per second, times 480 steps
    [("warp", 2e-4, 2e-3), ("process", 0.0, 0.0)],
)
def test_worlds_run_alike(engine: str, q_off: float, dq_off: float) -> None:
    worlds = [
        make_world(name, make_scene(MODELS | SERVOS), 2, timestep=H, control_substeps=8)
        for name in ("mujoco", engine)
    ]
    random = torch.Generator().manual_seed(0)
    steps = torch.randn((60, len(JOINTS)), generator=random, dtype=torch.float64)
    for k in range(60):
        targets = torch.cumsum(steps, dim=0)[k] * torch.tensor(
            [0.05 if name.endswith("_servo") else 500.0 for name in JOINTS], dtype=torch.float64
        )
        for world in worlds:
            world.step(targets.expand(2, 8, -1).to(world.dtype).contiguous())
        a, b = (world.joints(JOINTS) for world in worlds)
        torch.testing.assert_close(b.q.double(), a.q, rtol=0, atol=q_off)
        torch.testing.assert_close(b.dq.double(), a.dq, rtol=0, atol=dq_off)
    assert (worlds[0].joints(JOINTS).q.abs() > 1e-2).all()


def test_a_reset_lets_go_of_the_bristle(world: World) -> None:
    joint = world.joints(["stuck"])
    for _ in range(30):
        world.step(torques(world, 8, stuck=BREAKAWAY / 2))
    assert float(joint.q[0, 0]) > 0.4 * DEFLECTION
    world.reset(torch.tensor([True, False]))
    world.forward()
    world.step(control(world, 1))
    # in one world nothing pulls, in the other the bristle pulls back: 0.75 N m h / I = 8 mrad/s
    assert float(joint.dq[0, 0]) == 0.0
    assert -0.016 < float(joint.dq[1, 0]) < -0.002


# -- ideal, errors -----------------------------------------------------------------------------


def binary(spec: mujoco.MjSpec) -> np.ndarray:
    model: Any = spec.compile()
    buffer = np.empty(mujoco.mj_sizeModel(model), np.uint8)
    mujoco.mj_saveModel(model, None, buffer)
    return buffer


def test_ideal_is_no_model_to_the_bit() -> None:
    ideal = dict.fromkeys(JOINTS, JointActuator())
    assert np.array_equal(binary(make_scene({})), binary(make_scene(ideal)))
    assert not np.array_equal(binary(make_scene({})), binary(make_scene(MODELS)))
    assert find_actuators("ideal", "fr3") == {} == find_actuators("ideal", "so101")


@pytest.mark.parametrize(
    ("kind", "values", "message"),
    [
        (Motor, {"stall_torque": 0.0, "no_load_speed": 1.0}, "stall_torque: expected above 0"),
        (Motor, {"stall_torque": 1.0, "no_load_speed": math.inf}, "no_load_speed: expected"),
        (GearFriction, {"coulomb": -1.0}, "coulomb: expected 0 or more, got -1.0"),
        (GearFriction, {"viscous": math.nan}, "viscous: expected 0 or more, got nan"),
        (GearFriction, {"breakaway": 1.0}, "coulomb: expected above 0, got 0.0"),
        (GearFriction, {"coulomb": 1.0, "breakaway": 0.9}, "breakaway: expected 1 or more"),
        (GearFriction, {"coulomb": 1.0, "breakaway": 1.0, "deflection": 0.0}, "deflection:"),
        (GearFriction, {"coulomb": 1.0, "breakaway": 1.0, "stribeck_speed": 0.0}, "stribeck_speed"),
    ],
)
def test_what_is_no_motor_or_friction_is_refused(
    kind: type, values: Mapping[str, float], message: str
) -> None:
    with pytest.raises(ValueError, match=message):
        kind(**values)


def test_what_cannot_be_put_into_a_scene_is_refused() -> None:
    with pytest.raises(UnknownNameError, match="joint 'elbow' is not in the model"):
        make_scene({"elbow": JointActuator(motor=MOTOR)})
    spec = make_scene({})
    spec.actuator("plain").biasprm[0] = 1.0
    with pytest.raises(ActuatorError, match="'plain' is not kp"):
        put_actuators(spec, {"plain": JointActuator(motor=MOTOR)}, H)
    with pytest.raises(ValueError, match="expected one of ideal, motor, gear, motor-gear, got 'm'"):
        find_actuators("m", "fr3")
    with pytest.raises(ValueError, match="no 'gear' for the robot 'so101', only for fr3, panda"):
        find_actuators("gear", "so101")


# -- randomisation -----------------------------------------------------------------------------


class Law:
    lead = torch.zeros((2, 1))


def randomizer(world: World, term: Any) -> Randomizer:
    law = Law()
    law.lead = torch.ones((2, 1), dtype=world.dtype)
    return Randomizer([term], world, law)


def fields(world: World) -> dict[str, torch.Tensor]:
    names = ("actuator_gainprm", "actuator_biasprm", "actuator_forcerange")
    return {name: world.field(name).clone() for name in names}


def test_terms_by_hand(engine: World) -> None:
    before, row, friction = fields(engine), JOINTS.index("both"), JOINTS.index("stuck")
    everywhere = torch.ones(2, dtype=torch.bool)
    unit = torch.tensor([[0.0, 0.0], [1.0, 1.0]], dtype=engine.dtype)
    motors = randomizer(engine, MotorLimits(joints=("both",), torque=1.25, speed=2.0))
    stiction = randomizer(engine, Stiction(joints=("stuck",), friction=2.0, excess=1.6))
    gains = randomizer(engine, Gains(joints=("motor_servo",), kp=1.5, kd=1.2))
    try:
        for each in (motors, stiction, gains):
            each.write(everywhere, unit)
        now = {name: values.double().numpy() for name, values in fields(engine).items()}
        close = np.testing.assert_allclose
        close(now["actuator_gainprm"][:, row, 7], [1.0, 4.0], rtol=1e-6)  # no-load speed
        # stall torque = speed / resistance: 10 / 1.25 and 10 * 1.25
        close(now["actuator_gainprm"][:, row, 0], [1.0 / 8.0, 4.0 / 12.5], rtol=1e-6)
        close(now["actuator_forcerange"][:, row], [[-8.0, 8.0], [-12.5, 12.5]], rtol=1e-6)
        close(now["actuator_biasprm"][:, friction, 3], [0.5, 2.0], rtol=1e-6)
        # (1 + 0.5 / 1.6) / 2 and (1 + 0.5 * 1.6) * 2
        close(now["actuator_biasprm"][:, friction, 4], [0.65625, 3.6], rtol=1e-6)
        servo = JOINTS.index("motor_servo")
        close(now["actuator_gainprm"][:, servo, 4], [400.0, 900.0], rtol=1e-6)
        close(now["actuator_gainprm"][:, servo, 6], [50.0 / 1.2, 60.0], rtol=1e-6)
        close(now["actuator_gainprm"][:, servo, 0], [FREE / STALL] * 2, rtol=1e-6)
    finally:
        for each in (motors, stiction, gains):
            each.level = 0.0
            each.write(everywhere, unit)
    for name, values in fields(engine).items():
        torch.testing.assert_close(values, before[name], rtol=1e-6, atol=0.0)
    assert [(r.name, r.unit, r.low, r.high) for r in motors.terms[0].ranges()] == [
        ("physics/motor torque", "1", 0.8, 1.25),
        ("physics/motor no-load speed", "1", 0.5, 2.0),
    ]
    assert [(r.name, r.low, r.high) for r in stiction.terms[0].ranges()] == [
        ("physics/dry friction of gears", 0.5, 2.0),
        ("physics/breakaway above Coulomb", 0.625, 1.6),
    ]


def test_terms_of_what_a_joint_does_not_have_are_refused(engine: World) -> None:
    for name in ("plain", "stuck"):
        with pytest.raises(ActuatorError, match=f"actuator '{name}' has no no-load speed"):
            randomizer(engine, MotorLimits(joints=(name,)))
    for name in ("plain", "motor", "dry"):
        with pytest.raises(ActuatorError, match=f"actuator '{name}' has no breakaway torque"):
            randomizer(engine, Stiction(joints=(name,)))


# -- robots ------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ACTUATORS)
def test_an_arm_and_its_training_move_alike(name: str) -> None:
    actuators = find_actuators(name, "fr3")
    env = Env(make_task("reach", "fr3"), FR3, num_envs=2, actuators=actuators)
    ideal = Env(make_task("reach", "fr3"), FR3, num_envs=2)
    for each in (env, ideal):
        each.reset([1, 2])
    arm = SimulatedArm("reach", "fr3", num_arms=2, actuators=actuators)
    arm.reset([1, 2])
    action = torch.zeros((2, 6), dtype=torch.float64)
    action[:, 2] = -1.0
    for _ in range(30):
        env.move(action)
        ideal.move(action)
        arm.world.step(env.commands.controls)
    q = [each.joints(FR3.joint_names).q for each in (env.world, arm.world, ideal.world)]
    assert torch.equal(q[0], q[1])
    assert (q[0] - ideal_start(ideal)).abs().max() > 0.05
    if name == "motor-gear":  # and on the other engine to single precision
        other = Env(make_task("reach", "fr3"), FR3, num_envs=2, actuators=actuators, world="warp")
        other.reset([1, 2])
        for _ in range(30):
            other.move(action.float())
        off = (other.world.joints(FR3.joint_names).q.double() - q[0]).abs().max()
        assert off < 1e-5
    # the slow motion of a policy needs no torque near the limits; friction it feels
    off = float((q[0] - q[2]).abs().max())
    assert off < 1e-9 if name == "motor" else 1e-4 < off < 0.02


def ideal_start(env: Env) -> torch.Tensor:
    """Joints at the start of the episodes of seeds 1 and 2."""
    moved = env.world.joints(FR3.joint_names).q.clone()
    env.reset([1, 2])
    start = env.world.joints(FR3.joint_names).q.clone()
    env.world.joints(FR3.joint_names).q.copy_(moved)
    return start


def test_every_entry_fits_its_robot() -> None:
    for name, robots in ACTUATORS.items():
        for robot in robots:
            spec = mujoco.MjSpec()
            add_robot(spec, ROBOTS[robot])
            before = spec.compile()
            put_actuators(spec, find_actuators(name, robot), H)
            model = spec.compile()
            assert model.nu == before.nu
            assert model.na == (0 if name == "motor" else len(ROBOTS[robot].chain.joint_names))


def test_the_gains_of_an_arm_with_motors_are_those_of_its_law() -> None:
    arm = SimulatedArm("reach", "fr3", actuators=find_actuators("motor-gear", "fr3"))
    kp, kd = arm.kp * 1.5, arm.kd * 0.5
    arm.set_gains(kp, kd)
    gain, bias = arm.world.field("actuator_gainprm"), arm.world.field("actuator_biasprm")
    np.testing.assert_allclose(gain[0, :7, 4], kp)
    np.testing.assert_allclose(gain[0, :7, 6], kd)
    np.testing.assert_allclose(gain[0, :7, 1], 1.0)
    np.testing.assert_allclose(bias[0, :7, :3], 0.0)
    np.testing.assert_allclose(arm.lead[0], kd / kp)
    limits = FR3.limits
    np.testing.assert_allclose(gain[0, :7, 7], limits.dq_max)
    np.testing.assert_allclose(gain[0, :7, 7] / gain[0, :7, 0], limits.tau_max)
