"""The contract of a bundle, verified without running the policy: what the safety gate reads.

Numpy only, no onnxruntime: the gate compares the hashes of all files and both copies of the
contract, and leaves the graph alone.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path

from sim2arm.core.contract import Contract

from .bundle import (
    CONTRACT,
    CONTRACT_KEY,
    MODEL,
    RANDOM_OPERATORS,
    BundleError,
    one_line,
    onnx_facts,
    read_bundle,
    read_yaml,
)
from .signature import TrustedKeys


def load_contract(path: str | Path, trusted: TrustedKeys | None = None) -> Contract:
    """Return the contract of a bundle whose files all are as they were exported.

    Args:
        path: folder of the bundle.
        trusted: keys of which one must have signed it; none asks for no signature.

    Raises:
        BundleError: a file was changed, the signature is missing or not of a trusted key, or the
            two copies of the contract differ; one line.
    """
    folder = Path(path)
    return read_contract(folder, read_bundle(folder, trusted=trusted))


def read_contract(path: Path, files: Mapping[str, bytes]) -> Contract:
    """Return the contract after looking over the ONNX file and comparing the two copies.

    Args:
        path: folder of the bundle, for messages.
        files: bytes of its files, as `read_bundle` returns them.

    Raises:
        BundleError: the ONNX file is not acceptable, or the two copies differ; one line.
    """
    model, source = str(path / MODEL), str(path / CONTRACT)
    text = _check_model(files[MODEL], model)
    try:
        contract = Contract.from_dict(read_yaml(files[CONTRACT], source))
    except BundleError:
        raise
    except ValueError as error:
        raise BundleError(f"{source}: {one_line(error)}") from error
    try:
        embedded = Contract.from_dict(json.loads(text))
    except (ValueError, RecursionError) as error:
        raise BundleError(f"{model}: metadata {CONTRACT_KEY!r}: {one_line(error)}") from error
    lines = contract.differences(embedded)
    if lines:
        more = f" (and {len(lines) - 1} more)" if len(lines) > 1 else ""
        raise BundleError(f"{source}: differs from the contract inside {MODEL}: {lines[0]}{more}")
    return contract


def _check_model(data: bytes, source: str) -> str:
    """Return the embedded contract of a model without external data and random operators."""
    try:
        facts = onnx_facts(data)
    except ValueError as error:
        raise BundleError(f"{source}: not a well-formed ONNX file: {one_line(error)}") from error
    if facts.external_tensors:
        raise BundleError(
            f"{source}: tensor {facts.external_tensors[0]!r} keeps its data in another file; "
            "export a single file without external data"
        )
    random = sorted(RANDOM_OPERATORS & facts.operators)
    if random:
        raise BundleError(f"{source}: random operators {random}; noise must be a declared input")
    if CONTRACT_KEY not in facts.metadata:
        raise BundleError(f"{source}: has no metadata {CONTRACT_KEY!r}; export with sim2arm")
    return facts.metadata[CONTRACT_KEY]
