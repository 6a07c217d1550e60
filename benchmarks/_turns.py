"""Times of things that take turns, so that what else the machine does falls on all of them."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping

from sim2arm.cli.progress import Progress


def take_turns(
    work: Mapping[str, Callable[[], object]],
    repeats: int,
    text: str,
    *,
    each: int = 1,
    wait: Callable[[], object] = lambda: None,
) -> dict[str, list[float]]:
    """Return by name how long each did take [s].

    Args:
        work: what is done; once before, for what the first time makes and keeps.
        repeats: turns.
        text: names the work while it goes on.
        each: how often a thing is done in a turn.
        wait: for what a device has still to do.
    """
    found: dict[str, list[float]] = {name: [] for name in work}
    with Progress(text, repeats, "turns") as progress:
        for do in work.values():
            do()
        for repeat in range(repeats):
            for name, do in work.items():
                for _ in range(each):
                    wait()
                    start = time.perf_counter()
                    do()
                    wait()
                    found[name].append(time.perf_counter() - start)
            progress.update(repeat + 1)
    return found
