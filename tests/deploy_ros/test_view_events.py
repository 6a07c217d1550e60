# pyright: standard, reportMissingModuleSource=false
"""Views of a board from a raw log: pictures and joint states by their own stamps."""

from __future__ import annotations

import contextlib
import threading
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from sim2arm_ros.dds import install

install()

import rclpy  # noqa: E402
from rclpy.context import Context  # noqa: E402
from rclpy.node import Node  # noqa: E402
from rclpy.serialization import serialize_message  # noqa: E402
from sensor_msgs.msg import Image, JointState  # noqa: E402

from sim2arm.calibration.board import BoardCfg, BoardFinder  # noqa: E402
from sim2arm.calibration.still_views import StillViews  # noqa: E402
from sim2arm.calibration.view_folder import TABLE, read_table  # noqa: E402
from sim2arm.cli.main import main  # noqa: E402
from sim2arm.core.robots_franka import FR3  # noqa: E402
from sim2arm_ros import view_events  # noqa: E402
from sim2arm_ros.bag.description import Topic  # noqa: E402
from sim2arm_ros.bag.folder import BagFolder  # noqa: E402
from sim2arm_ros.bag.reader import Log  # noqa: E402
from sim2arm_ros.convert import joint_state_message  # noqa: E402
from sim2arm_ros.convert_pictures import image_message  # noqa: E402
from sim2arm_ros.launcher import private_domain  # noqa: E402
from sim2arm_ros.view_events import ViewTopics, live_events, log_events, picture_of  # noqa: E402

BOARD = BoardCfg(columns=5, rows=4, square_mm=30.0, marker_mm=21.0, dictionary="4x4_50")
OPTIONS = ["--board.columns", "5", "--board.rows", "4", "--board.square-mm", "30",
           "--board.marker-mm", "21", "--board.dictionary", "4x4_50"]  # fmt: skip
IMAGES, JOINTS = "/wrist/image_raw", "/joint_states"
MS = 1_000_000
PLACES = (30, 90, 140)


