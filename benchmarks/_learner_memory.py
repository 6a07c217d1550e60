"""Print the peak memory of updates [MiB]: `_learner_memory.py CASE ours|eager DEVICE full|small`.

It is that of activations, slopes and optimisers: networks of both and the replay are there before.
"""

# pyright: standard

from __future__ import annotations

import resource
import sys
from pathlib import Path

import torch
from _learner_cases import PUBLISHED, eager, ours, small, step_of

PAGES = Path("/proc/self/statm")


def main(name: str, who: str, device: str, size: str) -> None:
    """Let one of both learn for as long as memory grows."""
    torch.set_num_threads(1)
    case = small(PUBLISHED[name]) if size == "small" else PUBLISHED[name]
    learner, other = ours(case, device), eager(case, device)
    on_gpu = device.startswith("cuda")
    if on_gpu:
        torch.cuda.reset_peak_memory_stats()
    before = torch.cuda.memory_allocated() if on_gpu else _resident()
    for batch in learner.batches(case.burst + 2):
        if who == "ours":
            learner.agent.update(batch, learner.generator)
        else:
            other.update(step_of(case, batch))  # pyright: ignore[reportCallIssue]
    most = torch.cuda.max_memory_allocated() if on_gpu else _most()
    print((most - before) / 2**20)


def _resident() -> int:
    """Return what the process has in memory [bytes]."""
    return int(PAGES.read_text().split()[1]) * resource.getpagesize()


def _most() -> int:
    """Return the most that it had [bytes]; what `getrusage` says is inherited from its parent."""
    lines = Path("/proc/self/status").read_text().splitlines()
    (found,) = (line.split()[1] for line in lines if line.startswith("VmHWM"))
    return 1024 * int(found)


if __name__ == "__main__":
    main(*sys.argv[1:])
