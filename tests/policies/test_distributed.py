"""Two ranks learn what one would; what goes wrong on one ends all."""

# pyright: standard

from __future__ import annotations

import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file

from sim2arm.policies.distributed import ALONE, Ranks, ranks_of_torchrun
from sim2arm.policies.ppo import Ppo
from tests.policies.test_ppo import CFG, PointMass

ROOT = Path(__file__).parents[2]


def torchrun(*words: str) -> subprocess.CompletedProcess[str]:
    """Run a module with two ranks."""
    start = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2"]
    return subprocess.run(
        [*start, "-m", *words],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )


def test_two_ranks_with_half_the_worlds_learn_what_one_learns_with_all(tmp_path: Path) -> None:
    done = torchrun("tests.policies.two_ranks", "parity", str(tmp_path))
    assert done.returncode == 0, done.stderr
    alone, first, second = (
        load_file(tmp_path / f"{name}.safetensors") for name in ("alone", "rank0", "rank1")
    )
    assert alone.keys() == first.keys() == second.keys()
    for name, value in alone.items():
        assert torch.equal(first[name], second[name]), name  # so that ranks never drift apart
        # Sums are the same in another order: in double precision 1e-16 of their size. Adam divides
        # by the root of mean squares, which raises it where a gradient is nearly zero.
        torch.testing.assert_close(
            first[name], value, rtol=1e-9, atol=1e-13, msg=lambda m, n=name: f"{n}: {m}"
        )
    # That much is learnt in the first update, in 20 steps of Adam.
    moved = alone["1/model/actor.mlp.0.weight"] - alone["0/model/actor.mlp.0.weight"]
    assert moved.abs().max() > 1e-3
    assert alone["0/metrics/kl"] > 1e-4
    assert alone["0/model/actor.norm.count"] == 64 * 16  # all worlds, all steps
    assert alone["0/metrics/episodes"] > 0


def test_an_error_of_one_rank_ends_all(tmp_path: Path) -> None:
    done = torchrun("tests.policies.two_ranks", "fail", str(tmp_path))
    assert done.returncode != 0
    assert "rank 1 is broken" in done.stderr
    for rank in range(2):
        assert not Path("/proc", (tmp_path / f"{rank}.pid").read_text()).exists()


def test_without_torchrun_there_is_no_group(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("WORLD_SIZE", "2")  # of another launcher
    ranks = ranks_of_torchrun("cuda:0")
    assert ranks is ALONE and ranks.alone and ranks.first
    with ranks.group("cuda:0"), ranks.interrupts() as interrupted:
        assert not torch.distributed.is_initialized()
        assert not interrupted()
    assert (ranks.share(7), ranks.seed(5), ranks.device("cuda:3"), ranks.threads()) == (
        *(7, 5),
        *("cuda:3", 0),
    )
    assert ranks.any(True, False) == (True, False)


def test_ranks_take_equal_shares_other_seeds_and_their_own_gpu(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    place = {"TORCHELASTIC_RUN_ID": "1", "WORLD_SIZE": "4", "RANK": "3", "LOCAL_RANK": "1"}
    for name, value in (place | {"LOCAL_WORLD_SIZE": "2"}).items():
        monkeypatch.setenv(name, value)
    ranks = ranks_of_torchrun("cpu")
    assert ranks == Ranks(rank=3, size=4, local_rank=1, local_size=2)
    assert ranks.share(8) == 2
    with pytest.raises(ValueError, match="expected a multiple of the 4 ranks, got 6"):
        ranks.share(6)
    assert (ranks.device("cuda:0"), ranks.device("cpu")) == ("cuda:1", "cpu")
    seeds = {Ranks(rank=r, size=4).seed(s, *more) for r in range(4) for s in (0, 1) for more in
             ((), (9, 0), (9, 1))}  # fmt: skip
    assert len(seeds) == 2 + 3 * 2 * 3  # the first rank has the seed itself
    assert all(0 <= seed < 2**63 for seed in seeds)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 1)
    with pytest.raises(ValueError, match="expected a GPU for each of 2 ranks, found 1"):
        ranks_of_torchrun("cuda:0")


def test_another_rank_resumes_with_episodes_of_its_own(monkeypatch: pytest.MonkeyPatch) -> None:
    def unmoved(_: Ranks, tensors: object) -> None:
        """Stand for the broadcast: there is no other process here."""

    monkeypatch.setattr(Ranks, "follow_first", unmoved)
    alone = Ppo(CFG, PointMass(), seed=3)
    list(alone.train(1))
    state = alone.state_dict()
    starts: list[Mapping[str, torch.Tensor]] = []
    for rank in range(3):
        learner = Ppo(CFG, PointMass(), seed=3, ranks=Ranks(rank=rank, size=3))
        learner.resume(state)
        starts.append({"x": learner._obs["x"].clone(), "noise": learner._normal(torch.zeros(9, 1))})
    torch.testing.assert_close(starts[0]["x"], alone.env.reset()["x"], rtol=0, atol=0)
    for name in ("x", "noise"):
        for a, b in ((0, 1), (0, 2), (1, 2)):
            assert not torch.isin(starts[a][name], starts[b][name]).any()
