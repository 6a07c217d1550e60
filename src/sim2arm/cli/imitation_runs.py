"""Runs of imitation: demonstrations that fit the experiment, the contract, the policy of a run."""

# pyright: standard

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from sim2arm.core.contract import PREFIX, PREFIX_KNOWN, Contract, NoiseSpec, Provenance
from sim2arm.core.durable import write_durably
from sim2arm.core.plain import from_plain
from sim2arm.core.spec import ArraySpec, History
from sim2arm.policies.checkpoint import load_checkpoint, save_checkpoint
from sim2arm.policies.chunks import JOINTS, ChunkPolicy, prefixed
from sim2arm.policies.dataset.files import DatasetError
from sim2arm.policies.dataset.reader import Dataset
from sim2arm.policies.demonstrations import Demonstrations
from sim2arm.policies.imitation import build_policy, deployed_weights, unscaled
from sim2arm.sim.tasks.table import describe_task

from .errors import UserError, user_input
from .imitations import IMITATIONS, ImitateCfg
from .parse import unknown
from .run_record import difference, provenance, read_record, read_run
from .runs import CHECKPOINT, build_task

CONTRACT = "policy.yaml"
"""In a run folder: the contract of the policy that is learnt."""
BEST, SCORE = "best.safetensors", "score"
"""The checkpoint whose trial was best, and what in it says how good."""
FREE: dict[str, Any] = {
    "steps": 1, "target_success": 0.0, "threads": 1, "out": None, "resume": False
}  # fmt: skip
"""Settings that may change when a run goes on."""


def read_imitation(folder: Path) -> tuple[str, ImitateCfg]:
    """Return experiment and configuration of a run of imitation.

    Raises:
        UserError: there is none.
    """
    return read_run(folder, IMITATIONS, {"held_out": 2})


def is_imitation(folder: Path) -> bool:
    """Return whether a run folder is of imitation.

    Raises:
        UserError: there is no run.
    """
    return read_record(folder)["experiment"] in IMITATIONS


def other_imitation(folder: Path, experiment: str, cfg: ImitateCfg) -> str:
    """Return in what the run of a folder differs from one that would go on with it, or ""."""
    return difference(read_imitation(folder), (experiment, cfg), FREE)


def open_demonstrations(cfg: ImitateCfg) -> tuple[Demonstrations, Contract]:
    """Return the demonstrations of an experiment, and the contract of a policy of them.

    Raises:
        UserError: there are none, they are of another task or arm, or they lack what is seen.
    """
    dataset = _open(cfg)
    count = cfg.episodes
    if cfg.task is None and count is None:
        count = dataset.index.episodes - cfg.held_out
        if count < 1:
            raise UserError(
                f"{dataset.root}: expected {cfg.held_out + 1} episodes or more (--held-out), got "
                f"{dataset.index.episodes}"
            )
    base = _contract_of(dataset, cfg)
    try:
        demonstrations = Demonstrations(dataset, _names(cfg, base), count)
    except DatasetError as error:
        raise UserError(str(error)) from error
    return demonstrations, _contract(base, cfg, demonstrations)


def open_held_out(cfg: ImitateCfg, sees: Sequence[str]) -> Demonstrations:
    """Return the demonstrations that are not learnt from, where there is no task.

    Raises:
        UserError: there are none.
    """
    dataset = _open(cfg)
    first = dataset.index.episodes - cfg.held_out
    if first < (cfg.episodes or 1):
        raise UserError(
            f"{dataset.root}: {dataset.index.episodes} episodes are not enough to hold "
            f"{cfg.held_out} out: record more, or pass less as --episodes"
        )
    try:
        return Demonstrations(dataset, sees, first=first)
    except DatasetError as error:
        raise UserError(str(error)) from error


def _open(cfg: ImitateCfg) -> Dataset:
    root, name = Path(cfg.data), "TASK"
    if not (root / "meta" / "info.json").is_file():
        if cfg.task is not None:
            name = describe_task(build_task(cfg))[0]
        words = f"sim2arm record {name} --out {root} --episodes 50"
        words += "".join(
            f" --{key} {value}"
            for key, value in (("robot", cfg.robot), ("cameras", cfg.cameras), ("touch", cfg.touch))
            if value != getattr(ImitateCfg, key, None)
        )
        raise UserError(f"--data {root}: no demonstrations there: {words}")
    try:
        return Dataset(root)
    except DatasetError as error:
        raise UserError(str(error)) from error


