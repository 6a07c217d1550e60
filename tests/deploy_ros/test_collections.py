# pyright: standard
"""What Python's garbage collector looks through while a node runs: not all that was imported."""

from __future__ import annotations

import subprocess
import sys

from sim2arm_ros.dds import context as _needs_the_dds_extra  # noqa: F401

PROGRAM = """
import gc
from sim2arm_ros.dds import install
install()
from sim2arm_ros import gate_node
from sim2arm_ros.node_support import run_nodes
print(len(gc.get_objects()))
run_nodes(list, lambda executor, nodes: print(len(gc.get_objects())))
"""


def test_a_running_node_does_not_look_through_what_it_imported() -> None:
    """It took the gate 0.1 s on a busy computer, 4 s after its start: its session was over."""
    done = subprocess.run([sys.executable, "-c", PROGRAM], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    imported, watched = (int(line) for line in done.stdout.split()[-2:])
    assert imported > 10_000 and watched < 0.05 * imported
