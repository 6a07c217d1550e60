from pathlib import Path
from typing import Any

import numpy as np
import pytest

from sim2arm.cli.evaluation import Episodes
from sim2arm.cli.measured import Measured, pair, part, read_measured, write_measured
from tests.builders import make_action

LOST = "gate: the motion was refused"


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
    )
    return Measured(episodes=episodes, **overrides)


def test_what_is_written_is_read(tmp_path: Path) -> None:
    measured = make_measured(
        [7, 8, 9],
        [True, False, True],
        [3, 4, 2],
        latency_ms=np.arange(9.0),
        missed=3,
        activation={"ok": True, "items": [{"name": "kp", "expected": [1, 2]}]},
        reasons=("", LOST, ""),
    )
    write_measured(tmp_path / "new" / "it.safetensors", measured)
    read = read_measured(tmp_path / "new" / "it.safetensors")
    a, b = measured.episodes, read.episodes
    assert (a.seeds, a.slowed, a.refused, a.ticks) == (b.seeds, b.slowed, b.refused, b.ticks)
    assert b.success.dtype == bool and a.success.tolist() == b.success.tolist()
    assert a.steps.tolist() == b.steps.tolist()
    assert all(np.array_equal(x, y) for x, y in zip(a.actions, b.actions, strict=True))
    assert read.latency_ms.tolist() == list(range(9))
    assert (read.missed, read.reasons) == (3, ("", LOST, ""))
    assert read.activation == measured.activation


def test_pairs_are_counted_by_seed() -> None:
    a = make_measured([1, 2, 3, 4, 5], [True, True, False, False, True], [3, 3, 3, 3, 9])
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
        latency_ms=np.array([1, 1, 1, 2, 2, 2, 3, 30, 3, 4, 4.0]),
        reasons=("", "", LOST, ""),
    )
    found = pair(a, b, make_action())
    assert (found.both, found.only_a, found.only_b, found.neither) == (1, 1, 1, 1)
    assert found.same_steps == 1  # seed 4; seed 1 took 2 steps instead of 3
    assert found.largest == pytest.approx(0.25)  # 0.5 of a range of 2
    assert found.discordant == (
        "seed 3: in process no success after 3 steps, through ROS success after 3 steps; the "
        "actions are equal as far as both go; slowest command after 2.0 ms",
        "seed 2: in process success after 3 steps, through ROS no success after 3 steps; the "
        "actions part at step 1 and differ by up to 0.25 of the range; slowest command after "
        f"30.0 ms; {LOST}",
    )


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
    assert part(a[:0], b, action) == (0.0, None)
