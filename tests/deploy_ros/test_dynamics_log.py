# pyright: standard, reportMissingModuleSource=false
"""From a bundle that excites an arm to its numbers: `calibrate excitation` and `dynamics`."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from sim2arm_ros.dds import install

install()

from control_msgs.msg import JointTrajectoryControllerState  # noqa: E402
from rclpy.serialization import serialize_message  # noqa: E402
from trajectory_msgs.msg import JointTrajectoryPoint  # noqa: E402

from sim2arm.calibration.dynamics_file import read_dynamics  # noqa: E402
from sim2arm.calibration.excitation import ExcitationCfg, make_excitation  # noqa: E402
from sim2arm.cli.main import main  # noqa: E402
from sim2arm.core.calibration_file import read_record  # noqa: E402
from sim2arm.core.robot_files import find_robot  # noqa: E402
from sim2arm.core.trajectory import Trajectory  # noqa: E402
from sim2arm.policies.runtime import OnnxPolicy  # noqa: E402
from sim2arm.sim.arm import SimulatedArm  # noqa: E402
from sim2arm.sim.measured_terms import MeasuredArm  # noqa: E402
from sim2arm_ros.bag.description import Topic  # noqa: E402
from sim2arm_ros.bag.folder import BagFolder  # noqa: E402
from sim2arm_ros.convert import joint_state_message, to_stamp  # noqa: E402

ROBOT = find_robot("so101")
STATE, JOINTS = "/joint_trajectory_controller/controller_state", "/joint_states"
TYPES = {STATE: "control_msgs/msg/JointTrajectoryControllerState",
         JOINTS: "sensor_msgs/msg/JointState"}  # fmt: skip
TRUE = {"kp": 0.85, "payload/mass": 0.15}


@pytest.fixture(scope="module")
def log(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An arm with softer gains than it should have and something in its hand."""
    hidden = MeasuredArm(
        joints=ROBOT.joint_names, tool=ROBOT.chain.tool_frame,
        numbers={name: (value, value) for name, value in TRUE.items()},
        units=dict.fromkeys(TRUE, "1"),
    )  # fmt: skip
    arm = SimulatedArm("reach", "so101", physics=(hidden,))
    arm.change_physics(np.full(2, 0.5))
    arm.reset(0)
    start = arm.joint_state()[0][0]
    motion = start + make_excitation(ROBOT, 1 / 60, ExcitationCfg(seconds=9.0, tries=2))
    times = np.arange(len(motion)) / 60
    speeds = np.gradient(motion, 1 / 60, axis=0)
    arm.command(Trajectory(times=times[None], q=motion[None], dq=speeds[None]))
    folder = tmp_path_factory.mktemp("dynamics") / "log"
    bag, numbers = BagFolder(folder, {}), dict.fromkeys(TYPES, 0)
    for name, kind in TYPES.items():
        bag.add_topic(Topic(name=name, type=kind))

    def add(topic: str, stamp: int, message: Any) -> None:
        bag.add(topic, numbers[topic], stamp, stamp, bytes(serialize_message(message)))
        numbers[topic] += 1

    for k in range(len(motion) - 2):
        stamp = 10**9 + round(k * 1e9 / 60)
        told = JointTrajectoryControllerState(joint_names=list(ROBOT.joint_names))
        told.header.stamp = to_stamp(stamp)
        told.reference = JointTrajectoryPoint(
            positions=motion[k].tolist(), velocities=speeds[k].tolist()
        )
        add(STATE, stamp, told)
        q, dq = (part[0] for part in arm.joint_state())
        add(JOINTS, stamp, joint_state_message(ROBOT.joint_names, q, dq, stamp))
        arm.step()
    bag.finish()
    return folder


