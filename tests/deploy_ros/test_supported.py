"""Contracts that the nodes cannot keep are refused; what was trained is compared with what runs."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from sim2arm.core.contract import LEAD, GripperSpec, TrainedRange
from sim2arm.core.controllers import from_contract
from sim2arm.core.kinematics import forward_pose
from sim2arm.core.robots import FR3
from sim2arm.core.spec import ArraySpec
from sim2arm_ros.activation import lead_item, unmeasured_items
from sim2arm_ros.supported import check_supported, unmeasured

from .swinging import PARAMETERS, swinging_contract

OPENING = GripperSpec(
    kind="binary", action_element=5, open_width=0.08, speed=0.05, force=70.0, delay_s=0.1
)


def trained(name: str, high: float) -> TrainedRange:
    return TrainedRange(name=name, unit="s", low=0.0, high=high)


def test_what_these_nodes_keep_is_accepted() -> None:
    check_supported(swinging_contract())
    check_supported(swinging_contract(ranges=(trained(LEAD, 1 / 60),)))


def test_ranges_that_no_node_can_measure_are_accepted_and_listed() -> None:
    names = ("physics/mass/peg", "bias/joint_position", "noise/joint_position",
             "latency/command", "lost/command")  # fmt: skip
    contract = swinging_contract(ranges=(*(trained(name, 0.5) for name in names), trained(LEAD, 1)))
    check_supported(contract)
    items = unmeasured_items(contract)
    assert [item.name for item in items] == [f"trained: {name}" for name in names]
    assert {(item.expected, item.measured, item.ok) for item in items} == {
        ("0 to 0.5", "not measured", True)
    }


def test_pictures_are_accepted_and_their_intrinsics_are_not_among_the_unmeasured() -> None:
    eye = ArraySpec(
        name="eye_rgb", kind="sensor", shape=(4, 4, 3), dtype="uint8", frame="eye_optical",
        driver_stage="driver_stage/1 4x4 crop 0,0,4,4 area 4x4", max_receipt_age_s=0.1,
    )  # fmt: skip
    names = ("calibration/camera_eye/fx", "calibration/camera_eye/position",
             "calibration/camera_nose/fx", "appearance/eye/white", "gain/touch_field")  # fmt: skip
    base = swinging_contract()
    contract = replace(
        base, inputs=(*base.inputs, eye), ranges=tuple(trained(name, 1.0) for name in names)
    )
    check_supported(contract)
    # The policy does not see the nose, so that nobody needs to know it.
    assert [each.name for each in unmeasured(contract)] == list(names[1:])


def test_inputs_that_go_by_the_time_of_arrival_are_refused() -> None:
    base = swinging_contract()
    inputs = (replace(base.inputs[0], clock="receipt"), *base.inputs[1:])
    with pytest.raises(ValueError, match="'joint_position': clock 'receipt'"):
        check_supported(replace(base, inputs=inputs))


def wider(name: str, value: float | None) -> dict[str, Any]:
    """Return a contract's limits with another number for the second joint."""
    numbers = list(getattr(FR3.limits, name))
    numbers[1] = value
    return {"limits": replace(FR3.limits, **{name: tuple(numbers)})}


@pytest.mark.parametrize(
    ("changes", "text"),
    [
        (wider("q_max", 9.0), "limits.q_max of fr3_joint2: expected at most .* got 9"),
        (wider("q_min", -9.0), "limits.q_min of fr3_joint2: expected at least .* got -9"),
        (wider("dq_max", 100.0), "limits.dq_max of fr3_joint2: expected at most 2.*got 100"),
        (wider("ddq_max", 100.0), "limits.ddq_max of fr3_joint2"),
        (wider("dddq_max", 1e6), "limits.dddq_max of fr3_joint2"),
        (wider("dq_max", float("nan")), "limits.dq_max of fr3_joint2: .* got nan"),
        ({"limits": replace(FR3.limits, velocity_profile=None)}, "limits.velocity_profile"),
    ],
)
def test_a_bundle_may_not_ask_for_more_than_the_robot_may_do(
    changes: dict[str, Any], text: str
) -> None:
    with pytest.raises(ValueError, match=text):
        check_supported(swinging_contract(**changes))


