"""`sim2arm compare BUNDLE BUNDLE ...`: which policy is better, on the same starts, blind.

Every start is run once by every bundle, in an order that is drawn and not told. In simulation the
task says how a trial ended; where a person says it, by key or on the operator's page, the person
does not know whose trial it was. Each outcome is on the disk before the next trial begins; the
same command again goes on.
"""

from __future__ import annotations

import secrets
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

from tyro.conf import Positional, arg

from sim2arm.core.contract import Contract
from sim2arm.core.durable import hash_file
from sim2arm.policies.bundle import CONTRACT, MANIFEST
from sim2arm.policies.signature import read_trusted_keys
from sim2arm.policies.verify import load_contract

from .compare_log import Outcome, Plan, TrialLog, utc_now
from .compare_report import rows_of, write_page
from .errors import UserError, user_input
from .outputs import check_file, check_folder
from .pair_tests import LEVEL, POWER, independent, pairs_needed
from .parse import parse
from .table import format_results, write_results

if TYPE_CHECKING:
    from .compare_arm import SharedArm

FIRST_SEED = 1_000_000
"""Starts are those of `sim2arm eval`."""


@dataclass(frozen=True, kw_only=True)
class CompareCfg:
    """Compare bundles on the same starts, blind and in random order."""

    bundles: Annotated[Positional[tuple[Path, ...]], arg(metavar="BUNDLE BUNDLE [BUNDLE ...]")]
    """Policy bundles, or runs with one, of one robot."""
    out: Path
    """Folder of the comparison; with one that was broken off it goes on."""
    pairs: int = 50
    """Starts; each is run once by every bundle."""
    difference: float = 0.2
    """Difference of success rates that matters: how many pairs find it is said beforehand."""
    where: Literal["process", "sim", "robot"] = "process"
    """process: the simulated arm in this process; sim: through ROS nodes in front of a simulated
    arm; robot: through ROS nodes in front of a robot."""
    real_time: bool = False
    """sim: every node keeps its own time; without it the arm waits for commands."""
    judge: Literal["task", "person"] = "task"
    """Who says how a trial ended: the task of the simulation, or a person by key or on the page."""
    task: str = ""
    """Task of the simulated arm; that of the training by default."""
    settings: Path | None = None
    """YAML file with the settings of --task."""
    actuators: str = ""
    """What is between low-level law and joints of the simulated arm; as in all trainings by
    default."""
    cameras: str = ""
    """Cameras of the simulated arm, a name of `sim2arm list`; as in all trainings by default."""
    touch: str = ""
    """Gels of the simulated arm; as in all trainings by default."""
    calibrations: tuple[Path, ...] = ()
    """Records of the cameras: on a robot policies compare them with their training, a simulated
    arm has them; without, those of all trainings."""
    robot: str = ""
    """What the robot calls its topics, controllers and modes: fr3, so101, ur5e, or the path of such
    a file; without it what the graph says alone. With --where sim the simulated arm has them."""
    graph: Path | None = None
    """graph.yaml of the set-up; without it the one of the package."""
    prefix: str = ""
    """Of the robot's joints and frames, `left_` for example."""
    namespace: str = ""
    """Of this arm's nodes and topics, `left` for example."""
    port: str = ""
    """Serial port of a robot that our own node drives (so101)."""
    servos: Path | None = None
    """YAML file with ids, signs and zeros of its servos; those of LeRobot's calibration without."""
    trusted_keys: Path | None = None
    """File of public keys (sim2arm keygen): bundles must be signed with one of them."""
    keystore: Path | None = None
    """robot: SROS 2 keystore (docker/scripts/make_keystore)."""
    page: bool = False
    """A person judges on the operator's page, too."""
    page_port: int = 8080
    """Of the page; 0 takes any that is free."""
    longest: float = 60.0
    """A trial that a person judges ends after this time [s]."""
    num_arms: int = 50
    """process: trials that run together."""
    order_seed: int = -1
    """Of the order of the bundles; below 0: drawn."""
    allow_fallback: bool = False
    """robot: allow the DDS fallback in place of a ROS 2 installation."""
    json: Path | None = None
    """Write the rows there, too; the folder has them in report.json."""


