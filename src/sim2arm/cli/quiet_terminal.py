"""A terminal that does not repeat what is typed: keys drive an arm, and are not for the shell."""

from __future__ import annotations

import contextlib
import sys
import termios
from collections.abc import Generator


@contextlib.contextmanager
def quiet_terminal() -> Generator[None]:
    """Hide what is typed meanwhile, and forget it in the end; nothing where there is no terminal.

    Keyboards are heard by the kernel whatever window has the focus, so that this terminal gets
    their characters, too.
    """
    if not sys.stdin.isatty():
        yield
        return
    file = sys.stdin.fileno()
    before = termios.tcgetattr(file)
    quiet = [*before]
    quiet[3] &= ~termios.ECHO  # local modes
    termios.tcsetattr(file, termios.TCSADRAIN, quiet)
    try:
        yield
    finally:
        termios.tcflush(file, termios.TCIFLUSH)
        termios.tcsetattr(file, termios.TCSADRAIN, before)
