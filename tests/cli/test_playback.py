"""Play, pause, step, speed, restart: each from another thread than that which waits."""

import threading
import time
from collections.abc import Callable

import pytest

from sim2arm.cli.playback import AS_FAST_AS_POSSIBLE, Playback, Restart

PERIOD = 0.01


class Runner:
    """Takes control steps in a thread until it is told to restart."""

    def __init__(self, playback: Playback) -> None:
        self.steps = self.draws = 0
        self.thread = threading.Thread(target=self._run, args=(playback,))
        self.thread.start()

    def _run(self, playback: Playback) -> None:
        try:
            while True:
                playback.wait(PERIOD, self._draw)
                self.steps += 1
        except Restart:
            return

    def _draw(self) -> None:
        self.draws += 1


def until(true: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 20.0
    while not true():
        assert time.monotonic() < deadline, "waited in vain"
        time.sleep(0.002)


def end(playback: Playback, runner: Runner) -> None:
    playback.restart(7)
    runner.thread.join(20.0)
    assert not runner.thread.is_alive() and playback.seed == 7


def test_paused_it_steps_once_per_click() -> None:
    playback = Playback(playing=False)
    runner = Runner(playback)
    time.sleep(5 * PERIOD)
    assert runner.steps == 0
    for expected in (1, 2):
        playback.step()
        until(lambda expected=expected: runner.steps == expected)
    time.sleep(5 * PERIOD)
    assert runner.steps == 2 and not playback.playing
    playback.step()
    playback.step()
    until(lambda: runner.steps == 4)  # two clicks in a row are two steps
    playback.play()
    until(lambda: runner.steps > 8)
    playback.step()  # pauses after one more
    until(lambda: not playback.playing)
    time.sleep(5 * PERIOD)
    stood = runner.steps
    time.sleep(5 * PERIOD)
    assert runner.steps == stood
    end(playback, runner)


def test_a_change_while_paused_is_drawn() -> None:
    playback = Playback(playing=False)
    runner = Runner(playback)
    playback.redraw()
    until(lambda: runner.draws >= 1)
    assert runner.steps == 0
    end(playback, runner)


def test_speed_sets_the_pace() -> None:
    playback = Playback()
    playback.set_speed(0.5)
    begin = time.monotonic()
    for _ in range(10):
        playback.wait(PERIOD, lambda: None)
    assert time.monotonic() - begin >= 0.19  # 10 steps of 10 ms at half speed: 200 ms
    playback.set_speed(AS_FAST_AS_POSSIBLE)
    begin = time.monotonic()
    for _ in range(100):
        playback.wait(10.0, lambda: None)
    assert time.monotonic() - begin < 10.0  # one step alone would take longer
    with pytest.raises(ValueError, match="speed: expected a number above 0, got 0"):
        playback.set_speed(0.0)


def test_a_late_simulation_does_not_hurry_to_catch_up() -> None:
    now = [0.0]
    playback = Playback(clock=lambda: now[0])

    def waits() -> bool:
        """Return whether the next step is not due yet; the clock stands, so it would never be."""
        thread = threading.Thread(target=lambda: playback.wait(1.0, lambda: None), daemon=True)
        thread.start()
        thread.join(0.2)
        late = thread.is_alive()
        if late:
            now[0] += 1.0
            playback.redraw()
            thread.join(20.0)
        assert not thread.is_alive()
        return late

    now[0] = 1.1  # due at 1.0: a little late, so the step after it is due at 2.0
    assert not waits()
    now[0] = 2.05
    assert not waits()
    now[0] = 30.0  # much later: the step after it is due a period from now
    assert not waits()
    assert waits()


def test_a_restart_leaves_what_runs() -> None:
    playback = Playback(seed=3, playing=False)
    playback.restart(5)
    with pytest.raises(Restart):
        playback.wait(PERIOD, lambda: None)
    assert playback.seed == 5
    playback.step()
    playback.wait(PERIOD, lambda: None)  # told once only
