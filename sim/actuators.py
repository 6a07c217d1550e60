"""What stands between the low-level law and a joint: a motor with limits, a gear with friction.

Each joint has a model of its own, put into the scene before it is compiled, so that it runs inside
the engine in every physics substep. MuJoCo's C engine and MuJoCo Warp compute all of them by the
same formulas (`tests/sim/test_actuators.py` holds them together), and so do worlds in a worker.

- **Ideal PD**, `JointActuator()`: the joint impedance law of the robot's model with its torque
  limit; nothing is changed, to the bit.
- **Motor**, `Motor`: the torque that is left falls linearly from the stall torque at rest to zero
  at the no-load speed; against the motion there is the full torque. It is MuJoCo's `dcmotor` with
  its controller in place of the servo: the supply voltage limits what the controller may ask for,
  back-EMF eats of it, the current limit does not let a brake be stronger than the stall torque.
  Beyond the no-load speed the motor brakes, as on a supply that takes energy back. The slope of the
  line enters `implicitfast` as a derivative, so a joint runs up to the no-load speed from below,
  and down to it from above, whatever the gains of the law. Only where the current limit acts is the
  torque constant in a substep: from rest a joint passes that speed if `h stall / I` is beyond it.
- **Gear friction**, `GearFriction`: viscous friction is the damping of the joint. Coulomb friction
  without stiction is MuJoCo's constraint (`frictionloss`), which is soft: a load f below it creeps
  at about 1e-3 f / I [rad/s], I the inertia. With a breakaway torque it is the LuGre model of the
  `dcmotor` instead: a bristle that bends under the load and holds it without creep, until it
  slips; from there friction falls to Coulomb's with the Stribeck speed.

What holds in LuGre is a load that comes slowly: a bristle bends the further the nearer the load is
to the breakaway torque (under 80 % of it 1.6 times the deflection), and it swings, so a load that
jumps from 0 breaks loose from two thirds on, if the law does not damp the joint.

The bristle is integrated forward from the speed before each substep of length h, which is stable
where its damping is above h times its stiffness, whatever the inertia: it gets twice that. The
engine's derivatives leave out that a bristle that slips bends no further, which adds
`2 h^2 stiffness` to the inertia: 7e-3 kg m^2 for 1.7 N m, 2 mrad and h = 1/480 s, 4 % of the rotor
of an FR3. After a reset the bristle is straight; in a joint that is then given a speed w it bends
with a blow of `2 h stiffness w` in the first substep.

Limits are those of the law's torque: gravity compensation, which the models add beside it, is not
counted, as it is not in the torque limit of the ideal law.

Sources: MuJoCo, "DC Motor Model" (dcmotor.pdf in its documentation); Canudas de Wit, Olsson, Astrom
and Lischinsky, "A new model for control of systems with friction", IEEE Transactions on Automatic
Control 40(3), 1995.
"""

# MuJoCo's extension modules have no stubs.
# pyright: standard, reportAttributeAccessIssue=false

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, TypeAlias

import mujoco

from .worlds.compiled import UnknownNameError

Place: TypeAlias = tuple[str, int, float]
"""Where a gain stands: model field, number in the actuator's row, sign."""

MOTOR_CONSTANT = 1.0
"""Motor constant [N m/A]: only its ratios to resistance and voltage count. With 1, the voltage is
a speed [rad/s], and the supply is the no-load speed."""
RESISTANCE, KP, KD, SUPPLY = 0, 4, 6, 7
"""Places in `actuator_gainprm` of MuJoCo's dcmotor."""
COULOMB, BREAKAWAY, STRIBECK = 3, 4, 5
"""Places in `actuator_biasprm` of MuJoCo's dcmotor."""


class ActuatorError(ValueError):
    """Something that the actuator of a joint does not have."""


@dataclass(frozen=True, kw_only=True)
class Motor:
    """A motor whose torque falls with its speed, seen from the joint."""

    stall_torque: float
    """Torque at rest, and the most against the motion [N m]."""
    no_load_speed: float
    """Speed at which no torque is left [rad/s]."""

    def __post_init__(self) -> None:
        """Refuse what is no motor."""
        for name in ("stall_torque", "no_load_speed"):
            _check(name, getattr(self, name), least=0.0, above=True)


@dataclass(frozen=True, kw_only=True)
class GearFriction:
    """Friction of a joint, in place of that of the robot's model."""

    coulomb: float = 0.0
    """Friction in motion, whatever the speed [N m]."""
    viscous: float = 0.0
    """Friction per speed [N m s/rad]."""
    breakaway: float | None = None
    """Torque that sets a resting joint in motion [N m]; None: no stiction."""
    stribeck_speed: float = 0.05
    """Speed at which 37 % of what is above Coulomb friction is left [rad/s]."""
    deflection: float = 2e-3
    """Breakaway torque over the stiffness of the gear at rest [rad]."""

    def __post_init__(self) -> None:
        """Refuse what is no friction."""
        _check("coulomb", self.coulomb, least=0.0)
        _check("viscous", self.viscous, least=0.0)
        if self.breakaway is None:
            return
        _check("coulomb", self.coulomb, least=0.0, above=True)
        _check("breakaway", self.breakaway, least=self.coulomb)
        _check("stribeck_speed", self.stribeck_speed, least=0.0, above=True)
        _check("deflection", self.deflection, least=0.0, above=True)


