"""Histories of ticks of several arms: the same as those of one robot."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from sim2arm.core.sampling import SampleBuffer
from sim2arm.core.spec import History, Reading
from sim2arm.core.tick_history import TickHistory
from tests.builders import make_spec

SPEC = replace(make_spec(), name="a", shape=(2,), element_names=(), low=None, high=None)


def test_the_last_ticks_oldest_first_the_first_repeated() -> None:
    history = TickHistory(
        [replace(SPEC, history=History(of="ticks", n=3)), replace(SPEC, name="b")]
    )
    for expected in ([0, 0, 0], [0, 0, 1], [0, 1, 2], [1, 2, 3]):
        now = np.full((4, 2), expected[-1], np.float32)
        seen = history.add({"a": now, "b": now})
        np.testing.assert_array_equal(seen["a"][:, :, 0], [expected] * 4)
        np.testing.assert_array_equal(seen["b"], now)
        now[:] = -1.0  # what measures may reuse its memory
    history.reset()
    np.testing.assert_array_equal(
        history.add({"a": np.full((1, 2), 7.0), "b": np.zeros(1)})["a"][0, :, 0], [7.0] * 3
    )


def test_it_is_what_the_buffer_of_a_robot_makes() -> None:
    spec = replace(SPEC, history=History(of="ticks", n=2))
    history, buffer = TickHistory([spec]), SampleBuffer(spec)
    for k in range(4):
        value, stamp = np.full(2, k, np.float32), 10_000_000 * (k + 1)
        buffer.push(
            Reading(arrays={"a": value}, sequence=k, stamp_ns=stamp, receipt_ns=stamp), stamp
        )
        np.testing.assert_array_equal(
            history.add({"a": value[None]})["a"][0], buffer.sample(stamp, stamp)
        )


def test_distinct_frames_come_from_the_sensors() -> None:
    history = TickHistory([replace(SPEC, history=History(of="frames", n=2))])
    given = np.zeros((1, 2, 2), np.float32)
    assert history.add({"a": given})["a"] is given
