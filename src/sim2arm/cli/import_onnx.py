"""`sim2arm import onnx FILE --out BUNDLE`: a policy of mjlab, whose file says how it was trained.

What its metadata says (mjlab, Apache-2.0, `rl/exporter_utils.py`): joint_names, joint_stiffness,
joint_damping, default_joint_pos, action_scale, observation_names. Options say the rest:

    sim2arm import onnx policy.onnx --robot fr3 --control-hz 50 --max-stamp-age-s 0.05
        --max-receipt-age-s 0.05 --names command=goal_pose --contract rest.yaml --out bundle
"""

# pyright: standard

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated

from tyro.conf import Positional, arg

from sim2arm.core.robot_files import find_robot
from sim2arm.policies.foreign.files import ForeignError, read_file
from sim2arm.policies.foreign.onnx_model import onnx_source

from .outputs import check_bundle
from .parse import parse
from .policy_asks import ActionKind, Asks, FlatPart, SaidCfg
from .policy_contract import ask_arm
from .policy_flat import ask_flat, import_flat, joints_of
from .policy_import import foreign_input, origin_of, show

_FLOATS = {
    "joint_stiffness": "kp",
    "joint_damping": "kd",
    "default_joint_pos": "default_joint_pos",
    "action_scale": "action_scale",
}


@dataclass(frozen=True, kw_only=True)
class ImportOnnxCfg:
    """Make a bundle of an ONNX file from observations to actions."""

    path: Annotated[Positional[Path], arg(metavar="FILE")]
    """The file."""
    action_kind: ActionKind | None = None
    """joint_position, if the file has the metadata of mjlab and nothing else is said."""
    said: Annotated[SaidCfg, arg(name="")]
    flat: Annotated[FlatPart, arg(name="")] = field(default_factory=FlatPart)


def main(argv: Sequence[str]) -> int:
    """Parse the arguments, import and print what became of it."""
    cfg = parse(ImportOnnxCfg, argv, "sim2arm import onnx")
    check_bundle(cfg.said.out, overwrite=cfg.said.overwrite)
    with foreign_input(cfg.path):
        data = read_file(cfg.path)
        source = onnx_source(data, str(cfg.path))
        numbers, known = read_metadata(source.metadata, str(cfg.path))
        asks, place = Asks(cfg.said), cfg.path.name
        arm = ask_arm(asks, place, **_sorted_gains(asks, numbers, known.joint_names, place))
        sayings = {"--action-kind": cfg.action_kind, "--contract": asks.part.action.kind}
        kind = next((k for k in sayings.values() if k is not None), None)
        if kind is None and known.default_joint_pos and known.action_scale:
            kind = "joint_position"
            asks.assume("actions are default_joint_pos + action_scale * action, as in mjlab")
        if numbers:
            asks.assume("numbers of the metadata have three decimals, as mjlab writes them")
        kind = asks.find("action.kind", "--action-kind", {**sayings, place: kind})
        flat = ask_flat(asks, cfg.flat, kind, place, known)
        asks.finish()
        origin = origin_of("onnx", cfg.path, data)
        contract, report = import_flat(asks, arm, flat, origin, cfg.said.out, lambda: source)
    show(asks, contract, report)
    return 0


def _sorted_gains(
    asks: Asks, gains: Mapping[str, tuple[float, ...]], joints: Sequence[str], place: str
) -> dict[str, tuple[float, ...]]:
    """Return gains in the order of the robot's joints; as they come while it is not known."""
    name = asks.said.robot or asks.part.robot
    if name is None or not gains:
        return dict(gains)
    robot = find_robot(name)
    order = joints_of(robot, joints, asks.said.renamed)
    count = len(robot.joint_names)
    if sorted(order) != list(range(count)) or {len(each) for each in gains.values()} != {count}:
        raise ForeignError(
            f"{place}: joint_names, joint_stiffness and joint_damping: expected one for each joint "
            f"of the {robot.name}: {', '.join(robot.joint_names)}"
        )
    places = [order.index(k) for k in range(count)]
    return {key: tuple(values[k] for k in places) for key, values in gains.items()}


def read_metadata(
    metadata: Mapping[str, str], place: str
) -> tuple[dict[str, tuple[float, ...]], FlatPart]:
    """Return gains, and what else the metadata of mjlab says.

    Raises:
        ForeignError: a number is none, or a history is seen.
    """
    numbers = {ours: _floats(metadata, key, place) for key, ours in _FLOATS.items()}
    lengths = _floats(metadata, "observation_history_lengths", place)
    if any(length > 1.0 for length in lengths):
        raise ForeignError(f"{place}: observation_history_lengths: histories are not read")
    gains = {name: values for name in ("kp", "kd") if (values := numbers[name])}
    return gains, FlatPart(
        observations=_words(metadata, "observation_names"),
        joint_names=_words(metadata, "joint_names"),
        default_joint_pos=numbers["default_joint_pos"],
        action_scale=numbers["action_scale"],
    )


def _words(metadata: Mapping[str, str], key: str) -> tuple[str, ...]:
    return tuple(word.strip() for word in metadata.get(key, "").split(",") if word.strip())


def _floats(metadata: Mapping[str, str], key: str, place: str) -> tuple[float, ...]:
    try:
        return tuple(float(word) for word in _words(metadata, key))
    except ValueError as error:
        raise ForeignError(f"{place}: metadata {key!r}: expected numbers: {error}") from error
