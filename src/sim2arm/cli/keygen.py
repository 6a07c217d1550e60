"""`sim2arm keygen FILE`: the keys with which bundles are signed."""

from __future__ import annotations

import getpass
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

from tyro.conf import Positional, arg

from sim2arm.policies.signature import make_key

from .errors import user_input
from .parse import parse


@dataclass(frozen=True, kw_only=True)
class KeygenCfg:
    """Make a pair of keys: sign bundles with the private one, give robots the public line."""

    path: Annotated[Positional[Path], arg(metavar="FILE")]
    """The private key; the public one goes beside it, with .pub. Neither is overwritten."""
    name: str = ""
    """Who signs with it, letters, digits and . @ + - _; by default the user of this machine."""


def main(argv: Sequence[str]) -> int:
    """Make a pair of keys.

    Raises:
        UserError: a file is there already or cannot be written, or the name is none.
    """
    cfg = parse(KeygenCfg, argv, "sim2arm keygen")
    with user_input("key"):
        public, line = make_key(cfg.path, cfg.name or getpass.getuser())
    print(f"{cfg.path}: private, keep it to yourself; signs with: sim2arm sign BUNDLE --key")
    print(f"{public}: public; add its line to the file of trusted keys of each robot:\n{line}")
    return 0
