"""Actors with pictures, fields and memory as bundles: states of the contract, parity, resets."""

# pyright: standard

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from torch import nn

from sim2arm.core.contract import Contract
from sim2arm.core.spec import ArraySpec
from sim2arm.policies.actor import Actor, ActorCfg, ExportedActor
from sim2arm.policies.export import export_bundle
from sim2arm.policies.ppo import PpoCfg
from sim2arm.policies.runtime import OnnxPolicy
from tests.builders import make_contract, make_spec

STEPS = 12


def make_contract_of(actor: Actor) -> Contract:
    """Return a contract of joints, a picture and a field, with the actor's states."""
    eye = ArraySpec(name="eye", kind="sensor", shape=(24, 20, 3), dtype="uint8", unit="1")
    skin = ArraySpec(name="skin", kind="sensor", shape=(2, 5, 4, 3), unit="N")
    return replace(make_contract(inputs=(make_spec(), eye, skin)), states=actor.states)


def make_actor(cfg: ActorCfg) -> Actor:
    """Return an actor that is not near zero."""
    torch.manual_seed(0)
    obs = {
        "joint_position": torch.zeros(1, 7),
        "eye": torch.zeros(1, 24, 20, 3, dtype=torch.uint8),
        "skin": torch.zeros(1, 2, 5, 4, 3),
    }
    actor = Actor(PpoCfg(actor=cfg, hidden=(8,), lengths=()), obs, list(obs), 6)
    nn.init.normal_(actor.mlp[-1].weight, std=0.1)  # type: ignore[arg-type]
    return actor


def make_sequence(seed: int) -> dict[str, NDArray[Any]]:
    """Return recorded observations."""
    random = np.random.default_rng(seed)
    return {
        "joint_position": random.uniform(-1, 1, (STEPS, 7)).astype(np.float32),
        "eye": random.integers(0, 256, (STEPS, 24, 20, 3)).astype(np.uint8),
        "skin": random.uniform(0, 1, (STEPS, 2, 5, 4, 3)).astype(np.float32),
    }


@pytest.fixture(scope="module", params=["diff", "concat"])
def exported(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Any:
    """Return an actor and its bundle."""
    cfg = ActorCfg(lstm=6, lstm_layers=2 if request.param == "diff" else 1, pictures=request.param)
    actor, path = make_actor(cfg), tmp_path_factory.mktemp("actor") / "bundle"
    sequences = [make_sequence(0), make_sequence(1)]
    report = export_bundle(ExportedActor(actor), make_contract_of(actor), sequences, path)
    return actor, path, report


def test_states_stand_in_the_contract_and_the_graph_answers_alike(exported: Any) -> None:
    actor, path, report = exported
    assert report.parity_max_abs < 1e-5
    policy = OnnxPolicy(path)  # replays the golden sequences
    names = [state.name_in for state in policy.contract.states]
    assert names == ["lstm_h", "lstm_c", "started", "first_eye"]
    assert [s.dtype for s in policy.contract.states] == ["float32", "float32", "float32", "uint8"]
    sequence = make_sequence(2)
    memory = actor.start(1, torch.device("cpu"))
    for t in range(STEPS):
        obs = {name: values[t : t + 1] for name, values in sequence.items()}
        with torch.no_grad():
            seen = actor.see({name: torch.from_numpy(value) for name, value in obs.items()})
            mean, memory = actor(seen, memory)
        np.testing.assert_allclose(policy.act(obs)[:, 0], mean.clamp(-1, 1).numpy(), atol=1e-5)


def test_a_reset_of_one_row_forgets_its_first_picture_alone(exported: Any) -> None:
    _, path, _ = exported
    policy, alone = OnnxPolicy(path, num_envs=2), OnnxPolicy(path)
    sequences = [make_sequence(3), make_sequence(4)]
    own = last = np.zeros(0)
    for t in range(STEPS):
        if t == 5:
            policy.reset([1])
            alone.reset()
        both = {n: np.stack([s[n][t] for s in sequences]) for n in sequences[0]}
        answer = policy.act(both)
        own = alone.act({n: v[1:] for n, v in both.items()})
        assert np.array_equal(answer[1], own[0])
    fresh = OnnxPolicy(path)
    for t in range(5, STEPS):
        last = fresh.act({n: v[t : t + 1] for n, v in sequences[1].items()})
    assert np.array_equal(last, own)  # nothing of the first five steps is left
    kept = OnnxPolicy(path)
    for t in range(STEPS):
        last = kept.act({n: v[t : t + 1] for n, v in sequences[1].items()})
    assert not np.array_equal(last, own)
