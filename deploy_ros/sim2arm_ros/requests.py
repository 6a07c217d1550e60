"""What a policy asks of the gate each tick."""

from __future__ import annotations

import re
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

_TAG = re.compile(r"([A-Za-z0-9_-]{1,64})/([0-9]{1,12})")


REQUEST_TOPIC = "sim2arm/request"
"""Where policies ask, relative to the namespace of the nodes: one per arm."""


READY = "ready"
"""Tag (`header.frame_id`) of commanded states from which a session may start."""


@dataclass(frozen=True, kw_only=True, eq=False)
class Request:
    """The joint state that is wanted one control period after a tick."""

    session: str
    """Name of the run of the policy since its last reset: letters, digits, _ and -."""
    tick: int
    """Number of the control tick in the session, from 0."""
    stamp_ns: int
    """ROS time of the tick: the stamp of the newest joint state it has seen [ns]."""
    q: NDArray[np.float64]
    """(n,) position at the end of the period [rad], in the order of the contract."""
    dq: NDArray[np.float64]
    """(n,) velocity there [rad/s]."""
    release: bool = False
    """The policy ends its session; positions do not count."""


def make_tag(session: str, tick: int) -> str:
    """Return the text that names a tick in requests and commands (`header.frame_id`)."""
    return f"{session}/{tick}"


def parse_tag(tag: str) -> tuple[str, int]:
    """Return session and tick of a tag.

    Raises:
        ValueError: it is not `<session>/<tick>`.
    """
    found = _TAG.fullmatch(tag)
    if found is None:
        raise ValueError(f"tag: expected <session>/<tick>, got {tag[:80]!r}")
    return found[1], int(found[2])
