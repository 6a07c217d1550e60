"""Replay against an oracle that keeps every episode as a list; its ends, its seam, its restart."""

# pyright: standard

from __future__ import annotations

import copy
import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from sim2arm.policies.buffers import SPARE, Column, Replay

SHAPES = {"q": Column(shape=(2,)), "eye": Column(shape=(2, 2, 3), dtype=torch.uint8, stack=3)}
Step = dict[str, Any]


class Source:
    """N worlds whose episodes end at random; what they did is kept as it was."""

    def __init__(self, worlds: int, seed: int = 0) -> None:
        self.rng, self.worlds = np.random.default_rng(seed), worlds
        self.rows: list[list[Step]] = [[] for _ in range(worlds)]
        self.obs = [self.draw() for _ in range(worlds)]

    def draw(self) -> Step:
        """Return an observation."""
        eye = self.rng.integers(0, 256, (2, 2, 3), dtype=np.uint8)
        return {"q": self.rng.normal(size=2).astype(np.float32), "eye": eye}

    def step(self, replay: Replay) -> None:
        """Step all worlds and write what came of it."""
        n, seen, after = self.worlds, self.obs, [self.draw() for _ in range(self.worlds)]
        action = self.rng.normal(size=(n, 2)).astype(np.float32)
        reward = self.rng.normal(size=n).astype(np.float32)
        done = self.rng.random(n) < 0.2
        terminated = done & (self.rng.random(n) < 0.5)
        mark = self.rng.random(n) < 0.5
        replay.add(
            stacked(seen), torch.from_numpy(action), torch.from_numpy(reward),
            torch.from_numpy(terminated), torch.from_numpy(done), stacked(after),
            {"mark": torch.from_numpy(mark)},
        )  # fmt: skip
        for i in range(n):
            end = 0 if not done[i] else 2 if terminated[i] else 1
            row = {"action": action[i], "reward": reward[i], "end": end, "mark": mark[i]}
            self.rows[i].append({**seen[i], **row})
            if done[i]:
                self.rows[i].append({**after[i], "end": 3})
        self.obs = [self.draw() if done[i] else after[i] for i in range(n)]

    def begin(self, world: int, row: int) -> int:
        """Return the first row of the episode of a row."""
        while row > 0 and self.rows[world][row - 1]["end"] != 3:
            row -= 1
        return row

    def seen(self, world: int, row: int) -> Step:
        """Return the observation of a row, stacked."""
        first = self.begin(world, row)
        places = [max(first, row - back) for back in (2, 1, 0)]
        eye = np.stack([self.rows[world][place]["eye"] for place in places])
        return {"q": self.rows[world][row]["q"], "eye": eye}

    def transition(
        self, world: int, row: int, steps: int, discount: float, actions: int
    ) -> tuple[float, float, int, np.ndarray]:
        """Return reward, discount, next row and actions."""
        rows, k, reward = self.rows[world], 0, 0.0
        newest = len(rows) - 1
        while k < steps and row + k < newest:
            reward += discount**k * float(rows[row + k]["reward"])
            k += 1
            if rows[row + k - 1]["end"]:
                break
        factor = 0.0 if rows[row + k - 1]["end"] == 2 else discount**k
        chosen, at = [], row
        for _ in range(actions):
            chosen.append(rows[at]["action"])
            if rows[at]["end"] == 0 and at < newest:
                at += 1
        return reward, factor, row + k, np.stack(chosen)

    def valid(self, replay: Replay, world: int) -> list[int]:
        """Return the rows that can be sampled."""
        rows, oldest = self.rows[world], max(0, len(self.rows[world]) - replay.rows)
        return [
            row for row in range(oldest, len(rows) - 1)
            if rows[row]["end"] != 3 and row - min(2, row - self.begin(world, row)) >= oldest
        ]  # fmt: skip


def stacked(seen: list[Step]) -> dict[str, torch.Tensor]:
    return {n: torch.from_numpy(np.stack([obs[n] for obs in seen])) for n in seen[0]}


def make(worlds: int, rows: int, folder: Path | None = None) -> Replay:
    columns = {"mark": Column(dtype=torch.bool)}
    return Replay(SHAPES, 2, rows=rows, worlds=worlds, columns=columns, folder=folder)


@pytest.mark.parametrize("steps", [1, 3, 8])
@pytest.mark.parametrize("count", [2, 5, 17, 60])
def test_every_transition_equals_the_oracle(steps: int, count: int) -> None:
    """Ends, cuts, the newest row and the seam of the ring included."""
    source, replay = Source(3), make(3, 20)
    for _ in range(count):
        source.step(replay)
    places = [(w, row) for w in range(3) for row in source.valid(replay, w)]
    world, row = torch.tensor(places).unbind(1)
    found = replay.gather(world, row, discount=0.9, steps=steps, actions=4)
    for i, (w, r) in enumerate(places):
        reward, factor, after, actions = source.transition(w, r, steps, 0.9, 4)
        np.testing.assert_allclose(found.reward[i], reward, atol=1e-6)
        np.testing.assert_allclose(found.discount[i], factor, atol=1e-6)
        np.testing.assert_array_equal(found.action[i], actions)
        assert bool(found.columns["mark"][i]) == source.rows[w][r]["mark"]
        for obs, at in ((found.obs, r), (found.next_obs, after)):
            for name, value in source.seen(w, at).items():
                np.testing.assert_array_equal(obs[name][i], value)


