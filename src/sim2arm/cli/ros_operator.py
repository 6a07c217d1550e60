"""What `sim2arm ros up` does with running nodes: bring up, watch, stop; every error one line."""

from __future__ import annotations

import time
from collections.abc import Mapping
from types import TracebackType

import numpy as np

from sim2arm_ros.activation import format_items, problems
from sim2arm_ros.launcher import Launch, Place
from sim2arm_ros.supervisor import OperationError, Supervisor

from .errors import UserError
from .state_line import StateLine

_EPISODE_S = 120.0
"""Longest simulated episode [s]."""
_STOP_S = 3.0
"""Time in which a policy must answer that it stops [s]; the gate stops the arm without it too."""


class Operator:
    """Operates policy and gate for a person who looks at the screen."""

    def __init__(
        self,
        launch: Launch,
        line: StateLine,
        *,
        env: Mapping[str, str],
        patience_s: float,
        asker: str = "policy_node",
        place: Place | None = None,
    ) -> None:
        """Join the domain of running nodes.

        Args:
            launch: the processes; the first that ends is an error.
            line: where to say how things stand.
            env: ROS_DOMAIN_ID and the like, of the processes.
            patience_s: how long an activation may stay red [s].
            asker: the node that asks the gate; it may run on another machine.
            place: which arm it is.
        """
        self._launch, self._line, self._place = launch, line, place or Place()
        self._shown: set[str] = set()
        self._waiting, self._stopping = "starting", False
        self._supervisor: Supervisor | None = None
        self._supervisor = Supervisor(
            alive=self._watch, env=env, asker=asker, namespace=self._place.namespace
        )
        self._supervisor.patience_s = patience_s

    @property
    def supervisor(self) -> Supervisor:
        """The one that talks to the nodes."""
        assert self._supervisor is not None  # while it is being made only
        return self._supervisor

    def bring_up(self) -> None:
        """Configure gate and policy, activate the gate.

        Raises:
            UserError: a node refuses, with its reasons, or has ended.
        """
        try:
            for node in ("gate_node", self.supervisor.asker):
                self._waiting = f"configuring {node}"
                if (
                    self._place.label(node) not in self._launch.processes
                ):  # on another machine: used before, perhaps
                    self.supervisor.renew(node)
                if not self.supervisor.transition(node, "configure"):
                    said = self._last_word(self._place.label(node), "not configured")
                    raise UserError(f"{node}: {said}")
            self._waiting = "activating gate_node"
            self.supervisor.activate("gate_node")
            self._waiting = ""
        except OperationError as error:
            raise self._explain(error) from error

    def run_policy(self, duration_s: float) -> None:
        """Run the policy until it stops or the time is over (0: for ever).

        Raises:
            UserError: the policy stopped, with the reason; or a node has ended.
        """
        supervisor = self.supervisor
        try:
            supervisor.policy = {}
            supervisor.activate(supervisor.asker)
            end = time.monotonic() + duration_s

            def over() -> bool:
                late = duration_s > 0 and time.monotonic() > end
                return (
                    late or bool(supervisor.lost()) or supervisor.policy.get("phase") == "STOPPED"
                )

            supervisor.spin_until(over, float("inf"), "end")
        except OperationError as error:
            raise self._explain(error) from error
        if supervisor.lost():
            raise UserError(f"the arm stands: {supervisor.lost()}")
        if supervisor.policy.get("phase") == "STOPPED":
            who = "hand" if supervisor.asker == "teleop_node" else "policy"
            raise UserError(f"the {who} stopped: {supervisor.policy_message}")

    def watch(self, duration_s: float) -> None:
        """Watch until the time is over (0: for ever); the person starts and holds on the page.

        Raises:
            UserError: a node that is needed has ended.
        """
        supervisor, end = self.supervisor, time.monotonic() + duration_s
        try:
            supervisor.spin_until(
                lambda: duration_s > 0 and time.monotonic() > end, float("inf"), "end"
            )
        except OperationError as error:
            raise self._explain(error) from error

    def run_episodes(self, seed: int, episodes: int, duration_s: float) -> None:
        """Run simulated episodes (0: until the time is over; both 0: for ever).

        Raises:
            UserError: a node refuses or has ended.
        """
        end = time.monotonic() + duration_s if duration_s > 0 else float("inf")
        solved = done = 0
        self._waiting = ""
        while (not episodes or done < episodes) and time.monotonic() < end:
            try:
                longest = min(_EPISODE_S, end - time.monotonic())
                log = self.supervisor.run_episode(seed + done, longest)
            except OperationError as error:
                raise self._explain(error) from error
            solved, done = solved + log.success, done + 1
            word = "success" if log.success else "failure"
            reason = f": {log.reason}" if log.reason else ""
            self._line.note(
                f"seed {log.seed}: {word} after {log.steps} steps{reason}  "
                f"missed {log.missed}  late {log.late}  slowed {log.slowed}  "
                f"refused {log.refused}"
                f"{_latency(log.latency_s)}"
            )
        self._line.note(f"{solved} of {done} episodes succeeded")

    def stop(self) -> None:
        """Deactivate the policy, wait until the gate holds the arm; say how it went."""
        supervisor = self.supervisor
        if supervisor.gate.get("state") != "ACTIVE":
            return
        self._waiting, self._stopping = "stopping", True
        ended = self._launch.dead()
        if any(line.startswith(self._place.label("gate_node")) for line in ended):
            self._line.note("gate_node has ended: the last trajectory ends at rest")
            return
        try:
            supervisor.transition(supervisor.asker, "deactivate", _STOP_S)
        except OperationError as error:
            self._line.note(f"{supervisor.asker} does not answer ({error}); the gate stops the arm")
        try:
            supervisor.spin_until(lambda: supervisor.gate.get("state") != "ACTIVE", _STOP_S, "stop")
            self._line.note(
                f"stopped: gate {supervisor.gate['state']}, {supervisor.gate['reason']}"
            )
        except OperationError as error:
            self._line.note(
                f"gate_node does not answer ({error}): its last trajectory ends at rest"
            )

    def watch_beside(self) -> None:
        """Show how things stand until the process ends or Ctrl-C: another machine operates.

        Raises:
            UserError: a node has ended.
        """
        self._line.note("operated from the other machine: sim2arm ros up --without policy")
        self._waiting = ""
        try:
            self.supervisor.spin_until(lambda: False, float("inf"), "end")
        except OperationError as error:
            raise self._explain(error) from error

    # -- private -------------------------------------------------------------------------------

    def _watch(self) -> list[str]:
        """Show how things stand; return what has ended. The supervisor asks while it waits."""
        if self._supervisor is not None:
            for node, items in self._supervisor.reports.items():
                if node not in self._shown and all(item.ok for item in items):
                    self._show_report(node)
            self._note_recorder(self._supervisor.recorder_error)
            text, key = self._state(self._supervisor)
            self._line.show(text, key)
        return [] if self._stopping else self._dead()

    def _dead(self, *, needed: bool = True) -> list[str]:
        """Return one line per process that has ended, with what it said about it."""
        lines: list[str] = []
        for line in self._launch.dead(needed=needed):
            name = line.split()[0]
            said = (
                "" if (self._launch.processes[name].returncode or 0) < 0 else self._last_word(name)
            )
            lines.append(f"{line}: {said}" if said else line)
        return lines

    def _note_recorder(self, error: str) -> None:
        """Say once that nothing is recorded, or shown, any more; the arm goes on."""
        for line in [*self._dead(needed=False), *([error] if error else [])]:
            if line not in self._shown:
                self._shown.add(line)
                page = line.startswith("operator_node")
                what = "the page has ended, Ctrl-C stops the arm" if page else "recording has ended"
                self._line.note(f"{what}: {line}")

    def _show_report(self, node: str) -> None:
        self._shown.add(node)
        self._line.note(f"\n{node}\n{format_items(self.supervisor.reports[node])}\n")

    def _state(self, supervisor: Supervisor) -> tuple[str, object]:
        """Return the state line, and what of it matters."""
        gate, phase = supervisor.gate, supervisor.policy.get("phase", "-")
        state = gate.get("state", "-")
        reason = gate.get("reason", "")
        if phase != "RUNNING":
            reason = self._waiting or supervisor.policy_message or reason
            red = [line for items in supervisor.reports.values() for line in problems(items)]
            reason = f"waiting for {red[0]}" if red else reason
        names = ("missed", "late", "slowed", "refused")
        counts = [f"{name} {gate.get(name, '0')}" for name in names]
        latency = _latency(list(supervisor.recent_latency_s))
        who = f"policy {phase}"
        if supervisor.asker == "teleop_node":
            who = f"hand {supervisor.policy.get('hand', phase)}"
        text = f"gate {state}  {who}{latency}  {'  '.join(counts)}  {reason}"
        return text.rstrip(), (state, who, reason)

    def _last_word(self, node: str, having: str = "") -> str:
        """Return the last line of a node's log, from `having` on."""
        lines = [line for line in self._launch.tail(node, 20).splitlines() if having in line]
        if not lines:
            return "" if not having else f"{having}; its log says why"
        return lines[-1][lines[-1].index(having) :].strip()

    def _explain(self, error: OperationError) -> UserError:
        for node, items in self.supervisor.reports.items():
            if problems(items):
                self._show_report(node)
        return UserError(f"{error} (logs: {self._launch.log_folder})")

    def __enter__(self) -> Operator:
        """Return itself."""
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Stop the arm and leave the domain."""
        try:
            self.stop()
        finally:
            self.supervisor.close()


def _latency(seconds: list[float]) -> str:
    if not seconds:
        return ""
    median, high = 1e3 * np.quantile(seconds, [0.5, 0.99])
    return f"  latency {median:.1f} ms, p99 {high:.1f}"
