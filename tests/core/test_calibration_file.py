"""Calibration files: round trip, strict reading, and what a crash leaves."""

import os
from pathlib import Path

import numpy as np
import pytest

from sim2arm.core.calibration_file import (
    LARGEST_RECORD,
    parse_record,
    read_pictures,
    read_record,
    write_record,
)
from sim2arm.core.calibration_record import make_quantity
from tests.core.calibrations import PICTURES, make_record


def written(folder: Path) -> Path:
    path = folder / "new" / "hand_eye.yaml"
    write_record(path, make_record(), PICTURES)
    return path


def test_round_trip(tmp_path: Path) -> None:
    path = written(tmp_path)
    record = read_record(path)
    assert record == make_record() and record.id == make_record().id
    assert read_pictures(path, record) == PICTURES
    assert sorted(os.listdir(path.parent)) == ["hand_eye.html", "hand_eye.yaml", "views.png"]


def test_every_digit_survives(tmp_path: Path) -> None:
    numbers = np.random.default_rng(0).normal(size=200) * 10.0 ** np.arange(-100, 100)
    record = make_record(values={"x": make_quantity(numbers, "1")}, pictures=())
    write_record(tmp_path / "x.yaml", record)
    np.testing.assert_array_equal(read_record(tmp_path / "x.yaml").value("x"), numbers)


def test_numbers_that_are_not_finite_are_not_written(tmp_path: Path) -> None:
    record = make_record(values={"x": make_quantity([1.0, np.nan], "m")}, pictures=())
    with pytest.raises(ValueError, match=r"values\.x\.numbers\[1\]: expected a finite number"):
        write_record(tmp_path / "x.yaml", record)
    assert os.listdir(tmp_path) == []


def test_the_record_is_written_last(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    replace, names = Path.replace, list[str]()

    def seen(self: Path, target: Path) -> Path:
        names.append(Path(target).name)
        return replace(self, target)

    monkeypatch.setattr(Path, "replace", seen)
    written(tmp_path)
    assert names == ["views.png", "hand_eye.html", "hand_eye.yaml"]


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("version: 1", "version: 2", "calibration records of version 1, got 2: calibrate again"),
        ("version: 1", "version: '1'", "version: expected a whole number"),
        ("what: hand-eye", "what: hand-eye\ncolour: red", "colour: unknown key"),
        ("method: Park and Martin 1994\n", "", "method: missing key"),
        ("numbers: [0.012]", "numbers: [.inf]", r"values.delay.numbers\[0\]: expected a finite"),
        ("numbers: [0.012]", "numbers: [1, 2]", "values.delay: numbers: expected 1 for shape"),
        ("file: views.png", "file: ../views.png", r"pictures\[0\]: file: expected a plain name"),
        ("unit: px", "unit: !!python/name:os.system ''", "not valid YAML"),
        ("unit: px", "unit: px\n    unit: m", "key 'unit' twice"),
    ],
)
def test_a_changed_file_is_an_error(tmp_path: Path, old: str, new: str, message: str) -> None:
    text = written(tmp_path).read_text()
    assert old in text
    with pytest.raises(ValueError, match=message) as caught:
        parse_record(text.replace(old, new), "hand_eye.yaml")
    assert str(caught.value).startswith("hand_eye.yaml: ") and "\n" not in str(caught.value)


def test_files_that_are_no_records(tmp_path: Path) -> None:
    for name, data, message in (
        ("empty.yaml", b"", "expected a mapping"),
        ("list.yaml", b"- 1", "expected a mapping"),
        ("bytes.yaml", b"\xff\xfe\x00", "cannot be read"),
        ("large.yaml", b"#" * (LARGEST_RECORD + 1), "more than 16000000 bytes"),
    ):
        (tmp_path / name).write_bytes(data)
        with pytest.raises(ValueError, match=f"{name}: .*{message}"):
            read_record(tmp_path / name)
    with pytest.raises(ValueError, match=r"missing\.yaml: cannot be read"):
        read_record(tmp_path / "missing.yaml")


def test_pictures_are_those_of_the_record(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"pictures: expected \['views.png'\], got \[\]"):
        write_record(tmp_path / "a.yaml", make_record())
    with pytest.raises(ValueError, match=r"picture views.png: sha256 .*, expected"):
        write_record(tmp_path / "a.yaml", make_record(), {"views.png": b"another"})
    with pytest.raises(ValueError, match=r"a calibration record is a \.yaml file"):
        write_record(tmp_path / "a.json", make_record(), PICTURES)
    assert os.listdir(tmp_path) == []
    path = written(tmp_path)
    (path.parent / "views.png").write_bytes(b"another")
    with pytest.raises(ValueError, match=r"picture views.png: sha256"):
        read_pictures(path, read_record(path))
    (path.parent / "views.png").unlink()
    with pytest.raises(ValueError, match=r"views.png: cannot be read"):
        read_pictures(path, read_record(path))