def test_samples_are_uniform_over_what_there_is() -> None:
    source, replay = Source(2, seed=3), make(2, 20)
    for _ in range(50):
        source.step(replay)
    places = {(w, row): 0 for w in range(2) for row in source.valid(replay, w)}
    world, row = replay._draw(60_000, torch.Generator().manual_seed(0))
    for place in zip(world.tolist(), row.tolist(), strict=True):
        places[place] += 1  # a KeyError: what cannot be sampled was
    for w in range(2):
        counts = np.array([count for (at, _), count in places.items() if at == w])
        expected = 30_000 / len(counts)
        assert np.abs(counts - expected).max() < 5.0 * np.sqrt(expected)


def test_by_hand() -> None:
    """Two steps, then a true end: 1 + 0.5 * 10 and no future; after a cut there is one."""
    for terminated, factor in ((True, 0.0), (False, 0.25)):
        replay = Replay({"q": Column()}, 1, rows=8)
        for t, (reward, done) in enumerate(((1.0, False), (10.0, True), (100.0, False))):
            replay.add(
                {"q": torch.tensor([float(t)])}, torch.tensor([[float(t)]]), torch.tensor([reward]),
                torch.tensor([done and terminated]), torch.tensor([done]),
                {"q": torch.tensor([t + 0.5])},
            )  # fmt: skip
        found = replay.gather(torch.tensor([0]), torch.tensor([0]), discount=0.5, steps=3)
        assert found.reward.item() == 6.0 and found.discount.item() == factor
        assert found.next_obs["q"].item() == 1.5 and found.action.tolist() == [[0.0]]


def test_one_action_has_no_axis_and_a_sequence_of_one_has() -> None:
    source, replay = Source(2), make(2, 20)
    for _ in range(10):
        source.step(replay)
    draw = torch.Generator().manual_seed(0)
    assert replay.sample(5, draw, discount=0.9).action.shape == (5, 2)
    assert replay.sample(5, draw, discount=0.9, actions=1).action.shape == (5, 1, 2)


def test_what_is_cut_is_bootstrapped_from_its_newest_row() -> None:
    source, replay = Source(1, seed=5), make(1, 50)
    for _ in range(30):
        source.step(replay)
    while source.rows[0][-1]["end"] == 3 or source.rows[0][-2]["end"] == 3:
        source.step(replay)  # until an episode of two steps runs
    replay.cut()
    newest = len(source.rows[0]) - 1
    source.step(replay)
    row = torch.tensor([newest - 1])
    found = replay.gather(torch.tensor([0]), row, discount=0.5, steps=3, actions=3)
    np.testing.assert_array_equal(found.next_obs["q"][0], source.rows[0][newest]["q"])
    assert found.discount.item() == 0.5
    np.testing.assert_allclose(found.reward[0], source.rows[0][newest - 1]["reward"])
    world, drawn = replay._draw(2000, torch.Generator().manual_seed(0))
    assert newest not in drawn.tolist() and not world.any()


def test_an_episode_is_taken_over() -> None:
    source, replay, demos = Source(2), make(2, 60), make(1, 60)
    for _ in range(40):
        source.step(replay)
    taken = [rows for rows in replay.episodes(1) if rows[1] - rows[0] > 1][:2]
    assert len(taken) == 2
    for rows in taken:
        demos.copy_episode(replay, 1, rows)
    ours = demos.episodes()
    assert [b - a for a, b in ours] == [b - a for a, b in taken]
    for (mine, end), (theirs, _) in zip(ours, taken, strict=True):
        count = end - mine
        at, there = torch.arange(count) + mine, torch.arange(count) + theirs
        found = demos.gather(torch.zeros(count, dtype=torch.int64), at, discount=0.9, steps=3)
        given = replay.gather(torch.ones(count, dtype=torch.int64), there, discount=0.9, steps=3)
        torch.testing.assert_close(vars(found), vars(given), atol=0, rtol=0)


def test_the_latest_episode_is_the_last_of_all_while_it_is_whole() -> None:
    source, replay = Source(2, seed=4), make(2, 12)
    assert replay.latest_episode(0) is None
    whole = lost = 0
    for _ in range(80):
        source.step(replay)
        for world in range(2):
            found, ended = replay.latest_episode(world), source.rows[world][-1]["end"] == 3
            known = replay.episodes(world)
            there = ended and bool(known) and known[-1][1] == len(source.rows[world]) - 1
            assert found == (known[-1] if there else None)
            whole, lost = whole + there, lost + (ended and not there)
    assert whole and lost


