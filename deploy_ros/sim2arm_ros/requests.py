"""What a policy asks of the gate each tick."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

_TAG = re.compile(r"([A-Za-z0-9_-]{1,64})/([0-9]{1,12})")
_AFTER = re.compile(r"(.*)/([0-9]{1,12})(!?)")


REQUEST_TOPIC = "sim2arm/request"
"""Where policies ask, relative to the namespace of the nodes: one per arm."""


IN_ITS_PLACE = {"human": "intervention", "nobody": "standing"}
"""Topics of a policy's node with what a person asked for in its place, and with what lets the arm
stand where nobody did, as `action` has its own; by who asked."""


READY = "ready"
"""Tag (`header.frame_id`) of commanded states from which a session may start."""


WIDTH = "gripper_width"
"""What stands for the gripper among the joints of a request; the input of the same name."""


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
    width: float | None = None
    """Wanted distance between the pads of the gripper [m]; None for one that only holds."""
    after: int | None = None
    """Tick from whose end the motion goes on; None for the one before."""
    told: bool = False
    """Of that tick the gate said that it was not commanded as asked, and where the arm is."""
    release: bool = False
    """The policy ends its session; positions do not count."""
    why: str = ""
    """What is wrong, where it gives its session up; empty where nothing is."""

    @property
    def goes_on_from(self) -> int:
        """Tick from whose end the motion goes on, -1 for the start of the session."""
        return self.tick - 1 if self.after is None else self.after


def request_dict(request: Request) -> dict[str, Any]:
    """Return a request as plain data."""
    return dict(vars(request)) | {"q": request.q.tolist(), "dq": request.dq.tolist()}


def request_of(data: Mapping[str, Any]) -> Request:
    """Return the request of `request_dict`."""
    numbers: dict[str, Any] = {name: np.array(data[name], dtype=np.float64) for name in ("q", "dq")}
    return Request(**(dict(data) | numbers))


def make_tag(session: str, tick: int) -> str:
    """Return the text that names a tick in requests and commands (`header.frame_id`)."""
    return f"{session}/{tick}"


def request_tag(request: Request) -> str:
    """Return the text that names a request: with what it goes on from, if not the tick before."""
    tag = make_tag(request.session, request.tick)
    if request.goes_on_from == request.tick - 1 and not request.told:
        return tag
    return f"{tag}/{request.goes_on_from}{'!' if request.told else ''}"


def parse_request_tag(tag: str) -> tuple[str, int, int | None, bool]:
    """Return session, tick, and the fields `after` and `told` of a request's tag.

    Raises:
        ValueError: it is not `<session>/<tick>`, `<session>/<tick>/<after>` or that with a "!".
    """
    found = _AFTER.fullmatch(tag) if tag.count("/") == 2 else None
    session, tick = parse_tag(tag if found is None else found[1])
    if found is None:
        return session, tick, None, False
    if int(found[2]) >= tick:
        raise ValueError(f"tag: expected a tick after {found[2]}, got {tag[:80]!r}")
    return session, tick, int(found[2]), bool(found[3])


def parse_tag(tag: str) -> tuple[str, int]:
    """Return session and tick of a tag.

    Raises:
        ValueError: it is not `<session>/<tick>`.
    """
    found = _TAG.fullmatch(tag)
    if found is None:
        raise ValueError(f"tag: expected <session>/<tick>, got {tag[:80]!r}")
    return found[1], int(found[2])
