"""Boards: true scale on paper, what rulers change, what is found in pictures, what is refused."""

# pyright: standard

from __future__ import annotations

import re
import struct
from collections.abc import Callable

import numpy as np
import pytest

from sim2arm.calibration.board import DICTIONARIES, BoardCfg, BoardFinder
from sim2arm.calibration.board_print import lay_out, to_pdf, to_picture, to_png, to_svg


@pytest.mark.parametrize("board", [BoardCfg(), BoardCfg(columns=7, rows=6, dictionary="4x4_50")])
def test_the_printed_sheet_has_the_corners_where_the_board_says(board: BoardCfg) -> None:
    sheet = lay_out(board, "a4")
    view = BoardFinder(board).find(to_picture(sheet, 300), "sheet")
    assert len(view.pixels) == (board.columns - 1) * (board.rows - 1)
    # 300 dots per inch: 11.81 a millimetre; edges are rounded to dots of 0.085 mm.
    mm = (view.pixels + 0.5) / 300 * 25.4 - sheet.origin
    assert np.abs(mm - 1e3 * view.points[:, :2]).max() < 0.06


def test_svg_and_pdf_are_of_true_size() -> None:
    sheet = lay_out(BoardCfg(), "a4")
    svg = to_svg(sheet).decode()
    assert 'width="297mm" height="210mm" viewBox="0 0 297 210"' in svg
    ruler = re.search(r"M([\d.]+) ([\d.]+)h100\.0000v0\.2500", svg)  # 100 mm long, 0.25 high
    assert ruler is not None
    pdf = to_pdf(sheet)
    # 297 mm are 841.88976 points of 1/72 inch; the units of the drawing are millimetres.
    assert b"/MediaBox [0 0 841.88976 595.27559]" in pdf and b"/PrintScaling /None" in pdf
    assert b"2.83464567 0 0 -2.83464567 0 595.27559055 cm" in pdf
    places = [int(line[:10]) for line in pdf.split(b"xref\n")[1].splitlines()[2:7]]
    assert [pdf[p : p + 7] for p in places] == [b"%d 0 obj" % k for k in range(1, 6)]


def test_a_png_says_its_resolution() -> None:
    data = to_png(lay_out(BoardCfg(), "a4"), 300)
    at = data.index(b"pHYs")
    assert struct.unpack(">IIB", data[at + 4 : at + 13]) == (11811, 11811, 1)  # 300 / 0.0254


def test_rulers_scale_each_direction() -> None:
    board = BoardCfg(square_mm=20.0, marker_mm=14.0, ruler_mm=(99.0, 101.0))
    # The first inner corner lies one square from both edges: 20 mm x 0.99, 20 mm x 1.01.
    np.testing.assert_allclose(board.corners[0], [0.0198, 0.0202, 0.0])
    assert board.size == pytest.approx((10 * 0.0198, 7 * 0.0202))


def test_nothing_is_found_where_there_is_no_board() -> None:
    finder = BoardFinder(BoardCfg())
    grey = np.full((120, 160), 128, np.uint8)
    assert len(finder.find(grey, "grey").pixels) == 0
    other = BoardCfg(dictionary="apriltag_36h11").picture(24)
    assert len(finder.find(np.pad(other, 24, constant_values=255), "other").pixels) == 0


ERRORS: dict[str, tuple[Callable[[], object], str]] = {
    "dictionary": (lambda: BoardCfg(dictionary="9x9"), "expected one of 4x4_50"),
    "size": (lambda: BoardCfg(columns=2), "expected 3 to 40, got 2"),
    "marker": (lambda: BoardCfg(marker_mm=30.0), "a marker smaller than its square"),
    "ruler": (lambda: BoardCfg(ruler_mm=(3.9, 3.9)), "measured in inches"),
    "too many": (lambda: BoardCfg(columns=20, rows=20, dictionary="4x4_50"), "the board needs 200"),
    "paper": (lambda: lay_out(BoardCfg(), "a7"), "paper: expected one of a4"),
    "fit": (lambda: lay_out(BoardCfg(square_mm=40.0), "a4"), "squares of 25"),
}


@pytest.mark.parametrize("case", ERRORS)
def test_what_is_no_board_is_one_line(case: str) -> None:
    make, text = ERRORS[case]
    with pytest.raises(ValueError, match=text) as error:
        make()
    assert "\n" not in str(error.value) and DICTIONARIES
