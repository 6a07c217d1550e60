"""`sim2arm import rsl-rl CHECKPOINT --out BUNDLE`: the actor of a checkpoint of rsl_rl.

A checkpoint has weights and nothing else, so everything around them is said by options or in the
file of `--contract`. It is read by a process of its own, which hands over plain tensors.
"""

# pyright: standard

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, Literal

from tyro.conf import Positional, arg

from sim2arm.policies.foreign.files import read_file
from sim2arm.policies.foreign.rsl_rl import read_rsl_rl

from .outputs import check_bundle
from .parse import parse
from .policy_asks import ActionKind, Asks, FlatPart, SaidCfg
from .policy_contract import ask_arm
from .policy_flat import ask_flat, import_flat
from .policy_import import foreign_input, origin_of, show

Activation = Literal[
    "elu", "selu", "relu", "crelu", "lrelu", "tanh", "sigmoid", "softplus", "gelu", "swish", "mish",
    "identity",
]  # fmt: skip


@dataclass(frozen=True, kw_only=True)
class ImportRslRlCfg:
    """Make a bundle of a checkpoint of rsl_rl."""

    path: Annotated[Positional[Path], arg(metavar="CHECKPOINT")]
    """The file, model_N.pt."""
    activation: Activation | None = None
    """Between the layers of the actor."""
    action_kind: ActionKind | None = None
    """joint_position: default positions plus scaled actions; ee_delta: steps of the tool."""
    said: Annotated[SaidCfg, arg(name="")]
    flat: Annotated[FlatPart, arg(name="")] = field(default_factory=FlatPart)


def main(argv: Sequence[str]) -> int:
    """Parse the arguments, import and print what became of it."""
    cfg = parse(ImportRslRlCfg, argv, "sim2arm import rsl-rl")
    check_bundle(cfg.said.out, overwrite=cfg.said.overwrite)
    with foreign_input(cfg.path):
        origin = origin_of("rsl-rl", cfg.path, read_file(cfg.path))
        asks = Asks(cfg.said)
        arm = ask_arm(asks, cfg.path.name)
        if cfg.activation is None:
            asks.miss("activation", "--activation NAME")
        sayings = {"--action-kind": cfg.action_kind, "--contract": asks.part.action.kind}
        kind = asks.find("action.kind", "--action-kind", sayings, "joint_position or ee_delta")
        flat = ask_flat(asks, cfg.flat, kind, cfg.path.name, FlatPart())
        asks.finish()
        activation = str(cfg.activation)
        contract, report = import_flat(
            asks, arm, flat, origin, cfg.said.out, lambda: read_rsl_rl(cfg.path, activation)
        )
    show(asks, contract, report)
    return 0
