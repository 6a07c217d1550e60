"""`bench env` measures every row beside its baseline; the baseline does the same work as we do."""

# pyright: standard

import importlib
import json
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from sim2arm.cli import bench
from sim2arm.cli.checkout import find_checkout
from sim2arm.cli.errors import UserError
from sim2arm.core.robots import FR3
from sim2arm.sim.arm import make_task
from sim2arm.sim.env import Env

ROOT = find_checkout()
pytestmark = pytest.mark.skipif(ROOT is None, reason="benchmarks are part of a checkout")


def test_rows_and_baselines(tmp_path: Path) -> None:
    path = tmp_path / "env.json"
    small = ["--worlds", "3", "--steps", "4", "--repeats", "1", "--threads", "1"]
    small += ["--vector-worlds", "2", "--vector-steps", "4", "--json", str(path)]
    assert bench.main(["env", *small]) == 0
    written = json.loads(path.read_text())
    assert written["name"] == "env"
    rows: list[dict[str, Any]] = written["rows"]
    compared = [(row["case"], row["metric"], row["baseline"]) for row in rows if row["baseline"]]
    assert compared == [
        ("peg-insertion, 2 worlds, 8 physics steps per action", "physics steps", "AsyncVectorEnv"),
        ("peg-insertion, 2 worlds, 1 physics steps per action", "physics steps", "AsyncVectorEnv"),
        ("peg-insertion, 3 worlds", "env steps", "mujoco.batch"),
    ]
    assert all(row["value"] > 0 and row["ratio"] > 0 for row in rows if row["baseline"])
    shares = {row["metric"]: row["value"] for row in rows if row["metric"].startswith("share")}
    assert sum(shares.values()) == pytest.approx(100.0)
    assert shares["share of physics"] > 0
    assert shares["share of controller"] > 0


def test_bad_numbers_are_refused() -> None:
    with pytest.raises(UserError, match="must be 1 or more"):
        bench.main(["env", "--steps", "0"])


@pytest.mark.parametrize(("control_hz", "substeps"), [(60.0, 8), (480.0, 1)])
def test_the_single_world_does_the_same_work(
    control_hz: float, substeps: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert ROOT is not None
    monkeypatch.setattr(sys, "path", [str(ROOT / "benchmarks"), *sys.path])
    single = importlib.import_module("_single_env")
    theirs = single.SinglePegInsertion(FR3, control_hz=control_hz, substeps=substeps)
    ours = Env(make_task("peg-insertion", "fr3"), FR3, num_envs=1, control_hz=control_hz)
    found, _ = theirs.reset(seed=3)
    expected = ours.reset([3])
    rng = np.random.default_rng(0)
    for _ in range(20):
        flat = np.concatenate([expected[name].numpy()[0] for name in single.SIZES])
        # Motion to 1e-6; forces are those of a stiff contact.
        np.testing.assert_allclose(found[:-9], flat[:-9], atol=1e-6)
        np.testing.assert_allclose(found[-9:], flat[-9:], atol=1e-3)
        action = rng.uniform(-1.0, 1.0, 6).astype(np.float32)
        found, reward, terminated, truncated, _ = theirs.step(action)
        expected, wanted, ended, cut, _ = ours.step(torch.from_numpy(action)[None])
        assert reward == pytest.approx(float(wanted[0]), abs=1e-6)
        assert (terminated, truncated) == (bool(ended[0]), bool(cut[0]))
