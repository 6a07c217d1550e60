"""Episodes in the browser, at the pace that the page asks for."""

# pyright: standard

from __future__ import annotations

import time

from sim2arm_ros.page import Page

from .errors import user_input
from .playback import Playback, Restart
from .shows import Moment, Show
from .view_panel import Panel
from .view_stage import Stage

PICTURE_S = 1.0 / 30.0
"""Least time between pictures [s]."""
FIGURES_S = 0.2
"""Least time between figures [s]."""


def browse(
    show: Show, playback: Playback, *, host: str, port: int, episodes: int | None = None
) -> None:
    """Serve a page until Ctrl-C, or until the episodes are over.

    Args:
        show: what is shown.
        playback: what is wanted at the beginning.
        host: address of the page.
        port: 0 takes any that is free.
        episodes: how many; without an end by default.

    Raises:
        UserError: the port cannot be had.
    """
    with user_input("page"):
        page = Page(f"sim2arm view {show.name}", host=host, port=port)
    try:
        stage = Stage(page)
        browser = Browser(show, playback, stage, Panel(page, show, playback, stage))
        print(f"{show.name}: open {page.address} (Ctrl-C ends)", flush=True)
        browser.play(episodes)
    finally:
        page.stop()


class Browser:
    """Plays rounds of episodes at the pace that the page asks for, and draws them."""

    def __init__(self, show: Show, playback: Playback, stage: Stage, panel: Panel) -> None:
        """Take what is shown, what is wanted, and where it is drawn."""
        self._show, self._playback = show, playback
        self._stage, self._panel = stage, panel
        self._drawn = self._figured = 0.0

    def play(self, episodes: int | None) -> None:
        """Play episodes, without an end by default."""
        left = episodes
        while left is None or left > 0:
            count = self._show.num_worlds if left is None else min(left, self._show.num_worlds)
            first = self._playback.seed
            self._panel.begin_round()
            try:
                self._show.play(
                    range(first, first + count), lambda: self._playback.actions, self._watch
                )
            except Restart:
                continue
            self._playback.seed = first + count
            left = None if left is None else left - count

    def _watch(self, moment: Moment) -> None:
        first, last = moment.step == 1, not moment.running.any()
        self._panel.keep(moment)
        now = time.monotonic()
        if first or last or now - self._drawn >= PICTURE_S:
            self._stage.draw(moment, first=first)
            self._drawn = now
        if first or last or now - self._figured >= FIGURES_S:
            self._panel.draw(moment)
            self._figured = now
        self._playback.wait(self._show.period, lambda: self._redraw(moment))
        if last:
            self._panel.end_round(moment)

    def _redraw(self, moment: Moment) -> None:
        self._stage.draw(moment, first=False)
        self._panel.draw(moment)
