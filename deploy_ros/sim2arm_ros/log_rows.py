"""Rows of a dataset from a raw log, and what is said where there can be none."""

# pyright: standard

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from sim2arm.core.contract import Contract
from sim2arm.core.kinematics import forward_pose
from sim2arm.core.plain import to_plain
from sim2arm.policies.dataset.columns import column_of
from sim2arm.policies.dataset.layout import DatasetSpec, Feature

from .graph import measured
from .log_about import About
from .log_era import Era
from .log_inputs import JOINTS, Gap, LogInputs, Seen
from .log_runs import Run
from .log_targets import JointTargetsOfLog, target_contract
from .log_ticks import Session, Tick
from .requests import WIDTH

VELOCITY = "joint_velocity"
_POSE = ("x", "y", "z", "qw", "qx", "qy", "qz")
_ROUNDING = 1e-9
"""Difference of joint positions to which the gate does not change a request [rad]: a command that
it joins late is computed anew."""
_FLAG = Feature(dtype="bool", shape=(1,))
_STAMP = Feature(dtype="int64", shape=(1,), unit="ns")
_AGE = Feature(dtype="float32", shape=(1,), unit="s")


def log_spec(contract: Contract, about: About) -> DatasetSpec:
    """Return the columns of a log: those of `record`, as far as a log has them.

    Raises:
        ValueError: rows are not a whole number per second, or an input has no binding.
    """
    fps = round(contract.control_hz)
    if abs(contract.control_hz - fps) > 1e-6:
        raise ValueError(f"control_hz: expected a whole number, got {contract.control_hz}")
    about.graph.bindings(contract)  # or says what has none
    joints, specs = contract.joint_names, {spec.name: spec for spec in measured(contract)}
    n, asked, width = len(joints), target_contract(contract).action, WIDTH in specs
    units = " ".join([*["rad"] * n, *["1"] * (asked.dim - n)])
    requested = contract.action
    features = {
        "observation.state": Feature(
            dtype="float32", shape=(n + width,), names=(*joints, *((WIDTH,) if width else ())),
            unit=" ".join([*["rad"] * n, *["m"] * width]),
        ),
        **({"observation.velocity": _joints("float32", contract, "rad/s")}
           if VELOCITY in specs else {}),
        **dict(_others(contract, about).values()),
        "action": Feature(
            dtype="float32", shape=(asked.dim,), names=asked.element_names or None, unit=units
        ),
        request_column(contract): Feature(
            dtype="float32", shape=(requested.dim,), names=requested.element_names or None,
            unit="1" if requested.kind == "ee_delta" else units, frame=requested.frame,
        ),
        "request.position": _joints("float64", contract, "rad"),
        "request.velocity": _joints("float64", contract, "rad/s"),
        "measured.ee_pose": Feature(dtype="float64", shape=(7,), names=_POSE, frame="base"),
        "command.position": _joints("float64", contract, "rad"),
        "safety.changed": _FLAG,
        "safety.held": _FLAG,
        "source": Feature(dtype="string", shape=(1,)),
        "sync.stamp_ns": _STAMP,
        "sync.request_ns": _STAMP,
        "sync.tick": Feature(dtype="int64", shape=(1,), unit="1"),
        **{f"sync.{name}.stamp_ns": _STAMP for name in specs},
        **{f"sync.{name}.age": _AGE for name in specs},
        "next.success": _FLAG,
        "next.done": _FLAG,
    }  # fmt: skip
    documents = {
        "contract": to_plain(target_contract(contract)),
        "request": to_plain(contract.action),
        "robot": to_plain(contract.kinematic_chain.to_dict()),
        "graph": to_plain(about.graph),
    }
    return DatasetSpec(fps=fps, features=features, robot_type=contract.robot, documents=documents)


def request_column(contract: Contract) -> str:
    """Return the column of what was asked for, in its own units."""
    return f"request.{contract.action.kind}"


def _joints(dtype: Any, contract: Contract, unit: str) -> Feature:
    names = contract.joint_names
    return Feature(dtype=dtype, shape=(len(names),), names=names, unit=unit)


