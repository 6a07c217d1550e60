"""The operator's page in the browser: the arm, how the gate stands, buttons, what is seen, figures.

It shows a state and puts what is pressed into deeds; all browsers that have it open see the same.
"""

# pyright: standard

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import viser
import viser.uplot

from sim2arm.core.contract import Contract

from . import operator_html as html
from .operator_scene import ArmScene
from .operator_state import Curve, OperatorState, recording, refusal
from .page import Page
from .page_pictures import Picture, faded, fitted

INKS = ("#2b6cb0", "#c05621", "#2f855a", "#805ad5", "#b83280", "#718096", "#d69e2e", "#319795")
LEAST, MOST = 120, 320
"""Rows and columns of a picture on the page [pixels]."""
_TOP_S, _SCENE_S, _JOINTS_S, _GRAPHS_S = 0.1, 0.1, 0.25, 1.0
_POINTS = 300


@dataclass(frozen=True, kw_only=True)
class Buttons:
    """What the page can ask for."""

    start: Callable[[], None]
    hold: Callable[[], None]
    reset: Callable[[], None]
    record: Callable[[str], None]
    begin_episode: Callable[[int], None] | None = None
    """Of a simulated arm."""
    judge: Callable[[str], None] | None = None
    """Says how a trial ended: success, failure or repeat."""


