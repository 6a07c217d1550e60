"""Controllers files of ros2_control: names with namespaces, gains of two kinds, one-line errors."""

import pytest

from sim2arm.core.controller_file import Controller, read_controllers

TEXT = """
controller_manager:
  ros__parameters:
    update_rate: 1000
    arm: {type: joint_trajectory_controller/JointTrajectoryController}
    hand: {type: parallel_gripper_action_controller/GripperActionController}
    states: {type: joint_state_broadcaster/JointStateBroadcaster}
/left/arm:
  ros__parameters:
    joints: [a, b]
    command_interfaces: [effort]
    gains:
      a: {p: 600.0, i: 0.0, d: 50}
      b: {p: 250.0, i: 0.0, d: 30.0}
hand:
  ros__parameters: {joint: finger}
states:
  ros__parameters: {}
"""


def test_controllers_with_joints_are_found() -> None:
    found = read_controllers(TEXT, "c.yaml")
    assert set(found) == {"arm", "hand"}
    assert found["arm"].joints == ("a", "b")
    assert found["hand"].joints == ("finger",)
    assert found["hand"].type.endswith("GripperActionController")
    assert found["hand"].gains(("finger",)) is None


def test_gains_follow_the_order_that_is_asked_for() -> None:
    arm = read_controllers(TEXT, "c.yaml")["arm"]
    assert arm.gains(("b", "a")) == ((250.0, 600.0), (30.0, 50.0))
    franka = Controller(
        name="impedance",
        type="franka_example_controllers/JointImpedanceExampleController",
        joints=("a", "b"),
        parameters={"k_gains": [24.0, 10.0], "d_gains": [2.0, 1.0]},
    )
    assert franka.gains(("b", "a")) == ((10.0, 24.0), (1.0, 2.0))


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("d: 50", "i_clamp: 1", "controller 'arm' has no gains.a.d: add it to the file"),
        ("p: 600.0", "p: -1.0", "arm: gains.a.p: expected a number above 0, got -1.0"),
        ("p: 600.0", "p: stiff", "arm: gains.a.p: expected a number above 0, got 'stiff'"),
    ],
)
def test_bad_gains_are_a_line(old: str, new: str, message: str) -> None:
    arm = read_controllers(TEXT.replace(old, new), "c.yaml")["arm"]
    with pytest.raises(ValueError, match=message):
        arm.gains(("a", "b"))


def test_lists_of_gains_have_one_per_joint() -> None:
    arm = Controller(
        name="arm", type="", joints=("a", "b"), parameters={"k_gains": [1.0], "d_gains": [1.0, 1.0]}
    )
    with pytest.raises(
        ValueError, match="controller 'arm': expected 2 gains, one per joint, got 1"
    ):
        arm.gains(("a", "b"))


@pytest.mark.parametrize("text", ["", "[1, 2]", "arm: 3", "arm: {ros__parameters: 1}"])
def test_other_files_are_refused(text: str) -> None:
    with pytest.raises(ValueError, match=r"c\.yaml: expected the controllers of ros2_control"):
        read_controllers(text, "c.yaml")
