import sys
import types

import pytest

from sim2arm.cli import list as list_verb
from sim2arm.cli.errors import UserError


@pytest.fixture
def dictionaries(monkeypatch: pytest.MonkeyPatch) -> None:
    module = types.ModuleType("things")
    module.NAMED = {"reach-ppo": ("Reach with PPO.", object())}  # type: ignore[attr-defined]
    module.PLAIN = {"panda": object()}  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "things", module)
    monkeypatch.setattr(
        list_verb,
        "DICTIONARIES",
        {"experiments": ("things", "NAMED"), "robots": ("things", "PLAIN")},
    )


@pytest.mark.usefixtures("dictionaries")
def test_names_with_their_help(capsys: pytest.CaptureFixture[str]) -> None:
    assert list_verb.main([]) == 0
    out = capsys.readouterr().out
    assert "experiments:\n  reach-ppo                    Reach with PPO.\n" in out
    assert "robots:\n  panda\n" in out


@pytest.mark.usefixtures("dictionaries")
def test_one_kind(capsys: pytest.CaptureFixture[str]) -> None:
    assert list_verb.main(["robots"]) == 0
    assert capsys.readouterr().out == "robots:\n  panda\n"


def test_an_unknown_kind() -> None:
    with pytest.raises(UserError, match="unknown kind 'robot'; perhaps you meant robots"):
        list_verb.main(["robot"])


def test_names_that_need_an_extra_say_so(monkeypatch: pytest.MonkeyPatch) -> None:
    def absent(module: str) -> object:
        raise ModuleNotFoundError(f"No module named 'dm_control', for {module}", name="dm_control")

    monkeypatch.setattr(list_verb.importlib, "import_module", absent)
    (line,) = list_verb.lines_of("robots")
    assert "needs the extra 'suite'" in line


@pytest.mark.parametrize("kind", list(list_verb.DICTIONARIES))
def test_every_dictionary_is_there_and_has_entries(kind: str) -> None:
    assert list_verb.lines_of(kind)
