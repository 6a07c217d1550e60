"""`sim2arm import lerobot-act FOLDER --map FILE --out BUNDLE`: an ACT policy of LeRobot.

The map is that of `sim2arm import lerobot`: which element of state and action is which joint, in
which unit. Elements are named by their place, 0 and so on, or by names that `--elements` lists.
"""

# pyright: standard

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Annotated, Any

from tyro.conf import Positional, arg

from sim2arm.core.contract import ExecutorSpec
from sim2arm.core.plain import from_plain, load_yaml
from sim2arm.core.robots import Robot
from sim2arm.policies.export import export_bundle
from sim2arm.policies.foreign.files import ForeignError, read_file
from sim2arm.policies.foreign.lerobot_act import LerobotActCfg
from sim2arm.policies.foreign.lerobot_policy import (
    WEIGHTS,
    Elements,
    ImportedAct,
    read_lerobot,
)
from sim2arm.policies.foreign.probes import LONGEST, probes
from sim2arm.sim.specs import gripper_spec

from .errors import UserError, user_input
from .import_lerobot import LerobotMap
from .outputs import check_bundle
from .parse import parse, unknown
from .policy_asks import Asks, SaidCfg
from .policy_contract import (
    JOINTS,
    WIDTH,
    Arm,
    ask_arm,
    ask_inputs,
    build_contract,
    build_inputs,
    joint_action,
    robot_of,
)
from .policy_import import foreign_input, origin_of, show

ENVIRONMENT = "environment_state"
"""Name here of the state of the environment, where the policy sees it."""


@dataclass(frozen=True, kw_only=True)
class ImportLerobotActCfg:
    """Make a bundle of an ACT policy of LeRobot."""

    path: Annotated[Positional[Path], arg(metavar="FOLDER")]
    """With config.json and model.safetensors."""
    map: Path | None = None
    """YAML file that says what the numbers of state and action are."""
    elements: tuple[str, ...] = ()
    """Names of the elements of state and action, in order, if the map uses names."""
    said: Annotated[SaidCfg, arg(name="")]


def main(argv: Sequence[str]) -> int:
    """Parse the arguments, import and print what became of it."""
    cfg = parse(ImportLerobotActCfg, argv, "sim2arm import lerobot-act")
    check_bundle(cfg.said.out, overwrite=cfg.said.overwrite)
    mapped = None if cfg.map is None else read_map(cfg.map)
    with foreign_input(cfg.path):
        policy = read_lerobot(cfg.path)
        asks = Asks(cfg.said)
        arm = ask_arm(asks, "--map", robot=None if mapped is None else mapped.robot)
        if mapped is None:
            asks.miss("which joint each element of state and action is", "--map FILE")
        columns = _columns(policy.cfg, mapped)
        fields = ask_inputs(asks, _wanted(asks, policy.cfg, mapped, columns))
        asks.finish()
        assert mapped is not None  # it would be missing
        robot = robot_of(arm)
        elements = find_elements(mapped, robot, policy.cfg, cfg.elements)
        origin = origin_of("lerobot-act", cfg.path, read_file(cfg.path / WEIGHTS))
        contract = _contract(asks, arm, robot, policy.cfg, fields, elements, origin)
        around = ENVIRONMENT if policy.cfg.environment else None
        module = ImportedAct(policy, elements, tuple(columns.values()), environment=around)
        report = export_bundle(
            module, contract, probes(contract), cfg.said.out, parity_steps=LONGEST,
            overwrite=cfg.said.overwrite,
        )  # fmt: skip
    show(asks, contract, report)
    return 0


def read_map(path: Path) -> LerobotMap:
    """Return the content of a map.

    Raises:
        UserError: it cannot be read.
    """
    with user_input("map", path):
        return from_plain(LerobotMap, load_yaml(path.read_text(encoding="utf-8"), str(path)), "map")


def _columns(cfg: LerobotActCfg, mapped: LerobotMap | None) -> dict[str, str]:
    """Return the name of each picture here, in the order of the network."""
    told = {} if mapped is None else {theirs: ours for ours, theirs in mapped.pictures.items()}
    if mapped is not None and set(told) != set(cfg.pictures):
        raise UserError(
            f"map: pictures: expected one name for each of {sorted(cfg.pictures)}, got {told}"
        )
    return {name: told.get(name, name.rpartition(".")[2]) for name in cfg.pictures}


