"""`sim2arm salvage DATASET --out FOLDER`: the episodes that are whole, as a new dataset."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

from tyro.conf import Positional, arg

from sim2arm.policies.dataset.check import salvage
from sim2arm.policies.dataset.files import DatasetError

from .errors import UserError
from .outputs import check_folder
from .parse import parse


@dataclass(frozen=True, kw_only=True)
class SalvageCfg:
    """Keep the whole episodes of a damaged dataset that `sim2arm record` wrote."""

    path: Annotated[Positional[Path], arg(metavar="DATASET")]
    """Folder of the damaged dataset, which stays as it is."""
    out: Path
    """Folder of the new dataset."""


def main(argv: Sequence[str]) -> int:
    """Parse the arguments, salvage and print what was lost.

    Raises:
        UserError: nothing can be read, or the folder cannot be begun.
    """
    cfg = parse(SalvageCfg, argv, "sim2arm salvage")
    check_folder("--out", cfg.out)
    try:
        found = salvage(cfg.path, cfg.out)
    except (DatasetError, OSError) as error:
        raise UserError(str(error)) from error
    for line in found.lost:
        print(line)
    print(f"{cfg.out}: {len(found.saved)} episodes saved, {len(found.lost)} lost")
    return 0
