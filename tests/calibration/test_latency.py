"""Measured latencies: there and back through a file, into delays, and what is refused."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from sim2arm.calibration.latency import SAMPLES, latency_record, read_latency
from sim2arm.core.calibration_file import write_record
from sim2arm.core.calibration_record import make_quantity
from sim2arm.sim.delay import CommandDelay
from sim2arm.sim.sensing import Delay


def make_latency(samples: Any = (0.004, 0.003, 0.010, 0.003)) -> Any:
    return latency_record(samples, device="fr3, 192.0.2.1", method="from command to motion")


def test_what_was_measured_is_what_delays_draw_from(tmp_path: Path) -> None:
    path = tmp_path / "latency.yaml"
    record = make_latency()
    write_record(path, record)
    measured = read_latency(path)
    assert measured == (0.004, 0.003, 0.010, 0.003)
    assert CommandDelay(samples=measured).samples == measured
    assert Delay(names=("joint_position",), samples=measured).samples == measured
    # Median of 3 3 4 10; the page for people names it.
    assert record.values[SAMPLES].note.startswith("p50 3.5 ms, p99 9.82 ms, greatest 10 ms")
    assert "p50 3.5 ms" in path.with_suffix(".html").read_text()


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"what": "hand-eye"}, "what: expected a calibration of 'latency', got 'hand-eye'"),
        ({"values": {"mean": make_quantity(0.1, "s")}}, "latency has no value 'samples'"),
        ({"values": {SAMPLES: make_quantity([1.0, 2.0], "ms")}}, "unit: expected 's', got 'ms'"),
        ({"values": {SAMPLES: make_quantity(0.1, "s")}}, r"\(M,\) latencies.* got shape \(\)"),
        ({"values": {SAMPLES: make_quantity([], "s")}}, r"got shape \(0,\)"),
        ({"values": {SAMPLES: make_quantity([0.1, -0.1], "s")}}, "0 to below 1 s, got -0.1"),
        ({"values": {SAMPLES: make_quantity([3.0], "s")}}, "0 to below 1 s, got 3.0"),
    ],
)
def test_other_records_are_refused_with_their_file(
    tmp_path: Path, change: dict[str, Any], message: str
) -> None:
    path = tmp_path / "record.yaml"
    write_record(path, replace(make_latency(), **change))
    with pytest.raises(ValueError, match=f"record.yaml: .*{message}") as caught:
        read_latency(path)
    assert "\n" not in str(caught.value)


def test_files_that_are_no_record_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "some.yaml"
    with pytest.raises(ValueError, match=r"some\.yaml: cannot be read"):
        read_latency(path)
    path.write_text("version: 99\n")
    with pytest.raises(ValueError, match=r"some\.yaml: version: this program reads"):
        read_latency(path)


def test_what_was_not_measured_makes_no_record() -> None:
    for samples in ([], [np.nan], [0.1, 1.0], [[0.1]]):
        with pytest.raises(ValueError, match="samples: expected"):
            make_latency(samples)
