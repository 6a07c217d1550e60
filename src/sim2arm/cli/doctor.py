"""`sim2arm doctor DATASET|robot`: what is wrong with a dataset, or with a robot."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

from tyro.conf import Positional, arg

from sim2arm.policies.dataset.check import problems
from sim2arm.policies.dataset.reader import Dataset

from .errors import UserError
from .parse import parse

ROBOT = "robot"


@dataclass(frozen=True, kw_only=True)
class DoctorCfg:
    """Read every file of a dataset and say what is wrong; or look at a robot and its computer."""

    path: Annotated[Positional[Path], arg(metavar="DATASET|robot")]
    """Folder of a LeRobotDataset v3.0, or `robot`: this computer, and an arm with `--bundle` (see
    `sim2arm doctor robot --help`; a folder so called: ./robot)."""


def main(argv: Sequence[str]) -> int:
    """Parse the arguments, check and print.

    Returns:
        0 if all is well, 1 if something is damaged.

    Raises:
        UserError: there is no such folder.
    """
    if argv[:1] == [ROBOT]:
        from . import doctor_robot

        return doctor_robot.main(argv[1:])
    cfg = parse(DoctorCfg, argv, "sim2arm doctor")
    if not cfg.path.is_dir():
        raise UserError(f"{cfg.path}: expected the folder of a dataset")
    count = 0
    for line in problems(cfg.path):
        print(line)
        count += 1
    if count:
        what = "problem" if count == 1 else "problems"
        print(f"{count} {what}; sim2arm salvage {cfg.path} --out FOLDER keeps the whole episodes")
        return 1
    dataset = Dataset(cfg.path)
    checked = "with" if dataset.index.chain is not None else "without"
    size = f"{dataset.index.episodes} episodes, {len(dataset)} frames"
    print(f"{cfg.path}: {size}, {checked} hashes: well")
    return 0
