"""Signatures of bundles: who exported them, proved to a robot that knows the public key.

Ed25519 (RFC 8032) over manifest.yaml, which lists the hash of every other file. The signature is a
file beside it; a file of trusted keys has one public key a line, `ed25519 <base64> <name>`. The
library `cryptography` (extra `sign`; ROS installations bring it along) is needed only here.
"""

from __future__ import annotations

import base64
import binascii
import os
import re
import stat
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

from sim2arm.core import plain

KIND = "ed25519"
_VERSION = 1
_PREFIX = b"sim2arm bundle manifest 1\n"
"""What is signed begins with this, so that a signature of something else is none of a bundle."""
_NAME = re.compile(r"[\w.@+-]{1,64}", re.ASCII)
_LARGEST = 64 * 1024
NEEDS = "needs the library 'cryptography': pip install 'sim2arm[sign]'"


@dataclass(frozen=True, kw_only=True)
class TrustedKeys:
    """Public keys that a robot trusts.

    Attributes:
        source: where they were read, for messages.
        names: names by the 32 bytes of the key.
    """

    source: str
    names: Mapping[bytes, str]


def read_trusted_keys(path: str | Path) -> TrustedKeys:
    """Return the public keys of a file; empty lines and those that begin with # say nothing.

    Raises:
        ValueError: the file is missing, has no key, or a line that is none; one line.
    """
    text, names = _read_text(Path(path), "the file of trusted keys"), dict[bytes, str]()
    for number, line in enumerate(text.splitlines(), 1):
        if not line.strip() or line.lstrip().startswith("#"):
            continue
        key, name = _public_line(line, f"{path}:{number}")
        names[key] = name
    if not names:
        raise ValueError(f"{path}: expected public keys, one a line, found none")
    return TrustedKeys(source=str(path), names=names)


def _public_line(line: str, where: str) -> tuple[bytes, str]:
    """Return key and name of `ed25519 <base64> <name>`."""
    words = line.split()
    expected = f"{where}: expected '{KIND} <base64 of 32 bytes> <name>'"
    if len(words) != 3 or words[0] != KIND or not _NAME.fullmatch(words[2]):
        raise ValueError(f"{expected}, got {line.strip()[:60]!r}")
    return _decode(words[1], 32, expected), words[2]


def _decode(text: object, size: int, expected: str) -> bytes:
    try:
        data = base64.b64decode(str(text), validate=True)
    except (binascii.Error, ValueError) as error:
        raise ValueError(f"{expected}, got no base64") from error
    if len(data) != size:
        raise ValueError(f"{expected}, got {len(data)} bytes")
    return data


def _read_text(path: Path, what: str) -> str:
    try:
        if path.stat().st_size > _LARGEST:
            raise ValueError(f"{path}: expected {what}, it has more than {_LARGEST} bytes")
        return path.read_text(encoding="utf-8")
    except UnicodeDecodeError as error:
        raise ValueError(f"{path}: expected {what}, it is no text") from error
    except OSError as error:
        raise ValueError(f"{path}: {what} cannot be read: {error.strerror}") from error


# -- keys and signatures -----------------------------------------------------------------------


def make_key(path: Path, name: str) -> tuple[Path, str]:
    """Write a new private key (mode 0600) and beside it, with `.pub`, its public line.

    Args:
        path: of the private key.
        name: of who signs with it: letters, digits and . @ + - _.

    Returns:
        The file of the public key, and its line.

    Raises:
        ValueError: a file is there already or cannot be written, or the name is none.
        ModuleNotFoundError: `cryptography` is not installed.
    """
    from cryptography.hazmat.primitives import serialization as forms
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

    if not _NAME.fullmatch(name):
        raise ValueError(f"name: expected letters, digits and . @ + - _ (up to 64), got {name!r}")
    key, public = Ed25519PrivateKey.generate(), path.with_name(f"{path.name}.pub")
    pem = key.private_bytes(forms.Encoding.PEM, forms.PrivateFormat.PKCS8, forms.NoEncryption())
    line = f"{KIND} {base64.b64encode(_raw(key)).decode()} {name}"
    _write_new(path, pem, 0o600)
    try:
        _write_new(public, f"{line}\n".encode(), 0o644)
    except ValueError:
        path.unlink()
        raise
    return public, line