class OperatorPage:
    """The page.

    Attributes:
        address: of it.
    """

    def __init__(
        self,
        contract: Contract,
        buttons: Buttons,
        *,
        asker: str,
        host: str = "127.0.0.1",
        port: int = 8080,
        blind: bool = False,
    ) -> None:
        """Serve it.

        Args:
            contract: of the policy.
            buttons: what is done when they are pressed.
            asker: who asks the gate, in words.
            host: address that it listens at.
            port: 0 takes any that is free.
            blind: show nothing that tells policies apart.

        Raises:
            ValueError: the port cannot be had; one line.
        """
        self._page = Page(f"sim2arm {contract.robot}", host=host, port=port)
        self.address = self._page.address
        self._contract, self._buttons, self._asker = contract, buttons, asker
        self._blind = blind
        self._done: dict[str, float] = {}
        self._shown: dict[str, str] = {}
        self._images: dict[str, viser.GuiImageHandle] = {}
        self._plots: dict[str, Any] = {}
        gui = self._page.gui
        gui.configure_theme(
            show_logo=False, show_share_button=False, control_width="large",
            control_layout="floating",
        )  # fmt: skip
        gui.set_panel_label(f"{contract.robot}: operate")
        self.scene = ArmScene(self._page, contract.kinematic_chain.base_frame)
        self._build(gui)

    def _build(self, gui: Any) -> None:
        buttons = self._buttons
        gui.add_html(html.STYLE)
        hold = gui.add_button(
            "HOLD", color="red", icon=viser.Icon.HAND_STOP,
            hint="Stop the arm and let nothing move it until Start or Reset.",
        )  # fmt: skip
        hold.on_click(lambda _: buttons.hold())
        self._banner = gui.add_html("")
        self._start = gui.add_button(
            "Start", color="green", icon=viser.Icon.PLAYER_PLAY,
            hint=f"Let the {self._asker} move the arm.",
        )  # fmt: skip
        self._start.on_click(lambda _: buttons.start())
        self._reset = gui.add_button(
            "Reset", color="gray", icon=viser.Icon.REFRESH,
            hint="Leave a fault or a hold; nothing moves by it.",
        )  # fmt: skip
        self._reset.on_click(lambda _: buttons.reset())
        self._alarm = gui.add_html("")
        self._deeds = gui.add_html("")
        self._trial = gui.add_html("")
        self._judging = [self._judge_button(gui, name) for name in _VERDICTS]
        self._seen = gui.add_folder("Seen and felt", visible=False)
        with gui.add_folder("Joints"):
            self._joints = gui.add_html("")
        if not self._blind:  # times tell policies apart
            with gui.add_folder("Latency"):
                self._latency = gui.add_html("")
            self._graphs = gui.add_folder("Graphs", expand_by_default=False)
        self._record = gui.add_folder("Record", visible=False)
        with self._record:
            self._recorder = gui.add_html("")
            self._marks = {
                event: gui.add_button(f"{event.capitalize()} episode", color="gray")
                for event in ("start", "keep", "discard")
            }
        for event, button in self._marks.items():
            button.on_click(lambda _, event=event: buttons.record(event))
        if buttons.begin_episode is not None:
            self._build_simulated(gui, buttons.begin_episode)
        with gui.add_folder("Activation report", expand_by_default=False):
            self._report = gui.add_html("")

    def _build_simulated(self, gui: Any, begin: Callable[[int], None]) -> None:
        with gui.add_folder("Simulated arm", expand_by_default=False):
            seed = gui.add_number("Seed", 0, min=0, max=2**31 - 1, step=1)
            again = gui.add_button("New episode", color="gray")

            @again.on_click
            def _(_: object) -> None:
                begin(int(seed.value))
                seed.value = int(seed.value) + 1

    def _judge_button(self, gui: Any, name: str) -> viser.GuiButtonHandle:
        label, color, hint = _VERDICTS[name]
        button = gui.add_button(label, color=color, hint=hint, visible=False)
        judge = self._buttons.judge
        if judge is not None:
            button.on_click(lambda _: judge(name))
        return button

    # -- drawing -------------------------------------------------------------------------------

    @property
    def watched(self) -> int:
        """How many browsers have the page open; without one nothing needs to be drawn."""
        return self._page.watched()

    def draw(self, state: OperatorState, busy: str) -> None:
        """Draw what is due."""
        now = time.monotonic()
        for name, period in (
            ("top", _TOP_S), ("scene", _SCENE_S), ("joints", _JOINTS_S), ("graphs", _GRAPHS_S)
        ):  # fmt: skip
            if now - self._done.get(name, 0.0) >= period:
                self._done[name] = now
                getattr(self, f"_draw_{name}")(state, now, busy)

    def show_picture(self, name: str, picture: Picture, old_s: float | None = None) -> None:
        """Show what a camera sees or a gel feels, faded and with its age [s] if it is old."""
        small, label = fitted(picture, LEAST, MOST), name.replace("_", " ")
        if old_s is not None:
            small, label = faded(small), f"{label}: OLD, {old_s:.0f} s"
        if name in self._images:
            self._images[name].image, self._images[name].label = small, label
            return
        with self._seen:
            self._seen.visible = True
            self._images[name] = self._page.gui.add_image(
                small, label=label, format="jpeg", jpeg_quality=80
            )

    def hide_picture(self, name: str) -> None:
        """Show a picture no more."""
        image = self._images.pop(name, None)
        if image is not None:
            image.remove()

    def stop(self) -> None:
        """Stop to serve."""
        self._page.stop()

    def _set(self, handle: Any, name: str, content: str) -> None:
        """Change a text if it is another one: each change goes to every browser."""
        if self._shown.get(name) != content:
            self._shown[name] = content
            handle.content = content

    def _draw_top(self, state: OperatorState, now: float, busy: str) -> None:
        self._set(self._banner, "banner", html.banner(state, now, self._asker))
        lines = [*state.deeds, *([f"{busy} ..."] if busy else [])]
        self._set(self._deeds, "deeds", html.deeds(lines))
        stands = not busy and state.gate_state(now) != "ACTIVE"
        judging = self._buttons.judge is not None  # then trials say when it is time
        _enable(self._start, stands and (not judging or state.trial.get("start") == "True"))
        _enable(self._reset, stands)
        hint = refusal(state, now) or f"Let the {self._asker} move the arm."
        if self._start.hint != hint:
            self._start.hint = hint
        self._draw_trial(state)
        if state.recorder.values:
            self._draw_recorder(state, now, busy)

    def _draw_recorder(self, state: OperatorState, now: float, busy: str) -> None:
        found = recording(state, now)
        if not self._record.visible:
            self._record.visible = True
        self._set(self._alarm, "alarm", html.alarm(found.alarm))
        self._set(self._recorder, "recorder", html.recording(found))
        for event, button in self._marks.items():
            can = not busy and not found.alarm and found.running == (event != "start")
            _enable(button, can)

    def _draw_trial(self, state: OperatorState) -> None:
        trial = state.trial
        if not trial.values:
            return
        self._set(self._trial, "trial", html.trial(trial.get("title"), trial.reason))
        for button in self._judging:
            asked = trial.get("judge") == "True"
            if button.visible != asked:
                button.visible = asked

    def _draw_scene(self, state: OperatorState, now: float, busy: str) -> None:
        self.scene.draw(state.positions, state.poses)

    def _draw_joints(self, state: OperatorState, now: float, busy: str) -> None:
        self._set(self._joints, "joints", html.joints(state, self._contract, now))
        if not self._blind:
            self._set(self._latency, "latency", html.figures(state, self._contract, now))
        self._set(self._report, "report", html.report(state.reports, blind=self._blind))

    def _draw_graphs(self, state: OperatorState, now: float, busy: str) -> None:
        if self._blind:
            return
        curves: dict[str, Mapping[str, Curve]] = {
            "observation to command [ms]": {"longest of 0.1 s": state.latency},
            "ages of inputs [ms]": state.ages,
        }
        for title, named in curves.items():
            if any(len(curve.times) for curve in named.values()):
                self._plot(title, named, now)

    def _plot(self, title: str, curves: Mapping[str, Curve], now: float) -> None:
        data = table(curves, now)
        old = self._plots.get(title)
        if old is not None and old[0] == tuple(curves):
            old[1].data = data
            return
        if old is not None:
            old[1].remove()
        series = [viser.uplot.Series(label="s")]
        for i, name in enumerate(curves):
            ink = INKS[i % len(INKS)]
            label = name.replace("_", " ")
            series.append(viser.uplot.Series(label=label, stroke=ink, width=1.5, spanGaps=True))
        with self._graphs:
            plot = self._page.gui.add_uplot(
                data, tuple(series), title=title,
                scales={"x": viser.uplot.Scale(time=False)},
                axes=(viser.uplot.Axis(), viser.uplot.Axis(size=52)),
                legend=viser.uplot.Legend(show=True), height=170,
            )  # fmt: skip
        self._plots[title] = (tuple(curves), plot)


_VERDICTS: dict[str, tuple[str, Any, str]] = {
    "success": ("Success", "green", "The trial succeeded."),
    "failure": ("Failure", "red", "The trial failed."),
    "repeat": ("Repeat the trial", "gray", "It does not count: something else went wrong."),
}
"""By verdict: label, colour, hint."""


def table(curves: Mapping[str, Curve], now: float) -> tuple[np.ndarray, ...]:
    """Return seconds before now and each curve [ms] at these, (T,), NaN where it has none."""
    times = np.unique(np.concatenate([np.array(curve.times) for curve in curves.values()]))
    times = times[-_POINTS:]
    columns: list[np.ndarray] = []
    for curve in curves.values():
        column = np.full(len(times), np.nan)
        own = np.array(curve.times)
        at = np.searchsorted(times, own[own >= times[0]]) if len(times) else np.empty(0, int)
        column[at] = 1e3 * np.array(curve.values)[own >= times[0]] if len(times) else 0.0
        columns.append(column)
    return (times - now, *columns)


def _enable(button: Any, can: bool) -> None:
    if button.disabled == can:
        button.disabled = not can
