"""A person resets, starts and judges trials, by key or on the operator's page, without a name.

The first start of a pair is taken as a picture; before the others it is shown over what the camera
sees now, so that the scene can be put back, and both are kept as PNG.

Nothing that was typed before a question could be read is an answer to it, and the arm moves by
Enter alone.
"""

from __future__ import annotations

import queue
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

from sim2arm.core.durable import write_durably
from sim2arm_ros.page_pictures import Picture, blended, png, read_png

from .compare_log import Repeat, TrialLog, utc_now
from .errors import UserError

if TYPE_CHECKING:
    from sim2arm_ros.supervisor import Supervisor
    from sim2arm_ros.trial_desk import TrialDesk

    from .compare import CompareCfg

STARTS = "starts"
_KEYS = {"s": "success", "f": "failure", "r": "repeat"}
_ASK = "Type s (success), f (failure) or r (repeat: it does not count) and Enter"
_STOP_S = 10.0
_READ_S = 0.5
"""What is typed sooner after a question was not meant for it [s]."""
_BEGIN_S = 3.0
"""Longest wait of an activated policy for the gate to let it in [s]."""


class Lines(Protocol):
    """What a person types."""

    over: bool
    """Whether nothing more will come."""

    def next(self) -> str | None:
        """Return the next line, None without one."""


class Keys:
    """Lines that are typed, without waiting for them."""

    def __init__(self) -> None:
        """Listen."""
        self._lines = queue.SimpleQueue[str]()
        self.over = False
        threading.Thread(target=self._listen, daemon=True).start()

    def _listen(self) -> None:
        for line in sys.stdin:
            self._lines.put(line.strip().lower())
        self.over = True

    def next(self) -> str | None:
        """Return the next line, None without one."""
        try:
            return self._lines.get_nowait()
        except queue.Empty:
            return None


