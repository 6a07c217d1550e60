"""Nodes end when the process that started them is gone, however it went."""

# pyright: standard

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

from sim2arm_ros.dds import context as _needs_the_dds_extra  # noqa: F401

SCRIPT = """
import sys, time
from pathlib import Path
from sim2arm_ros.launcher import Launch, private_domain, simulated_arm
arm = simulated_arm("reach", "fr3", 60.0, lock_step=False)
launch = Launch([arm], log_folder=Path(sys.argv[1]), env=private_domain())
print(launch.processes["sim_arm_node"].pid, flush=True)
time.sleep(60)
"""


def _runs(pid: int) -> bool:
    """Return whether a process is there and not a zombie."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


def test_nodes_end_when_their_launcher_is_killed(tmp_path: Path) -> None:
    command = [sys.executable, "-c", SCRIPT, str(tmp_path)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as launcher:
        assert launcher.stdout is not None
        node = int(launcher.stdout.readline())
        log = tmp_path / "sim_arm_node.log"
        end = time.monotonic() + 30.0
        while "rclpy" not in log.read_text() and time.monotonic() < end:
            time.sleep(0.1)
        time.sleep(1.0)  # it starts after it has said which rclpy it runs on
        assert _runs(node)
        launcher.send_signal(signal.SIGKILL)
    end = time.monotonic() + 20.0
    while _runs(node) and time.monotonic() < end:
        time.sleep(0.1)
    alive = _runs(node)
    if alive:
        os.kill(node, signal.SIGKILL)
    assert not alive
