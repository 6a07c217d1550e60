"""Policies of one vector of observations and one of actions, as `import onnx` and rsl-rl bring."""

# pyright: standard

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from sim2arm.core.contract import Contract
from sim2arm.core.robots import Robot
from sim2arm.core.spec import ArraySpec
from sim2arm.policies.bundle_writer import ExportReport
from sim2arm.policies.foreign.flat import (
    FlatPolicy,
    Term,
    action_size,
    flat_answer,
    flat_model,
    flat_states,
)
from sim2arm.policies.foreign.onnx_model import OnnxSource

from .errors import UserError
from .parse import unknown
from .policy_asks import ActionKind, Asks, FlatPart
from .policy_contract import (
    JOINTS,
    OF_THE_ARM,
    TOOL,
    VELOCITIES,
    Arm,
    ask_inputs,
    ask_tool,
    build_contract,
    build_inputs,
    joint_action,
    robot_of,
    tool_action,
)
from .policy_import import write_import

RELATIVE = ("joint_pos", "joint_pos_rel")
VELOCITY = ("joint_vel", "joint_vel_rel")
LAST = ("actions", "last_action", "last_actions")
"""Names of observations in mjlab and Isaac Lab."""


@dataclass(frozen=True, kw_only=True)
class Flat:
    """What is known of such a policy before the network is looked at."""

    part: FlatPart
    kind: ActionKind | None
    fields: Mapping[str, Mapping[str, Any]]
    """Of the inputs."""


def ask_flat(
    asks: Asks, told: FlatPart, kind: ActionKind | None, source: str, known: FlatPart
) -> Flat:
    """Return what is said of the surroundings of a network, by options, the file and the source."""
    written = asks.part.source

    def find(name: str, hint: str) -> Any:
        sayings = {"--contract": getattr(written, name), source: getattr(known, name)}
        option = f"--{name.replace('_', '-')}"
        place = f"source.{name}"
        return asks.find(place, option, {option: getattr(told, name), **sayings}, hint)

    observations = find("observations", "NAMES in their order")
    renamed = asks.said.renamed
    names = [str(renamed.get(each, each)) for each in observations or ()]
    by_joint = kind == "joint_position"
    part = FlatPart(
        observations=tuple(names),
        observation_scale=told.observation_scale or written.observation_scale,
        joint_names=find("joint_names", "NAMES in the order of the source") or (),
        default_joint_pos=(
            find("default_joint_pos", "one per joint [rad]") or ()
            if by_joint or set(names) & set(RELATIVE)
            else ()
        ),
        action_scale=find("action_scale", "what an action of 1 is, [rad] or [m] and [rad]") or (),
        clip_actions=written.clip_actions if told.clip_actions is None else told.clip_actions,
    )
    if TOOL in names or kind == "ee_delta":
        ask_tool(asks)
    wanted: dict[str, dict[str, Any]] = {JOINTS: {}}
    for name in names:
        if name in VELOCITY:
            wanted[VELOCITIES] = {}
        elif name not in (*RELATIVE, *LAST):
            wanted[name] = {}
    return Flat(part=part, kind=kind, fields=ask_inputs(asks, wanted))