class Person:
    """Asks a person."""

    def __init__(
        self,
        supervisor: Supervisor,
        desk: TrialDesk,
        log: TrialLog,
        keys: Lines,
        cfg: CompareCfg,
    ) -> None:
        """Ask nothing yet.

        Args:
            supervisor: operates the nodes.
            desk: tells the page, hears it, sees the starts, lets the policy act.
            log: of the comparison.
            keys: what is typed.
            cfg: the options.
        """
        self._supervisor, self._desk, self._log = supervisor, desk, log
        self._keys, self._cfg = keys, cfg
        self._verdict, self._trial = "", -1
        self._start: Picture | None = None
        self._read = self._late = pause(0.0)
        self._begun = False

    def trial(self, trial: int, pair: int, reset: Callable[[], Any]) -> tuple[bool, str]:
        """Let a person run a trial; return whether it succeeded, and how it ended.

        Args:
            trial: its number.
            pair: its start.
            reset: puts a simulated arm at the start.

        Raises:
            UserError: nobody can answer any more.
        """
        self._trial = trial
        reference = self._reference(pair)
        while True:
            verdict, ended = self._once(pair, reset, reference)
            if verdict != "repeat":
                self._keep_start(pair, reference)
                return verdict == "success", ended
            self._log.repeat(Repeat(trial=trial, ended=ended, at=utc_now()))

    def over(self) -> None:
        """Say that no trial runs."""
        self._desk.tell(-1, "Comparison", "no trial runs")

    def _once(
        self, pair: int, reset: Callable[[], Any], reference: Picture | None
    ) -> tuple[str, str]:
        supervisor, self._verdict = self._supervisor, ""
        reset()
        red = self._desk.activate_gate()
        if red:
            print(f"the gate lets nobody in yet: {red}", flush=True)
        overlay = " as the picture shows" if reference is not None else ""
        self._tell(f"Put the scene at start {pair + 1}{overlay}, then Start", reference=reference)
        self._ask_again()
        self._wait(self._started, "start")
        self._tell("It runs. Say how it ends as soon as it does", judge=True)
        self._forget()
        ended = self._run()
        supervisor.transition(supervisor.asker, "deactivate")
        self._wait(lambda: supervisor.gate.get("state") != "ACTIVE", "gate that holds", _STOP_S)
        if not self._verdict:
            self._tell(f"It has ended ({ended}). How did it go?", judge=True)
            self._wait(self._judged, "verdict")
        return self._verdict, ended

    # -- the start -----------------------------------------------------------------------------

    def _started(self) -> bool:
        """Return whether the policy acts: started on the page, or by Enter and nothing else."""
        phase = self._supervisor.policy.get("phase")
        if phase in ("WAITING", "RUNNING"):
            self._see_begin()
            if phase == "WAITING" and self._late():
                self._refuse(f"the gate let it in not within {_BEGIN_S:g} s")
            return phase == "RUNNING"
        if phase == "STOPPED":
            self._refuse(self._supervisor.policy_message)
            return False
        line = self._typed()
        if line is None or not self._read():
            return False
        if line:
            print("That starts nothing: Enter alone does", flush=True)
            return False
        why = self._desk.make_ready()
        if not why:
            self._see_begin()
            why = self._desk.begin()
            self._late = pause(_BEGIN_S)
        if why:
            self._refuse(why)
        return False

    def _see_begin(self) -> None:
        """Take the picture of the start, once, while the arm stands."""
        if self._begun:
            return
        self._begun, self._late, self._start = True, pause(_BEGIN_S), None
        try:
            self._start = self._desk.seen()
        except ValueError as error:
            print(f"this start is kept without a picture: {error}", flush=True)

    def _refuse(self, why: str) -> None:
        """Let the policy wait for nothing, say why, and ask again."""
        self._desk.withdraw()
        print(f"it did not begin: {why}; Enter tries again", flush=True)
        self._ask_again()

    def _ask_again(self) -> None:
        """Expect a start: what was said until it can be read is none."""
        self._supervisor.policy, self._begun = {}, False
        self._read = pause(_READ_S)
        self._forget()

    def _forget(self) -> None:
        while self._keys.next() is not None:
            pass
        self._desk.forget()

    # -- the verdict ---------------------------------------------------------------------------

    def _run(self) -> str:
        """Wait for the end of a trial; return how it ended."""
        supervisor, late = self._supervisor, pause(self._cfg.longest)
        self._wait(
            lambda: self._judged() or late() or supervisor.policy.get("phase") != "RUNNING",
            "end of the trial",
        )
        if self._verdict:
            return "judged"
        return "time up" if late() else f"stopped: {supervisor.policy_message}"

    def _typed(self) -> str | None:
        line = self._keys.next()
        if line is None and self._keys.over and not self._cfg.page:
            raise UserError("nobody answered: standard input ended; the same command goes on")
        return line

    def _judged(self) -> str:
        """Return what was said of the trial, empty if nothing."""
        typed = self._typed()
        if typed and typed not in _KEYS:
            print(f"{_ASK}.", flush=True)
        self._verdict = _KEYS.get(typed or "", "") or self._desk.verdict(self._trial)
        return self._verdict

    def _wait(
        self, condition: Callable[[], Any], what: str, timeout_s: float = float("inf")
    ) -> None:
        self._supervisor.spin_until(condition, timeout_s, what)

    def _tell(self, text: str, *, judge: bool = False, reference: Picture | None = None) -> None:
        """Say on the terminal and on the page what the person has to do."""
        title = f"Trial {self._trial + 1} of {self._log.plan.trials}"
        print(f"{title}: {text}. {f'{_ASK}.' if judge else '(Enter)'}", flush=True)
        self._desk.tell(self._trial, title, text, start=not judge, judge=judge, reference=reference)

    # -- pictures ------------------------------------------------------------------------------

    def _path(self, pair: int, what: str) -> Path:
        return self._log.folder / STARTS / f"pair-{pair + 1:03d}{what}.png"

    def _reference(self, pair: int) -> Picture | None:
        """Return the first start of a pair, None before a trial of it counts."""
        path, order = self._path(pair, ""), self._log.plan.order()
        counts = any(order[trial][0] == pair for trial in self._log.outcomes)
        return read_png(path) if counts and path.is_file() else None

    def _keep_start(self, pair: int, reference: Picture | None) -> None:
        """Write what the camera saw at the start, if another was before it over that one."""
        path = self._path(pair, "" if reference is None else f"-overlay-trial-{self._trial + 1}")
        path.unlink(missing_ok=True)  # of a trial that did not count
        if self._start is None:
            return
        picture = self._start if reference is None else blended(reference, self._start)
        write_durably(path, png(picture))


def pause(seconds: float) -> Callable[[], bool]:
    """Return a condition that holds after a time [s]."""
    end = time.monotonic() + seconds
    return lambda: time.monotonic() >= end
