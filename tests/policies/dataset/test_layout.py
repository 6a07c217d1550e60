"""What we write has the layout of what lerobot itself writes, which is in `golden_lerobot.json`.

`make interop GOLDEN=tests/policies/dataset/golden_lerobot.json` takes it anew, with lerobot.
"""

import json
from pathlib import Path
from typing import Any

import pytest

from .episodes import DEPTH, SCENE, make
from .schema import as_text, schema_of

GOLDEN = Path(__file__).with_name("golden_lerobot.json")
OURS = {
    "files": {".lock", "meta/sim2arm.json", "meta/sim2arm/chunk-NNN/file-NNN.json"},
    "info": {"sim2arm"},
}
"""What is there beside it, and which lerobot ignores."""


@pytest.fixture(scope="module")
def ours(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    root = tmp_path_factory.mktemp("set")
    make(root, 2)
    return schema_of(root)


@pytest.fixture
def theirs() -> dict[str, Any]:
    return json.loads(GOLDEN.read_text())


def test_the_golden_file_says_who_wrote_it(theirs: dict[str, Any]) -> None:
    assert theirs["written_by"].startswith("lerobot 0.")
    assert GOLDEN.read_text() == as_text(theirs)


@pytest.mark.parametrize("section", ["data", "episodes"])
def test_columns_and_types_are_those_of_lerobot(
    ours: dict[str, Any], theirs: dict[str, Any], section: str
) -> None:
    assert ours[section] == theirs[section]


def test_files_and_info_are_those_of_lerobot(ours: dict[str, Any], theirs: dict[str, Any]) -> None:
    assert set(ours["files"]) == {*theirs["files"], *OURS["files"]}
    info = {key: kind for key, kind in ours["info"].items() if key not in OURS["info"]}
    assert info == theirs["info"]


def test_features_are_those_of_lerobot(ours: dict[str, Any], theirs: dict[str, Any]) -> None:
    mine, other = (dict(side["features"][SCENE].pop("info")) for side in (ours, theirs))
    assert ours["features"] == theirs["features"]
    assert ours["features"][DEPTH]["info"] == {"depth_unit": "str", "is_depth_map": "bool"}
    # lerobot 0.6 says how it encoded, and has another name for what 0.4 and we call so
    mine["is_depth_map"] = mine.pop("video.is_depth_map")
    assert mine == {key: other[key] for key in mine}


def test_tasks_are_those_of_lerobot(ours: dict[str, Any], theirs: dict[str, Any]) -> None:
    # pandas' name of an index without one; lerobot 0.6 calls it task, its readers take any
    ours["tasks"]["task"] = ours["tasks"].pop("__index_level_0__")
    assert ours["tasks"] == theirs["tasks"]


def test_statistics_are_those_of_lerobot(ours: dict[str, Any], theirs: dict[str, Any]) -> None:
    # lerobot reduces all axes but the last, we none; its readers take both
    key, names = "observation.touch_field", "max mean min q01 q10 q50 q90 q99 std"
    mine, other = ours["stats"].pop(key), theirs["stats"].pop(key)
    assert other == {"list<int64> [1]": "count", "list<double> [3]": names}
    deep = "list<list<list<list<double>>>> [2, 4, 3, 3]"
    assert mine == {"list<int64> [1]": "count", deep: names}
    assert ours["stats"] == theirs["stats"]
