"""`sim2arm bench page`: what the operator's page costs, and what it costs the gate.

- *CPU of operator_node*: user and system time of its process over wall time, from /proc, in % of
  a core. Joint states come at 1 kHz, the gate's state at 10 Hz, and, with cameras, two streams of
  640 x 480 RGB at 30 Hz. Unwatched nobody has the page open; watched one browser has.
- *observation to command*: as in `sim2arm bench ros`, through policy, gate and simulated arm at 60
  Hz, without the page and beside a page that one browser watches. The browser draws without a GPU
  on the same machine, niced, which a robot's computer need not do.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Generator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Literal

import numpy as np
import torch
from _ros_policies import Files, make_bundle
from ros import run_nodes
from torch import Tensor, nn

from sim2arm.cli.errors import UserError
from sim2arm.cli.outputs import check_file
from sim2arm.cli.parse import parse
from sim2arm.cli.ros import free_port
from sim2arm.cli.table import Row, format_results, write_results
from sim2arm.core.contract import Contract
from sim2arm.core.driver_stage import DriverStage
from sim2arm.core.spec import ArraySpec
from sim2arm.policies.export import export_bundle
from sim2arm.policies.runtime import OnnxPolicy
from sim2arm_ros.dds import RosImportError, install
from sim2arm_ros.graph_file import DEFAULT_GRAPH
from sim2arm_ros.launcher import Launch, Place, operator_page, private_domain

HERE = Path(__file__).resolve().parent
CAMERAS = ("scene_rgb", "wrist_rgb")
BROWSERS = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")
_SETTLE_S = 3.0
_START_S = 30.0


@dataclass(frozen=True, kw_only=True)
class BenchPageCfg:
    """Measure what the operator's page costs."""

    seconds: float = 10.0
    """How long each measurement takes [s]."""
    only: Literal["both", "cpu", "gate"] = "both"
    """What is measured: the page's CPU, or the gate beside it."""
    json: Path | None = None
    """Write the rows there."""


class Still(nn.Module):
    """A policy that sees two cameras and asks for nothing."""

    def forward(
        self, obs: dict[str, Tensor], state: dict[str, Tensor], noise: dict[str, Tensor]
    ) -> tuple[Tensor, dict[str, Tensor]]:
        """Return no motion (B, 1, 6)."""
        seen = sum(obs[name].to(torch.float32).mean(dim=(1, 2, 3)) for name in CAMERAS)
        rows = obs["joint_position"].mean(dim=1) + 0.0 * seen
        return 0.0 * rows[:, None, None].expand(-1, 1, 6), {}


def main(argv: Sequence[str]) -> int:
    """Run the benchmark."""
    cfg = parse(BenchPageCfg, argv, "sim2arm bench page")
    if cfg.seconds < 1:
        raise UserError(f"--seconds: expected 1 or more, got {cfg.seconds:g}")
    check_file("--json", cfg.json)
    browser = next((path for name in BROWSERS if (path := shutil.which(name))), None)
    if browser is None:
        raise UserError(f"needs a browser: none of {', '.join(BROWSERS)} (apt install chromium)")
    try:
        print(f"bench page: {install()}", file=sys.stderr)
    except RosImportError as error:
        raise UserError(str(error)) from error
    rows: list[Row] = []
    with tempfile.TemporaryDirectory(prefix="sim2arm-bench-") as name:
        folder = Path(name)
        files = make_bundle("state", 60.0, cfg.seconds + 30.0, folder)
        seeing = make_seeing(OnnxPolicy(files.bundle).contract, folder / "seeing")
        cases = [(c, w) for c in (False, True) for w in (False, True)] * (cfg.only != "gate")
        for cameras, watched in cases:
            rows.append(cpu(seeing, folder, browser, cfg.seconds, cameras, watched))
        if cfg.only != "cpu":
            rows += beside(files, folder, browser, cfg.seconds)
    print(format_results(rows))
    if cfg.json is not None:
        write_results(cfg.json, "page", rows)
    return 0


def make_seeing(contract: Contract, folder: Path) -> Path:
    """Export a policy that sees joint positions and two cameras of 640 x 480."""
    stage = DriverStage(width=640, height=480, out_width=84, out_height=84)
    cameras = tuple(
        ArraySpec(name=name, kind="sensor", shape=(84, 84, 3), dtype="uint8", unit="1",
                  rate_hz=30.0, max_stamp_age_s=0.5, max_receipt_age_s=0.5, frame=f"{name}_optical",
                  driver_stage=stage.text)
        for name in CAMERAS
    )  # fmt: skip
    inputs = (contract.input("joint_position"), *cameras)
    seeing = replace(contract, inputs=inputs, ranges=())
    sequence: dict[str, Any] = {"joint_position": np.zeros((4, 7), np.float32)}
    sequence |= {name: np.zeros((4, 84, 84, 3), np.uint8) for name in CAMERAS}
    return export_bundle(Still(), seeing, [sequence], folder).path


