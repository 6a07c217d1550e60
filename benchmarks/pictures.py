"""`sim2arm bench pictures`: a camera's pictures from sensor_node to a policy's process.

Two processes on this machine over real DDS, 640 x 480 pixels at 30 Hz, one case after the other:
`sensor_node` with a camera that paints, and a node that takes and decodes every picture as
`policy_node` does (`check_picture`, `read_picture`; best effort, depth 1).

- *latency*: from when the picture was taken to when its array is in the hands of the listener. It
  holds the way from the camera's thread to sensor_node's, the compression, DDS, and the decoding.
- *lost*: pictures that the camera took between the first and the last that were heard, and that
  were not: skipped by sensor_node, which publishes the newest, or lost on the way.
- *processor*: share of one core of each process, Python and DDS threads together.
- *size* on the wire.

Raw is the baseline of compressed.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from sim2arm.cli.errors import UserError
from sim2arm.cli.outputs import check_file
from sim2arm.cli.parse import parse
from sim2arm.cli.table import Row, format_results, write_results
from sim2arm_ros.launcher import private_domain

HERE = Path(__file__).resolve().parent
CASES = ("colour, raw", "colour, JPEG", "depth, raw", "depth, PNG")
SHARES = {"p50": 0.5, "p99": 0.99, "max": 1.0}
RATE_HZ = 30.0
"""Of the camera, as in `_pictures.py`."""
_SETTLE_S = 1.5
_END_S = 20.0


@dataclass(frozen=True, kw_only=True)
class BenchPicturesCfg:
    """Measure latency, losses and processor time of raw and compressed pictures."""

    seconds: float = 20.0
    """How long each case takes [s]."""
    json: Path | None = None
    """Write the rows there."""


@dataclass(frozen=True, kw_only=True)
class Found:
    """What was measured of one case."""

    latency_s: np.ndarray
    heard: int
    lost: int
    cpu_send: float
    cpu_hear: float
    size: float
    """Of a picture on the wire [bytes]."""


def main(argv: Sequence[str]) -> int:
    """Run the benchmark."""
    cfg = parse(BenchPicturesCfg, argv, "sim2arm bench pictures")
    if cfg.seconds < 1:
        raise UserError(f"--seconds: expected 1 or more, got {cfg.seconds:g}")
    check_file("--json", cfg.json)
    found: dict[str, Found] = {}
    for case in CASES:
        print(f"bench pictures: {case}", file=sys.stderr)
        found[case] = measure(case, cfg.seconds)
    rows = [row for case in CASES for row in rows_of(case, found)]
    print(format_results(rows))
    if cfg.json is not None:
        write_results(cfg.json, "pictures", rows)
    return 0


def measure(case: str, seconds: float) -> Found:
    """Run both processes for a time."""
    env = {**os.environ, **private_domain(), "OMP_NUM_THREADS": "1"}
    sender, hearer = _start("send", case, env), _start("hear", case, env)
    time.sleep(_SETTLE_S + seconds)
    heard, sent = _end(hearer), _end(sender)
    # What came before both were settled does not count.
    first = heard["heard"][0][0] + round(1e9 * _SETTLE_S) if heard["heard"] else 0
    counted = [each for each in heard["heard"] if each[0] >= first]
    if not counted:
        raise UserError(f"{case}: no picture was heard")
    stamps = sorted({each[0] for each in counted})
    taken = round(1e-9 * (stamps[-1] - stamps[0]) * RATE_HZ) + 1
    return Found(
        latency_s=np.array([each[1] for each in counted]),
        heard=len(counted),
        lost=taken - len(stamps),
        cpu_send=sent["cpu"],
        cpu_hear=heard["cpu"],
        size=float(np.mean([each[2] for each in counted])),
    )


def _start(role: str, case: str, env: dict[str, str]) -> subprocess.Popen[str]:
    process = subprocess.Popen(
        [sys.executable, str(HERE / "_pictures.py"), role, case],
        stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env=env,
    )  # fmt: skip
    assert process.stdout is not None
    if process.stdout.readline().strip() != "ready":
        process.kill()
        raise RuntimeError(f"{role}: the process did not start")
    return process


def _end(process: subprocess.Popen[str]) -> dict[str, Any]:
    output, _ = process.communicate("", timeout=_END_S)
    if process.returncode != 0:
        raise RuntimeError(f"{process.args}: ended with {process.returncode}")
    return json.loads(output.splitlines()[-1])


def rows_of(case: str, found: dict[str, Found]) -> list[Row]:
    """Return the rows of a case, beside its raw baseline if it is compressed."""
    mine = found[case]
    kind = case.partition(",")[0]
    raw = found[f"{kind}, raw"] if not case.endswith("raw") else None
    return [
        Row(case=case, metric=metric, value=value, unit=unit)
        if raw is None or metric in ("lost", "heard")
        else Row(case=case, metric=metric, value=value, unit=unit, baseline=f"{kind}, raw",
                 baseline_value=_values(raw)[metric, unit])
        for (metric, unit), value in _values(mine).items()
    ]  # fmt: skip


def _values(found: Found) -> dict[tuple[str, str], float]:
    """Return what is told, by metric and unit."""
    shares = {
        (f"latency, {name}", "ms"): 1e3 * float(np.quantile(found.latency_s, share))
        for name, share in SHARES.items()
    }
    return shares | {
        ("processor of sensor_node", "%"): 100.0 * found.cpu_send,
        ("processor of the listener", "%"): 100.0 * found.cpu_hear,
        ("size", "kB"): 1e-3 * found.size,
        ("lost", ""): found.lost,
        ("heard", ""): found.heard,
    }
