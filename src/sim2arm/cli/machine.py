"""What a measurement was made on: machine, versions, commit."""

import os
import platform
import subprocess
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

from .checkout import find_checkout

PACKAGES = (
    "sim2arm",
    "numpy",
    "torch",
    "mujoco",
    "mujoco-warp",
    "warp-lang",
    "onnx",
    "onnxruntime",
    "cyclonedds",
    "gymnasium",
    "dm_control",
    "pyarrow",
    "av",
)


def describe_machine() -> dict[str, str | int | float]:
    """Return processor, usable cores, memory and operating system."""
    return {
        "cpu": _processor(),
        "cores": len(os.sched_getaffinity(0)),
        "memory_gib": round(os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30, 1),
        "os": _operating_system(),
        "kernel": platform.release(),
    }


def describe_versions() -> dict[str, str]:
    """Return the version of Python and of every key package that is installed."""
    found = {"python": platform.python_version()}
    for name in PACKAGES:
        try:
            found[name] = version(name)
        except PackageNotFoundError:
            continue
    return found


RESULTS = "benchmarks/results"


def describe_commit(folder: Path | None = None) -> str:
    """Return the commit of a checkout, with `+changes` when files differ, or `unknown`.

    Files under `benchmarks/results` do not count: a command that writes there would be seen as one.

    Args:
        folder: the checkout; the one that this installation runs from by default.
    """
    root = folder or find_checkout()
    if root is None:
        return "unknown"
    commit = _git(root, "rev-parse", "HEAD")
    if commit is None:
        return "unknown"
    changes = _git(root, "status", "--porcelain", "--untracked-files=no", "--", ".", f":!{RESULTS}")
    return f"{commit}+changes" if changes else commit


def _git(root: Path, *arguments: str) -> str | None:
    try:
        done = subprocess.run(
            ["git", "-C", str(root), *arguments], capture_output=True, text=True, timeout=10
        )
    except (FileNotFoundError, subprocess.TimeoutExpired):
        return None
    return done.stdout.strip() if done.returncode == 0 else None


def _processor() -> str:
    path = Path("/proc/cpuinfo")
    if path.is_file():
        for line in path.read_text().splitlines():
            key, _, value = line.partition(":")
            if key.strip() in ("model name", "Model"):
                return value.strip()
    return platform.processor() or platform.machine()


def _operating_system() -> str:
    try:
        return platform.freedesktop_os_release()["PRETTY_NAME"]
    except (OSError, KeyError):
        return platform.system()