def _wanted(
    asks: Asks, cfg: LerobotActCfg, mapped: LerobotMap | None, columns: Mapping[str, str]
) -> dict[str, dict[str, Any]]:
    """Return the inputs, with what the configuration says of them."""
    wanted: dict[str, dict[str, Any]] = {JOINTS: {}}
    if mapped is not None and mapped.gripper is not None:
        wanted[WIDTH] = {}
    if cfg.environment:
        wanted[ENVIRONMENT] = {"shape": [cfg.environment]}
    for theirs, ours in columns.items():
        rows, cols = cfg.pictures[theirs]
        wanted[ours] = {
            "kind": "sensor", "shape": [rows, cols, 3], "dtype": "uint8", "unit": "1",
            "element_names": ["r", "g", "b"], "frame": f"{ours}_optical",
        }  # fmt: skip
        if "frame" not in asks.part.input(ours):
            asks.assume(f"input {ours}: pictures are in the frame {ours}_optical")
    return wanted


def find_elements(
    mapped: LerobotMap, robot: Robot, cfg: LerobotActCfg, names: Sequence[str]
) -> Elements:
    """Return where joints and gripper are in state and action.

    Raises:
        UserError: the map is of another arm, or leaves an element out.
    """
    if set(mapped.joints) != set(robot.joint_names):
        expected = ", ".join(robot.joint_names)
        raise UserError(f"map: joints: expected {expected}, got {', '.join(mapped.joints)}")
    joints = [mapped.joints[name] for name in robot.joint_names]
    known = list(names or map(str, range(cfg.state)))
    told = [joint.element for joint in joints]
    scale, offset = [joint.scale for joint in joints], [joint.offset for joint in joints]
    action_scale, action_offset = list(scale), list(offset)
    if mapped.gripper is not None:
        gripper = mapped.gripper
        per_unit = 1.0 / (gripper.opened - gripper.closed)
        told.append(gripper.element)
        scale.append(robot.gripper.open_width * per_unit)
        offset.append(-robot.gripper.open_width * per_unit * gripper.closed)
        action_scale.append(2.0 * per_unit)
        action_offset.append(-2.0 * per_unit * gripper.closed - 1.0)
    for element in told:
        if element not in known:
            raise UserError(f"map: {unknown('element', element, known)} (--elements)")
    if sorted(told) != sorted(known) or (cfg.state, cfg.action) != (len(known),) * 2:
        raise UserError(
            f"map: expected each of {cfg.state} elements of the state and {cfg.action} of the "
            f"action once ({', '.join(known)}), got {', '.join(told)}"
        )
    return Elements(
        places=tuple(known.index(each) for each in told), gripper=mapped.gripper is not None,
        state_scale=tuple(scale), state_offset=tuple(offset),
        action_scale=tuple(action_scale), action_offset=tuple(action_offset),
    )  # fmt: skip


def _contract(
    asks: Asks,
    arm: Arm,
    robot: Robot,
    cfg: LerobotActCfg,
    fields: Mapping[str, Mapping[str, Any]],
    elements: Elements,
    origin: str,
) -> Any:
    gripper = gripper_spec(robot, acts=elements.gripper)
    if elements.gripper:
        gripper = replace(gripper, action_element=len(robot.joint_names))
    executor = asks.part.executor or executor_of(cfg)
    if asks.part.executor is None:
        asks.assume(f"executor: {executor.kind} of {executor.execute}, as config.json acts")
    period = 1.0 / float(arm.control_hz or 0.0)
    action = joint_action(asks, robot, period, horizon=cfg.chunk_size, gripper=elements.gripper)
    return build_contract(
        asks, arm, origin, inputs=build_inputs(asks, robot, fields), action=action,
        executor=executor, gripper=gripper,
    )  # fmt: skip


def executor_of(cfg: LerobotActCfg) -> ExecutorSpec:
    """Return how LeRobot acts with chunks.

    Raises:
        ForeignError: no executor does so.
    """
    if cfg.temporal_ensemble_coeff is not None:
        if cfg.temporal_ensemble_coeff < 0.0:
            raise ForeignError("temporal_ensemble_coeff: expected 0 or more")
        return ExecutorSpec(kind="ensemble", decay=cfg.temporal_ensemble_coeff)
    if cfg.chunk_size == 1:
        return ExecutorSpec()
    return ExecutorSpec(kind="receding", execute=cfg.n_action_steps)
