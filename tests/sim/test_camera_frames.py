"""Rate, phase and latency of pictures, tick by tick."""

# pyright: standard

from typing import Any

import pytest
import torch

from sim2arm.sim.camera_frames import COUNT, CameraFrames

N = 2
ALL = torch.ones(N, dtype=torch.bool)


def picture(number: int) -> torch.Tensor:
    return torch.full((N, 2, 3), number, dtype=torch.uint8)


def make_frames(
    unit: list[list[float]] | None = None, **overrides: object
) -> tuple[CameraFrames, torch.Tensor]:
    settings: dict[str, object] = {"rate_hz": 30.0, "period": 1.0 / 60.0}
    frames = CameraFrames(picture(0), **(settings | overrides))  # type: ignore[arg-type]
    drawn = torch.tensor(unit or [[0.0] * COUNT] * N, dtype=torch.float64)
    frames.start(ALL, picture(100), drawn)
    return frames, drawn


def run(frames: CameraFrames, ticks: int) -> list[tuple[list[int], list[float]]]:
    """What each tick sees: numbers of the pictures, ages [ms]; picture k is taken at tick k."""
    seen: list[tuple[list[int], list[float]]] = []
    for k in range(1, ticks + 1):
        frames.advance()
        frames.push(picture(k))
        shown, age = frames.read()
        seen.append((shown[:, 0, 0].tolist(), [round(1e3 * a, 1) for a in age.tolist()]))
    return seen


def test_half_the_rate_shows_each_picture_twice() -> None:
    frames, _ = make_frames()
    assert frames.read()[0][0, 0, 0] == 100 and frames.read()[1].tolist() == [0.0, 0.0]
    assert [row[0][0] for row in run(frames, 5)] == [100, 2, 2, 4, 4]
    frames, _ = make_frames()
    assert [row[1][0] for row in run(frames, 4)] == [16.7, 0.0, 16.7, 0.0]


def test_phase_and_latency_of_each_world() -> None:
    # World 1: pictures at 16.7 ms and every 33.3 ms after, each seen 40 ms later. At tick 0 the
    # last that has arrived is that of 16.7 - 66.7 = -50 ms; the one of 16.7 ms arrives at 56.7 ms,
    # so tick 4 (66.7 ms) is the first to see it, 50 ms old.
    frames, _ = make_frames([[0.0, 0.0], [0.5, 0.8]], phase=None, latency=(0.0, 0.05))
    assert [round(1e3 * a, 1) for a in frames.read()[1].tolist()] == [0.0, 50.0]
    assert run(frames, 5) == [
        ([100, 100], [16.7, 66.7]),
        ([2, 100], [0.0, 50.0]),
        ([2, 100], [16.7, 66.7]),
        ([4, 1], [0.0, 50.0]),
        ([4, 1], [16.7, 66.7]),
    ]
    assert frames.ages == (0.0, pytest.approx(0.05 + 3.0 / 60.0))


def test_a_rate_that_does_not_divide_is_kept_on_average() -> None:
    frames, _ = make_frames(rate_hz=25.0)
    due = [bool(frames.advance()[0]) or frames.push(picture(k)) for k in range(1)]
    assert due == [None]  # 16.7 ms: not yet
    taken = 0
    for k in range(2, 601):
        taken += int(frames.advance()[0])
        frames.push(picture(k % 256))
    assert taken == 250  # in 10 s


def test_pictures_at_the_rate_of_control_do_not_drift() -> None:
    frames, _ = make_frames(rate_hz=60.0)
    for k in range(1, 3001):
        assert frames.advance().all(), k
        frames.push(picture(0))
    assert frames.read()[1].tolist() == [0.0, 0.0]


def test_history_oldest_first() -> None:
    frames, _ = make_frames(history=3)
    assert frames.read()[0].shape == (N, 3, 2, 3)
    run(frames, 4)
    assert frames.read()[0][0, :, 0, 0].tolist() == [100, 2, 4]
    run(frames, 2)  # two more: its picture number 2
    assert frames.read()[0][0, :, 0, 0].tolist() == [2, 4, 2]


def test_what_one_world_sees_stays_for_another_tick() -> None:
    """It is not copied: the picture before, the last of an episode and its next start differ."""
    one = torch.ones(1, dtype=torch.bool)
    frames = CameraFrames(picture(0)[:1], rate_hz=60.0, period=1.0 / 60.0, latency=(0.0, 0.04))
    drawn = torch.tensor([[0.0, 0.5]], dtype=torch.float64)  # 20 ms late: two ticks
    frames.start(one, picture(100)[:1], drawn)
    assert frames.in_place
    before = now = frames.read()[0]
    for k in range(1, 40):
        frames.advance()
        frames.push(picture(k)[:1])
        before, now = now, frames.read()[0]
        assert now.data_ptr() != before.data_ptr() or k < 3
        numbers = [100 if j < 1 else j for j in (k - 3, k - 2)]
        assert [int(x[0, 0, 0]) for x in (before, now)] == numbers
    frames.start(one, picture(200)[:1], drawn)
    start = frames.read()[0]
    assert [int(x[0, 0, 0]) for x in (now, start)] == [37, 200]


def test_an_episode_begins_in_chosen_worlds_alone() -> None:
    frames, drawn = make_frames()
    run(frames, 4)
    frames.start(torch.tensor([False, True]), picture(200), drawn)
    shown, age = frames.read()
    assert shown[:, 0, 0].tolist() == [4, 200] and age.tolist() == [0.0, 0.0]
    seen = run(frames, 3)  # world 0 takes at its ticks 6, world 1 at its tick 2: the same
    assert [row[0] for row in seen] == [[4, 200], [2, 2], [2, 2]]


@pytest.mark.parametrize(
    ("wrong", "text"),
    [
        ({"rate_hz": 90.0}, "at most the control rate, 60 Hz"),
        ({"phase": 0.05}, "phase: expected 0 to below"),
        ({"latency": (0.1, 0.05)}, "low <= high"),
        ({"history": 0}, "history >= 1"),
    ],
)
def test_errors_say_what_is_wrong(wrong: dict[str, Any], text: str) -> None:
    with pytest.raises(ValueError, match=text):
        make_frames(**wrong)
