"""`sim2arm bench learner`: what is compared with are the same algorithms; rows; bad input."""

# pyright: standard

import importlib
import json
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch

from sim2arm.cli import main as cli
from sim2arm.cli.checkout import find_checkout
from sim2arm.policies import cqn

ROOT = find_checkout()
pytestmark = pytest.mark.skipif(ROOT is None, reason="benchmarks are part of a checkout")


@pytest.fixture
def cases(monkeypatch: pytest.MonkeyPatch) -> Any:
    assert ROOT is not None
    monkeypatch.setattr(sys, "path", [str(ROOT / "benchmarks"), *sys.path])
    return importlib.import_module("_learner_cases")


def take_stacked(theirs: Any, ours: Any) -> None:
    """Let plain critics have the weights of stacked ones."""
    for c, critic in enumerate(theirs):
        linears = [layer for layer in critic if isinstance(layer, torch.nn.Linear)]
        for linear, layer in zip(linears, ours.layers, strict=True):
            linear.weight.data.copy_(layer.weight[c].T)
            linear.bias.data.copy_(layer.bias[c, 0])


def take(theirs: Any, ours: Any) -> None:
    """Let a module have the weights of ours, in their order."""
    for mine, value in zip(theirs.parameters(), ours.parameters(), strict=True):
        mine.data.copy_(value)


def quiet(case: Any) -> Any:
    """Return a case without chance, or scales, in its updates."""
    changes = {"target_noise": 0.0} if hasattr(case.algo, "target_noise") else {}
    learn = replace(case.algo.learn, normalise=False)
    return replace(case, algo=replace(case.algo, learn=learn, **changes))


@pytest.mark.parametrize("name", ["ddpg", "td3"])
def test_an_update_of_eager_td3_is_ours(cases: Any, name: str) -> None:
    case = quiet(cases.small(cases.PUBLISHED[name]))
    learner, plain = cases.ours(case, "cpu"), cases.eager(case, "cpu")
    model = learner.model
    take(plain.actor, model.actor.head.mlp)
    take_stacked(plain.critics, model.critics.critics)
    plain.target_actor.load_state_dict(plain.actor.state_dict())
    plain.target_critics.load_state_dict(plain.critics.state_dict())
    norm = model.actor.perception.norm
    for batch in learner.batches(4):
        step = cases.step_of(case, batch)
        scaled = step._replace(obs=norm(step.obs), next_obs=norm(step.next_obs))
        learner.agent.update(batch, learner.generator)
        plain.update(scaled)
    reference = cases.eager(case, "cpu")
    take_stacked(reference.critics, model.critics.critics)
    take(reference.actor, model.actor.head.mlp)
    for part in ("actor", "critics"):
        parts = (getattr(each, part).parameters() for each in (plain, reference))
        pairs = zip(*parts, strict=True)
        for a, b in pairs:
            torch.testing.assert_close(a, b, rtol=1e-4, atol=1e-6)


@pytest.mark.parametrize("name", ["cqn", "cqn-as"])
def test_eager_cqn_regresses_the_same_targets(
    cases: Any, name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    torch.manual_seed(0)  # what fills the replay
    case = quiet(cases.small(cases.PUBLISHED[name]))
    learner, plain = cases.ours(case, "cpu"), cases.eager(case, "cpu")
    model, draw = learner.model, torch.Generator().manual_seed(0)
    for stream in (model.critic.value, model.critic.advantage):
        stream.head.weight.data.normal_(0.0, 1.0, generator=draw)
    model.target.load_state_dict(model.critic.state_dict())
    for critic in (plain.critic, plain.target):
        take(critic.value, model.critic.value)
        take(critic.advantage, model.critic.advantage)
    norm = model.actor.perception.norm
    batch = next(learner.batches(1))
    step = cases.step_of(case, batch)
    scaled = step._replace(obs=norm(step.obs), next_obs=norm(step.next_obs))
    # Both draw between equal bins, each from its own stream: here both take the first.
    monkeypatch.setattr(cqn, "any_best", lambda values, generator: values.argmax(dim=-1))
    monkeypatch.setattr(plain, "choose", lambda worth: worth.argmax(dim=-1))
    ours = learner.agent.target(batch, learner.generator)
    for level, theirs in enumerate(plain.targets(scaled)):
        torch.testing.assert_close(ours[:, level], theirs, rtol=1e-3, atol=1e-5)
    torch.testing.assert_close(ours.sum(dim=-1), torch.ones(ours.shape[:-1]))
    learner.agent.update(batch, learner.generator)
    plain.update(scaled)
    # Adam's first step is of one size; what differs are slopes near zero.
    pairs = zip(plain.critic.value.parameters(), model.critic.value.parameters(), strict=True)
    for a, b in pairs:
        assert float((a - b).detach().abs().mean()) < 0.02 * case.algo.lr


def test_rows_of_all_algorithms(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert ROOT is not None
    monkeypatch.chdir(ROOT)
    out = tmp_path / "learner.json"
    words = ["--small", "--repeats", "1", "--cases", "sac", "drqv2", "--json", str(out)]
    assert cli.main(["bench", "learner", *words]) == 0
    rows = json.loads(out.read_text())["rows"]
    assert [row["metric"] for row in rows[:4]] == [
        "parameters",
        "updates",
        "share of the replay",
        "peak memory",
    ]
    assert len(rows) == 8
    updates = [row for row in rows if row["metric"] == "updates"]
    assert all(row["baseline"] == "eager" and row["baseline_value"] > 0.0 for row in updates)
    capsys.readouterr()


@pytest.mark.parametrize(
    ("words", "line"),
    [
        (["--cases", "sax"], "unknown case 'sax'; perhaps you meant sac"),
        (["--repeats", "0"], "--repeats and --threads must be 1 or more"),
    ],
)
def test_what_is_wrong_is_one_line(
    words: list[str], line: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert ROOT is not None
    monkeypatch.chdir(ROOT)
    assert cli.main(["bench", "learner", *words]) == 2
    assert line in capsys.readouterr().err
