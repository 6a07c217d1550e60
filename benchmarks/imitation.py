"""Training and answers of ACT and Diffusion Policy beside plain eager torch, in one run.

`eager` (`_eager_act.py`, `_eager_diffusion.py`) is the same network, written down from the papers,
with as many parameters and the same optimiser; `eager, frozen norms` is ACT as published, whose
batch norms do not learn; ours has norms of groups. A step is batch, loss, slopes, optimiser and the
average of weights, if there is one. All draw their batches from frames in memory by
`Demonstrations`, whose share of our step is a row of its own.

An answer is one chunk for one robot, from arrays to array, noise included; in onnxruntime it is the
exported graph. All take turns, so that what else the machine does falls on all.
"""

# pyright: standard

from __future__ import annotations

import statistics
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Literal, get_args

import numpy as np
import torch
from _imitation_cases import SIZES, Case, contract, demonstrations
from _imitation_eager import Eager, parameters
from _turns import take_turns
from numpy.typing import NDArray

from sim2arm.cli.errors import UserError
from sim2arm.cli.outputs import check_file
from sim2arm.cli.parse import parse, unknown
from sim2arm.cli.table import Row, format_results, write_results
from sim2arm.core.contract import Contract
from sim2arm.policies.act import ActCfg
from sim2arm.policies.chunks import ChunkPolicy
from sim2arm.policies.demonstrations import Demonstrations
from sim2arm.policies.export import to_onnx
from sim2arm.policies.graph import ACTION, PolicyGraph
from sim2arm.policies.imitation import Imitation
from sim2arm.policies.noise import draw_all
from sim2arm.policies.torch_policy import TorchPolicy

Part = Literal["train", "answer"]
FROZEN = "eager, frozen norms"
LIKE = 0.01
"""Largest share by which numbers of parameters may differ."""
PARITY = 1e-4
"""Largest difference of graph and network, in units of the range of actions."""
Arrays = dict[str, NDArray[Any]]


@dataclass(frozen=True, kw_only=True)
class ImitationBenchCfg:
    """Measure steps of training and answers of ACT and Diffusion Policy beside eager torch."""

    cases: tuple[str, ...] = ("act", "diffusion", "diffusion-pictures")
    """Which networks."""
    parts: tuple[Part, ...] = ("train", "answer")
    """What is measured of them."""
    size: Literal["published", "small"] = "published"
    """Sizes of networks, pictures and batches; small: for tests."""
    cameras: int = 1
    """Pictures of ACT."""
    repeats: int = 7
    """Turns; medians are reported."""
    answers: int = 5
    """Answers of each in a turn."""
    threads: int = 1
    """Threads of torch and onnxruntime."""
    json: Path | None = None
    """Write the rows there."""


def main(argv: Sequence[str]) -> int:
    """Parse the arguments, measure, print and write.

    Raises:
        UserError: an unknown case, or a number below 1.
    """
    cfg = parse(ImitationBenchCfg, argv, "sim2arm bench imitation")
    known = SIZES[cfg.size]
    for name in cfg.cases:
        if name not in known:
            raise UserError(unknown("case", name, known))
    if not set(cfg.parts) <= set(get_args(Part)):
        raise UserError(f"--parts: expected some of {list(get_args(Part))}, got {list(cfg.parts)}")
    if min(cfg.cameras, cfg.repeats, cfg.answers, cfg.threads) < 1:
        raise UserError("--cameras, --repeats, --answers and --threads must be 1 or more")
    check_file("--json", cfg.json)
    torch.set_num_threads(cfg.threads)
    rows: list[Row] = []
    for name in cfg.cases:
        case = known[name]
        rows += measure(cfg, name, replace(case, cameras=cfg.cameras) if name == "act" else case)
    print(format_results(rows))
    if cfg.json is not None:
        write_results(cfg.json, "imitation", rows)
    return 0


