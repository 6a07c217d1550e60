"""Executors by hand: which entry at which time, weights of an ensemble, when there is none."""

import math
from typing import Any

import numpy as np
import pytest

from sim2arm.core.contract import ActionSpec, ExecutorSpec
from sim2arm.core.executor import ChunkExhausted, Executor

MS = 1_000_000


def make_targets(horizon: int, **overrides: Any) -> ActionSpec:
    """Return absolute targets of 1 joint, 10 ms apart."""
    values: dict[str, Any] = {
        "kind": "joint_position",
        "dim": 1,
        "low": (-1.0,),
        "high": (1.0,),
        "scale": (1.0,),
        "frame": "joint",
        "relative_to": "absolute",
        "horizon": horizon,
        "dt_s": 0.01,
    }
    return ActionSpec(**(values | overrides))


def chunk(*numbers: float) -> np.ndarray:
    return np.array(numbers, dtype=np.float32)[:, None]


def at(executor: Executor, *times_ms: float) -> list[float | None]:
    """Return the actions at some times, None where there is none."""
    found: list[float | None] = []
    for time in times_ms:
        try:
            found.append(float(executor.next(round(time * MS))[0]))
        except ChunkExhausted:
            found.append(None)
    return found


def test_step_uses_each_chunk_for_one_tick() -> None:
    executor = Executor(ExecutorSpec(), make_targets(1))
    with pytest.raises(ChunkExhausted, match="no chunk has come"):
        executor.next(0)
    executor.push(chunk(0.5), 100 * MS)
    assert executor.wants(100 * MS)
    # The entry is for 100 ms; half a period either way still counts as its tick.
    assert at(executor, 100, 104.9, 105.1) == [0.5, 0.5, None]


def test_receding_follows_the_stamps_and_ends_after_execute_entries() -> None:
    executor = Executor(ExecutorSpec(kind="receding", execute=3), make_targets(5))
    assert executor.wants(0)
    executor.push(chunk(0.0, 0.1, 0.2, 0.3, 0.4), 0)
    assert not executor.wants(20 * MS)
    assert at(executor, 0, 10, 20) == pytest.approx([0.0, 0.1, 0.2])
    assert executor.wants(30 * MS)
    assert at(executor, 30) == [None]


def test_ticks_may_jitter_by_half_a_period() -> None:
    executor = Executor(ExecutorSpec(kind="receding", execute=4), make_targets(4))
    executor.push(chunk(0.0, 0.1, 0.2, 0.3), 2 * MS)  # the tick was 2 ms late, the next are not
    assert at(executor, 2, 10, 24, 30) == pytest.approx([0.0, 0.1, 0.2, 0.3])


def test_elapsed_entries_of_a_late_chunk_are_dropped() -> None:
    executor = Executor(ExecutorSpec(kind="receding", execute=4), make_targets(4))
    executor.push(chunk(0.0, 0.1, 0.2, 0.3), 0)
    # The next was observed at 20 ms and takes until 45 ms: at 50 ms its entry 3 is due.
    assert at(executor, 20, 30) == pytest.approx([0.2, 0.3])
    executor.push(chunk(-0.1, -0.2, -0.3, -0.4), 20 * MS)
    assert at(executor, 40, 50, 60) == pytest.approx([-0.3, -0.4, None])
    # One that arrives after all of its entries is of no use.
    executor.push(chunk(-0.1, -0.2, -0.3, -0.4), 30 * MS)
    assert at(executor, 70) == [None]


def test_the_newest_chunk_wins_once_it_begins() -> None:
    executor = Executor(ExecutorSpec(kind="receding", execute=4), make_targets(4, t0_s=0.02))
    executor.push(chunk(0.0, 0.1, 0.2, 0.3), 0)
    with pytest.raises(ChunkExhausted, match=r"the next chunk begins in 0\.0200 s"):
        executor.next(0)
    executor.push(chunk(0.5, 0.6, 0.7, 0.8), 20 * MS)  # for 40 to 70 ms
    assert at(executor, 20, 30, 40, 70, 80) == pytest.approx([0.0, 0.1, 0.5, 0.8, None])


def test_entries_that_last_two_ticks() -> None:
    executor = Executor(
        ExecutorSpec(kind="receding", execute=2), make_targets(2, dt_s=0.02), period_s=0.01
    )
    executor.push(chunk(0.1, 0.2), 0)
    # A tick counts from 5 ms before: entry 0 from -5 to 15 ms, entry 1 to 35 ms.
    assert at(executor, 0, 14.9, 15.1, 34.9, 35.1) == pytest.approx([0.1, 0.1, 0.2, 0.2, None])