def main(argv: Sequence[str]) -> int:
    """Parse the arguments and run."""
    cfg = parse(CompareCfg, argv, "sim2arm compare")
    check(cfg)
    bundles = [find_bundle(path) for path in cfg.bundles]
    contracts = check_bundles(bundles, cfg.trusted_keys)
    arm = None
    if cfg.where != "process":
        from .arm_options import find_graph

        for contract in contracts:
            find_graph(cfg, contract, drives=cfg.where == "robot")
    if cfg.where != "robot":
        from .compare_arm import find_arm
        from .compare_process import find_task

        arm = find_arm(cfg, bundles, contracts, find_task(cfg, bundles))
    plan = make_plan(cfg, bundles, arm)
    print(said_before(plan, cfg.difference))
    log = TrialLog(cfg.out, plan)
    try:
        left = log.missing()
        if len(left) < plan.trials:
            print(f"{plan.trials - len(left)} of {plan.trials} trials are there: going on")
        if left:
            run(cfg, bundles, contracts, arm, log)
    finally:
        log.close()
    rows = rows_of(log.plan, log.outcomes, log.repeats)
    print(format_results(rows))
    write_results(cfg.out / "report.json", "compare", rows)
    if cfg.json is not None:
        write_results(cfg.json, "compare", rows)
    page = write_page(cfg.out, log.plan, log.outcomes, cfg.difference, log.repeats)
    print(f"report: {page}")
    return 0


def check(cfg: CompareCfg) -> None:
    """Refuse options that do not go together.

    Raises:
        UserError: one line.
    """
    if len(cfg.bundles) < 2:
        raise UserError(f"expected two bundles or more, got {len(cfg.bundles)}")
    if min(cfg.pairs, cfg.num_arms) < 1 or cfg.longest <= 0:
        raise UserError("--pairs and --num-arms must be 1 or more, --longest above 0")
    if not 0.0 < cfg.difference <= 1.0:
        raise UserError(f"--difference: expected above 0 to 1, got {cfg.difference:g}")
    if cfg.where == "robot" and cfg.judge == "task":
        raise UserError("--where robot: a robot does not say how a trial ended: --judge person")
    if cfg.where == "process" and cfg.judge == "person":
        raise UserError("--judge person: in process nobody sees a trial: --where sim or robot")
    if cfg.where != "sim" and cfg.real_time:
        raise UserError("--real-time: leave it out, or pass --where sim")
    if cfg.judge == "person" and cfg.where == "sim" and not cfg.real_time:
        raise UserError("--judge person: a person sees the arm in real time: pass --real-time")
    if cfg.where == "robot" and (cfg.task or cfg.settings):
        raise UserError("--task and --settings are of simulated arms")
    if cfg.settings is not None and not (cfg.task and cfg.settings.is_file()):
        raise UserError("--settings: expected a file, and --task TASK with it")
    if cfg.page and cfg.judge != "person":
        raise UserError("--page: nobody is asked: pass --judge person")
    check_arm(cfg)
    check_folder("--out", cfg.out)
    check_file("--json", cfg.json)
    if cfg.page:
        from .ros_checks import check_page

        check_page("127.0.0.1", cfg.page_port, "--page-port")


def check_arm(cfg: CompareCfg) -> None:
    """Refuse options of another arm than the one that is there.

    Raises:
        UserError: one line.
    """
    from .ros_checks import check_arm_options, check_keystore

    for name, places in (
        *((name, ("process", "sim")) for name in ("actuators", "cameras", "touch")),
        *((name, ("sim", "robot")) for name in ("robot", "graph", "prefix", "namespace")),
        *((name, ("robot",)) for name in ("port", "servos", "keystore")),
    ):
        if getattr(cfg, name) and cfg.where not in places:
            raise UserError(f"--{name}: leave it out, or pass --where {' or '.join(places)}")
    if cfg.page and cfg.namespace:
        raise UserError("--namespace: the page shows one arm: leave one out")
    check_arm_options(cfg)
    if cfg.keystore is not None:
        check_keystore(cfg.keystore, ["gate_node", "policy_node"])
    if cfg.where == "robot" and not (cfg.robot or cfg.graph):
        raise UserError(
            "--where robot: which? The graph of the package watches no robot's modes: pass --robot "
            "NAME, or the --graph of the set-up"
        )


