import re
from html.parser import HTMLParser
from pathlib import Path

import pytest

from sim2arm.cli.report import (
    Block,
    Section,
    Verdict,
    chart,
    code,
    folded,
    note,
    table,
    text,
    tiles,
    video,
    write_report,
)
from sim2arm.cli.report_charts import Share, draw_latency, draw_learning, draw_shares

VOID = {"meta", "br", "img", "input", "link"}


class Page(HTMLParser):
    """Collects what a browser would fetch, and the elements that are not closed in order."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.fetched: list[str] = []
        self.wrong: list[str] = []
        self._open: list[str] = []
        self.feed(html)
        self.wrong += self._open

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        if tag not in VOID:
            self._open.append(tag)
        for name, value in attrs:
            if name in ("src", "href", "xlink:href", "poster", "srcset", "data"):
                self.fetched.append(value or "")

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        pass  # <path/> of an SVG

    def handle_endtag(self, tag: str) -> None:
        if not self._open or self._open.pop() != tag:
            self.wrong.append(f"/{tag}")


def make_charts() -> list[Block]:
    shares = [
        Share(label="in process", successes=471, trials=500, low=0.918, high=0.961),
        Share(label="blind", successes=500, trials=500, low=0.993, high=1.0, baseline=True),
    ]
    marks = {"p50": 2.0, "p99": 3.0, "max": 19.5}
    learning = draw_learning(
        [6144, 12288], [0.1, 0.5], [-0.1, 0.2], trials=[(12288, 0.6)], target=0.96
    )
    latency = draw_latency([2.0, 2.0, 3.0, 19.5], period_ms=16.67, marks=marks)
    return [chart(learning, "a"), chart(draw_shares(shares), "b"), chart(latency, "c")]


def make_page(folder: Path) -> str:
    blocks = [
        text("words"),
        note("mind"),
        code("a && b"),
        folded("more", [text("hidden")]),
        tiles([("label", "94 %", "of all")]),
        table(("what", "value"), [["a", 1.5], [Verdict(good=False, text="refused"), 2]]),
        video(b"film", 840, 396, "caption"),
        *make_charts(),
    ]
    path = write_report(folder / "run", [Section(title="All", blocks=blocks)], title="A page")
    assert [each.name for each in path.parent.iterdir()] == ["report.html"]
    return path.read_text(encoding="utf-8")


def test_a_page_fetches_nothing_and_closes_what_it_opens(tmp_path: Path) -> None:
    html = make_page(tmp_path)
    page = Page(html)
    assert page.wrong == []
    outside = [each for each in page.fetched if not each.startswith(("data:", "#"))]
    assert outside == []
    assert not re.search(r"https?://|@import|url\((?!#)", html)


def test_what_a_page_says_is_escaped(tmp_path: Path) -> None:
    evil = "<script>alert('1') & more</script>"
    blocks = [
        text(evil),
        note(evil),
        code(evil),
        tiles([(evil, evil, evil)]),
        table((evil,), [[evil]]),
        table((evil,), [[Verdict(good=True, text=evil)]]),
        video(b"", 2, 2, evil),
        chart("<svg></svg>", evil),
        folded(evil, []),
    ]
    path = write_report(tmp_path, [Section(title=evil, blocks=blocks)], title=evil)
    html = path.read_text(encoding="utf-8")
    assert "<script" not in html
    # two titles and a heading, three paragraphs, a tile of three, two tables of two, and captions
    assert html.count("&lt;script&gt;") == 2 + 1 + 3 + 3 + 4 + 3


def test_a_dollar_sign_in_the_text_stays(tmp_path: Path) -> None:
    path = write_report(tmp_path, [Section(title="$body", blocks=[])], title="costs $5")
    html = path.read_text(encoding="utf-8")
    assert "costs $5" in html and "<h2>$body</h2>" in html


def test_a_verdict_is_told_in_words_and_in_colour() -> None:
    html = table(("",), [[Verdict(good=True, text="ok")], [Verdict(good=False, text="refused")]])
    assert '<td class="good">ok</td>' in html and '<td class="bad">refused</td>' in html


def test_a_row_of_another_length_is_an_error() -> None:
    with pytest.raises(ValueError, match="row 1: expected 2 cells, got 1"):
        table(("a", "b"), [[1, 2], [1]])


def test_charts_take_the_colours_of_the_page_and_are_the_same_each_time() -> None:
    for block, again in zip(make_charts(), make_charts(), strict=True):
        assert block == again
        assert "#01020" not in block and "var(--series)" in block and "var(--soft)" in block
        assert len(block) < 60_000


def test_charts_tell_the_numbers() -> None:
    learning, shares, latency = make_charts()
    assert "94.2 %" in shares and "[91.8, 96.1]" in shares and "471 of 500 episodes" in shares
    assert "target 96 %" in learning
    for words in ("p50 2.00 ms", "p99 3.00 ms", "max 19.50 ms", "period 16.67 ms"):
        assert words in latency
