"""Ball presses into a known gel: the table that comes back, what it admits, what is refused."""

# pyright: standard

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import pytest

from sim2arm.calibration.contact_circle import NoContact, find_circle
from sim2arm.calibration.press_pictures import Presses, read_presses
from sim2arm.calibration.tactile import BallPressCfg, TactileCalibration, calibrate
from sim2arm.calibration.tactile_record import make_record
from sim2arm.calibration.tactile_report import write_calibration
from sim2arm.cli.main import main
from sim2arm.core.calibration_file import read_pictures, read_record
from sim2arm.core.gradient_table import GradientTable, slope
from sim2arm.core.gradient_table_file import read_table
from sim2arm.core.synthetic_tables import three_lights
from tests.calibration.presses import RADIUS, make_gel, press_picture, random_places

GEL = make_gel()
CFG = BallPressCfg(ball_radius=RADIUS, size=GEL.size, sensor="mini-1", nodes=33, most_samples=400)
PIXEL = GEL.size[0] / 128


def make_presses(count: int = 24, share: float = 1.0, gel: GradientTable = GEL) -> Presses:
    """Return pictures with noise of one grey level, the skin spreading by 0.4 mm."""
    rng = np.random.default_rng(0)
    places, depths = random_places(gel, count, rng, share), rng.uniform(3e-4, 1e-3, count)
    return Presses(
        flat=[press_picture(gel, (0.01, 0.01), 0.0, rng) for _ in range(10)],
        pressed=[
            press_picture(gel, place, depth, rng, reach=4e-4)
            for place, depth in zip(places, depths.tolist(), strict=True)
        ],
        names=[f"press-{k:02}.png" for k in range(count)],
    )


@pytest.fixture(scope="module")
def presses() -> Presses:
    return make_presses()


@pytest.fixture(scope="module")
def found(presses: Presses) -> TactileCalibration:
    return calibrate(presses, CFG)


def error(table: GradientTable, gel: GradientTable = GEL, longest: float = 0.5) -> float:
    """Return the mean error over slopes and the picture, without noise [grey levels]."""
    rng = np.random.default_rng(9)
    angle, length = rng.uniform(-np.pi, np.pi, 4000), longest * np.sqrt(rng.uniform(size=4000))
    g = slope(length[:, None] * np.stack([np.cos(angle), np.sin(angle)], axis=-1))
    x, y = rng.uniform(-0.9, 0.9, (2, 4000))
    return float(np.abs(table.evaluate(g, x, y) - gel.evaluate(g, x, y)).mean())


@pytest.mark.parametrize("reach", [0.0, 4e-4])
def test_a_contact_is_found_to_a_third_of_a_pixel(reach: float) -> None:
    rng = np.random.default_rng(1)
    background = GEL.background
    places = (0.0101, 0.0072), (0.0031, 0.0122), (0.0175, 0.0011)
    for place, depth in zip(places, (6e-4, 9e-4, 8e-4), strict=True):
        picture = press_picture(GEL, place, depth, rng, reach=reach)
        circle = find_circle(picture, background, (PIXEL, PIXEL))
        assert np.hypot(circle.x - place[0], circle.y - place[1]) < PIXEL / 3
        # Without spread: R^2 = r^2 + (R - depth)^2.
        radius = np.sqrt(RADIUS**2 - (RADIUS - depth) ** 2)
        assert circle.radius == pytest.approx(radius, abs=PIXEL if reach else PIXEL / 2)


def test_a_known_table_is_recovered(found: TactileCalibration) -> None:
    assert len(found.names) == 24
    assert error(found.table, longest=0.4) < 0.5  # of changes of 15 levels in the mean
    # Held-out presses, with the noise of one level, 0.8 in the mean, and rounding.
    assert found.press_errors.max() < 1.5
    assert (found.fit.seen > 0).sum() == pytest.approx(np.pi * (0.58 * 16) ** 2, rel=0.25)


def test_held_out_presses_look_as_predicted(found: TactileCalibration) -> None:
    """Presses that were never seen, without noise, within 0.6 levels in the mean."""
    truth = GEL.evaluate(slope(found.samples.n), *(2 * found.samples.place / GEL.size - 1).T)
    off = found.held_out + truth - found.samples.change  # prediction's error, noise taken out
    assert np.abs(off).mean() < 0.6