def _others(contract: Contract, about: About) -> dict[str, tuple[str, Feature]]:
    """Return the columns of the inputs that are no joints, by input."""
    return {
        spec.name: column_of(replace(spec, history=None))
        for spec in measured(contract)
        if spec.name not in (JOINTS, VELOCITY, WIDTH)
    }


class LogRows:
    """Makes rows of the ticks of one era, as time goes on."""

    def __init__(self, era: Era, contract: Contract, about: About) -> None:
        """Prepare.

        Raises:
            ValueError: an input has no binding, pictures cannot be decoded here, or nothing is
                known of the robot.
        """
        self.inputs = LogInputs(era, contract, about)
        self._contract = contract
        self._targets = JointTargetsOfLog(era, contract, about)
        self._others = _others(contract, about)

    def of(self, run: Run) -> Iterator[tuple[Tick, dict[str, Any] | str]]:
        """Yield each tick with its row, or with what is missing of it.

        Where ticks are missing before a tick, it comes twice: first with what is said of that.
        """
        before: Tick | None = None
        standing: Tick | None = None  # the last one that the gate commanded
        targets = self._targets.of(run.session)
        for tick in run.ticks:
            if before is not None and tick.number != before.number + 1:
                count = tick.number - before.number - 1
                yield tick, f"{count} ticks were skipped, or are not in the log"
            before, standing = tick, tick if tick.command is not None else standing
            last = run.ended and tick is run.ticks[-1]
            try:
                row = self._row(tick, standing, run.session)
                asked = targets.get(tick.number, "")
                if isinstance(asked, str):
                    raise Gap(asked)
                row["action"] = asked
                row["next.success"] = np.bool_(last and run.success)
                row["next.done"] = np.bool_(last)
                yield tick, row
            except Gap as gap:
                yield tick, str(gap)

    def _row(self, tick: Tick, standing: Tick | None, session: Session) -> dict[str, Any]:
        seen = self.inputs.at(tick.stamp_ns)
        if tick.action is None:
            raise Gap("its action is not in the log")
        if tick.action.shape != (self._contract.action.dim,):
            expected = self._contract.action.dim
            raise Gap(f"its action has {len(tick.action)} elements, expected {expected}")
        if tick.command is None and (problem := session.silence.problem(tick)):
            raise Gap(problem)
        assert standing is not None and standing.command is not None  # runs begin with a command
        # Without a command of its own the arm runs out what was commanded last.
        commanded = standing.command.at(1 + tick.number - standing.number)
        difference = np.abs(commanded - tick.request.q).max()
        changed = tick.command is not None and difference > _ROUNDING
        return self._seen(seen, tick.stamp_ns) | {
            request_column(self._contract): tick.action,
            "request.position": tick.request.q,
            "request.velocity": tick.request.dq,
            "command.position": commanded,
            "safety.changed": np.bool_(changed),
            "safety.held": np.bool_(tick.command is None),
            "source": tick.source,
            "sync.request_ns": np.int64(tick.log_ns),
            "sync.tick": np.int64(tick.number),
        }

    def _seen(self, seen: Seen, stamp_ns: int) -> dict[str, Any]:
        arrays: Mapping[str, NDArray[Any]] = seen.arrays
        q = arrays[JOINTS]
        state = np.concatenate([q, *([arrays[WIDTH].reshape(1)] if WIDTH in arrays else [])])
        row: dict[str, Any] = {
            "observation.state": state.astype(np.float32),
            "measured.ee_pose": forward_pose(self._targets.chain, q[None])[0],
            "sync.stamp_ns": np.int64(stamp_ns),
        }
        if VELOCITY in arrays:
            row["observation.velocity"] = arrays[VELOCITY].astype(np.float32)
        for name, (key, feature) in self._others.items():
            row[key] = arrays[name].reshape(feature.shape)
        for name, stamp in seen.stamps.items():
            row[f"sync.{name}.stamp_ns"] = np.int64(stamp)
            row[f"sync.{name}.age"] = np.float32((stamp_ns - stamp) / 1e9)
        return row
