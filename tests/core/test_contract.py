from __future__ import annotations

import copy
import json
from collections.abc import Iterator
from dataclasses import replace
from typing import Any, cast

import pytest

from sim2arm.core.contract import Contract, ExecutorSpec, NoiseSpec, StateSpec, TrainedRange
from sim2arm.core.robots import FR3
from sim2arm.core.spec import ArraySpec, History
from tests.builders import make_action, make_contract, make_spec


def make_rich_contract() -> Contract:
    """A contract in which every part is there."""
    base = make_contract()
    noise = ArraySpec(name="noise", kind="noise", shape=(4, 6), unit="1")
    touch = make_spec(
        name="touch",
        shape=(8, 8, 3),
        dtype="uint8",
        element_names=(),
        unit="1",
        low=(0.0,),
        high=(255.0,),
        sampling="nearest_to:joint_position",
        history=History(of="frames", n=3),
        driver_stage="area_resize-1",
        clock="receipt",
    )
    return replace(
        base,
        inputs=(*base.inputs, noise, touch),
        states=(StateSpec(name_in="h", name_out="h_next", shape=(16,)),),
        noise=NoiseSpec(seed=3, sampler_steps=10),
        action=make_action(kind="ee_pose", relative_to="chunk_start", horizon=4),
        executor=ExecutorSpec(kind="ensemble", execute=2, decay=0.01),
        limits=FR3.limits,
    )


