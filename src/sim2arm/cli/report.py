"""Write a page that opens offline: one HTML file with its charts, tables and videos inside.

A page is a title, some blocks under it, and sections of blocks. A block is HTML made by one of
the functions below, which escape what they are given.
"""

import base64
from collections.abc import Sequence
from dataclasses import dataclass
from html import escape
from pathlib import Path
from string import Template
from typing import NewType

from sim2arm.core.durable import write_durably

from .table import Cell, format_cell

Block = NewType("Block", str)
"""A piece of HTML."""

PAGE = "report.html"
_TEMPLATE = Path(__file__).with_name(PAGE)


@dataclass(frozen=True, kw_only=True)
class Section:
    """A part of a page with a heading."""

    title: str
    blocks: Sequence[Block]


@dataclass(frozen=True, kw_only=True)
class Verdict:
    """A cell that says in words and colour whether something is as it should be."""

    good: bool
    text: str


def write_report(
    folder: Path, sections: Sequence[Section], *, title: str, lead: Sequence[Block] = ()
) -> Path:
    """Write `report.html` into a folder; the file is whole or absent.

    Args:
        folder: where to write; made if it is absent.
        sections: from top to bottom.
        title: of the page.
        lead: what stands between the title and the first section.
    """
    template = Template(_TEMPLATE.read_text(encoding="utf-8"))
    page = template.substitute(
        title=escape(title),
        lead="\n".join(lead),
        body="\n".join(_section(section) for section in sections),
    )
    path = folder / PAGE
    write_durably(path, page.encode())
    return path


def _section(section: Section) -> str:
    inner = "\n".join(section.blocks)
    return f"<section>\n<h2>{escape(section.title)}</h2>\n{inner}\n</section>"


def text(words: str, *, soft: bool = False) -> Block:
    """Return a paragraph; `soft` is smaller and paler."""
    return Block(f'<p class="soft">{escape(words)}</p>' if soft else f"<p>{escape(words)}</p>")


def note(words: str) -> Block:
    """Return a paragraph that nobody overlooks."""
    return Block(f'<p class="note">{escape(words)}</p>')


def code(lines: str) -> Block:
    """Return commands as they are typed."""
    return Block(f"<pre>{escape(lines)}</pre>")


def tiles(figures: Sequence[tuple[str, str, str]]) -> Block:
    """Return large numbers side by side: (label, number, what goes with it)."""
    inner = "".join(
        f'<div class="tile"><span>{escape(label)}</span><b>{escape(number)}</b>'
        f"<span>{escape(more)}</span></div>"
        for label, number, more in figures
    )
    return Block(f'<div class="tiles">{inner}</div>')


def table(header: Sequence[str], rows: Sequence[Sequence[Cell | Verdict]]) -> Block:
    """Return a table: numbers to the right, text to the left.

    Raises:
        ValueError: a row has another number of cells than the header.
    """
    for index, row in enumerate(rows):
        if len(row) != len(header):
            raise ValueError(f"row {index}: expected {len(header)} cells, got {len(row)}")
    right = [
        any(isinstance(row[column], int | float) for row in rows) for column in range(len(header))
    ]
    head = "".join(_cell("th", title, number) for title, number in zip(header, right, strict=True))
    body = "\n".join(
        f"<tr>{''.join(_cell('td', cell, number) for cell, number in zip(row, right, strict=True))}"
        "</tr>"
        for row in rows
    )
    return Block(
        f'<div class="scroll"><table>\n<thead><tr>{head}</tr></thead>\n'
        f"<tbody>{body}</tbody></table></div>"
    )


def _cell(tag: str, cell: Cell | Verdict, number: bool) -> str:
    if isinstance(cell, Verdict):
        return f'<{tag} class="{"good" if cell.good else "bad"}">{escape(cell.text)}</{tag}>'
    kind = ' class="number"' if number else ""
    return f"<{tag}{kind}>{escape(format_cell(cell))}</{tag}>"


def chart(svg: str, caption: str = "") -> Block:
    """Return a drawing of `report_charts` with a caption."""
    return Block(f"<figure>{svg}{_caption(caption)}</figure>")


def picture(png: bytes, caption: str = "") -> Block:
    """Return a picture, a PNG file, with a caption."""
    data = base64.b64encode(png).decode("ascii")
    image = f'<img alt="{escape(caption)}" src="data:image/png;base64,{data}">'
    return Block(f"<figure>{image}{_caption(caption)}</figure>")


def beside(blocks: Sequence[Block]) -> Block:
    """Return blocks side by side, as many as there is room for."""
    inner = "\n".join(blocks)
    return Block(f'<div style="display:flex;flex-wrap:wrap;gap:0 1rem">{inner}</div>')


def video(mp4: bytes, width: int, height: int, caption: str = "") -> Block:
    """Return a video (H.264 in MP4) that plays by itself, without sound, again and again."""
    data = base64.b64encode(mp4).decode("ascii")
    return Block(
        f'<figure><video width="{width}" height="{height}" controls autoplay muted loop playsinline'
        f' src="data:video/mp4;base64,{data}"></video>{_caption(caption)}</figure>'
    )


def folded(title: str, blocks: Sequence[Block]) -> Block:
    """Return blocks that are seen after a click on their title."""
    inner = "\n".join(blocks)
    return Block(f"<details><summary>{escape(title)}</summary>\n{inner}\n</details>")


def _caption(caption: str) -> str:
    return f"<figcaption>{escape(caption)}</figcaption>" if caption else ""