def test_a_flat_gel_stays_the_background(found: TactileCalibration) -> None:
    flat = found.table.picture(np.zeros((96, 128, 2)))
    np.testing.assert_array_equal(flat, np.floor(found.background + 0.5))


def test_other_lights_make_another_table(found: TactileCalibration) -> None:
    """The bound on the error is one that a table of another gel does not meet."""
    turned = three_lights(-60.0, 28.0, 0.3, 0.08, 120.0)  # by 30 degrees
    assert error(found.table, make_gel(lights=turned)) > 5.0


def test_what_was_not_pressed_is_admitted(found: TactileCalibration) -> None:
    left = calibrate(make_presses(14, share=0.5), replace(CFG, folds=2, refinements=0))
    whole, half = make_record(found, CFG), make_record(left, CFG)
    assert (whole.value("picture") > 0.5).all() and not [n for n in whole.notes if "Less" in n]
    assert half.value("picture")[:, 2].max() < 0.2
    (note,) = [note for note in half.notes if "Less than one press lies in" in note]
    assert "upper right, " in note and "lower right" in note and "lower left" not in note
    assert half.value("slopes").sum() < whole.value("slopes").sum()
    shallow = replace(make_presses(8), pressed=[
        press_picture(GEL, place, 3e-4, reach=4e-4)
        for place in random_places(GEL, 8, np.random.default_rng(5))
    ])  # fmt: skip
    flat = make_record(calibrate(shallow, replace(CFG, folds=2, refinements=0)), CFG)
    assert flat.value("steepest") < 0.6 * whole.value("steepest")


def test_presses_that_do_not_fit_are_named(presses: Presses) -> None:
    rng = np.random.default_rng(3)
    untouched = press_picture(GEL, (0.01, 0.01), 0.0, rng)
    edge = untouched.copy()
    edge[40:60, 20:100] = (edge[40:60, 20:100] + 60).clip(0, 255)  # a bar, not a ball
    odd = replace(
        presses,
        pressed=[*presses.pressed[:8], untouched, edge],
        names=[*presses.names[:8], "untouched.png", "bar.png"],
    )
    left = calibrate(odd, replace(CFG, folds=2, refinements=0))
    assert list(left.refused) == ["untouched.png", "bar.png"]
    assert "nothing touches the gel" in left.refused["untouched.png"]
    (note,) = [note for note in make_record(left, CFG).notes if "Not used" in note]
    assert "bar.png: the contact is not round" in note
    too_small = replace(CFG, ball_radius=1.2e-3)
    with pytest.raises(ValueError, match=r"6 or more presses with a round contact.*too wide for"):
        calibrate(presses, too_small)


def test_automatic_exposure_is_not_accepted() -> None:
    bright = make_presses(8)
    lifted = [(p.astype(int) + 6).clip(0, 255).astype(np.uint8) for p in bright.pressed]
    found = calibrate(replace(bright, pressed=lifted), replace(CFG, folds=2, refinements=0))
    record = make_record(found, CFG)
    assert found.drift == pytest.approx(6.0, abs=0.6)
    assert any("brightness elsewhere" in problem for problem in record.problems)


def test_record_report_and_table_are_written(
    tmp_path: Path, presses: Presses, found: TactileCalibration
) -> None:
    path = tmp_path / "mini-1.safetensors"
    record = write_calibration(path, found, presses, CFG)
    table, again = read_table(path), read_record(path.with_suffix(".yaml"))
    np.testing.assert_array_equal(table.coefficients, found.table.coefficients)
    assert again == record and not record.problems
    assert record.inputs[0].name == str(path)
    assert len(read_pictures(path.with_suffix(".yaml"), record)) == 6
    page = path.with_suffix(".html").read_text()
    assert "Accepted" in page and "held-out press" in page and page.count("<img") == 6


def write_pictures(folder: Path, presses: Presses, count: int) -> Path:
    folder.mkdir()
    names = [f"background-{k}.png" for k in range(len(presses.flat))]
    for name, picture in zip(
        [*names, *presses.names[:count]], [*presses.flat, *presses.pressed[:count]], strict=True
    ):
        cv2.imwrite(str(folder / name), picture[..., ::-1])
    return folder


