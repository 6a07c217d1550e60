# pyright: standard, reportMissingModuleSource=false
"""sensor_node: each reading once with its true stamp; files that are wrong are one line."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from sim2arm.core.camera_info import write_camera_info
from sim2arm.core.driver_stage import DriverStage, intrinsics_of_view, stage_intrinsics
from sim2arm.core.plain import dump_yaml, to_plain
from sim2arm.core.spec import ArraySpec, Reading, StaleReading
from sim2arm.sensors.realsense_cfg import RealSenseCfg
from sim2arm.sensors.replay import ReplayCfg, write_recording
from sim2arm.sensors.uvc import UvcCfg
from sim2arm_ros.dds import context as _needs_the_dds_extra  # noqa: F401
from sim2arm_ros.dds import install

install()

import rclpy  # noqa: E402
from diagnostic_msgs.msg import DiagnosticStatus  # noqa: E402
from rclpy.executors import SingleThreadedExecutor  # noqa: E402

from sim2arm_ros import sensor_node  # noqa: E402
from sim2arm_ros.convert import status_values, to_ns  # noqa: E402
from sim2arm_ros.convert_pictures import image_array  # noqa: E402
from sim2arm_ros.launcher import private_domain  # noqa: E402
from sim2arm_ros.sensor_file import (  # noqa: E402
    RecordingCfg,
    SensorFile,
    open_file,
    read_sensor_file,
)
from sim2arm_ros.sensor_node import SensorNode  # noqa: E402

STAGE = DriverStage(width=6, height=4, out_width=3, out_height=2)


class Scripted:
    """A sensor that returns, or raises, what the test says."""

    def __init__(self, clock: Any = "ros") -> None:
        spec = ArraySpec(
            name="touch_left_rgb", kind="sensor", shape=(2, 3, 3), dtype="uint8", rate_hz=25.0,
            clock=clock,
        )  # fmt: skip
        self.spec = {spec.name: spec}
        self.next: Reading | Exception = StaleReading("nothing yet")
        self.closed = False

    def show(self, sequence: int, stamp_ns: int, receipt_ns: int) -> np.ndarray:
        """Have a picture from now on."""
        picture = np.full((2, 3, 3), sequence, np.uint8)
        self.next = Reading(
            arrays={"touch_left_rgb": picture}, sequence=sequence, stamp_ns=stamp_ns,
            receipt_ns=receipt_ns,
        )  # fmt: skip
        return picture

    def read(self) -> Reading:
        if isinstance(self.next, Exception):
            raise self.next
        return self.next

    def close(self) -> None:
        self.closed = True


@pytest.fixture
def make(monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[..., tuple[SensorNode, list[Any]]]]:
    """Makes nodes in a domain of their own, and what they publish."""
    for name, value in private_domain().items():
        monkeypatch.setenv(name, value)
    rclpy.init(args=[])
    made: list[SensorNode] = []

    def make_node(sensor: Any, **more: Any) -> tuple[SensorNode, list[Any]]:
        node = SensorNode(lambda _: (sensor, more))
        made.append(node)
        sent: list[Any] = []
        for publisher in (*node._topics._images.values(), *node._topics._infos.values()):
            monkeypatch.setattr(publisher, "publish", sent.append)
            monkeypatch.setattr(publisher, "get_subscription_count", lambda: 1)
        node.told = []  # type: ignore[attr-defined]
        monkeypatch.setattr(node._diagnostics, "publish", node.told.append)  # type: ignore[attr-defined]
        return node, sent

    yield make_node
    for node in made:
        node.destroy_node()
    rclpy.try_shutdown()


def test_each_reading_is_published_once_with_its_stamp(make: Any) -> None:
    sensor = Scripted()
    node, sent = make(sensor)
    node.on_timer()
    assert sent == []  # stale: silent
    picture = sensor.show(1, 5_000_000_007, time.monotonic_ns())
    node.on_timer()
    node.on_timer()
    (message,) = sent
    assert to_ns(message.header.stamp) == 5_000_000_007
    np.testing.assert_array_equal(image_array(message), picture)
    sensor.show(2, 5_040_000_007, time.monotonic_ns())
    node.on_timer()
    assert len(sent) == 2
    node.destroy_node()
    assert sensor.closed


def test_a_live_camera_is_published_when_it_has_news(make: Any) -> None:
    sensor: Any = Scripted()
    sensor.thread = SimpleNamespace(on_news=None)
    node, sent = make(sensor)
    for timer in list(node.timers):  # nothing but the news
        node.destroy_timer(timer)
    executor = SingleThreadedExecutor()
    executor.add_node(node)
    sensor.show(1, 7, time.monotonic_ns())
    executor.spin_once(timeout_sec=0.01)
    assert sent == []
    threading.Thread(target=sensor.thread.on_news).start()
    executor.spin_once(timeout_sec=5.0)
    assert len(sent) == 1
    node.destroy_node()
    sensor.thread.on_news()  # a camera whose thread ends later wakes nobody


def test_without_a_measured_offset_the_stamp_is_the_time_of_arrival(make: Any) -> None:
    sensor = Scripted(clock="receipt")
    node, sent = make(sensor)
    sensor.show(1, 123, time.monotonic_ns() - 40_000_000)
    node.on_timer()
    age = node.now_ns() - to_ns(sent[0].header.stamp)
    assert 40_000_000 <= age < 140_000_000


def test_cameras_tell_their_intrinsics_with_each_picture(make: Any) -> None:
    sensor = Scripted()
    node, sent = make(sensor, touch_left_rgb=intrinsics_of_view(3, 2, 60.0))
    sensor.show(1, 7, time.monotonic_ns())
    node.on_timer()
    assert [type(message).__name__ for message in sent] == ["Image", "CameraInfo"]
    assert {to_ns(message.header.stamp) for message in sent} == {7}


def test_a_device_that_never_will_ends_the_node(make: Any) -> None:
    sensor = Scripted()
    node, _ = make(sensor)
    sensor.next = RuntimeError("expected 640 x 480 pixels, the device gives 320 x 240")
    with pytest.raises(ValueError, match="the device gives 320 x 240"):
        node.on_timer()


# -- how it does -------------------------------------------------------------------------------


def test_diagnostics_say_how_the_sensor_does(make: Any) -> None:
    sensor = Scripted()
    node, _ = make(sensor)
    node.on_timer()
    node.on_diagnostics()
    (status,) = node.told[-1].status
    assert status.level == DiagnosticStatus.STALE
    assert (status.name, status.message) == (
        "sensor: touch_left_rgb", "nothing received yet: nothing yet"
    )  # fmt: skip
    now = node.now_ns()
    sensor.show(1, now, time.monotonic_ns())
    node.on_timer()
    sensor.next = StaleReading("the camera was unplugged")
    node.on_timer()
    node.on_diagnostics()
    (status,) = node.told[-1].status
    values = status_values(status)
    assert float(values["age [s]"]) < 1.0 and values["camera_info"] == "no calibration"
    assert abs(to_ns(node.told[-1].header.stamp) - now) < 10**9


def test_what_compresses_is_a_parameter(make: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    rclpy.try_shutdown()
    rclpy.init(args=["--ros-args", "-p", "jpeg_quality:=101"])
    with pytest.raises(ValueError, match="jpeg_quality: expected 1 to 100, got 101"):
        make(Scripted())
    monkeypatch.setattr(sensor_node, "can_compress", lambda: False)
    rclpy.try_shutdown()
    rclpy.init(args=[])
    node, _ = make(Scripted())
    assert node._topics._small == {}  # raw images alone, and it says so


def test_a_missing_library_is_one_line(make: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    node, _ = make(Scripted())
    monkeypatch.setitem(sys.modules, "cv2", None)
    monkeypatch.delitem(sys.modules, "sim2arm_ros.sensor_file")
    for name in ("uvc", "uvc_cfg", "replay"):
        monkeypatch.delitem(sys.modules, f"sim2arm.sensors.{name}")
    with pytest.raises(ValueError, match=r"needs cv2, .*pip install 'sim2arm\[vision\]'"):
        sensor_node.open_named(node)


# -- files -------------------------------------------------------------------------------------

CAMERA = UvcCfg(device="no such camera", width=6, height=4, rate_hz=30.0, stage=STAGE)

REALSENSE = RealSenseCfg(name="scene", width=6, height=4, rate_hz=30, stage=STAGE,
                         recording="/nowhere.db3")  # fmt: skip


def write(path: Path, file: SensorFile) -> str:
    path.write_text(dump_yaml(to_plain(file)))
    return str(path)


def test_a_recording_is_opened_on_the_clock_of_the_node(make: Any, tmp_path: Path) -> None:
    pictures = [np.full((4, 6, 3), k, np.uint8) for k in range(3)]
    write_recording(tmp_path / "recording", pictures, [0, 10**9, 2 * 10**9])
    cfg = RecordingCfg(
        path=str(tmp_path / "recording"), cfg=ReplayCfg(stage=STAGE, name="touch_left_rgb")
    )
    lens = intrinsics_of_view(6, 4, 60.0)
    write_camera_info(tmp_path / "lens.yaml", "left", lens)
    path = write(tmp_path / "sensor.yaml", SensorFile(recording=cfg, camera_info="lens.yaml"))
    node, _ = make(Scripted())
    node.declare_parameter = lambda *_: None
    node.get_parameter = lambda _: type("Parameter", (), {"value": path})()
    before = node.now_ns()
    sensor, intrinsics = open_file(node)
    assert intrinsics == {"touch_left_rgb": stage_intrinsics(STAGE, lens)}
    reading = sensor.read()
    assert before <= reading.stamp_ns <= node.now_ns()
    assert reading.arrays["touch_left_rgb"].shape == (2, 3, 3)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (None, "cannot be read: No such file"),
        ("{}", "expected either camera, realsense or recording, got none of them"),
        ("realsense: {name: scene}", "realsense.width: missing key"),
        ("camera: {device: x}", "camera.width: missing key"),
        ("recording: {path: x, cfg: {stage: {}}}", "recording.cfg.stage"),
        (
            "camera: {device: x, width: 6, height: 4, rate_hz: 30.0, jpeg_scale: true, "
            "stage: {width: 6, height: 4, out_width: 3, out_height: 2}}",
            "camera.jpeg_scale: expected one of [1, 2, 4, 8], got True",
        ),
        ("sensr: 1", "sensr: unknown key"),
        ("a: [", "not valid YAML"),
    ],
)
def test_files_that_are_wrong(tmp_path: Path, text: str | None, said: str) -> None:
    path = tmp_path / "sensor.yaml"
    if text is not None:
        path.write_text(text)
    with pytest.raises(ValueError, match=r"sensor: .*sensor\.yaml: ") as error:
        read_sensor_file(str(path))
    assert said in str(error.value) and "\n" not in str(error.value)


def test_no_file_is_refused() -> None:
    with pytest.raises(ValueError, match="parameter sensor: expected a YAML file"):
        read_sensor_file("")


def test_both_at_once_is_refused(tmp_path: Path) -> None:
    recording = RecordingCfg(path="x", cfg=ReplayCfg(stage=STAGE))
    with pytest.raises(ValueError, match="recording, got camera and recording"):
        SensorFile(camera=CAMERA, recording=recording)


@pytest.mark.parametrize(
    ("file", "said"),
    [
        (SensorFile(recording=RecordingCfg(path="/nowhere", cfg=ReplayCfg(stage=STAGE))),
         "/nowhere: no such recording"),
        (SensorFile(camera=CAMERA), "no such camera"),
        (SensorFile(realsense=REALSENSE), "no such recording"),
        (SensorFile(camera=CAMERA, camera_info="none.yaml"), "none.yaml: cannot be read: No such"),
    ],
)  # fmt: skip
def test_a_sensor_that_is_not_there_is_one_line(
    make: Any, tmp_path: Path, file: SensorFile, said: str
) -> None:
    path = write(tmp_path / "sensor.yaml", file)
    node, _ = make(Scripted())
    node.declare_parameter = lambda *_: None
    node.get_parameter = lambda _: type("Parameter", (), {"value": path})()
    with pytest.raises(ValueError, match=f"sensor: .*{said}") as error:
        open_file(node)
    assert "\n" not in str(error.value)


@pytest.mark.parametrize(
    ("file", "said"),
    [
        (SensorFile(camera=CAMERA), "no camera matches 'no such camera': "),
        (SensorFile(realsense=replace(REALSENSE, recording="", serial="0")),
         "no RealSense camera with the serial number 0: "),
    ],
)  # fmt: skip
def test_the_process_ends_with_one_line_and_code_2(
    tmp_path: Path, file: SensorFile, said: str
) -> None:
    path = write(tmp_path / "sensor.yaml", file)
    done = subprocess.run(
        [sys.executable, "-m", "sim2arm_ros.executables", "sensor_node", "--ros-args",
         "-p", f"sensor:={path}"],
        capture_output=True, text=True, timeout=60, env={**os.environ, **private_domain()},
    )  # fmt: skip
    assert done.returncode == 2
    (line,) = done.stderr.splitlines()
    assert said in line and str(path) in line
