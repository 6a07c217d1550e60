"""Loading refuses everything that is not as it was exported; acting is exact and repeatable."""

from __future__ import annotations

import copy
import os
import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from sim2arm.cli.table import Row
from sim2arm.core.contract import Contract
from sim2arm.policies.bundle import CONTRACT_KEY, BundleError, onnx_facts
from sim2arm.policies.golden import write_golden
from sim2arm.policies.noise import draw, draw_all
from sim2arm.policies.runtime import OnnxPolicy
from tests.bundles import (
    WEIGHT,
    make_files,
    make_golden,
    make_obs,
    make_onnx,
    make_policy_contract,
    node,
    proto,
    step,
    tensor,
    value_info,
)
from tests.tables import Table

MUTATIONS = 5000
"""Of a model."""

NAMES = ("policy.onnx", "contract.yaml", "golden.safetensors", "leapp.yaml", "manifest.yaml")


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return make_files().write(tmp_path / "bundle")


def refuse(path: Path, match: str) -> None:
    """Assert that loading fails with one line that names the place."""
    with pytest.raises(BundleError, match=match) as caught:
        OnnxPolicy(path)
    assert "\n" not in str(caught.value)
    assert str(path) in str(caught.value)


# Acting


def test_actions_states_and_noise_are_those_of_numpy(path: Path) -> None:
    policy = OnnxPolicy(path, num_envs=2)
    obs = make_obs(2)
    last = np.zeros((2, 6), np.float32)
    for call in range(4):
        chunk = policy.act(obs)
        assert chunk.shape == (2, 1, 6) and chunk.dtype == np.float32
        for row in range(2):  # row i has the seed of the contract + i
            noise = draw_all(policy.contract, seed=5 + row, call=call, episode=0)["noise"]
            last[row] = step({n: v[row] for n, v in obs.items()}, last[row], noise)
        np.testing.assert_allclose(chunk[:, 0], last, atol=1e-6)


def test_rows_do_not_see_each_other(path: Path) -> None:
    many, obs = OnnxPolicy(path, num_envs=5), make_obs(5)
    alone = [OnnxPolicy(path) for _ in range(5)]
    for i, policy in enumerate(alone):
        policy.reset(seeds=[5 + i])
    for _ in range(3):
        rows = [p.act({n: v[i : i + 1] for n, v in obs.items()}) for i, p in enumerate(alone)]
        assert np.array_equal(many.act(obs), np.concatenate(rows))


def test_a_masked_reset_leaves_the_other_rows_alone(path: Path) -> None:
    policy, reference, obs = OnnxPolicy(path, num_envs=3), OnnxPolicy(path, num_envs=3), make_obs(3)
    start = policy.act(obs)
    reference.act(obs)
    policy.reset([1], seeds=[6])  # the seed that row 1 had from the start
    again, going_on = policy.act(obs), reference.act(obs)
    assert np.array_equal(again[1], start[1])
    assert np.array_equal(again[[0, 2]], going_on[[0, 2]])


def test_a_reset_before_the_first_call_changes_nothing(path: Path) -> None:
    fresh, reset = OnnxPolicy(path), OnnxPolicy(path)
    reset.reset()
    reset.reset()
    assert np.array_equal(fresh.act(make_obs(1)), reset.act(make_obs(1)))


def test_an_episode_has_its_own_noise(path: Path) -> None:
    policy = OnnxPolicy(path)
    first = policy.act(make_obs(1))
    policy.reset()
    assert not np.array_equal(policy.act(make_obs(1)), first)


def test_a_refused_observation_leaves_the_states(path: Path) -> None:
    policy, reference, obs = OnnxPolicy(path), OnnxPolicy(path), make_obs(1)
    for change, message in (
        ({"joint_position": obs["joint_position"] * np.nan}, "not finite"),
        ({"joint_position": obs["joint_position"].astype(np.float64)}, "dtype float32"),
        ({"joint_position": obs["joint_position"][0]}, "expected 1 rows"),
        ({"joint_position": np.zeros((2, 7), np.float32)}, "expected 1 rows"),
        ({"joint_position": np.zeros((1, 6), np.float32)}, "expected shape"),
        ({"camera": obs["socket_pose"]}, "observation: expected"),
    ):
        with pytest.raises(ValueError, match=message):
            policy.act({**obs, **change})
    with pytest.raises(ValueError, match="observation: expected"):
        policy.act({"joint_position": obs["joint_position"]})
    assert np.array_equal(policy.act(obs), reference.act(obs))


