from pathlib import Path

import pytest
import yaml

from sim2arm.cli.errors import UserError, one_line, user_input


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    path = tmp_path / "graph.yaml"
    with pytest.raises(UserError) as caught, user_input("graph", path):
        path.read_text()
    assert str(caught.value) == f"graph: no such file or folder: {path}"


def test_broken_yaml_names_file_line_and_column(tmp_path: Path) -> None:
    path = tmp_path / "graph.yaml"
    path.write_text("a: 1\nb: [1, 2\nc: 3\n")
    with pytest.raises(UserError) as caught, user_input("graph", path):
        yaml.safe_load(path.read_text())
    # The list of line 2 is not closed; the parser notices at the colon of line 3.
    assert str(caught.value).startswith(f"graph: {path}:3:")
    assert "expected valid YAML" in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_value_error_keeps_its_words_and_gains_the_place() -> None:
    with pytest.raises(UserError) as caught, user_input("bundle", "runs/x"):
        raise ValueError("expected 7 joints, got 6")
    assert str(caught.value) == "bundle runs/x: expected 7 joints, got 6"


def test_an_absent_key_is_named() -> None:
    graph: dict[str, int] = {}
    with pytest.raises(UserError) as caught, user_input("graph"):
        _ = graph["inputs"]
    assert str(caught.value) == "graph: expected the key 'inputs', which is absent"


def test_a_folder_where_a_file_is_expected(tmp_path: Path) -> None:
    with pytest.raises(UserError) as caught, user_input("graph", tmp_path):
        tmp_path.read_text()
    assert str(caught.value) == f"graph {tmp_path}: Is a directory"


def test_other_errors_pass_through() -> None:
    with pytest.raises(ZeroDivisionError), user_input("graph"):
        _ = 1 / 0


def test_a_user_error_is_not_wrapped_twice() -> None:
    with pytest.raises(UserError) as caught, user_input("outer"), user_input("inner"):
        raise ValueError("bad")
    assert str(caught.value) == "inner: bad"


def test_one_line() -> None:
    assert one_line("a\n  b\n\nc") == "a; b; c"