@contextmanager
def browsing(browser: str, port: int, folder: Path) -> Generator[None]:
    """Let a browser have the page open, below everything else."""
    words = ["nice", "-n", "15", browser, "--headless=new", "--no-sandbox", "--no-first-run",
             "--enable-unsafe-swiftshader", "--use-angle=swiftshader", "--window-size=1280,800",
             f"--user-data-dir={folder}", "--remote-debugging-port=0",
             f"http://127.0.0.1:{port}"]  # fmt: skip
    silent = subprocess.DEVNULL
    with subprocess.Popen(words, stdout=silent, stderr=silent) as process:
        try:
            yield
        finally:
            process.terminate()


def cpu(
    bundle: Path, folder: Path, browser: str, seconds: float, cameras: bool, watched: bool
) -> Row:
    """Return the CPU of operator_node in one case."""
    case = f"{'two cameras' if cameras else 'joints alone'}, {'' if watched else 'un'}watched"
    print(f"bench page: {case}, {seconds:g} s", file=sys.stderr, flush=True)
    port, env = free_port("127.0.0.1"), private_domain()
    graph = folder / "graph.yaml"
    graph.write_text(DEFAULT_GRAPH.read_text().replace("    staged: true\n", ""))
    page = operator_page(bundle, place=Place(graph=graph), port=port)
    load = [sys.executable, str(HERE / "_page_load.py"), *(CAMERAS if cameras else ())]
    with (
        Launch([page], log_folder=folder / "logs", env=env) as launch,
        subprocess.Popen(load, env={**os.environ, **env}) as source,
    ):
        process = launch.processes["operator_node"]
        try:
            _wait_for(folder / "logs" / "operator_node.log", "open http")
            if not watched:
                share = _share(process.pid, seconds)
            else:
                with browsing(browser, port, Path(tempfile.mkdtemp(dir=folder))):
                    _wait_for(folder / "logs" / "operator_node.log", "open in 1 browsers")
                    share = _share(process.pid, seconds)
            if process.poll() is not None:
                raise UserError(f"operator_node ended: {launch.tail('operator_node')}")
        finally:
            source.kill()
        (folder / "logs" / "operator_node.log").unlink()
    return Row(case=case, metric="CPU of operator_node", value=100.0 * share, unit="% of a core")


def beside(files: Files, folder: Path, browser: str, seconds: float) -> list[Row]:
    """Return the latency of commands beside a watched page, beside that without one."""
    shares = {"p50": 0.5, "p99": 0.99, "max": 1.0}
    print(f"bench page: the gate, {seconds:g} s twice", file=sys.stderr, flush=True)
    alone = run_nodes(files, 60.0, seconds, folder / "alone")
    port = free_port("127.0.0.1")
    page = operator_page(files.bundle, port=port, simulated=True)
    with browsing(browser, port, folder / "beside-profile"):
        both = run_nodes(files, 60.0, seconds, folder / "beside", also=[page])
    rows = [
        Row(case="60 Hz, beside a watched page", metric=f"observation to command, {name}",
            value=1e3 * float(np.quantile(both.latency.seconds, share)), unit="ms",
            baseline="no page",
            baseline_value=1e3 * float(np.quantile(alone.latency.seconds, share)))
        for name, share in shares.items()
    ]  # fmt: skip
    return [
        *rows,
        Row(case="60 Hz, beside a watched page", metric="missed periods", value=both.latency.missed,
            baseline="no page", baseline_value=alone.latency.missed),
    ]  # fmt: skip


def _share(pid: int, seconds: float) -> float:
    """Return the share of a core that a process uses for a while, once it has settled."""
    time.sleep(_SETTLE_S)
    before, start = _ticks(pid), time.monotonic()
    time.sleep(seconds)
    return (_ticks(pid) - before) / os.sysconf("SC_CLK_TCK") / (time.monotonic() - start)


def _ticks(pid: int) -> int:
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return int(fields[11]) + int(fields[12])  # utime and stime, proc(5)


def _wait_for(path: Path, text: str) -> None:
    end = time.monotonic() + _START_S
    while not (path.is_file() and text in path.read_text()):
        if time.monotonic() > end:
            said = path.read_text()[-500:] if path.is_file() else "nothing"
            raise UserError(f"the page did not start: {said}")
        time.sleep(0.1)
