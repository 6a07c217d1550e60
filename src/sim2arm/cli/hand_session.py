"""Episodes of a person who drives a simulated arm: read, act, record, once per tick.

What a tick costs beyond its period makes simulated time pass slower than real time: it is counted,
and nothing is made up for.
"""

# pyright: standard

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from sim2arm.policies.dataset.writer import DatasetWriter
from sim2arm.sensors.teleop.person import Ask, Person
from sim2arm.sim.arm import SimulatedArm

from .hand_status import HandDisplay, Status
from .pace import Pace
from .recording import ArmRecorder
from .take import Take, has_lead
from .turns import Deed, Phase, Turns


@dataclass(frozen=True, kw_only=True)
class HandCfg:
    """How it goes on beside the person."""

    task: str
    """Name of the task."""
    device: str
    """Name of the device."""
    lead_share: float
    """Share of episodes in which motions start a period after their action."""
    real_time: bool
    """Whether ticks wait for their deadlines, and not for pictures to be encoded."""
    now_ns: Callable[[], int]
    """The clock of the device [ns]."""


class DeviceFailed(Exception):  # noqa: N818 - names what happened
    """The device will not say anything any more; one line."""


class HandSession:
    """Records what a person does.

    Attributes:
        pace: of the ticks.
        dropped: rows for which there was no room, of episodes that are over.
    """

    def __init__(
        self,
        arm: SimulatedArm,
        recorder: ArmRecorder,
        writer: DatasetWriter,
        person: Person,
        turns: Turns,
        display: HandDisplay,
        cfg: HandCfg,
    ) -> None:
        """Put the arm at the start of the first episode.

        Args:
            arm: one arm.
            recorder: makes rows of what it does.
            writer: of the dataset.
            person: says what is asked for, in the contract's actions.
            turns: which episode is recorded, and what becomes of it.
            display: says how things stand, and has buttons.
            cfg: the rest.
        """
        self._arm, self._recorder, self._writer, self._cfg = arm, recorder, writer, cfg
        self._person, self._turns, self._display = person, turns, display
        self.pace = Pace(person.contract.period, real_time=cfg.real_time)
        self.dropped = self._missed_before = self._seed = 0
        self._take: Take | None = None
        self._ready()

    def run(self, over: Callable[[], bool]) -> None:
        """Tick until as many episodes as wanted are kept, the person ends it, or it is `over`.

        Raises:
            DeviceFailed: for good; the running episode is lost.
        """
        while self._turns.phase is not Phase.OVER:
            self.pace.wait()
            self._tick()
            if over():
                self.end()

    def end(self) -> None:
        """End now: an episode that runs is discarded, one that has ended is settled."""
        self._press("quit")

    def _tick(self) -> None:
        try:
            ask = self._person.step(self._cfg.now_ns(), self._arm.tool_pose()[0, 3:])
        except RuntimeError as error:
            raise DeviceFailed(str(error)) from error
        take = self._take
        if take is not None and self._turns.phase is Phase.RUNNING:
            stood = take.holds
            take.step(ask.action, "human", ask.state)
            if take.holds and not stood:
                self._display.note(f"the gate {take.gate}: the arm stands; record it again")
            if self._arm.done[0]:
                self._turns.end(bool(self._arm.success[0]))
        for press in (*ask.presses, *self._display.presses()):
            self._press(press)
        self._display.show(self._arm, self._status(ask), self.pace.left)

    def _press(self, name: str) -> None:
        for deed in self._turns.press(name):
            if deed == "begin":
                self._begin()
            else:
                self._finish(deed)

    def _ready(self) -> None:
        """Put the arm at the start of the episode."""
        self._arm.reset(self._turns.seed)
        self._hand_over()
        self.pace.rest()

    def _hand_over(self) -> None:
        """Let the person start from where the arm stands."""
        gripper, element = self._person.contract.gripper, 1.0
        if gripper is not None and gripper.action_element is not None:
            element = 2.0 * float(self._arm.gripper.goal[0]) / gripper.open_width - 1.0
        self._person.begin(self._arm.joint_state()[0][0], element)

    def _begin(self) -> None:
        self._hand_over()
        try:
            refusal = self._person.refusal()
        except RuntimeError as error:
            raise DeviceFailed(str(error)) from error
        if refusal:
            self._turns.refuse()
            self._display.note(f"not started: {refusal}")
            return
        self._seed, self._missed_before = self._turns.seed, self.pace.missed
        self._take = Take(
            self._arm, self._person.contract, self._recorder, self._writer.begin(),
            lead=has_lead(self._seed, self._cfg.lead_share), waits=not self._cfg.real_time,
        )  # fmt: skip
        self.pace.rest()

    def _finish(self, deed: Deed) -> None:
        """Keep or discard the episode; stand ready for the next."""
        assert self._take is not None  # what is kept or discarded has begun
        episode, self._take = self._take.episode, None
        self.dropped += episode.dropped
        success, seconds = bool(self._arm.success[0]), self._arm.time
        if deed == "keep":
            episode.commit({
                "seed": self._seed, "task": self._cfg.task, "success": success,
                "leads": has_lead(self._seed, self._cfg.lead_share), "device": self._cfg.device,
                "missed": self.pace.missed - self._missed_before,
            })  # fmt: skip
        else:
            episode.discard()
        word, how = "kept" if deed == "keep" else "discarded", "success" if success else "failure"
        self._display.note(f"seed {self._seed}: {word}, {how} after {seconds:.1f} s")
        if self._turns.phase is not Phase.OVER:
            self._ready()

    def _status(self, ask: Ask) -> Status:
        turns, take, why = self._turns, self._take, ask.why
        if turns.phase is Phase.ENDED:
            why = f"will be {'kept' if turns.verdict == 'keep' else 'discarded'}"
        return Status(
            phase=turns.phase, seed=turns.seed, episode=self._writer.index.episodes,
            seconds=self._arm.time, success=bool(self._arm.success[0]),
            gate="-" if take is None else take.gate, hand=ask.state, why=why, kept=turns.kept,
            discarded=turns.discarded,
            dropped=self.dropped + (0 if take is None else take.episode.dropped),
            rate_hz=self.pace.recent_hz, missed=self.pace.missed,
        )  # fmt: skip
