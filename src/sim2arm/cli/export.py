"""`sim2arm export RUN`: make a bundle of a run's policy: ONNX, contract, golden sequences."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Annotated, cast

import numpy as np
import torch
from tyro.conf import Positional, arg

from sim2arm.core.contract import Provenance
from sim2arm.policies.actor import ExportedActor, forget
from sim2arm.policies.bundle import BundleError
from sim2arm.policies.export import ExportError, ExportReport, export_bundle
from sim2arm.policies.ppo import PpoCfg
from sim2arm.sim.contract import make_contract
from sim2arm.sim.env import Env

from .errors import UserError
from .imitation_runs import is_imitation, restore_imitation
from .imitation_trial import trial_of
from .outputs import check_bundle
from .parse import parse
from .run_record import provenance
from .runs import Learner, restore

DEEP = 1e-4
"""Largest difference of transformers and samplers, in units of the action range: float32 rounds in
hundreds of sums, in another order in each runtime (1.1e-5 was seen of an ACT policy)."""
RECORDED = 256
"""Steps of each recorded sequence."""


@dataclass(frozen=True, kw_only=True)
class ExportCfg:
    """Make a bundle of a run's policy."""

    run: Annotated[Positional[Path], arg(metavar="RUN")]
    """Run folder."""
    out: Path | None = None
    """Folder of the bundle; RUN/bundle by default."""
    overwrite: bool = False
    """Replace a bundle that is there."""
    success: float | None = None
    """Measured success, for the provenance."""


def main(argv: Sequence[str]) -> int:
    """Parse the arguments and run."""
    cfg = parse(ExportCfg, argv, "sim2arm export")
    report = export(cfg)
    print(
        f"{report.path}: {report.onnx_bytes} bytes, parity {report.parity_max_abs:.1e} of the "
        f"action range over {report.parity_steps} steps"
    )
    return 0


def export(cfg: ExportCfg) -> ExportReport:
    """Export the policy of a run.

    Raises:
        UserError: no run there, what may not be replaced, or a policy that cannot be exported.
    """
    out = cfg.out or cfg.run / "bundle"
    _check(cfg, out)
    if is_imitation(cfg.run):
        return _export_imitation(cfg, out)
    learner, train_cfg = restore(cfg.run, num_envs=4)
    if isinstance(train_cfg.algo, PpoCfg) and train_cfg.algo.sees != "actor":
        raise UserError(
            f"{cfg.run}: its policy sees what no robot knows: train a student of it, with --teacher"
        )
    steps = learner.iteration * train_cfg.algo.rollout * train_cfg.num_envs
    origin = replace(provenance(cfg.run, steps), success=cfg.success)
    try:
        return export_learner(learner, origin, out, overwrite=cfg.overwrite)
    except (ExportError, BundleError) as error:
        raise UserError(f"{cfg.run}: {error}") from error


def export_learner(
    learner: Learner, origin: Provenance, out: Path, *, overwrite: bool = False
) -> ExportReport:
    """Export what a learner has learnt; sequences are of episodes that it drives itself.

    Raises:
        ExportError, BundleError: it cannot be exported.
    """
    env, actor = cast(Env, learner.env), learner.actor
    contract = replace(make_contract(env, origin), states=actor.states)
    module = ExportedActor(actor)
    names = [spec.name for spec in contract.observations]
    frames: list[dict[str, np.ndarray]] = []
    obs, memory = env.reset(), actor.start(env.num_envs, env.device)
    with torch.no_grad():
        for _ in range(RECORDED):
            frames.append({name: obs[name].numpy().copy() for name in names})
            chunk, memory = module(obs, memory, {})
            obs, _, terminated, truncated, _ = env.step(chunk[:, 0])
            memory = forget(memory, terminated | truncated)
    sequences = [
        {name: np.stack([frame[name][row] for frame in frames]) for name in names}
        for row in range(env.num_envs)
    ]
    return export_bundle(module, contract, sequences, out, overwrite=overwrite)


def _export_imitation(cfg: ExportCfg, out: Path) -> ExportReport:
    """Export a policy of demonstrations; sequences are of episodes that it drives itself."""
    policy, contract, settings = restore_imitation(cfg.run)
    origin = replace(contract.provenance, success=cfg.success)
    contract = replace(contract, provenance=origin)
    sequences = trial_of(settings, contract).frames(policy, RECORDED)
    try:
        return export_bundle(
            policy, contract, sequences, out, parity_tolerance=DEEP, overwrite=cfg.overwrite
        )
    except (ExportError, BundleError) as error:
        raise UserError(f"{cfg.run}: {error}") from error


def _check(cfg: ExportCfg, out: Path) -> None:
    """Refuse what cannot be written, or must not be replaced."""
    if cfg.success is not None and not 0.0 <= cfg.success <= 1.0:
        raise UserError(f"--success must lie in 0 to 1, got {cfg.success}")
    check_bundle(out, overwrite=cfg.overwrite)
