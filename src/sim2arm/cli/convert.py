"""`sim2arm convert LOG --out DATASET`: demonstrations and roll-outs of a raw log as a dataset.

A row per control tick: what was seen by the rules of the contract, what was asked for, what the
gate commanded. Where something is missing, an episode is cut in two (or refused); nothing is filled
in. The same command goes on with an existing dataset, and leaves out what is in it already.
"""

# pyright: standard

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

from tyro.conf import Positional, arg

from sim2arm.core.contract import Contract
from sim2arm.policies.dataset.files import DatasetError
from sim2arm.policies.dataset.writer import DatasetWriter
from sim2arm_ros.bag.reader import Log
from sim2arm_ros.bag.scan import LogError
from sim2arm_ros.dds import RosImportError, install
from sim2arm_ros.graph_file import read_graph
from sim2arm_ros.log_about import ABOUT, About, read_about

from .errors import UserError, user_input
from .log_pieces import SHOWN, Piece
from .outputs import check_folder
from .parse import parse
from .progress import Progress

if TYPE_CHECKING:
    from sim2arm_ros.log_era import Era
    from sim2arm_ros.log_runs import Run
    from sim2arm_ros.log_ticks import Tick


@dataclass(frozen=True, kw_only=True)
class ConvertCfg:
    """Make a dataset of a raw log."""

    log: Annotated[Positional[Path], arg(metavar="LOG")]
    """Folder that recorder_node or `ros2 bag record -s mcap` wrote, or one .mcap file."""
    out: Path
    """Folder of the dataset; an existing one is gone on with."""
    bundle: Path | None = None
    """Policy bundle, or a contract.yaml, that says what rows are; the log's own without it."""
    graph: Path | None = None
    """graph.yaml that says what topics are; the log's own without it."""
    task: str = ""
    """What is done, in words; what the log says without it."""
    gaps: Literal["split", "refuse"] = "split"
    """What becomes of an episode in which something is missing."""
    shortest: int = 10
    """Rows of the shortest piece of an episode that is kept."""


@dataclass(kw_only=True)
class Converted:
    """What became of a log."""

    episodes: int = 0
    rows: int = 0
    known: int = 0
    """Pieces that were in the dataset before."""


def main(argv: Sequence[str]) -> int:
    """Parse the arguments, convert and print what was left out."""
    cfg = parse(ConvertCfg, argv, "sim2arm convert")
    found = convert(cfg)
    known = f", {found.known} were there already" if found.known else ""
    print(f"{cfg.out}: {found.episodes} episodes, {found.rows} rows{known}")
    return 0


def convert(cfg: ConvertCfg) -> Converted:
    """Convert; say line by line what is missing or left out.

    Raises:
        UserError: it is no log, nothing in it is an episode, bundle or graph cannot be read, or
            the folder holds another dataset.
    """
    if cfg.shortest < 1:
        raise UserError(f"--shortest: expected 1 or more, got {cfg.shortest}")
    check_folder("--out", cfg.out)
    try:
        log = Log(cfg.log)
    except (LogError, OSError) as error:
        raise UserError(str(error)) from error
    with log:
        for line in log.problems:
            print(line)
        about = find_about(cfg, log)
        if about.contract is None:
            raise UserError(f"{cfg.log}: it says no contract: name the --bundle")
        try:
            install()
        except RosImportError as error:
            raise UserError(str(error)) from error
        found = _Conversion(cfg, log, about, about.contract).run()
    if not found.episodes and not found.known:
        raise UserError(f"{cfg.log}: nothing in it became an episode")
    return found


def find_about(cfg: ConvertCfg, log: Log) -> About:
    """Return contract, graph and task: those of the options, else those of the log.

    Raises:
        UserError: they cannot be read.
    """
    texts = next((values for name, values in log.metadata if name == ABOUT), None)
    with user_input("log", cfg.log):
        told = None if texts is None else About.of_texts(texts)
    if told is None or cfg.bundle is not None or cfg.graph is not None:
        with user_input("--bundle, --graph"):
            given = read_about(cfg.bundle or "", read_graph(cfg.graph))
        if told is None:
            told = given
        if cfg.bundle is not None:
            told = replace(told, contract=given.contract)
        if cfg.graph is not None:
            told = replace(told, graph=given.graph)
    return replace(told, task=cfg.task or told.task)