def test_answers_that_are_not_finite_are_refused(tmp_path: Path) -> None:
    # log(joint position) is NaN below zero; the golden sequence stays above.
    contract = make_policy_contract(states=(), noise=None, inputs=make_policy_contract().inputs[:2])
    shape = tensor("shape", np.array([1, 1, 6], np.int64))
    starts = [tensor(n, np.array([v], np.int64)) for n, v in (("a", 0), ("b", 6), ("axis", 1))]
    nodes = [
        node("Slice", ("joint_position", "a", "b", "axis"), "x"),
        node("Log", ("x",), "y"),
        node("Reshape", ("y", "shape"), "action"),
    ]
    inputs = [value_info(n, (1, 7)) for n in ("joint_position", "socket_pose")]
    model = make_onnx(
        {CONTRACT_KEY: contract.canonical_json()},
        nodes=nodes,
        initializers=[shape, *starts],
        inputs=inputs,
        outputs=[value_info("action", (1, 1, 6))],
    )
    golden = make_golden(make_policy_contract())
    ones = {n: np.ones_like(v) for n, v in golden.inputs.items() if n != "noise"}
    data = write_golden(replace(golden, inputs=ones, actions=golden.actions * 0, states={}))
    files = make_files(model=model, golden=data, contract=contract.to_yaml().encode())
    policy = OnnxPolicy(files.write(tmp_path / "bundle"))
    with pytest.raises(ValueError, match="answered 'action' with numbers that are not finite"):
        policy.act({n: -np.ones((1, 7), np.float32) for n in ones})


def test_resets_are_checked(path: Path) -> None:
    policy = OnnxPolicy(path, num_envs=2)
    for arguments, message in (
        (([2],), "env_ids: expected rows below 2"),
        (([-1],), "env_ids"),
        (([0], [1, 2]), "seeds: expected 1 numbers"),
        (([0], [-1]), "seeds: expected 1 numbers >= 0"),
    ):
        with pytest.raises(ValueError, match=message):
            policy.reset(*arguments)
    with pytest.raises(ValueError, match="num_envs: expected 1 or more"):
        OnnxPolicy(path, num_envs=0)


