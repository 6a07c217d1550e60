"""The page of a recording by hand: the arm, what is seen and felt, how things stand, buttons."""

# pyright: standard

from __future__ import annotations

import math
import queue
import re
import time
from collections.abc import Mapping
from typing import Any

import numpy as np
import viser
from numpy.typing import NDArray

from sim2arm.sim.arm import SimulatedArm
from sim2arm_ros.page import Page
from sim2arm_ros.page_pictures import enlarge

from .errors import user_input
from .hand_status import Status
from .shows import Moment
from .turns import Phase
from .video import Picture
from .view_browser import FIGURES_S, PICTURE_S
from .view_panel import add_forces
from .view_pictures import LEAST, as_picture
from .view_stage import Stage

TOUCH = re.compile(r"touch_.*_rgb")
"""Names of colours that gels give."""
SEEN_S = 0.1
"""Least time between pictures of cameras and gels [s]."""
NEEDED_S = 0.004
"""Time that a picture of the scene may take; with less it waits [s]."""
LONGEST_S = 0.25
"""A page that waited longer is drawn whatever it costs [s]."""
BUTTONS: dict[str, tuple[str, Any, str]] = {
    "start": ("Start", viser.Icon.PLAYER_RECORD, "Record the episode."),
    "keep": ("Keep", viser.Icon.CHECK, "End the episode and keep it."),
    "rerecord": ("Record again", viser.Icon.REFRESH, "Throw it away, the same start again."),
    "discard": ("Discard", viser.Icon.TRASH, "Throw it away, go on with the next start."),
    "quit": ("Quit", viser.Icon.DOOR_EXIT, "End; an episode that runs is thrown away."),
}
"""By press: name, picture, hint."""


class RecordPage:
    """A page on this machine that draws what its thread has time for.

    Attributes:
        address: of the page.
    """

    def __init__(self, title: str, *, port: int) -> None:
        """Serve a page.

        Args:
            title: what is recorded.
            port: 0 takes any that is free.

        Raises:
            UserError: the port cannot be had.
        """
        with user_input("page"):
            self._page = Page(f"sim2arm record {title}", port=port)
        self.address, self._title = self._page.address, title
        self._stage, self._pressed = Stage(self._page), queue.SimpleQueue[str]()
        self._pictures: dict[str, viser.GuiImageHandle] = {}
        self._done = {"scene": 0.0, "figures": 0.0, "seen": 0.0}  # when each was drawn
        self._start: tuple[int, float] = (-1, -1.0)  # seed and time of what is drawn
        gui = self._page.gui
        self._figures = gui.add_markdown("")
        with gui.add_folder("Episode"):
            self._buttons = {name: self._button(gui, name) for name in BUTTONS}
        self._seen_folder = gui.add_folder("Seen and felt", visible=False)
        with gui.add_folder("View", expand_by_default=False):
            near = gui.add_button("Go near", icon=viser.Icon.ZOOM_IN)
            near.on_click(lambda _: self._stage.go_near())
            add_forces(gui, self._stage, lambda: None)

    def presses(self) -> list[str]:
        """Return what was pressed since the last call."""
        found: list[str] = []
        while not self._pressed.empty():
            found.append(self._pressed.get())
        return found

    def draw(self, arm: SimulatedArm, status: Status, left: float) -> None:
        """Draw what is due and there is time for.

        Args:
            arm: as it stands.
            status: how the recording stands.
            left: time that may be spent [s].
        """
        fresh = status.seed != self._start[0] or status.seconds < self._start[1]
        if fresh:
            self._done = dict.fromkeys(self._done, 0.0)
        now, jobs = time.monotonic(), {"scene": PICTURE_S, "figures": FIGURES_S}
        if arm.organs.specs:
            jobs["seen"] = SEEN_S
        # Of what is due that which has waited for the most periods; one per tick.
        name = max(jobs, key=lambda name: (now - self._done[name]) / jobs[name])
        waited = now - self._done[name]
        if waited < jobs[name] or (left < NEEDED_S and waited < LONGEST_S):
            return
        self._done[name] = now
        if name == "scene":
            self._start = (status.seed, status.seconds)
            self._stage.draw(_moment(arm, status), first=fresh)
        elif name == "figures":
            self._figures.content = self._text(status)
            self._enable(status.phase)
        else:
            self._show_pictures(arm)

    def stop(self) -> None:
        """Stop to serve."""
        self._page.stop()

    def _button(self, gui: Any, name: str) -> viser.GuiButtonHandle:
        label, icon, hint = BUTTONS[name]
        button = gui.add_button(label, icon=icon, hint=hint)
        button.on_click(lambda _: self._pressed.put(name))
        return button

    def _enable(self, phase: Phase) -> None:
        begun = phase in (Phase.RUNNING, Phase.ENDED)
        for name, button in self._buttons.items():
            can = phase is not Phase.RUNNING if name == "start" else begun or name == "quit"
            if button.disabled == can:
                button.disabled = not can

    def _show_pictures(self, arm: SimulatedArm) -> None:
        """Show the newest frames of cameras and gels."""
        for name, picture in strips({k: seen for k, (seen, _) in arm.organs.newest().items()}):
            if name in self._pictures:
                self._pictures[name].image = picture
                continue
            with self._seen_folder:
                self._seen_folder.visible = True
                self._pictures[name] = self._page.gui.add_image(
                    picture, label=name, format="jpeg", jpeg_quality=85
                )

    def _text(self, status: Status) -> str:
        state = {Phase.RUNNING: "**recording**", Phase.OVER: "over"}
        word = state.get(status.phase, status.phase.value)
        success = "**success**" if status.success else "no success yet"
        rows = {
            "episode": f"{status.episode}, seed {status.seed}",
            "time": f"{status.seconds:.2f} s, {success}",
            "hand": f"**{status.hand}**",
            "gate": status.gate,
            "kept": f"{status.kept}, discarded {status.discarded}",
            "loop": f"{status.rate_hz:.1f} Hz, {status.missed} ticks missed",
            "dropped": f"{status.dropped} frames",
        }
        lines = [f"**{self._title}**: {word}", "", "| | |", "|:--|:--|"]
        lines += [f"| {name} | {value} |" for name, value in rows.items()]
        return "\n".join([*lines, "", status.why])


def strips(seen: Mapping[str, NDArray[Any]]) -> list[tuple[str, Picture]]:
    """Return what is shown of arrays, with its name: a picture each, those of gels as one.

    Small ones are enlarged by whole numbers.
    """
    pictures = {name: as_picture(name, frame) for name, frame in seen.items()}
    touches = [name for name in pictures if TOUCH.fullmatch(name)]
    found = [(name, picture) for name, picture in pictures.items() if name not in touches]
    if touches:
        found.append(("touch rgb", np.concatenate([pictures[name] for name in touches], axis=1)))
    return [
        (name.replace("_", " "), enlarge(p, max(1, math.ceil(LEAST / p.shape[0]))))
        for name, p in found
    ]


def _moment(arm: SimulatedArm, status: Status) -> Moment:
    """Return what there is to see of one arm."""
    there = np.ones(1, dtype=bool)
    return Moment(
        world=arm.world, seeds=(status.seed,), step=arm.ticks, shown=there,
        running=there & ~arm.done, success=arm.success.copy(), rewards={},
    )  # fmt: skip
