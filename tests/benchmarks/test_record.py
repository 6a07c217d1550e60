"""`sim2arm bench record`: what it reports, and bad input."""

# pyright: standard

import json
from pathlib import Path

import pytest

from sim2arm.cli import main as cli
from sim2arm.cli import record as _needs_the_train_extra  # noqa: F401
from sim2arm.cli.checkout import find_checkout
from sim2arm.policies.dataset.reader import Dataset

pytestmark = pytest.mark.skipif(find_checkout() is None, reason="benchmarks are part of a checkout")


def test_rows_and_what_is_recorded(tmp_path: Path) -> None:
    """Half a second: fewer rows than the queues hold, so that a slow machine loses none either."""
    out, root = tmp_path / "record.json", tmp_path / "data"
    words = ["--seconds", "0.5", "--cameras", "1", "--folder", str(root), "--json", str(out)]
    assert cli.main(["bench", "record", *words]) == 0
    rows = {row["metric"]: row for row in json.loads(out.read_text())["rows"]}
    assert rows["rows lost"]["value"] == 0 and rows["rows lost"]["baseline_value"] == 50
    assert rows["pictures of scene"]["value"] == rows["pictures of scene"]["baseline_value"] == 15
    assert rows["processor"]["value"] > 0.0 and rows["written"]["value"] > 0.0
    assert rows["loop rate"]["value"] <= 101.0
    dataset = Dataset(root)
    assert len(dataset) == 50 and dataset.index.spec.fps == 100
    shapes = {key: f.shape for key, f in dataset.features.items() if f.dtype in ("video", "image")}
    assert shapes["observation.images.scene_rgb"] == (480, 640, 3)
    assert {len(shape) for shape in shapes.values()} == {3} and len(shapes) == 3


@pytest.mark.parametrize("words", ["--seconds 0", "--cameras 3", "--seconds 1e9", "--hz 30"])
def test_bad_input(words: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["bench", "record", *words.split()]) == 2
    said = "expected 50, 60 or 100" if "hz" in words else "must be 0.1 to 3600, --cameras 0 to 2"
    assert said in capsys.readouterr().err
