from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from sim2arm.cli.evaluation import Episodes
from sim2arm.cli.measured import (
    Course,
    Measured,
    pair,
    part,
    read_measured,
    write_measured,
)
from tests.builders import make_action

STOPPED = "gate: the motion was refused"


def make_measured(
    seeds: list[int], success: list[bool], steps: list[int], **overrides: Any
) -> Measured:
    actions = tuple(np.full((n, 6), 0.1 * i, dtype=np.float32) for i, n in enumerate(steps))
    episodes = Episodes(
        seeds=tuple(seeds),
        success=np.array(success),
        steps=np.array(steps),
        slowed=1,
        refused=2,
        ticks=sum(steps),
        actions=overrides.pop("actions", actions),
        endings=overrides.pop("endings", ()),
        scores=overrides.pop("scores", None),
    )
    return Measured(episodes=episodes, **overrides)


def latencies(*values: float) -> Course:
    return Course(latency_ms=np.array(values))


def test_what_is_written_is_read(tmp_path: Path) -> None:
    courses = (
        Course(latency_ms=np.arange(4.0), missed=3, late=2),
        Course(slowed=4, refused=5, unheard=6, reason=STOPPED),
        latencies(7.0),
    )
    measured = make_measured(
        [7, 8, 9],
        [True, False, True],
        [3, 4, 2],
        endings=("success", "lost", "success"),
        scores=np.array([1.0, 0.25, 1.0]),
        real_time=True,
        courses=courses,
        activation={"ok": True, "items": [{"name": "kp", "expected": [1, 2]}]},
    )
    write_measured(tmp_path / "new" / "it.safetensors", measured)
    read = read_measured(tmp_path / "new" / "it.safetensors")
    a, b = measured.episodes, read.episodes
    assert b.scores is not None and b.scores.tolist() == [1.0, 0.25, 1.0]
    assert (a.seeds, a.slowed, a.refused, a.ticks) == (b.seeds, b.slowed, b.refused, b.ticks)
    assert b.success.dtype == bool and a.success.tolist() == b.success.tolist()
    assert a.steps.tolist() == b.steps.tolist() and a.endings == b.endings
    assert all(np.array_equal(x, y) for x, y in zip(a.actions, b.actions, strict=True))
    assert read.real_time and read.latency_ms.tolist() == [0, 1, 2, 3, 7]
    assert (read.missed, read.late) == (3, 2)
    for x, y in zip(courses, read.courses, strict=True):
        assert x.latency_ms.tolist() == y.latency_ms.tolist() and x.faults() == y.faults()
    assert read.activation == measured.activation


def test_in_process_there_are_no_courses(tmp_path: Path) -> None:
    write_measured(tmp_path / "it", make_measured([1, 2], [True, True], [2, 3]))
    read = read_measured(tmp_path / "it")
    assert read.courses == () and read.latency_ms.size == read.missed == 0
    assert read.episodes.scores is None


def test_pairs_are_counted_by_seed() -> None:
    a = make_measured(
        [1, 2, 3, 4, 5], [True, True, False, False, True], [3, 3, 3, 3, 9],
        endings=("success", "success", "time up", "lost", "success"),
    )  # fmt: skip
    b = make_measured(
        [4, 3, 2, 1],
        [False, True, False, True],
        [3, 3, 3, 2],
        # those of a, in the order of b's seeds; the third is another from its second step on
        actions=(
            a.episodes.actions[3],
            a.episodes.actions[2],
            a.episodes.actions[1] + np.array([[0], [0.5], [0.1]], dtype=np.float32),
            a.episodes.actions[0][:2],
        ),
        endings=("lost", "success", "broken off", "success"),
        real_time=True,
        courses=(
            latencies(1, 1, 1),
            latencies(2, 2, 2),
            Course(latency_ms=np.array([3.0, 30.0]), missed=1, late=2, reason=STOPPED),
            latencies(4, 4),
        ),
    )
    found = pair(a, b, make_action())
    assert (found.both, found.only_a, found.only_b, found.neither) == (1, 1, 1, 1)
    assert found.same_steps == 1  # seed 4; seed 1 took 2 steps instead of 3
    assert found.largest == pytest.approx(0.25)  # 0.5 of a range of 2
    assert found.incomplete == ()
    assert found.discordant == (
        "seed 3: in process no success after 3 steps (time up), through ROS success after 3 steps; "
        "the actions are equal as far as both go; slowest command after 2.0 ms; no fault on the "
        "way; ages and lead as in real time",
        "seed 2: in process success after 3 steps, through ROS no success after 3 steps (broken "
        "off); the actions part at step 1 and differ by up to 0.25 of the range; slowest command "
        f"after 30.0 ms; 1 periods without a new command; 2 late commands; {STOPPED}",
    )


def test_in_lock_step_no_action_may_be_missing() -> None:
    a = make_measured([1, 2, 3, 4], [True, True, False, False], [3, 3, 3, 3])
    cut = [each[:n] for each, n in zip(a.episodes.actions, (3, 2, 3, 0), strict=True)]
    values: dict[str, Any] = {
        "actions": tuple(cut), "courses": (Course(), Course(), Course(unheard=1), Course()),
    }  # fmt: skip
    b = make_measured([1, 2, 3, 4], [True, True, False, False], [3, 2, 3, 0], **values)
    found = pair(a, b, make_action())
    assert found.largest is None  # all that were recorded are equal
    assert found.incomplete == (
        "seed 2: 3 actions in process, 2 through ROS",
        "seed 3: 3 actions in process, 3 through ROS, 1 not heard",
        "seed 4: 3 actions in process, 0 through ROS",
    )
    assert pair(a, replace(b, real_time=True), make_action()).largest == 0.0


def test_episodes_without_a_step_are_not_the_same() -> None:
    a, b = (make_measured([1], [False], [0]) for _ in range(2))
    found = pair(a, b, make_action())
    assert (found.neither, found.same_steps, found.largest) == (1, 0, None)


def test_a_seed_without_partner_is_an_error() -> None:
    a, b = make_measured([1], [True], [1]), make_measured([1, 2], [True, True], [1, 1])
    with pytest.raises(ValueError, match=r"seeds \[2\] were not run in process"):
        pair(a, b, make_action())


def test_actions_part_beyond_the_tolerance() -> None:
    action = make_action()
    a = np.zeros((3, 6), dtype=np.float32)
    b = a.copy()
    b[1, 2] = 1.8e-5  # 0.9e-5 of a range of 2: still equal
    assert part(a, b, action) == (pytest.approx(0.9e-5), None)
    b[2, 5] = -2.2e-5
    assert part(a, b, action) == (pytest.approx(1.1e-5), 2)
    assert part(a[:0], b, action) == (None, None)
