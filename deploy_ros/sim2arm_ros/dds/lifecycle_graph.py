"""The lifecycle state machine as data: states and transitions of lifecycle_msgs.

Source: design.ros2.org/articles/node_lifecycle.html, and the constants of
lifecycle_msgs/msg/State and Transition.
"""

from __future__ import annotations

from typing import NamedTuple


class Transition(NamedTuple):
    """One edge of the state machine."""

    id: int
    label: str
    start: int
    goal: int


STATES: dict[int, str] = {
    0: "unknown",
    1: "unconfigured",
    2: "inactive",
    3: "active",
    4: "finalized",
    10: "configuring",
    11: "cleaningup",
    12: "shuttingdown",
    13: "activating",
    14: "deactivating",
    15: "errorprocessing",
}

# Edges that the result of a callback takes.
RESULTS: dict[int, str] = {
    **{first: "SUCCESS" for first in (10, 20, 30, 40, 50, 60)},
    **{first + 1: "FAILURE" for first in (10, 20, 30, 40, 50, 60)},
    **{first + 2: "ERROR" for first in (10, 20, 30, 40, 50, 60)},
}


def _results(first: int, start: int, goals: tuple[int, int, int]) -> list[Transition]:
    labels = ("transition_success", "transition_failure", "transition_error")
    return [
        Transition(first + i, label, start, goal)
        for i, (label, goal) in enumerate(zip(labels, goals, strict=True))
    ]


TRANSITIONS: tuple[Transition, ...] = (
    Transition(1, "configure", 1, 10),
    *_results(10, 10, (2, 1, 15)),
    Transition(2, "cleanup", 2, 11),
    *_results(20, 11, (1, 2, 15)),
    Transition(3, "activate", 2, 13),
    *_results(30, 13, (3, 2, 15)),
    Transition(4, "deactivate", 3, 14),
    *_results(40, 14, (2, 3, 15)),
    Transition(5, "shutdown", 1, 12),
    Transition(6, "shutdown", 2, 12),
    Transition(7, "shutdown", 3, 12),
    *_results(50, 12, (4, 4, 15)),
    *_results(60, 15, (1, 4, 4)),
)
