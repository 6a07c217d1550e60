"""Derived inputs: what the robot computes from what it measures, by the formulas of the contract.

A formula is written `name(argument, ...)` in `ArraySpec.source`; the arguments are other inputs.
Formulas take their arguments in float64, as they were measured: in the simulation a derived input
comes from the float64 state and only the result is rounded to float32.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from .contract import Contract
from .kinematics import forward_pose
from .robots import FloatArray
from .spec import ArraySpec

_CALL = re.compile(r"\s*(\w+)\s*\(([^()]*)\)\s*")
_POSE_NAMES = ("x", "y", "z", "qw", "qx", "qy", "qz")


@dataclass(frozen=True, kw_only=True)
class Formula:
    """One way to compute an input from others."""

    arguments: int
    """How many inputs it takes."""
    compute: Callable[..., FloatArray]
    """(chain, float64 arguments (..., arms, k)) -> result (..., arms, k)."""
    problem: Callable[..., str | None]
    """(contract, spec of the result, specs of the arguments) -> what does not fit, or none."""


class Derivation:
    """Computes the derived inputs of a contract.

    Attributes:
        sampled: specs of the measured inputs as they must be sampled for this: those that a
            formula uses in float64, the others as the contract has them.
    """

    def __init__(self, contract: Contract) -> None:
        """Read the formulas.

        Raises:
            ValueError: a formula is not known, or an argument does not fit it.
        """
        self._chain, self._arms = contract.kinematic_chain, contract.num_arms
        self._derived: list[tuple[ArraySpec, Formula, tuple[ArraySpec, ...]]] = []
        for spec in contract.inputs:
            if spec.kind == "derived":
                self._derived.append((spec, *_resolve(contract, spec)))
        used = {argument.name for _, _, arguments in self._derived for argument in arguments}
        self._measured = tuple(s for s in contract.inputs if s.kind in ("sensor", "goal"))
        self.sampled = tuple(
            replace(s, dtype="float64") if s.name in used else s for s in self._measured
        )

    def __call__(self, sampled: Mapping[str, NDArray[Any]]) -> dict[str, NDArray[Any]]:
        """Return the derived inputs, (..., *array_shape) each, in the dtype of the contract.

        Args:
            sampled: at least the arguments of the formulas, (..., *array_shape), float64.

        Raises:
            ValueError: an argument is missing or has the wrong shape or dtype.
        """
        results: dict[str, NDArray[Any]] = {}
        for spec, formula, arguments in self._derived:
            values = [_argument(spec, argument, sampled) for argument in arguments]
            arms = [value.reshape(*value.shape[:-1], self._arms, -1) for value in values]
            found = formula.compute(self._chain, *arms)
            shape = (*found.shape[:-2], self._arms * found.shape[-1])
            results[spec.name] = found.reshape(shape).astype(spec.dtype)
        return results

    def complete(self, sampled: Mapping[str, NDArray[Any]]) -> dict[str, NDArray[Any]]:
        """Return the measured and the derived inputs in the dtypes of the contract.

        Args:
            sampled: the inputs that `sampled` lists, (..., *array_shape) each.

        Raises:
            ValueError: an argument of a formula is missing or has the wrong shape or dtype.
        """
        derived = self(sampled)
        measured = {
            s.name: np.asarray(sampled[s.name]).astype(s.dtype, copy=False) for s in self._measured
        }
        return measured | derived


def _resolve(contract: Contract, spec: ArraySpec) -> tuple[Formula, tuple[ArraySpec, ...]]:
    """Return the formula of a derived input and the specs of its arguments."""
    where = f"input {spec.name!r}: source {spec.source!r}"
    call = _CALL.fullmatch(spec.source or "")
    if call is None or call[1] not in FORMULAS:
        raise ValueError(f"{where} is not a known formula. Known: {sorted(FORMULAS)}")
    formula = FORMULAS[call[1]]
    names = [name.strip() for name in call[2].split(",")]
    if len(names) != formula.arguments:
        raise ValueError(f"{where}: {call[1]} takes {formula.arguments} input(s), got {names}")
    measured = {s.name: s for s in contract.inputs if s.kind == "sensor"}
    for name in names:
        if name not in measured:
            raise ValueError(
                f"{where}: {name!r} is not a measured input of the contract. "
                f"Measured: {sorted(measured)}"
            )
    arguments = tuple(measured[name] for name in names)
    for argument in arguments:
        if spec.history is not None and spec.history != argument.history:
            raise ValueError(f"{where}: history must be that of {argument.name!r}, or none")
    problem = formula.problem(contract, spec, *arguments)
    if problem is not None:
        raise ValueError(f"{where}: {problem}")
    return formula, arguments


def _argument(spec: ArraySpec, argument: ArraySpec, sampled: Mapping[str, Any]) -> FloatArray:
    """Return an argument of a formula, the newest frame only where no history is wanted."""
    if argument.name not in sampled:
        raise ValueError(
            f"input {spec.name!r}: {argument.name!r} is missing. Given: {sorted(sampled)}"
        )
    value = sampled[argument.name]
    replace(argument, dtype="float64").check(value)
    if argument.history is not None and spec.history is None:
        return value[(..., -1, *(slice(None),) * len(argument.shape))]
    return value


def _fk_problem(contract: Contract, spec: ArraySpec, q: ArraySpec) -> str | None:
    joints, arms = contract.all_joint_names, contract.num_arms
    if q.shape != (len(joints),) or q.unit != "rad":
        return f"{q.name!r} must have shape ({len(joints)},) and unit rad, got {q.shape} {q.unit}"
    if q.element_names and q.element_names != joints:
        return f"{q.name!r} must list the joints as the contract does: {list(joints)}"
    names = tuple(arm.prefix + name for arm in contract.arms for name in _POSE_NAMES)
    names = names or _POSE_NAMES
    if spec.shape != (arms * len(_POSE_NAMES),) or _other(spec.element_names, names):
        return f"the result has the elements {' '.join(names)}, got {spec.element_names}"
    base = contract.kinematic_chain.base_frame
    return None if spec.frame == base else f"frame must be {base!r}, got {spec.frame!r}"


def _other(names: Sequence[str], expected: Sequence[str]) -> bool:
    return bool(names) and tuple(names) != tuple(expected)


FORMULAS: dict[str, Formula] = {
    "fk": Formula(arguments=1, compute=forward_pose, problem=_fk_problem),
}
"""Every formula by name; fk: joint angles (n,) -> tool pose in the base frame (7,)."""
