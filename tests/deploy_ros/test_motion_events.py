# pyright: standard, reportMissingModuleSource=false
"""Latency of a camera, a gel and an arm: from a log, from topics, into training and report."""

from __future__ import annotations

import threading
import time
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest

from sim2arm_ros.dds import install

install()

import rclpy  # noqa: E402
from control_msgs.msg import JointTrajectoryControllerState  # noqa: E402
from rclpy.context import Context  # noqa: E402
from rclpy.node import Node  # noqa: E402
from rclpy.serialization import serialize_message  # noqa: E402
from sensor_msgs.msg import Image, JointState  # noqa: E402
from trajectory_msgs.msg import JointTrajectoryPoint  # noqa: E402

from sim2arm.calibration.latency import read_device_latency  # noqa: E402
from sim2arm.cli.calibrated import calibrated  # noqa: E402
from sim2arm.cli.cameras import CAMERAS  # noqa: E402
from sim2arm.cli.main import main  # noqa: E402
from sim2arm.core.calibration_file import read_record  # noqa: E402
from sim2arm.core.contract import TrainedRange  # noqa: E402
from sim2arm.core.robots_franka import FR3  # noqa: E402
from sim2arm_ros import motion_events  # noqa: E402
from sim2arm_ros.bag.description import Topic  # noqa: E402
from sim2arm_ros.bag.folder import BagFolder  # noqa: E402
from sim2arm_ros.camera_calibrations import read_calibrations  # noqa: E402
from sim2arm_ros.convert import joint_state_message, to_stamp  # noqa: E402
from sim2arm_ros.convert_pictures import image_message  # noqa: E402
from sim2arm_ros.launcher import private_domain  # noqa: E402
from sim2arm_ros.motion_events import MotionTopics, live_motion  # noqa: E402

MS, SECONDS = 1_000_000, 16.0
TRUE, WAY = 0.047, 0.012
"""Delay of the stamps, and from the stamp to the arrival [s]."""
STATE = "/joint_trajectory_controller/controller_state"
GRIPPER = FR3.gripper.joint_names


def swing(t: float) -> np.ndarray:
    """Joints of an FR3 [rad] at a time [s]."""
    q = np.array(FR3.home)
    q[5] += 0.12 * np.sin(2 * np.pi * 0.31 * t) + 0.06 * np.sin(2 * np.pi * 0.83 * t + 1.0)
    q[6] += 0.15 * np.sin(2 * np.pi * 0.23 * t + 2.0) + 0.05 * np.sin(2 * np.pi * 0.71 * t)
    return q


def opening(t: float) -> float:
    """A finger [m]: closes every 1.3 s or so."""
    return 0.02 + 0.018 * np.sin(2 * np.pi * 0.7 * t + 1.5 * np.sin(0.5 * t))


def wall() -> np.ndarray:
    noise = np.random.default_rng(3).uniform(0, 255, (40, 60)).astype(np.float32)
    return cv2.resize(noise, (900, 600), interpolation=cv2.INTER_CUBIC).clip(0, 255)


def view(background: np.ndarray, t: float) -> np.ndarray:
    """What the camera of an arm sees (120, 160, 3)."""
    q = swing(t) - np.array(FR3.home)
    M = np.array([[1.0, 0.0, -(300 + 300 * q[6])], [0.0, 1.0, -(200 + 300 * q[5])]])
    grey = cv2.warpAffine(background, M, (160, 120), flags=cv2.INTER_LINEAR)
    return np.repeat(grey.astype(np.uint8)[..., None], 3, axis=2)


