"""What the imports of policies share: errors as one line, the proof, what is printed."""

# pyright: standard

from __future__ import annotations

import hashlib
from collections.abc import Callable, Generator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from sim2arm.core.contract import Contract
from sim2arm.policies.bundle import BundleError
from sim2arm.policies.bundle_writer import (
    ExportError,
    ExportReport,
    Origin,
    check_sequences,
    seal,
    write_bundle,
)
from sim2arm.policies.foreign.files import ForeignError
from sim2arm.policies.foreign.probes import LONGEST, probes
from sim2arm.policies.graph import Arrays

from .errors import UserError
from .policy_asks import Asks


@contextmanager
def foreign_input(path: Path) -> Generator[None]:
    """Turn what is wrong with the files of others into a `UserError`."""
    try:
        yield
    except UserError:
        raise
    except (ForeignError, ExportError, BundleError) as error:
        text = str(error)
        raise UserError(text if text.startswith(str(path)) else f"{path}: {text}") from error
    except ValueError as error:
        raise UserError(f"{path}: {error}") from error


def origin_of(kind: str, path: Path, data: bytes) -> str:
    """Return what was imported, for the provenance."""
    return f"imported {kind} {path.name} sha256 {hashlib.sha256(data).hexdigest()}"


def write_import(
    model: Any, contract: Contract, answer: Callable[[Arrays], Arrays], out: Path
) -> ExportReport:
    """Prove a graph and write the bundle.

    Args:
        model: `onnx.ModelProto` of the contract.
        contract: of the bundle.
        answer: what the source answers, in the names of the contract.
        out: folder of the bundle.
    """
    episodes = check_sequences(contract, probes(contract))
    origin = Origin(answer=answer, steps=LONGEST)
    return write_bundle(seal(model, contract), contract, origin, episodes, out)


def show(asks: Asks, contract: Contract, report: ExportReport) -> None:
    """Print what was taken for granted, and what became of it."""
    for line in asks.assumed:
        print(f"taken for granted: {line}")
    inputs = ", ".join(spec.name for spec in contract.inputs)
    print(f"{report.path}: {contract.robot}, {contract.action.kind} from {inputs}")
    print(
        f"{report.path}: {report.onnx_bytes} bytes, parity of source and graph "
        f"{report.parity_max_abs:.1e} of the action range over {report.parity_steps} steps"
    )
