"""Questions to a person at a terminal: who does not answer, or is not there, says no.

A line counts only if it was typed after its question: what waits in the terminal before is thrown
away. Whatever is no terminal (a pipe, a file, nothing) never answers.
"""

from __future__ import annotations

import os
import select
import sys
import termios

YES = "yes"


class Answers:
    """Reads lines of a terminal without waiting for them.

    Attributes:
        closed: whether nobody can answer (any more).
    """

    def __init__(self, fd: int | None = None) -> None:
        """Read from a file descriptor; that of standard input by default."""
        self._fd = _stdin() if fd is None else fd
        self.closed = self._fd is None or not os.isatty(self._fd)

    def ask(self, question: str) -> None:
        """Print a question; `line` has what is typed from now on."""
        if self._fd is not None and not self.closed:
            termios.tcflush(self._fd, termios.TCIFLUSH)
        print(f"{question} ", end="", flush=True)
        if self.closed:
            print("(no terminal: nobody answers)", flush=True)

    def line(self) -> str | None:
        """Return a line that was typed, without its end; None while there is none.

        A terminal that is closed, or ends the input, answers with an empty line.
        """
        if self.closed or self._fd is None:
            return ""
        if not select.select([self._fd], [], [], 0.0)[0]:
            return None
        try:
            data = os.read(self._fd, 4096)
        except OSError:  # the terminal is gone
            data = b""
        self.closed = not data
        text = data.decode(errors="replace")
        return text.strip() if text.endswith("\n") else ""


def _stdin() -> int | None:
    try:
        return sys.stdin.fileno()
    except (AttributeError, OSError, ValueError):  # there is none, or it is closed
        return None
