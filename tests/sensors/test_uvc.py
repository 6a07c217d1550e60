"""What cameras do wrong: duplicates, gaps, broken pictures, stalls, unplugging, wrong settings."""

# pyright: standard

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest

from sim2arm.core import plain
from sim2arm.core.driver_stage import DriverStage, intrinsics_of_view, run_stage
from sim2arm.core.spec import StaleReading
from sim2arm.sensors.devices import find_camera
from sim2arm.sensors.tactile import TACTILE_CAMERAS, tactile_cfg
from sim2arm.sensors.uvc import UvcCamera, UvcCfg
from tests.sensors.fakes import FakeClock, FakeDevice, picture, until

MS = 1_000_000
STAGE = DriverStage(width=64, height=48, out_width=32, out_height=24)
STAGE_LENS = intrinsics_of_view(32, 24, 60.0)
CFG = UvcCfg(
    device="camera", width=64, height=48, rate_hz=25.0, stage=STAGE, fourcc="YUYV", retry=0.01
)


class Rig:
    """A camera, its device and its clock."""

    def __init__(self, cfg: UvcCfg = CFG, *, jpeg: bool = False, stamped: bool = True) -> None:
        self.clock = FakeClock()
        self.device = FakeDevice(self.clock, (cfg.width, cfg.height), jpeg=jpeg)
        self.device.stamped = stamped
        self.camera = UvcCamera(
            cfg, open_capture=self.device.open, find=self.device.find, clocks=self.clock.clocks
        )

    def send(self, seed: int = 0, stamp_ns: int | None = None) -> None:
        """Send a picture and wait until it was taken, whatever it was taken for."""
        before = self.total
        self.device.push(picture(48, 64, seed), stamp_ns)
        until(lambda: self.total > before)

    @property
    def total(self) -> int:
        counters = self.camera.counters
        return counters.frames + counters.duplicates + counters.broken

    def close(self) -> None:
        self.device.unplug()
        self.camera.close()


@pytest.fixture
def rig() -> Iterator[Rig]:
    made = Rig()
    yield made
    made.close()


def test_the_newest_picture_is_read_and_the_others_are_not_decoded(rig: Rig) -> None:
    for seed in range(5):
        rig.clock.move(0.04)
        rig.send(seed)
    reading = rig.camera.read()
    assert reading.sequence == 5
    assert reading.arrays["tactile_rgb"][0, 0].tolist() == [200, 40, 0]
    assert rig.camera.counters.drops == 0


def test_stamps_are_the_drivers_on_the_wall_clock(rig: Rig) -> None:
    rig.send(stamp_ns=rig.clock.ns - 30 * MS)  # 30 ms from exposure to receipt
    reading = rig.camera.read()
    assert reading.stamp_ns == pytest.approx(rig.clock.ns + 10**12 - 30 * MS, abs=10)
    assert reading.receipt_ns == rig.clock.ns
    assert rig.camera.stamp_quality == "hardware"


def test_duplicates_and_drops_are_counted(rig: Rig) -> None:
    start = rig.clock.ns
    rig.clock.move(0.25)
    for k in (0, 1, 1, 2, 5, 6):  # 40 ms each: 1 twice, 3 and 4 never
        rig.send(k, start + 40 * MS * k)
    counters = rig.camera.counters
    assert (counters.frames, counters.duplicates, counters.drops, counters.broken) == (5, 1, 2, 0)
    rig.send(7, start + 40 * MS * 3)  # a stamp that goes back
    assert rig.camera.counters.broken == 1
    assert rig.camera.read().arrays["tactile_rgb"][0, 0, 1] == 60


def test_without_stamps_equal_bytes_are_duplicates() -> None:
    rig = Rig(replace(CFG, stamps="receipt"), stamped=False)
    for seed in (1, 1, 2):
        rig.clock.move(0.04)
        rig.send(seed)
    assert (rig.camera.counters.frames, rig.camera.counters.duplicates) == (2, 1)
    assert rig.camera.read().stamp_ns == rig.clock.ns and rig.camera.stamp_quality == "receipt"
    rig.close()