def test_a_bundle_may_ask_for_less_than_the_robot_may_do() -> None:
    check_supported(swinging_contract(**wider("dq_max", 0.5)))
    check_supported(swinging_contract(**wider("q_max", 0.5)))


@pytest.mark.parametrize(("name", "value"), [("force", 200.0), ("open_width", 0.2), ("speed", 1.0)])
def test_nor_than_its_gripper(name: str, value: float) -> None:
    check_supported(swinging_contract(gripper=OPENING))
    with pytest.raises(ValueError, match=rf"gripper\.{name}: expected at most .*, got {value:g}"):
        check_supported(swinging_contract(gripper=replace(OPENING, **{name: value})))


@pytest.mark.parametrize(
    ("ages", "text"),
    [
        ({"max_receipt_age_s": None}, "expected max_receipt_age_s and max_stamp_age_s"),
        ({"max_stamp_age_s": None}, "expected max_receipt_age_s and max_stamp_age_s"),
        ({"max_receipt_age_s": 60.0}, "max_receipt_age_s: expected at most 1 s, got 60"),
        ({"max_stamp_age_s": 60.0}, "max_stamp_age_s: expected at most 1 s, got 60"),
    ],
)
def test_joint_states_that_may_be_as_old_as_they_like_are_refused(
    ages: dict[str, Any], text: str
) -> None:
    base = swinging_contract()
    inputs = (replace(base.inputs[0], **ages), *base.inputs[1:])
    with pytest.raises(ValueError, match=f"'joint_position': {text}"):
        check_supported(replace(base, inputs=inputs))


@pytest.mark.parametrize(
    ("changes", "text"),
    [
        ({"ranges": (trained("friction/peg", 1.0),)}, "friction/peg"),
        ({"low_level": replace(swinging_contract().low_level, kind="position")}, "'position'"),
    ],
)
def test_what_they_do_not_keep_is_refused(changes: dict[str, Any], text: str) -> None:
    with pytest.raises(ValueError, match=text):
        check_supported(swinging_contract(**changes))


@pytest.mark.parametrize(
    ("changes", "text"),
    [
        ({"kind": "ee_pose", "relative_to": "absolute"}, "action.kind"),
        ({"relative_to": "absolute"}, "action.relative_to"),
        ({"dt_s": 1 / 30}, "action.dt_s"),
        ({"scale": (0.005, 0.004, 0.005, 0.02, 0.02, 0.02)}, "action.scale"),
        ({"parameters": PARAMETERS | {"speed": 1.0}}, "action.parameters"),
        ({"parameters": {}}, "action.parameters"),
    ],
)
def test_actions_without_an_exact_controller_are_refused(
    changes: dict[str, Any], text: str
) -> None:
    contract = swinging_contract(action=replace(swinging_contract().action, **changes))
    with pytest.raises(ValueError, match=text):
        from_contract(FR3, contract, np.array([FR3.home]))


def test_the_element_of_the_gripper_follows_those_of_the_arm() -> None:
    action = swinging_contract().action
    seven = replace(
        action, dim=7, low=(-1.0,) * 7, high=(1.0,) * 7, scale=(*action.scale, 0.04),
        element_names=(*action.element_names, "gripper"),
    )  # fmt: skip
    contract = swinging_contract(action=seven, gripper=replace(OPENING, action_element=6))
    home = np.array([FR3.home])
    motion, bare = from_contract(FR3, contract, home), from_contract(FR3, swinging_contract(), home)
    step, tool = np.full((1, 7), 0.5), forward_pose(FR3.chain, home)
    np.testing.assert_array_equal(motion.step(step, tool)[0], bare.step(step[:, :6], tool)[0])
    with pytest.raises(ValueError, match="action_element: expected 6 or none, got 5"):
        from_contract(FR3, swinging_contract(action=seven, gripper=OPENING), home)
    with pytest.raises(ValueError, match=r"action\.dim: no controller for 7, expected 6"):
        from_contract(FR3, swinging_contract(action=seven), home)


def test_the_lead_is_compared_with_its_trained_range() -> None:
    contract = swinging_contract(ranges=(trained(LEAD, 1 / 60),))
    assert lead_item(contract, 1 / 60).ok
    assert not lead_item(contract, 2 / 60).ok
    without = lead_item(swinging_contract(), 1 / 60)
    assert without.ok and "trained with 0 to 0 s" in without.note