def test_a_log_tells_the_numbers_of_its_arm(
    log: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "so101-dynamics.yaml"
    argv = ["calibrate", "dynamics", str(log), "--robot", "so101", "--out", str(out)]
    width = str(SimulatedArm("reach", "so101").task.grip_width)
    assert main([*argv, "--width", width, "--numbers", "kp", "payload/mass"]) == 0
    printed = capsys.readouterr().out
    assert "kp: 0.8" in printed and "payload/mass: 0.1" in printed
    assert f"train with --dynamics {out}" in printed
    told = read_dynamics(out)
    for name, true in TRUE.items():
        assert abs(told.numbers[name][0] - true) < 0.05 * true
    assert out.with_suffix(".html").is_file()
    assert len(list(tmp_path.glob("*.png"))) == 3


def test_the_gap_is_told_and_closed_by_the_numbers(
    log: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    width = str(SimulatedArm("reach", "so101").task.grip_width)
    gap = ["calibrate", "gap", str(log), "--robot", "so101", "--width", width,
           "--limit-mrad", "0.05"]  # fmt: skip
    assert main([*gap, "--out", str(tmp_path / "gap.yaml")]) == 1  # not small
    printed = capsys.readouterr().out
    assert "What alone would explain most of it: a payload" in printed
    assert "next: sim2arm calibrate dynamics" in printed
    assert "No delay is told" in printed  # 9 s
    numbers = tmp_path / "so101-dynamics.yaml"
    argv = ["calibrate", "dynamics", str(log), "--robot", "so101", "--out", str(numbers)]
    assert main([*argv, "--width", width, "--numbers", "kp", "payload/mass"]) == 0
    capsys.readouterr()
    closed = tmp_path / "closed.yaml"
    assert main([*gap, "--dynamics", str(numbers), "--out", str(closed)]) == 0
    before, after = (
        read_record(tmp_path / f"{name}.yaml").value("open_loop") for name in ("gap", "closed")
    )
    assert after.max() < 0.1 * before.max()
    assert main([*gap, "--dynamics", str(tmp_path / "gap.yaml"), "--out", str(closed)]) == 2


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (("--held-out", "0.9"), "--held-out: expected above 0 to below 0.8"),
        (("--limit-mrad", "0"), "--limit-mrad: expected more than 0"),
        (("--numbers", "nothing"), "expected some of armature"),
        (("--controller-topic", "/x"), "/x is not in the log. Topics: /joint_states"),
        (("--controller-topic", JOINTS), "expected what a controller is told"),
        (("--robot", "fr3"), "fr3_joint1"),
    ],
)
def test_bad_input_is_one_line(
    log: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], options: Any, message: str
) -> None:
    argv = [
        "calibrate",
        "dynamics",
        str(log),
        "--robot",
        "so101",
        "--out",
        str(tmp_path / "x.yaml"),
    ]
    assert main([*argv, *options]) == 2
    error = capsys.readouterr().err
    assert message in error and error.count("\n") == 1


def test_excitation_is_a_policy_that_begins_where_the_arm_stands(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "excite"
    argv = ["calibrate", "excitation", "--robot", "so101", "--out", str(out), "--how.seconds", "9",
            "--how.tries", "2"]  # fmt: skip
    assert main(argv) == 0
    assert "then: sim2arm calibrate dynamics LOG" in capsys.readouterr().out
    policy = OnnxPolicy(out)
    contract = policy.contract
    assert contract.action.kind == "joint_position" and contract.robot == "so101"
    assert [spec.name for spec in contract.inputs] == ["joint_position"]
    motion = make_excitation(ROBOT, 1 / 60, ExcitationCfg(seconds=9.0, tries=2))
    home = np.asarray(ROBOT.home)
    start = home + 0.05
    far = {"joint_position": (home + np.eye(len(home))[1] * 0.11)[None].astype(np.float32)}
    with pytest.raises(ValueError, match="finite"):
        OnnxPolicy(out).act(far)
    for k in range(len(motion) + 5):
        seen = {"joint_position": (start if k == 0 else home)[None].astype(np.float32)}
        action = policy.act(seen)
        wanted = start + motion[min(k, len(motion) - 1)]
        np.testing.assert_allclose(action[0, 0], wanted, atol=1e-5)
    assert main(argv) == 2  # never over another bundle
    for wrong in (["--robot", "nobody"], ["--control-hz", "0"], ["--table-height", "3"]):
        assert main(["calibrate", "excitation", *wrong, "--out", str(tmp_path / "y")]) == 2
