"""Policies of every shape go through export -> load -> golden -> parity."""
# pyright: standard

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
import torch
import yaml
from numpy.typing import NDArray
from torch import Tensor, nn

from sim2arm.cli.table import Row
from sim2arm.core.contract import Contract, NoiseSpec, StateSpec
from sim2arm.core.spec import ArraySpec, History
from sim2arm.policies.export import ExportError, export_bundle
from sim2arm.policies.noise import draw_all
from sim2arm.policies.runtime import OnnxPolicy
from tests.builders import make_contract, make_spec
from tests.tables import Table

Tensors = dict[str, Tensor]
STEPS = 10_000


class Mlp(nn.Module):
    """Joint positions and socket pose to one action."""

    def __init__(self) -> None:
        super().__init__()
        self.net = nn.Sequential(nn.Linear(14, 32), nn.ELU(), nn.Linear(32, 6), nn.Tanh())

    def forward(self, obs: Tensors, state: Tensors, noise: Tensors) -> tuple[Tensor, Tensors]:
        x = torch.cat([obs["joint_position"], obs["socket_pose"]], dim=-1)
        return self.net(x)[:, None], {}


class Recurrent(nn.Module):
    """An LSTM that also sees its last action."""

    def __init__(self) -> None:
        super().__init__()
        self.lstm = nn.LSTM(20, 16)
        self.head = nn.Linear(16, 6)

    def forward(self, obs: Tensors, state: Tensors, noise: Tensors) -> tuple[Tensor, Tensors]:
        x = torch.cat([obs["joint_position"], obs["socket_pose"], state["last_action"]], dim=-1)
        y, (h, c) = self.lstm(x[None], (state["h"][None], state["c"][None]))
        action = torch.tanh(self.head(y[0]))
        return action[:, None], {"h": h[0], "c": c[0], "last_action": action}


class Stacked(nn.Module):
    """A history of four joint positions."""

    def __init__(self) -> None:
        super().__init__()
        self.net = nn.Linear(4 * 7, 6)

    def forward(self, obs: Tensors, state: Tensors, noise: Tensors) -> tuple[Tensor, Tensors]:
        return torch.tanh(self.net(obs["joint_position"].flatten(1)))[:, None], {}


class Sampler(nn.Module):
    """A chunk of three actions that starts from declared noise."""

    def __init__(self) -> None:
        super().__init__()
        self.net = nn.Linear(14, 6)

    def forward(self, obs: Tensors, state: Tensors, noise: Tensors) -> tuple[Tensor, Tensors]:
        x = self.net(torch.cat([obs["joint_position"], obs["socket_pose"]], dim=-1))
        return torch.tanh(x[:, None] + noise["chunk_noise"]), {}


def _recurrent_contract() -> Contract:
    def state(name: str, size: int) -> StateSpec:
        return StateSpec(name_in=name, name_out=f"{name}_next", shape=(size,))

    return make_contract(states=(state("h", 16), state("c", 16), state("last_action", 6)))


def _sampler_contract() -> Contract:
    base = make_contract()
    noise = ArraySpec(name="chunk_noise", kind="noise", shape=(3, 6), unit="1")
    return replace(
        base,
        inputs=(*base.inputs, noise),
        noise=NoiseSpec(seed=7),
        action=replace(base.action, horizon=3, relative_to="chunk_start", kind="ee_pose"),
        executor=replace(base.executor, kind="receding", execute=2),
    )


CASES: dict[str, tuple[Callable[[], nn.Module], Callable[[], Contract]]] = {
    "mlp": (Mlp, make_contract),
    "lstm": (Recurrent, _recurrent_contract),
    "history": (
        Stacked,
        lambda: make_contract(inputs=(make_spec(history=History(of="frames", n=4)),)),
    ),
    "noise": (Sampler, _sampler_contract),
}


def make_sequences(contract: Contract, length: int = 40) -> list[dict[str, NDArray[Any]]]:
    random = np.random.default_rng(0)
    return [
        {
            spec.name: random.uniform(-1, 1, (length, *spec.array_shape)).astype(spec.dtype)
            for spec in contract.observations
        }
        for _ in range(2)
    ]


@dataclass
class Exported:
    name: str
    module: nn.Module
    contract: Contract
    path: Path
    parity: float


