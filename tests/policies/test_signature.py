"""Signed bundles: what a robot with trusted keys runs, and what it refuses in one line."""

from __future__ import annotations

import base64
import re
import stat
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from sim2arm.policies.bundle import SIGNATURE, BundleError
from sim2arm.policies.runtime import OnnxPolicy
from sim2arm.policies.signature import (
    TrustedKeys,
    check_signature,
    make_key,
    read_trusted_keys,
    sign,
)
from sim2arm.policies.verify import load_contract
from tests.bundles import make_files


@pytest.fixture
def key(tmp_path: Path) -> Path:
    make_key(tmp_path / "ada", "ada@lab")
    return tmp_path / "ada"


@pytest.fixture
def trusted(key: Path) -> TrustedKeys:
    return read_trusted_keys(f"{key}.pub")


@pytest.fixture
def bundle(tmp_path: Path, key: Path) -> Path:
    folder = make_files().write(tmp_path / "bundle")
    (folder / SIGNATURE).write_bytes(sign((folder / "manifest.yaml").read_bytes(), key))
    return folder


def test_a_bundle_of_a_trusted_key_is_run(bundle: Path, trusted: TrustedKeys) -> None:
    assert load_contract(bundle, trusted) == load_contract(bundle)
    OnnxPolicy(bundle, trusted=trusted)


def test_the_signature_is_that_of_rfc_8032() -> None:
    """Its test 3 (section 7.1): the library is the algorithm, and the bytes are not ours."""
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

    secret = "c5aa8df43f9f837bedb7442f31dcb7b166d38535076f094b85ce3a2e0b4458f7"
    private = Ed25519PrivateKey.from_private_bytes(bytes.fromhex(secret))
    assert private.sign(bytes.fromhex("af82")).hex().startswith("6291d657deec24024827e69c3abe01a3")


def test_without_trusted_keys_no_signature_is_asked_for(bundle: Path) -> None:
    (bundle / SIGNATURE).unlink()
    OnnxPolicy(bundle)


def other_key(bundle: Path) -> None:
    make_key(bundle.parent / "eve", "eve")
    data = sign((bundle / "manifest.yaml").read_bytes(), bundle.parent / "eve")
    (bundle / SIGNATURE).write_bytes(data)


def under_another_name(bundle: Path) -> None:
    """Eve's signature with Ada's public key beside it."""
    ada = re.search(r"key: (\S+)", (bundle / SIGNATURE).read_text())
    other_key(bundle)
    assert ada is not None
    text = (bundle / SIGNATURE).read_text()
    (bundle / SIGNATURE).write_text(re.sub(r"key: \S+", lambda _: ada[0], text))


def changed_manifest(bundle: Path) -> None:
    """Another contract whose hash is in the manifest: only the signature tells."""
    path = bundle / "manifest.yaml"
    path.write_text(path.read_text().replace("version: 1", "version:  1"))


def linked(bundle: Path) -> None:
    (bundle / SIGNATURE).rename(bundle.parent / "elsewhere")
    (bundle / SIGNATURE).symlink_to(bundle.parent / "elsewhere")


def write(data: bytes) -> Callable[[Path], None]:
    def change(bundle: Path) -> None:
        (bundle / SIGNATURE).write_bytes(data)

    return change


def one_file_changed(bundle: Path) -> None:
    (bundle / "leapp.yaml").write_bytes((bundle / "leapp.yaml").read_bytes() + b"\n")


REFUSED: list[tuple[Callable[[Path], object], str]] = [
    (lambda bundle: (bundle / SIGNATURE).unlink(), "is not signed, and only bundles signed with"),
    (other_key, r"signed with the key \S{12}\.\.\., which is not in .*ada\.pub"),
    (under_another_name, "is no signature of this manifest: the bundle was changed after"),
    (changed_manifest, "is no signature of this manifest"),
    (one_file_changed, r"leapp\.yaml: expected \d+ bytes"),
    (linked, "expected a plain file, found a link"),
    (write(b""), "expected a signature of sim2arm sign"),
    (write(b"\xff\xfe"), "it is no YAML"),
    (write(b"a: ["), "it is no YAML"),
    (write(b"version: 1\nalgorithm: ed25519\nkey: x\n"), "with version, algorithm, key and"),
    (
        write(b"version: 2\nalgorithm: ed25519\nkey: x\nsignature: x\n"),
        "version 1 of ed25519",
    ),
    (
        write(b"version: 1\nalgorithm: ed25519\nkey: '%'\nsignature: x\n"),
        "key, got no base64",
    ),
    (
        write(b"version: 1\nalgorithm: ed25519\nkey: YWJj\nsignature: x\n"),
        "key, got 3 bytes",
    ),
]