def leaves(value: Any, path: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    items = enumerate(cast(Any, value)) if isinstance(value, list) else value.items()
    for key, item in items:
        if isinstance(item, dict | list):
            yield from leaves(item, (*path, key))
        else:
            yield (*path, key)


def test_yaml_and_json_round_trips_are_exact() -> None:
    contract = make_rich_contract()
    assert Contract.from_yaml(contract.to_yaml()) == contract
    again = Contract.from_dict(json.loads(contract.canonical_json()))
    assert again == contract
    assert again.canonical_json() == contract.canonical_json()
    assert Contract.from_yaml(contract.to_yaml()).differences(contract) == []


def test_whole_numbers_and_signed_zeros_do_not_make_a_difference() -> None:
    a = make_contract(control_hz=100, action=make_action(low=(-1,) * 6))
    b = make_contract(control_hz=100.0)
    assert a.canonical_json() == b.canonical_json()
    a, b = (
        replace(a, ranges=(TrainedRange(name="x", unit="", low=z, high=1.0),)) for z in (0.0, -0.0)
    )
    assert a.canonical_json() == b.canonical_json()


def test_every_single_field_is_compared() -> None:
    contract = make_rich_contract()
    data = contract.to_dict()
    paths = list(leaves(data))
    assert len(paths) > 300
    found = 0
    for path in paths:
        changed = copy.deepcopy(data)
        node: Any = changed
        for key in path[:-1]:
            node = node[key]
        old = node[path[-1]]
        if isinstance(old, bool):
            node[path[-1]] = not old
        elif isinstance(old, int | float):
            node[path[-1]] = old + old * 1e-9 + 1
        else:
            node[path[-1]] = f"{old}x"
        try:
            other = Contract.from_dict(changed)
        except ValueError as error:
            assert "\n" not in str(error)
            continue  # detected already by itself
        lines = contract.differences(other)
        assert len(lines) == 1, (path, lines)
        assert str(path[0]) in lines[0]
        found += 1
    assert found > 100


def test_differences_name_the_path_and_both_values() -> None:
    a = make_contract()
    b = replace(a, control_hz=100.0, action=make_action(rotation_side="right"))
    assert a.differences(b) == [
        "action.rotation_side: 'left' != 'right'",
        "control_hz: 60.0 != 100.0",
    ]


def edited(*edits: tuple[str, str]) -> str:
    text = make_contract().to_yaml()
    for old, new in edits:
        assert old in text
        text = text.replace(old, new, 1)
    return text


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (edited(("control_hz: 60.0", "control_hertz: 60.0")), "control_hertz: unknown key"),
        (edited(("control_hz: 60.0\n", "")), "control_hz: missing key"),
        (edited(("control_hz: 60.0", "control_hz: fast")), "control_hz: expected a number"),
        (edited(("control_hz: 60.0", "control_hz: 1e2")), r"in YAML 1.0e-3, not 1e-3"),
        (edited(("control_hz: 60.0", "control_hz: true")), "control_hz: expected a number"),
        (edited(("control_hz: 60.0", "control_hz: .nan")), "control_hz: expected a finite"),
        (edited(("control_hz: 60.0", "control_hz: .inf")), "control_hz: expected a finite"),
        (edited(("0.333", ".nan")), r"chain.T_parent_joint\[0\]\[2\]\[3\]: expected a finite"),
        (edited(("control_hz: 60.0", "control_hz: -1.0")), "control_hz: expected more than 0"),
        (edited(("control_hz: 60.0", "control_hz: 60.0\ncontrol_hz: 100.0")), "twice"),
        (edited(("robot: panda", "robot: &a panda\nrobot2: *a")), "aliases"),
        (edited(("version: 1", "version: 2")), "reads contracts of version 1, got 2"),
        (edited(("kind: sensor", "kind: camera")), r"inputs\[0\].kind: expected one of"),
        (edited(("  unit: rad", "  units: rad")), r"inputs\[0\].units: unknown key"),
        (edited(("shape: [7]", "shape: [7.5]")), r"inputs\[0\].shape\[0\]: expected a whole"),
        (edited(("shape: [7]", "shape: 7")), r"inputs\[0\].shape: expected a list"),
        (edited(("shape: [7]", "shape: [-7]")), r"inputs\[0\]: input 'joint_position': shape"),
        (edited(("trained_age_s: [0.0, 0.005]", "trained_age_s: [0.0]")), "expected 2 entries"),
        (edited(("parameters:", "parameters: 3\nx:")), "x: unknown key"),
        ("", "expected a mapping with named fields, got None"),
        ("[1, 2]", "expected a mapping"),
        ("robot: [", "not valid YAML"),
        ("!!python/object/apply:os.system ['true']", "not valid YAML"),
        ("a: " + "[" * 5000, "not valid YAML"),
    ],
)
def test_reading_is_strict_and_names_the_key(text: str, message: str) -> None:
    with pytest.raises(ValueError, match=message) as caught:
        Contract.from_yaml(text, "contract.yaml")
    assert str(caught.value).startswith("contract.yaml: ")
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("overrides", "message"),
    [
        ({"joint_names": ("a",)}, "chain.joint_names: expected"),
        ({"chain": {}}, "chain: a chain has the keys"),
        ({"limits": replace(FR3.limits, q_min=(0.0,) * 7), "control_hz": 0.0}, "control_hz"),
        ({"inputs": (make_spec(), make_spec())}, "'joint_position' is used 2 times"),
        ({"inputs": (make_spec(name="action"),)}, "'action' is used 2 times"),
        ({"inputs": (make_spec(sampling="nearest_to:camera"),)}, "'camera' is not another input"),
        (
            {"states": (StateSpec(name_in="h", name_out="h", shape=(1,)),)},
            "'h' is used 2 times",
        ),
        (
            {"states": (StateSpec(name_in="h", name_out="o", shape=(3,), initial=(0.0, 1.0)),)},
            "state 'h': initial: expected 1 or 3 numbers, got 2",
        ),
        ({"noise": NoiseSpec()}, "if and only if an input is of kind noise"),
        ({"action": make_action(scale=(0.01,))}, "action.scale: expected 6 numbers"),
        ({"action": make_action(low=(1.0,) * 6)}, "action.low: must be less"),
        ({"action": make_action(rotation_side=None)}, "action.rotation_side: ee_delta needs"),
        ({"action": make_action(horizon=4)}, "executor.kind: step needs action.horizon 1"),
        (
            {"action": make_action(horizon=4), "executor": ExecutorSpec(kind="ensemble")},
            "steps from the last command cannot be ensembled",
        ),
        ({"executor": ExecutorSpec(execute=2)}, "executor.execute: expected 1 to 1"),
        (
            {"low_level": replace(make_contract().low_level, kp=(1.0,) * 7)},
            "low_level.kp: must lie inside low_level.kp_range",
        ),
        ({"golden_tolerance": 0.0}, "golden_tolerance: expected more than 0"),
    ],
)
def test_parts_that_do_not_fit_each_other_are_refused(
    overrides: dict[str, Any], message: str
) -> None:
    with pytest.raises(ValueError, match=message):
        make_contract(**overrides)


def test_a_field_of_the_wrong_type_is_named_when_written() -> None:
    with pytest.raises(ValueError, match=r"robot: expected a string, got 3"):
        make_contract(robot=3).to_yaml()


def test_inputs_by_name_and_by_who_provides_them() -> None:
    contract = make_rich_contract()
    assert contract.input("touch").array_shape == (3, 8, 8, 3)
    assert [spec.name for spec in contract.noises] == ["noise"]
    assert "noise" not in [spec.name for spec in contract.observations]
    assert contract.period == pytest.approx(1 / 60)
    assert contract.kinematic_chain.tool_frame == "panda_hand_tcp"
    with pytest.raises(ValueError, match="input 'camera' is not in the contract"):
        contract.input("camera")


@pytest.mark.parametrize("seed", [-1, 2**62])
def test_a_seed_that_no_generator_takes_is_refused(seed: int) -> None:
    with pytest.raises(ValueError, match=rf"noise.seed: expected 0 to 2\^62 - 1, got {seed}"):
        replace(make_rich_contract(), noise=NoiseSpec(seed=seed))