def test_a_driver_without_stamps_is_refused_where_they_are_asked_for() -> None:
    rig = Rig(stamped=False)
    for _ in range(10):
        rig.device.push(picture(48, 64, 0))
    with pytest.raises(RuntimeError, match=r"not of the steady clock: 0\.000 s at.*to receipt"):
        rig.camera.wait(5.0)
    rig.close()


def test_a_few_wrong_stamps_are_left_out(rig: Rig) -> None:
    for _ in range(3):
        rig.send(1, stamp_ns=5)
    rig.send(2)
    assert rig.camera.read().sequence == 1 and rig.camera.counters.broken == 3


def test_who_waits_hears_of_each_new_picture_and_of_a_fault(rig: Rig) -> None:
    heard: list[int] = []
    rig.camera.thread.on_news = lambda: heard.append(rig.camera.counters.frames)
    for seed in (1, 2):
        rig.clock.move(0.04)
        rig.send(seed)
    rig.send(2, stamp_ns=rig.clock.ns)  # the same again
    until(lambda: len(heard) >= 2)
    rig.camera.thread.give_up("no more")
    assert heard == [1, 2, 2]


def test_a_stall_is_stale_and_ends(rig: Rig) -> None:
    with pytest.raises(StaleReading, match="nothing was received yet"):
        rig.camera.wait(0.01)
    rig.send(1)
    rig.clock.move(0.3)
    with pytest.raises(StaleReading, match=r"tactile_rgb: the newest was received 0\.300 s ago"):
        rig.camera.read()
    rig.send(2)
    assert rig.camera.read().sequence == 2
    assert rig.device.opened == 1  # nobody unplugged it


def test_a_camera_that_was_unplugged_is_opened_again(rig: Rig) -> None:
    rig.send(1)
    rig.device.unplug()
    until(lambda: "no camera matches" in rig.camera.thread.why)
    rig.clock.move(1.0)
    with pytest.raises(StaleReading, match=r"allowed 0.2 s: no camera matches 'camera'"):
        rig.camera.read()
    rig.device.plug()
    until(lambda: rig.device.opened == 2)
    rig.send(2)
    reading, counters = rig.camera.read(), rig.camera.counters
    assert (reading.sequence, counters.reconnects) == (2, 1)
    assert counters.drops == 0  # nobody knows what it would have sent


def test_broken_pictures_are_left_out_and_many_open_the_device_again(rig: Rig) -> None:
    rig.send(1)
    for _ in range(3):
        rig.device.push(None)
    until(lambda: rig.camera.counters.broken == 3)
    rig.clock.move(0.04)
    rig.send(2)
    assert rig.camera.read().sequence == 2 and rig.device.opened == 1
    for _ in range(10):
        rig.device.push(None)
    until(lambda: rig.device.opened == 2)


def test_a_broken_jpeg_leaves_the_picture_before_it() -> None:
    stage = DriverStage(width=32, height=24, out_width=32, out_height=24)
    rig = Rig(replace(CFG, fourcc="MJPG", jpeg_scale=2, stage=stage), jpeg=True)
    rig.send(3)
    rig.clock.move(0.04)
    assert rig.camera.read().sequence == 1
    rig.device.push_raw(np.frombuffer(b"\xff\xd8 no picture", np.uint8)[None])
    until(lambda: rig.camera.counters.frames == 2)
    reading = rig.camera.read()
    assert reading.sequence == 1 and rig.camera.counters.broken == 1
    np.testing.assert_allclose(reading.arrays["tactile_rgb"][12, 4], [200, 30, 0], atol=3)
    rig.close()


