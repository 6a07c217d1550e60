"""The curriculum by hand, its laws, and that it is not taken in by episodes that end early."""

# pyright: standard

from __future__ import annotations

from itertools import pairwise
from typing import Any

import numpy as np
import pytest
import torch

from sim2arm.sim.curriculum import Block, Curriculum, CurriculumCfg

CPU = torch.device("cpu")


def make_curriculum(**changes: Any) -> Curriculum:
    values = {"start": 0.0, "step": 0.5, "rise": 0.8, "fall": 0.4, "episodes": 100} | changes
    return Curriculum(CurriculumCfg(**values))


def finish(curriculum: Curriculum, percent: int) -> float:
    """End a block with so many successes in a hundred, return the level."""
    curriculum.add(begun=100, ended=100, succeeded=percent)
    return curriculum.level


def test_a_block_is_waited_for_by_hand() -> None:
    curriculum = make_curriculum()
    seen: list[tuple[bool, float]] = []
    for begun, ended, succeeded in (
        (60, 0, 0),
        (60, 50, 50),  # 120 have begun: no more of them; all that ended succeeded
        (0, 69, 46),
        (0, 1, 0),  # the last one: 96 of 120 is 0.8, it rises
        (99, 99, 99),  # 99 are too few
        (1, 0, 0),
        (0, 1, 0),  # 99 of 100: it rises
        (100, 0, 0),
        (0, 100, 39),  # it falls
    ):
        curriculum.add(begun=begun, ended=ended, succeeded=succeeded)
        seen.append((curriculum.open, curriculum.level))
    assert seen == [
        *((True, 0.0), (False, 0.0), (False, 0.0), (True, 0.5)),
        *((True, 0.5), (False, 0.5), (True, 1.0)),
        *((False, 1.0), (True, 0.5)),
    ]


def test_between_the_thresholds_it_stays() -> None:
    curriculum = make_curriculum()
    assert [finish(curriculum, percent) for percent in (80, 79, 40, 60)] == [0.5] * 4
    assert finish(curriculum, 39) == 0.0
    assert [finish(curriculum, percent) for percent in (0, 79)] == [0.0] * 2  # the least
    assert [finish(curriculum, 100) for _ in range(4)] == [0.5, 1.0, 1.0, 1.0]  # the greatest


def test_held_is_where_a_block_ended_without_a_fall() -> None:
    curriculum = make_curriculum()
    found: list[tuple[float, float, bool]] = []
    for percent in (100, 30, 100, 50, 100, 0, 90, 40):
        finish(curriculum, percent)
        found.append((curriculum.level, curriculum.held, curriculum.complete))
    assert found == [
        (0.5, 0.0, False),  # no block of 0.5 has ended yet
        (0.0, 0.0, False),  # 0.5 was too much
        (0.5, 0.0, False),
        (0.5, 0.5, False),
        (1.0, 0.5, False),  # as wide as can be, but no block of it
        (0.5, 0.5, False),
        (1.0, 0.5, False),
        (1.0, 1.0, True),
    ]
    assert finish(curriculum, 0) == 0.5
    assert curriculum.held == 1.0 and not curriculum.complete


def test_laws_over_random_outcomes() -> None:
    rng = np.random.default_rng(0)
    for start, step in ((0.0, 0.1), (0.25, 0.5), (0.9, 0.05)):
        curriculum = make_curriculum(start=start, step=step)
        levels, held, running, total = [curriculum.level], [curriculum.held], 0, 0
        for k in range(4000):
            ended = int(rng.integers(0, running + 1))
            begun = int(rng.integers(0, 80)) if curriculum.open else 0
            running, total = running + begun - ended, total + begun
            share = 0.5 + 0.5 * np.sin(k / 200)  # good times and bad times
            succeeded = int(rng.binomial(ended, share))
            curriculum.add(begun=begun, ended=ended, succeeded=succeeded)
            levels.append(curriculum.level)
            held.append(curriculum.held)
            whole = running == 0 and total >= 100
            assert whole or levels[-1] == levels[-2]
            total = 0 if whole else total
        assert min(levels) == start and max(levels) == 1.0  # bounded, and both ends are seen
        assert max(abs(b - a) for a, b in pairwise(levels)) <= step + 1e-9
        assert all(a <= b <= max(levels) for a, b in pairwise(held))


def test_levels_end_exactly_at_one() -> None:
    for start, step, expected in (
        (0.1, 0.4, [0.1, 0.5, 0.9, 1.0, 1.0]),
        (0.0, 0.1, [0.1 * k for k in range(11)]),
        (0.0, 1.0 / 3.0, [0.0, 1 / 3, 2 / 3, 1.0]),
        (1.0, 0.2, [1.0, 1.0]),
    ):
        curriculum = make_curriculum(start=start, step=step)
        levels = [curriculum.level, *(finish(curriculum, 100) for _ in expected[1:])]
        assert levels == pytest.approx(expected)
        assert levels[-1] == 1.0