def test_the_ensemble_of_act_by_hand() -> None:
    executor = Executor(ExecutorSpec(kind="ensemble", decay=0.5), make_targets(3))
    executor.push(chunk(0.0, 0.1, 0.2), 0)
    assert at(executor, 0) == [0.0]
    executor.push(chunk(0.4, 0.5, 0.6), 10 * MS)
    # 10 ms: entry 1 of the first (oldest, weight 1) and entry 0 of the second (weight exp(-0.5)).
    w = math.exp(-0.5)
    assert at(executor, 10) == pytest.approx([(0.1 + w * 0.4) / (1 + w)], abs=1e-7)
    executor.push(chunk(0.7, 0.8, 0.9), 20 * MS)
    # 20 ms: 0.2, 0.5, 0.7 with weights 1, exp(-0.5), exp(-1).
    three = (0.2 + w * 0.5 + w * w * 0.7) / (1 + w + w * w)
    assert at(executor, 20) == pytest.approx([three], abs=1e-7)
    # 30 ms: the first is over, so the second is now the oldest: 0.6, 0.8 with 1, exp(-0.5).
    assert at(executor, 30) == pytest.approx([(0.6 + w * 0.8) / (1 + w)], abs=1e-7)
    assert at(executor, 40, 50) == pytest.approx([0.9, None])


def test_the_ensemble_is_that_of_the_published_loop() -> None:
    # The loop of ACT's imitate_episodes.py: a table of all predictions, one chunk per step.
    rng, steps, horizon, decay = np.random.default_rng(0), 30, 8, 0.01
    chunks = rng.normal(size=(steps, horizon, 1))
    table = np.full((steps, steps + horizon, 1), np.nan)
    executor = Executor(ExecutorSpec(kind="ensemble", decay=decay), make_targets(horizon))
    for t in range(steps):
        table[t, t : t + horizon] = chunks[t]
        column = table[:, t][~np.isnan(table[:, t, 0])]
        weights = np.exp(-decay * np.arange(len(column)))
        expected = (column * (weights / weights.sum())[:, None]).sum(axis=0)
        executor.push(chunks[t], t * 10 * MS)
        np.testing.assert_allclose(executor.next(t * 10 * MS), expected, rtol=0, atol=1e-14)


def test_a_skipped_chunk_leaves_a_gap_in_the_weights() -> None:
    executor = Executor(ExecutorSpec(kind="ensemble", decay=0.5), make_targets(4))
    executor.push(chunk(0.0, 0.0, 0.0, 0.0), 0)
    executor.push(chunk(1.0, 1.0, 1.0, 1.0), 20 * MS)  # observed 2 entries later: exp(-1)
    w = math.exp(-1.0)
    assert at(executor, 20) == pytest.approx([w / (1 + w)], abs=1e-7)


def test_quaternions_are_averaged_as_rotations() -> None:
    names = ("x", "y", "z", "qw", "qx", "qy", "qz")
    action = make_targets(
        2, kind="ee_pose", dim=7, low=(-1.0,) * 7, high=(1.0,) * 7, scale=(1.0,) * 7,
        element_names=names, rotation_side="left", frame="base",
    )  # fmt: skip
    executor = Executor(ExecutorSpec(kind="ensemble"), action)

    def about_x(degrees: float, sign: float) -> np.ndarray:
        half = math.radians(degrees) / 2
        q = [sign * math.cos(half), sign * math.sin(half), 0.0, 0.0]
        return np.array([[0.1, 0.2, 0.3, *q]] * 2)

    executor.push(about_x(170.0, 1.0), 0)
    executor.push(about_x(190.0, -1.0), 10 * MS)  # the same side of the sphere after a sign change
    found = executor.next(10 * MS)
    np.testing.assert_allclose(np.abs(found[3:]), (0.0, 1.0, 0.0, 0.0), atol=1e-15)  # 180 degrees
    np.testing.assert_allclose(found[:3], (0.1, 0.2, 0.3))


def test_rows_of_a_batch() -> None:
    executor = Executor(ExecutorSpec(kind="ensemble", decay=0.1), make_targets(3))
    rows = [Executor(ExecutorSpec(kind="ensemble", decay=0.1), make_targets(3)) for _ in range(4)]
    rng = np.random.default_rng(1)
    for t in range(3):
        chunks = rng.normal(size=(4, 3, 1)).astype(np.float32)
        executor.push(chunks, t * 10 * MS)
        for row, part in zip(rows, chunks, strict=True):
            row.push(part, t * 10 * MS)
        together = executor.next(t * 10 * MS)
        assert together.dtype == np.float32
        np.testing.assert_array_equal(together, [row.next(t * 10 * MS) for row in rows])


def test_reset_forgets_chunks_and_chunks_are_copied() -> None:
    executor = Executor(ExecutorSpec(kind="receding", execute=2), make_targets(2))
    buffer = chunk(0.1, 0.2)
    executor.push(buffer, 0)
    buffer[:] = 9.0
    assert at(executor, 10) == pytest.approx([0.2])
    executor.reset()
    assert at(executor, 10) == [None]
    executor.push(chunk(0.3, 0.4), 0)  # an older stamp is fine after a reset
    assert at(executor, 10) == pytest.approx([0.4])


