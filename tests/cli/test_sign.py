"""`sim2arm keygen` and `sim2arm sign`, from a key to a robot that runs the bundle."""

from __future__ import annotations

from pathlib import Path

import pytest

from sim2arm.cli import main as cli
from sim2arm.policies.signature import read_trusted_keys
from sim2arm.policies.verify import load_contract
from tests.bundles import make_files


@pytest.fixture
def bundle(tmp_path: Path) -> Path:
    (tmp_path / "run").mkdir()
    return make_files().write(tmp_path / "run" / "bundle")


def test_a_key_signs_the_bundle_of_a_run(
    bundle: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    key = str(tmp_path / "ada")
    assert cli.main(["keygen", key, "--name", "ada@lab"]) == 0
    line = capsys.readouterr().out.splitlines()[-1]
    assert line.startswith("ed25519 ") and line.endswith(" ada@lab")
    trusted = tmp_path / "trusted"
    trusted.write_text(f"# whose bundles run here\n{line}\n")
    assert cli.main(["sign", str(bundle.parent), "--key", key]) == 0
    assert load_contract(bundle, read_trusted_keys(trusted)).robot
    assert cli.main(["sign", str(bundle), "--key", key]) == 0  # again: the same signature


def error(capsys: pytest.CaptureFixture[str], *words: str) -> str:
    assert cli.main(list(words)) == 2
    (line,) = capsys.readouterr().err.splitlines()
    return line


def test_bad_input_is_one_line(
    bundle: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    key = str(tmp_path / "ada")
    assert "missing FILE" in error(capsys, "keygen")
    assert "letters, digits and" in error(capsys, "keygen", key, "--name", "two words")
    assert "No such file" in error(capsys, "keygen", str(tmp_path / "no" / "ada"))
    assert cli.main(["keygen", key]) == 0
    capsys.readouterr()
    assert "never overwritten" in error(capsys, "keygen", key)
    assert "--key" in error(capsys, "sign", str(bundle))
    assert "neither a policy bundle nor" in error(capsys, "sign", str(tmp_path), "--key", key)
    assert "expected a private key" in error(capsys, "sign", str(bundle), "--key", f"{key}.pub")
    assert "cannot be read" in error(capsys, "sign", str(bundle), "--key", f"{key}.none")
    (bundle / "leapp.yaml").write_bytes(b"changed: {}\n")
    assert "leapp.yaml" in error(capsys, "sign", str(bundle), "--key", key)
    assert not (bundle / "manifest.yaml.sig").exists()
