"""What the operator's page says: words, bars, ages; nothing old is shown as if it were now."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from sim2arm_ros import operator_html as html
from sim2arm_ros.activation import at_most, equal
from sim2arm_ros.gate_machine import HELD
from sim2arm_ros.gate_state import LATENCY
from sim2arm_ros.operator_state import (
    Curve,
    OperatorState,
    margins,
    old_picture,
    recording,
    refusal,
    words,
)
from sim2arm_ros.page_pictures import PAPER, faded, fitted, picture_of

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


FINE = {"episode": "0", "running": "False", "lost": "0", "dropped": "0", "error": ""}


@pytest.mark.parametrize(
    ("said", "reason", "now", "text", "alarm", "gaps", "running"),
    [
        (FINE, "", 3.0, "The log runs; no episode is marked yet.", "", (), False),
        (FINE, "", 3.5, "No episode was marked.", "The recorder is silent for 4 s", (), False),
        (FINE | {"episode": "2"}, "", 0.0, "Episode 2 is over.", "", (), False),
        (FINE | {"episode": "2", "running": "True"}, "", 3.0, "Episode 2 is being recorded.", "",
         (), True),
        (FINE | {"episode": "2", "running": "True"}, "", 9.0, "Episode 2 is cut off.",
         "The recorder is silent for 9 s: nothing is recorded.", (), False),
        (FINE | {"episode": "2", "running": "True", "error": "no space"}, "no space", 0.0,
         "Episode 2 is cut off.", "Nothing is recorded: no space", (), False),
        (FINE | {"lost": "7", "dropped": "12"}, "a from b: reliability", 0.0, "The log runs",
         "", ("The log has gaps: 7 messages were lost", "The log has gaps: 12 messages had no room",
              "Not recorded: a from b: reliability."), False),
    ],
)  # fmt: skip
def test_what_is_recorded_in_plain_words(
    said: dict[str, str], reason: str, now: float, text: str, alarm: str,
    gaps: tuple[str, ...], running: bool,
) -> None:  # fmt: skip
    state = OperatorState()
    state.recorder.hear(said, reason, 0.0)
    found = recording(state, now)
    assert found.text.startswith(text) and found.running is running
    assert found.alarm.startswith(alarm) and bool(found.alarm) == bool(alarm)
    assert len(found.gaps) == len(gaps)
    for gap, expected in zip(found.gaps, gaps, strict=True):
        assert gap.startswith(expected)
    assert html.alarm("") == "" and html.OVER in html.alarm(found.alarm or "x")


def test_a_picture_is_old_past_its_smaller_budget_and_what_the_page_itself_is_late() -> None:
    state = OperatorState(pictures={"joint_position": 10.0, "goal_pose": 10.0})
    spec = replace(CONTRACT.input("joint_position"), max_stamp_age_s=0.5, max_receipt_age_s=0.2)
    assert old_picture(state, spec, 10.49) is None  # 0.2 s and 0.3 s
    assert old_picture(state, spec, 10.51) == pytest.approx(0.51)
    spec = replace(CONTRACT.input("goal_pose"), max_receipt_age_s=None)
    assert old_picture(state, spec, 11.29) is None  # no budget: 1 s and 0.3 s
    assert old_picture(state, spec, 11.31) == pytest.approx(1.31)


def test_an_old_picture_is_pale_and_grey_in_a_red_frame() -> None:
    live = np.zeros((20, 30, 3), np.uint8)
    live[10, 10] = (0, 60, 240)
    old = faded(live)
    assert old[10, 15].tolist() == [160] * 3
    assert old[10, 10].tolist() == [185] * 3  # a mean of 100, a quarter of it on top of 160
    for edge in (old[0], old[-1], old[:, 0], old[:, -1]):
        assert (edge == (198, 47, 47)).all()
    assert not live[0].any()  # the live one is left alone


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
    state.recorder.hear({"episode": "<em>", "error": "<u>"}, "", 0.0)
    found = recording(state, 0.0)
    shown += html.recording(found) + html.alarm(found.alarm)
    shown += html.report({"<i>": [equal("<u>", "<s>", 1, "<p>")]})
    for tag in ("<script>", "<em>", "<b>:", "<i>", "<u>", "<s>", "<p>"):
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
