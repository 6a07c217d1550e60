# pyright: standard
"""`sim2arm compare` through real processes: a person judges on a simulated arm, without a name."""

from __future__ import annotations

import json
import re
from dataclasses import replace
from pathlib import Path

import pytest

from sim2arm.cli import compare_ros
from sim2arm.cli import main as cli
from sim2arm.cli.compare_log import LOG
from sim2arm_ros.dds import context as _needs_the_dds_extra  # noqa: F401

from .swinging import swinging_contract, write_swinging

pytestmark = pytest.mark.timeout(120)


def test_a_person_judges_through_ros_without_a_name(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    typed: list[str] = []

    class FakeKeys:
        """A person who starts at once, repeats the first trial, and says who did well."""

        over = False

        def __init__(self) -> None:
            self._asked = 0

        def next(self) -> str | None:
            said = capsys.readouterr().out
            typed.append(said)
            if "then Start" in said or "Enter tries again" in said:
                return ""
            if "Type s" in said:
                self._asked += 1
                return ("r", "s", "f")[min(self._asked - 1, 2)]
            return None

    monkeypatch.setattr(compare_ros, "Keys", FakeKeys)
    little = replace(swinging_contract().action, scale=(1e-4,) * 6)
    bundles = [write_swinging(tmp_path / "a"), write_swinging(tmp_path / "b", action=little)]
    words = [*map(str, bundles), "--task", "reach", "--pairs", "1", "--where", "sim"]
    out = tmp_path / "out"
    code = cli.main(["compare", *words, "--real-time", "--judge", "person", "--out", str(out)])
    said = "".join(typed)
    assert code == 0, capsys.readouterr().err
    assert len(re.findall(r"Trial 1 of 2: Put the scene", said)) == 2  # it was repeated
    assert not re.search(r"/a\b|/b\b|swinging", said)  # no name
    lines = [json.loads(line) for line in (out / LOG).read_text().splitlines()]
    assert [(line["trial"], line["success"], line["judge"]) for line in lines] == [
        (0, True, "person"), (1, False, "person"),
    ]  # fmt: skip
    assert "report.html" in capsys.readouterr().out
