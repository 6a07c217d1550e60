# pyright: standard
"""Command lines that are changed at random: options that somebody could mean, or one line."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import is_dataclass

import numpy as np
import pytest

from sim2arm.cli.errors import UserError
from sim2arm.cli.eval import EvalCfg
from sim2arm.cli.experiments import EXPERIMENTS
from sim2arm.cli.parse import parse, parse_named
from sim2arm.cli.record import RecordCfg
from sim2arm.cli.ros import RosUpCfg
from sim2arm.cli.table import Row
from sim2arm.cli.train import TrainCfg
from tests.tables import Table

CHANGES = 20_000
LINES: tuple[tuple[type, str], ...] = (
    (EvalCfg, "runs/bundle --episodes 20 --eval-seed 3"),
    (RosUpCfg, "--bundle runs/bundle --robot fr3"),
    (RecordCfg, "reach --out data --episodes 5 --seed 1"),
)
TRAIN = "reach-ppo --num-envs 64 --algo.lr 1e-3 --seed 1"
TRAINED = 40
"""One line of so many is of `train`, whose options are slow to read."""
ODD = ("", "-", "--", "---", "nan", "inf", "-1", "1e999", "None", "\x00", "é", "a b", "\n", "{}")


def changed_words(words: Sequence[str], random: np.random.Generator) -> list[str]:
    """Return words with one or two changed, gone, twice, or in another place."""
    words = list(words)
    for _ in range(int(random.integers(1, 3))):
        at, kind = int(random.integers(len(words))), random.integers(5)
        if kind == 0 and len(words) > 1:
            del words[at]
        elif kind == 1:
            words.insert(at, words[int(random.integers(len(words)))])
        elif kind == 2:
            words[at] = ODD[int(random.integers(len(ODD)))]
        elif kind == 3:
            words.insert(at, f"--{ODD[int(random.integers(len(ODD)))]}")
        else:
            letter = int(random.integers(len(words[at]) + 1))
            words[at] = words[at][:letter] + chr(random.integers(33, 127)) + words[at][letter + 1 :]
    return words


def come(count: int, seed: int) -> Counter[str]:
    """Change command lines; return how many were read, refused in one line, and neither."""
    random, came = np.random.default_rng(seed), Counter[str]()
    for k in range(count):
        try:
            if k % TRAINED == 0:
                words = changed_words(TRAIN.split(), random)
                _, cfg = parse_named(EXPERIMENTS, words, "sim2arm train", "experiment")
                fine = isinstance(cfg, TrainCfg)
            else:
                kind, line = LINES[k % len(LINES)]
                words = changed_words(line.split(), random)
                fine = isinstance(parse(kind, words, "sim2arm try"), kind) and is_dataclass(kind)
            came["read" if fine else "wrong"] += 1
        except UserError as error:
            one = "\n" not in str(error) and 0 < len(str(error)) < 2000
            came["refused" if one else "wrong"] += 1
        except SystemExit as end:  # it asks for help
            came["wrong" if end.code else "read"] += 1
    return came


def test_changed_command_lines_are_read_or_one_line() -> None:
    came = come(80, seed=0)
    assert came["wrong"] == 0 and came["read"] > 5 and came["refused"] > 20


@pytest.mark.faults
def test_thousands_of_changed_command_lines(table: Table) -> None:
    came, case = come(CHANGES, seed=1), "command lines changed"
    table.none_of(case, "neither read nor one line", came["wrong"], CHANGES, seed=1)
    table.add(*(Row(case=case, metric=word, value=came[word]) for word in ("read", "refused")))
    assert came["wrong"] == 0 and came["read"] + came["refused"] == CHANGES
