"""Which rclpy an import finds: the fallback, a real one, or one clear error."""

import os
import subprocess
import sys
from pathlib import Path

SRC = Path(__file__).resolve().parents[3] / "src"
PRINT = (
    "import sim2arm_ros.dds as d; d.install(); import rclpy; "
    "print(d.backend(), rclpy.__spec__.origin)"
)


def _run(code: str, *paths: Path, **variables: str) -> "subprocess.CompletedProcess[str]":
    env = {k: v for k, v in os.environ.items() if k not in ("SIM2ARM_ROS", "AMENT_PREFIX_PATH")}
    env["PYTHONPATH"] = os.pathsep.join([*(str(p) for p in paths), str(SRC)])
    return subprocess.run(
        [sys.executable, "-c", code],
        env={**env, **variables},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


def _fake_rclpy(root: Path, body: str = "") -> Path:
    package = root / "lib" / "python3.7" / "site-packages" / "rclpy"
    package.mkdir(parents=True)
    (package / "__init__.py").write_text(body)
    (package / "node.py").write_text("")
    return package.parent


def test_a_real_rclpy_wins_and_the_switch_forces_the_fallback(tmp_path: Path) -> None:
    real = _fake_rclpy(tmp_path)
    found = _run(PRINT, real, AMENT_PREFIX_PATH=str(tmp_path))
    assert str(real) in found.stdout.split()[-1], found.stderr
    forced = _run(PRINT, real, AMENT_PREFIX_PATH=str(tmp_path), SIM2ARM_ROS="dds")
    assert forced.stdout.startswith("rclpy: fallback over Cyclone DDS "), forced.stderr
    assert forced.stdout.split()[-1] == "sim2arm_ros.dds"


def test_a_sourced_ros_for_another_python_is_one_line_that_names_both(tmp_path: Path) -> None:
    broken = _fake_rclpy(tmp_path, "raise ImportError('no _rclpy_pybind11')")
    for paths in ((broken,), ()):
        done = _run(PRINT, *paths, AMENT_PREFIX_PATH=str(tmp_path))
        line = done.stderr.strip().splitlines()[-1]
        here = f"{sys.version_info.major}.{sys.version_info.minor}"
        assert done.returncode == 1
        assert "rclpy does not import" in line
        assert "Python 3.7" in line
        assert f"Python {here}" in line
        assert "SIM2ARM_ROS=dds" in line


def test_an_unknown_value_of_the_switch_is_refused() -> None:
    done = _run(PRINT, SIM2ARM_ROS="zenoh")
    assert "SIM2ARM_ROS: expected 'dds' or nothing, got 'zenoh'" in done.stderr


def test_without_the_extra_the_error_says_what_to_install() -> None:
    code = "import sys; sys.modules['cyclonedds'] = None; " + PRINT
    done = _run(code)
    assert "sim2arm[dds]" in done.stderr.strip().splitlines()[-1]


def test_unknown_modules_stay_unknown() -> None:
    code = PRINT + "\ntry:\n import rclpy.waitable\nexcept ImportError: print('none')"
    assert _run(code).stdout.endswith("none\n")


# Stands in for a ROS installation while tests are collected: every name is a class.
INSTALLED = """
import sys
from importlib.abc import Loader, MetaPathFinder
from importlib.machinery import ModuleSpec

class Anything(type):
    def __getattr__(cls, name):
        return make(name)

def make(name):
    if name.startswith("__"):
        raise AttributeError(name)
    return Anything(name, (), {"__init__": lambda self, *words, **named: None})

class Installed(Loader, MetaPathFinder):
    def find_spec(self, name, path=None, target=None):
        package = name.partition(".")[0]
        if package in ("rclpy", "tf2_ros") or package.endswith(("_msgs", "_interfaces", "_srvs")):
            return ModuleSpec(name, self, origin="/opt/ros", is_package=True)

    def exec_module(self, module):
        module.__getattr__ = make

sys.meta_path.insert(0, Installed())
__getattr__ = make
"""
SUITE = sorted(str(path) for path in Path(__file__).parent.glob("test_conformance*.py"))


def _collect(*paths: Path) -> "subprocess.CompletedProcess[str]":
    """Collect the conformance suite as the ROS workflow does: without the extra dds."""
    words = ["-q", "--collect-only", "-p", "no:cacheprovider", *SUITE]
    absent = "sys.modules['cyclonedds'] = sys.modules['rosbags'] = None"
    code = f"import sys; {absent}; import pytest; sys.exit(pytest.main({words}))"
    return _run(code, *paths, SIM2ARM_BASE="1")


def test_the_conformance_suite_runs_on_a_real_rclpy_without_the_extra(tmp_path: Path) -> None:
    real = _fake_rclpy(tmp_path, INSTALLED)
    done = _collect(real)
    assert done.returncode == 0, done.stdout
    for name in SUITE:
        assert f"dds/{Path(name).name}::test_" in done.stdout
    nothing = _collect()  # neither ROS nor the extra
    assert "no ROS is sourced, and cyclonedds and rosbags not installed" in (
        nothing.stdout + nothing.stderr
    )
