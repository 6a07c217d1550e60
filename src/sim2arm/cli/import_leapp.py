"""`sim2arm import leapp FILE --out BUNDLE`: a pipeline of LEAPP, as NVIDIA Isaac Lab exports it.

Its YAML file says which ports are positions and velocities of which joints, and often gains and
the rate. What it says of others (commands, poses, pictures) is their shape; the file of
`--contract` says their unit and frame.
"""

# pyright: standard

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

from tyro.conf import Positional, arg

from sim2arm.core.contract import Contract
from sim2arm.core.robot_files import find_robot
from sim2arm.core.robots import Robot
from sim2arm.policies.foreign.files import ForeignError
from sim2arm.policies.foreign.leapp import Key, Leapp, LeappPort, read_leapp
from sim2arm.policies.foreign.leapp_policy import (
    KD,
    KP,
    TARGET,
    Feed,
    LeappPolicy,
    find_output,
    gains,
    leapp_answer,
    leapp_model,
    leapp_states,
)

from .errors import UserError
from .outputs import check_bundle
from .parse import parse
from .policy_asks import Asks, SaidCfg
from .policy_contract import (
    JOINTS,
    VELOCITIES,
    Arm,
    ask_arm,
    ask_inputs,
    build_contract,
    build_inputs,
    joint_action,
    robot_of,
)
from .policy_flat import joints_of
from .policy_import import foreign_input, origin_of, show, write_import

OF_JOINTS = {"state/joint/position": JOINTS, "state/joint/velocity": VELOCITIES}
"""Inputs that every arm has, by their kind."""
_POSE = ("x", "y", "z", "qw", "qx", "qy", "qz")


@dataclass(frozen=True, kw_only=True)
class ImportLeappCfg:
    """Make a bundle of a pipeline of LEAPP."""

    path: Annotated[Positional[Path], arg(metavar="FILE")]
    """Its YAML file, or the folder that has one."""
    said: Annotated[SaidCfg, arg(name="")]


@dataclass(frozen=True, kw_only=True)
class Target:
    """The output that moves the joints."""

    key: Key
    joints: tuple[str, ...]
    horizon: int
    """Entries of a chunk."""
    dt_ms: float | None
    """Time between them, if it is said."""


def main(argv: Sequence[str]) -> int:
    """Parse the arguments, import and print what became of it."""
    cfg = parse(ImportLeappCfg, argv, "sim2arm import leapp")
    check_bundle(cfg.said.out, overwrite=cfg.said.overwrite)
    with foreign_input(cfg.path):
        leapp, asks = read_leapp(cfg.path), Asks(cfg.said)
        target = _target(leapp)
        names = {key: _input_name(p, asks.said.renamed) for key, p in leapp.inputs.items()}
        arm = _ask_arm(asks, leapp, target)
        wanted: dict[str, dict[str, Any]] = {JOINTS: {}}
        for key, port in leapp.inputs.items():
            wanted[names[key]] = {} if port.kind in OF_JOINTS else _known(port)
        fields = ask_inputs(asks, wanted)
        if target.horizon > 1 and asks.part.executor is None:
            asks.miss("executor", "executor: {kind: receding, execute: N} in --contract FILE")
        asks.finish()
        contract = _contract(asks, arm, leapp, target, fields)
        policy = _policy(asks, leapp, target, names, fields, robot_of(arm))
        answer = leapp_answer(leapp, policy, contract)
        report = write_import(leapp_model(leapp, policy, contract), contract, answer, cfg.said.out)
    show(asks, contract, report)
    return 0


def _ask_arm(asks: Asks, leapp: Leapp, target: Target) -> Arm:
    """Return what is said of the arm; gains in the order of its joints."""
    name, found = asks.said.robot or asks.part.robot, dict[str, tuple[float, ...]]()
    for label, kind in (("kp", KP), ("kd", KD)):
        key = find_output(leapp, kind)
        if key is None:
            continue
        values = gains(leapp, key).tolist()
        if name is not None:  # it is asked for otherwise
            elements = leapp.outputs[key].elements or target.joints
            order = _order(elements, find_robot(name), asks.said.renamed)
            values = [values[k] for k in order]
        found[label] = tuple(values)
    return ask_arm(asks, Path(leapp.place).name, control_hz=leapp.frequency, **found)


