"""What the wiggle of `sim2arm doctor robot` tells of time: items, and the record for training."""

# pyright: standard

from __future__ import annotations

import time
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from sim2arm.calibration.delay import DelayCfg, find_delay
from sim2arm.calibration.latency import latency_record
from sim2arm.calibration.motion import States
from sim2arm.core.calibration_record import CalibrationRecord
from sim2arm.policies.bundle import GOLDEN
from sim2arm.policies.golden import read_golden
from sim2arm.policies.runtime import OnnxPolicy
from sim2arm_ros.activation import Item, at_most
from sim2arm_ros.wiggle import Heard

from .machine import describe_commit, describe_machine, describe_versions

LOOK = DelayCfg(low=-0.2, high=0.8, limit_ms=10.0)
"""Where the delay is looked for, and how well it has to be known: joints go slowly and a little, so
that nearer delays would explain as much. Nothing is trained with it."""
_FIRST, _CALLS = 10, 60
"""Answers of the network that warm it up, and all of them."""
_LONGEST_S = 1.0  # what is later than that counts as lost, as in `sim2arm bench ros`


def network_seconds(bundle: Path) -> NDArray[np.float64]:
    """Return how long the policy takes for its answer, on its golden inputs (M,) [s].

    Raises:
        BundleError: the bundle cannot be run.
    """
    policy = OnnxPolicy(bundle)
    path = bundle / GOLDEN
    golden = read_golden(path.read_bytes(), policy.contract, str(path))
    seconds: list[float] = []
    for call in range(_CALLS):
        step = call % len(golden.resets)
        if golden.resets[step]:
            policy.reset()
        specs = policy.contract.observations
        obs = {spec.name: golden.inputs[spec.name][step][None] for spec in specs}
        begin = time.perf_counter()
        policy.act(obs)
        seconds.append(time.perf_counter() - begin)
    return np.array(seconds[_FIRST:])


def with_network(latency_s: list[float], network: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return latencies (M,) [s] with what the network would have taken in each."""
    ways = np.array(latency_s)
    return ways + np.resize(network, ways.shape) if len(network) else ways


def latency_items(heard: Heard, latency: NDArray[np.float64], period: float) -> list[Item]:
    """Return the items of what was measured.

    Args:
        heard: while the arm moved.
        latency: from observation to command (M,) [s].
        period: of control [s].
    """
    late = "commands are joined on their way: a faster computer, fewer programs on it, or a cable"
    middle, high = (np.quantile(latency, (0.5, 0.99))) if len(latency) else (None, None)
    lost = heard.commands - len(latency)
    measured = "" if high is None else f"{high:.3g}"
    return [
        at_most("observation to command: median", middle, period, "s", late),
        Item(name="observation to command: 99 %", expected="for training", measured=measured,
             unit="s", ok=high is not None),
        Item(name="commands that were measured", expected="all but a few", ok=bool(len(latency)),
             measured=f"{len(latency)} of {len(latency) + max(lost, 0)}",
             note="are joint states stamped by a clock that goes on?"),
        _motion_item(heard),
    ]  # fmt: skip


def _motion_item(heard: Heard) -> Item:
    """Return by how much the measured motion lies behind what the controller commands."""
    name, cfg = "command to motion", LOOK
    moved, seen = States(), States()
    try:
        first = heard.moved[0][0] if heard.moved else 0
        for states, rows in ((moved, heard.moved), (seen, heard.seen)):
            for stamp, q in rows:  # one joint moves at a time: together they move all the time
                states.add((stamp - first) / 1e9, np.array([q @ heard.sides]))
        signals = moved.signal("states of the controller"), seen.signal("joint states")
        found = find_delay(*signals, "follows", cfg)
    except ValueError as error:
        return Item(name=name, expected="a delay that the motion tells", measured="", ok=False,
                    note=str(error))  # fmt: skip
    half = 1.96 * found.sigma
    return Item(
        name=name, expected=f"known to {cfg.limit_ms:g} ms (95 %)", unit="s",
        measured=f"{found.delay:.4f} +- {half:.4f}", ok=1e3 * half <= cfg.limit_ms,
        note="measure it with more motion: sim2arm calibrate latency --of command",
    )  # fmt: skip


def make_record(
    latency: NDArray[np.float64], robot: str, control_hz: float, *, network: bool
) -> CalibrationRecord:
    """Return the record that `sim2arm train --latency` takes.

    Args:
        latency: from observation to command (M,) [s].
        robot: name of the arm.
        control_hz: rate of the requests [Hz].
        network: whether the time of the policy's network is in it.

    Raises:
        ValueError: no latency was below a second.
    """
    usual = latency[latency < _LONGEST_S]
    notes = [] if network else ["The policy answers ahead with chunks: its time is not in it."]
    if len(usual) < len(latency):
        notes.append(f"a second or more late: {len(latency) - len(usual)} of {len(latency)}")
    return latency_record(
        usual,
        device=f"{robot} and its gate, asked from {describe_machine()['cpu']}",
        method="sim2arm doctor robot: from the stamp of the observation that a command answers to "
        "its arrival, while joints moved",
        settings={"rate_hz": control_hz},
        notes=notes,
        versions=describe_versions() | {"commit": describe_commit()},
    )
