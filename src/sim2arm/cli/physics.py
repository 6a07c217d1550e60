"""What the physics of a training has to tell: what ends it, and which states became invalid."""

# pyright: standard

from __future__ import annotations

import shlex
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path

from sim2arm.sim.worlds.base import CapacityError, World
from sim2arm.sim.worlds.incident import write_incident
from sim2arm.sim.worlds.process_client import WorkerError

from .errors import UserError
from .run_record import CONFIG
from .runs import last_good

INCIDENTS = "incidents"
"""Folder of the incidents in that of the run."""
MOST = 10
"""Incidents that a run keeps, the first ones."""


@contextmanager
def physics_of(folder: Path) -> Generator[None, None, None]:
    """Turn what the physics of a run cannot go on from into a line that says how it can.

    Raises:
        UserError: contacts or constraint rows were lost for want of room, or a worker died.
    """
    try:
        yield
    except CapacityError as error:
        options = "".join(f" --{name} {number}" for name, number in error.needed.items())
        raise UserError(f"training stopped: {error}{_again(folder, options)}") from error
    except WorkerError as error:  # below its first line is the traceback of the worker, if any
        raise UserError(
            f"training stopped: {str(error).splitlines()[0]}{_again(folder)}"
        ) from error


def _again(folder: Path, options: str = "") -> str:
    if not (folder / CONFIG).is_file():
        return ""
    return f"; {last_good(folder)}: go on with --resume{options}"


def keep_incidents(folder: Path, world: World, iteration: int) -> str:
    """Write what led to invalid states in an iteration; a GPU is waited for.

    Of several ranks the first one keeps those of its worlds; the metrics count all.

    Returns:
        A line that says how many there were, and what to do; "" where there is none, where the
        engine keeps none, or where the run holds `MOST` already.
    """
    place = folder / INCIDENTS
    room = MOST - len(list(place.iterdir()) if place.is_dir() else [])
    found = world.incidents() if room > 0 else []
    if not found:
        return ""
    paths = [place / f"{iteration:06}-world-{incident.world}" for incident in found[:room]]
    for path, incident in zip(paths, found, strict=False):
        write_incident(path, incident)
    first = shlex.join(["sim2arm", "replay", str(paths[0])])
    return (
        f"iteration {iteration}: the states of {len(found)} worlds became invalid; {len(paths)} "
        f"kept (of a run, {MOST} at most); the step that broke, in the C engine: {first}"
    )
