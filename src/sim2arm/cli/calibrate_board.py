"""`sim2arm calibrate board FILE`: a board to print, for cameras and hand-eye."""

# pyright: standard

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated

from tyro.conf import Positional, arg

from sim2arm.calibration.board import BoardCfg
from sim2arm.calibration.board_print import lay_out, to_pdf, to_png, to_svg
from sim2arm.core.durable import write_durably

from .errors import UserError, user_input
from .outputs import check_file
from .parse import parse

SUFFIXES = (".pdf", ".svg", ".png")


@dataclass(frozen=True, kw_only=True)
class PrintBoardCfg:
    """Make a ChArUco board to print, at true scale, with rulers to check it."""

    file: Annotated[Positional[Path], arg(metavar="FILE")]
    """Where: .pdf, .svg or .png."""
    board: BoardCfg = field(default_factory=BoardCfg)
    """What is on it."""
    paper: str = "a4"
    """a4, a3, a2 or letter, lying."""
    dpi: int = 600
    """Resolution of a PNG [1/inch]."""


def main(argv: Sequence[str]) -> int:
    """Parse the arguments, write the file and say what to do with it.

    Raises:
        UserError: the board does not fit on the paper, or the file cannot be written.
    """
    cfg = parse(PrintBoardCfg, argv, "sim2arm calibrate board")
    if cfg.file.suffix not in SUFFIXES:
        raise UserError(f"{cfg.file}: expected a name that ends in {', '.join(SUFFIXES)}")
    if not 72 <= cfg.dpi <= 1200:
        raise UserError(f"--dpi: expected 72 to 1200, got {cfg.dpi}")
    check_file("FILE", cfg.file)
    with user_input("calibrate board"):
        sheet = lay_out(cfg.board, cfg.paper)
        write = {".pdf": to_pdf, ".svg": to_svg, ".png": lambda s: to_png(s, cfg.dpi)}
        data = write[cfg.file.suffix](sheet)
    with user_input("calibrate board", cfg.file):
        write_durably(cfg.file, data)
    for text in board_words(cfg.board, cfg.paper):
        print(text)
    return 0


def board_words(board: BoardCfg, paper: str) -> list[str]:
    """Return what a person does with the sheet."""
    options = [
        f"--board.{name} {value}"
        for name, value, usual in (
            ("columns", board.columns, BoardCfg.columns),
            ("rows", board.rows, BoardCfg.rows),
            ("square-mm", f"{board.square_mm:g}", f"{BoardCfg.square_mm:g}"),
            ("marker-mm", f"{board.marker_mm:g}", f"{BoardCfg.marker_mm:g}"),
            ("dictionary", board.dictionary, BoardCfg.dictionary),
        )
        if value != usual
    ]
    return [
        f"Print it on {paper} at 100 % (not 'fit to page') and glue it on something flat.",
        "Measure both rulers, 100 mm each; where they are not, --board.ruler-mm ACROSS DOWN.",
        f"Calibrate with: {' '.join(options) or 'the options of the board as they are'}",
    ]
