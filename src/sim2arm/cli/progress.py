"""Progress of long work, with rates: one line that is overwritten, or a line now and then."""

import sys
import time
from collections import deque
from collections.abc import Callable
from types import TracebackType
from typing import TextIO

_ON_TERMINAL_S = 0.2
_IN_A_LOG_S = 10.0
_WINDOW_S = 30.0
_SCALES = ((1e9, "G"), (1e6, "M"), (1e3, "k"))


class Progress:
    """Shows how far work is. Use as a context manager; the last line always shows the end.

    On a terminal the line is overwritten several times a second; elsewhere (a log file, continuous
    integration) a line is written every 10 seconds. The rate is that of the last 30 seconds.
    """

    def __init__(
        self,
        label: str,
        total: float | None = None,
        unit: str = "steps",
        *,
        done: float = 0.0,
        stream: TextIO | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """Start to count.

        Args:
            label: what is going on, as in `train`.
            total: how much there is to do; unknown by default.
            unit: what is counted, in the plural.
            done: how much was done before (a resumed run).
            stream: where to write; stderr by default.
            clock: seconds on a steady clock.
        """
        self._label, self._total, self._unit = label, total, unit
        self._done = done
        self._stream = stream if stream is not None else sys.stderr
        self._terminal = self._stream.isatty()
        self._clock = clock
        self._start = clock()
        self._marks = deque([(self._start, done)])
        self._shown_at = float("-inf")
        self._length = 0
        self._written = ""
        self._figures: dict[str, float | str] = {}

    def update(self, done: float, **figures: float | str) -> None:
        """Say how much is done now; `figures` (as in `success=0.83`) end the line."""
        now = self._clock()
        self._done = done
        self._figures.update(figures)
        self._marks.append((now, done))
        while len(self._marks) > 2 and now - self._marks[1][0] >= _WINDOW_S:
            self._marks.popleft()
        if now - self._shown_at >= (_ON_TERMINAL_S if self._terminal else _IN_A_LOG_S):
            self._show(now)

    def say(self, text: str) -> None:
        """Write a line of its own, which stays above the progress."""
        self._stream.write(f"\r{text.ljust(self._length)}\n" if self._terminal else f"{text}\n")
        self._length = 0
        self._stream.flush()

    def line(self) -> str:
        """Return the line as it stands."""
        now = self._clock()
        parts = [self._label, self._amount()]
        rate = self.rate()
        if rate > 0:
            parts.append(f"{scaled(rate)} {self._unit}/s")
            if self._total is not None and self._done < self._total:
                parts.append(f"{duration((self._total - self._done) / rate)} left")
        parts.append(f"{duration(now - self._start)} elapsed")
        parts += [
            f"{name} {value if isinstance(value, str) else f'{value:.3g}'}"
            for name, value in self._figures.items()
        ]
        return "  ".join(parts)

    def rate(self) -> float:
        """Return the units per second of the last 30 seconds; 0 before the first are done."""
        (begin, done_then), (end, done_now) = self._marks[0], self._marks[-1]
        return (done_now - done_then) / (end - begin) if end > begin else 0.0

    def close(self) -> None:
        """Write the last line."""
        self._show(self._clock())
        if self._terminal:
            self._stream.write("\n")
            self._stream.flush()

    def __enter__(self) -> "Progress":
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def _amount(self) -> str:
        if self._total is None:
            return f"{scaled(self._done)} {self._unit}"
        share = 100 * self._done / self._total if self._total else 100.0
        return f"{scaled(self._done)} / {scaled(self._total)} {self._unit}  {share:.0f} %"

    def _show(self, now: float) -> None:
        text = self.line()
        if self._terminal:
            self._stream.write(f"\r{text.ljust(self._length)}")
            self._length = len(text)
        elif text != self._written:  # the end may just have been written
            self._stream.write(f"{text}\n")
            self._written = text
        self._stream.flush()
        self._shown_at = now


def scaled(value: float) -> str:
    """Return a number with three digits and k, M or G, as in `12.3 k`."""
    for factor, sign in _SCALES:
        if abs(value) >= factor:
            return f"{value / factor:.3g} {sign}"
    return f"{value:.3g}"


def duration(seconds: float) -> str:
    """Return a time span as `m:ss` or `h:mm:ss`."""
    minutes, second = divmod(round(seconds), 60)
    hours, minute = divmod(minutes, 60)
    return f"{hours}:{minute:02}:{second:02}" if hours else f"{minute}:{second:02}"