@dataclass(frozen=True, kw_only=True)
class JointActuator:
    """The actuator of one joint; without anything it is ideal."""

    motor: Motor | None = None
    """Limits of the motor; None: the torque limit of the robot at any speed."""
    friction: GearFriction | None = None
    """Friction of the gear; None: that of the robot's model."""


Actuators: TypeAlias = Mapping[str, JointActuator]
"""By the name of the joint; joints that are not named are ideal."""


def put_actuators(spec: mujoco.MjSpec, actuators: Actuators, timestep: float) -> None:
    """Put actuator models into a scene; their names and controls stay what they are.

    Args:
        spec: the scene with the robot, changed in place, not yet compiled.
        actuators: by the name of the joint, whose actuator has the same name.
        timestep: of a physics substep [s].

    Raises:
        UnknownNameError: a joint or its actuator is not in the scene.
        ActuatorError: the actuator is not the servo of `robots.parts`.
    """
    for name, model in actuators.items():
        joint, servo = _named(spec, "joint", name), _named(spec, "actuator", name)
        if model.friction is not None:
            joint.damping[0] = model.friction.viscous
            stuck = model.friction.breakaway is not None
            joint.frictionloss = 0.0 if stuck else model.friction.coulomb
        bristle = _bristle(model.friction, timestep)
        if model.motor is not None or bristle[0] > 0.0:
            _make_motor(servo, model.motor, bristle)


def gain_places(model: Any, row: int) -> tuple[tuple[Place, ...], tuple[Place, ...]]:
    """Return where kp and kd of the law of one actuator stand in the model.

    Args:
        model: `mujoco.MjModel`.
        row: number of the actuator.
    """
    if _is_motor(model, row):
        return (("actuator_gainprm", KP, 1.0),), (("actuator_gainprm", KD, 1.0),)
    # MuJoCo's affine servo: force = gain[0] ctrl + bias[1] q + bias[2] dq.
    stiff = (("actuator_gainprm", 0, 1.0), ("actuator_biasprm", 1, -1.0))
    return stiff, (("actuator_biasprm", 2, -1.0),)


def check_motor(model: Any, row: int) -> None:
    """See that an actuator has limits that depend on the speed.

    Raises:
        ActuatorError: it has none.
    """
    if not _is_motor(model, row) or model.actuator_gainprm[row, SUPPLY] <= 0.0:
        raise ActuatorError(
            f"the actuator {model.actuator(row).name!r} has no no-load speed that could be drawn: "
            "choose actuators with a motor"
        )


def check_stiction(model: Any, row: int) -> None:
    """See that an actuator has a breakaway torque.

    Raises:
        ActuatorError: it has none.
    """
    if not _is_motor(model, row) or model.actuator_biasprm[row, BREAKAWAY] <= 0.0:
        raise ActuatorError(
            f"the actuator {model.actuator(row).name!r} has no breakaway torque that could be "
            "drawn: choose actuators with stiction"
        )


def _is_motor(model: Any, row: int) -> bool:
    return bool(model.actuator_gaintype[row] == mujoco.mjtGain.mjGAIN_DCMOTOR)


def _named(spec: mujoco.MjSpec, kind: str, name: str) -> Any:
    found = getattr(spec, kind)(name)
    if found is None:
        known = [each.name for each in getattr(spec, f"{kind}s")]
        raise UnknownNameError(f"{kind} {name!r} is not in the model. Known: {known}")
    return found


def _bristle(friction: GearFriction | None, timestep: float) -> list[float]:
    """Return stiffness, damping, Coulomb, breakaway torque and Stribeck speed; zeros without."""
    if friction is None or friction.breakaway is None:
        return [0.0] * 5
    stiffness = friction.breakaway / friction.deflection
    damping = 2.0 * timestep * stiffness
    return [stiffness, damping, friction.coulomb, friction.breakaway, friction.stribeck_speed]


def _make_motor(servo: Any, motor: Motor | None, bristle: list[float]) -> None:
    """Turn a servo into a motor under the same law."""
    kp, kd, limit = float(servo.gainprm[0]), -float(servo.biasprm[2]), float(servo.forcerange[1])
    ours = (
        servo.gaintype == mujoco.mjtGain.mjGAIN_FIXED
        and servo.biastype == mujoco.mjtBias.mjBIAS_AFFINE
        and servo.biasprm[0] == 0.0
        and servo.biasprm[1] == -kp
        and servo.forcelimited == mujoco.mjtLimited.mjLIMITED_TRUE
        and servo.forcerange[0] == -limit
    )
    if not ours:
        raise ActuatorError(
            f"the actuator {servo.name!r} is not kp (ctrl - q) - kd dq with a torque limit: only "
            "such a servo becomes a motor"
        )
    resistance, supply = 1.0, 0.0  # a supply of 0 is one without limit
    if motor is not None:
        limit = min(limit, motor.stall_torque)
        supply = motor.no_load_speed
        resistance = MOTOR_CONSTANT * supply / motor.stall_torque
    servo.set_to_dcmotor(
        motorconst=[MOTOR_CONSTANT, MOTOR_CONSTANT],
        resistance=resistance,
        controller=[kp, 0.0, kd, 0.0, 0.0, supply],
        saturation=[limit, 0.0, 0.0],
        lugre=bristle,
        ctrlspec=int(mujoco.mjtCtrlInput.mjINPUT_POS),
    )


def _check(name: str, value: float, *, least: float, above: bool = False) -> None:
    if not (least < value if above else least <= value) or value == math.inf:
        words = f"above {least:g}" if above else f"{least:g} or more"
        raise ValueError(f"{name}: expected {words}, got {value}")
