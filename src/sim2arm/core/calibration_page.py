"""A calibration record as a web page that opens offline."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from . import page
from .calibration_record import CalibrationRecord, Quantity, Residuals, check_pictures
from .page import Markup

_CUT = 2.0
"""How much higher than everything that was used bars of what was not are drawn at most."""


def render_page(record: CalibrationRecord, pictures: Mapping[str, bytes] | None = None) -> str:
    """Return the page of a record.

    Raises:
        ValueError: other pictures than the record lists.
    """
    pictures = pictures or {}
    check_pictures(record, pictures)
    title = f"{record.what}: {record.device}"
    parts = [page.heading(title, 1), *_verdict(record), _facts(record)]
    parts += [page.heading("Values"), _values(record.values)]
    grids = {name: q for name, q in record.values.items() if len(q.shape) == 2}
    parts += [part for name, q in grids.items() for part in _grid(name, q)]
    if record.residuals:
        parts += [page.heading("Residuals"), _summary(record.residuals)]
        # The table says all of a single number.
        parts += [_chart(name, r) for name, r in record.residuals.items() if len(r.numbers) > 1]
    if record.pictures:
        parts.append(page.heading("Pictures"))
    for entry in record.pictures:
        parts.append(page.picture(pictures[entry.file], entry.media_type, entry.caption))
    if record.inputs:
        rows = [(entry.name, page.code(entry.sha256), entry.note) for entry in record.inputs]
        parts += [page.heading("Computed from"), page.table(("file", "sha256", ""), rows)]
    return page.page(title, parts)


def _verdict(record: CalibrationRecord) -> list[Markup]:
    judged = [r for r in record.residuals.values() if r.limit is not None]
    if record.problems:
        parts = [page.paragraph("Not accepted", "bad")]
        parts += [page.paragraph(line, "bad") for line in record.problems]
    elif judged:
        parts = [page.paragraph("Accepted: every residual is inside its limit", "good")]
    else:
        parts = [page.paragraph("Not judged: no residual has a limit", "soft")]
    return parts + [page.paragraph(note) for note in record.notes]


def _facts(record: CalibrationRecord) -> Markup:
    rows: list[tuple[str, str | Markup]] = [
        ("date", record.date),
        ("method", record.method),
        ("record", page.code(record.id)),
    ]
    settings = ", ".join(f"{name} {value:g}" for name, value in record.settings.items())
    versions = ", ".join(f"{name} {version}" for name, version in record.versions.items())
    rows += [pair for pair in (("settings", settings), ("software", versions)) if pair[1]]
    return page.table((), rows)


def _values(values: Mapping[str, Quantity]) -> Markup:
    """Return a table with a row per element; matrices come after it, as grids."""
    rows: list[tuple[str | float, ...]] = []
    for name, q in values.items():
        if len(q.shape) == 2:
            continue
        labels = q.element_names or (
            [""] if not q.shape else [str(i) for i in range(len(q.numbers))]
        )
        for i, number in enumerate(q.numbers):
            sigma = "" if q.uncertainty is None else q.uncertainty[i]
            first = (name, q.frame or "", q.note) if i == 0 else ("", "", "")
            wide = "" if q.uncertainty is None else 1.96 * q.uncertainty[i]
            rows.append((first[0], labels[i], number, sigma, wide, q.units[i], first[1], first[2]))
    head = ("value", "", "", "± 1 σ", "± 95 %", "unit", "frame", "")
    return page.table(head, rows) if rows else Markup("")


def _grid(name: str, q: Quantity) -> list[Markup]:
    words = [name, f"[{q.unit}]", f"in {q.frame}" if q.frame else "", q.note]
    parts = [page.paragraph(" ".join(word for word in words if word))]
    parts.append(page.table((), q.array.tolist()))
    if q.uncertainty is not None:
        parts += [page.paragraph("± 1 σ", "soft")]
        parts.append(page.table((), np.reshape(q.uncertainty, q.shape).tolist()))
    return parts


def _summary(residuals: Mapping[str, Residuals]) -> Markup:
    rows: list[tuple[str | float, ...]] = []
    for name, r in residuals.items():
        size = np.abs(r.used)
        limit = "" if r.limit is None else r.limit
        count = f"{len(r.used)} of {len(r.numbers)}"
        rows.append(
            (name, count, r.rms, float(np.median(size)), float(size.max()), limit, r.unit, r.note)
        )
    head = ("residual", "samples used", "rms", "median", "largest", "limit of rms", "unit", "")
    return page.table(head, rows)


def _chart(name: str, r: Residuals) -> Markup:
    lines = {"rms": r.rms} | ({} if r.limit is None else {"limit": r.limit})
    left = f"; outlined: {len(r.excluded)} not used" if r.excluded else ""
    # What was not used may be so large that nothing else could be seen beside it.
    top = _CUT * max([*np.abs(r.used).tolist(), *lines.values()])
    sizes = [abs(x) for x in r.numbers]
    if top > 0.0 and max(sizes) > top:
        sizes = [min(x, top) for x in sizes]
        left += f", cut at {top:.3g} {r.unit}"
    caption = f"{name} of each of {len(r.numbers)} samples{left}"
    return page.bars(sizes, r.unit, lines, frozenset(r.excluded), caption)
