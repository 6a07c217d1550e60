import io
import os
from collections.abc import Iterator

import pytest

from sim2arm.cli.errors import UserError
from sim2arm.cli.state_line import StateLine


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


@pytest.fixture
def narrow(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setattr(
        "sim2arm.cli.state_line.shutil.get_terminal_size", lambda: os.terminal_size((10, 5))
    )
    yield


def test_in_a_log_only_changes_are_written() -> None:
    log = io.StringIO()
    with StateLine(log) as line:
        line.show("gate HOLD 1", "HOLD")
        line.show("gate HOLD 2", "HOLD")
        line.note("seed 0: success")
        line.show("gate ACTIVE 3", "ACTIVE")
    assert log.getvalue() == "gate HOLD 1\nseed 0: success\ngate ACTIVE 3\n"


def test_on_a_terminal_the_line_is_overwritten_and_cut_to_its_width(narrow: None) -> None:
    screen = Terminal()
    with StateLine(screen) as line:
        line.show("0123456789abc", 1)
        line.show("second", 1)
        line.note("stays")
        line.show("third", 1)
    clear = "\r\x1b[2K"
    assert screen.getvalue() == (f"{clear}012345678{clear}second{clear}stays\n{clear}third\n")


def test_a_question_without_anybody_to_answer_is_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sys.stdin", io.StringIO(""))
    with pytest.raises(UserError, match="nobody answered"):
        StateLine(io.StringIO()).ask("Start?")
    monkeypatch.setattr("sys.stdin", io.StringIO("\n"))
    StateLine(io.StringIO()).ask("Start?")
