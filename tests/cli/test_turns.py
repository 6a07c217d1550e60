"""What buttons do with episodes by hand, and what becomes of one that has ended; the pace."""

from __future__ import annotations

from typing import Literal

import pytest

from sim2arm.cli.pace import Pace
from sim2arm.cli.turns import Phase, Turns


def turns(keep: Literal["success", "all"] = "success", wanted: int = 2) -> Turns:
    return Turns(5, wanted, keep)


def test_an_episode_is_kept_and_the_next_seed_comes() -> None:
    found = turns()
    for name in ("keep", "discard", "rerecord"):
        assert found.press(name) == () and found.phase is Phase.READY  # nothing has begun
    assert found.press("start") == ("begin",) and found.phase is Phase.RUNNING
    assert found.press("start") == () and found.press("gripper_toggle") == ()
    assert found.press("keep") == ("keep",)
    assert (found.phase, found.seed, found.kept) == (Phase.READY, 6, 1)
    assert (found.press("start"), found.press("keep")) == (("begin",), ("keep",))
    assert found.phase is Phase.OVER  # as many as wanted
    assert found.press("start") == () and found.press("quit") == ()


def test_discarded_goes_on_and_recorded_again_stays() -> None:
    found = turns()
    found.press("start")
    assert found.press("rerecord") == ("discard",)
    assert (found.phase, found.seed, found.discarded) == (Phase.READY, 5, 1)
    found.press("start")
    assert found.press("discard") == ("discard",)
    assert (found.seed, found.discarded, found.kept) == (6, 2, 0)


@pytest.mark.parametrize(
    ("keep", "success", "deed"),
    [("success", True, "keep"), ("success", False, "discard"), ("all", False, "keep")],
)
def test_an_end_waits_for_a_word_and_is_settled_without(
    keep: Literal["success", "all"], success: bool, deed: str
) -> None:
    found = turns(keep)
    found.press("start")
    found.end(success)
    assert found.phase is Phase.ENDED and found.verdict == deed
    assert found.press("start") == (deed, "begin")
    assert (found.phase, found.seed) == (Phase.RUNNING, 6)
    found.end(success)
    assert found.press("quit") == (deed,) and found.phase is Phase.OVER
    other = turns(keep)
    other.press("start")
    other.end(success)
    opposite = "discard" if deed == "keep" else "keep"
    assert other.press(opposite) == (opposite,) and other.phase is Phase.READY


def test_the_last_one_wanted_does_not_begin_another() -> None:
    found = turns(wanted=1)
    found.press("start")
    found.end(True)
    assert found.press("start") == ("keep",) and found.phase is Phase.OVER


def test_a_refused_start_is_as_if_it_had_not_been() -> None:
    found = turns()
    found.press("start")
    found.refuse()
    assert (found.phase, found.seed, found.discarded) == (Phase.READY, 5, 0)
    assert found.press("quit") == ()


def test_an_episode_that_runs_at_the_end_is_discarded() -> None:
    found = turns(keep="all")
    found.press("start")
    assert found.press("quit") == ("discard",) and found.phase is Phase.OVER


def test_the_pace_counts_ticks_and_rests() -> None:
    pace = Pace(1e-3, real_time=True)
    for _ in range(40):
        pace.wait()
        assert pace.left <= 1e-3
    assert pace.ticks == 39  # times between ticks
    whole = pace.ticks + pace.missed
    assert 0.0 < pace.rate_hz <= 1010.0 * pace.ticks / whole + 1.0
    pace.rest()
    assert pace.recent_hz == 0.0 and pace.ticks == 39
    pace.wait()
    assert pace.ticks == 39
    fast = Pace(10.0, real_time=False)
    assert (fast.rate_hz, fast.left) == (0.0, float("inf"))
    for _ in range(10):
        fast.wait()
    assert fast.ticks == 9 and fast.missed == 0 and fast.rate_hz > 1.0
