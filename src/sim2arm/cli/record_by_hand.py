"""`sim2arm record TASK --device NAME`: a person drives a simulated arm in real time.

What is heard of the device is old after a moment; then, and while its clutch is open, the arm
stands, and the rows say so. Devices of real hands are read by the steady clock; a script is played
by the ticks themselves, so that it is the same on a machine that is late.
"""

# pyright: standard

from __future__ import annotations

import contextlib
from collections.abc import Callable, Generator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from sim2arm.core.clock import steady_ns
from sim2arm.policies.dataset.writer import DatasetWriter
from sim2arm.sensors.base import Clocks
from sim2arm.sensors.teleop.base import TeleopDevice
from sim2arm.sensors.teleop.devices import TELEOP_DEVICES
from sim2arm.sensors.teleop.person import Person, TeleopCfg, open_hand
from sim2arm.sensors.teleop.script import ScriptedDevice, load_script

from .errors import UserError, user_input
from .extras import missing_extra
from .hand_session import DeviceFailed, HandCfg, HandSession
from .hand_status import HandDisplay
from .quiet_terminal import quiet_terminal
from .recording import ArmRecorder
from .state_line import StateLine
from .take import Stand, contract_of, first_seed
from .turns import Turns

if TYPE_CHECKING:
    from .record import RecordCfg
    from .record_page import RecordPage


@dataclass(kw_only=True)
class TickClock:
    """A clock that goes on by a period whenever it is asked to."""

    period: float
    ticks: int = 0

    def now_ns(self) -> int:
        """Return the time since its first tick [ns]."""
        return round(1e9 * self.ticks * self.period)


@dataclass(frozen=True, kw_only=True)
class Hand:
    """An open device and what belongs to it."""

    device: TeleopDevice
    name: str
    now_ns: Callable[[], int]
    """Its clock; called once per tick."""
    over: Callable[[], bool] = lambda: False
    """Whether nothing more will come."""


def record_by_hand(cfg: RecordCfg, stand: Stand) -> str:
    """Record until as many episodes as wanted are kept, or the person ends it; say what became.

    Args:
        cfg: the options.
        stand: what is recorded.

    Raises:
        UserError: there is no such device, robot, camera or touch, or the device failed.
        DatasetError: the folder holds another dataset.
        OSError: it cannot be written.
    """
    arm = stand.arm(cfg.longest, beside=cfg.real_time)
    base = contract_of(arm, stand, leads=cfg.lead_share > 0.0)
    with (
        quiet_terminal(),
        open_named(cfg, base.period) as hand,
        StateLine() as line,
        served(cfg, line) as page,
    ):
        can_start(cfg, page)
        with user_input("--device"):
            person = Person(hand.device, base, cfg.teleop)
        fps = round(base.control_hz)
        recorder = ArmRecorder(arm, person.contract, fps, stand.written(arm), by_hand=True)
        with DatasetWriter(cfg.out, recorder.spec) as writer:
            turns = Turns(first_seed(writer, cfg.seed), cfg.episodes, cfg.keep)
            session = HandSession(
                arm, recorder, writer, person, turns, HandDisplay(line, page),
                HandCfg(
                    task=cfg.task, device=hand.name, lead_share=cfg.lead_share,
                    real_time=cfg.real_time, now_ns=hand.now_ns,
                ),
            )  # fmt: skip
            try:
                session.run(hand.over)
            except KeyboardInterrupt:
                session.end()
            except DeviceFailed as error:
                raise UserError(f"--device {hand.name}: {error}") from error
    pace = session.pace
    return (
        f"{turns.kept} episodes kept, {turns.discarded} discarded; loop {pace.rate_hz:.1f} Hz of "
        f"{base.control_hz:g}, {pace.missed} of {pace.ticks + pace.missed} ticks missed; "
        f"{session.dropped} rows dropped"
    )


def open_named(cfg: RecordCfg, period: float) -> contextlib.AbstractContextManager[Hand]:
    """Open the device of the options; see `open_device_of`."""
    return open_device_of(cfg.device, cfg.script, cfg.teleop, period)


@contextlib.contextmanager
def open_device_of(
    device: str, steps: Path | None, teleop: TeleopCfg, period: float
) -> Generator[Hand]:
    """Open a device, and close it in the end.

    Args:
        device: NAME or NAME:WHERE.
        steps: of the device script, a YAML file.
        teleop: how the arm follows it.
        period: of control [s].

    Raises:
        UserError: there is no such device; one line.
    """
    name, _, where = device.partition(":")
    with user_input("--device"):
        if name == "script":
            path = steps or where
            if not path:
                raise UserError("--device script: name the file with --script")
            clock = TickClock(period=period)

            def tick_ns() -> int:
                clock.ticks += 1
                return clock.now_ns()

            clocks = Clocks(steady_ns=clock.now_ns, wall_ns=clock.now_ns)
            script = ScriptedDevice(load_script(Path(path)), clocks=clocks)
            hand = Hand(device=script, name=name, now_ns=tick_ns, over=lambda: script.over)
        else:
            hand = Hand(device=open_hand(device, teleop), name=name, now_ns=steady_ns)
    try:
        yield hand
    finally:
        hand.device.close()


@contextlib.contextmanager
def served(cfg: RecordCfg, line: StateLine) -> Generator[RecordPage | None]:
    """Serve the page where it is wanted and possible; say where it is, or why there is none."""
    if not cfg.page:
        yield None
        return
    try:
        from .record_page import RecordPage
    except ModuleNotFoundError as error:
        advice = missing_extra(error.name)
        if advice is None:
            raise
        line.note(f"no page: it {advice}")
        yield None
        return
    page = RecordPage(cfg.task, port=cfg.port)
    try:
        line.note(f"{cfg.task}: open {page.address}")
        yield page
    finally:
        page.stop()


def can_start(cfg: RecordCfg, page: RecordPage | None) -> None:
    """See that there is a button that begins an episode, and print those of the device.

    Raises:
        UserError: there is none.
    """
    names = [text.partition(":")[0] for text in (cfg.device, cfg.teleop.buttons) if text]
    for name in names:
        print(f"{name}: {TELEOP_DEVICES[name].buttons}")
    if page is None and not any(TELEOP_DEVICES[name].starts for name in names):
        raise UserError(
            f"{names[0]} has no button that starts an episode: pass --teleop.buttons terminal, or "
            "let the page be served"
        )
