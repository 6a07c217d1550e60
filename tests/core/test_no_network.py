"""Nothing speaks to a network when it is imported: every module, with sockets refused."""

from __future__ import annotations

import os
import subprocess
import sys

ROBOT_SIDE = ("core", "sensors", "calibration", "policies.dataset")
"""What `make test-base` has the libraries for; nodes that need a rclpy are left out there too."""
SCRIPT = """
import importlib, pkgutil, sys

def refuse(event, arguments):
    if event.startswith("socket."):
        raise RuntimeError(f"network at import: {event} {arguments}")

sys.addaudithook(refuse)
from sim2arm_ros.dds import RosImportError, install
ros = True
try:
    install()
except RosImportError:
    ros = False
done = left = 0
for name in sys.argv[1:]:
    package = importlib.import_module(name)
    for found in pkgutil.walk_packages(package.__path__, f"{name}."):
        try:
            importlib.import_module(found.name)
            done += 1
        except ModuleNotFoundError as error:
            of_ros = ("rclpy", "_msgs", "_srvs", "_interfaces", "cyclonedds", "rosbags", "mujoco",
                  "viser", "websockets")
            if ros or not (error.name or "").partition(".")[0].endswith(of_ros):
                raise
            left += 1
print(done, left)
try:
    __import__("socket").socket()
except RuntimeError as error:
    print(error)
"""


def test_every_module_is_imported_without_a_socket() -> None:
    base = os.environ.get("SIM2ARM_BASE") == "1"
    names = [f"sim2arm.{name}" for name in ROBOT_SIDE] if base else ["sim2arm"]
    done = subprocess.run(
        [sys.executable, "-c", SCRIPT, *names, "sim2arm_ros"], capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr[-2000:]
    counts, refused = done.stdout.splitlines()[-2:]
    imported, left = map(int, counts.split())
    assert imported > (100 if base else 450) and (base or left == 0), counts
    assert refused.startswith("network at import: socket.__new__")  # the guard is one