def write_log(folder: Path, *, bad: bool = False) -> Path:
    """Write a log: the board at three places, 0.8 s each, while the arm stands at three."""
    bag = BagFolder(folder, {})
    bag.add_topic(Topic(name=IMAGES, type="sensor_msgs/msg/Image"))
    bag.add_topic(Topic(name=JOINTS, type="sensor_msgs/msg/JointState"))
    numbers = {IMAGES: 0, JOINTS: 0}

    def add(topic: str, ms: int, message: Any) -> None:
        stamp = (1000 + ms) * MS
        bag.add(topic, numbers[topic], stamp, stamp, bytes(serialize_message(message)))
        numbers[topic] += 1

    for ms in range(0, 2700, 20):
        place = min(ms // 900, 2)
        q = np.array(FR3.home) + 0.1 * place
        names = ("other", *FR3.joint_names[:-1]) if bad else FR3.joint_names
        add(JOINTS, ms, joint_state_message(names, q, 0.0 * q, (1000 + ms) * MS))
        if ms % 100 == 0:
            grey = np.full((240, 320), 200, np.uint8)
            x = PLACES[place]
            grey[40:168, x : x + 160] = BOARD.picture(32)
            colours = np.stack([grey, grey // 2, grey // 2], axis=-1)[..., ::-1]
            add(IMAGES, ms, image_message(np.ascontiguousarray(colours), "bgr8", "eye",
                                          (1000 + ms) * MS))  # fmt: skip
    bag.finish()
    return folder


def test_views_of_a_log_are_what_hand_eye_reads(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    log, out = write_log(tmp_path / "log"), tmp_path / "views"
    argv = ["calibrate", "views", str(out), "--log", str(log), "--image-topic", IMAGES, *OPTIONS]
    assert main([*argv, "--joints-topic", JOINTS]) == 0
    table = read_table(out, FR3)
    assert table.files == ("view-000.png", "view-001.png", "view-002.png")
    assert table.arm.q is not None
    home = np.array(FR3.home)
    np.testing.assert_allclose(table.arm.q, [home, home + 0.1, home + 0.2], atol=1e-8)
    printed = capsys.readouterr().out
    assert "3 of 40 views; next: tilt the board" in printed
    assert "next: sim2arm calibrate hand-eye" in printed
    assert main([*argv, "--joints-topic", JOINTS]) == 2  # never over other pictures
    assert (out / TABLE).is_file()


def test_colours_are_in_order(tmp_path: Path) -> None:
    with Log(write_log(tmp_path / "log")) as log:
        topics = ViewTopics(image=IMAGES, joints=JOINTS, names=FR3.joint_names)
        events = list(log_events(log, topics))
    pictures = [e.picture for e in events if e.picture is not None]
    assert len(pictures) == 27 and len(events) == 27 + 135
    assert pictures[0][0, 0].tolist() == [200, 100, 100]  # red is red
    assert [e.stamp_ns for e in events] == sorted(e.stamp_ns for e in events)
    depth = image_message(np.zeros((2, 2), np.float32), "32FC1", "eye", 0)
    with pytest.raises(ValueError, match="expected rgb8, bgr8 or mono8"):
        picture_of(depth)


def test_what_is_not_in_the_log_is_said(tmp_path: Path) -> None:
    with Log(write_log(tmp_path / "log", bad=True)) as log:
        with pytest.raises(ValueError, match=r"/eye is not in the log. Topics: /joint_states"):
            list(log_events(log, ViewTopics(image="/eye")))
        topics = ViewTopics(image=IMAGES, joints=JOINTS, names=FR3.joint_names)
        with pytest.raises(ValueError, match="joint 'fr3_joint7' is missing"):
            list(log_events(log, topics))


def test_a_log_without_a_board_is_one_line(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    log = write_log(tmp_path / "log")
    argv = ["calibrate", "views", str(tmp_path / "v"), "--log", str(log), "--image-topic", IMAGES]
    assert main(argv) == 2  # another board
    assert "no view was taken: 0 corners of the board are seen" in capsys.readouterr().err


def test_views_come_from_topics_as_from_a_log(monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in private_domain().items():
        monkeypatch.setenv(name, value)
    topics = ViewTopics(image=IMAGES, joints=JOINTS, names=FR3.joint_names)
    views, over = StillViews(BoardFinder(BOARD), joints=True), threading.Event()
    grey = np.full((240, 320), 200, np.uint8)
    grey[40:168, 30:190] = BOARD.picture(32)
    colours = np.repeat(grey[:, :, None], 3, axis=2)

    context = Context()
    rclpy.init(args=[], context=context)
    node = Node("eye", context=context)

    def send() -> None:
        images = node.create_publisher(Image, IMAGES, 10)
        states = node.create_publisher(JointState, JOINTS, 100)
        while not over.wait(0.02):
            now = time.time_ns()
            states.publish(joint_state_message(FR3.joint_names, np.array(FR3.home),
                                               np.zeros(7), now))  # fmt: skip
            images.publish(image_message(colours, "rgb8", "eye", now))

    sender = threading.Thread(target=send, daemon=True)
    sender.start()
    with contextlib.closing(live_events(topics)) as events:
        for event in events:
            if event.picture is not None:
                views.see(event.stamp_ns, event.picture)
            elif event.q is not None:
                views.hear(event.stamp_ns, event.q)
            if views.taken:
                break
    over.set()
    sender.join()
    node.destroy_node()
    rclpy.try_shutdown(context=context)
    (taken,) = views.taken
    assert taken.q is not None
    np.testing.assert_allclose(taken.q, FR3.home, atol=1e-12)
    np.testing.assert_array_equal(taken.picture, colours)


def test_topics_that_stay_silent_are_named(monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in private_domain().items():
        monkeypatch.setenv(name, value)
    monkeypatch.setattr(view_events, "PATIENCE_S", 0.3)
    with pytest.raises(ValueError, match=r"/wrist/image_raw: nothing came for 0\.3 s"):
        next(live_events(ViewTopics(image=IMAGES)))
