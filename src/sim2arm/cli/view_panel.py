"""The panel beside the worlds: play, pause, step, speed, seed; rewards and success of one world."""

# pyright: standard

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
import viser
import viser.uplot

from sim2arm_ros.page import Page

from .playback import AS_FAST_AS_POSSIBLE, Playback
from .shows import Moment, Show
from .view_stage import Stage

SPEEDS = {"1/8": 0.125, "1/2": 0.5, "1": 1.0, "2": 2.0, "max": AS_FAST_AS_POSSIBLE}
FORCES = ("followed", "all", "none")
INKS = ("#2b6cb0", "#c05621", "#2f855a", "#805ad5", "#b83280", "#718096", "#d69e2e", "#319795")
MOST_SEED = 2**31 - 1


class Panel:
    """Controls that tell a playback what is wanted, and figures of the world that is followed."""

    def __init__(self, page: Page, show: Show, playback: Playback, stage: Stage) -> None:
        """Build the panel."""
        self._show, self._playback, self._stage = show, playback, stage
        self._gui = page.gui
        self._ended = self._succeeded = 0
        self._last = (0.0, 0)  # when figures were drawn, and of which step
        self._history: list[Mapping[str, Any]] = []
        self._plot: viser.GuiUplotHandle | None = None
        self._status = self._gui.add_markdown("")
        self._build_controls()
        with self._gui.add_folder("Followed world"):
            if show.num_worlds > 1:
                self._build_follow()
            add_forces(self._gui, stage, playback.redraw)
            self._figures = self._gui.add_markdown("")
        self._graph = self._gui.add_folder("Reward per step", expand_by_default=True)

    def begin_round(self) -> None:
        """Forget the rewards of the last round."""
        self._history = []

    def end_round(self, moment: Moment) -> None:
        """Count the episodes of a round."""
        self._ended += len(moment.seeds)
        self._succeeded += int(moment.success.sum())

    def keep(self, moment: Moment) -> None:
        """Remember the rewards of a step."""
        self._history.append(moment.rewards)

    def draw(self, moment: Moment) -> None:
        """Show the figures of a moment."""
        world = self._stage.followed
        self._status.content = self._state_text(moment)
        self._figures.content = self._world_text(moment, world)
        self._draw_rewards(moment, world)

    # -- controls ------------------------------------------------------------------------------

    def _build_controls(self) -> None:
        gui, playback = self._gui, self._playback
        with gui.add_folder("Time"):
            self._play = gui.add_button("Pause", icon=viser.Icon.PLAYER_PAUSE)
            step = gui.add_button("Step", icon=viser.Icon.PLAYER_TRACK_NEXT)
            speed = gui.add_dropdown("Speed", tuple(SPEEDS), initial_value="1")
        self._play.on_click(lambda _: self._set_playing(not playback.playing))

        @step.on_click
        def _(_: object) -> None:
            playback.step()
            self._name_button()

        speed.on_update(lambda _: playback.set_speed(SPEEDS[speed.value]))
        with gui.add_folder("Episodes"):
            seed = gui.add_number(
                "Seed", playback.seed, min=0, max=MOST_SEED, step=1,
                hint="Of the first world; the next worlds have the next seeds.",
            )  # fmt: skip
            again = gui.add_button("Restart", icon=viser.Icon.REFRESH)
            kinds = ("policy", "random", "zero") if self._show.has_policy else ("random", "zero")
            actions = gui.add_dropdown("Actions", kinds, initial_value=playback.actions)
        again.on_click(lambda _: playback.restart(int(seed.value)))

        @actions.on_update
        def _(_: object) -> None:
            playback.actions = actions.value

    def _build_follow(self) -> None:
        most = self._show.num_worlds - 1
        followed = self._gui.add_slider("World", min=0, max=most, step=1, initial_value=0)

        @followed.on_update
        def _(_: object) -> None:
            self._stage.follow(int(followed.value))
            self._playback.redraw()

        near = self._gui.add_button("Go near", icon=viser.Icon.ZOOM_IN)
        near.on_click(lambda _: self._stage.go_near())

    def _set_playing(self, playing: bool) -> None:
        self._playback.play(playing)
        self._name_button()

    def _name_button(self) -> None:
        playing = self._playback.playing
        self._play.label = "Pause" if playing else "Play"
        self._play.icon = viser.Icon.PLAYER_PAUSE if playing else viser.Icon.PLAYER_PLAY

    # -- figures -------------------------------------------------------------------------------

    def _state_text(self, moment: Moment) -> str:
        n, running = len(moment.seeds), int(moment.running.sum())
        over = n - running + self._ended
        solved = int(moment.success.sum()) + self._succeeded
        share = f"{solved} of {over} succeeded" if over else "none has ended yet"
        return (
            f"**{self._show.name}**  \n{moment.step * self._show.period:.2f} s, "
            f"step {moment.step}{self._pace(moment)}  \n{running} of {n} episodes running  \n"
            f"Ended: {share}"
        )

    def _pace(self, moment: Moment) -> str:
        """Return how fast time went on since the figures were last drawn."""
        now = time.monotonic()
        (before, step), self._last = self._last, (now, moment.step)
        if not self._playback.playing or step >= moment.step or now <= before:
            return ""
        return f", {(moment.step - step) * self._show.period / (now - before):.2f} x real time"

    def _world_text(self, moment: Moment, world: int) -> str:
        if world >= len(moment.seeds):
            return "No episode in this round."
        state = "running" if moment.running[world] else "ended"
        success = "**success**" if moment.success[world] else "no success yet"
        if not moment.running[world] and not moment.success[world]:
            success = "**no success**"
        rows = [f"Seed {moment.seeds[world]}, {state}, {success}", "", "| reward | now | sum |"]
        rows.append("|:--|--:|--:|")
        sums = {
            name: float(sum(step[name][world] for step in self._history)) for name in moment.rewards
        }
        for name, values in moment.rewards.items():
            now = float(values[world])
            rows.append(f"| {name.replace('_', ' ')} | {now:z.4f} | {sums[name]:z.3f} |")
        now = sum(float(values[world]) for values in moment.rewards.values())
        rows.append(f"| **all** | **{now:z.4f}** | **{sum(sums.values()):z.3f}** |")
        return "\n".join(rows)

    def _draw_rewards(self, moment: Moment, world: int) -> None:
        names = list(moment.rewards)
        data = curves(self._history, names, world, self._show.period)
        if self._plot is not None:
            self._plot.data = data
            return
        series = [viser.uplot.Series(label="s")]
        for i, name in enumerate(names):
            ink = INKS[i % len(INKS)]
            series.append(viser.uplot.Series(label=name, stroke=ink, width=1.5))
        with self._graph:
            self._plot = self._gui.add_uplot(
                data,
                tuple(series),
                scales={"x": viser.uplot.Scale(time=False)},
                axes=(viser.uplot.Axis(), viser.uplot.Axis(size=64)),  # room for a sign
                legend=viser.uplot.Legend(show=True),
                height=220,
            )


def add_forces(gui: Any, stage: Stage, redraw: Callable[[], None]) -> None:
    """Let the person at a page choose which contact forces are drawn.

    Args:
        gui: of the page, where the choice is built.
        stage: draws them.
        redraw: called after a choice.
    """
    forces = gui.add_dropdown("Contact forces", FORCES, initial_value=stage.forces)

    @forces.on_update
    def _(_: object) -> None:
        stage.forces = forces.value
        redraw()


def curves(
    history: Sequence[Mapping[str, Any]], names: Sequence[str], world: int, period: float
) -> tuple[np.ndarray, ...]:
    """Return time [s] and the named terms of one world, each (T,)."""
    rows = np.array([[step[name][world] for name in names] for step in history])
    time = period * np.arange(1, len(history) + 1)
    return (time, *rows.reshape(len(history), len(names)).T)
