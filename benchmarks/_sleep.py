"""Baseline 'sleep' of `bench ros`: a loop that sleeps until absolute deadlines, and nothing else.

Usage: _sleep.py RATE_HZ SECONDS; prints {"lateness_s": [...], "missed": n} as JSON.
"""

import json
import sys
import time


def run(rate_hz: float, seconds: float) -> dict[str, object]:
    """Return how late [s] each period began, and how many periods passed without one."""
    lateness: list[float] = []
    missed = number = 0
    start = time.monotonic()
    while number < seconds * rate_hz:
        number += 1
        deadline = start + number / rate_hz
        while (left := deadline - time.monotonic()) > 0:
            time.sleep(left)
        lateness.append(time.monotonic() - deadline)
        skipped = int(lateness[-1] * rate_hz)  # whole periods that are over
        missed, number = missed + skipped, number + skipped
    return {"lateness_s": lateness, "missed": missed}


if __name__ == "__main__":
    json.dump(run(float(sys.argv[1]), float(sys.argv[2])), sys.stdout)
