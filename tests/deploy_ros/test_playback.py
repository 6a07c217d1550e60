"""Messages of a log once more: order, times, turns, and stamps to the byte."""

from __future__ import annotations

import struct
from typing import Any

import pytest

from sim2arm_ros.bag.playback import HeldStart, Playback, new_stamp, restamped

MS = 1_000_000
S = 1_000_000_000


class Message:
    """What a playback knows of a message."""

    def __init__(self, topic: str, log_ms: int) -> None:
        self.topic, self.log_ns = topic, 77 * S + log_ms * MS


def play(messages: list[Any], until_ms: int, **cfg: Any) -> tuple[Playback, list[tuple[int, Any]]]:
    """Return what was due, with the time since the start [ms], looked at whenever due."""
    playback, found = Playback(messages, **cfg), list[tuple[int, Any]]()
    playback.start(5 * S)
    while playback.next_ns is not None and playback.next_ns <= 5 * S + until_ms * MS:
        now = playback.next_ns
        message = playback.take(now)
        assert message is not None
        found.append(((now - 5 * S) // MS, message))
    return playback, found


def test_in_the_order_of_receipt_at_the_times_of_the_log() -> None:
    a, b, c = Message("/a", 0), Message("/b", 10), Message("/a", 10)
    last = Message("/a", 25)
    playback, found = play([b, last, a, c], 1000)
    assert found == [(0, a), (10, b), (10, c), (25, last)]  # b came before c in the file
    assert playback.ended and playback.take(10**18) is None and playback.sent == 4
    assert playback.duration_ns == 25 * MS


def test_twice_as_fast_is_half_the_time() -> None:
    _, found = play([Message("/a", k) for k in (0, 10, 30)], 1000, rate=2.0)
    assert [at for at, _ in found] == [0, 5, 15]


def test_a_loop_begins_again_a_usual_gap_after_the_end() -> None:
    playback, found = play([Message("/a", k) for k in (0, 10, 20)], 75, loop=True)
    assert [at for at, _ in found] == [0, 10, 20, 30, 40, 50, 60, 70]
    assert not playback.ended and playback.turns == 2


def test_what_is_late_is_not_left_out() -> None:
    messages: list[Any] = [Message("/a", k) for k in range(3)]
    playback = Playback(messages)
    playback.start(0)
    assert [playback.take(S) is not None for _ in range(4)] == [True, True, True, False]


def test_nothing_to_play_and_no_rate() -> None:
    with pytest.raises(ValueError, match="one message or more"):
        Playback([])
    with pytest.raises(ValueError, match="rate: expected above 0, got 0"):
        Playback([Message("/a", 0)], rate=0.0)  # type: ignore[list-item]


def test_the_first_moment_is_held_at_the_rates_of_the_log() -> None:
    messages: list[Any] = [Message("/a", k) for k in (0, 10, 20, 100)]
    messages += [Message("/b", 15), Message("/b", 55), Message("/once", 17)]
    messages.sort(key=lambda message: message.log_ns)
    held, found = HeldStart(messages, 5 * S, 1.0), list[tuple[int, str]]()
    assert held.begin_ns == 77 * S + 17 * MS  # when the last of them said something
    newest = {"/a": 10, "/b": 15, "/once": 17}
    while held.next_ns <= 5 * S + 41 * MS:
        now = held.next_ns
        message = held.take(now)
        assert message is not None
        assert message.log_ns == 77 * S + newest[message.topic] * MS
        found.append(((now - 5 * S) // MS, message.topic))
    # /a every 10 ms by the median, /b every 40.
    assert sorted(found) == [(0, "/a"), (0, "/b"), (0, "/once"), (10, "/a"), (20, "/a"), (30, "/a"),
                             (40, "/a"), (40, "/b")]  # fmt: skip
    assert held.take(5 * S + 41 * MS) is None

    # From there it goes on: /a of 20 ms three milliseconds later, then /b.
    playback, at = Playback(messages), list[int]()
    playback.start(9 * S, held.begin_ns)
    while (due := playback.next_ns) is not None:
        assert playback.take(due) is not None
        at.append((due - 9 * S) // MS)
    assert at == [3, 38, 83]


@pytest.mark.parametrize(("head", "order"), [(b"\0\1\0\0", "<"), (b"\0\0\0\0", ">")])
def test_only_the_stamp_changes(head: bytes, order: str) -> None:
    data = head + struct.pack(f"{order}iI", 5, 7) + b"the rest"
    found = restamped(data, 12 * S + 34)
    assert found == head + struct.pack(f"{order}iI", 12, 34) + b"the rest"


def test_stamps() -> None:
    # Received at 10 s, 30 ms old; sent at 100 s.
    assert new_stamp(10 * S, 10 * S - 30 * MS, 100 * S, "now") == 100 * S - 30 * MS
    assert new_stamp(10 * S, 10 * S - 30 * MS, 100 * S, "now", rate=2.0) == 100 * S - 15 * MS
    assert new_stamp(10 * S, 10 * S - 30 * MS, 100 * S, "receipt") == 100 * S
    assert new_stamp(10 * S, 10 * S - 30 * MS, 100 * S, "recorded") is None
    assert new_stamp(10 * S, 0, 100 * S, "now") is None  # it has no stamp
    with pytest.raises(ValueError, match=r"98\.0 s old when it was received: another clock"):
        new_stamp(100 * S, 2 * S, 200 * S, "now")