def test_the_noise_rule_is_philox_and_box_muller() -> None:
    words = np.random.Philox(key=9, counter=[0, 1, 2, 3]).random_raw(2)
    u = [(int(w) // 2**11 + 0.5) / 2**53 for w in words]
    radius = np.sqrt(-2 * np.log(u[0]))
    expected = [radius * np.cos(2 * np.pi * u[1]), radius * np.sin(2 * np.pi * u[1])]
    got = draw("standard_normal", 2, seed=9, input_index=1, call=2, episode=3)
    np.testing.assert_allclose(got, expected, rtol=1e-6)
    uniform = draw("uniform", 2, seed=9, input_index=1, call=2, episode=3)
    np.testing.assert_allclose(uniform, u, rtol=1e-6)
    # Mean and variance of 20000 numbers: standard errors 0.007 and 0.01, bounds at 4 of them.
    many = draw("standard_normal", 20001, seed=0, input_index=0, call=0, episode=0)
    assert many.shape == (20001,)
    assert abs(many.mean()) < 0.03 and abs(many.var() - 1) < 0.04


def test_the_runtime_needs_neither_torch_nor_onnx(path: Path) -> None:
    program = (
        "import sys; sys.modules.update(dict.fromkeys(['torch', 'onnx', 'mujoco']));"
        "from sim2arm.policies.runtime import OnnxPolicy; OnnxPolicy(sys.argv[1])"
    )
    subprocess.run([sys.executable, "-c", program, str(path)], check=True, env=os.environ | _PATH)


_PATH = {"PYTHONPATH": os.pathsep.join(p for p in sys.path if p)}


# Files


@pytest.mark.parametrize("name", NAMES)
def test_one_changed_byte_in_any_file_is_refused(path: Path, name: str) -> None:
    good = (path / name).read_bytes()
    for at in {0, len(good) // 3, len(good) // 2, len(good) - 2}:
        bad = bytearray(good)
        bad[at] ^= 0x01
        (path / name).write_bytes(bad)
        refuse(path, "SHA-256" if name != "manifest.yaml" else str(path))
    (path / name).write_bytes(good)
    OnnxPolicy(path)


@pytest.mark.parametrize("name", NAMES)
def test_a_missing_file_is_named(path: Path, name: str) -> None:
    (path / name).unlink()
    refuse(path, f"{name}: missing file")


def test_a_missing_folder_is_named(tmp_path: Path) -> None:
    refuse(tmp_path / "nowhere", "expected the folder of a policy bundle")


@pytest.mark.parametrize("name", ["weights.bin", ".hidden", "policy.onnx.data"])
def test_an_extra_file_is_named(path: Path, name: str) -> None:
    (path / name).write_bytes(b"")
    refuse(path, f"{name}: is not listed in manifest.yaml")
    (path / name).unlink()
    (path / name).mkdir()
    refuse(path, f"{name}: is not listed")


def test_a_signature_beside_the_manifest_is_allowed(path: Path) -> None:
    (path / "manifest.yaml.sig").write_bytes(b"signature")
    OnnxPolicy(path)


def test_links_and_large_files_are_refused(path: Path, tmp_path: Path) -> None:
    with pytest.raises(BundleError, match=r"policy.onnx: \d+ bytes, at most 3000 are read"):
        OnnxPolicy(path, largest_model=3000)
    (path / "leapp.yaml").rename(tmp_path / "elsewhere.yaml")
    (path / "leapp.yaml").symlink_to(tmp_path / "elsewhere.yaml")
    refuse(path, "leapp.yaml: expected a plain file")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (b"", "expected the keys version and files"),
        (b"version: 1", "expected version 1 and files"),
        (b"version: 2\nfiles: {}", "got version 2"),
        (b"version: 1\nfiles: {a: {bytes: 1, sha256: b}}", "files: expected"),
        (b"version: 1\nfiles: 3", "files: expected"),
        (b"version: 1\nfiles: {../policy.onnx: {bytes: 1, sha256: b}}", "files: expected"),
        (b"\xff\xfe", "not UTF-8"),
        (b"a: [", "not valid YAML"),
    ],
)
def test_a_malformed_manifest_is_refused(path: Path, text: bytes, message: str) -> None:
    (path / "manifest.yaml").write_bytes(text)
    refuse(path, f"manifest.yaml: .*{message}")


# Contract


def _changed(data: dict[str, Any], keys: tuple[Any, ...], value: Any) -> Contract:
    data = copy.deepcopy(data)
    at: Any = data
    for key in keys[:-1]:
        at = at[key]
    at[keys[-1]] = value
    return Contract.from_dict(data)


@pytest.mark.parametrize(
    ("keys", "value", "message"),
    [
        (("control_hz",), 72.0, "control_hz: 72.0 != 60.0"),
        (("robot",), "fr3", "robot: 'fr3' != 'panda'"),
        (("inputs", 0, "unit"), "deg", r"inputs\[0\].unit: 'deg' != 'rad'"),
        (("inputs", 1, "frame"), "world", r"inputs\[1\].frame"),
        (("inputs", 0, "max_stamp_age_s"), 10.0, r"inputs\[0\].max_stamp_age_s"),
        (("inputs", 0, "element_names", 0), "x", r"inputs\[0\].element_names\[0\]"),
        (("action", "scale", 2), 0.5, r"action.scale\[2\]: 0.5 != 0.01"),
        (("action", "rotation_side"), "right", "action.rotation_side"),
        (("action", "frame"), "tool", "action.frame: 'tool' != 'base'"),
        (("low_level", "kp_range", 0, 1), 9999.0, r"low_level.kp_range\[0\]\[1\]"),
        (("limits", "dq_max", 0), 9.0, r"limits.dq_max\[0\]"),
        (("chain", "T_last_tool", 2, 3), 0.3, r"chain.T_last_tool\[2\]\[3\]"),
        (("golden_tolerance",), 1e6, "golden_tolerance"),
        (("noise", "seed"), 6, "noise.seed"),
        (("provenance", "success"), 1.0, "provenance.success"),
    ],
)
def test_a_changed_contract_with_a_fitting_manifest_is_refused(
    tmp_path: Path, keys: tuple[Any, ...], value: Any, message: str
) -> None:
    contract = _changed(make_policy_contract().to_dict(), keys, value)
    path = make_files(contract=contract.to_yaml().encode()).write(tmp_path / "bundle")
    refuse(path, f"contract.yaml: differs from the contract inside policy.onnx: {message}")


def test_a_contract_that_does_not_parse_is_refused(tmp_path: Path) -> None:
    text = make_policy_contract().to_yaml()
    for i, (data, message) in enumerate(
        (
            (text.replace("robot:", "robots:").encode(), "robots: unknown key"),
            (b"\xff", "not UTF-8"),
            (b"a: [", "not valid YAML"),
            (b"", "Contract: expected a mapping"),
        )
    ):
        refuse(make_files(contract=data).write(tmp_path / str(i)), f"contract.yaml: {message}")


# Model


def test_a_truncated_model_is_refused_at_every_percent(tmp_path: Path) -> None:
    files = make_files()
    good = files.contents["policy.onnx"]
    for percent in range(100):
        files.contents["policy.onnx"] = good[: len(good) * percent // 100]
        refuse(files.write(tmp_path / str(percent)), "policy.onnx: (not a well-formed|has no meta)")


def _model(**parts: Any) -> bytes:
    return make_onnx({CONTRACT_KEY: make_policy_contract().canonical_json()}, **parts)


SHAPE = tensor("chunk_shape", np.array([1, 1, 6], np.int64))
LOCATION = (13, b"\x0a\x08location\x12\x09../secret")
EXTERNAL = tensor("W", WEIGHT, LOCATION, (14, 1))
INPUTS = {"joint_position": (1, 7), "socket_pose": (1, 7), "last": (1, 6), "noise": (1, 6)}


def _inputs(**changed: Any) -> list[bytes]:
    return [value_info(name, shape) for name, shape in {**INPUTS, **changed}.items()]


WRONG_MODELS: dict[str, tuple[Callable[[], bytes], str]] = {
    "external data": (lambda: _model(initializers=[EXTERNAL, SHAPE]), "'W' keeps its data in"),
    "location only": (
        lambda: _model(initializers=[tensor("W", WEIGHT, LOCATION), SHAPE]),
        "'W' keeps its data in another file",
    ),
    "external data in an attribute": (
        lambda: _model(
            nodes=[node("Constant", (), "c", proto((1, "value"), (5, EXTERNAL), (20, 4)))]
        ),
        "'W' keeps its data in another file",
    ),
    "random operator": (
        lambda: _model(nodes=[node("RandomNormalLike", ("noise",), "action")]),
        r"random operators \['RandomNormalLike'\]",
    ),
    "no metadata": (lambda: make_onnx({}), "has no metadata 'sim2arm.contract'"),
    "metadata is not JSON": (lambda: make_onnx({CONTRACT_KEY: "{"}), "metadata"),
    "metadata is nested": (lambda: make_onnx({CONTRACT_KEY: "[" * 100_000}), "metadata"),
    "metadata is no contract": (lambda: make_onnx({CONTRACT_KEY: "{}"}), "missing key"),
    "missing input": (
        lambda: _model(
            nodes=[
                node("Reshape", ("noise", "chunk_shape"), "action"),
                node("Tanh", ("last",), "last_next"),
            ],
            inputs=_inputs()[1:],
        ),
        "graph inputs: the contract has .*joint_position",
    ),
    "extra input": (lambda: _model(inputs=_inputs(extra=(1, 3))), "graph inputs: .*'extra'"),
    "free batch": (
        lambda: _model(inputs=_inputs(joint_position=("batch", 7))),
        r"input 'joint_position': expected shape \[1, 7\], got \['batch', 7\]",
    ),
    "unknown operator": (
        lambda: _model(nodes=[node("Nonsense", ("noise",), "action")]),
        "onnxruntime refuses it",
    ),
    "not a model": (lambda: b"hello", "not a well-formed ONNX file|has no metadata"),
    "endless number": (lambda: b"\xff" * 40, "not a well-formed ONNX file: number longer"),
}


@pytest.mark.parametrize("case", list(WRONG_MODELS))
def test_a_wrong_model_with_a_fitting_manifest_is_refused(tmp_path: Path, case: str) -> None:
    make, message = WRONG_MODELS[case]
    refuse(make_files(model=make()).write(tmp_path / "bundle"), f"policy.onnx: .*{message}")


def test_a_wrong_shape_or_type_is_named(tmp_path: Path) -> None:
    contract = make_policy_contract()
    pose = contract.inputs[1]
    wide = replace(pose, shape=(8,), element_names=(), low=None, high=None)
    integer = replace(pose, dtype="int32")
    for i, (spec, message) in enumerate(
        (
            (wide, r"'socket_pose': expected shape \[1, 8\], got \[1, 7\]"),
            (integer, r"'socket_pose': expected tensor\(int32\), got tensor\(float\)"),
        )
    ):
        other = replace(contract, inputs=(contract.inputs[0], spec, contract.inputs[2]))
        model = make_onnx({CONTRACT_KEY: other.canonical_json()})
        files = make_files(model=model, contract=other.to_yaml().encode())
        refuse(files.write(tmp_path / str(i)), message)


def test_ten_thousand_mutations_never_get_past_the_walk_with_a_traceback() -> None:
    good = make_files().contents["policy.onnx"]
    random = np.random.default_rng(0)
    refused = 0
    for _ in range(10_000):
        bad = bytearray(good)
        for at in random.integers(0, len(good), random.integers(1, 4)):
            bad[at] = random.integers(0, 256)
        try:
            onnx_facts(bytes(bad))
        except ValueError:
            refused += 1
    assert refused > 100


def test_deep_nesting_is_refused() -> None:
    data = b""
    for _ in range(30):  # a graph in an attribute of a node of a graph
        data = proto((1, proto((5, proto((6, data))))))
    with pytest.raises(ValueError, match="nested deeper than 64"):
        onnx_facts(proto((7, data)))


# Golden sequences


def test_golden_sequences_that_the_graph_does_not_give_are_refused(tmp_path: Path) -> None:
    golden = make_golden(make_policy_contract())
    action, state, noise = golden.actions.copy(), golden.states["last_next"].copy(), None
    action[7, 0, 2] += 0.001  # 0.0005 of the range of 2, allowed 0.0001
    state[3, 1] += 0.001
    noise = golden.inputs["noise"].copy()
    noise[4, 0] += 1e-4
    for i, (bad, message) in enumerate(
        (
            (replace(golden, actions=action), "step 7: 'action' differs by 0.0005 of its range"),
            (replace(golden, states={"last_next": state}), "step 3: 'last_next' differs by 0.001"),
            (replace(golden, inputs={**golden.inputs, "noise": noise}), "step 4: 'noise' differs"),
            (replace(golden, actions=action * np.nan), "step 0: 'action' differs by nan"),
        )
    ):
        files = make_files(golden=write_golden(bad))
        refuse(files.write(tmp_path / str(i)), f"golden.safetensors: {message}")


def test_the_reset_inside_is_replayed(tmp_path: Path) -> None:
    golden = make_golden(make_policy_contract(), second_reset=5)
    moved = np.roll(golden.resets, 1)
    moved[[0, 1]] = True, False
    files = make_files(golden=write_golden(replace(golden, resets=moved)))
    refuse(files.write(tmp_path / "moved"), "step 5: 'noise' differs")
    only_first = np.arange(golden.resets.size) == 0
    files = make_files(golden=write_golden(replace(golden, resets=only_first)))
    refuse(files.write(tmp_path / "none"), "a reset at the first and at a later one")


def test_golden_files_that_do_not_fit_the_contract_are_refused(tmp_path: Path) -> None:
    golden = make_golden(make_policy_contract())
    few = {name: v for name, v in golden.inputs.items() if name != "socket_pose"}
    for i, (data, message) in enumerate(
        (
            (write_golden(replace(golden, inputs=few)), "expected .*input/socket_pose"),
            (write_golden(replace(golden, actions=golden.actions[:-1])), "action: expected"),
            (write_golden(replace(golden, resets=golden.resets.astype(int))), "reset: expected"),
            (b"", "not a valid safetensors file"),
            (b"\xff" * 64, "not a valid safetensors file"),
            (write_golden(golden)[:-3], "not a valid safetensors file"),
        )
    ):
        refuse(make_files(golden=data).write(tmp_path / str(i)), f"golden.safetensors: {message}")


@pytest.mark.faults
def test_mutated_models_with_a_fitting_manifest_load_unchanged_in_effect_or_are_refused(
    tmp_path: Path, table: Table
) -> None:
    files, random = make_files(), np.random.default_rng(1)
    good, obs = files.contents["policy.onnx"], make_obs(1)
    reference = OnnxPolicy(files.write(tmp_path / "good")).act(obs)
    refused, through = 0, list[int]()
    for i in range(MUTATIONS):
        bad = bytearray(good)
        bad[random.integers(0, len(good))] ^= 1 << random.integers(0, 8)
        files.contents["policy.onnx"] = bytes(bad)
        path = files.write(tmp_path / str(i))
        try:
            policy = OnnxPolicy(path)
        except BundleError as error:
            assert "\n" not in str(error)
            refused += 1
            continue
        difference = np.abs(policy.act(obs) - reference).max()
        if not difference < 0.01:  # the golden tolerance in range
            through.append(i)
    case = "policy.onnx with a flipped bit and a fitting manifest"
    table.none_of(case, "loaded with other answers", len(through), MUTATIONS, seed=1)
    table.add(Row(case=case, metric="refused", value=refused))
    assert through == []
    assert refused > MUTATIONS / 2
