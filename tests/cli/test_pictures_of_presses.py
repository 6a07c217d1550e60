"""`sim2arm calibrate pictures`: what is taken, when, and what is refused."""

# pyright: standard

from __future__ import annotations

import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from sim2arm.calibration.press_pictures import read_presses
from sim2arm.cli import pictures
from sim2arm.cli.errors import UserError
from sim2arm.cli.main import main
from sim2arm.cli.pictures import PicturesCfg, run
from sim2arm.sensors.uvc import UvcCamera, UvcCfg
from tests.sensors.fakes import FakeClock, FakeDevice, picture


class Gel:
    """A DIGIT whose picture, of a red left half, is greener with every press."""

    def __init__(self) -> None:
        self.clock, self.pressed, self.over = FakeClock(), 0, threading.Event()
        self.device = FakeDevice(self.clock, (320, 240))
        self.thread = threading.Thread(target=self._film, daemon=True)
        self.thread.start()

    def _film(self) -> None:
        while not self.over.wait(0.004):
            self.clock.move(0.016)
            self.device.push(picture(240, 320, self.pressed))

    def open(self, cfg: UvcCfg) -> UvcCamera:
        return UvcCamera(
            cfg, open_capture=self.device.open, find=self.device.find, clocks=self.clock.clocks
        )

    def ask(self, question: str) -> str:
        self.pressed += "Press" in question
        return "q" if self.pressed > 7 else ""


@pytest.fixture
def gel() -> Iterator[Gel]:
    made = Gel()
    yield made
    made.over.set()
    made.thread.join()
    made.device.unplug()


def make_cfg(folder: Path, **overrides: object) -> PicturesCfg:
    values = {"folder": folder, "sensor": "digit-qvga", "width": 64, "height": 48}
    return PicturesCfg(**(values | {"backgrounds": 3} | overrides))  # type: ignore[arg-type]


def test_every_picture_is_of_its_press(tmp_path: Path, gel: Gel) -> None:
    assert run(make_cfg(tmp_path / "new"), gel.open, gel.ask) == 7
    presses = read_presses(tmp_path / "new")
    assert len(presses.flat) == 3 and len(presses.pressed) == 7
    assert presses.flat[0][0, 0].tolist() == [200, 0, 0]  # red is red
    # The picture was taken after the answer, so it shows this press and not the one before it.
    assert [int(p[0, 0, 1]) for p in presses.pressed] == [10 * k for k in range(1, 8)]
    with pytest.raises(UserError, match="has pictures already: choose another folder"):
        run(make_cfg(tmp_path / "new"), gel.open, gel.ask)


def test_the_end_of_input_ends(tmp_path: Path, gel: Gel) -> None:
    def nobody(question: str) -> str:
        raise EOFError

    assert run(make_cfg(tmp_path), gel.open, nobody) == 0
    assert list(tmp_path.iterdir()) == []


def test_a_camera_that_sends_nothing_is_one_line(
    tmp_path: Path, gel: Gel, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(pictures, "PATIENCE", 0.05)
    gel.over.set()
    gel.thread.join()
    device = FakeDevice(FakeClock(), (320, 240))
    gel.device = device
    threading.Timer(0.3, device.unplug).start()  # else closing waits for the driver
    with pytest.raises(UserError, match="gel: nothing was received yet"):
        run(make_cfg(tmp_path), gel.open, gel.ask)


def test_what_is_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    command = ["calibrate", "pictures", str(tmp_path), "--sensor"]
    for more, message in [
        (["digits"], "unknown tactile sensor 'digits'; perhaps you meant digit"),
        (["digit", "--presses", "0"], "--backgrounds, --presses: expected 1 or more"),
        (["digit", "--width", "4000"], "cannot become 4000 x 240"),
        (["digit", "--serial", "NONE"], "no camera matches 'DIGIT NONE'"),
    ]:
        assert main([*command, *more]) == 2
        error = capsys.readouterr().err
        assert message in error and error.count("\n") == 1