def import_flat(
    asks: Asks,
    arm: Arm,
    flat: Flat,
    origin: str,
    out: Path,
    network: Callable[[], OnnxSource],
) -> tuple[Contract, ExportReport]:
    """Write the bundle of a policy of which everything is said.

    Raises:
        UserError, ValueError: what is said does not go together; one line.
    """
    robot, part = robot_of(arm), flat.part
    period = 1.0 / float(arm.control_hz or 0.0)
    inputs = build_inputs(asks, robot, flat.fields)
    joints = joints_of(robot, part.joint_names, asks.said.renamed)
    if flat.kind == "joint_position" and sorted(joints) != list(range(len(robot.joint_names))):
        raise UserError(
            f"joint_names: actions are positions of all joints: {', '.join(robot.joint_names)}"
        )
    count = len(joints) if flat.kind == "joint_position" else 6
    terms = _terms(asks, part, inputs, joints, count)
    source = network()
    if (found := action_size(source, terms)) != count:
        raise UserError(f"{source.place}: expected {count} actions ({flat.kind}), got {found}")
    scale = _numbers("action_scale", part.action_scale, count)
    policy = FlatPolicy(terms=terms, clip=part.clip_actions)
    if part.clip_actions is None:
        asks.assume("actions are not cut off before they are used (--clip-actions)")
    if flat.kind == "joint_position":
        offset = _numbers("default_joint_pos", part.default_joint_pos, count)
        order = tuple(joints.index(k) for k in range(count))
        policy = replace(policy, scale=scale, offset=offset, order=_order(order, count))
        action = joint_action(asks, robot, period)
    else:
        action = tool_action(asks, scale, period)
    states = flat_states(policy, count)
    if states:
        asks.assume("the last action is 0 at the start of an episode")
    contract = build_contract(asks, arm, origin, inputs=inputs, action=action, states=states)
    model = flat_model(source, policy, contract)
    return contract, write_import(model, contract, flat_answer(source, policy, contract), out)


def joints_of(robot: Robot, names: Sequence[str], renamed: Mapping[str, str]) -> list[int]:
    """Return which joint of the robot each of the source is.

    Raises:
        UserError: one is none of them, or there twice.
    """
    ours, found = robot.joint_names, list[int]()
    for name in (renamed.get(each, each) for each in names):
        if name not in ours:
            raise UserError(f"{unknown('joint', name, ours)} (--names THEIRS=OURS)")
        found.append(ours.index(name))
    if len(set(found)) != len(found):
        raise UserError(f"joint_names: a joint is there twice: {', '.join(names)}")
    return found


def _order(order: Sequence[int], size: int) -> tuple[int, ...]:
    """Return an order, nothing if it is that of an input of this size."""
    return () if list(order) == list(range(size)) else tuple(order)


def _numbers(name: str, numbers: Sequence[float], count: int) -> tuple[float, ...]:
    if len(numbers) not in (1, count):
        raise UserError(f"{name}: expected 1 or {count} numbers, got {len(numbers)}")
    if not all(math.isfinite(number) for number in numbers):
        raise UserError(f"{name}: expected finite numbers, got {list(numbers)}")
    return tuple(numbers) * (count if len(numbers) == 1 else 1)


def _terms(
    asks: Asks, part: FlatPart, inputs: Sequence[ArraySpec], joints: Sequence[int], count: int
) -> tuple[Term, ...]:
    """Return how the vector of observations is made."""
    sizes = {spec.name: math.prod(spec.array_shape) for spec in inputs}
    scales = part.observation_scale or (1.0,)
    if not part.observation_scale:
        asks.assume("observations are neither scaled nor cut off (--observation-scale)")
    scales = _numbers("observation_scale", scales, len(part.observations))
    order = _order(joints, sizes[JOINTS])
    terms: list[Term] = []
    for name, scale in zip(part.observations, scales, strict=True):
        if name in LAST:
            terms.append(Term(name=name, input=None, size=count, scale=scale))
            continue
        about: dict[str, Any] = {"name": name, "scale": scale}
        if name in (*RELATIVE, *VELOCITY, JOINTS, VELOCITIES):
            about |= {"size": len(joints), "order": order}
            about["input"] = VELOCITIES if name in (*VELOCITY, VELOCITIES) else JOINTS
            if name in RELATIVE:
                positions = part.default_joint_pos
                about["offset"] = _numbers("default_joint_pos", positions, len(joints))
                asks.assume(f"{name} is the difference from the default positions")
            terms.append(Term(**about))
            continue
        if name not in OF_THE_ARM:
            asks.assume(f"{name} is the input {name} as --contract describes it")
        terms.append(Term(**about, input=name, size=sizes[name]))
    return tuple(terms)
