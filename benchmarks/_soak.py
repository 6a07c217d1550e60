"""Hours in short: does anything grow while the nodes run, or while gate and executor count up?

Memory is the resident set of a process, files its open descriptors, both from /proc; growth is
counted from a tenth of the way on, when caches are full and networks loaded.
"""

from __future__ import annotations

import os
import sys
import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from sim2arm.cli.table import Row
from sim2arm.core.contract import ActionSpec, ExecutorSpec
from sim2arm.core.executor import Executor
from sim2arm.core.robots import FR3

_LOOK_S = 2.0
_ARMS = 32
_CHUNK = 16
_KICK = 0.045  # most that an arm is asked to change its speed by, in a period [rad/s]
_WORSE = 3.0  # times that, for one arm of every fourth period: more than the gate allows
_NONSENSE = 50  # periods between two of which one arm's request is none


@dataclass(frozen=True)
class Usage:
    """What a process holds."""

    memory: int
    """Resident set [bytes]."""
    files: int
    threads: int


def usage_of(pid: int) -> Usage | None:
    """Return what a process holds; None if it is gone."""
    try:
        status = Path(f"/proc/{pid}/status").read_text(encoding="ascii")
        files = len(os.listdir(f"/proc/{pid}/fd"))
    except OSError:
        return None
    fields = dict(line.split(":", 1) for line in status.splitlines() if ":" in line)
    if "VmRSS" not in fields:  # a zombie
        return None
    memory = int(fields["VmRSS"].split()[0]) * 1024
    return Usage(memory, files, int(fields["Threads"]))


class Watch:
    """Looks at processes every two seconds, in a thread, until it is closed."""

    def __init__(self, pids: Mapping[str, int]) -> None:
        """Begin."""
        self.seen: dict[str, list[Usage]] = {name: [] for name in pids}
        self._pids, self._end = dict(pids), threading.Event()
        self._thread = threading.Thread(target=self._look, daemon=True)
        self._thread.start()

    def _look(self) -> None:
        while not self._end.wait(_LOOK_S):
            for name, pid in self._pids.items():
                usage = usage_of(pid)
                if usage is not None:
                    self.seen[name].append(usage)

    def close(self) -> None:
        """Look no more."""
        self._end.set()
        self._thread.join()

    def rows(self, case: str) -> list[Row]:
        """Return what each process held at first and how much it grew."""
        rows: list[Row] = []
        for name, seen in self.seen.items():
            rows += growth(f"{case}, {name}", seen)
        return rows


def growth(case: str, seen: list[Usage]) -> list[Row]:
    """Return the rows of one process."""
    if len(seen) < 4:
        raise RuntimeError(f"{case}: seen {len(seen)} times, expected more: is the time too short?")
    first, last = seen[len(seen) // 10], seen[-1]
    return [
        Row(case=case, metric="memory", value=last.memory / 2**20, unit="MiB"),
        Row(case=case, metric="memory, growth", value=(last.memory - first.memory) / 1e6,
            unit="MB"),
        Row(case=case, metric="files, growth", value=last.files - first.files),
        Row(case=case, metric="threads, growth", value=last.threads - first.threads),
    ]  # fmt: skip


def counted(cycles: int) -> list[Row]:
    """Return the rows of gate and executor that count up in this process."""
    rows: list[Row] = []
    for case, count, work in (
        (f"gate, {_ARMS} arms", cycles // _ARMS, gate_work()),
        ("executor", cycles, executor_work()),
    ):
        seen: list[Usage] = []
        begin = time.process_time()
        for i in range(count):
            work(i)
            if i % max(1, count // 40) == 0:
                usage = usage_of(os.getpid())
                assert usage is not None
                seen.append(usage)
                print(f"bench ros: {case}: {i / count:.0%}", file=sys.stderr, flush=True)
        each = count * _ARMS if case.startswith("gate") else count
        rows += growth(case, seen)
        rows += [
            Row(case=case, metric="cycles", value=each),
            Row(case=case, metric="cycles per second of the processor",
                value=each / (time.process_time() - begin), unit="1/s"),
        ]  # fmt: skip
    return rows


def gate_work() -> Callable[[int], None]:
    """Return a tick of a gate whose arms sway: most requests pass, some are slowed or refused."""
    from sim2arm_ros.gate import Gate, GateCfg

    random, home = np.random.default_rng(0), np.asarray(FR3.home)
    gate = Gate(FR3, 1.0 / 60.0, GateCfg(), np.tile(home, (_ARMS, 1)))

    def work(tick: int) -> None:
        q, dq = gate.commanded()[:2]
        kick = random.uniform(-_KICK, _KICK, q.shape)
        if tick % 4 == 0:
            kick[tick // 4 % _ARMS] *= _WORSE
        wanted = dq + kick - 0.05 * (q - home) - 0.02 * dq
        if tick % _NONSENSE == 0:
            wanted[tick // _NONSENSE % _ARMS] = np.nan
        gate.step(q + 0.5 * (dq + wanted) / 60.0, wanted)

    return work


def executor_work() -> Callable[[int], None]:
    """Return a tick of an executor that gets chunks, late now and then."""
    action = ActionSpec(
        kind="joint_position", dim=7, low=(-1.0,) * 7, high=(1.0,) * 7, scale=(1.0,) * 7,
        frame="joint", relative_to="absolute", horizon=_CHUNK, dt_s=0.02,
    )  # fmt: skip
    executor = Executor(ExecutorSpec(kind="ensemble", decay=0.01), action)
    chunk = np.zeros((1, _CHUNK, 7), dtype=np.float32)

    def work(i: int) -> None:
        now = 10**9 + i * 20_000_000
        if i % 8 == 0:
            executor.push(chunk, now - (i % 3) * 20_000_000)
        executor.next(now)

    return work
