"""The contract of a policy of others: what is said, what the arm is, what is taken for granted."""

# pyright: standard

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

from sim2arm.core.contract import (
    ActionSpec,
    Contract,
    ExecutorSpec,
    GripperSpec,
    LowLevelSpec,
    Provenance,
    StateSpec,
)
from sim2arm.core.controllers import EeDeltaCfg
from sim2arm.core.joint_targets import JointTargetsCfg
from sim2arm.core.plain import from_plain, to_plain
from sim2arm.core.robot_files import find_robot
from sim2arm.core.robots import Robot
from sim2arm.core.spec import ArraySpec
from sim2arm.sim.specs import arm_specs, gripper_spec

from .errors import UserError
from .policy_asks import Asks

JOINTS, VELOCITIES, TOOL, WIDTH = "joint_position", "joint_velocity", "ee_pose", "gripper_width"
OF_THE_ARM = (JOINTS, VELOCITIES, TOOL, WIDTH)
"""Inputs that every arm provides."""
_AGES = ("max_stamp_age_s", "max_receipt_age_s")


@dataclass(frozen=True, kw_only=True)
class Arm:
    """What is said of arm and law; None where it is missing."""

    robot: str | None
    control_hz: float | None
    kp: tuple[float, ...] | None
    kd: tuple[float, ...] | None


def ask_arm(asks: Asks, source: str, **known: Any) -> Arm:
    """Return what is said of the arm.

    Args:
        asks: what is said.
        source: who else says something.
        known: what that is: robot, control_hz, kp, kd.
    """
    said, part = asks.said, asks.part
    law = part.low_level

    def find(name: str, option: str, told: Any, written: Any, hint: str) -> Any:
        sayings = {option: told, "--contract": written, source: known.get(name.split(".")[-1])}
        return asks.find(name, option, sayings, hint)

    return Arm(
        robot=find("robot", "--robot", said.robot, part.robot, "NAME"),
        control_hz=find("control_hz", "--control-hz", said.control_hz, part.control_hz, "HZ"),
        kp=find("low_level.kp", "--kp", said.kp, law.kp, "one per joint [N m/rad]"),
        kd=find("low_level.kd", "--kd", said.kd, law.kd, "one per joint [N m s/rad]"),
    )


def ask_tool(asks: Asks) -> None:
    """Ask for the tool, of a policy that sees its pose or moves it."""
    known = {"--tool-frame": asks.said.tool_frame, "--contract": asks.part.chain.tool_frame}
    asks.find("chain.tool_frame", "--tool-frame", known, "FRAME")


def ask_inputs(asks: Asks, wanted: Mapping[str, Mapping[str, Any]]) -> dict[str, dict[str, Any]]:
    """Return the fields that are known of inputs, by name.

    Args:
        asks: what is said.
        wanted: inputs of the policy, and what the source says of each.

    Raises:
        UserError: the file describes an input that the policy has not.
    """
    for entry in asks.part.inputs:
        if entry["name"] not in wanted:
            raise UserError(
                f"--contract: inputs: {entry['name']!r} is not an input of this policy: "
                f"{', '.join(wanted)}"
            )
    return {name: _ask_input(asks, name, dict(known)) for name, known in wanted.items()}


def _ask_input(asks: Asks, name: str, known: dict[str, Any]) -> dict[str, Any]:
    fields = {"name": name} | known | asks.part.input(name)
    where = f"inputs: - {{name: {name}, ...}} in --contract FILE"
    if name not in OF_THE_ARM:
        for key in ("kind", "shape", "unit"):
            if key not in fields:
                asks.miss(f"{key} of the input {name!r}", where)
        if "m" in str(fields.get("unit", "")).split() and "frame" not in fields:
            asks.miss(f"frame of the input {name!r}", where)
        if fields.get("dtype") == "uint8" and "driver_stage" not in fields:
            asks.miss(f"driver_stage of the input {name!r}", where)
    kind = "derived" if name == TOOL else fields.get("kind", "sensor")
    needed = {"sensor": _AGES, "goal": _AGES[1:]}.get(str(kind), ())
    for key in needed:
        if fields.get(key) is None:
            fields[key] = getattr(asks.said, key)
        if fields[key] is None:
            option = f"--{key.replace('_', '-')}"
            asks.miss(key, f"{option} SECONDS for all inputs, or in each of inputs in --contract")
    return fields


def build_inputs(
    asks: Asks, robot: Robot, fields: Mapping[str, Mapping[str, Any]]
) -> tuple[ArraySpec, ...]:
    """Return the inputs of a contract; what the arm knows of its own is filled in.

    Raises:
        ValueError: fields do not go together.
    """
    known, found = arm_specs(robot), list[ArraySpec]()
    for name, given in fields.items():
        own: dict[str, Any] = {}
        if name in known:
            own = to_plain(known[name])
            own["trained_age_s"] = None  # nobody has said it
            asks.assume(f"input {name}: range and order of joints are those of the {robot.name}")
        found.append(from_plain(ArraySpec, own | dict(given), f"inputs.{name}"))
    return tuple(found)


