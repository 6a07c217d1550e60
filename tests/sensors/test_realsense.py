"""RealSense cameras on librealsense's own software device: arrays, clocks, losses, settings."""

# pyrealsense2 has no types.
# pyright: standard

from __future__ import annotations

import ctypes
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pyrealsense2
import pytest

from sim2arm.calibration.camera_file import read_intrinsics
from sim2arm.calibration.view_folder import FACTORY
from sim2arm.cli.calibrate_views import CalibrateViewsCfg, of_camera, realsense_cfg
from sim2arm.core import plain
from sim2arm.core.driver_stage import DriverStage, Intrinsics, run_stage, stage_intrinsics
from sim2arm.core.spec import StaleReading
from sim2arm.sensors.realsense import RealSenseCamera
from sim2arm.sensors.realsense_cfg import RealSenseCfg, array_specs
from sim2arm.sensors.realsense_device import connected_devices
from sim2arm.sensors.realsense_lens import camera_intrinsics
from sim2arm.sensors.realsense_sdk import load_sdk
from tests.sensors.fakes import FakeClock, picture, until
from tests.sensors.soft_realsense import UNITS, SoftRealSense

rs: Any = pyrealsense2  # without types
MS = 1_000_000
STAGE = DriverStage(width=64, height=48, crop=(8, 0, 48, 48), out_width=24, out_height=24)
LENS = Intrinsics(width=64, height=48, fx=60.0, fy=61.0, cx=31.0, cy=24.0)
CFG = RealSenseCfg(name="scene", width=64, height=48, rate_hz=25, stage=STAGE,
                   outputs=("rgb", "depth"), retry=0.01)  # fmt: skip


class Rig:
    """A camera, its device and its clock, streaming."""

    def __init__(self, cfg: RealSenseCfg = CFG, *, hardware: bool = False, **device: Any) -> None:
        self.clock = FakeClock()
        self.device, begin = SoftRealSense(self.clock, **device), self.clock.ns
        if hardware:  # a clock of its own, which runs slower by 100 ppm
            self.device.domain = rs.timestamp_domain.hardware_clock
            self.device.now = lambda: 77 * 10**9 + round((self.clock.ns - begin) * (1 - 1e-4))
        self.camera = RealSenseCamera(cfg, devices=self.device.devices, clocks=self.clock.clocks)
        self.prime()

    def prime(self) -> None:
        """Send until pairs come: what is sent before the sensors run is lost."""
        until(lambda: self.camera.thread.why == "waiting for a picture")
        before = self.camera.counters.frames
        for _ in range(20):
            self.clock.move(0.04)
            self.device.push(0)
            time.sleep(0.01)
            if self.camera.counters.frames > before:
                return
        raise AssertionError(f"no pair came: {self.camera.counters}, {self.camera.thread.fault}")

    def send(self, seed: int, **more: Any) -> None:
        """Send a pair a period later and wait until it was taken, whatever it was taken for."""
        before = self.total
        self.clock.move(0.04)
        self.device.push(seed, **more)
        until(lambda: self.total > before)

    @property
    def total(self) -> int:
        counters = self.camera.counters
        return counters.frames + counters.duplicates + counters.broken

    def close(self) -> None:
        self.camera.close()


@pytest.fixture
def rig() -> Iterator[Rig]:
    made = Rig()
    yield made
    made.close()


def test_colour_and_depth_are_what_the_same_simulated_camera_gives(rig: Rig) -> None:
    from sim2arm.sim.cameras import CameraCfg, camera_specs

    twin = CameraCfg(name="scene", pose=(0, 0, 1, 1, 0, 0, 0), intrinsics=LENS, stage=STAGE,
                     outputs=("rgb", "depth"), rate_hz=25.0, max_age_s=0.2)  # fmt: skip
    simulated = camera_specs(twin)
    assert list(rig.camera.spec) == list(simulated)
    for name, spec in rig.camera.spec.items():
        assert spec == replace(simulated[name], element_names=())
    rig.send(3, metres=0.725)
    arrays = rig.camera.read().arrays
    for name, array in arrays.items():
        rig.camera.spec[name].check_frame(array)
    np.testing.assert_array_equal(arrays["scene_rgb"], run_stage(STAGE, picture(48, 64, 3)))
    # 725 counts of 1 mm, but for columns that librealsense's alignment rounds away.
    assert np.mean(arrays["scene_depth"] == np.float32(725 * UNITS)) > 0.9
    assert set(np.unique(arrays["scene_depth"])) <= {np.float32(0), np.float32(725 * UNITS)}
    assert rig.camera.intrinsics["scene_depth"] == twin.final == stage_intrinsics(STAGE, LENS)