def test_a_checkpoint_goes_on() -> None:
    source, replay, other = Source(2), make(2, 20), make(2, 20)
    for _ in range(15):
        source.step(replay)
    other.load_state_dict({name: value.clone() for name, value in replay.state_dict().items()})
    for each, feed in ((replay, copy.deepcopy(source)), (other, copy.deepcopy(source))):
        for _ in range(3):
            feed.step(each)
    first, second = (
        each.sample(64, torch.Generator().manual_seed(0), discount=0.9, steps=3)
        for each in (replay, other)
    )
    torch.testing.assert_close(vars(first), vars(second), atol=0, rtol=0)


WRITER = """
import sys, torch
from pathlib import Path
from tests.policies.test_buffers import Source, make
source, replay = Source(2), make(2, 1000, Path(sys.argv[1]))
while True:
    source.step(replay)
    print(len(replay), flush=True)
"""


def test_a_kill_loses_nothing_that_was_whole(tmp_path: Path) -> None:
    """A process that writes is killed; another one reads exactly what it had written."""
    folder = tmp_path / "replay"
    words = [sys.executable, "-c", WRITER, str(folder)]
    root = Path(__file__).parents[2]
    process = subprocess.Popen(words, stdout=subprocess.PIPE, text=True, cwd=root)
    assert process.stdout is not None
    for line in process.stdout:
        if int(line) >= 400:
            break
    os.kill(process.pid, signal.SIGKILL)
    process.wait()
    process.stdout.close()
    replay, source, twin = make(2, 1000, folder), Source(2), make(2, 1000)
    assert len(replay) >= 400
    while len(twin) < 400:
        source.step(twin)
    places = [(w, row) for w in range(2) for row in source.valid(twin, w)[:-1]]
    world, row = torch.tensor(places).unbind(1)
    found, given = (each.gather(world, row, discount=0.9) for each in (replay, twin))
    torch.testing.assert_close(vars(found), vars(given), atol=0, rtol=0)
    source.step(replay)  # and it goes on
    replay.sample(32, torch.Generator().manual_seed(0), discount=0.9)


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"rows": 5}, "rows: expected 6 or more"),
        ({"columns": {"reward": Column()}}, "columns: names must differ"),
        ({"device": torch.device("meta"), "folder": Path("x")}, "folder: rows on disk"),
    ],
)
def test_what_cannot_be_kept_is_refused(change: dict[str, object], said: str) -> None:
    with pytest.raises(ValueError, match=said):
        Replay(SHAPES, 2, **({"rows": 20} | change))  # type: ignore[arg-type]


def test_a_folder_of_another_replay_is_refused(tmp_path: Path) -> None:
    make(2, 20, tmp_path)
    with pytest.raises(ValueError, match=r"of another replay"):
        make(3, 20, tmp_path)


def test_who_reads_follows_who_writes(tmp_path: Path) -> None:
    columns = {"x": Column(shape=(1,))}
    rows = 4 * SPARE
    writer = Replay(columns, 1, rows=rows, folder=tmp_path)
    reader = Replay(columns, 1, rows=rows, folder=tmp_path, reads=True)
    no, yes, draw = torch.zeros(1).bool(), torch.ones(1).bool(), torch.Generator().manual_seed(0)

    def write(count: int, first: int) -> None:
        for k in range(first, first + count):
            x, end = torch.full((1, 1), float(k)), yes if k % 10 == 9 else no
            writer.add({"x": x}, x, torch.ones(1) * (k % 20 == 19), end, end, {"x": x + 0.5})

    write(20, 0)
    assert reader.follow() == 22  # 20 steps and the ends of two episodes
    assert reader.since(20)["x"][:, 0].tolist() == [19.0, 19.5]
    assert reader.ended_since(0) == [(0, 10), (11, 21)]
    assert [reader.won(last) for _, last in reader.ended_since(0)] == [False, True]
    assert reader.ended_since(11) == [(11, 21)]
    batch = reader.sample(1024, draw, discount=1.0)
    assert set(batch.obs["x"][:, 0].tolist()) == set(range(20))
    write(rows, 20)
    assert reader.follow() == 22 + rows + rows // 10
    oldest = float(reader.since(0)["x"][0, 0])
    batch = reader.sample(4096, draw, discount=1.0)
    assert batch.obs["x"].min() >= oldest  # those that may be written over are left alone
    assert len(reader.since(0)["x"]) == rows - SPARE
    before = writer.state_dict()["data/row.kind"].clone()
    reader.cut()  # is not for who reads
    assert torch.equal(writer.state_dict()["data/row.kind"], before)


def test_who_reads_needs_a_folder_and_room(tmp_path: Path) -> None:
    for change in ({"folder": None}, {"rows": 4 * SPARE - 1}):
        settings: dict[str, Any] = {"folder": tmp_path, "rows": 4 * SPARE, **change}
        with pytest.raises(ValueError, match="reads: expected a folder, and 1024 rows or more"):
            Replay({"x": Column()}, 1, reads=True, **settings)


def test_nothing_is_sampled_from_nothing() -> None:
    with pytest.raises(ValueError, match="nothing to sample"):
        make(1, 20).sample(4, torch.Generator(), discount=0.9)