@pytest.fixture(scope="module", params=list(CASES))
def exported(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Exported:
    make_module, make = CASES[request.param]
    torch.manual_seed(3)
    module, contract = make_module(), make()
    path = tmp_path_factory.mktemp(request.param) / "bundle"
    report = export_bundle(module, contract, make_sequences(contract), path)
    assert report.parity_steps == 512
    assert report.golden_steps == 80  # 2 sequences, 40 steps each, in two halves
    return Exported(request.param, module, contract, path, report.parity_max_abs)


def _torch_rollout(
    exported: Exported, obs: Mapping[str, NDArray[Any]], noise: list[Tensors]
) -> NDArray[np.float32]:
    state = {s.name_in: torch.full((1, *s.shape), s.initial[0]) for s in exported.contract.states}
    chunks: list[NDArray[np.float32]] = []
    for step, values in enumerate(noise):
        here = {name: torch.from_numpy(v[step : step + 1]) for name, v in obs.items()}
        with torch.no_grad():
            chunk, state = exported.module(here, state, values)
        chunks.append(chunk.numpy())
    return np.concatenate(chunks)


def _noise(exported: Exported, steps: int) -> list[Tensors]:
    return [
        {
            name: torch.from_numpy(value[None])
            for name, value in draw_all(exported.contract, seed=7, call=i, episode=0).items()
        }
        for i in range(steps)
    ]


def test_parity_is_within_the_bound(exported: Exported) -> None:
    assert 0.0 <= exported.parity <= 1e-5


def apart(exported: Exported, steps: int, seed: int) -> NDArray[np.float32]:
    """Return how far the runtime's answers to random observations are from torch's, (steps,)."""
    random = np.random.default_rng(seed)
    obs = {
        spec.name: random.uniform(-1, 1, (steps, *spec.array_shape)).astype(np.float32)
        for spec in exported.contract.observations
    }
    policy = OnnxPolicy(exported.path)
    got = np.concatenate(
        [policy.act({name: v[i : i + 1] for name, v in obs.items()}) for i in range(steps)]
    )
    expected = _torch_rollout(exported, obs, _noise(exported, steps))
    return np.abs(got - expected).reshape(steps, -1).max(axis=1)


def test_runtime_answers_like_torch_over_256_steps(exported: Exported) -> None:
    assert apart(exported, 256, seed=5).max() <= 2e-5  # 1e-5 of the range of 2


@pytest.mark.faults
def test_runtime_answers_like_torch_over_ten_thousand_steps(
    exported: Exported, table: Table
) -> None:
    off, case = apart(exported, STEPS, seed=6), f"export, {exported.name}"
    wrong = int((~(off <= 2e-5)).sum())
    table.none_of(case, "answers off by more than 2e-5", wrong, len(off), seed=6)
    table.add(Row(case=case, metric="furthest apart", value=float(off.max())))
    assert wrong == 0


def test_four_rows_are_bit_for_bit_four_policies_of_one_row(exported: Exported) -> None:
    random = np.random.default_rng(6)
    together = OnnxPolicy(exported.path, num_envs=4)
    alone = [OnnxPolicy(exported.path) for _ in range(4)]
    for i, policy in enumerate(alone):
        policy.reset(seeds=[7 + i])
    for step in range(6):
        obs = {
            spec.name: random.uniform(-1, 1, (4, *spec.array_shape)).astype(np.float32)
            for spec in exported.contract.observations
        }
        if step == 3:
            together.reset([1, 2])
            alone[1].reset()
            alone[2].reset()
        rows = [p.act({n: v[i : i + 1] for n, v in obs.items()}) for i, p in enumerate(alone)]
        assert np.array_equal(together.act(obs), np.concatenate(rows))


def test_a_reset_starts_the_same_episode_again(exported: Exported) -> None:
    obs = {name: v[:1] for name, v in make_sequences(exported.contract)[0].items()}
    policy = OnnxPolicy(exported.path)
    policy.reset(seeds=[11])
    first = [policy.act(obs) for _ in range(3)]
    policy.reset(seeds=[11])
    again = [policy.act(obs) for _ in range(3)]
    assert np.array_equal(first, again)
    if exported.contract.states or exported.contract.noise:
        assert not np.array_equal(first[0], first[1])
    policy.reset()  # the next episode of the same seed: other noise
    assert np.array_equal(policy.act(obs), first[0]) == (exported.contract.noise is None)


def test_the_export_is_reproducible_and_says_nothing_about_the_machine(tmp_path: Path) -> None:
    torch.manual_seed(0)
    contract, module = make_contract(), Mlp()
    for name in ("one", "two"):
        export_bundle(module, contract, make_sequences(contract), tmp_path / name)
    for file in (tmp_path / "one").iterdir():
        assert file.read_bytes() == (tmp_path / "two" / file.name).read_bytes()
    model = (tmp_path / "one" / "policy.onnx").read_bytes()
    assert b".py" not in model and b"File " not in model


def test_the_model_is_valid_and_carries_the_contract(exported: Exported) -> None:
    model = onnx.load(exported.path / "policy.onnx", load_external_data=False)
    onnx.checker.check_model(model)
    metadata = {entry.key: entry.value for entry in model.metadata_props}
    assert Contract.from_dict(json.loads(metadata["sim2arm.contract"])) == exported.contract
    assert metadata["joint_names"].split(",") == list(exported.contract.joint_names)


def test_leapp_names_every_tensor(exported: Exported) -> None:
    leapp = yaml.safe_load((exported.path / "leapp.yaml").read_text())
    policy = leapp["models"]["policy"]
    assert [t["name"] for t in policy["inputs"]] == [
        *(spec.name for spec in exported.contract.inputs),
        *(state.name_in for state in exported.contract.states),
    ]
    assert policy["inputs"][0]["kind"] == "state/joint/position"
    assert policy["parameters"]["backend"] == "onnx"
    assert leapp["system information"]["leapp config version"] == "1.3"


class _Drawing(nn.Module):
    def forward(self, obs: Tensors, state: Tensors, noise: Tensors) -> tuple[Tensor, Tensors]:
        return torch.randn_like(obs["joint_position"][:, None, :6]), {}


class _WrongShape(nn.Module):
    def forward(self, obs: Tensors, state: Tensors, noise: Tensors) -> tuple[Tensor, Tensors]:
        return obs["joint_position"][:, :6], {}


class _WrongKey(nn.Module):
    def forward(self, obs: Tensors, state: Tensors, noise: Tensors) -> tuple[Tensor, Tensors]:
        return obs["camera"], {}


@pytest.mark.parametrize(
    ("module", "message"),
    [
        (_Drawing(), "the graph draws random numbers .*Random"),
        (_WrongShape(), r"returns 'action' as float32 \(1, 6\)"),
        (_WrongKey(), "disagree on the key 'camera'"),
    ],
)
def test_a_module_that_does_not_fit_is_refused(
    module: nn.Module, message: str, tmp_path: Path
) -> None:
    contract = make_contract()
    with pytest.raises(ExportError, match=message):
        export_bundle(module, contract, make_sequences(contract), tmp_path / "bundle")
    assert list(tmp_path.iterdir()) == []


class _Changing(nn.Module):
    """Answers differently once it has been exported: what parity is there to catch."""

    def forward(self, obs: Tensors, state: Tensors, noise: Tensors) -> tuple[Tensor, Tensors]:
        bonus = 0.0 if torch.compiler.is_compiling() else 1e-4
        return obs["joint_position"][:, None, :6] + bonus, {}


def test_a_graph_that_differs_from_its_module_is_refused(tmp_path: Path) -> None:
    contract = make_contract()
    with pytest.raises(ExportError, match=r"parity: step 0 of sequence 0: .* by 5e-05"):
        export_bundle(_Changing(), contract, make_sequences(contract), tmp_path / "bundle")
    assert list(tmp_path.iterdir()) == []


def test_sequences_are_checked_before_anything_is_exported(tmp_path: Path) -> None:
    contract = make_contract()
    good = make_sequences(contract)[0]
    for bad, message in (
        ([], "at least one"),
        ([{"joint_position": good["joint_position"]}], r"sequences\[0\]: expected"),
        ([good | {"socket_pose": good["socket_pose"][:-1]}], "equally long"),
        ([good | {"socket_pose": good["socket_pose"] * np.nan}], "not finite"),
    ):
        with pytest.raises(ExportError, match=message):
            export_bundle(Mlp(), contract, bad, tmp_path / "bundle")


def test_an_existing_folder_is_only_replaced_when_asked(tmp_path: Path) -> None:
    contract = make_contract()
    path = tmp_path / "bundle"
    path.mkdir()
    with pytest.raises(FileExistsError, match="overwrite"):
        export_bundle(Mlp(), contract, make_sequences(contract), path)
    export_bundle(Mlp(), contract, make_sequences(contract), path, overwrite=True)
    assert [item.name for item in tmp_path.iterdir()] == ["bundle"]
    assert OnnxPolicy(path).contract == contract