def write_log(folder: Path, *, ahead: float = 0.0) -> Path:
    """Write a log of an arm that swings; `ahead` sets the camera's clock ahead [s]."""
    bag = BagFolder(folder, {})
    topics = {
        "/joint_states": "sensor_msgs/msg/JointState", "/eye": "sensor_msgs/msg/Image",
        "/gel": "sensor_msgs/msg/Image",
        STATE: "control_msgs/msg/JointTrajectoryControllerState",
    }  # fmt: skip
    for name, kind in topics.items():
        bag.add_topic(Topic(name=name, type=kind))
    numbers, background = dict.fromkeys(topics, 0), wall()
    rows: list[tuple[int, str, Any]] = []

    def add(topic: str, ms: float, receipt_ms: float, make: Any, *args: Any) -> None:
        rows.append((round((1000 + receipt_ms) * MS), topic, make(*args, round((1000 + ms) * MS))))

    def state(q: np.ndarray, stamp: int) -> Any:
        message = JointTrajectoryControllerState(joint_names=list(FR3.joint_names))
        message.header.stamp = to_stamp(stamp)
        message.reference = JointTrajectoryPoint(positions=q.tolist(), velocities=[0.0] * 7)
        return message

    names = (*FR3.joint_names, *GRIPPER)
    for ms in range(0, int(1000 * SECONDS), 10):
        t = ms / 1000
        q = np.concatenate([swing(t), np.full(len(GRIPPER), opening(t))])
        add("/joint_states", ms, ms + 1, lambda q, s: joint_state_message(names, q, 0 * q, s), q)
        add(STATE, ms, ms + 1, state, swing(t + 0.02))
    for ms in np.arange(200, 1000 * SECONDS - 200, 1000 / 30):
        t = ms / 1000 - TRUE
        way = 1000 * WAY
        add("/eye", ms + 1e3 * ahead, ms + way,
            lambda p, s: image_message(p, "rgb8", "eye", s), view(background, t))  # fmt: skip
        field = np.zeros((2, 7, 3), np.float32)
        field[..., 2] = max(0.0, 0.02 - opening(t)) * 100
        add("/gel", ms, ms + way, lambda p, s: image_message(p, "32FC3", "gel", s), field)
    for receipt, topic, message in sorted(rows, key=lambda row: row[0]):
        bag.add(topic, numbers[topic], receipt, receipt, bytes(serialize_message(message)))
        numbers[topic] += 1
    bag.finish()
    return folder