def _contract(
    asks: Asks, arm: Arm, leapp: Leapp, target: Target, fields: Mapping[str, Mapping[str, Any]]
) -> Contract:
    path, robot, period = Path(leapp.place), robot_of(arm), 1.0 / float(arm.control_hz or 0.0)
    if target.dt_ms is not None and abs(1e-3 * target.dt_ms - period) > 1e-6:
        raise ForeignError(
            f"{leapp.place}: entries of a chunk are {target.dt_ms:g} ms apart: expected a control "
            f"period, {1e3 * period:g} ms"
        )
    return build_contract(
        asks, arm, origin_of("leapp", path, path.read_bytes()),
        inputs=build_inputs(asks, robot, fields), states=leapp_states(leapp),
        action=joint_action(asks, robot, period, horizon=target.horizon),
        executor=asks.part.executor,
    )  # fmt: skip


def _policy(
    asks: Asks, leapp: Leapp, target: Target, names: Mapping[Key, str],
    fields: Mapping[str, Mapping[str, Any]], robot: Robot,
) -> LeappPolicy:  # fmt: skip
    renamed = asks.said.renamed
    return LeappPolicy(
        feeds={k: _feed(p, names[k], fields, robot, renamed) for k, p in leapp.inputs.items()},
        target=target.key,
        order=_order(target.joints, robot, renamed),
    )


def _target(leapp: Leapp) -> Target:
    """Return the output that moves the joints."""
    key = find_output(leapp, TARGET)
    if key is None:
        kinds = sorted({port.kind for port in leapp.outputs.values()} - {"", KP, KD})
        raise ForeignError(f"{leapp.place}: expected an output of kind {TARGET!r}, got {kinds}")
    port = leapp.outputs[key]
    if not port.elements:
        raise ForeignError(f"{leapp.place}: output {'/'.join(key)}: expected element_names")
    if port.dtype != "float32" or port.shape[-1] != len(port.elements):
        raise ForeignError(
            f"{leapp.place}: output {'/'.join(key)}: expected float32 of {len(port.elements)} "
            f"joints, got {port.dtype} {list(port.shape)}"
        )
    sizes = [size for size in port.shape[:-1] if size != 1]
    if len(sizes) > 1 or (sizes and not port.temporal):
        raise ForeignError(
            f"{leapp.place}: output {'/'.join(key)}: expected joints, or time and joints, got "
            f"{list(port.shape)}"
        )
    return Target(
        key=key,
        joints=port.elements,
        horizon=sizes[0] if sizes else 1,
        dt_ms=port.period_ms if sizes else None,
    )


def _input_name(port: LeappPort, renamed: dict[str, str]) -> str:
    if port.temporal:
        raise ForeignError(f"input {port.name!r}: histories are not read")
    return renamed.get(port.name) or OF_JOINTS.get(port.kind) or port.name


def _known(port: LeappPort) -> dict[str, Any]:
    """Return what a port says of an input of the contract."""
    shape = list(port.shape[1:] if len(port.shape) > 1 and port.shape[0] == 1 else port.shape)
    known: dict[str, Any] = {"shape": shape, "dtype": port.dtype}
    if port.kind:
        known["kind"] = "goal" if port.kind.startswith("command/") else "sensor"
    if port.elements and shape[-1:] == [len(port.elements)]:
        pose = sorted(port.elements) == sorted(_POSE)
        known["element_names"] = list(_POSE if pose else port.elements)
        if pose:
            known["unit"] = "m m m 1 1 1 1"
    return known


def _feed(
    port: LeappPort, name: str, fields: Mapping[str, Mapping[str, Any]], robot: Robot,
    renamed: dict[str, str],
) -> Feed:  # fmt: skip
    """Return where an input of the pipeline comes from."""
    if port.kind in OF_JOINTS:
        if port.dtype != "float32" or not port.elements:
            raise ForeignError(
                f"input {port.name!r}: expected float32 with element_names, got {port.dtype}"
            )
        return Feed(input=name, order=tuple(joints_of(robot, port.elements, renamed)))
    ours = [str(each) for each in fields[name].get("element_names", ())]
    if ours and port.elements and sorted(ours) == sorted(port.elements):
        return Feed(input=name, order=tuple(ours.index(each) for each in port.elements))
    return Feed(input=name)


def _order(elements: Sequence[str], robot: Robot, renamed: dict[str, str]) -> tuple[int, ...]:
    """Return which element of a vector of joints each joint of the robot is."""
    joints = joints_of(robot, elements, renamed)
    if sorted(joints) != list(range(len(robot.joint_names))):
        raise UserError(
            f"{', '.join(elements)}: expected each joint of the {robot.name} once: "
            f"{', '.join(robot.joint_names)}"
        )
    return tuple(joints.index(k) for k in range(len(joints)))
