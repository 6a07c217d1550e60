"""The page of a training run: learning curve, settings, versions. It opens offline."""

from __future__ import annotations

import shlex
from collections.abc import Mapping, Sequence
from dataclasses import replace
from math import isnan
from pathlib import Path
from typing import Any, cast

import numpy as np
import yaml

from sim2arm.core.plain import to_plain

from .errors import user_input
from .experiments import EXPERIMENTS, TrainCfg
from .imitation_runs import read_imitation
from .imitations import IMITATIONS, ImitateCfg
from .metrics import IMITATION, STANDARD, read_metrics
from .report import Section, chart, code, text, write_report
from .report_charts import draw_imitation, draw_learning, draw_returns
from .run_record import CONFIG, read_record, read_run
from .runs import METRICS, read_config
from .standards import STANDARDS, StandardCfg
from .table import format_cell


def write_train_page(folder: Path) -> Path:
    """Write report.html of a run into its folder."""
    experiment, cfg, data = read_config(folder)
    words = command(experiment, cfg, folder)
    return _write(folder, data, learning_section(folder, cfg.target_success), words)


def write_imitation_page(folder: Path) -> Path:
    """Write report.html of a run of imitation into its folder."""
    experiment, cfg = read_imitation(folder)
    with user_input("metrics", folder / METRICS):
        rows = read_metrics(folder / METRICS, IMITATION)
    trials = [(row["steps"], row["measured"]) for row in rows if not isnan(row["measured"])]
    drawing = draw_imitation(
        [row["steps"] for row in rows], [row["loss"] for row in rows], trials, cfg.target_success
    )
    count = format_cell(rows[-1]["steps"] if rows else 0)
    caption = (
        f"Loss and success over {count} steps of learning. "
        f"Each point is a trial of {cfg.trial_episodes} seeded episodes through controller and "
        "gate, on seeds that the evaluation does not use."
    )
    if cfg.task is None:
        errors = [row["held_out"] for row in rows if not isnan(row["held_out"])]
        last = f"{errors[-1]:.4g}" if errors else "not measured"
        caption = (
            f"Loss over {count} steps of learning. Chunks are compared with what was done in "
            f"{cfg.held_out} episodes that are held out: mean difference {last} (rad)."
        )
    section = Section(title="Learning", blocks=[chart(drawing, caption)])
    words = command(experiment, cfg, folder, IMITATIONS[experiment][1])
    verbs = ("export", "eval") if cfg.task is not None else ("export",)
    return _write(folder, read_record(folder), section, words, verbs)


def write_standard_page(folder: Path) -> Path:
    """Write report.html of a run on a standard task into its folder."""
    name, cfg = read_run(folder, STANDARDS, {})
    with user_input("metrics", folder / METRICS):
        rows = read_metrics(folder / METRICS, STANDARD)
    frames = [row["steps"] for row in rows]
    trials = [(row["steps"], row["measured"]) for row in rows if not isnan(row["measured"])]
    drawing = draw_returns(frames, [row["return"] for row in rows], trials)
    last = f"{trials[-1][1]:.1f}" if trials else "not measured"
    caption = (
        f"{cfg.task}: sums of rewards of episodes over {format_cell(frames[-1] if rows else 0)} "
        f"frames (steps of the task; {cfg.steps_per_action} per action). The line is the mean of "
        "the training episodes since the point before, random actions included; points are means "
        f"of {cfg.trial_episodes} seeded episodes without them. The last: {last}."
    )
    section = Section(title="Learning", blocks=[chart(drawing, caption)])
    words = command(name, cfg, folder, STANDARDS[name][1])
    return _write(folder, read_record(folder), section, words, verbs=())


def _write(
    folder: Path,
    data: Mapping[str, Any],
    learning: Section,
    words: str,
    verbs: Sequence[str] = ("export", "eval"),
) -> Path:
    settings = yaml.safe_dump(data["settings"], sort_keys=False)
    versions = ", ".join(f"{name} {value}" for name, value in data["versions"].items())
    lines = [words, *(shlex.join(["sim2arm", verb, str(folder)]) for verb in verbs)]
    sections = [
        learning,
        Section(
            title="How to repeat",
            blocks=[
                code("\n".join(lines)),
                text(f"Commit {data['commit']}; {versions}.", soft=True),
            ],
        ),
        Section(title=f"Settings ({CONFIG})", blocks=[code(settings)]),
    ]
    return write_report(folder, sections, title=f"sim2arm train: {data['experiment']}", lead=[])


def command(
    experiment: str,
    cfg: TrainCfg | ImitateCfg | StandardCfg,
    folder: Path,
    default: TrainCfg | ImitateCfg | StandardCfg | None = None,
) -> str:
    """Return the command that trains with these settings, as far as they are not the defaults."""
    words = ["sim2arm", "train", experiment]
    default = EXPERIMENTS[experiment][1] if default is None else default
    words += _options(*(to_plain(replace(c, out=None, resume=False)) for c in (default, cfg)))
    if folder != Path("runs") / experiment:
        words += ["--out", str(folder)]
    return shlex.join(words)


def _options(default: Mapping[str, Any], chosen: Mapping[str, Any], start: str = "--") -> list[str]:
    words: list[str] = []
    for name, value in chosen.items():
        option = f"{start}{name.replace('_', '-')}"
        if isinstance(value, Mapping):
            words += _options(default[name], cast("dict[str, Any]", value), f"{option}.")
        elif isinstance(value, bool):
            if value != default[name]:
                words.append(option if value else f"{start}no-{name.replace('_', '-')}")
        elif value != default[name]:
            words += [option, *(str(number) for number in np.ravel(value).tolist())]
    return words


def learning_section(folder: Path, target: float) -> Section:
    """Return the learning curve of a run.

    Args:
        folder: of the run.
        target: success of a trial at which training stops, in [0, 1].

    Raises:
        UserError: metrics.csv is damaged.
    """
    with user_input("metrics", folder / METRICS):
        rows = read_metrics(folder / METRICS)
    steps, success, reward = ([row[key] for row in rows] for key in ("steps", "success", "reward"))
    trials = [(row["steps"], row["measured"]) for row in rows if not isnan(row["measured"])]
    level = [row["level"] for row in rows] if rows and "level" in rows[0] else None
    drawing = draw_learning(steps, success, reward, trials=trials, target=target, level=level)
    rate = rows[-1]["steps"] / rows[-1]["wall_s"] if rows else 0.0
    caption = (
        f"{format_cell(rows[-1]['steps'] if rows else 0)} steps of all worlds at "
        f"{format_cell(rate)} steps/s. The line is the share of the last "
        "1000 training episodes, with random actions; points are trials without them, on seeds "
        "that the evaluation does not use. Training stops when a trial reaches the target."
    )
    if level is not None:
        caption += (
            " The line in steps is the share of each range of the randomisation that episodes "
            f"drew from, {100 * level[-1]:.0f} % at the end; trials draw from the whole ranges."
        )
    return Section(title="Learning", blocks=[chart(drawing, caption)])
