"""A person resets, starts and judges trials, by key or on the operator's page, without a name.

The first start of a pair is taken as a picture; before the others it is shown over what the camera
sees now, so that the scene can be put back, and both are kept as PNG.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

from sim2arm_ros.page_pictures import Picture, blended, png, read_png

from .compare_log import TrialLog
from .errors import UserError

if TYPE_CHECKING:
    from sim2arm_ros.supervisor import Supervisor
    from sim2arm_ros.trial_desk import TrialDesk

    from .compare import CompareCfg

STARTS = "starts"
_KEYS = {"s": "success", "f": "failure", "r": "repeat"}
_ASK = "Type s (success), f (failure) or r (repeat: it does not count) and Enter"
_STOP_S = 10.0


class Lines(Protocol):
    """What a person types."""

    over: bool
    """Whether nothing more will come."""

    def next(self) -> str | None:
        """Return the next line, None without one."""


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
            desk: tells the page, hears it, sees the starts.
            log: of the comparison.
            keys: what is typed.
            cfg: the options.
        """
        self._supervisor, self._desk, self._log = supervisor, desk, log
        self._keys, self._cfg = keys, cfg
        self._verdict, self._trial = "", -1

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
        while True:
            verdict, ended = self._once(trial, pair, reset)
            if verdict != "repeat":
                return verdict == "success", ended

    def over(self) -> None:
        """Say that no trial runs."""
        self._desk.tell(-1, "Comparison", "no trial runs")

    def _once(self, trial: int, pair: int, reset: Callable[[], Any]) -> tuple[str, str]:
        supervisor, self._verdict = self._supervisor, ""
        reset()
        path = self._path(pair, "")
        reference = read_png(path) if path.is_file() else None
        overlay = " as the picture shows" if reference is not None else ""
        text = f"Put the scene at start {pair + 1}{overlay}, then Start"
        self._tell(trial, text, reference=reference)
        supervisor.policy = {}
        self._wait(self._started, "start")
        self._keep_start(trial, pair, reference)
        self._tell(trial, "It runs. Say how it ends as soon as it does", judge=True)
        ended = self._run()
        supervisor.transition(supervisor.asker, "deactivate")
        self._wait(lambda: supervisor.gate.get("state") != "ACTIVE", "gate that holds", _STOP_S)
        if not self._verdict:
            self._tell(trial, f"It has ended ({ended}). How did it go?", judge=True)
            self._wait(self._judged, "verdict")
        return self._verdict, ended

    def _started(self) -> bool:
        """Return whether the policy acts: started on the page, or by Enter."""
        supervisor = self._supervisor
        if supervisor.policy.get("phase") == "RUNNING":
            return True
        if self._typed() is None:
            return False
        self._desk.lift()
        supervisor.activate(supervisor.asker)
        self._wait(lambda: supervisor.policy.get("phase") in ("RUNNING", "STOPPED"), "start")
        if supervisor.policy.get("phase") == "RUNNING":
            return True
        print(f"it did not begin: {supervisor.policy_message}; Enter tries again", flush=True)
        supervisor.transition(supervisor.asker, "deactivate")
        return False

    def _run(self) -> str:
        """Wait for the end of a trial; return how it ended."""
        from .compare_ros import pause

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

    def _tell(
        self, trial: int, text: str, *, judge: bool = False, reference: Picture | None = None
    ) -> None:
        """Say on the terminal and on the page what the person has to do."""
        title = f"Trial {trial + 1} of {self._log.plan.trials}"
        print(f"{title}: {text}. {f'{_ASK}.' if judge else '(Enter)'}", flush=True)
        self._desk.tell(trial, title, text, start=not judge, judge=judge, reference=reference)

    # -- pictures ------------------------------------------------------------------------------

    def _path(self, pair: int, what: str) -> Path:
        return self._log.folder / STARTS / f"pair-{pair + 1:03d}{what}.png"

    def _keep_start(self, trial: int, pair: int, reference: Picture | None) -> None:
        """Write what the camera sees at the start, if another was before it over that one."""
        live = self._desk.seen()
        if live is None:
            return
        path = self._path(pair, "" if reference is None else f"-overlay-trial-{trial + 1}")
        path.parent.mkdir(exist_ok=True)
        path.write_bytes(png(live if reference is None else blended(reference, live)))
