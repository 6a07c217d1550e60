"""`sim2arm bench calibration`: rows of a part, what intervals are worth, bad input."""

# pyright: standard

import json
from pathlib import Path

import numpy as np
import pytest

from sim2arm.cli.main import main
from tests.calibration.rigs import ROOT, load

pytestmark = pytest.mark.skipif(ROOT is None, reason="benchmarks are part of a checkout")


def test_a_part_writes_its_rows(tmp_path: Path) -> None:
    file = tmp_path / "calibration.json"
    argv = ["bench", "calibration", "--parts", "drift", "--seeds", "3", "--json", str(file)]
    assert main(argv) == 0
    rows = {row["metric"]: row for row in json.loads(file.read_text())["rows"]}
    assert rows["the joint named"]["value"] == 100.0
    assert 0.0 < rows["error of an offset"]["value"] < 0.3


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
