import json
import math
import subprocess
from pathlib import Path

import pytest

from sim2arm.cli.machine import describe_commit, describe_machine, describe_versions
from sim2arm.cli.table import Row, format_cell, format_results, format_table, write_results


def test_numbers_stand_right_and_text_left() -> None:
    assert format_table(("name", "count"), [("a", 5), ("long name", 12345)]) == (
        "name        count\n---------  ------\na               5\nlong name  12 345"
    )


def test_a_row_of_the_wrong_length_is_refused() -> None:
    with pytest.raises(ValueError, match="row 0: expected 2 cells, got 1"):
        format_table(("a", "b"), [("x",)])


@pytest.mark.parametrize(
    ("value", "text"),
    [(None, ""), ("x", "x"), (1234567, "1 234 567"), (12345.6, "12 346"), (0.123456, "0.1235")],
)
def test_cells(value: str | int | float | None, text: str) -> None:
    assert format_cell(value) == text


ROWS = [
    Row(case="64", metric="env steps", value=300.0, unit="1/s", baseline="x", baseline_value=200.0),
    Row(case="64", metric="share", value=0.25),
]


def test_the_ratio_is_value_over_baseline() -> None:
    assert ROWS[0].ratio == 1.5
    assert ROWS[1].ratio is None
    assert Row(case="", metric="", value=1.0, baseline="x", baseline_value=0.0).ratio is None
    assert "1.50 x" in format_results(ROWS)
    assert "baseline" not in format_results(ROWS[1:])


def test_json_has_place_versions_commit_and_rows(tmp_path: Path) -> None:
    path = tmp_path / "new" / "env.json"
    write_results(path, "env", ROWS)
    found = json.loads(path.read_text())
    assert list(found) == ["name", "machine", "versions", "commit", "rows"]
    assert found["name"] == "env"
    assert found["machine"]["cores"] >= 1
    assert found["versions"]["numpy"]
    assert found["rows"][0] == {
        "case": "64",
        "metric": "env steps",
        "value": 300.0,
        "unit": "1/s",
        "baseline": "x",
        "baseline_value": 200.0,
        "ratio": 1.5,
    }
    assert [entry.name for entry in path.parent.iterdir()] == ["env.json"]


def test_json_refuses_what_it_cannot_hold(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="JSON"):
        write_results(tmp_path / "x.json", "x", [Row(case="", metric="", value=math.nan)])
    assert not list(tmp_path.iterdir())


def git(folder: Path, *arguments: str) -> str:
    identity = ("-c", "user.name=a", "-c", "user.email=a@b")
    done = subprocess.run(
        ["git", "-C", str(folder), *identity, *arguments],
        check=True,
        capture_output=True,
        text=True,
    )
    return done.stdout.strip()


def test_the_commit_says_when_files_differ(tmp_path: Path) -> None:
    assert describe_commit(tmp_path) == "unknown"
    git(tmp_path, "init", "-q")
    (tmp_path / "a").write_text("1")
    git(tmp_path, "add", "a")
    git(tmp_path, "commit", "-qm", "a")
    commit = git(tmp_path, "rev-parse", "HEAD")
    assert describe_commit(tmp_path) == commit
    (tmp_path / "a").write_text("2")
    assert describe_commit(tmp_path) == f"{commit}+changes"


def test_machine_and_versions_are_known() -> None:
    machine = describe_machine()
    assert machine["cpu"]
    assert float(machine["memory_gib"]) > 0.1
    assert describe_versions()["python"].startswith("3.")
