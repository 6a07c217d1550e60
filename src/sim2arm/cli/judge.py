"""`sim2arm judge DATASET --out FILE`: learn to tell success, for learning on an arm."""

# pyright: standard

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated

import torch
from tyro.conf import Positional, arg

from sim2arm.policies.dataset.files import DatasetError
from sim2arm.policies.dataset.reader import Dataset
from sim2arm.policies.demonstrations import Demonstrations
from sim2arm.policies.networks import PictureError
from sim2arm.policies.success import Found, SuccessCfg, learn_success, parts_of, save_success

from .errors import UserError, user_input
from .parse import parse
from .progress import Progress


@dataclass(frozen=True, kw_only=True)
class JudgeCfg:
    """Learn from a dataset to tell whether a task is done; the file is for --online.judge."""

    path: Annotated[Positional[Path], arg(metavar="DATASET")]
    """Folder of a dataset whose episodes say how they ended (`sim2arm record --keep all`)."""
    out: Path
    """File to write, .safetensors."""
    sees: tuple[str, ...] = ()
    """Arrays that it looks at; all of the dataset if empty."""
    learn: SuccessCfg = field(default_factory=SuccessCfg)
    """What is success, and how it is learnt."""
    seed: int = 0
    """Seed of everything drawn."""
    threads: int = 1
    """Threads of torch."""


def main(argv: Sequence[str]) -> int:
    """Parse the arguments, learn, write the file and print how it does.

    Raises:
        UserError: nothing can be learnt from such a dataset, or the file cannot be written.
    """
    cfg = parse(JudgeCfg, argv, "sim2arm judge")
    if cfg.out.suffix != ".safetensors":
        raise UserError(f"--out {cfg.out}: expected a file .safetensors")
    torch.set_num_threads(cfg.threads)
    try:
        dataset = Dataset(cfg.path)
        demonstrations = Demonstrations(dataset, cfg.sees)
    except DatasetError as error:
        raise UserError(str(error)) from error
    notes = [dataset.notes(episode) for episode in range(dataset.index.episodes)]
    if not all(isinstance(each.get("success"), bool) for each in notes):
        raise UserError(f"{cfg.path}: expected notes of each episode that say success")
    succeeded = [bool(each["success"]) for each in notes]
    arrays, hz = demonstrations.arrays, dataset.index.spec.fps
    try:
        parts = parts_of(demonstrations, succeeded, hz, cfg.learn, seed=cfg.seed)
        with Progress("learn", cfg.learn.steps, "steps") as progress:
            network, found = learn_success(
                arrays, parts, cfg.learn, seed=cfg.seed,
                tell=lambda steps, loss: progress.update(steps, loss=f"{loss:.4f}"),
            )  # fmt: skip
    except PictureError as error:
        raise UserError(f"--sees: {error}") from error
    except ValueError as error:
        raise UserError(f"{cfg.path}: {error}") from error
    with user_input("out", cfg.out):
        save_success(cfg.out, network, arrays, cfg.learn, found.threshold)
    print("\n".join(_lines(found)))
    print(f"{cfg.out}: looks at {', '.join(network.names)}; for --online.judge")
    return 0


def _lines(found: Found) -> list[str]:
    """Say how a classifier does on what it did not learn from."""
    lines = [
        f"held out: it tells success in {found.told} of {found.won} episodes that succeeded, "
        f"{found.early_s:.2f} s before their end, and in {found.wrong} of {found.failed} others",
        f"frames: {100 * found.recall:.1f} % of success above the threshold, separation "
        f"{found.separation:.4f} (1: all of success scores above the rest)",
    ]
    if found.failed == 0:
        lines.append("no episode that failed was held out: what fails late may look like success")
    return lines
