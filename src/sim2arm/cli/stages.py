"""Work in stages that a second call goes on with: what is done and unchanged is not repeated."""

import json
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from sim2arm.core.durable import write_durably

from .errors import UserError
from .machine import describe_commit
from .progress import duration

Results = Mapping[str, Any]
"""What a stage found out, as JSON has it."""


@dataclass(frozen=True, kw_only=True)
class Entry:
    """What is known about one stage."""

    inputs: dict[str, Any]
    """What it was made from; another value makes it again."""
    done: bool
    seconds: float
    """Time spent, over all calls."""
    commit: str
    """Of the code that ran it last."""
    results: dict[str, Any] = field(default_factory=dict[str, Any])


class Stages:
    """The stages of one run folder, kept in a JSON file there.

    Attributes:
        entries: by name, what is known about each.
        commit: of the code that runs now.
    """

    def __init__(self, path: Path, total: int) -> None:
        """Read what is done.

        Args:
            path: the JSON file; absent at first.
            total: number of stages, for the lines that say where we are.

        Raises:
            UserError: the file is not what this class writes.
        """
        self._path, self._total, self._count = path, total, 0
        self.commit = describe_commit()
        self.entries: dict[str, Entry] = {}
        if path.is_file():
            try:
                data: dict[str, dict[str, Any]] = json.loads(path.read_text(encoding="utf-8"))
                self.entries = {name: Entry(**entry) for name, entry in data.items()}
            except (ValueError, TypeError, AttributeError) as error:
                raise UserError(f"{path}: {error}; start over with --fresh") from error

    def run(
        self,
        name: str,
        inputs: Results,
        work: Callable[[], Results],
        *,
        outputs: Sequence[Path] = (),
        goes_on: bool = False,
    ) -> Results:
        """Do a stage, unless it is done with the same inputs and its outputs are there.

        Args:
            name: of the stage.
            inputs: what its outcome depends on, as JSON has it.
            work: does it and returns what it found out.
            outputs: files that it writes.
            goes_on: the work goes on where it was stopped, even with other inputs, so the time
                that it took before counts.

        Returns:
            The results, of now or of before.
        """
        self._count += 1
        place = f"[{self._count}/{self._total}] {name}"
        wanted: dict[str, Any] = json.loads(json.dumps(inputs))
        before = self.entries.get(name)
        same = before is not None and before.inputs == wanted
        if before is not None and same and before.done and all(path.exists() for path in outputs):
            _say(f"{place}: done before, in {duration(before.seconds)}")
            return before.results
        _say(place)
        spent = before.seconds if before is not None and (same or goes_on) else 0.0
        started = time.monotonic()

        def keep(done: bool, results: Results) -> None:
            seconds = round(spent + time.monotonic() - started, 2)
            self.entries[name] = Entry(
                inputs=wanted, done=done, seconds=seconds, commit=self.commit, results=dict(results)
            )
            self._write()

        try:
            results = work()
        except BaseException:
            keep(False, {})
            raise
        keep(True, results)
        return results

    @property
    def seconds(self) -> float:
        """Time spent in all stages, over all calls [s]."""
        return sum(entry.seconds for entry in self.entries.values())

    def _write(self) -> None:
        data = {name: asdict(entry) for name, entry in self.entries.items()}
        text = json.dumps(data, indent=1, allow_nan=False) + "\n"
        write_durably(self._path, text.encode())


def _say(line: str) -> None:
    print(line, file=sys.stderr, flush=True)
