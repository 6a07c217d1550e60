"""Calibration records: arithmetic of residuals, identity, what is refused."""

import hashlib
import math
from dataclasses import replace
from datetime import datetime, timezone
from pathlib import Path

import numpy as np
import pytest

from sim2arm.core.calibration_record import (
    InputFile,
    Picture,
    Quantity,
    Residuals,
    input_file,
    make_quantity,
    make_residuals,
    utc_now,
)
from tests.core.calibrations import make_record


def test_residuals_by_hand() -> None:
    translation = make_record().residuals["translation"]
    # 3e-4, 4e-4 and 0 are used: sqrt((9 + 16 + 0) / 3) e-4 = 5 / sqrt(3) e-4
    assert translation.rms == pytest.approx(5e-4 / math.sqrt(3))
    np.testing.assert_array_equal(translation.used, [3e-4, 4e-4, 0.0])


def test_a_residual_above_its_limit_is_a_problem() -> None:
    assert make_record().problems == []
    bad = make_residuals([0.003, 0.004], "m", limit=0.0035)  # rms 0.00354
    assert make_record(residuals={"translation": bad}).problems == [
        "translation: root mean square 0.00354 m, limit 0.0035 m"
    ]
    broken = Residuals(numbers=(math.nan,), unit="m", limit=1.0)
    assert len(make_record(residuals={"translation": broken}).problems) == 1


def test_values_are_arrays_with_a_unit_for_each_element() -> None:
    record = make_record()
    assert record.value("K").shape == (3, 3) and record.value("K")[1, 2] == 240.0
    assert record.value("delay").shape == () and float(record.value("delay")) == 0.012
    assert record.values["pose_tool_camera"].units == ("m", "m", "m", "1", "1", "1", "1")
    assert record.values["K"].units == ("px",) * 9
    with pytest.raises(ValueError, match=r"no value 'k'. Values: \['K', 'delay', 'pose_tool_ca"):
        record.value("k")


def test_the_id_is_that_of_the_content() -> None:
    record = make_record()
    assert record.id == make_record().id and len(record.id) == 16
    changed = dict(record.values) | {"delay": make_quantity(0.0120000001, "s", uncertainty=0.001)}
    assert replace(record, values=changed).id != record.id


def test_hash_of_an_input_file(tmp_path: Path) -> None:
    data = bytes(range(256)) * 10_000  # more than one block
    (tmp_path / "a.bin").write_bytes(data)
    entry = input_file(tmp_path / "a.bin", "note")
    assert entry.sha256 == hashlib.sha256(data).hexdigest()
    assert (entry.name, entry.note) == (str(tmp_path / "a.bin"), "note")


def test_the_date_has_an_offset() -> None:
    date = utc_now()
    assert abs((datetime.now(timezone.utc) - datetime.fromisoformat(date)).total_seconds()) < 60
    assert make_record(date=date).date == date
    for wrong in ("2030-01-31T12:00:00", "yesterday", ""):
        with pytest.raises(ValueError, match="date: expected ISO 8601 with an offset"):
            make_record(date=wrong)


def test_what_a_quantity_refuses() -> None:
    with pytest.raises(ValueError, match=r"numbers: expected 3 for shape \(3,\), got 2"):
        Quantity(numbers=(1.0, 2.0), shape=(3,), unit="m")
    with pytest.raises(ValueError, match="uncertainty: expected 2 numbers of 0 or more"):
        make_quantity([1.0, 2.0], "m", uncertainty=[0.1, -0.1])
    with pytest.raises(ValueError, match="element_names: expected 2 or none, got 1"):
        make_quantity([1.0, 2.0], "m", element_names=["x"])
    with pytest.raises(ValueError, match="unit: expected 1 or 2 separated by spaces, got 'm m m'"):
        make_quantity([1.0, 2.0], "m m m")


def test_what_the_other_parts_refuse() -> None:
    with pytest.raises(ValueError, match="no sample is left of 2"):
        make_residuals([1.0, 2.0], "m", excluded=[0, 1])
    with pytest.raises(ValueError, match="no sample is left of 0"):
        make_residuals([], "m")
    with pytest.raises(ValueError, match=r"expected indices from 0 to 1, got \(2,\)"):
        make_residuals([1.0, 2.0], "m", excluded=[2])
    with pytest.raises(ValueError, match="expected 64 hexadecimal digits, got 'AB'"):
        InputFile(name="a", sha256="AB")
    for name in ("../a.png", "/a.png", ".a.png", "a.svg", "a/b.png"):
        with pytest.raises(ValueError, match="file: expected a plain name"):
            Picture(file=name, sha256="ab" * 32, caption="")
    with pytest.raises(ValueError, match="device: must not be empty"):
        make_record(device="")
    with pytest.raises(ValueError, match="at least one value"):
        make_record(values={})
    with pytest.raises(ValueError, match="pictures: every file once"):
        make_record(pictures=make_record().pictures * 2)
