"""`sim2arm train` under `torchrun`: one run folder, one voice; Ctrl-C and resume."""

# pyright: standard

from __future__ import annotations

import csv
import signal
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path

import pytest

from sim2arm.cli.errors import UserError
from sim2arm.cli.experiments import EXPERIMENTS
from sim2arm.cli.runs import CHECKPOINT, METRICS, build_learner
from sim2arm.policies.checkpoint import load_checkpoint
from sim2arm.policies.distributed import Ranks

SMALL = ["reach-ppo", "--num-envs", "4", "--algo.rollout", "8", "--algo.hidden", "8",
         "--trial-episodes", "2", "--trial-every", "1000000"]  # fmt: skip
EASY = ["--task.position-tolerance", "10", "--task.rotation-tolerance", "10",
        "--task.hold-steps", "4", "--task.max-steps", "9", "--randomization", "arm",
        "--curriculum.start", "0", "--curriculum.step", "0.5",
        "--curriculum.episodes", "8"]  # fmt: skip
"""Every episode succeeds in its fourth step, two in a roll-out; a block is one of each world."""


def start(*words: str) -> subprocess.Popen[str]:
    """Start a training of two ranks."""
    torchrun = [sys.executable, "-m", "torch.distributed.run", "--standalone"]
    command = [*torchrun, "--nproc-per-node", "2", "-m", "sim2arm.cli.main", "train", *words]
    return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


def rows_of(out: Path) -> list[dict[str, str]]:
    """The metrics of a run, none before it has any."""
    path = out / METRICS
    if not path.is_file():
        return []
    with path.open(newline="") as file:
        return list(csv.DictReader(file))


def children(pid: int) -> list[int]:
    """The processes that a process has started."""
    return [int(n) for n in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]


def test_ctrl_c_ends_all_ranks_and_the_run_goes_on_from_there(tmp_path: Path) -> None:
    out = tmp_path / "run"
    words = [*SMALL, *EASY, "--iterations", "100000", "--out", str(out)]
    running = start(*words)
    begun = time.monotonic()
    while len(rows_of(out)) < 3 and running.poll() is None:
        assert time.monotonic() - begun < 100.0
        time.sleep(0.1)
    ranks = children(running.pid)
    assert len(ranks) == 2
    running.send_signal(signal.SIGINT)  # torchrun passes it on to both
    _, said = running.communicate(timeout=60)
    assert running.returncode != 0
    assert not any(Path(f"/proc/{pid}").exists() for pid in ranks)
    again = " ".join(["torchrun --nproc-per-node 2 -m sim2arm.cli.main train", *words, "--resume"])
    assert said.count("sim2arm: interrupted") == 1
    assert f"resume with: {again}" in said
    done = len(rows_of(out))
    assert int(load_checkpoint(out / CHECKPOINT)["iteration"]) == done  # a whole iteration

    goes_on = start(*SMALL, *EASY, "--iterations", str(done + 2), "--out", str(out), "--resume")
    printed, said = goes_on.communicate(timeout=100)
    assert goes_on.returncode == 0, said
    assert printed.count("metrics, checkpoint and report.html") == 1
    rows = rows_of(out)
    assert [int(row["iteration"]) for row in rows] == list(range(1, done + 3))
    assert int(rows[-1]["steps"]) == 4 * 8 * (done + 2)  # of all worlds
    assert rows[-1]["measured"] == "1.0"
    # All four worlds of both ranks are the block: eight begin in the first roll-out, and the last
    # of them end in the second. With those of one rank alone it would take a third.
    levels = [float(row["level"]) for row in rows]
    assert levels[:done] == [min(1.0, 0.5 * (k // 2)) for k in range(done)]
    assert levels[done:] == [min(1.0, 0.5 * (done // 2))] * 2  # a new block takes both
    assert (out / "report.html").is_file()


def test_worlds_that_do_not_divide_are_one_line() -> None:
    cfg = EXPERIMENTS["reach-ppo"][1]
    two = Ranks(rank=1, size=2, local_rank=1, local_size=2)
    with pytest.raises(UserError, match="num_envs: expected a multiple of the 2 ranks, got 5"):
        build_learner(replace(cfg, num_envs=5), ranks=two)
    few = replace(cfg, num_envs=4, algo=replace(cfg.algo, rollout=1, minibatches=4))
    with pytest.raises(UserError, match=r"num_envs x algo.rollout: expected 4 or more, got 2"):
        build_learner(few, ranks=two)
