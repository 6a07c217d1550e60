"""A board on paper: SVG and PDF of lines whose lengths are millimetres, PNG with its resolution.

Beside the board are two rulers of 100 mm. Printers and their drivers change the scale, often
differently along the two edges; what the rulers measure on the paper goes into `BoardCfg`.
"""

# OpenCV's stubs are incomplete.
# pyright: standard

from __future__ import annotations

import struct
import zlib
from collections.abc import Sequence
from dataclasses import dataclass

import cv2
import numpy as np

from .board import BoardCfg, Image

PAPERS = {
    "a4": (297.0, 210.0),
    "a3": (420.0, 297.0),
    "letter": (279.4, 215.9),
    "a2": (594.0, 420.0),
}
"""Width and height, lying [mm]."""
MARGIN = 8.0
"""That printers leave white [mm]."""
RULER = 100.0
"""[mm]"""
_BESIDE = 9.0
"""From the board to the middle of a ruler [mm]."""
_POINT = 72.0 / 25.4
"""Points of a PDF per millimetre."""


@dataclass(frozen=True)
class Rectangle:
    """A black rectangle on the paper [mm] from its upper left corner."""

    x: float
    y: float
    width: float
    height: float


@dataclass(frozen=True)
class Text:
    """A line of text that begins there [mm], `size` high [mm]."""

    x: float
    y: float
    text: str
    size: float = 3.0


@dataclass(frozen=True, kw_only=True)
class Sheet:
    """What is on the paper."""

    width: float
    """[mm]"""
    height: float
    """[mm]"""
    origin: tuple[float, float]
    """Upper left outer corner of the board [mm]."""
    black: tuple[Rectangle, ...]
    texts: tuple[Text, ...]


def lay_out(board: BoardCfg, paper: str) -> Sheet:
    """Return where everything goes.

    Raises:
        ValueError: unknown paper, or the board does not fit on it with its rulers.
    """
    if paper not in PAPERS:
        raise ValueError(f"paper: expected one of {', '.join(PAPERS)}, got {paper!r}")
    width, height = PAPERS[paper]
    across, down = board.columns * board.square_mm, board.rows * board.square_mm
    wide, high = width - 2 * MARGIN - _BESIDE - 4.0, height - 2 * MARGIN - _BESIDE - 9.0
    if across > wide or down > high:
        fits = min(wide / board.columns, high / board.rows)
        raise ValueError(
            f"a board of {across:g} x {down:g} mm does not fit on {paper} with its rulers: squares "
            f"of {np.floor(2 * fits) / 2:g} mm do"
        )
    x0, y0 = MARGIN + 0.5 * (wide - across), MARGIN + 0.5 * (high - down)
    black = [Rectangle(x0 + x, y0 + y, w, h) for x, y, w, h in _squares(board)]
    black += _ruler(x0, y0 + down + _BESIDE, along=True)
    black += _ruler(x0 + across + _BESIDE, y0, along=False)
    name = (
        f"sim2arm board: {board.columns} x {board.rows} squares of {board.square_mm:g} mm, markers "
        f"{board.marker_mm:g} mm, {board.dictionary}"
    )
    check = (
        "Print at 100 %, without 'fit to page'. Measure both rulers (100 mm each, from outer edge "
        "to outer edge): --board.ruler-mm ACROSS DOWN. Glue it on something flat."
    )
    under = y0 + down + _BESIDE
    texts = (
        Text(x0 + RULER + 4.0, under + 1.0, "100 mm across"),
        Text(x0, under + 7.5, name),
        Text(x0, under + 11.5, check, 2.4),
    )
    return Sheet(width=width, height=height, origin=(x0, y0), black=tuple(black), texts=texts)


def _squares(board: BoardCfg) -> list[tuple[float, float, float, float]]:
    """Return the black parts of a board [mm]: x, y, width, height, as few as rows of bits allow."""
    found: list[tuple[float, float, float, float]] = []
    side, inner = board.square_mm, board.marker_mm
    ids = iter(range(board.columns * board.rows))
    dark = _dark_squares(board)
    markers = board.of_opencv.getDictionary()
    bits = markers.markerSize + 2
    cell, gap = inner / bits, 0.5 * (side - inner)
    for row in range(board.rows):
        for column in range(board.columns):
            x, y = column * side, row * side
            if dark[row, column]:
                found.append((x, y, side, side))
                continue
            picture = np.asarray(markers.generateImageMarker(next(ids), bits)) == 0
            for line in range(bits):
                edges = np.flatnonzero(np.diff(np.pad(picture[line].astype(int), 1)))
                for begin, end in edges.reshape(-1, 2).tolist():
                    found.append(
                        (x + gap + begin * cell, y + gap + line * cell, (end - begin) * cell, cell)
                    )
    return found


def _dark_squares(board: BoardCfg) -> np.ndarray:
    """Return (rows, columns) bool, which squares are black, as OpenCV draws them."""
    n = 24
    corner = board.picture(n)[1::n, 1::n]
    return corner < 128


