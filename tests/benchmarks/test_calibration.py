"""`sim2arm bench calibration`: rows of a part, what intervals are worth, bad input."""

# pyright: standard

import json
from pathlib import Path

import numpy as np
import pytest

from sim2arm.cli import calibrate_dynamics as _needs_the_train_extra  # noqa: F401
from sim2arm.cli.main import main
from tests.calibration.rigs import ROOT, load

pytestmark = pytest.mark.skipif(ROOT is None, reason="benchmarks are part of a checkout")


def test_a_part_writes_its_rows(tmp_path: Path) -> None:
    out = tmp_path / "calibration"
    argv = ["bench", "calibration", "--parts", "drift", "--seeds", "3", "--results", str(out)]
    assert main(argv) == 0
    rows = {row["metric"]: row for row in json.loads((out / "drift.json").read_text())["rows"]}
    assert rows["the joint named"]["value"] == 100.0
    assert 0.0 < rows["error of an offset"]["value"] < 0.3


def test_the_page_says_what_was_asked_for_and_what_was_missed(tmp_path: Path) -> None:
    page = load("_calibration_page")
    rows = [
        {"case": "a", "metric": "error of the delay", "value": 2.1, "unit": "ms"},
        {"case": "a", "metric": "95 % intervals of the delay that hold the truth", "value": 99.0,
         "unit": "%"},
        {"case": "b", "metric": "error of the focal length", "value": 0.1, "unit": "%",
         "baseline": "plain OpenCV", "baseline_value": 0.15},
        {"case": "b", "metric": "refused, with the reason", "value": 99.0, "unit": "%"},
        {"case": "b", "metric": "worst of all", "value": 3.0, "unit": "ms"},
    ]  # fmt: skip
    part = {
        "name": "calibration x, 7 seeds", "machine": {"cpu": "fast", "cores": 2}, "commit": "abc",
        "rows": [{"baseline": None, "baseline_value": None} | row for row in rows],
    }  # fmt: skip
    folder = tmp_path / "calibration"
    folder.mkdir()
    (folder / "x.json").write_text(json.dumps(part))
    page.write_page(folder, tmp_path / "page.md")
    text = (tmp_path / "page.md").read_text()
    assert "## x\n\n7 seeds, fast, 2 cores, commit abc." in text
    assert "| a | error of the delay | 2.1 ms | 2 or less | **missed** |  |  |" in text
    assert "that hold the truth | 99 % | 90 or more, 99 or less | met |" in text
    assert "0.1 % | 0.2 or less | met | plain OpenCV: 0.15 % | 0.67 (goal 0.5 missed) |" in text
    assert "refused, with the reason | 99 % | 100 or more | **missed** |" in text
    assert "| b | worst of all | 3 ms |  |  |  |  |" in text


def test_gels_are_told_within_what_is_asked_for() -> None:
    gels = load("_calibration_gels")
    for indenter in (gels.STAMP, gels.BALL):
        found, (stiffness, _, friction) = gels._measure(np.random.default_rng(0), indenter, 0.0)
        assert abs(found.stiffness.value / stiffness - 1.0) < 0.1
        assert abs(found.friction.value / friction - 1.0) < 0.05
    assert gels._refuses("gel that is pressed once", "expected 6", np.random.default_rng(0))


def test_hand_eye_is_measured_beside_opencv_where_it_has_solvers() -> None:
    arms = load("_calibration_arms")
    found = arms._measure("eye-in-hand", np.random.default_rng(0))
    assert np.linalg.norm(found.off[:3]) < 1e-3 and (found.sigma > 0).all()
    has = hasattr(load("cv2"), "calibrateHandEye")  # Python of 4.x does, that of 5.0 does not
    assert set(found.others) == (set(arms.SOLVERS) if has else set())
    for off in found.others.values():
        assert np.linalg.norm(off[:3]) < 5e-3


def test_what_intervals_are_worth_is_counted_by_hand() -> None:
    rows = load("_calibration_rows").interval_rows
    # Two numbers, four seeds: of the first all lie within 1.96, of the second half.
    errors = np.array([[1.0, 1.0], [-1.0, 3.0], [1.0, -1.0], [-1.0, 3.0]])
    found = [row.value for row in rows("case", "them", errors, np.ones((4, 2)))]
    assert found[:2] == [75.0, 50.0]
    assert found[2] == pytest.approx(1.96 * 0.5 * (1.0 + 1.0 / np.sqrt(5.0)))


@pytest.mark.parametrize(
    ("argv", "why"), [(["--seeds", "1"], "expected 2 or more"), (["--parts", "x"], "unknown part")]
)
def test_bad_input_is_one_line(
    argv: list[str], why: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["bench", "calibration", *argv]) == 2
    assert why in capsys.readouterr().err


def test_a_part_that_refuses_much_is_no_result() -> None:
    def refuse(rng: np.random.Generator) -> float:
        raise ValueError("too little is seen")

    with pytest.raises(ValueError, match="too little is seen"):
        load("_calibration_rows").every("case", 20, refuse)