def test_by_default_the_ranges_are_whole_whatever_happens() -> None:
    cfg = CurriculumCfg()
    curriculum = Curriculum(cfg)
    for percent in (0, 100, 50):
        assert curriculum.complete and curriculum.level == curriculum.held == 1.0
        for _ in range(3):
            finish(curriculum, percent)
    assert not cfg.moves and curriculum.state_dict() == {}
    curriculum.load_state_dict({})  # of a training that knew no curriculum


def test_a_block_counts_what_begins_while_it_is_open_by_hand() -> None:
    block = Block(3, CPU)
    found: list[tuple[int, ...]] = []
    for opened, done, success in (
        (True, (1, 0, 0), (1, 0, 0)),  # it ran before: only what begins now counts
        (True, (0, 1, 0), (1, 1, 1)),
        (True, (1, 0, 0), (0, 0, 0)),  # a failure of world 0, and one more begins
        (False, (1, 1, 1), (1, 0, 1)),  # worlds 0 and 1 end; world 2 was never of it
        (False, (1, 1, 1), (1, 1, 1)),  # all began when it was closed
        (True, (1, 1, 1), (1, 1, 1)),
        (True, (0, 1, 1), (1, 0, 1)),
    ):
        block.open = opened
        block.step(torch.tensor(done).bool(), torch.tensor(success).bool())
        found.append(tuple(int(value) for value in block.take().values()))
    assert found == [(1, 0, 0), (1, 0, 0), (1, 1, 0), (0, 2, 1), (0, 0, 0), (3, 0, 0), (2, 2, 1)]
    block.step(torch.ones(3).bool(), torch.ones(3).bool())
    block.step(torch.zeros(3).bool(), torch.ones(3).bool())
    taken = block.take()
    assert {name: int(value) for name, value in taken.items()} == {
        "begun": 3,  # since it was asked last
        "ended": 3,
        "succeeded": 3,
    }


def test_successes_that_end_early_do_not_raise_it() -> None:
    rng = np.random.default_rng(1)
    n, early, late = 400, 3, 30
    # Half of the episodes succeed, after 3 steps; the others fail at the limit of 30.
    good, age = rng.random(n) < 0.5, np.zeros(n, dtype=int)
    curriculum, block = make_curriculum(rise=0.7, fall=0.3, episodes=200), Block(n, CPU)
    curriculum.add(begun=200, ended=200, succeeded=200)
    first, blocks = np.zeros(2, dtype=int), 0
    for step in range(600):
        age += 1
        done = age >= np.where(good, early, late)
        block.step(torch.from_numpy(done), torch.from_numpy(done & good))
        good, age = np.where(done, rng.random(n) < 0.5, good), np.where(done, 0, age)
        taken = {name: int(value) for name, value in block.take().items()}
        if step < 10:
            first += (taken["ended"], taken["succeeded"])
        before = curriculum.open
        curriculum.add(**taken)
        block.open = curriculum.open
        blocks += curriculum.open and not before
    assert first[0] > 50 and first[0] == first[1]  # what ends first looks like full success
    assert blocks >= 10 and curriculum.level == curriculum.held == 0.5


def test_the_state_goes_on_at_the_level_with_a_new_block() -> None:
    before, after = make_curriculum(), make_curriculum()
    for _ in range(2):
        finish(before, 100)
    assert (before.level, before.held) == (1.0, 0.5)
    before.add(begun=150, ended=20, succeeded=20)
    after.add(begun=150, ended=20, succeeded=0)
    after.load_state_dict(before.state_dict())
    assert (after.level, after.held, after.complete, after.open) == (1.0, 0.5, False, True)
    finish(after, 50)  # of a hundred, none of before
    assert after.complete
    with pytest.raises(KeyError):
        after.load_state_dict({})


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"start": -0.1}, "start: expected 0 to 1, got -0.1"),
        ({"start": float("nan")}, "start: expected 0 to 1, got nan"),
        ({"step": 0.0}, "step: expected above 0, to 1, got 0.0"),
        ({"rise": 0.4}, "expected 0 <= fall < rise <= 1, got 0.4 and 0.4"),
        ({"rise": 1.1}, "expected 0 <= fall < rise <= 1"),
        ({"fall": -0.1}, "expected 0 <= fall < rise <= 1"),
        ({"episodes": 0}, "episodes: expected 1 or more, got 0"),
    ],
)
def test_what_is_no_curriculum_is_refused(changes: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        make_curriculum(**changes)
