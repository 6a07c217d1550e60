"""The files of a policy bundle: reading them, and refusing what is not as it was written.

A bundle is a folder of plain files listed with size and SHA-256 in manifest.yaml. Each file is
read once; the bytes that were hashed are the bytes that are used. Numpy only: a robot has neither
torch nor the onnx package, so the structure of the ONNX file is read here field by field.
"""

from __future__ import annotations

import errno
import hashlib
import os
import stat
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, cast

from sim2arm.core import plain

from .signature import TrustedKeys, check_signature

MODEL = "policy.onnx"
CONTRACT = "contract.yaml"
GOLDEN = "golden.safetensors"
LEAPP = "leapp.yaml"
MANIFEST = "manifest.yaml"
SIGNATURE = "manifest.yaml.sig"
"""Detached signature of the manifest: optional, unless the reader names keys that it trusts."""
FILES = (MODEL, CONTRACT, GOLDEN, LEAPP)
CONTRACT_KEY = "sim2arm.contract"
"""Key of the canonical JSON of the contract in the metadata of policy.onnx."""
MANIFEST_VERSION = 1
LARGEST_MODEL = 512 * 1024**2
"""Largest policy.onnx and golden.safetensors that are read [bytes]."""
LARGEST_TEXT = 4 * 1024**2
"""Largest YAML file that is read [bytes]."""
RANDOM_OPERATORS = frozenset(
    {
        "Bernoulli",
        "Multinomial",
        "RandomNormal",
        "RandomNormalLike",
        "RandomUniform",
        "RandomUniformLike",
    }
)


class BundleError(ValueError):
    """A policy bundle is incomplete, was changed, or does not do what it says; one line."""


def one_line(error: BaseException) -> str:
    """Return the message of an error on one line, at most 200 characters."""
    text = " ".join(str(error).split()) or type(error).__name__
    return text if len(text) <= 200 else f"{text[:197]}..."


def write_manifest(files: Mapping[str, bytes]) -> bytes:
    """Return the bytes of manifest.yaml for the other files of a bundle."""
    entries = {
        name: {"bytes": len(data), "sha256": hashlib.sha256(data).hexdigest()}
        for name, data in sorted(files.items())
    }
    return plain.dump_yaml({"version": MANIFEST_VERSION, "files": entries}).encode()


def read_bundle(
    path: Path, largest_model: int = LARGEST_MODEL, trusted: TrustedKeys | None = None
) -> dict[str, bytes]:
    """Return the bytes of every file of a bundle, all equal to what the manifest lists.

    Args:
        path: folder of the bundle.
        largest_model: largest policy.onnx and golden.safetensors that are read [bytes].
        trusted: keys of which one must have signed the manifest; none asks for no signature.

    Raises:
        BundleError: the folder or a file is missing, not listed, too large, or changed; or the
            signature is missing or not of a trusted key.
    """
    if not path.is_dir():
        raise BundleError(f"{path}: expected the folder of a policy bundle, found none")
    manifest = _read(path / MANIFEST, LARGEST_TEXT)
    if trusted is not None:
        _check_signature(path, manifest, trusted)
    entries = _manifest_entries(manifest, str(path / MANIFEST))
    try:
        present = {item.name for item in path.iterdir()} - {MANIFEST, SIGNATURE}
    except OSError as error:
        raise BundleError(f"{path}: cannot be listed: {error.strerror}") from error
    for name in sorted(present - set(entries)):
        raise BundleError(f"{path / name}: is not listed in {MANIFEST}: remove it")
    files: dict[str, bytes] = {}
    for name, (size, digest) in entries.items():
        limit = LARGEST_TEXT if name.endswith(".yaml") else largest_model
        data = _read(path / name, limit)
        if len(data) != size:
            raise BundleError(f"{path / name}: expected {size} bytes ({MANIFEST}), got {len(data)}")
        got = hashlib.sha256(data).hexdigest()
        if got != digest:
            raise BundleError(
                f"{path / name}: SHA-256 is {got[:12]}..., {MANIFEST} says {digest[:12]}...: the "
                "file was changed after the export; export again or copy the bundle again"
            )
        files[name] = data
    return files


def _check_signature(path: Path, manifest: bytes, trusted: TrustedKeys) -> None:
    source = path / SIGNATURE
    if not source.is_symlink() and not source.exists():
        raise BundleError(
            f"{path}: is not signed, and only bundles signed with a key of {trusted.source} are "
            "run here: sim2arm sign"
        )
    try:
        check_signature(manifest, _read(source, LARGEST_TEXT), trusted, str(source))
    except BundleError:
        raise
    except ValueError as error:
        raise BundleError(str(error)) from error


def _manifest_entries(text: bytes, source: str) -> dict[str, tuple[int, str]]:
    manifest = read_yaml(text, source)
    if not isinstance(manifest, Mapping):
        raise BundleError(f"{source}: expected the keys version and files")
    data = cast(Mapping[Any, Any], manifest)
    if data.get("version") != MANIFEST_VERSION or set(data) != {"version", "files"}:
        raise BundleError(
            f"{source}: expected version {MANIFEST_VERSION} and files, got version "
            f"{data.get('version')!r} and keys {sorted(map(str, data))}"
        )
    listed: Any = data["files"]
    names = set(cast(Mapping[Any, Any], listed)) if isinstance(listed, Mapping) else None
    if names != set(FILES):
        raise BundleError(f"{source}: files: expected {sorted(FILES)}, got {names}")
    entries: dict[str, tuple[int, str]] = {}
    for name, entry in cast(Mapping[str, Any], listed).items():
        values: Mapping[Any, Any] = {}
        if isinstance(entry, Mapping):
            values = cast(Mapping[Any, Any], entry)
        size, digest = values.get("bytes"), values.get("sha256")
        if len(values) != 2 or type(size) is not int or not isinstance(digest, str):
            raise BundleError(f"{source}: files.{name}: expected bytes (whole number) and sha256")
        entries[name] = (size, digest)
    return entries


