"""Parts of a web page that needs nothing but itself: styles inline, pictures as data, no scripts.

Every text is escaped here; what is of type `Markup` was made by these functions. The page forbids
itself to load anything, so it looks the same offline and shows nobody what is read.
"""

from __future__ import annotations

import base64
from collections.abc import Iterable, Mapping, Sequence
from html import escape

_MOST_BARS = 300
_WIDTH, _HEIGHT, _LEFT, _TOP = 640, 120, 60, 16
_POLICY = "default-src 'none'; img-src data:; style-src 'unsafe-inline'"
_STYLE = """
:root { color-scheme: light dark; --line: #8884; --soft: #777; --bar: #3b7dd8; --bad: #c62f2f;
  --good: #2a8a4a; }
body { font: 15px/1.5 system-ui, sans-serif; max-width: 60rem; margin: 2rem auto; padding: 0 1rem; }
h1 { font-size: 1.6rem; margin-bottom: .3rem; }
h2 { font-size: 1.15rem; margin-top: 2rem; border-bottom: 1px solid var(--line); }
table { border-collapse: collapse; margin: .6rem 0; display: block; overflow-x: auto; }
th, td { text-align: left; padding: .2rem .9rem .2rem 0; border-bottom: 1px solid var(--line);
  vertical-align: top; }
th { font-weight: 600; color: var(--soft); }
td.number, th.number { text-align: right; font-variant-numeric: tabular-nums; white-space: nowrap; }
p.good, p.bad { font-weight: 600; margin: .3rem 0; }
p.good { color: var(--good); } p.bad { color: var(--bad); }
p.soft, figcaption { color: var(--soft); margin: .3rem 0; }
figure { margin: 1rem 0; } img, svg { max-width: 100%; height: auto; }
svg text { font-size: 11px; fill: var(--soft); }
code { font-size: .85em; overflow-wrap: anywhere; }
"""


class Markup(str):
    """Text that is HTML already; any other text is escaped."""

    __slots__ = ()


def page(title: str, parts: Iterable[Markup]) -> str:
    """Return the whole page."""
    body = "\n".join(parts)
    return (
        '<!DOCTYPE html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n'
        '<meta name="viewport" content="width=device-width, initial-scale=1">\n'
        f'<meta http-equiv="Content-Security-Policy" content="{escape(_POLICY)}">\n'
        f"<title>{escape(title)}</title>\n<style>{_STYLE}</style>\n</head>\n"
        f"<body>\n{body}\n</body>\n</html>\n"
    )


def heading(text: str, level: int = 2) -> Markup:
    """Return a heading."""
    return Markup(f"<h{level}>{escape(text)}</h{level}>")


def paragraph(text: str, style: str = "") -> Markup:
    """Return a paragraph; styles: `good`, `bad`, `soft`."""
    return Markup(f'<p class="{escape(style)}">{escape(text)}</p>')


def code(text: str) -> Markup:
    """Return text in a fixed-width font."""
    return Markup(f"<code>{escape(text)}</code>")


def table(headings: Sequence[str], rows: Iterable[Sequence[str | float | Markup]]) -> Markup:
    """Return a table; numbers are set to six digits and to the right, `code` is kept."""
    rows = list(rows)
    right = [not isinstance(cell, str) for cell in rows[0]] if rows else [False] * len(headings)
    head = "".join(
        f"<th{' class=number' * number}>{escape(text)}</th>"
        for text, number in zip(headings, right, strict=False)
    )
    lines = ["<tr>" + "".join(_cell(cell) for cell in row) + "</tr>" for row in rows]
    top = f"<thead><tr>{head}</tr></thead>" if head else ""
    return Markup(f"<table>{top}<tbody>\n" + "\n".join(lines) + "\n</tbody></table>")


def picture(data: bytes, media_type: str, caption: str) -> Markup:
    """Return a picture with its caption.

    Args:
        data: the file.
        media_type: `image/png` or `image/jpeg`.
        caption: text below it.
    """
    text = base64.b64encode(data).decode("ascii")
    return Markup(
        f'<figure><img alt="{escape(caption)}" src="data:{escape(media_type)};base64,{text}">'
        f"<figcaption>{escape(caption)}</figcaption></figure>"
    )


def bars(
    values: Sequence[float],
    unit: str,
    lines: Mapping[str, float],
    hollow: frozenset[int],
    caption: str,
) -> Markup:
    """Return a bar chart of numbers from zero up.

    Args:
        values: heights; of more than 300, the greatest of each group is drawn.
        unit: unit of the heights.
        lines: names and heights of horizontal lines.
        hollow: indices of values that are only outlined.
        caption: text below it.
    """
    group = -(-len(values) // _MOST_BARS)
    starts = range(0, len(values), max(group, 1))
    chosen = [max(range(i, min(i + group, len(values))), key=values.__getitem__) for i in starts]
    top = max([*values, *lines.values()], default=0.0) or 1.0
    step = (_WIDTH - _LEFT) / max(len(chosen), 1)
    drawn: list[str] = []
    for place, i in enumerate(chosen):
        height = _HEIGHT * values[i] / top
        paint = 'fill="none" stroke="var(--bar)"' if i in hollow else 'fill="var(--bar)"'
        drawn.append(
            f'<rect x="{_LEFT + place * step + 0.1 * step:.2f}" y="{_TOP + _HEIGHT - height:.2f}" '
            f'width="{0.8 * min(step, 40.0):.2f}" height="{height:.2f}" {paint}/>'
        )
    drawn += _lines(lines, top)
    drawn.append(_label(0, 12, f"{top:.3g} {unit}"))
    drawn.append(_label(0, _TOP + _HEIGHT, "0"))
    if group > 1:
        caption += f" (each bar is the greatest of {group})"
    view = f'viewBox="0 0 {_WIDTH + 110} {_TOP + _HEIGHT + 6}" width="{_WIDTH + 110}" role="img"'
    return Markup(
        f"<figure><svg {view}>" + "".join(drawn) + "</svg>"
        f"<figcaption>{escape(caption)}</figcaption></figure>"
    )


def _lines(lines: Mapping[str, float], top: float) -> list[str]:
    """Return horizontal lines; labels that would overlap are moved up."""
    drawn: list[str] = []
    lowest = _TOP + _HEIGHT + 13.0
    for name, value in sorted(lines.items(), key=lambda item: item[1]):
        y = _TOP + _HEIGHT * (1.0 - value / top)
        lowest = min(y, lowest - 13.0)
        drawn.append(
            f'<line x1="{_LEFT}" x2="{_WIDTH}" y1="{y:.2f}" y2="{y:.2f}" stroke="var(--bad)" '
            f'stroke-dasharray="5 4"/>{_label(_WIDTH + 4, lowest + 4, f"{name} {value:.3g}")}'
        )
    return drawn


def _label(x: float, y: float, text: str) -> str:
    return f'<text x="{x:.1f}" y="{y:.1f}">{escape(text)}</text>'


def _cell(value: str | float | Markup) -> str:
    if isinstance(value, Markup):
        return f"<td>{value}</td>"
    if isinstance(value, str):
        return f"<td>{escape(value)}</td>"
    return f'<td class="number">{value:.6g}</td>'
