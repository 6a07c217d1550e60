from dataclasses import dataclass, field
from typing import Annotated, Literal

import pytest
from tyro.conf import Positional, arg

from sim2arm.cli.errors import UserError
from sim2arm.cli.parse import explain, parse, parse_named, unknown


@dataclass(frozen=True, kw_only=True)
class AlgoCfg:
    """An algorithm."""

    lr: float = 1e-3
    """Learning rate."""


@dataclass(frozen=True, kw_only=True)
class SampleCfg:
    """A sample."""

    run: Positional[str] = "last"
    """Run folder."""
    algo: AlgoCfg = field(default_factory=AlgoCfg)
    num_envs: int = 8
    """Number of worlds."""
    world: Literal["mujoco", "warp"] = "mujoco"
    """Physics."""

    def __post_init__(self) -> None:
        if self.num_envs < 1:
            raise ValueError(f"num_envs: expected at least 1, got {self.num_envs}")


@dataclass(frozen=True, kw_only=True)
class NeedyCfg:
    """Needs something."""

    run: Annotated[Positional[str], arg(metavar="RUN")]
    """Run folder."""
    graph: str
    """Graph file."""


def message(*argv: str, cfg: type = SampleCfg) -> str:
    with pytest.raises(UserError) as caught:
        parse(cfg, argv, "sim2arm try")
    text = str(caught.value)
    assert "\n" not in text
    assert not set("│╭╰─") & set(text)
    return text


def test_values_reach_the_config() -> None:
    cfg = parse(SampleCfg, ["here", "--algo.lr", "3e-4", "--num-envs", "4"], "sim2arm try")
    assert cfg == SampleCfg(run="here", algo=AlgoCfg(lr=3e-4), num_envs=4)


def test_a_misspelt_option_keeps_the_suggestion() -> None:
    assert (
        message("--algo.lrr", "3") == "unrecognised option --algo.lrr; perhaps you meant --algo.lr"
    )


def test_two_misspelt_options() -> None:
    text = message("--algo.lrr", "3", "--num-env", "4")
    assert text.startswith("unrecognised option --algo.lrr, --num-env; perhaps you meant ")
    assert "--algo.lr" in text.partition("perhaps")[2]
    assert "--num-envs" in text.partition("perhaps")[2]


def test_an_option_like_nothing_has_no_suggestion() -> None:
    assert message("--zebra") == "unrecognised option --zebra"


def test_an_argument_too_many() -> None:
    assert message("here", "there") == "unexpected argument there"


def test_a_malformed_value_names_option_value_and_type() -> None:
    text = message("--num-envs", "many")
    assert text.startswith("--num-envs: ")
    assert "'many'" in text
    assert text.endswith("(expected INT)")


def test_a_value_that_is_not_a_choice_lists_the_choices() -> None:
    text = message("--world", "bullet")
    assert text == "--world: invalid choice 'bullet'; expected one of ('mujoco', 'warp')"


def test_a_missing_value() -> None:
    assert message("--num-envs") == "--num-envs: expected 1 value, got fewer"


def test_a_missing_option() -> None:
    expected = "sim2arm try: missing RUN (Run folder), --graph STR (Graph file)"
    assert message(cfg=NeedyCfg) == expected


def test_a_config_that_refuses_its_values() -> None:
    assert message("--num-envs", "0") == "sim2arm try: num_envs: expected at least 1, got 0"


def test_help_is_printed_and_is_no_error(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as caught:
        parse(SampleCfg, ["--help"], "sim2arm try")
    assert caught.value.code in (0, None)
    assert "Number of worlds." in capsys.readouterr().out


SAMPLES = {
    "reach-ppo": ("Reach with PPO.", SampleCfg(num_envs=64)),
    "peg-ppo": ("Insert a peg with PPO.", SampleCfg(num_envs=256)),
}


def test_a_named_default_and_its_overrides() -> None:
    name, cfg = parse_named(SAMPLES, ["peg-ppo", "--algo.lr", "1"], "sim2arm try", "experiment")
    assert name == "peg-ppo"
    assert cfg == SampleCfg(num_envs=256, algo=AlgoCfg(lr=1.0))


def test_an_unknown_name_has_the_nearest() -> None:
    with pytest.raises(UserError, match=r"unknown experiment 'reach-ppoo'; perhaps .* reach-ppo"):
        parse_named(SAMPLES, ["reach-ppoo"], "sim2arm try", "experiment")


def test_no_name_lists_the_names(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(UserError, match="missing EXPERIMENT; known: peg-ppo, reach-ppo"):
        parse_named(SAMPLES, [], "sim2arm try", "experiment")
    with pytest.raises(SystemExit):
        parse_named(SAMPLES, ["--help"], "sim2arm try", "experiment")
    assert "Insert a peg with PPO." in capsys.readouterr().out


def test_a_name_like_nothing_lists_all() -> None:
    assert unknown("robot", "xyzzy", ["panda", "fr3"]) == "unknown robot 'xyzzy'; known: fr3, panda"


def test_a_box_of_another_kind_is_still_one_line() -> None:
    box = "╭─ New ─────╮\n│ Something │\n│ else      │\n│ ───────── │\n│ For help  │\n╰───────────╯"
    assert explain(box, "sim2arm try") == "sim2arm try: Something else"


def test_a_box_without_signs_reads_like_one_with_them() -> None:
    framed = (
        "╭─ Required options ────────────╮",
        "│ Missing from x:               │",
        "│     --run PATH                │",
        "│         Run folder. (required)│",
        "│ ───────────────────────────── │",
        "│ For full helptext, run:       │",
        "╰───────────────────────────────╯",
    )
    plain = (
        " Required options                ",
        " ------------------------------- ",
        "  Missing from x:                ",
        "      --run PATH                 ",
        "          Run folder. (required) ",
        "  -----------------------------  ",
        "  For full helptext, run:        ",
    )
    expected = "x: missing --run PATH (Run folder)"
    assert explain("\n".join(framed), "x") == explain("\n".join(plain), "x") == expected
