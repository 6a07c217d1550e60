"""The page of a record: well formed, self-contained, escaped, and with every number."""

import base64
import re
from html.parser import HTMLParser

import pytest

from sim2arm.core import page
from sim2arm.core.calibration_page import render_page
from sim2arm.core.calibration_record import make_quantity, make_residuals
from tests.core.calibrations import PICTURES, make_record

VOID = {"meta", "img", "rect", "line", "link", "br"}


class Reader(HTMLParser):
    """Collects the elements and the text, and checks that tags are closed in order."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.open: list[str] = []
        self.elements: list[tuple[str, dict[str, str | None]]] = []
        self.text: list[str] = []
        self.feed(html)
        self.close()
        assert self.open == []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, dict(attrs)))
        if tag not in VOID:
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        if tag not in VOID:
            assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        if data.strip():
            self.text.append(data.strip())

    def rows(self) -> int:
        return sum(tag == "rect" for tag, _ in self.elements)


def test_the_page_shows_every_part() -> None:
    reader = Reader(render_page(make_record(), PICTURES))
    for text in (
        "hand-eye: camera_wrist, serial 0123",
        "Accepted: every residual is inside its limit",
        "Taken at 21 C.",
        make_record().id,
        "panda_hand_tcp",
        "-0.03",
        "601",  # an element of the matrix
        "3 of 4",  # samples used
        "0.000288675",  # rms: 5e-4 / sqrt(3)
        "translation of each of 4 samples; outlined: 1 not used, cut at 0.002 m",
        "ab" * 32,
        "4 views",
    ):
        assert text in reader.text, text
    assert sum(tag == "rect" for tag, _ in reader.elements) == 8


def test_the_picture_is_inside() -> None:
    reader = Reader(render_page(make_record(), PICTURES))
    (source,) = [attrs["src"] or "" for tag, attrs in reader.elements if tag == "img"]
    head, _, data = source.partition(",")
    assert head == "data:image/png;base64"
    assert base64.b64decode(data, validate=True) == PICTURES["views.png"]


def test_nothing_is_loaded_or_run() -> None:
    html = render_page(make_record(), PICTURES)
    reader = Reader(html)
    assert not {tag for tag, _ in reader.elements} & {"script", "link", "iframe", "object"}
    assert not re.search(r"https?:|url\(|@import|<[^>]* on\w+=", html)
    (policy,) = [a["content"] for t, a in reader.elements if t == "meta" and "http-equiv" in a]
    assert (policy or "").startswith("default-src 'none'")


def test_every_text_is_escaped() -> None:
    attack = '<code>"><script>alert(1)</script>&amp;'
    record = make_record(
        what=attack,
        device=attack,
        method=attack,
        notes=(attack,),
        settings={attack: 1.0},
        versions={attack: attack},
        values={attack: make_quantity([1.0], attack.replace(" ", ""), frame=attack, note=attack)},
        residuals={attack: make_residuals([1.0], attack, note=attack, limit=0.5)},
        pictures=tuple(),
    )
    html = render_page(record)
    assert "<script" not in html
    assert Reader(html).text.count(attack) >= 4  # what came in is what is read


def test_the_verdict() -> None:
    bad = make_residuals([0.003, 0.004], "m", limit=0.0035)
    html = render_page(make_record(residuals={"translation": bad}), PICTURES)
    assert "Not accepted" in html
    assert "translation: root mean square 0.00354 m, limit 0.0035 m" in html
    unjudged = make_record(residuals={"a": make_residuals([1.0], "m")})
    assert "Not judged: no residual has a limit" in render_page(unjudged, PICTURES)


def test_the_page_needs_the_pictures_of_the_record() -> None:
    with pytest.raises(ValueError, match="pictures: expected"):
        render_page(make_record())


def test_bars_by_hand() -> None:
    # 2 of at most 4 units: half of 120 px, so from y = 16 + 60; the line at 4 is at the top.
    svg = page.bars([2.0, 4.0], "mm", {"limit": 4.0}, frozenset({1}), "two")
    assert '<rect x="89.00" y="76.00" width="32.00" height="60.00" fill="var(--bar)"/>' in svg
    assert 'height="120.00" fill="none"' in svg and 'y1="16.00"' in svg and "4 mm" in svg


def test_many_bars_keep_their_peaks() -> None:
    values = [0.0] * 10_000
    values[4321] = 1.0
    svg = page.bars(values, "m", {}, frozenset(), "many")
    assert svg.count("<rect") == 295  # groups of 34
    assert svg.count('height="120.00"') == 1 and "(each bar is the greatest of 34)" in svg


def test_charts_of_zeros_and_of_nothing() -> None:
    assert 'height="0.00"' in page.bars([0.0], "m", {"rms": 0.0}, frozenset(), "zero")
    assert "<rect" not in page.bars([], "m", {}, frozenset(), "none")
