"""Two machines on one: network namespaces of Linux, a link between them that can be cut.

For benchmarks and tests; needs root. `main` runs a command as the first machine: in a namespace of
its own, so that nothing of this machine's network changes.
"""

from __future__ import annotations

import atexit
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Sequence

HERE, THERE = "10.213.77.1", "10.213.77.2"
"""Addresses of the two machines."""
INSIDE = "SIM2ARM_LINK"
"""Environment variable of a process that is in the first namespace."""


def why_not() -> str:
    """Return why there can be no second machine here, or an empty string."""
    missing = [tool for tool in ("unshare", "nsenter", "ip") if shutil.which(tool) is None]
    if missing:
        return f"{' and '.join(missing)} not installed (util-linux, iproute2)"
    try:
        subprocess.run(["unshare", "--net", "true"], check=True, capture_output=True)
    except subprocess.CalledProcessError:
        return "network namespaces need root"
    return ""


def rerun(arguments: Sequence[str]) -> int:
    """Run a Python command line as the first machine; return its exit code."""
    env = {**os.environ, INSIDE: "1"}
    return subprocess.run(["unshare", "--net", sys.executable, *arguments], env=env).returncode


class Link:
    """The second machine and the way to it, until this process ends."""

    def __init__(self) -> None:
        """Set both up; this process is the first machine (`rerun`)."""
        if os.environ.get(INSIDE) != "1":
            raise RuntimeError("the network of this machine stays as it is: use rerun()")
        self._there = subprocess.Popen(["unshare", "--net", "sleep", "1000"])
        atexit.register(self._there.kill)  # late: DDS says good-bye over the link
        self.before = ("nsenter", "--net", "--target", str(self._there.pid))
        """Words in front of a command line that run it on the second machine."""
        self._wait()
        run = self._run
        run("ip", "link", "set", "lo", "up")
        run("ip", "link", "add", "here", "type", "veth", "peer", "name", "there",
            "netns", str(self._there.pid))  # fmt: skip
        run("ip", "address", "add", f"{HERE}/24", "dev", "here")
        run("ip", "link", "set", "here", "up")
        run(*self.before, "ip", "link", "set", "lo", "up")
        run(*self.before, "ip", "address", "add", f"{THERE}/24", "dev", "there")
        self.mend()

    def _wait(self) -> None:
        """Wait until the second namespace is one."""
        own = os.readlink("/proc/self/ns/net")
        for _ in range(1000):
            if os.readlink(f"/proc/{self._there.pid}/ns/net") != own:
                return
            time.sleep(0.01)
        raise RuntimeError("no second network namespace within 10 s")

    def _run(self, *words: str) -> None:
        subprocess.run(words, check=True)

    def cut(self) -> None:
        """Take the link down."""
        self._run(*self.before, "ip", "link", "set", "there", "down")

    def mend(self) -> None:
        """Take the link up."""
        self._run(*self.before, "ip", "link", "set", "there", "up")