def joint_action(
    asks: Asks, robot: Robot, period: float, *, horizon: int = 1, gripper: bool = False
) -> ActionSpec:
    """Return actions that are positions of all joints, and a share of the opening behind them."""
    parameters = _parameters(asks, asdict(JointTargetsCfg()))
    limits, n, more = robot.limits, len(robot.joint_names), ("gripper",) * gripper
    return ActionSpec(
        kind="joint_position", dim=n + gripper,
        low=(*limits.q_min, *(-1.0 for _ in more)), high=(*limits.q_max, *(1.0 for _ in more)),
        element_names=(*robot.joint_names, *more), unit="rad",
        scale=(*(1.0,) * n, *(0.5 * robot.gripper.open_width for _ in more)),
        frame="joint", relative_to="absolute", horizon=horizon, dt_s=period,
        parameters=parameters,
    )  # fmt: skip


def tool_action(asks: Asks, scale: tuple[float, ...], period: float) -> ActionSpec:
    """Return actions that are steps of the tool."""
    own = asdict(EeDeltaCfg())
    parameters = _parameters(asks, {k: v for k, v in own.items() if not k.endswith("_scale")})
    asks.assume(
        "action: steps are in the base frame, rotations turn about its axes, and both are added to "
        "the last commanded pose"
    )
    return ActionSpec(
        kind="ee_delta", dim=6, low=(-1.0,) * 6, high=(1.0,) * 6,
        element_names=("x", "y", "z", "rx", "ry", "rz"), scale=scale, frame="base",
        rotation_side="left", relative_to="last_command", dt_s=period, parameters=parameters,
    )  # fmt: skip


def _parameters(asks: Asks, own: Mapping[str, float]) -> dict[str, float]:
    told = asks.part.action.parameters
    left = {name: float(value) for name, value in own.items() if name not in told}
    if left:
        numbers = ", ".join(f"{name} {value:g}" for name, value in left.items())
        asks.assume(f"action.parameters: the controller follows with {numbers}")
    return left | told


def build_contract(
    asks: Asks,
    arm: Arm,
    origin: str,
    *,
    inputs: tuple[ArraySpec, ...],
    action: ActionSpec,
    states: tuple[StateSpec, ...] = (),
    executor: ExecutorSpec | None = None,
    gripper: GripperSpec | None = None,
) -> Contract:
    """Return the contract.

    Args:
        asks: what is said.
        arm: of `ask_arm`, complete.
        origin: what was imported, for the provenance.
        inputs: of the policy.
        action: of the policy.
        states: of the policy.
        executor: how chunks become actions.
        gripper: how it is worked; it holds what it holds if None.

    Raises:
        UserError: the tool is another one.
        ValueError: parts do not go together.
    """
    from sim2arm import __version__

    robot = robot_of(arm)
    for tool in (asks.said.tool_frame, asks.part.chain.tool_frame):
        if tool not in (None, robot.chain.tool_frame):
            raise UserError(
                f"tool frame {tool!r}: the {robot.name} of ours ends at "
                f"{robot.chain.tool_frame!r}; `sim2arm robot import` makes one that ends elsewhere"
            )
    asks.assume(f"chain and limits are those of the {robot.name}")
    return Contract(
        robot=robot.name, joint_names=robot.joint_names, chain=robot.chain.to_dict(),
        control_hz=float(arm.control_hz or 0.0), inputs=inputs, states=states, action=action,
        executor=executor or ExecutorSpec(), low_level=_law(asks, arm), limits=robot.limits,
        gripper=gripper or gripper_spec(robot, acts=False), ranges=asks.part.ranges,
        provenance=Provenance(experiment=origin, versions={"sim2arm": __version__}),
    )  # fmt: skip


def robot_of(arm: Arm) -> Robot:
    """Return the arm of a name.

    Raises:
        ValueError: there is none.
    """
    return find_robot(arm.robot or "")


def _law(asks: Asks, arm: Arm) -> LowLevelSpec:
    law, gains = asks.part.low_level, (arm.kp or (), arm.kd or ())
    if not (law.kp_range and law.kd_range):
        asks.assume("low_level: gains of training did not vary: the arm must have just these")
    kp_range, kd_range = (
        told or tuple((gain, gain) for gain in own)
        for told, own in zip((law.kp_range, law.kd_range), gains, strict=True)
    )
    return LowLevelSpec(
        kind="joint_impedance", kp=gains[0], kd=gains[1], kp_range=kp_range, kd_range=kd_range
    )
