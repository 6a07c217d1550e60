# pyright: standard
"""What the wiggle of the doctor tells of time, on motion whose delay is known."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from sim2arm.calibration.latency import read_latency
from sim2arm.cli.robot_latency import latency_items, make_record, network_seconds, with_network
from sim2arm.core.calibration_file import write_record
from sim2arm.core.robots import FR3
from sim2arm_ros.wiggle import Heard, Wiggle, wiggle_contract
from tests.deploy_ros.swinging import swinging_contract, write_swinging

PERIOD = 1.0 / 60.0


def make_heard(delay: float, latency: list[float], rate: float = 240.0) -> Heard:
    """Return what an arm tells that is a delay [s] behind, and whose other joints give way."""
    wiggle = Wiggle(wiggle_contract(swinging_contract()))
    wiggle.begin(np.array(FR3.home))
    heard = Heard(sides=wiggle.sides, latency_s=latency, commands=len(latency))
    give = np.random.default_rng(0).uniform(-0.02, 0.02, (7, 7)) + np.eye(7)
    for k in range(int(wiggle.seconds * rate)):
        t = k / rate
        there = wiggle.goal(max(0.0, t - delay)) - FR3.home
        heard.moved.append((round(1e9 * t), wiggle.goal(t)))
        heard.seen.append((round(1e9 * (t + 0.3 / rate)), FR3.home + give @ there))
    return heard


@pytest.mark.parametrize("delay", [0.0, 0.03, 0.12, 0.3])
def test_the_delay_of_the_motion_is_told(delay: float) -> None:
    heard = make_heard(delay, [0.008] * 100)
    item = latency_items(heard, np.array(heard.latency_s), PERIOD)[-1]
    found, half = (float(word) for word in item.measured.split(" +- "))
    assert item.ok, item.note
    assert found == pytest.approx(delay + 0.3 / 240.0, abs=0.003) and half < 0.005


def test_an_arm_that_does_not_move_is_red() -> None:
    heard = make_heard(0.0, [0.008] * 100)
    heard.seen = [(stamp, np.array(FR3.home)) for stamp, _ in heard.seen]
    item = latency_items(heard, np.array(heard.latency_s), PERIOD)[-1]
    assert not item.ok and "does not change" in item.note


def test_commands_that_are_late_or_were_never_measured_are_red() -> None:
    items = latency_items(make_heard(0.0, []), np.array([0.02] * 9), PERIOD)
    assert not items[0].ok and items[0].measured == "0.02"
    items = latency_items(make_heard(0.0, []), np.array([]), PERIOD)
    assert [item.ok for item in items[:3]] == [False, False, False]


def test_the_record_is_what_training_reads(tmp_path: Path) -> None:
    bundle = write_swinging(tmp_path / "bundle")
    network = network_seconds(bundle)
    assert network.shape == (50,) and (network > 0).all()
    latency = with_network([0.004, 0.006, 2.0], np.array([0.001, 0.002]))
    np.testing.assert_allclose(latency, [0.005, 0.008, 2.001])
    record = make_record(latency, "fr3", 60.0, network=True)
    write_record(tmp_path / "latency.yaml", record)
    assert read_latency(tmp_path / "latency.yaml") == (0.005, 0.008)
    assert record.notes == ("a second or more late: 1 of 3",)
