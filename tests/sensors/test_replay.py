"""Recordings as sensors: time, gaps, their end, and what is no recording."""

# pyright: standard

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from sim2arm.core.driver_stage import DriverStage
from sim2arm.core.spec import StaleReading
from sim2arm.sensors.replay import Replay, ReplayCfg, write_recording
from tests.sensors.fakes import FakeClock, picture

MS = 1_000_000
CFG = ReplayCfg(stage=DriverStage(width=64, height=48, out_width=32, out_height=24))
STAMPS = [9_000 * MS, 9_040 * MS, 9_120 * MS, 9_160 * MS]


def make_replay(folder: Path, cfg: ReplayCfg = CFG) -> tuple[Replay, FakeClock]:
    write_recording(folder / "r", [picture(48, 64, k) for k in range(4)], STAMPS)
    clock = FakeClock()
    return Replay(folder / "r", cfg, clocks=clock.clocks), clock


def green(replay: Replay) -> int:
    return int(replay.read().arrays["tactile_rgb"][0, 0, 1]) // 10


def test_pictures_come_when_they_are_due(tmp_path: Path) -> None:
    replay, clock = make_replay(tmp_path)
    seen: list[int] = []
    for _ in range(9):
        seen.append(green(replay))
        clock.move(0.02)
    assert seen == [0, 0, 1, 1, 1, 1, 2, 2, 3]
    assert replay.ended
    clock.move(0.25)
    with pytest.raises(StaleReading, match=r"allowed 0.2 s: the recording is over"):
        replay.read()


def test_a_slow_reader_misses_pictures_as_with_a_camera(tmp_path: Path) -> None:
    replay, clock = make_replay(tmp_path)
    assert green(replay) == 0
    clock.move(0.13)
    assert green(replay) == 2 and replay.read().sequence == 2


def test_stamps_are_moved_to_now_or_kept(tmp_path: Path) -> None:
    replay, clock = make_replay(tmp_path / "moved")
    replay.read()
    clock.move(0.05)
    assert replay.read().stamp_ns == clock.ns - 10 * MS + 10**12
    replay, clock = make_replay(tmp_path / "kept", replace(CFG, shift=False))
    replay.read()
    clock.move(0.05)
    assert replay.read().stamp_ns == STAMPS[1]
    assert replay.spec["tactile_rgb"].max_stamp_age_s is None


def test_speed(tmp_path: Path) -> None:
    replay, clock = make_replay(tmp_path, replace(CFG, speed=2.0))
    replay.read()
    clock.move(0.06)
    assert green(replay) == 2
    with pytest.raises(ValueError, match="speed, max_age: expected more than 0"):
        ReplayCfg(stage=CFG.stage, speed=0.0)


def test_a_gap_is_stale(tmp_path: Path) -> None:
    write_recording(tmp_path, [picture(48, 64, k) for k in range(2)], [0, 1000 * MS])
    clock = FakeClock()
    replay = Replay(tmp_path, CFG, clocks=clock.clocks)
    replay.read()
    clock.move(0.5)
    with pytest.raises(StaleReading, match=r"0\.500 s ago, allowed 0\.2 s$"):
        replay.read()
    clock.move(0.5)
    assert green(replay) == 1


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (None, r"frames\.csv: the stamps of a recording cannot be read: .*No such file"),
        ("", r"frames\.csv: expected the columns file,stamp_ns, got None"),
        ("file,time\na.png,1\n", r"expected the columns file,stamp_ns, got \['file', 'time'\]"),
        ("file,stamp_ns\n", "a recording has one picture or more"),
        ("file,stamp_ns\na.png,1.5\n", "stamp_ns: expected whole numbers"),
        ("file,stamp_ns\na.png\n", "stamp_ns: expected whole numbers"),
        ("file,stamp_ns\na.png,5\nb.png,5\n", "stamps must grow, that of picture 1 does not"),
        ("file,stamp_ns\n../a.png,5\n", "expected plain names of files, got"),
    ],
)
def test_what_is_no_recording_is_refused(tmp_path: Path, text: str | None, message: str) -> None:
    if text is not None:
        (tmp_path / "frames.csv").write_text(text)
    with pytest.raises(ValueError, match=message) as caught:
        Replay(tmp_path, CFG)
    assert "\n" not in str(caught.value)


def test_pictures_that_cannot_be_read_are_refused(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="gone: no such recording"):
        Replay(tmp_path / "gone", CFG)
    (tmp_path / "frames.csv").write_text("file,stamp_ns\na.png,5\n")
    with pytest.raises(ValueError, match=r"a\.png: not a picture that can be read"):
        Replay(tmp_path, CFG).read()
    write_recording(tmp_path, [np.zeros((10, 10, 3), np.uint8)], [0])
    with pytest.raises(ValueError, match=r"expected a picture \(48, 64\[, channels\]\)"):
        Replay(tmp_path, CFG).read()
    with pytest.raises(ValueError, match="expected 1 stamps, one per picture, got 2"):
        write_recording(tmp_path, [np.zeros((10, 10, 3), np.uint8)], [0, 1])
    video = tmp_path / "v.mkv"
    video.write_bytes(b"no video")
    video.with_suffix(".csv").write_text("stamp_ns\n1\n")
    with pytest.raises(ValueError, match=r"v\.mkv: not a video that can be read"):
        Replay(video, CFG).read()