def options(folder: Path, out: Path, *more: str) -> Sequence[str]:
    area = (f"{1e3 * GEL.size[0]}", f"{1e3 * GEL.size[1]}")
    return (
        "calibrate", "tactile", str(folder), "--ball-radius-mm", "4", "--area-mm", *area,
        "--nodes", "17", "--out", str(out), *more,
    )  # fmt: skip


def test_the_command(tmp_path: Path, presses: Presses, capsys: pytest.CaptureFixture[str]) -> None:
    folder, out = write_pictures(tmp_path / "in", presses, 12), tmp_path / "out" / "gel.safetensors"
    assert main(options(folder, out)) == 0
    text = capsys.readouterr().out
    assert "gel: 12 of 12 presses, slopes up to 0." in text and "  accepted\n" in text
    # Red and blue are not swapped by the pictures' files.
    assert error(read_table(out)) < 1.5
    assert main(options(folder, out, "--limit", "0.1")) == 1
    assert "not accepted: held-out press: root mean square" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ("gone", "expected a folder with pictures, there is none"),
        ("no background", r"no picture of the flat gel: expected background\*\.png"),
        ("few", r"expected 6 or more pictures of presses .* got 2"),
        ("broken", r"press-03\.png: not a picture that can be read"),
        ("sizes", r"press-03\.png: expected 128 x 96 pixels like background-0\.png, got 64 x 48"),
        ("large", r"background-0\.png: 2000 x 1000 pixels are more than a table needs"),
    ],
)
def test_folders_that_are_refused(
    tmp_path: Path, presses: Presses, change: str, message: str
) -> None:
    folder = write_pictures(tmp_path / "in", presses, 2 if change == "few" else 7)
    if change == "gone":
        folder = tmp_path / "gone"
    elif change == "no background":
        for path in folder.glob("background*"):
            path.unlink()
    elif change == "broken":
        (folder / "press-03.png").write_bytes(b"")
    elif change == "sizes":
        cv2.imwrite(str(folder / "press-03.png"), np.zeros((48, 64, 3), np.uint8))
    elif change == "large":
        cv2.imwrite(str(folder / "background-0.png"), np.zeros((1000, 2000, 3), np.uint8))
    with pytest.raises(ValueError, match=message) as caught:
        read_presses(folder)
    assert "\n" not in str(caught.value)


def test_bad_options_are_one_line(
    tmp_path: Path, presses: Presses, capsys: pytest.CaptureFixture[str]
) -> None:
    folder, out = write_pictures(tmp_path / "in", presses, 7), tmp_path / "gel.safetensors"
    area = ("--area-mm", "20", "20")
    for words, message in [
        (options(folder, folder / "gel.safetensors"), "lies among the pictures"),
        (options(folder, tmp_path / "gel.npz"), "expected a plain name ending in .safetensors"),
        (options(folder, out, "--sensor", "a b"), "--sensor: expected letters, digits"),
        (options(folder, out, *area), "20 x 20 mm on 128 x 96 pixels: a pixel would be"),
        (options(folder, out, "--ball-radius-mm", "-1"), "ball_radius: expected more than 0"),
        (options(tmp_path / "no", out), "expected a folder with pictures, there is none"),
        (options(folder, out, "--nodes", "18"), "nodes: expected an odd number"),
    ]:
        assert main(words) == 2
        error = capsys.readouterr().err
        assert message in error and error.count("\n") == 1


def test_numbers_without_meaning_are_refused() -> None:
    for change, message in [
        ({"size": (0.0, 1.0)}, "size: expected width and height above 0"),
        ({"margin_px": -1.0}, "margin_px, refinements: expected 0 or more"),
        ({"folds": 1}, "folds, most_samples: expected 2 and 10 or more"),
    ]:
        with pytest.raises(ValueError, match=message):
            replace(CFG, **change)  # type: ignore[arg-type]


def test_a_picture_without_a_ball_has_no_circle() -> None:
    with pytest.raises(NoContact, match="nothing touches the gel"):
        find_circle(press_picture(GEL, (0.01, 0.01), 0.0), GEL.background, (PIXEL, PIXEL))
    speck = np.floor(GEL.background + 0.5).astype(np.uint8)
    speck[20:24, 30:34] = 255
    with pytest.raises(NoContact, match="pixels small"):
        find_circle(speck, GEL.background, (PIXEL, PIXEL))
