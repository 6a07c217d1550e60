"""One conformance suite for all sensors: cameras over a fake capture, and recordings."""

# OpenCV's and PyAV's stubs are incomplete.
# pyright: standard

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest

from sim2arm.core.driver_stage import DriverStage, parse_stage
from sim2arm.core.sampling import SampleBuffer
from sim2arm.core.spec import StaleReading
from sim2arm.sensors.base import Sensor
from sim2arm.sensors.replay import Replay, ReplayCfg, write_recording
from sim2arm.sensors.tactile import tactile_cfg
from sim2arm.sensors.uvc import UvcCamera, UvcCfg
from tests.sensors.fakes import FakeClock, FakeDevice, Image, picture, until

PERIOD = 0.04
STAGE = DriverStage(width=64, height=48, out_width=32, out_height=24)


@dataclass
class Source:
    """A sensor with its first picture there."""

    sensor: Sensor
    advance: Callable[[], None]
    """Let a period pass and the next picture come; green tells which one it is."""
    clock: FakeClock
    close: Callable[[], None] = lambda: None


def of_camera(cfg: UvcCfg, *, jpeg: bool = False, stamped: bool = True) -> Source:
    clock = FakeClock()
    device = FakeDevice(clock, (cfg.width, cfg.height), jpeg=jpeg)
    device.stamped = stamped
    camera = UvcCamera(cfg, open_capture=device.open, find=device.find, clocks=clock.clocks)
    count = 0

    def advance() -> None:
        nonlocal count
        clock.move(PERIOD)
        device.push(picture(cfg.height, cfg.width, count))
        count += 1
        until(lambda: camera.counters.frames == count)

    def close() -> None:
        device.unplug()
        camera.close()

    advance()
    return Source(camera, advance, clock, close)


def make_cfg(**overrides: object) -> UvcCfg:
    cfg = UvcCfg(device="camera", width=64, height=48, rate_hz=25.0, stage=STAGE, fourcc="YUYV")
    return replace(cfg, retry=0.01, **overrides)  # type: ignore[arg-type]


def of_replay(path: Path) -> Source:
    clock = FakeClock()
    replay = Replay(path, ReplayCfg(stage=STAGE, rate_hz=25.0), clocks=clock.clocks)
    return Source(replay, lambda: clock.move(PERIOD), clock)


def recorded() -> tuple[list[Image], list[int]]:
    return [picture(48, 64, k) for k in range(4)], [
        7_000_000_000 + 40_000_000 * k for k in range(4)
    ]


def of_folder(folder: Path) -> Source:
    write_recording(folder / "recording", *recorded())
    return of_replay(folder / "recording")


def of_video(folder: Path) -> Source:
    path, (pictures, stamps) = folder / "recording.mkv", recorded()
    with av.open(str(path), "w") as container:
        stream = container.add_stream("ffv1", rate=Fraction(25))
        stream.width, stream.height, stream.pix_fmt = 64, 48, "bgr0"  # type: ignore[union-attr]
        for made in pictures:
            frame = av.VideoFrame.from_ndarray(made, format="rgb24")
            container.mux(stream.encode(frame))  # type: ignore[union-attr]
        container.mux(stream.encode())  # type: ignore[union-attr]
    path.with_suffix(".csv").write_text("stamp_ns\n" + "\n".join(map(str, stamps)))
    return of_replay(path)


SOURCES: dict[str, Callable[[Path], Source]] = {
    "camera": lambda _: of_camera(make_cfg()),
    "camera without stamps": lambda _: of_camera(make_cfg(stamps="receipt"), stamped=False),
    "gelsight-mini": lambda _: of_camera(tactile_cfg("gelsight-mini"), jpeg=True),
    "digit": lambda _: of_camera(tactile_cfg("digit", width=160, height=120)),
    "digit-qvga": lambda _: of_camera(tactile_cfg("digit-qvga", width=80, height=60)),
    "folder": of_folder,
    "video": of_video,
}


@pytest.fixture(params=SOURCES)
def source(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Source]:
    made = SOURCES[request.param](tmp_path)
    yield made
    made.close()


def test_a_sensor_keeps_its_promises(source: Source) -> None:
    """One test, so that a picture of 8 million pixels is made thrice and not ten times."""
    sensor, clock = source.sensor, source.clock
    (name, spec), first = next(iter(sensor.spec.items())), sensor.read()

    # It returns what its spec says, and its stage is one that anybody can repeat.
    array = first.arrays[name]
    assert list(sensor.spec) == list(first.arrays) == [spec.name]
    spec.check_frame(array)
    assert array.shape == spec.shape and spec.kind == "sensor" and spec.driver_stage is not None
    stage = parse_stage(spec.driver_stage)
    assert (stage.out_height, stage.out_width, 3) == spec.shape

    # Red is red, and on the left.
    rows, cols = spec.shape[0] // 2, spec.shape[1]
    np.testing.assert_allclose(array[rows, cols // 8], [200, 0, 0], atol=3)
    np.testing.assert_allclose(array[rows, -cols // 8], [0, 0, 180], atol=3)

    # Nobody can change what others will read.
    with pytest.raises(ValueError, match="read-only"):
        array[:] = 0

    # The same picture is the same reading.
    clock.move(0.5 * PERIOD)
    again = sensor.read()
    assert (again.sequence, again.stamp_ns, again.receipt_ns) == (
        first.sequence,
        first.stamp_ns,
        first.receipt_ns,
    )
    np.testing.assert_array_equal(again.arrays[name], array)
    clock.move(-0.5 * PERIOD)

    # A new picture is a later reading, on the clocks that the spec names.
    source.advance()
    second = sensor.read()
    assert second.sequence > first.sequence
    assert second.stamp_ns - first.stamp_ns == pytest.approx(1e9 * PERIOD, abs=1e3)
    assert second.receipt_ns - first.receipt_ns == pytest.approx(1e9 * PERIOD, abs=1e3)
    now = clock.ns if spec.clock == "receipt" else clock.ns + 10**12
    assert 0 <= now - second.stamp_ns <= 1e3 and 0 <= clock.ns - second.receipt_ns <= 1e3
    np.testing.assert_allclose(second.arrays[name][rows, cols // 8], [200, 10, 0], atol=3)

    # The sampler of policies takes them.
    buffer = SampleBuffer(spec)
    assert buffer.push(first, now) and buffer.push(second, now) and not buffer.push(second, now)

    # What is too old is not returned, and the message says which and how old.
    assert spec.max_receipt_age_s is not None
    clock.move(spec.max_receipt_age_s - 0.01)
    assert sensor.read().sequence == second.sequence or isinstance(sensor, Replay)
    clock.move(10.0)
    with pytest.raises(StaleReading, match=rf"{name}: the newest was \w+ \d+\.\d+ s ago, allowed"):
        sensor.read()


@pytest.mark.parametrize("name", ["camera", "camera without stamps", "digit-qvga"])
def test_a_camera_recovers(name: str, tmp_path: Path) -> None:
    source = SOURCES[name](tmp_path)
    source.clock.move(10.0)
    with pytest.raises(StaleReading):
        source.sensor.read()
    source.advance()
    assert source.sensor.read().sequence == 2
    source.close()