def test_the_stream_is_asked_for_and_checked() -> None:
    rig = Rig(tactile_cfg("gelsight-mini"), jpeg=True)
    until(lambda: cv2.CAP_PROP_CONVERT_RGB in rig.device.settings)
    asked = rig.device.settings
    assert asked[cv2.CAP_PROP_FOURCC] == cv2.VideoWriter.fourcc(*"MJPG")
    assert asked[cv2.CAP_PROP_FPS] == 25.0 and asked[cv2.CAP_PROP_BUFFERSIZE] == 1
    assert asked[cv2.CAP_PROP_CONVERT_RGB] == 0.0  # the bytes of the JPEG picture
    rig.close()
    rig = Rig(replace(CFG, controls={"auto_exposure": 1.0, "exposure": 150.0}))
    until(lambda: rig.device.settings.get(cv2.CAP_PROP_EXPOSURE) == 150.0)
    rig.close()
    device = FakeDevice(FakeClock(), (1280, 720))
    camera = UvcCamera(CFG, open_capture=device.open, find=device.find)
    with pytest.raises(RuntimeError, match="expected 64 x 48 pixels, the device gives 1280 x 720"):
        camera.wait(5.0)
    camera.close()


def test_a_control_that_the_device_refuses_is_a_fault() -> None:
    device = FakeDevice(FakeClock(), (64, 48))
    device.refused = cv2.CAP_PROP_EXPOSURE
    cfg = replace(CFG, controls={"exposure": 150.0})
    camera = UvcCamera(cfg, open_capture=device.open, find=device.find)
    with pytest.raises(RuntimeError, match="camera: the device refuses exposure = 150"):
        camera.wait(5.0)
    camera.close()


def test_a_lens_is_taken_out_with_the_intrinsics_of_a_calibration() -> None:
    stage, device = replace(STAGE, undistort=True), FakeDevice(FakeClock(), (64, 48))
    lens = replace(intrinsics_of_view(64, 48, 60.0), distortion=(-0.3, 0.0, 0.0, 0.0, 0.0))
    cfg, clocks = replace(CFG, stage=stage), device.clock.clocks
    for given, text in ((None, "undistort needs the intrinsics"), (STAGE_LENS, "64 x 48 pixels")):
        with pytest.raises(ValueError, match=text):
            UvcCamera(cfg, intrinsics=given, open_capture=device.open, find=device.find)
    with UvcCamera(
        cfg, intrinsics=lens, open_capture=device.open, find=device.find, clocks=clocks
    ) as camera:
        device.push(picture(48, 64, 3))
        array = camera.wait(5.0).arrays["tactile_rgb"]
        np.testing.assert_array_equal(array, run_stage(stage, picture(48, 64, 3), lens))
        device.unplug()


def test_a_config_survives_its_file() -> None:
    cfg = replace(tactile_cfg("gelsight-mini"), controls={"exposure": 150.0})
    assert plain.from_plain(UvcCfg, plain.to_plain(cfg)) == cfg


def test_faults_of_the_thread_are_raised_by_read() -> None:
    def explode(path: str) -> Any:
        raise TypeError(f"{path}!")

    device = FakeDevice(FakeClock(), (64, 48))
    camera = UvcCamera(CFG, open_capture=explode, find=device.find)
    with pytest.raises(RuntimeError, match="camera: TypeError: /dev/video7!"):
        camera.wait(5.0)
    camera.close()


def test_a_device_that_is_not_there_is_refused_at_once() -> None:
    device = FakeDevice(FakeClock(), (64, 48))
    device.plugged = False
    with pytest.raises(FileNotFoundError, match="no camera matches 'camera'"):
        UvcCamera(CFG, open_capture=device.open, find=device.find)


@pytest.mark.parametrize("kind", TACTILE_CAMERAS)
def test_tactile_sensors(kind: str) -> None:
    camera, cfg = TACTILE_CAMERAS[kind], tactile_cfg(kind, serial="D20001", width=80, height=60)
    assert cfg.device.endswith("D20001") and cfg.rate_hz == camera.rate_hz
    left, top, width, height = cfg.stage.window
    assert width / height == pytest.approx(4 / 3, rel=0.01)
    if kind == "gelsight-mini":
        # 820 x 616 after decoding at a quarter; 15 % of it are 123 and 92 at each side.
        assert (left, top, width, height) == (123, 92, 574, 432)
        assert cfg.max_age == 0.2


