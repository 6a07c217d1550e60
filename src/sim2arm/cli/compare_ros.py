"""Trials of a comparison through ROS nodes, one at a time, judged by the task or by a person.

Gate and policy stay the same processes: between bundles, and where a person judges between trials,
they are cleaned up and configured anew. The page, the terminal and the topics name trials, never
bundles.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from sim2arm.core.contract import Contract
from sim2arm_ros.launcher import (
    Launch,
    NodeProcess,
    operator_page,
    policy_graph,
    private_domain,
)

from .arm_options import find_graph, find_ros, on_hardware, place_of, secured
from .compare_log import Outcome, TrialLog
from .errors import UserError
from .progress import Progress
from .ros import free_port

if TYPE_CHECKING:
    from sim2arm_ros.supervisor import Supervisor

    from .compare import CompareCfg
    from .compare_arm import SharedArm
    from .compare_person import Person

_EXTRA_S = 5.0
_LOCK_STEP_S = 120.0


def run_through_ros(
    cfg: CompareCfg,
    bundles: Sequence[Path],
    contracts: Sequence[Contract],
    arm: SharedArm | None,
    log: TrialLog,
) -> None:
    """Run the trials that have no outcome yet; `arm` is the simulated one, if it is one.

    Raises:
        UserError: no ROS, nodes that do not come up, or a person who went away.
    """
    find_ros(cfg, real=cfg.where == "robot")
    from sim2arm_ros.supervisor import OperationError, Supervisor

    env = (private_domain() if cfg.where == "sim" else {}) | secured(cfg.keystore)
    logs, place = log.folder / "ros-logs", place_of(cfg)
    widest = max(range(len(bundles)), key=lambda i: len(contracts[i].inputs))
    port = cfg.page_port or free_port("127.0.0.1")
    processes, longest_s = _nodes(cfg, bundles, contracts[0], arm, logs)
    if cfg.page:
        processes.append(operator_page(bundles[widest], place=place, port=port, judge=True,
                                       simulated=cfg.where == "sim"))  # fmt: skip
        print(f"open http://127.0.0.1:{port}")
    try:
        with (
            Launch(processes, log_folder=logs, env=env) as launch,
            Supervisor(alive=launch.dead, env=env, namespace=place.namespace) as supervisor,
        ):
            trials = Trials(cfg, bundles, supervisor, log, longest_s)
            if cfg.judge == "person":
                from sim2arm_ros.trial_desk import TrialDesk

                from .compare_person import Keys, Person

                desk = TrialDesk(supervisor, contracts[widest], place)
                trials.person = Person(supervisor, desk, log, Keys(), cfg)
            trials.run()
    except OperationError as error:
        raise UserError(f"{error}; logs are in {logs}, and the same command goes on") from error


def _nodes(
    cfg: CompareCfg,
    bundles: Sequence[Path],
    contract: Contract,
    arm: SharedArm | None,
    logs: Path,
) -> tuple[list[NodeProcess], float]:
    """Return the processes to start, and the longest trial that a task judges [s]."""
    lock_step, place = cfg.where == "sim" and not cfg.real_time, place_of(cfg)
    found = policy_graph(
        bundles[0], place=place, lock_step=lock_step, sim_time=cfg.where == "sim",
        flights=logs / "flights", calibrations=cfg.calibrations, trusted_keys=cfg.trusted_keys,
    )  # fmt: skip
    if arm is None:
        graph = find_graph(cfg, contract, drives=True)
        return on_hardware(cfg, graph, found), cfg.longest
    from .compare_process import find_task
    from .ros_evaluation import arm_process

    task = find_task(cfg, bundles)
    simulated = arm_process(
        task, contract, logs, lock_step=lock_step, actuators=arm.actuators, vision=arm.vision(),
        touch=arm.pads(), place=place,
    )  # fmt: skip
    longest_s = _LOCK_STEP_S if lock_step else task.cfg.max_steps * contract.period + _EXTRA_S
    return [simulated, *found], longest_s


class Trials:
    """Runs trial after trial."""

    def __init__(
        self,
        cfg: CompareCfg,
        bundles: Sequence[Path],
        supervisor: Supervisor,
        log: TrialLog,
        longest_s: float,
    ) -> None:
        """Prepare; the nodes are not configured yet."""
        self._cfg, self._bundles, self._log = cfg, bundles, log
        self._supervisor, self._longest_s = supervisor, longest_s
        self._used = -1
        self.person: Person | None = None

    def run(self) -> None:
        """Run what is missing."""
        log, supervisor = self._log, self._supervisor
        with Progress("trials", log.plan.trials, "trials") as progress:
            for trial, pair, bundle in log.missing():
                # A person would tell from a trial that begins at once whose it is.
                if bundle != self._used or self.person is not None:
                    supervisor.use_bundle(self._bundles[bundle], fresh=self._used < 0)
                    self._used = bundle
                    if self.person is None:  # a person must hear why not
                        supervisor.activate("gate_node")
                log.add(self._trial(trial, pair))
                progress.update(len(log.outcomes))
        if self.person is not None:
            self.person.over()

    def _trial(self, trial: int, pair: int) -> Outcome:
        from .compare import outcome

        seed = self._log.plan.first_seed + pair
        if self.person is not None:
            reset: Callable[[], Any] = lambda: None  # noqa: E731 - of a robot the person does it
            if self._cfg.where == "sim":
                reset = lambda: self._supervisor.reset_arm(seed)  # noqa: E731
            success, ended = self.person.trial(trial, pair, reset)
            return outcome(trial, success, ended=ended, judge="person")
        episode = self._supervisor.run_episode(seed, self._longest_s)
        ended = episode.ended or f"broken off: {episode.reason}"
        return outcome(trial, episode.success, ended=ended, steps=len(episode.actions))
