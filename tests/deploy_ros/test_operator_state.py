"""What the operator's page says: words, bars, ages; nothing old is shown as if it were now."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from sim2arm_ros import operator_html as html
from sim2arm_ros.activation import at_most, equal
from sim2arm_ros.gate_machine import HELD
from sim2arm_ros.gate_state import LATENCY
from sim2arm_ros.operator_state import Curve, OperatorState, margins, refusal, words
from sim2arm_ros.page_pictures import PAPER, fitted, picture_of

from .swinging import swinging_contract

CONTRACT = swinging_contract()


def told(now: float = 0.0, reason: str = "", **values: str) -> OperatorState:
    """Return a state in which the gate said something at a time."""
    state = OperatorState()
    state.hear_gate({"active": "True", "not_ready": "", **values}, reason, now)
    return state


@pytest.mark.parametrize(
    ("state", "level", "said"),
    [
        (told(state="ACTIVE"), "moves", "The policy moves the arm."),
        (told(state="HOLD"), "stands", "Ready to start."),
        (told(state="HOLD", active="False"), "stands", "not activated yet; Start activates it"),
        (told(state="HOLD", not_ready=HELD), "stands", "Start or Reset ends the hold"),
        (told(state="HOLD", not_ready="3 of 5 healthy joint states"), "stands", "Not ready: 3 of"),
        (told(state="FAULT", reason="e-stop service"), "fault", "E-stop service. Remove the cause"),
        (told(now=-1.5, state="ACTIVE"), "unknown", "is silent for 2 s: what the arm does"),
        (OperatorState(), "unknown", "has said nothing yet"),
    ],
)
def test_how_the_arm_stands_in_plain_words(state: OperatorState, level: str, said: str) -> None:
    found, _, text = words(state, 0.0)
    assert found == level and said in text


def test_who_stopped_it_is_said_and_who_waits() -> None:
    state = told(state="HOLD")
    state.asker.hear({"phase": "STOPPED"}, "input 'scene_rgb': too old", 0.0)
    assert words(state, 0.0)[2] == "Ready to start. Stopped by: input 'scene_rgb': too old"
    state.asker.hear({"phase": "WAITING"}, "", 0.0)
    assert "the hand is about to start" in words(state, 0.0, "hand")[2]


def test_a_start_is_refused_in_the_words_of_the_gate() -> None:
    assert refusal(told(state="FAULT", reason="gains"), 0.0) == "FAULT: gains; reset first"
    assert refusal(told(state="ACTIVE"), 0.0) == "it is moving already"
    assert refusal(told(state="HOLD"), 0.0) == ""
    assert refusal(told(now=-2.0, state="FAULT"), 0.0) == ""  # old: who starts asks again


def test_latency_is_noted_where_there_was_a_command() -> None:
    state = told(1.0, state="ACTIVE", **{LATENCY: "0.0125"})
    state.hear_gate({LATENCY: ""}, "", 2.0)
    assert list(state.latency.values) == [0.0125]
    for second in range(2, 60):
        state.latency.add(float(second), 0.001)
    assert state.latency.times[0] >= 29.0 and len(state.latency.values) == len(state.latency.times)


def test_margins_by_hand() -> None:
    # 0.5 in 0 to 2: a quarter of the way, and half of half of the range is left.
    assert margins(0.5, 0.0, 2.0) == (0.25, 0.5)
    assert margins(2.5, 0.0, 2.0) == (1.25, -0.5)


def test_joints_near_and_outside_their_limits_change_their_colour() -> None:
    state, limits = OperatorState(joints_heard=10.0), CONTRACT.limits
    middle = 0.5 * (np.array(limits.q_min) + np.array(limits.q_max))
    half = 0.5 * (np.array(limits.q_max) - np.array(limits.q_min))
    for k, (name, share) in enumerate(zip(CONTRACT.joint_names, (0, 0.92, 0.99, 1.1, 0, 0, 0),
                                          strict=True)):  # fmt: skip
        state.positions[name] = float(middle[k] + share * half[k])
        state.velocities[name] = 0.0
    state.velocities["fr3_joint5"] = -0.95 * limits.dq_max[4]
    state.positions["fr3_joint7"] = float("nan")
    del state.velocities["fr3_joint6"]
    rows = html.joints(state, CONTRACT, 10.0).split("<tr")[2:]
    assert [row.count(html.NEAR) > 0 for row in rows] == [False, True, False, False, True] + 2 * [
        False
    ]
    assert [row.count(html.OVER) > 0 for row in rows] == [False, False, True, True] + 3 * [False]
    assert "not told" in rows[5] and "not told" not in rows[4]
    assert "-10 %" in rows[3] and "not known" in rows[6] and "joint1" in rows[0]
    assert "s old" not in html.joints(state, CONTRACT, 10.4)
    assert "these are 0.6 s old" in html.joints(state, CONTRACT, 10.6)
    assert "no joint states yet" in html.joints(OperatorState(), CONTRACT, 0.0)


def test_an_age_goes_on_while_nothing_comes() -> None:
    state = OperatorState(ages={"joint_position": Curve(), "goal_pose": Curve()})
    state.ages["joint_position"].add(1.0, 0.1)
    assert "100 ms" in html.figures(state, CONTRACT, 1.0)
    assert "allowed 300 ms" in html.figures(state, CONTRACT, 1.0)
    assert html.OVER not in html.figures(state, CONTRACT, 1.1).split("<tr")[1]
    _, late, nothing = html.figures(state, CONTRACT, 1.5).split("<tr")
    assert "600 ms" in late and html.OVER in late
    assert "goal pose" in nothing and ">nothing<" in nothing


def test_what_is_heard_is_text_and_no_markup() -> None:
    state = told(state="FAULT", reason="<script>alert(1)</script>")
    shown = html.banner(state, 0.0, "policy") + html.deeds(["start: <b>"])
    shown += html.report({"<i>": [equal("<u>", "<s>", 1, "<p>")]})
    for tag in ("<script>", "<b>:", "<i>", "<u>", "<s>", "<p>"):
        assert tag not in shown
    assert html.banner(state, 0.0, "p") != html.banner(state, 1.0, "p")  # it beats


def test_a_blind_report_tells_what_is_red_and_nothing_else() -> None:
    items = [at_most("age", 0.1, 0.3, "s"), at_most("drift", 0.5, 0.3, "s", "look")]
    whole, blind = (html.report({"gate_node": items}, blind=b) for b in (False, True))
    assert "1 of 2 red" in whole and "1 of 2" not in blind
    assert "gate_node: drift: expected &lt;= 0.3 s, got 0.5 (look)" in blind
    assert "<td>age" in whole and "age" not in blind
    # Reports of two policies, of which one has more inputs, are the same text.
    few, many = (html.report({"policy_node": [items[0]] * n}, blind=True) for n in (3, 7))
    assert few == many and "No item is red" in few
    assert "all 3 green" in html.report({"policy_node": [items[0]] * 3})


@pytest.mark.parametrize(
    ("encoding", "pixels", "expected"),
    [
        ("rgb8", [[[1, 2, 3]]], [[[1, 2, 3]]]),
        ("bgr8", [[[1, 2, 3]]], [[[3, 2, 1]]]),
        ("mono8", [[7]], [[[7, 7, 7]]]),
        ("16UC1", [[50, 3000]], [[[255] * 3, [0] * 3]]),  # 5 cm is white, 3 m is black
        ("32FC1", [[0.05, 3.0]], [[[255] * 3, [0] * 3]]),
        # A quarter of the firm pressure: sqrt(0.25) * 255 + 0.5 = 128; beside it the other gel.
        ("32FC3", [[[0.125, 9.0, 9.0]], [[0.5, 0.0, 0.0]]], [[[128] * 3, list(PAPER), [255] * 3]]),
    ],
)
def test_pictures_of_every_encoding(encoding: str, pixels: Any, expected: Any) -> None:
    kind = {"16UC1": np.uint16, "32FC1": np.float32, "32FC3": np.float32}.get(encoding, np.uint8)
    found = picture_of(np.array(pixels, dtype=kind), encoding, gels=2)
    np.testing.assert_array_equal(found, expected)


def test_pictures_fit_the_panel() -> None:
    assert fitted(np.zeros((480, 640, 3), np.uint8), 120, 320).shape == (240, 320, 3)
    assert fitted(np.zeros((32, 32, 3), np.uint8), 120, 320).shape == (128, 128, 3)
    assert fitted(np.zeros((14, 210, 3), np.uint8), 120, 320).shape == (14, 210, 3)
