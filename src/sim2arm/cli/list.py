"""`sim2arm list [KIND]`: what can be named on the command line."""

import importlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from types import FunctionType
from typing import Annotated, cast

from tyro.conf import Positional, arg

from sim2arm.core.robot_files import FOLDER, imported_robots

from .bench import benchmark_names
from .checkout import find_checkout
from .errors import UserError
from .extras import missing_extra
from .parse import parse, unknown

# kind: (module, its literal dictionary). Imported when shown: some need an extra.
DICTIONARIES: dict[str, tuple[str, str]] = {
    "experiments": ("sim2arm.cli.experiments", "EXPERIMENTS"),
    "imitations": ("sim2arm.cli.imitations", "IMITATIONS"),
    "standards": ("sim2arm.cli.standards", "STANDARDS"),
    "sweeps": ("sim2arm.cli.sweeps", "SWEEPS"),
    "tasks": ("sim2arm.sim.tasks.table", "TASKS"),
    "robots": ("sim2arm.core.robots", "ROBOTS"),
    "worlds": ("sim2arm.sim.worlds.table", "WORLDS"),
    "actuators": ("sim2arm.sim.robots.actuators", "ACTUATORS"),
    "cameras": ("sim2arm.cli.cameras", "CAMERAS"),
    "touches": ("sim2arm.cli.touches", "TOUCHES"),
    "randomizations": ("sim2arm.cli.randomizations", "RANDOMIZATIONS"),
    "devices": ("sim2arm.sensors.teleop.devices", "TELEOP_DEVICES"),
}


@dataclass(frozen=True, kw_only=True)
class ListCfg:
    """Show what can be named on the command line."""

    kind: Annotated[Positional[str], arg(metavar="KIND")] = "all"
    """Which kind of thing: experiments, imitations, standards, sweeps, tasks, robots, worlds,
    actuators, cameras, touches, randomizations, devices, benchmarks; all by default."""


def main(argv: Sequence[str]) -> int:
    """Parse the arguments and run."""
    return run(parse(ListCfg, argv, "sim2arm list"))


def run(cfg: ListCfg) -> int:
    """Print the names of one kind or of all.

    Raises:
        UserError: there is no such kind.
    """
    kinds = (*DICTIONARIES, "benchmarks")
    if cfg.kind not in (*kinds, "all"):
        raise UserError(unknown("kind", cfg.kind, kinds))
    for kind in kinds if cfg.kind == "all" else (cfg.kind,):
        print(f"{kind}:")
        for line in lines_of(kind):
            print(f"  {line}")
    return 0


def lines_of(kind: str) -> list[str]:
    """Return one line per name, or the one line that says why there are none to see here."""
    if kind == "benchmarks":
        root = find_checkout()
        if root is None:
            return ["(only in a checkout)"]
        return benchmark_names(root / "benchmarks")
    imported = imported_robots() if kind == "robots" else []
    module, attribute = DICTIONARIES[kind]
    try:
        entries = cast(Mapping[str, object], getattr(importlib.import_module(module), attribute))
    except ModuleNotFoundError as error:
        advice = missing_extra(error.name)
        if advice is None:
            raise
        return [f"({advice})"]
    known = [f"{name:<28} {_help_of(entry)}".rstrip() for name, entry in entries.items()]
    return known + [f"{name:<28} imported, {FOLDER / name}" for name in imported]


def _help_of(entry: object) -> str:
    """Return the help line of an entry.

    Of a pair, (help line, value) or (settings, builder), it is the first; of a function its
    docstring; an entry may have a `summary`; one that is by robot is for those.
    """
    if isinstance(entry, Mapping):
        return f"for {', '.join(cast(Mapping[str, object], entry))}"
    if isinstance(entry, tuple):
        first = cast(tuple[object, ...], entry)[0]
        text = first if isinstance(first, str) else type(first).__doc__
    elif isinstance(entry, FunctionType):
        text = entry.__doc__
    else:
        text = getattr(entry, "summary", "")
    return text.splitlines()[0] if text else ""
