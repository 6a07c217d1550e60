"""The activation report: margins computed by hand, and every way to be red."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pytest

from sim2arm.core.kinematics import forward
from sim2arm.core.robots import FR3, PANDA
from sim2arm.core.urdf import urdf_from_robot
from sim2arm_ros import activation
from sim2arm_ros.activation import Item
from sim2arm_ros.gate import GateCfg
from sim2arm_ros.gate_machine import GateMachine
from sim2arm_ros.gate_report import known_robot_item, place_items, state_item
from sim2arm_ros.gate_state import MachineCfg
from sim2arm_ros.graph import ChainBounds, WorkspaceCfg
from sim2arm_ros.graph_file import read_graph

from .swinging import swinging_contract

CONTRACT = swinging_contract()


@pytest.mark.parametrize(
    ("value", "margin", "ok"),
    [
        (3.0, 1.0, True),  # the middle of 2 to 4: min(1, 1) / 1
        (2.5, 0.5, True),  # 0.5 / 1
        (4.0, 0.0, True),
        (4.5, -0.5, False),  # -0.5 / 1
        (1.0, -1.0, False),
    ],
)
def test_margin_in_a_range(value: float, margin: float, ok: bool) -> None:
    item = activation.within("x", value, 2.0, 4.0, "m")
    assert item.ok is ok and item.margin == pytest.approx(margin)


@pytest.mark.parametrize("value", [None, math.nan, math.inf, -math.inf])
def test_without_a_number_a_range_is_red(value: float | None) -> None:
    item = activation.within("x", value, 2.0, 4.0, "m")
    assert not item.ok and item.margin is None


def test_a_range_of_one_number() -> None:
    assert activation.within("x", 600.0, 600.0, 600.0, "").ok
    item = activation.within("x", 601.0, 600.0, 600.0, "")
    assert not item.ok and item.margin == -1.0


@pytest.mark.parametrize(
    ("value", "margin", "ok"),
    [(0.0, 1.0, True), (0.5, 0.75, True), (2.0, 0.0, True), (3.0, -0.5, False), (-1.0, 1.0, True)],
)
def test_margin_below_a_bound(value: float, margin: float, ok: bool) -> None:
    item = activation.at_most("x", value, 2.0, "s")
    assert item.ok is ok and item.margin == pytest.approx(margin)


@pytest.mark.parametrize("value", [None, math.nan, math.inf])
def test_without_a_number_a_bound_is_red(value: float | None) -> None:
    assert not activation.at_most("x", value, 2.0, "s").ok


@pytest.mark.parametrize(
    ("period", "margin", "ok"), [(0.01, 1.0, True), (0.02, 0.0, True), (0.04, -0.5, False)]
)
def test_rate(period: float, margin: float, ok: bool) -> None:
    item = activation.rate_item("x", period, 50.0)  # 100, 50 and 25 Hz against 50
    assert item.ok is ok and item.margin == pytest.approx(margin)


@pytest.mark.parametrize("period", [None, 0.0, -1.0])
def test_without_messages_a_rate_is_red(period: float | None) -> None:
    assert not activation.rate_item("x", period, 50.0).ok


def test_qos_names_every_mismatch() -> None:
    assert activation.qos_item([]).ok
    item = activation.qos_item(["/a from x: best effort"])
    assert not item.ok and "/a from x" in item.measured


def test_chain_of_the_robot_itself_is_green() -> None:
    items, chain = activation.chain_items(CONTRACT, urdf_from_robot(FR3), ChainBounds())
    assert chain is not None and [item.ok for item in items] == [True, True]


def test_chain_that_is_2_1_mm_off_is_red() -> None:
    data = FR3.chain.to_dict()
    data["T_last_tool"][2][3] += 0.0021
    contract = swinging_contract(chain=data)
    items, _ = activation.chain_items(contract, urdf_from_robot(FR3), ChainBounds())
    assert [item.ok for item in items] == [False, True]
    assert items[0].margin == pytest.approx(1.0 - 0.0021 / 0.002, abs=1e-6)


@pytest.mark.parametrize(
    ("text", "note"),
    [(None, "robot_description"), ("<robot", ""), (urdf_from_robot(PANDA), "fr3")],
)
def test_no_or_another_description_is_red(text: str | None, note: str) -> None:
    items, chain = activation.chain_items(CONTRACT, text, ChainBounds())
    assert chain is None and not items[0].ok and note in items[0].note


def test_gains_show_the_worst_joint() -> None:
    kp, kd = list(FR3.kp), list(FR3.kd)
    kp[2] *= 1.05  # of a range of +-10 %: half of the margin is left
    items = activation.gain_items(CONTRACT, {"kp": kp, "kd": kd})
    assert [item.ok for item in items] == [True, True]
    assert items[0].name == f"kp of {FR3.joint_names[2]}"
    assert items[0].margin == pytest.approx(0.5)
    kd[4] *= 1.2
    items = activation.gain_items(CONTRACT, {"kp": kp, "kd": kd})
    assert not items[1].ok and items[1].name == f"kd of {FR3.joint_names[4]}"
    assert items[1].margin == pytest.approx(-1.0)


def test_unknown_gains_are_red() -> None:
    assert [item.ok for item in activation.gain_items(CONTRACT, None)] == [False, False]
    nan = {"kp": [math.nan] * 7, "kd": list(FR3.kd)}
    assert [item.ok for item in activation.gain_items(CONTRACT, nan)] == [False, True]


def test_position_shows_the_joint_nearest_to_its_limit() -> None:
    q = np.array(FR3.home)
    q[6] = FR3.limits.q_max[6] + 0.1
    (item,) = activation.position_items(CONTRACT, q)
    assert not item.ok and item.name == f"position of {FR3.joint_names[6]}"
    assert not activation.position_items(CONTRACT, None)[0].ok
    assert not activation.position_items(CONTRACT, q * np.nan)[0].ok


def gate_machine() -> GateMachine:
    return GateMachine(FR3, 1 / 60, GateCfg(), MachineCfg())


def test_what_an_operator_stopped_is_red_until_the_reset() -> None:
    machine = gate_machine()
    item = state_item(machine)
    assert item.ok and item.measured == "HOLD: started"
    machine.operator_stop("e-stop service")
    item = state_item(machine)
    assert not item.ok and item.measured == "e-stop service" and "reset" in item.note


def test_a_real_arm_needs_a_workspace_and_must_be_inside() -> None:
    machine, home, graph = gate_machine(), np.array(FR3.home), read_graph()
    (told,) = place_items(graph, machine, home, real=False)
    assert told.ok and told.measured == "none: a simulated arm"
    (told,) = place_items(graph, machine, home, real=True)
    assert not told.ok and told.measured == "" and "graph.yaml" in told.note
    tool = forward(FR3.chain, home)[:3, 3]
    high = tuple(tool + np.array([0.2, 0.3, 0.05]))
    place = WorkspaceCfg(low=tuple(tool - 0.1), high=high, table_height=0.0)
    inside, above = place_items(replace(graph, workspace=place), machine, home, real=True)
    assert inside.ok and float(inside.measured) == pytest.approx(0.05, abs=1e-3)
    assert above.ok and 0.0 < float(above.measured) < tool[2] + 1e-3
    other = replace(place, low=tuple(tool + 0.01), table_height=tool[2])
    inside, above = place_items(replace(graph, workspace=other), machine, home, real=True)
    assert not inside.ok and float(inside.measured) == pytest.approx(-0.01, abs=1e-3)
    assert not above.ok
    unknown = place_items(replace(graph, workspace=place), machine, None, real=True)
    assert not any(item.ok for item in unknown)


@pytest.mark.parametrize("name", ["fr3", "ur5e", "so101"])
def test_a_known_robot_is_not_real_without_its_modes(name: str) -> None:
    contract = replace(swinging_contract(), robot=name)
    red = known_robot_item(contract, read_graph())
    assert not red.ok and f"robot:={name}" in red.note
    assert known_robot_item(contract, read_graph(robot=name)).ok
    assert known_robot_item(replace(contract, robot="mine"), read_graph()).ok


def test_problems_are_lines_with_what_to_do() -> None:
    items = [
        activation.equal("a", "active", "inactive", "switch it on"),
        activation.at_most("b", None, 0.05, "s"),
        activation.equal("c", 1, 1),
    ]
    assert activation.problems(items) == [
        "a: expected active, got inactive (switch it on)",
        "b: expected <= 0.05 s, got nothing",
    ]


def test_reports_survive_the_wire() -> None:
    items = [
        activation.within("x", 601.0, 600.0, 600.0, "", "do"),
        activation.at_most("y", math.inf, 1, "s"),
    ]
    assert activation.from_json(activation.to_json("gate", items)) == ("gate", items)
    lines = activation.format_items(items).splitlines()
    assert len(lines) == 3 and lines[1].startswith("RED  x")


@pytest.mark.parametrize("text", ["", "[]", "{}", '{"node": "a", "items": [{"name": "x"}]}', "1"])
def test_other_texts_are_errors(text: str) -> None:
    with pytest.raises(ValueError, match="activation report"):
        activation.from_json(text)


def test_items_without_note_have_no_parentheses() -> None:
    item = Item(name="x", expected="1", measured="2", ok=False)
    assert activation.problems([item]) == ["x: expected 1, got 2"]