def measure(cfg: ImitationBenchCfg, name: str, case: Case) -> list[Row]:
    """Return the rows of a case."""
    torch.manual_seed(0)
    demos = demonstrations(case)
    bounds, joints = ((-1.0,) * case.joints, (1.0,) * case.joints), tuple(range(case.joints))
    ours = Imitation(case.network, case.learn, demos, bounds, joints, total=10_000)
    others = {"eager": Eager(case, demos)}
    if isinstance(case.network, ActCfg):
        others[FROZEN] = Eager(case, demos, frozen=True)
    count = parameters(ours.policy)
    for other, learner in others.items():
        theirs = parameters(learner.network)
        assert abs(theirs - count) <= LIKE * count, f"{other}: {theirs} parameters, ours {count}"
    text = f"{name}, {case.text}"
    rows = [Row(case=text, metric="parameters", value=count)]
    if "train" in cfg.parts:
        rows += steps(cfg, text, case, demos, ours, others)
    if "answer" in cfg.parts:
        policy = ours.deployed.eval().requires_grad_(False)
        policy.zero_grad()
        del ours  # gigabytes of an optimiser
        for learner in others.values():
            learner.deploy()
        rows += answers(cfg, f"{name}, {case.seen}", case, demos, policy, others)
    return rows


# -- training --------------------------------------------------------------------------------------


def steps(
    cfg: ImitationBenchCfg,
    text: str,
    case: Case,
    demos: Demonstrations,
    ours: Imitation,
    others: Mapping[str, Eager],
) -> list[Row]:
    """Return steps/s beside those of the others, and the share of the loader."""
    network, size = case.network, (case.learn.batch,)

    def load() -> None:
        frames = torch.randint(len(demos), size)
        demos.chunk(frames, network.chunk, network.past)
        demos.seen(frames, network.history)

    work: dict[str, Callable[[], object]] = {"ours": ours.step, "load": load}
    work |= {name: learner.step for name, learner in others.items()}
    times = take_turns(work, cfg.repeats, f"{text}: steps")
    share = statistics.median(times["load"]) / statistics.median(times["ours"])
    speed = {name: 1.0 / statistics.median(each) for name, each in times.items()}
    rows = [
        Row(case=text, metric="training steps", value=speed["ours"], unit="1/s", baseline=name,
            baseline_value=speed[name])
        for name in others
    ]  # fmt: skip
    return [*rows, Row(case=text, metric="share of the loader", value=100.0 * share, unit="%")]


# -- answers ---------------------------------------------------------------------------------------


def answers(
    cfg: ImitationBenchCfg,
    text: str,
    case: Case,
    demos: Demonstrations,
    policy: ChunkPolicy,
    others: Mapping[str, Eager],
) -> list[Row]:
    """Return milliseconds to a chunk, in torch and in onnxruntime, beside those of the others.

    Raises:
        AssertionError: the graph does not answer as the network.
    """
    agreed = contract(case)
    one = demos.seen(torch.tensor([len(demos) // 2]), case.network.history)
    obs = {n: (v if case.network.history > 1 else v[:, 0]).numpy() for n, v in one.items()}
    in_torch, in_ort = TorchPolicy(policy, agreed, 1), InOrt(policy, agreed, cfg.threads)
    difference = float(np.abs(in_torch.act(obs) - in_ort.act(obs)).max()) / 2.0
    assert difference <= PARITY, f"{text}: onnxruntime differs by {difference:.2g} of the range"
    work: dict[str, Callable[[], object]] = {
        "torch": lambda: in_torch.act(obs),
        "onnxruntime": lambda: in_ort.act(obs),
    }
    for name, learner in others.items():
        work[name] = lambda learner=learner: learner.act(obs)
    times = take_turns(work, cfg.repeats, f"{text}: answers", each=cfg.answers)
    found = {name: 1e3 * statistics.median(each) for name, each in times.items()}
    return [
        Row(case=text, metric=f"time to a chunk, {how}, p50", value=found[how], unit="ms",
            baseline=name, baseline_value=found[name])
        for how in ("torch", "onnxruntime")
        for name in others
    ]  # fmt: skip


class InOrt:
    """The exported graph of a policy, one row of noise drawn for each call, as on the robot."""

    def __init__(self, policy: torch.nn.Module, agreed: Contract, threads: int) -> None:
        """Export and load it."""
        self._contract, self._calls = agreed, 0
        self._graph = PolicyGraph(to_onnx(policy, agreed), agreed, "bench", threads)

    def act(self, obs: Arrays) -> NDArray[np.float32]:
        """Return the chunk (1, T, A) for arrays (1, ...)."""
        seed = self._contract.noise.seed if self._contract.noise else 0
        noise = draw_all(self._contract, seed=seed, call=self._calls, episode=0)
        self._calls += 1
        return self._graph.run(obs | {n: v[None] for n, v in noise.items()})[ACTION]
