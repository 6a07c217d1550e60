"""Every agent that learns from replay as a bundle: states, chunks, ties, the same answers."""

# pyright: standard

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from torch import nn

from sim2arm.core.contract import Contract
from sim2arm.core.spec import ArraySpec
from sim2arm.policies.actor import ExportedActor
from sim2arm.policies.actor_critic import SightCfg
from sim2arm.policies.bins import Zoom
from sim2arm.policies.cqn import Cqn, CqnCfg
from sim2arm.policies.drqv2 import DrqV2, DrqV2Cfg
from sim2arm.policies.export import TIE, ExportError, export_bundle
from sim2arm.policies.runtime import OnnxPolicy
from sim2arm.policies.sac import Sac, SacCfg
from sim2arm.policies.td3 import Td3, Td3Cfg
from tests.builders import make_contract, make_spec

STEPS = 12
SIGHT = SightCfg(stack=3, width=4, trunk=8, lengths=())
ZOOM = CqnCfg(sight=SIGHT, zoom=Zoom(levels=2, bins=3), hidden=(16,), atoms=11)
AGENTS: dict[str, tuple[Any, Any]] = {
    "td3": (Td3, Td3Cfg(sight=SIGHT, hidden=(16,))),
    "sac": (Sac, SacCfg(sight=SIGHT, hidden=(16,))),
    "tqc": (Sac, SacCfg(sight=SIGHT, hidden=(16,), quantiles=5, critics=3)),
    "droq": (Sac, SacCfg(sight=SIGHT, hidden=(16,), dropout=0.1, norm=True)),
    "drqv2": (DrqV2, DrqV2Cfg(sight=SIGHT, hidden=(16,))),
    "cqn": (Cqn, ZOOM),
    "cqn-as": (Cqn, replace(ZOOM, row=4)),
}
OBS = {
    "joint_position": torch.zeros(1, 7),
    "eye": torch.zeros(1, 24, 20, 3, dtype=torch.uint8),
    "skin": torch.zeros(1, 2, 5, 4, 3),
}


def built(name: str, *, learnt: bool = True) -> Any:
    """Return what acts, as if it had learnt something."""
    torch.manual_seed(0)
    kind, cfg = AGENTS[name]
    agent = kind(cfg, OBS, {"actor": list(OBS)}, 6)
    if name.startswith("cqn") and learnt:
        for stream in (agent.actor.critic.value, agent.actor.critic.advantage):
            nn.init.normal_(stream.head.weight)
    return agent.actor


def contract_of(actor: Any) -> Contract:
    """Return a contract of joints, a picture and a field."""
    eye = ArraySpec(name="eye", kind="sensor", shape=(24, 20, 3), dtype="uint8", unit="1")
    skin = ArraySpec(name="skin", kind="sensor", shape=(2, 5, 4, 3), unit="N")
    return replace(make_contract(inputs=(make_spec(), eye, skin)), states=actor.states)


def sequence(seed: int) -> dict[str, NDArray[Any]]:
    random = np.random.default_rng(seed)
    return {
        "joint_position": random.uniform(-1, 1, (STEPS, 7)).astype(np.float32),
        "eye": random.integers(0, 256, (STEPS, 24, 20, 3)).astype(np.uint8),
        "skin": random.uniform(0, 1, (STEPS, 2, 5, 4, 3)).astype(np.float32),
    }


@pytest.mark.parametrize("name", AGENTS)
def test_the_graph_answers_alike_and_stacks_its_frames(name: str, tmp_path: Path) -> None:
    actor, path = built(name), tmp_path / "bundle"
    sequences = [sequence(0), sequence(1)]
    report = export_bundle(ExportedActor(actor), contract_of(actor), sequences, path)
    assert report.parity_max_abs < 1e-5
    policy = OnnxPolicy(path)  # replays the golden sequences
    plans = ["plans", "plans_made"] if name == "cqn-as" else []
    names = [state.name_in for state in policy.contract.states]
    assert names == ["started", "before_eye", *plans]
    frames, memory = sequence(2), actor.start(1, torch.device("cpu"))
    compared = 0
    for t in range(STEPS):
        obs = {n: values[t : t + 1] for n, values in frames.items()}
        given = {n: torch.from_numpy(v) for n, v in obs.items()}
        with torch.no_grad():
            close = float(ExportedActor(actor).gap(given, memory)) < TIE
            action, memory = actor(actor.see(given), memory)
        answer = policy.act(obs)
        if close:
            memory = {n: torch.from_numpy(v.copy()) for n, v in policy._states.items()}
            continue
        np.testing.assert_allclose(answer[:, 0], action.clamp(-1, 1).numpy(), atol=1e-5)
        compared += 1
    assert compared > STEPS // 2


def test_values_of_the_critic_in_the_graph_are_those_of_torch() -> None:
    """What an argmax is taken of agrees to 1e-5: only closer choices may differ."""
    ort = pytest.importorskip("onnxruntime")
    actor = built("cqn")
    critic, perception = actor.critic, actor.perception

    class Values(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.actor = actor

        def forward(self, vector: torch.Tensor, code: torch.Tensor) -> torch.Tensor:
            from sim2arm.policies.perception import Seen

            streamed = critic.see(Seen(vector, code))
            middle = torch.zeros((vector.shape[0], 1, 6))
            return critic.values(critic.level(streamed, middle, 0))

    draw = torch.Generator().manual_seed(0)
    vector = torch.randn(4, perception.vector, generator=draw)
    code = torch.randn(4, perception.code, generator=draw)
    program = torch.onnx.export(Values().eval(), (vector, code), dynamo=True, verbose=False)
    assert program is not None
    session = ort.InferenceSession(program.model_proto.SerializeToString())
    names = [each.name for each in session.get_inputs()]
    (found,) = session.run(None, dict(zip(names, (vector.numpy(), code.numpy()), strict=True)))
    with torch.no_grad():
        np.testing.assert_allclose(found, Values()(vector, code).numpy(), atol=1e-5)


def test_a_policy_whose_choices_are_all_ties_is_not_exported(tmp_path: Path) -> None:
    actor = built("cqn", learnt=False)
    with pytest.raises(ExportError, match="rounding decides what is answered in 512 of 512"):
        export_bundle(
            ExportedActor(actor), contract_of(actor), [sequence(0), sequence(1)], tmp_path / "b"
        )
