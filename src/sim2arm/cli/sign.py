"""`sim2arm sign BUNDLE --key FILE`: who exported a bundle, provably."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

from tyro.conf import Positional, arg

from sim2arm.core.durable import write_durably
from sim2arm.policies.bundle import MANIFEST, SIGNATURE
from sim2arm.policies.signature import sign
from sim2arm.policies.verify import load_contract

from .errors import UserError, user_input
from .parse import parse
from .ros import find_bundle


@dataclass(frozen=True, kw_only=True)
class SignCfg:
    """Sign a bundle: robots with the public key among their trusted keys run it."""

    bundle: Annotated[Positional[Path], arg(metavar="BUNDLE")]
    """Policy bundle, or a run with one."""
    key: Path
    """Private key of sim2arm keygen."""


def main(argv: Sequence[str]) -> int:
    """Sign a bundle.

    Raises:
        UserError: the bundle is not as it was exported, or the key is none.
    """
    cfg = parse(SignCfg, argv, "sim2arm sign")
    bundle = find_bundle(cfg.bundle)
    with user_input("bundle"):
        load_contract(bundle)  # nobody signs what no robot would run
        manifest = (bundle / MANIFEST).read_bytes()
    with user_input("key"):
        signature = sign(manifest, cfg.key)
    try:
        write_durably(bundle / SIGNATURE, signature)
    except OSError as error:
        raise UserError(f"{bundle / SIGNATURE}: cannot be written: {error.strerror}") from error
    print(f"{bundle / SIGNATURE}: signed")
    return 0
