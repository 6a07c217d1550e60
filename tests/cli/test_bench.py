from pathlib import Path

import pytest

from sim2arm.cli import bench
from sim2arm.cli.checkout import find_checkout
from sim2arm.cli.errors import UserError


@pytest.fixture
def checkout(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    (tmp_path / "benchmarks").mkdir()
    monkeypatch.setattr(bench, "find_checkout", lambda: tmp_path)
    return tmp_path / "benchmarks"


def test_a_benchmark_gets_the_arguments_after_its_name(checkout: Path) -> None:
    (checkout / "echo.py").write_text(
        "from dataclasses import dataclass\n"
        "@dataclass(frozen=True)\n"
        "class Cfg:\n"
        "    n: int\n"
        "def main(argv):\n"
        "    return Cfg(n=len(argv)).n if argv == ['--json', 'x'] else 99\n"
    )
    assert bench.main(["echo", "--json", "x"]) == 2


def test_an_unknown_benchmark_has_the_nearest(checkout: Path) -> None:
    (checkout / "env.py").write_text("")
    with pytest.raises(UserError, match="unknown benchmark 'envs'; perhaps you meant env"):
        bench.main(["envs"])


def test_no_name_is_refused_and_the_names_are_shown(
    checkout: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (checkout / "env.py").write_text("")
    (checkout / "_shared.py").write_text("")
    with pytest.raises(UserError, match="missing NAME"):
        bench.main([])
    assert "benchmarks: env\n" in capsys.readouterr().out


def test_a_wheel_says_that_it_has_none(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(bench, "find_checkout", lambda: None)
    with pytest.raises(UserError, match="installed wheel"):
        bench.main(["env"])


def test_a_checkout_is_told_from_an_installed_package(tmp_path: Path) -> None:
    installed = tmp_path / "site-packages" / "sim2arm" / "cli" / "checkout.py"
    assert find_checkout(str(installed)) is None
    (tmp_path / "src" / "sim2arm" / "cli").mkdir(parents=True)
    (tmp_path / "pyproject.toml").write_text("")
    assert find_checkout(str(tmp_path / "src" / "sim2arm" / "cli" / "x.py")) == tmp_path