@pytest.fixture(scope="module")
def log(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_log(tmp_path_factory.mktemp("motion") / "log")


def calibrate(log: Path, out: Path, *options: str) -> int:
    return main(["calibrate", "latency", str(log), "--out", str(out), *options])


def test_a_camera_is_as_old_as_it_is(
    log: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "wrist-latency.yaml"
    assert calibrate(log, out, "--seen", "/eye", "--name", "wrist") == 0
    printed = capsys.readouterr().out
    assert "wrist: 4" in printed and "ms (95 %) behind those of the joint states" in printed
    assert "messages take 12.00 ms more to arrive" in printed
    told = read_device_latency(out)
    assert abs(told.middle - TRUE - WAY) < 2e-3
    assert told.low < told.middle < told.high < told.low + 8e-3
    assert out.with_suffix(".html").is_file()
    assert len(read_record(out).inputs) >= 1  # the files of the log, with their hashes


def test_it_becomes_a_camera_of_training_and_a_line_of_the_report(
    log: Path, tmp_path: Path
) -> None:
    out = tmp_path / "wrist-latency.yaml"
    assert calibrate(log, out, "--seen", "/eye", "--name", "wrist") == 0
    told = read_device_latency(out)
    cameras = calibrated(CAMERAS["wrist"], [out], FR3)
    (sight,) = [s for s in cameras.vision.sights if s.camera.name == "wrist"]
    assert sight.latency == (told.low, told.high)
    found = read_calibrations([out])
    items = {}
    for low, high in ((0.02, 0.1), (0.0, 0.02)):
        trained = TrainedRange(name="latency/camera_wrist", unit="s", low=low, high=high)
        items[high] = motion_items(found, trained)
    assert [i.ok for i in items[0.1]] == [True, True]
    assert [i.ok for i in items[0.02]] == [False, False]
    assert items[0.1][0].name == "camera wrist: latency, median"


def motion_items(found: Any, trained: TrainedRange) -> list[Any]:
    from dataclasses import replace

    from sim2arm_ros.camera_calibrations import _latency_items

    from .swinging import swinging_contract

    contract = replace(swinging_contract(), ranges=(trained,))
    return _latency_items(contract, found.latencies["wrist"])


def test_a_gel_and_an_arm_are_as_old_as_they_are(log: Path, tmp_path: Path) -> None:
    out = tmp_path / "gel.yaml"
    assert calibrate(log, out, "--of", "touch", "--seen", "/gel") == 0
    assert abs(read_device_latency(out).middle - TRUE - WAY) < 2e-3
    out = tmp_path / "arm.yaml"
    assert calibrate(log, out, "--of", "command") == 0  # told 20 ms ahead, heard a ms later
    assert abs(read_device_latency(out).middle - 0.021) < 2e-3


def test_clocks_that_differ_are_said(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    log = write_log(tmp_path / "log", ahead=0.1)
    assert calibrate(log, tmp_path / "x.yaml", "--seen", "/eye") == 1  # not accepted
    printed = capsys.readouterr().out
    assert "clocks that differ" in printed
    assert "clocks differ, so that their way is left out" in printed
    assert "camera: 14" in printed  # 47 ms and the clock


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ((), "--seen: expected the topic of the camera or gel"),
        (("--seen", "/nothing"), "/nothing is not in the log. Topics: /eye, /gel"),
        (("--seen", "/joint_states"), "expected rgb8|picture|joint"),
        (("--seen", "/eye", "--joints-topic", "/eye"), "fr3_joint1|expected|shape"),
        (("--seen", "/eye", "--robot", "nobody"), "nobody"),
        (("--seen", "/eye", "--how.low", "0.3"), "the delay lies at the end of 0.3 to 0.4 s"),
        (("--seen", "/eye", "--seconds", "0"), "--seconds: expected more than 0"),
    ],
)
def test_bad_input_is_one_line(
    log: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], options: Any, message: str
) -> None:
    assert calibrate(log, tmp_path / "x.yaml", *options) == 2
    error = capsys.readouterr().err
    assert error.count("\n") == 1
    assert any(word in error for word in message.split("|")), error
    assert not (tmp_path / "x.yaml").exists()


def test_topics_are_heard_as_a_log_is(monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in private_domain().items():
        monkeypatch.setenv(name, value)
    over, background = threading.Event(), wall()
    context = Context()
    rclpy.init(args=[], context=context)
    node = Node("arm", context=context)

    def send() -> None:
        images = node.create_publisher(Image, "/eye", 10)
        states = node.create_publisher(JointState, "/joint_states", 100)
        while not over.wait(0.02):
            now = time.time_ns()
            q = swing(now / 1e9 % 100)
            states.publish(joint_state_message(FR3.joint_names, q, 0 * q, now))
            images.publish(image_message(view(background, 0.0), "rgb8", "eye", now))

    sender = threading.Thread(target=send, daemon=True)
    sender.start()
    topics = MotionTopics(moved="/joint_states", seen="/eye", names=FR3.joint_names)
    kinds = (motion_events.JOINT_STATE, motion_events.IMAGE)
    told = list(live_motion(topics, kinds, 1.0))
    over.set()
    sender.join()
    node.destroy_node()
    rclpy.try_shutdown(context=context)
    states = [one for one in told if one.moved]
    pictures = [one for one in told if not one.moved]
    assert len(states) > 10 and len(pictures) > 10
    assert states[0].values.shape == (7,) and pictures[0].values.shape == (120, 160, 3)
    assert all(-1e-3 < (one.receipt_ns - one.stamp_ns) / 1e9 < 1.0 for one in told)