def test_memory_is_bounded() -> None:
    executor = Executor(ExecutorSpec(kind="ensemble"), make_targets(8))
    for t in range(1000):
        executor.push(np.zeros((8, 1)), t * 10 * MS)
        executor.next(t * 10 * MS)
    assert len(executor._chunks) == 8  # pyright: ignore[reportPrivateUsage]


@pytest.mark.parametrize(
    ("spec", "action", "message"),
    [
        (ExecutorSpec(), make_targets(2), "'step': needs action.horizon 1, got 2"),
        (
            ExecutorSpec(kind="receding", execute=3),
            make_targets(2),
            "execute: expected 1 to 2, got 3",
        ),
        (
            ExecutorSpec(kind="ensemble"),
            make_targets(2, kind="joint_delta", relative_to="last_command"),
            "steps from the last command cannot be averaged",
        ),
        (
            ExecutorSpec(kind="ensemble"),
            make_targets(2, kind="ee_pose", rotation_side="left"),
            "rotation vectors cannot be averaged",
        ),
    ],
)
def test_kinds_that_do_not_go_with_the_actions(
    spec: ExecutorSpec, action: ActionSpec, message: str
) -> None:
    with pytest.raises(ValueError, match=message):
        Executor(spec, action)


def test_chunks_that_are_refused() -> None:
    executor = Executor(ExecutorSpec(kind="receding", execute=2), make_targets(2))
    with pytest.raises(ValueError, match=r"expected shape \(..., T, A\) = \(2, 1\), got \(1, 1\)"):
        executor.push(chunk(0.1), 0)
    with pytest.raises(ValueError, match="not finite"):
        executor.push(chunk(0.1, math.nan), 0)
    executor.push(chunk(0.1, 0.2), 20 * MS)
    with pytest.raises(ValueError, match=r"got one 0\.0100 s older"):
        executor.push(chunk(0.3, 0.4), 10 * MS)
    with pytest.raises(ValueError, match=r"as before, got \(3, 2, 1\)"):
        executor.push(np.zeros((3, 2, 1)), 30 * MS)
    assert at(executor, 20, 30) == pytest.approx([0.1, 0.2])


AHEAD = ExecutorSpec(kind="ahead", execute=4, delay=2)


def test_ahead_goes_on_with_the_old_chunk_until_the_delay_is_over() -> None:
    executor = Executor(AHEAD, make_targets(8))
    assert executor.wants(0)
    executor.push(chunk(*range(8)), 0)
    assert at(executor, 0, 10, 20, 30) == [0.0, 1.0, 2.0, 3.0]
    assert not executor.wants(30 * MS) and executor.wants(40 * MS)
    executor.push(chunk(*(10.0 + k for k in range(8))), 40 * MS)
    assert not executor.wants(50 * MS)
    # entries 4 and 5 of the first; from 60 ms on those of the second, whose 2 are then over
    assert at(executor, 40, 50, 60, 70) == [4.0, 5.0, 12.0, 13.0]


def test_ahead_a_chunk_that_comes_late_is_used_when_it_comes() -> None:
    executor = Executor(AHEAD, make_targets(8))
    executor.push(chunk(*range(8)), 0)
    assert at(executor, 40, 50, 60, 70) == [4.0, 5.0, 6.0, 7.0]
    executor.push(chunk(*(10.0 + k for k in range(8))), 40 * MS)  # after 30 ms, not 20
    assert at(executor, 80, 90) == [14.0, 15.0]
    # and one that never comes is a hold
    assert at(executor, 110, 120) == [17.0, None]


def test_the_prefix_is_what_will_be_done_until_the_new_chunk_is_used() -> None:
    executor = Executor(AHEAD, make_targets(8))
    nothing = executor.prefix(0, (1, 8, 1))
    assert not nothing["prefix"].any() and not nothing["prefix_known"].any()
    executor.push(chunk(*range(8))[None], 0)
    told = executor.prefix(40 * MS, (1, 8, 1))
    assert told["prefix"][0, :, 0].tolist() == [4.0, 5.0, 0, 0, 0, 0, 0, 0]
    assert told["prefix_known"][0].tolist() == [1.0, 1.0, 0, 0, 0, 0, 0, 0]
    told = executor.prefix(70 * MS, (1, 8, 1))  # late: only one entry is left
    assert told["prefix"][0, :2, 0].tolist() == [7.0, 0.0]
    assert told["prefix_known"][0, :2].tolist() == [1.0, 0.0]


def test_zero_actions_count_as_actions() -> None:
    """The published code of ACT takes them for absent."""
    executor = Executor(ExecutorSpec(kind="ensemble"), make_targets(3))
    executor.push(chunk(0.0, 0.0, 0.0), 0)
    executor.push(chunk(1.0, 1.0, 1.0), 10 * MS)
    assert at(executor, 10) == pytest.approx([0.5])
