"""One line that says how things stand and is overwritten, above it what stays."""

import shutil
import sys
from types import TracebackType
from typing import TextIO

from .errors import UserError

_CLEAR = "\r\x1b[2K"


class StateLine:
    """Shows a state. On a terminal the line is overwritten; in a log it is written on change."""

    def __init__(self, stream: TextIO | None = None) -> None:
        """Write to a stream; stdout by default."""
        self._stream = stream if stream is not None else sys.stdout
        self._terminal = self._stream.isatty()
        self._key: object = None
        self._open = False

    def show(self, text: str, key: object) -> None:
        """Show the state; in a log only when `key`, what matters of it, has changed."""
        if self._terminal:
            width = shutil.get_terminal_size().columns
            self._stream.write(f"{_CLEAR}{text[: width - 1]}")
            self._open = True
        elif key != self._key:
            self._stream.write(f"{text}\n")
        self._key = key
        self._stream.flush()

    def note(self, text: str) -> None:
        """Write lines that stay."""
        clear = _CLEAR if self._open else ""
        self._stream.write(f"{clear}{text}\n")
        self._stream.flush()
        self._open = False

    def ask(self, question: str) -> None:
        """Wait for Enter.

        Raises:
            UserError: the input ended.
        """
        self.note(question)
        try:
            input()
        except EOFError as error:
            raise UserError("nobody answered: standard input ended") from error

    def __enter__(self) -> "StateLine":
        """Return itself."""
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Leave the last state on the screen."""
        if self._open:
            self._stream.write("\n")
            self._stream.flush()
