"""`sim2arm import taxim`: a table in a file, and one line for what is wrong."""

# pyright: standard

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import pytest

from sim2arm.cli.main import main
from sim2arm.core.gradient_table_file import read_table


@pytest.fixture
def words(tmp_path: Path) -> list[str]:
    """Return arguments that work: red grows by 1 where the skin has a slope."""
    grad = np.zeros((11, 11, 6))
    grad[1:, :, 5] = 1.0
    np.savez(tmp_path / "p.npz", bins=11, grad_r=grad, grad_g=0 * grad, grad_b=0 * grad)
    flat = np.zeros((24, 32, 3), np.uint8)
    flat[..., 2] = 90  # red, as OpenCV writes it
    cv2.imwrite(str(tmp_path / "flat.png"), flat)
    return [
        "import", "taxim", str(tmp_path / "p.npz"), "--background", str(tmp_path / "flat.png"),
        "--channels", "rgb", "--area-mm", "16", "12", "--sensor", "gel", "--licence", "MIT",
        "--out", str(tmp_path / "out" / "gel.safetensors"),
    ]  # fmt: skip


def test_a_table_is_written(words: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    assert main(words) == 0
    assert "65 x 65 nodes, Taxim, p.npz, 11 bins, read as rgb" in capsys.readouterr().out
    table = read_table(words[-1])
    assert table.size == (0.016, 0.012) and table.licence == "MIT"
    assert table.background[0, 0].tolist() == [90.0, 0.0, 0.0]
    np.testing.assert_allclose(table.evaluate([2.0, 0.0], 0.3, 0.3), [1.0, 0.0, 0.0], atol=1e-6)


@pytest.mark.parametrize(
    ("option", "value", "message"),
    [
        ("--channels", "hsv", "--channels: invalid choice"),
        ("--out", "gel.npz", "--out: expected a name ending in .safetensors"),
        ("--nodes", "10", "--nodes: expected an odd number"),
        ("--background", "gone.png", "no such file or folder: gone.png"),
        ("--sensor", "", "sensor: must not be empty"),
    ],
)
def test_what_is_wrong_is_one_line(
    words: list[str],
    option: str,
    value: str,
    message: str,
    capsys: pytest.CaptureFixture[str],
) -> None:
    assert main([*words, option, value]) == 2
    error = capsys.readouterr().err
    assert message in error and error.count("\n") == 1
