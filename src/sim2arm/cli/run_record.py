"""config.yaml of a run folder: experiment, commit, versions and settings, whatever the training."""

# pyright: standard

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, fields, replace
from pathlib import Path
from typing import Any, TypeVar

import yaml

from sim2arm.core.calibration_file import read_record as read_calibration
from sim2arm.core.contract import Provenance
from sim2arm.core.plain import differences, from_plain, to_plain
from sim2arm.core.robot_files import ENTRY, FOLDER, MODEL
from sim2arm.core.robots import ROBOTS

from .errors import UserError, user_input
from .machine import describe_commit, describe_versions
from .outputs import check_folder
from .parse import unknown

CONFIG = "config.yaml"
T = TypeVar("T")


@dataclass(frozen=True, kw_only=True)
class RunRecord:
    """What stands in config.yaml."""

    experiment: str
    commit: str
    versions: dict[str, str]
    settings: dict[str, Any]


def robot_version(name: str) -> dict[str, str]:
    """Return the digest of the files of an imported robot, as an item of a run's versions.

    Empty for robots that are part of this version, and for one that is not there.
    """
    files = [FOLDER / name / file for file in (ENTRY, MODEL)]
    if name in ROBOTS or not all(file.is_file() for file in files):
        return {}
    digest = hashlib.sha256(b"".join(file.read_bytes() for file in files))
    return {f"robot {name!r}": f"sha256 {digest.hexdigest()}"}


def write_record(folder: Path, experiment: str, settings: Mapping[str, Any]) -> None:
    """Write config.yaml of settings as plain data.

    Raises:
        UserError: the folder cannot be written to.
    """
    data = {
        "experiment": experiment,
        "commit": describe_commit(),
        "versions": describe_versions() | robot_version(settings.get("robot", "")),
        "settings": dict(settings),
    }
    with user_input("run", folder):
        folder.mkdir(parents=True, exist_ok=True)
        (folder / CONFIG).write_text(yaml.safe_dump(data, sort_keys=False))


def check_run(folder: Path, *, resume: bool, other: Callable[[], str]) -> None:
    """Check the folder of a run before the work, so that none is lost.

    Args:
        folder: of the run.
        resume: whether it is to go on.
        other: says in what the run that is there differs from this one, or "".

    Raises:
        UserError: it holds a run while `resume` is off or the other way round, or another run.
    """
    check_folder("--out", folder)
    exists = (folder / CONFIG).is_file()
    if exists and not resume:
        raise UserError(
            f"{folder} holds a run already: go on with --resume, or choose another --out"
        )
    if resume and not exists:
        raise UserError(f"nothing to resume in {folder}: leave out --resume")
    difference = other() if resume else ""
    if difference:
        raise UserError(f"{folder} holds a run {difference}: choose another --out")


def difference(
    before: tuple[str, Any], now: tuple[str, Any], free: Mapping[str, Any], more: Sequence[str] = ()
) -> str:
    """Return in what a run differs from one that would go on with it, or "".

    Args:
        before: experiment and settings of the run.
        now: those of the other.
        free: settings that may change, with a value for both.
        more: other differences, one line each.
    """
    if before[0] != now[0]:
        return f"of {before[0]}"
    pair = (to_plain(replace(settings, **free)) for _, settings in (before, now))
    lines = [*differences(*pair), *more]
    return f"with other settings ({'; '.join(lines)})" if lines else ""


def read_record(folder: Path) -> dict[str, Any]:
    """Return the content of a run's config.yaml, of whatever experiment.

    Raises:
        UserError: there is no run, or its file is not what `train` writes.
    """
    path = folder / CONFIG
    if not path.is_file():
        raise UserError(f"{folder} is not a run: expected {CONFIG} in it; train first")
    with user_input("run", path):
        return to_plain(from_plain(RunRecord, yaml.safe_load(path.read_text())))


def read_run(
    folder: Path, known: Mapping[str, tuple[str, T]], before: Mapping[str, Any]
) -> tuple[str, T]:
    """Return experiment and settings of a run.

    Args:
        folder: of the run.
        known: experiments, as they are listed.
        before: see `settings_of`.

    Raises:
        UserError: there is none, or none of these experiments.
    """
    data = read_record(folder)
    experiment = data["experiment"]
    with user_input("run", folder / CONFIG):
        if experiment not in known:
            raise ValueError(unknown("experiment", experiment, known))
        return experiment, settings_of(data, known[experiment][1], before)


def settings_of(data: Mapping[str, Any], default: T, before: Mapping[str, Any]) -> T:
    """Return the settings that a run's config.yaml holds.

    Args:
        data: of `read_record`.
        default: settings of its experiment, whose task and algorithm are of the same types.
        before: settings that older runs lack, and what those were trained with.

    Raises:
        ValueError: they are not of this version; one line.
    """
    kind: Any = type(default)
    own = ("out", "resume")
    values = dict(before) | {k: v for k, v in data["settings"].items() if k not in own}
    absent = sorted({f.name for f in fields(kind)} - set(own) - set(values))
    if absent:  # a default would claim what was never trained
        raise ValueError(f"settings lack {absent}: the run is of another version; train again")
    given: dict[str, Any] = {"out": None, "resume": False}
    for name in ("task", "algo"):
        if isinstance(getattr(default, name), str):  # the name of a standard task
            continue
        part, value = getattr(default, name), values.pop(name)
        none = part is None and value is None
        given[name] = None if none else from_plain(type(part), value, f"settings.{name}")
    settings = from_plain(kind, values, "settings", given)
    for name, now in robot_version(values.get("robot", "")).items():
        if data["versions"].get(name, now) != now:
            raise ValueError(
                f"{name} was imported anew since this training, which knew another: import it "
                "as it was, under another --name the new one; or train again"
            )
    return settings


def provenance(folder: Path, steps: int) -> Provenance:
    """Return where a run's policy comes from."""
    data = read_record(folder)
    return Provenance(
        experiment=data["experiment"],
        commit=str(data["commit"]),
        versions={str(k): str(v) for k, v in data["versions"].items()},
        steps=steps,
        seed=data["settings"]["seed"],
        calibration_ids=_calibrations(folder, data["settings"].get("calibrations", [])),
    )


def _calibrations(folder: Path, names: Sequence[str]) -> dict[str, str]:
    """Return the ids of the records that a run keeps, by device and kind."""
    records = [read_calibration(folder / name) for name in names]
    return {f"{record.device}/{record.what}": record.id for record in records}