def _contract_of(dataset: Dataset, cfg: ImitateCfg) -> Contract:
    documents = dataset.index.spec.documents
    if "contract" not in documents:
        raise UserError(f"{dataset.root}: expected a dataset of sim2arm record or convert")
    contract = from_plain(Contract, documents["contract"])
    wanted, given = {"robot": cfg.robot}, {"robot": contract.robot}
    if cfg.task is not None:
        if "setting" not in documents:
            raise UserError(
                f"{dataset.root}: it was not recorded in simulation: train act or diffusion, which "
                "ask for no task"
            )
        name = describe_task(build_task(cfg))[0]
        wanted |= {"task": name, "cameras": cfg.cameras, "touch": cfg.touch}
        given |= documents["setting"]
    for name, value in wanted.items():
        if given.get(name) != value:
            raise UserError(
                f"{dataset.root}: recorded with {name} {given.get(name)}, expected {value}: record "
                f"others, or say --{name} {given.get(name)}"
            )
    return contract


def _names(cfg: ImitateCfg, base: Contract) -> tuple[str, ...]:
    """Return what the policy sees."""
    known = [spec.name for spec in base.inputs]
    for name in cfg.learn.sees:
        if name not in known:
            raise UserError(f"--learn.sees: {unknown('array', name, known)}")
    if cfg.learn.sees and JOINTS not in cfg.learn.sees:
        raise UserError(f"--learn.sees: expected {JOINTS} among them: nodes go by its stamps")
    return cfg.learn.sees or tuple(known)


def _contract(base: Contract, cfg: ImitateCfg, demonstrations: Demonstrations) -> Contract:
    algo = cfg.algo
    history = History(of="ticks", n=algo.history) if algo.history > 1 else None
    inputs = [
        replace(spec, history=history) for spec in base.inputs if spec.name in demonstrations.arrays
    ]
    horizon = algo.chunk - algo.past
    noises = algo.noises(base.action.dim)
    shapes = {PREFIX: (horizon, base.action.dim), PREFIX_KNOWN: (horizon,)}
    if prefixed(algo):
        inputs += [ArraySpec(name=n, kind="prefix", shape=shape) for n, shape in shapes.items()]
    inputs += [
        ArraySpec(name=name, kind="noise", shape=shape, unit="1") for name, shape in noises.items()
    ]
    return replace(
        base,
        inputs=tuple(inputs),
        noise=NoiseSpec(sampler_steps=algo.sampler_steps) if noises else None,
        action=replace(base.action, horizon=horizon),
        executor=cfg.executor,
        provenance=Provenance(experiment=""),
    )


def joints_of(contract: Contract) -> tuple[int, ...]:
    """Return of each element of an action its joint, -1 for a gripper's."""
    names = contract.all_joint_names
    return tuple(
        names.index(name) if name in names else -1 for name in contract.action.element_names
    )


def keep_best(folder: Path, state: dict[str, Tensor], score: float) -> None:
    """Keep a checkpoint beside the last one if none before it was better.

    Args:
        folder: of the run.
        state: of the learner.
        score: of its trial; more is better.

    Raises:
        UserError: the one before is damaged.
    """
    path = folder / BEST
    with user_input("checkpoint", path):
        known = load_checkpoint(path)[SCORE] if path.is_file() else None
    if known is None or score >= float(known):
        save_checkpoint(path, state | {SCORE: torch.tensor(score, dtype=torch.float64)})


def write_contract(folder: Path, contract: Contract) -> None:
    """Write the contract of a run into its folder."""
    with user_input("run", folder):
        write_durably(folder / CONTRACT, contract.to_yaml().encode())


def restore_imitation(folder: Path) -> tuple[ChunkPolicy, Contract, ImitateCfg]:
    """Return the policy of a run, its contract and its settings; no demonstrations are needed.

    Of the policies that were tried it is the best one, the last of those that were alike: who
    learns longer from demonstrations may act worse. Evaluations have other seeds than trials.

    Raises:
        UserError: no run, no checkpoint, or one that is damaged or of another version.
    """
    _, cfg = read_imitation(folder)
    with user_input("run", folder / CONTRACT):
        text = (folder / CONTRACT).read_text(encoding="utf-8")
        contract = Contract.from_yaml(text, str(folder / CONTRACT))
    checkpoint = folder / (BEST if (folder / BEST).is_file() else CHECKPOINT)
    with user_input("checkpoint", checkpoint):
        state = load_checkpoint(checkpoint)
    arrays = {
        spec.name: torch.zeros((2, *spec.shape), dtype=getattr(torch, spec.dtype))
        for spec in contract.observations
        if spec.kind != "prefix"
    }
    action = contract.action
    bounds = action.low, action.high
    scaled = unscaled(cfg.algo, cfg.learn, action.dim)
    policy = build_policy(cfg.algo, cfg.learn, arrays, scaled, bounds, joints_of(contract))
    try:
        policy.load_state_dict(deployed_weights(state))
    except (RuntimeError, KeyError) as error:
        reason = str(error).splitlines()[-1].strip()
        raise UserError(f"{checkpoint} is not of this version ({reason}); train again") from error
    origin = provenance(folder, int(state["steps"]))
    return policy.eval(), replace(contract, provenance=origin), cfg