def test_what_was_not_measured_is_zero() -> None:
    stage = DriverStage(width=64, height=48, out_width=64, out_height=48)
    rig = Rig(replace(CFG, stage=stage))
    rig.send(1, metres=2.0)
    depth = rig.camera.read().arrays["scene_depth"]
    assert depth[0, 0] == 0.0 and depth[10, 10] == np.float32(2.0)
    rig.close()


def test_depth_alone_and_colour_alone() -> None:
    for outputs, name in ((("depth",), "scene_depth"), (("rgb",), "scene_rgb")):
        rig = Rig(replace(CFG, outputs=outputs))
        rig.send(1)
        assert list(rig.camera.read().arrays) == list(rig.camera.spec) == [name]
        rig.close()


def test_what_cannot_be_aligned_is_a_broken_picture(
    rig: Rig, monkeypatch: pytest.MonkeyPatch
) -> None:
    rig.send(1)
    before = rig.camera.read()

    def fail(*_: Any) -> Any:
        raise RuntimeError("Frame didn't arrive within 1000")

    monkeypatch.setattr(rig.camera._depth, "align", fail)
    rig.send(2)
    assert rig.camera.read().sequence == before.sequence and rig.camera.counters.broken == 1


def test_global_time_becomes_ros_time(rig: Rig) -> None:
    rig.send(1, stamp_ns=rig.clock.ns + 40 * MS + 2 * 10**12 - 15 * MS)  # 15 ms on its way
    reading = rig.camera.read()
    assert reading.stamp_ns == pytest.approx(rig.clock.ns + 10**12 - 15 * MS, abs=1000)
    assert reading.receipt_ns == rig.clock.ns
    assert rig.camera.stamp_quality == "hardware"


def test_the_cameras_own_clock_is_mapped_and_its_drift_known() -> None:
    rig = Rig(replace(CFG, stamps="hardware"), hardware=True)
    for k in range(400):  # 16 s; the camera counts 1 - 100e-6 s per second of ours
        rig.send(k % 20)
    assert rig.camera.drift == pytest.approx(1e-4, abs=2e-6)
    reading = rig.camera.read()
    assert reading.stamp_ns == pytest.approx(rig.clock.ns + 10**12, abs=1.1 * MS)
    assert reading.stamp_ns <= rig.clock.ns + 10**12
    rig.close()


def test_frames_by_another_clock_are_left_out_then_given_up(rig: Rig) -> None:
    rig.device.domain = rs.timestamp_domain.system_time
    before = rig.camera.counters
    for _ in range(3):
        rig.send(1)
    assert rig.camera.counters == replace(before, broken=before.broken + 3)
    rig.device.domain = rs.timestamp_domain.global_time
    rig.send(2)
    assert rig.camera.read().arrays["scene_rgb"][0, 0, 1] == 20
    rig.send(3, stamp_ns=10**9)  # by the right clock, and of half an hour ago
    assert rig.camera.counters.broken == before.broken + 4


