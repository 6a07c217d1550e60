"""Two machines on one: network namespaces of Linux, a link between them that can be cut.

For benchmarks and tests; needs root. Both have namespaces of their own, so that nothing of this
machine's network changes; `rerun` starts a process that is on the first one itself.
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
    """Two machines and the way between them, until this process ends.

    Attributes:
        here: words in front of a command line that run it on the first machine.
        there: the same of the second one.
    """

    def __init__(self) -> None:
        """Set both up; the first one is this process's, where `rerun` started it."""
        self.there, there = self._machine()
        self.here: tuple[str, ...] = ()
        if os.environ.get(INSIDE) != "1":
            self.here, _ = self._machine()
        first, second = [*self.here, "ip"], [*self.there, "ip"]
        self._run(*second, "link", "set", "lo", "up")
        self._run(*first, "link", "set", "lo", "up")
        self._run(*first, "link", "add", "here", "type", "veth", "peer", "name", "there",
                  "netns", str(there))  # fmt: skip
        for words, name, address in ((first, "here", HERE), (second, "there", THERE)):
            self._run(*words, "address", "add", f"{address}/24", "dev", name)
            self._run(*words, "link", "set", name, "up")

    def _machine(self) -> tuple[tuple[str, ...], int]:
        """Return what runs a command in a new network, and the process that holds it."""
        holder = subprocess.Popen(["unshare", "--net", "sleep", "1000"])
        atexit.register(holder.kill)  # late: DDS says good-bye over the link
        own = os.readlink("/proc/self/ns/net")
        for _ in range(1000):
            if os.readlink(f"/proc/{holder.pid}/ns/net") != own:
                return ("nsenter", "--net", "--target", str(holder.pid)), holder.pid
            time.sleep(0.01)
        raise RuntimeError("no network namespace within 10 s")

    def _run(self, *words: str) -> None:
        subprocess.run(words, check=True)

    def cut(self) -> None:
        """Take the link down."""
        self._run(*self.there, "ip", "link", "set", "there", "down")

    def mend(self) -> None:
        """Take the link up."""
        self._run(*self.there, "ip", "link", "set", "there", "up")