@pytest.mark.parametrize(("change", "said"), REFUSED)
def test_what_is_not_signed_by_a_trusted_key_is_refused(
    bundle: Path, trusted: TrustedKeys, change: Callable[[Path], object], said: str
) -> None:
    change(bundle)
    with pytest.raises(BundleError, match=said) as caught:
        load_contract(bundle, trusted)
    assert "\n" not in str(caught.value)
    with pytest.raises(BundleError, match=said):
        OnnxPolicy(bundle, trusted=trusted)


def test_every_flipped_bit_of_key_and_signature_is_refused(
    bundle: Path, trusted: TrustedKeys
) -> None:
    manifest = (bundle / "manifest.yaml").read_bytes()
    text = (bundle / SIGNATURE).read_text()
    for name in ("key", "signature"):
        found = re.search(rf"^{name}: (\S+)$", text, re.MULTILINE)
        assert found is not None
        good = base64.b64decode(found[1])
        for bit in range(8 * len(good)):
            data = bytearray(good)
            data[bit // 8] ^= 1 << bit % 8
            other = text.replace(found[1], base64.b64encode(data).decode())
            with pytest.raises(ValueError, match=r"not in|no signature"):
                check_signature(manifest, other.encode(), trusted, "sig")


def test_a_private_key_is_readable_by_its_owner_only_and_never_overwritten(tmp_path: Path) -> None:
    path = tmp_path / "key"
    public, line = make_key(path, "ada")
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert public.read_text() == f"{line}\n"
    with pytest.raises(ValueError, match="never overwritten"):
        make_key(path, "ada")
    path.unlink()
    with pytest.raises(ValueError, match=r"key\.pub: is there already"):
        make_key(path, "ada")
    assert not path.exists()
    make_key(tmp_path / "open", "ada")
    (tmp_path / "open").chmod(0o640)
    with pytest.raises(ValueError, match="others may read this private key: chmod 600"):
        sign(b"", tmp_path / "open")
    with pytest.raises(ValueError, match="expected a private key of sim2arm keygen"):
        sign(b"", public)
    with pytest.raises(ValueError, match="name: expected letters"):
        make_key(tmp_path / "other", "two words")


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", "expected public keys, one a line, found none"),
        ("# only a comment\n\n", "found none"),
        ("ssh-ed25519 AAAA ada\n", r":1: expected 'ed25519 <base64 of 32 bytes> <name>'"),
        ("ed25519 AAAA ada\n", "got 3 bytes"),
        ("# one\ned25519 %% ada\n", ":2: .*got no base64"),
        ("ed25519 AAAA\n", "expected 'ed25519"),
    ],
)
def test_a_file_of_trusted_keys_that_is_none_is_refused(
    tmp_path: Path, text: str, said: str
) -> None:
    path = tmp_path / "trusted"
    path.write_text(text)
    with pytest.raises(ValueError, match=said):
        read_trusted_keys(path)
    with pytest.raises(ValueError, match="cannot be read: No such file"):
        read_trusted_keys(tmp_path / "none")


def test_without_the_library_trusted_keys_refuse_everything(bundle: Path, key: Path) -> None:
    script = (
        "import sys; sys.modules['cryptography'] = None\n"
        "from sim2arm.policies.signature import read_trusted_keys\n"
        "from sim2arm.policies.verify import load_contract\n"
        "load_contract(sys.argv[1])\n"
        "load_contract(sys.argv[1], read_trusted_keys(sys.argv[2]))\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", script, str(bundle), f"{key}.pub"], capture_output=True, text=True
    )
    assert done.returncode == 1
    assert "cannot be checked: it needs the library 'cryptography'" in done.stderr
