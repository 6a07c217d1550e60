"""`sim2arm bench tactile`: what is compared with is what TacSL computes; rows; bad input."""

# pyright: standard

import importlib
import json
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from sim2arm.cli import main as cli
from sim2arm.cli.checkout import find_checkout

ROOT = find_checkout()
pytestmark = pytest.mark.skipif(ROOT is None, reason="benchmarks are part of a checkout")


@pytest.fixture
def tacsl(monkeypatch: pytest.MonkeyPatch) -> Any:
    assert ROOT is not None
    monkeypatch.setattr(sys, "path", [str(ROOT / "benchmarks"), *sys.path])
    return importlib.import_module("_tacsl")


def test_a_slope_takes_its_colour_from_its_bins(tacsl: Any) -> None:
    """A plane of slope 1/2 along columns: steepness atan(1/2), direction 0, pixel (y, x)."""
    rows, cols, pixel = 12, 16, 1e-4
    draw = tacsl.DepthToPicture(rows, cols, pixel, torch.device("cpu"))
    depth = 1e-3 + 0.5 * pixel * torch.arange(cols, 0, -1.0).repeat(1, rows, 1)
    picture = draw(depth)
    i, j = int(np.arctan(0.5) / (np.pi / 2 / 119)), int(np.pi / (2 * np.pi / 119))
    for y, x in ((5, 7), (8, 4)):
        form = torch.tensor([x * x, y * y, x * y, x, y, 1.0], dtype=torch.float64)
        expected = (draw._tables[:, i, j] * form).sum(dim=-1) + 100.0
        assert picture[0, y, x].tolist() == expected.clamp(0, 255).to(torch.uint8).tolist()


def test_a_plane_pushes_by_depth_and_drags_by_speed(tacsl: Any) -> None:
    """Distance z: a taxel 1 mm below is pushed up, and dragged against its way, at most 2 d."""
    z = torch.arange(11.0) * 1e-3 - 5e-3
    field = tacsl.PenaltyField(
        z.repeat(11, 11, 1), torch.tensor([-5e-3] * 3), 1e-3, torch.zeros(1, 3), 0.01
    )
    before = torch.tensor([[[-1e-4, 0.0, -1e-3]]])  # of the taxel in the object: 0.01 m/s along x
    force, at = field(torch.tensor([[0.0, 0.0, 1e-3]]), torch.eye(3)[None], before)
    torch.testing.assert_close(at[0, 0], torch.tensor([0.0, 0.0, -1e-3]))
    torch.testing.assert_close(force[0, 0], torch.tensor([-1e-3, 0.0, 1e-3]))


def test_rows(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out = tmp_path / "tactile.json"
    words = "--gels 2 --shares 5 --rows 60 --fields 8 --repeats 1 --seconds 0.01 --no-compile"
    assert cli.main(["bench", "tactile", *words.split(), "--json", str(out)]) == 0
    rows = json.loads(out.read_text())["rows"]
    found = {(row["metric"], row["baseline"]) for row in rows}
    assert {("pictures", "eager"), ("pictures", "each pixel"), ("fields", "eager")} <= found
    assert all(row["value"] > 0.0 for row in rows)


@pytest.mark.parametrize(
    ("words", "said"),
    [
        ("--shares 7", "expected some of [5, 20, 100], got [7]"),
        ("--gels 0", "must be 1 or more"),
        ("--device cuda:0", "torch finds no GPU here; take cpu"),
    ],
)
def test_bad_input(
    words: str,
    said: str,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    assert cli.main(["bench", "tactile", *words.split()]) == 2
    assert said in capsys.readouterr().err