def _ruler(x: float, y: float, *, along: bool) -> list[Rectangle]:
    """Return a ruler of 100 mm with marks every 10 mm; its outer edges are 100 mm apart."""
    thin = 0.25
    parts = [(0.0, -0.5 * thin, RULER, thin)]
    for k in range(11):
        at = 10.0 * k * (RULER - thin) / RULER
        half = 2.5 if k % 5 == 0 else 1.5
        parts.append((at, -half, thin, 2.0 * half))
    if along:
        return [Rectangle(x + a, y + b, w, h) for a, b, w, h in parts]
    return [Rectangle(x + b, y + a, h, w) for a, b, w, h in parts]


def to_svg(sheet: Sheet) -> bytes:
    """Return the sheet as SVG whose units are millimetres."""
    w, h = f"{sheet.width:g}", f"{sheet.height:g}"
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{w}mm" height="{h}mm" '
        f'viewBox="0 0 {w} {h}">',
        f'<rect width="{w}" height="{h}" fill="#fff"/>',
    ]
    # One path: between shapes of their own hairlines would shine through.
    path = " ".join(
        f"M{r.x:.4f} {r.y:.4f}h{r.width:.4f}v{r.height:.4f}h{-r.width:.4f}z" for r in sheet.black
    )
    parts.append(f'<path d="{path}"/>')
    parts += [
        f'<text x="{t.x:.2f}" y="{t.y:.2f}" font-family="Helvetica, Arial, sans-serif" '
        f'font-size="{t.size}">{t.text}</text>'
        for t in sheet.texts
    ]
    return ("\n".join([*parts, "</svg>"]) + "\n").encode()


def to_pdf(sheet: Sheet) -> bytes:
    """Return the sheet as PDF (1.4), one page of its size."""
    lines = [f"{_POINT:.8f} 0 0 {-_POINT:.8f} 0 {sheet.height * _POINT:.8f} cm"]
    lines += [f"{r.x:.4f} {r.y:.4f} {r.width:.4f} {r.height:.4f} re" for r in sheet.black]
    lines.append("f")
    for t in sheet.texts:
        text = t.text.replace("\\", r"\\").replace("(", r"\(").replace(")", r"\)")
        lines.append(f"BT /F1 {t.size} Tf 1 0 0 -1 {t.x:.2f} {t.y:.2f} Tm ({text}) Tj ET")
    content = "\n".join(lines).encode()
    box = f"[0 0 {sheet.width * _POINT:.5f} {sheet.height * _POINT:.5f}]"
    objects = [
        b"<< /Type /Catalog /Pages 2 0 R /ViewerPreferences << /PrintScaling /None >> >>",
        b"<< /Type /Pages /Kids [3 0 R] /Count 1 >>",
        f"<< /Type /Page /Parent 2 0 R /MediaBox {box} /Contents 4 0 R "
        f"/Resources << /Font << /F1 5 0 R >> >> >>".encode(),
        f"<< /Length {len(content)} >>\nstream\n".encode() + content + b"\nendstream",
        b"<< /Type /Font /Subtype /Type1 /BaseFont /Helvetica >>",
    ]
    return _pdf_file(objects)


def _pdf_file(objects: Sequence[bytes]) -> bytes:
    data, places = b"%PDF-1.4\n%\xe2\xe3\xcf\xd3\n", []
    for number, body in enumerate(objects, 1):
        places.append(len(data))
        data += f"{number} 0 obj\n".encode() + body + b"\nendobj\n"
    table = f"xref\n0 {len(objects) + 1}\n0000000000 65535 f \n"
    table += "".join(f"{place:010d} 00000 n \n" for place in places)
    end = f"trailer\n<< /Size {len(objects) + 1} /Root 1 0 R >>\nstartxref\n{len(data)}\n%%EOF\n"
    return data + table.encode() + end.encode()


def to_picture(sheet: Sheet, dots_per_inch: int) -> Image:
    """Return the sheet (rows, cols) grey at a resolution; texts as far as OpenCV writes them."""
    per_mm = dots_per_inch / 25.4
    picture = np.full((round(sheet.height * per_mm), round(sheet.width * per_mm)), 255, np.uint8)
    for r in sheet.black:
        left, top = round(r.x * per_mm), round(r.y * per_mm)
        right, bottom = round((r.x + r.width) * per_mm), round((r.y + r.height) * per_mm)
        picture[top : max(bottom, top + 1), left : max(right, left + 1)] = 0
    for t in sheet.texts:
        scale, where = t.size * per_mm / 22.0, (round(t.x * per_mm), round(t.y * per_mm))
        cv2.putText(picture, t.text, where, cv2.FONT_HERSHEY_SIMPLEX, 0.72 * scale, 0, 1,
                    cv2.LINE_AA)  # fmt: skip
    return picture


def to_png(sheet: Sheet, dots_per_inch: int) -> bytes:
    """Return the sheet as PNG that says its resolution, so that programs print it at true size."""
    done, data = cv2.imencode(".png", to_picture(sheet, dots_per_inch))
    assert done
    png = data.tobytes()
    per_metre = round(dots_per_inch / 0.0254)
    body = b"pHYs" + struct.pack(">IIB", per_metre, per_metre, 1)
    chunk = struct.pack(">I", 9) + body + struct.pack(">I", zlib.crc32(body))
    at = png.index(b"IHDR") + 4 + 13 + 4  # behind the header and its checksum
    return png[:at] + chunk + png[at:]