def find_bundle(path: Path) -> Path:
    """Return the bundle that a path means.

    Raises:
        UserError: neither a bundle nor a run with one.
    """
    for folder in (path, path / "bundle"):
        if (folder / CONTRACT).is_file():
            return folder
    raise UserError(f"{path} is neither a bundle nor a run with one: run sim2arm export first")


def check_bundles(bundles: Sequence[Path], keys: Path | None = None) -> list[Contract]:
    """Return the contracts of bundles that can be compared; `keys` must have signed them.

    Raises:
        UserError: one is damaged or not signed, or they are of other robots or rates.
    """
    with user_input("trusted keys"):
        trusted = read_trusted_keys(keys) if keys else None
    contracts: list[Contract] = []
    for bundle in bundles:
        with user_input("bundle"):
            contracts.append(load_contract(bundle, trusted))
    first = contracts[0]
    for bundle, contract in zip(bundles, contracts, strict=True):
        for name in ("robot", "control_hz"):
            then, now = getattr(first, name), getattr(contract, name)
            if then != now:
                raise UserError(
                    f"{bundle}: {name} is {now}, that of {bundles[0]} is {then}: they have no "
                    "trial in common"
                )
    return contracts


def make_plan(cfg: CompareCfg, bundles: Sequence[Path], arm: SharedArm | None = None) -> Plan:
    """Return what is compared, on which simulated arm if it is one; the order is drawn."""
    parts = [cfg.where, f"judge {cfg.judge}"]
    parts += ["real time"] if cfg.real_time else []
    parts += [f"task {cfg.task}"] if cfg.task else []
    parts += [f"settings {hash_file(cfg.settings)[:12]}"] if cfg.settings else []
    for name in ("robot", "graph", "prefix", "namespace"):
        parts += [f"{name} {getattr(cfg, name)}"] if getattr(cfg, name) else []
    parts += [] if arm is None else arm.words()
    if arm is None and cfg.calibrations:
        hashes = sorted(hash_file(path)[:12] for path in cfg.calibrations)
        parts.append(f"calibrations {' '.join(hashes)}")
    return Plan(
        bundles=tuple(str(bundle) for bundle in bundles),
        hashes=tuple(hash_file(bundle / MANIFEST) for bundle in bundles),
        pairs=cfg.pairs,
        first_seed=FIRST_SEED,
        order_seed=cfg.order_seed if cfg.order_seed >= 0 else secrets.randbelow(2**31),
        setting=", ".join(parts),
    )


def said_before(plan: Plan, difference: float) -> str:
    """Return how many pairs the difference needs, beside how many there will be."""
    # Of several comparisons the strictest has the level divided by their number (Holm's first).
    count = len(plan.bundles) * (len(plan.bundles) - 1) // 2
    share = independent(difference)
    needed = pairs_needed(difference, share, LEVEL / count)
    points = f"{100 * difference:g} points"
    many = f"{needed} pairs" if needed else "more than 1000 pairs"
    verdict = "enough" if needed is not None and plan.pairs >= needed else "too few"
    return (
        f"{len(plan.bundles)} bundles, {plan.pairs} pairs, {plan.trials} trials. A difference of "
        f"{points} is found with {100 * POWER:g} % chance at a level of {100 * LEVEL:g} % by "
        f"{many}, if starts say nothing about outcomes; by fewer, if they do. These are {verdict}."
    )


def run(
    cfg: CompareCfg,
    bundles: Sequence[Path],
    contracts: Sequence[Contract],
    arm: SharedArm | None,
    log: TrialLog,
) -> None:
    """Run the trials that have no outcome yet; `arm` is the simulated one, if it is one."""
    if cfg.where == "process":
        from .compare_process import run_in_process

        assert arm is not None
        run_in_process(cfg, bundles, arm, log)
    else:
        from .compare_ros import run_through_ros

        run_through_ros(cfg, bundles, contracts, arm, log)


def outcome(
    trial: int, success: bool, *, ended: str, steps: int = 0, judge: str = "task"
) -> Outcome:
    """Return the outcome of a trial that ended now."""
    return Outcome(
        trial=trial, success=success, ended=ended, steps=steps, judge=judge, at=utc_now()
    )  # fmt: skip