class _Conversion:
    """The work on one log."""

    def __init__(self, cfg: ConvertCfg, log: Log, about: About, contract: Contract) -> None:
        from sim2arm_ros.log_era import eras
        from sim2arm_ros.log_rows import log_spec
        from sim2arm_ros.log_runs import choose, has_marks
        from sim2arm_ros.log_targets import asked_contract

        parts = eras(log.messages, numbered=log.ours)
        contract = asked_contract(parts, contract, about)
        self._cfg, self._about, self._contract = cfg, about, contract
        self.found = Converted()
        with user_input("contract"):
            self._spec = log_spec(contract, about)
        marked = any(has_marks(era, about) for era in parts)
        self._work: list[tuple[Era, list[Run]]] = []
        for era in parts:
            chosen = choose(era, contract, about, marked=marked)
            self._work.append((era, chosen.runs))
            for line in chosen.left_out:
                print(line)
        self._name = log.path.resolve().name

    def run(self) -> Converted:
        """Convert all."""
        total = sum(len(run.ticks) for _, runs in self._work for run in runs)
        if not total:
            return self.found
        try:
            with (
                DatasetWriter(self._cfg.out, self._spec) as writer,
                Progress(f"convert {self._name}", total, "rows") as progress,
            ):
                self._known = {
                    (str(notes.get("session")), notes.get("first_tick"))
                    for notes in (record["notes"] for record in writer.index.records)
                }
                for era, runs in self._work:
                    self._era(era, runs, writer, progress)
        except (DatasetError, OSError, LogError) as error:
            raise UserError(str(error)) from error
        return self.found

    def _era(self, era: Era, runs: list[Run], writer: DatasetWriter, progress: Progress) -> None:
        from sim2arm_ros.log_rows import LogRows

        with user_input("graph"):
            rows = LogRows(era, self._contract, self._about)
        done = 0
        for run in runs:
            self._run(run, rows.of(run), writer)
            done += len(run.ticks)
            progress.update(done)
        for line in rows.inputs.thin():
            print(line)
        _say(era.problems | Counter(rows.inputs.rejected))

    def _run(
        self, run: Run, rows: Iterator[tuple[Tick, dict[str, Any] | str]], writer: DatasetWriter
    ) -> None:
        """Write the pieces of an episode."""
        piece = Piece(run, self._name)
        task = self._cfg.task or run.task or self._about.task
        task = task or self._contract.provenance.experiment
        for tick, row in rows:
            if isinstance(row, str):
                self._end(piece, f"at tick {tick.number}: {row}")
                if self._cfg.gaps == "refuse":
                    return
                continue
            if piece.first is None:
                piece.first = tick.number
                if (run.session.name, tick.number) not in self._known:
                    piece.episode = writer.begin()
            piece.rows += 1
            if piece.episode is not None:
                while piece.episode.full:  # nothing waits for a conversion: rather late than lost
                    time.sleep(1e-3)
                piece.episode.add(row, task)
        self._end(piece, "")

    def _end(self, piece: Piece, gap: str) -> None:
        """Commit a piece, or leave it out; begin the next."""
        refused = bool(gap) and self._cfg.gaps == "refuse"
        short = piece.rows < self._cfg.shortest
        if piece.first is not None and piece.episode is None:
            self.found.known += 1
        elif piece.episode is not None and (refused or short):
            piece.episode.discard()
        elif piece.episode is not None:
            piece.episode.commit(piece.notes(gap))
            self.found.episodes += 1
            self.found.rows += piece.rows
        piece.say(gap, refused=refused, short=short)
        piece.next(gap)


def _say(problems: Counter[str]) -> None:
    for text, count in problems.most_common(SHOWN):
        print(f"{text} ({count} messages)")
