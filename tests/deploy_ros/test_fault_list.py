"""The list of faults names tests that exist; the page of a run says what was seen."""

from __future__ import annotations

import ast
import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.fault_list import FAULTS, TESTS, listed
from tests.fault_report import report
from tests.tables import Table, bound

FIRST = FAULTS["Observations and clocks"][0]


def test_every_test_of_the_list_exists() -> None:
    named = {name for group in FAULTS.values() for fault in group for name in fault.names()}
    assert len(named) > 80
    for file in {file for file, _ in named}:
        tree = ast.parse((TESTS / file).read_text(encoding="utf-8"))
        there = {node.name for node in ast.walk(tree) if isinstance(node, ast.FunctionDef)}
        assert {name for where, name in named if where == file} <= there, file


def test_every_row_has_tests_or_tries() -> None:
    for group in FAULTS.values():
        for fault in group:
            assert list(fault.names()) or fault.cases, fault.what


def long_tests() -> Iterator[tuple[str, list[str]]]:
    """Yield name and the beginnings of all texts of each test that is marked `faults`."""
    for path in sorted(TESTS.rglob("test_*.py")):
        text = path.read_text(encoding="utf-8")
        if "pytest.mark.faults" not in text:
            continue
        for test in ast.parse(text).body:
            marks = [] if not isinstance(test, ast.FunctionDef) else test.decorator_list
            if any("pytest.mark.faults" in ast.unparse(mark) for mark in marks):
                assert isinstance(test, ast.FunctionDef)
                heads = [_head(node) for node in ast.walk(test)]
                name = f"{path.relative_to(TESTS).as_posix()}::{test.name}"
                yield name, [head for head in heads if " " in head]


def _head(node: ast.AST) -> str:
    """Return how a text begins, up to what is put into it; "" of anything else."""
    if isinstance(node, ast.JoinedStr):
        node = node.values[0]
    return str(node.value) if isinstance(node, ast.Constant) else ""


def fits(head: str, case: str) -> bool:
    """Return whether a text with this beginning may be of a case."""
    return head.startswith(case) or case.startswith(head)


def test_every_case_is_of_a_long_test_and_every_long_test_is_in_the_list() -> None:
    cases = [case for group in FAULTS.values() for fault in group for case in fault.cases]
    found = dict(long_tests())
    assert len(found) > 20
    for case in cases:
        assert any(fits(head, case) for heads in found.values() for head in heads), case
    for name, heads in found.items():
        assert listed(name) or any(fits(head, case) for head in heads for case in cases), name


def test_tests_are_known_with_their_parameters() -> None:
    assert listed("tests/deploy_ros/test_faults.py::nobody") is False
    assert listed("tests/deploy_ros/test_faults.py::test_policy_that_is_killed_holds")
    assert listed("tests/deploy_ros/test_faults.py::test_nan_in_a_request_is_refused[dq]")


def test_the_bound_is_that_of_the_binomial_distribution() -> None:
    assert bound(0, 1000) == pytest.approx(1 - 0.05 ** (1 / 1000))  # 2.99e-3: the rule of three
    assert bound(1, 10) == pytest.approx(0.394, abs=1e-3)  # of tables


def test_the_page_tells_passes_failures_and_what_was_not_run() -> None:
    table = Table(None)
    file, name = next(FIRST.names())
    table.outcomes[f"{file}::{name}", True] = 3
    table.outcomes[f"{file}::{name}", False] = 1
    table.none_of("gate, 7 faults of joint states", "wrong", 2, 1000, seed=5)
    text = report(table)
    assert f"| {FIRST.what} | 3 of 4, 3 not run | 1 000 | 2 | {bound(2, 1000):.1e} | 5 |" in text
    assert "of each kind: seen by the tests above |  |  (not run: planted:) |  |  |  |" in text
    other = Table(None)
    other.give(table.take())  # as a worker gives it
    assert table.tried == [] and not table.outcomes
    assert report(other) == text
    table = other
    table.none_of("planted: a", "not seen", 0, 1, seed=None)
    table.none_of("planted: b", "not seen", 1, 1, seed=None)
    assert "seen by the tests above |  | 2 | 1 |  |  |" in report(table)


def test_a_second_run_adds_to_the_first(tmp_path: Path) -> None:
    first = Table(tmp_path / "faults.json")
    first.none_of("gate, 7 faults of joint states", "wrong", 0, 1000, seed=5)
    first.outcomes["a::test_b", True] = 2
    first.keep()
    second = Table(tmp_path / "faults.json", more=True)
    second.none_of("lifecycle of x", "wrong", 0, 10, seed=1)
    assert [one.trials for one in second.tried] == [1000, 10]
    assert second.outcomes == {("a::test_b", True): 2}
    rows = json.loads((tmp_path / "faults.json").read_text())["rows"]
    assert [row["value"] for row in rows if row["metric"] == "trials"] == [1000, 10]
    assert Table(tmp_path / "faults.json").tried == []