def test_a_camera_that_cannot_stamp_is_a_fault(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sim2arm.sensors.realsense.MOST_STRANGE", 3)
    rig = Rig()
    rig.device.domain = rs.timestamp_domain.system_time
    for _ in range(3):
        rig.send(1)
    with pytest.raises(RuntimeError, match=r"stamps by global_time .* by system_time: set stamps"):
        rig.camera.read()
    rig.close()


def test_without_global_time_it_has_to_be_asked_for_otherwise() -> None:
    device = SoftRealSense(FakeClock(), global_time=False)
    camera = RealSenseCamera(CFG, devices=device.devices)
    with pytest.raises(RuntimeError, match="no global time: set stamps to hardware or receipt"):
        camera.wait(5.0)
    camera.close()
    rig = Rig(replace(CFG, stamps="receipt"), global_time=False)
    rig.device.domain = rs.timestamp_domain.system_time
    rig.send(1)
    reading = rig.camera.read()
    assert reading.stamp_ns == reading.receipt_ns == rig.clock.ns
    assert rig.camera.stamp_quality == "receipt"
    assert {spec.clock for spec in rig.camera.spec.values()} == {"receipt"}
    rig.close()


def test_losses_and_repetitions_are_counted_by_number(rig: Rig) -> None:
    start, before = rig.device.number, rig.camera.counters
    for k in (1, 2, 2, 5, 6):  # 2 twice, 3 and 4 never
        rig.send(k, number=start + k)
    now = rig.camera.counters
    assert now == replace(before, frames=before.frames + 4, duplicates=1, drops=before.drops + 2)
    rig.send(7, number=start + 3)  # a number that goes back
    assert rig.camera.counters.broken == now.broken + 1
    assert rig.camera.read().arrays["scene_rgb"][0, 0, 1] == 60


def test_colour_without_its_depth_is_a_lost_picture(rig: Rig) -> None:
    before = rig.camera.counters
    rig.clock.move(0.04)
    rig.device.push(1, only="RGB")
    rig.send(2)
    rig.send(3)
    assert rig.camera.counters.drops == before.drops + 1
    assert rig.camera.read().arrays["scene_rgb"][0, 0, 1] == 30


def test_a_camera_that_was_unplugged_is_opened_again(rig: Rig) -> None:
    rig.device.plugged = False
    rig.clock.move(1.5)
    until(lambda: "there is no RealSense camera here" in rig.camera.thread.why)
    with pytest.raises(StaleReading, match=r"scene_rgb: .* allowed 0.2 s: no RealSense camera"):
        rig.camera.read()
    drops = rig.camera.counters.drops
    rig.device.plugged = True
    rig.prime()
    rig.send(4)
    counters = rig.camera.counters
    assert counters.reconnects == 1 and counters.drops == drops
    assert rig.camera.read().arrays["scene_rgb"][0, 0, 1] == 40


def test_options_are_set_in_order_and_read_back() -> None:
    cfg = replace(CFG, controls={"enable_auto_exposure": 0, "exposure": 150.0},
                  depth_controls={"exposure": 8000.0})  # fmt: skip
    rig = Rig(cfg)
    assert rig.device.option("RGB", rs.option.exposure) == 150.0
    assert rig.device.option("RGB", rs.option.enable_auto_exposure) == 0.0
    assert rig.device.option("Stereo", rs.option.exposure) == 8000.0
    assert rig.device.option("RGB", rs.option.global_time_enabled) == 1.0
    rig.close()


@pytest.mark.parametrize(
    ("controls", "text"),
    [
        ({"exposure": 20_000.0}, "RGB: exposure: expected 1 to 10000, got 20000"),
        ({"gain": 3.0}, "RGB: gain: the camera has no such option; it has enable_auto_exposure"),
        ({"shutter": 3.0}, "RGB: shutter: the camera has no such option"),
    ],
)
def test_options_that_the_camera_does_not_take(controls: dict[str, float], text: str) -> None:
    device = SoftRealSense(FakeClock())
    camera = RealSenseCamera(replace(CFG, controls=controls), devices=device.devices)
    with pytest.raises(RuntimeError, match=text):
        camera.wait(5.0)
    camera.close()


def test_the_serial_number_decides() -> None:
    clock = FakeClock()
    one, two = SoftRealSense(clock, serial="111"), SoftRealSense(clock, serial="222")

    def both() -> list[Any]:
        return [*one.devices(), *two.devices()]

    with pytest.raises(OSError, match=r"2 RealSense cameras: .*111 .*222 .*: name a serial number"):
        RealSenseCamera(CFG, devices=both)
    with pytest.raises(OSError, match=r"serial number 333: cameras here: 111 \(RealSense D435"):
        RealSenseCamera(replace(CFG, serial="333"), devices=both)
    with RealSenseCamera(replace(CFG, serial="222"), devices=both, clocks=clock.clocks) as camera:
        until(lambda: camera.thread.why == "waiting for a picture")
        assert camera.thread.name == "RealSense 222"
        assert (two.option("RGB", rs.option.global_time_enabled), one.option(
            "RGB", rs.option.global_time_enabled)) == (1.0, 0.0)  # fmt: skip
    with pytest.raises(OSError, match="no RealSense camera: there is no RealSense camera here"):
        RealSenseCamera(CFG, devices=list)


def test_streams_that_the_camera_does_not_have() -> None:
    device = SoftRealSense(FakeClock())
    stage = DriverStage(width=640, height=480, out_width=24, out_height=24)
    for change, text in (
        ({"width": 640, "height": 480, "stage": stage},
         r"colour|color of 640 x 480 pixels at 25 Hz \(rgb8\), the camera has 64 x 48 at 25"),
        ({"rate_hz": 60}, "at 60 Hz .* the camera has 64 x 48 at 25"),
        ({"depth_width": 32, "depth_height": 24}, "depth of 32 x 24 pixels at 25 Hz"),
    ):  # fmt: skip
        with pytest.raises(ValueError, match=text):
            RealSenseCamera(replace(CFG, **change), devices=device.devices)  # type: ignore[arg-type]


def test_lenses_as_five_numbers() -> None:
    numbers = (-0.055, 0.066, -0.0007, 0.0006, -0.021)
    rig = Rig(coefficients=numbers)  # inverse Brown-Conrady, as cameras of the D400 family say
    found = rig.camera.intrinsics["scene_rgb"].distortion
    np.testing.assert_allclose(found, numbers, atol=2e-3)
    rig.close()
    given = rs.intrinsics()
    given.width, given.height, given.ppx, given.ppy, given.fx, given.fy = 64, 48, 31, 24, 60, 61
    given.coeffs, given.model = list(numbers), rs.distortion.brown_conrady
    np.testing.assert_allclose(camera_intrinsics(rs, given).distortion, numbers, rtol=1e-6)
    given.model = rs.distortion.none
    assert camera_intrinsics(rs, given) == LENS
    given.fx = given.fy = 12.0  # 140 degrees wide: a fisheye
    given.coeffs, given.model = [-0.1, 0.05, 0.0, 0.0, 0.0], rs.distortion.kannala_brandt4
    with pytest.raises(ValueError, match=r"differs from k1 k2 p1 p2 k3 by .* pixels"):
        camera_intrinsics(rs, given)


def test_a_calibration_stands_in_for_the_factorys() -> None:
    device = SoftRealSense(FakeClock())
    mine = replace(LENS, fx=62.0)
    with RealSenseCamera(CFG, intrinsics=mine, devices=device.devices) as camera:
        assert camera.intrinsics["scene_rgb"] == stage_intrinsics(STAGE, mine)
    with pytest.raises(ValueError, match="expected intrinsics of 64 x 48 pixels, got 32 x 48"):
        RealSenseCamera(CFG, intrinsics=replace(LENS, width=32), devices=device.devices)


def test_another_camera_in_its_place_is_a_fault(rig: Rig) -> None:
    other = SoftRealSense(rig.clock, coefficients=(0.1, 0, 0, 0, 0))
    rig.device.device = other.device
    rig.clock.move(1.5)
    until(lambda: bool(rig.camera.thread.fault))
    with pytest.raises(RuntimeError, match="other intrinsics than before: another camera"):
        rig.camera.read()


def test_a_recording_of_librealsense_plays(tmp_path: Path) -> None:
    """What its recorder writes of a device, and as old as if it were taken now."""
    device, path = SoftRealSense(FakeClock()), tmp_path / "scene.db3"
    recorder = rs.recorder(str(path), device.device)
    sensors, sink = list(recorder.query_sensors()), rs.syncer(2)
    for each in sensors:
        each.open(each.get_stream_profiles()[0])
        each.start(sink)
    del each  # pyright: ignore[reportPossiblyUnboundVariable]: there are two
    for k in range(12):
        device.clock.move(0.04)
        device.push(k, metres=0.5)
        time.sleep(0.02)
    while sensors:
        sensor = sensors.pop()
        sensor.stop()
        sensor.close()
        del sensor
    del recorder, sink  # it writes until nobody holds it
    with RealSenseCamera(replace(CFG, recording=str(path))) as camera:
        reading = camera.wait(5.0)
        assert 0 <= time.time_ns() - reading.stamp_ns < 10**9
        assert np.median(reading.arrays["scene_depth"]) == np.float32(500 * UNITS)
        until(lambda: camera.thread.why == "the recording is over")
        assert camera.counters.frames >= 5 and camera.counters.reconnects == 0
        time.sleep(0.25)
        with pytest.raises(StaleReading, match="the recording is over"):
            camera.read()
    for path, text in (
        (tmp_path / "no.db3", "no such recording"),
        (Path(__file__), "no recording"),
    ):
        with pytest.raises(OSError, match=text):
            RealSenseCamera(replace(CFG, recording=str(path)))


def test_what_does_not_fit_is_refused() -> None:
    for change, text in [
        ({"name": "a b"}, "name: expected letters, digits, underscores, got 'a b'"),
        ({"serial": "1", "recording": "x"}, "serial, recording: expected one of them"),
        ({"outputs": ()}, "outputs: expected rgb, depth or both"),
        ({"width": 640}, "stage: expected one of 640 x 48 pixels"),
        ({"depth_width": 64}, "depth_width, depth_height: expected both or neither"),
        ({"outputs": ("rgb",), "depth_controls": {"exposure": 1.0}}, "no depth among the outputs"),
        ({"rate_hz": 0}, "rate_hz: expected more than 0"),
    ]:
        with pytest.raises(ValueError, match=text):
            replace(CFG, **change)  # type: ignore[arg-type]
    cfg = replace(CFG, controls={"exposure": 150.0})
    assert plain.from_plain(RealSenseCfg, plain.to_plain(cfg)) == cfg


# -- loading librealsense ----------------------------------------------------------------------

NO_USB = ImportError("libusb-1.0.so.0: cannot open shared object file: No such file or directory")


def loader(*answers: Any) -> Any:
    """Return what imports a module: each call the next answer."""
    left = list(answers)

    def load(name: str) -> Any:
        answer = left.pop(0)
        if isinstance(answer, Exception):
            raise answer
        return answer

    return load


def test_libusb_of_the_package_is_loaded_where_the_system_has_none(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    loaded: list[tuple[str, int]] = []
    monkeypatch.setattr(ctypes, "CDLL", lambda path, mode: loaded.append((path, mode)))
    package = SimpleNamespace(get_library_path=lambda: "/its/libusb.so")
    assert load_sdk(loader(NO_USB, package, "the module")) == "the module"
    assert loaded == [("/its/libusb.so", ctypes.RTLD_GLOBAL)]


@pytest.mark.parametrize(
    ("answers", "text"),
    [
        ([ModuleNotFoundError("no", name="pyrealsense2")], "needs pyrealsense2: pip install"),
        ([NO_USB, ModuleNotFoundError("No module named 'libusb_package'")],
         r"needs libusb-1.0.so.0: apt install libusb-1.0-0, or pip install 'sim2arm\[realsense\]'"),
        ([ImportError("GLIBC_2.99 not found\nhere")], "does not load: GLIBC_2.99 not found here"),
    ],
)  # fmt: skip
def test_what_is_missing_is_one_line(answers: list[Exception], text: str) -> None:
    with pytest.raises(ValueError, match=text) as error:
        load_sdk(loader(*answers))
    assert "\n" not in str(error.value)


def test_views_for_a_calibration_keep_the_lens_that_the_camera_says(tmp_path: Path) -> None:
    cfg = CalibrateViewsCfg(
        folder=tmp_path / "lens", realsense="any", width=64, height=48, rate_hz=25.0
    )
    stage = DriverStage(width=64, height=48, out_width=64, out_height=48)
    rig = Rig(realsense_cfg(cfg, stage))
    rig.send(1)
    events = of_camera(cfg, lambda _: rig.camera)
    event = next(events)
    assert event.picture is not None and event.picture.shape == (48, 64, 3)
    assert read_intrinsics(tmp_path / "lens" / FACTORY).intrinsics == LENS
    events.close()


@pytest.mark.hardware
def test_a_real_camera() -> None:
    stage = DriverStage(width=640, height=480, out_width=84, out_height=84)
    cfg = RealSenseCfg(name="scene", width=640, height=480, rate_hz=30, stage=stage,
                       outputs=("rgb", "depth"))  # fmt: skip
    with RealSenseCamera(cfg) as camera:
        camera.wait(10.0)
        until(lambda: camera.counters.frames > 50, 10.0)
        assert set(camera.read().arrays) == set(array_specs(cfg))


def test_without_a_camera_librealsense_lists_none_or_those_there_are() -> None:
    assert isinstance(connected_devices(rs)(), list)