def _raw(key: Any) -> bytes:
    """Return the 32 bytes of the public half of a private key."""
    from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

    return bytes(key.public_key().public_bytes(Encoding.Raw, PublicFormat.Raw))


def _write_new(path: Path, data: bytes, mode: int) -> None:
    try:
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, mode)
    except FileExistsError as error:
        raise ValueError(f"{path}: is there already; a key is never overwritten") from error
    except OSError as error:
        raise ValueError(f"{path}: cannot be written: {error.strerror}") from error
    with os.fdopen(descriptor, "wb") as file:
        file.write(data)


def sign(manifest: bytes, key: Path) -> bytes:
    """Return the bytes of `manifest.yaml.sig` for the bytes of `manifest.yaml`.

    Raises:
        ValueError: the file holds no private Ed25519 key, or others may read it.
        ModuleNotFoundError: `cryptography` is not installed.
    """
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
    from cryptography.hazmat.primitives.serialization import load_pem_private_key

    text = _read_text(key, "a private key of sim2arm keygen")
    try:
        private = load_pem_private_key(text.encode(), None)
    except (ValueError, TypeError) as error:
        raise ValueError(f"{key}: expected a private key of sim2arm keygen") from error
    if not isinstance(private, Ed25519PrivateKey):
        raise ValueError(f"{key}: expected an Ed25519 key, got another kind")
    if key.stat().st_mode & (stat.S_IRWXG | stat.S_IRWXO):
        raise ValueError(f"{key}: others may read this private key: chmod 600 {key}")
    data = {
        "version": _VERSION,
        "algorithm": KIND,
        "key": base64.b64encode(_raw(private)).decode(),
        "signature": base64.b64encode(private.sign(_PREFIX + manifest)).decode(),
    }
    return plain.dump_yaml(data).encode()


def check_signature(manifest: bytes, signature: bytes, trusted: TrustedKeys, source: str) -> str:
    """Return the name of who signed a manifest.

    Args:
        manifest: bytes of manifest.yaml.
        signature: bytes of manifest.yaml.sig.
        trusted: keys of which one must have signed.
        source: name of the signature's file, for messages.

    Raises:
        ValueError: it is no signature of these bytes by a trusted key, or `cryptography` is not
            installed; one line.
    """
    key, value = _parts(signature, source)
    if key not in trusted.names:
        shown = base64.b64encode(key).decode()
        raise ValueError(
            f"{source}: signed with the key {shown[:12]}..., which is not in {trusted.source}"
        )
    try:
        from cryptography.exceptions import InvalidSignature
        from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
    except ModuleNotFoundError as error:
        raise ValueError(f"{source}: cannot be checked: it {NEEDS}") from error
    try:
        Ed25519PublicKey.from_public_bytes(key).verify(value, _PREFIX + manifest)
    except InvalidSignature as error:
        raise ValueError(
            f"{source}: is no signature of this manifest: the bundle was changed after it was "
            "signed; export and sign it again"
        ) from error
    return trusted.names[key]


def _parts(data: bytes, source: str) -> tuple[bytes, bytes]:
    """Return public key and signature of a signature's file."""
    expected = f"{source}: expected a signature of sim2arm sign"
    try:
        loaded = plain.load_yaml(data.decode("utf-8"), source)
    except ValueError as error:  # UnicodeDecodeError is one
        raise ValueError(f"{expected}, it is no YAML") from error
    if not isinstance(loaded, Mapping):
        raise ValueError(expected)
    values = cast(Mapping[Any, Any], loaded)
    if set(values) != {"version", "algorithm", "key", "signature"}:
        raise ValueError(f"{expected}, with version, algorithm, key and signature")
    if values["version"] != _VERSION or values["algorithm"] != KIND:
        raise ValueError(f"{expected}, version {_VERSION} of {KIND}")
    key = _decode(values["key"], 32, f"{expected}: key")
    return key, _decode(values["signature"], 64, f"{expected}: signature")