def _read(path: Path, limit: int) -> bytes:
    """Return the bytes of a plain file: of the one that was looked at, whoever renames it."""
    other = f"{path}: expected a plain file, found a link or a folder"
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
        try:
            info = os.fstat(descriptor)
            if not stat.S_ISREG(info.st_mode):
                raise BundleError(other)
            if info.st_size > limit:
                raise BundleError(f"{path}: {info.st_size} bytes, at most {limit} are read")
            with open(descriptor, "rb", closefd=False) as file:
                return file.read(info.st_size + 1)
        finally:
            os.close(descriptor)
    except FileNotFoundError as error:
        raise BundleError(
            f"{path}: missing file; a bundle has it, copy the bundle again"
        ) from error
    except OSError as error:
        if error.errno == errno.ELOOP:
            raise BundleError(other) from error
        raise BundleError(f"{path}: cannot be read: {error.strerror}") from error


def read_yaml(data: bytes, source: str) -> Any:
    """Return the plain data of the bytes of a YAML file.

    Raises:
        BundleError: not UTF-8 or not YAML.
    """
    try:
        return plain.load_yaml(data.decode("utf-8"), source)
    except UnicodeDecodeError as error:
        raise BundleError(f"{source}: not UTF-8 text (byte {error.start})") from error
    except ValueError as error:
        raise BundleError(str(error)) from error


@dataclass
class OnnxFacts:
    """What an ONNX file says about itself, without running it."""

    operators: set[str] = field(default_factory=set[str])
    """Operator types of all nodes, those of subgraphs and functions included."""
    external_tensors: list[str] = field(default_factory=list[str])
    """Names of tensors whose data lies in another file."""
    metadata: dict[str, str] = field(default_factory=dict[str, str])


# Which fields of which message lead to further messages (onnx/onnx.proto, field numbers).
_CHILDREN: dict[str, dict[int, str]] = {
    "model": {7: "graph", 14: "entry", 20: "training", 25: "function"},
    "training": {1: "graph", 2: "graph"},
    "graph": {1: "node", 5: "tensor", 15: "sparse"},
    "function": {7: "node", 11: "attribute"},
    "node": {5: "attribute"},
    "attribute": {5: "tensor", 6: "graph", 10: "tensor", 11: "graph", 22: "sparse", 23: "sparse"},
    "sparse": {1: "tensor", 2: "tensor"},
    "tensor": {},
    "entry": {},
}
_DEEPEST = 64


def onnx_facts(data: bytes) -> OnnxFacts:
    """Return the facts about an ONNX file.

    Raises:
        ValueError: the bytes are not a well-formed ONNX file.
    """
    facts = OnnxFacts()
    _walk(memoryview(data), "model", facts, 0)
    return facts


def _walk(data: memoryview, message: str, facts: OnnxFacts, depth: int) -> None:
    if depth > _DEEPEST:
        raise ValueError(f"messages nested deeper than {_DEEPEST}")
    children = _CHILDREN[message]
    texts: dict[int, str] = {}
    external = False
    for number, value in _fields(data):
        if isinstance(value, int):
            external |= message == "tensor" and number == 14 and value != 0
        elif number in children:
            _walk(value, children[number], facts, depth + 1)
        elif message == "node" and number == 4:
            facts.operators.add(_text(value))
        elif (message == "tensor" and number == 8) or (message == "entry" and number in (1, 2)):
            texts[number] = _text(value)
        elif message == "tensor" and number == 13:
            external = True
    if external:
        facts.external_tensors.append(texts.get(8, ""))
    if message == "entry":
        key = texts.get(1, "")
        if key in facts.metadata:
            raise ValueError(f"metadata key {key!r} twice")
        facts.metadata[key] = texts.get(2, "")


def _text(value: memoryview) -> str:
    return bytes(value).decode("utf-8")


def _fields(data: memoryview) -> Iterator[tuple[int, int | memoryview]]:
    """Yield (field number, value) of one protobuf message; bytes fields as views."""
    at, end = 0, len(data)
    while at < end:
        tag, at = _varint(data, at)
        number, wire = tag >> 3, tag & 7
        if number == 0:
            raise ValueError("field number 0")
        if wire == 0:
            value, at = _varint(data, at)
            yield number, value
            continue
        if wire == 2:
            size, at = _varint(data, at)
        elif wire in (1, 5):
            size = 8 if wire == 1 else 4
        else:
            raise ValueError(f"wire type {wire}")
        if size > end - at:
            raise ValueError(f"ends {size - (end - at)} bytes too early")
        if wire == 2:
            yield number, data[at : at + size]
        at += size


def _varint(data: memoryview, at: int) -> tuple[int, int]:
    value = shift = 0
    while shift < 70:
        if at >= len(data):
            raise ValueError("ends inside a number")
        byte = data[at]
        at += 1
        value |= (byte & 0x7F) << shift
        if byte < 0x80:
            return value, at
        shift += 7
    raise ValueError("number longer than 10 bytes")
