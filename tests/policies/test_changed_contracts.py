# pyright: standard
"""Contracts that are changed, the manifest fitting: in one of their two copies, or in both."""

from __future__ import annotations

import json
import math
import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from sim2arm.cli.table import Row
from sim2arm.core.contract import Contract
from sim2arm.core.plain import dump_yaml
from sim2arm.policies.bundle import CONTRACT_KEY, BundleError
from sim2arm.policies.runtime import OnnxPolicy
from tests.bundles import Files, make_files, make_onnx, make_policy_contract
from tests.mutations import changed, mutated
from tests.tables import Table

MUTATIONS = 5000
"""Of one copy, and of both."""


@dataclass
class Came:
    """What came of changed contracts."""

    refused: int = 0
    loaded: int = 0
    wrong: int = 0

    def load(self, files: Files, path: Path) -> Contract | None:
        """Return the contract of a bundle, None where it is refused in one line."""
        try:
            contract = OnnxPolicy(files.write(path)).contract
        except BundleError as error:
            assert "\n" not in str(error) and len(str(error)) < 2000
            self.refused += 1
            return None
        finally:
            shutil.rmtree(path)
        self.loaded += 1
        return contract


def in_one_copy(folder: Path, count: int, seed: int) -> Came:
    """Change contract.yaml alone; one that says the same in other words is no other contract."""
    files, random, came = make_files(), np.random.default_rng(seed), Came()
    good, contract = files.contents["contract.yaml"], came.load(files, folder / "good")
    for i in range(count):
        files.contents["contract.yaml"] = mutated(good, random)
        loaded = came.load(files, folder / str(i))
        came.wrong += loaded is not None and loaded != contract
    return came


def in_both_copies(folder: Path, count: int, seed: int) -> Came:
    """Change contract.yaml and the copy in policy.onnx alike.

    What is loaded says all that both copies say, in finite numbers, beside what holds where
    they say nothing, and is read again from what it writes. If a robot keeps it, the gate says.
    """
    random, came = np.random.default_rng(seed), Came()
    good = make_policy_contract().to_dict()
    for i in range(count):
        data = changed(good, random)
        text = json.dumps(data, sort_keys=True, separators=(",", ":"), ensure_ascii=False)
        files = make_files(model=make_onnx({CONTRACT_KEY: text}), contract=dump_yaml(data).encode())
        loaded = came.load(files, folder / str(i))
        if loaded is not None:
            plain = loaded.to_dict()
            again = Contract.from_yaml(loaded.to_yaml()) == loaded
            came.wrong += not (again and finite(plain) and says(plain, data))
    return came


def says(plain: Any, data: Any) -> bool:
    """Return whether plain data holds all that other data holds."""
    if isinstance(plain, dict) and isinstance(data, dict):
        return all(key in plain and says(plain[key], data[key]) for key in data)
    if isinstance(plain, list) and isinstance(data, list):
        return len(plain) == len(data) and all(map(says, plain, data))
    return type(plain) in (type(data), float) and plain == data


def finite(data: Any) -> bool:
    """Return whether plain data has finite numbers only."""
    if isinstance(data, dict):
        return all(finite(value) for value in data.values())
    if isinstance(data, list):
        return all(finite(value) for value in data)
    return not isinstance(data, float) or math.isfinite(data)


def test_changed_contracts_with_a_fitting_manifest_are_refused(tmp_path: Path) -> None:
    came = in_one_copy(tmp_path, 60, seed=0)
    assert came.wrong == 0 and came.refused > 40


def test_contracts_changed_in_both_copies_are_refused_or_whole(tmp_path: Path) -> None:
    came = in_both_copies(tmp_path, 30, seed=0)
    assert came.wrong == 0 and came.refused > 10 and came.loaded > 2


@pytest.mark.faults
@pytest.mark.parametrize(
    ("change", "copies"), [(in_one_copy, "one copy"), (in_both_copies, "both")]
)
def test_thousands_of_changed_contracts(
    change: Any, copies: str, tmp_path: Path, table: Table
) -> None:
    came = change(tmp_path, MUTATIONS, 1)
    case = f"contract with a change in {copies} and a fitting manifest"
    table.none_of(case, "loaded as another contract", came.wrong, MUTATIONS, seed=1)
    for word in ("refused", "loaded"):
        table.add(Row(case=case, metric=word, value=getattr(came, word)))
    assert came.wrong == 0 and came.refused > 0.3 * MUTATIONS
    assert came.refused + came.loaded >= MUTATIONS