def test_what_does_not_fit_is_refused() -> None:
    for change, message in [
        ({"jpeg_scale": 3}, "expected 1, 2, 4 or 8, got 3"),
        ({"controls": {"shutter": 1.0}}, "controls: OpenCV knows no 'shutter'"),
        ({"jpeg_scale": 2}, "YUYV is not decoded from JPEG"),
        ({"width": 128}, "stage: expected one of 128 x 48 pixels"),
        ({"rate_hz": 0.0}, "rate_hz: expected more than 0"),
        ({"max_age": -1.0}, "max_age: expected more than 0"),
    ]:
        with pytest.raises(ValueError, match=message):
            replace(CFG, **change)  # type: ignore[arg-type]
    with pytest.raises(ValueError, match=r"no tactile sensor 'omnitact'. Known: "):
        tactile_cfg("omnitact")
    with pytest.raises(ValueError, match="cannot become 400 x 300"):
        tactile_cfg("digit-qvga", width=400, height=300)


def make_root(root: Path, links: list[str], names: dict[str, str]) -> Path:
    (root / "dev/v4l/by-id").mkdir(parents=True)
    for link in links:
        (root / "dev/v4l/by-id" / link).touch()
    for video, name in names.items():
        folder = root / "sys/class/video4linux" / video
        folder.mkdir(parents=True)
        (folder / "name").write_text(f"{name}\n")
        (folder / "index").write_text("0\n" if int(video[-1]) % 2 == 0 else "1\n")
    return root


def test_cameras_are_found_by_name_and_serial(tmp_path: Path) -> None:
    mini = "usb-Arducam_GelSight_Mini_R0B_2D4E-KX3P-video-index"
    digit = "usb-Facebook_DIGIT_DIGIT_D2000{}-video-index{}"
    links = [f"{mini}0", f"{mini}1", *(digit.format(k, i) for k in (1, 2) for i in (0, 1))]
    root = make_root(
        tmp_path, links, {"video0": "Integrated Webcam", "video1": "Integrated Webcam"}
    )
    assert find_camera("gelsight mini", root).name == f"{mini}0"
    assert find_camera("DIGIT D20002", root).name == digit.format(2, 0)
    with pytest.raises(OSError, match=r"2 cameras match 'DIGIT'.*add the serial number"):
        find_camera("DIGIT", root)
    assert find_camera("webcam", root) == root / "dev/video0"  # 1 is its metadata
    with pytest.raises(
        FileNotFoundError, match="no camera matches 'DIGIT D9': cameras here: usb-Ardu"
    ):
        find_camera("DIGIT D9", root)
    with pytest.raises(FileNotFoundError, match="a camera needs a name or a path"):
        find_camera(" ", root)


def test_a_path_is_taken_as_it_is(tmp_path: Path) -> None:
    root = make_root(tmp_path, [], {})
    with pytest.raises(FileNotFoundError, match=r"no camera at .*video3: there is no camera here"):
        find_camera("/dev/video3", root)
    (root / "dev/video3").touch()
    assert find_camera("/dev/video3", root) == root / "dev/video3"


@pytest.mark.hardware
@pytest.mark.parametrize("kind", ["gelsight-mini", "digit"])
def test_a_real_sensor(kind: str) -> None:
    with UvcCamera(tactile_cfg(kind)) as camera:
        first = camera.wait(10.0)
        until(lambda: camera.counters.frames > 50, 10.0)
        assert camera.read().sequence > first.sequence


def test_opencvs_capture_is_one(tmp_path: Path) -> None:
    """A video file instead of a device: its pictures come, and its end is a device that went."""
    path = tmp_path / "v.avi"
    writer = cv2.VideoWriter(str(path), cv2.VideoWriter.fourcc(*"MJPG"), 25.0, (64, 48))
    for seed in range(5):
        writer.write(cv2.cvtColor(picture(48, 64, seed), cv2.COLOR_RGB2BGR))
    writer.release()
    cfg = replace(CFG, stamps="receipt", max_age=60.0)
    with UvcCamera(cfg, open_capture=cv2.VideoCapture, find=lambda _: path) as camera:
        until(lambda: camera.counters.reconnects > 0)
        reading = camera.read()
        red, green, blue = reading.arrays["tactile_rgb"][12, 4].tolist()
        assert red > 180 and blue < 20 and green < 60
        assert camera.counters.frames >= 5
