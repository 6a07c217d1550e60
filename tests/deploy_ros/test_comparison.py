# pyright: standard, reportMissingModuleSource=false
"""`sim2arm compare` through real processes: a person judges on a simulated arm, without a name."""

from __future__ import annotations

import json
import re
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from sim2arm.cli import compare_person, compare_ros
from sim2arm.cli import main as cli
from sim2arm.cli.compare_log import LOG, REPEATS, Plan
from sim2arm_ros.dds import context as _needs_the_dds_extra  # noqa: F401
from sim2arm_ros.dds import install

install()

from std_msgs.msg import Bool  # noqa: E402
from std_srvs.srv import Trigger  # noqa: E402

from sim2arm_ros.launcher import private_domain  # noqa: E402
from sim2arm_ros.node_support import latched  # noqa: E402
from sim2arm_ros.supervisor import Supervisor  # noqa: E402

from .swinging import swinging_contract, write_swinging  # noqa: E402

pytestmark = pytest.mark.timeout(240)

MOMENT_S = 0.8
"""What a person takes to read a question [s]."""
Script = Iterator[None]


class Typist:
    """A person at a terminal, as a script that goes on whenever a line is looked for."""

    def __init__(
        self, read: Callable[[], str], script: Callable[[Typist, Supervisor], Script],
        hands: Supervisor,
    ) -> None:  # fmt: skip
        self.over, self.said, self.hands = False, "", hands
        self._read, self._lines = read, list[str]()
        self._script = script(self, hands)

    def next(self) -> str | None:
        self.said += self._read()
        next(self._script, None)
        return self._lines.pop(0) if self._lines else None

    def type(self, *lines: str) -> None:
        self._lines += lines

    def until(self, text: str, since: int = 0) -> Script:
        while text not in self.said[since:]:
            yield

    def pause(self, seconds: float = MOMENT_S) -> Script:
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            yield

    def start(self, trial: str) -> Script:
        """Press Enter until a trial runs: on a busy machine inputs may be late at first."""
        yield from self.until(f"{trial}: Put the scene")
        while f"{trial}: It runs" not in self.said:
            yield from self.pause()
            since = len(self.said)
            self.type("")
            while not re.search("It runs|Enter tries again", self.said[since:]):
                yield

    def judge(self, trial: str, *lines: str) -> Script:
        """Start a trial and say how it went."""
        yield from self.start(trial)
        yield from self.pause(0.3)
        self.type(*lines)

    def refused(self, why: str) -> Script:
        """Press Enter, twice as one does in haste; see that it is refused and nothing moves."""
        yield from self.pause()
        since = len(self.said)
        self.type("", "")
        yield from self.until("Enter tries again", since)
        assert re.search(why, self.said[since:]), self.said[since:]
        assert self.hands.state_of("policy_node") == "inactive"  # it waits for nothing
        yield from self.stands(1.0)

    def stands(self, seconds: float) -> Script:
        """See that nothing moves."""
        since, end = len(self.said), time.monotonic() + seconds
        while time.monotonic() < end:
            self.hands.spin_until(lambda: True, 1.0, "nothing")
            assert "It runs" not in self.said[since:] and self.hands.gate.get("state") != "ACTIVE"
            yield


@pytest.fixture
def compare(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> Callable[..., str]:
    """Return what runs a comparison with a person at the terminal, and what that person read."""

    def run(script: Callable[[Typist, Supervisor], Script], *words: str) -> str:
        domain = private_domain()
        monkeypatch.setattr(compare_ros, "private_domain", lambda: domain)
        little = replace(swinging_contract().action, scale=(1e-4,) * 6)
        bundles = [write_swinging(tmp_path / "a"), write_swinging(tmp_path / "b", action=little)]
        with Supervisor(env=domain) as hands:
            person = Typist(lambda: capsys.readouterr().out, script, hands)
            monkeypatch.setattr(compare_person, "Keys", lambda: person)
            code = cli.main([
                "compare", *map(str, bundles), "--task", "reach", "--where", "sim", "--real-time",
                "--judge", "person", "--out", str(tmp_path / "out"), *words,
            ])  # fmt: skip
        assert code == 0, capsys.readouterr().err
        return person.said + capsys.readouterr().out

    return run


def lines(path: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in path.read_text().splitlines()]


def test_a_person_judges_through_ros_without_a_name(
    compare: Callable[..., str], tmp_path: Path
) -> None:
    # Of the order of this seed the second pair begins with the bundle that ended the first.
    plan = Plan(bundles=("", ""), hashes=(), pairs=2, first_seed=0, order_seed=4, setting="")
    (_, first), (_, same), (_, again), _ = plan.order()
    assert same == again

    watched: list[tuple[str, str]] = []

    def script(person: Typist, hands: Supervisor) -> Script:
        yield from person.judge("Trial 1 of 4", "r")
        yield from person.until("Trial 1 of 4: Put the scene", person.said.rindex("It runs"))
        person.said = person.said.replace("1 of 4: It runs", "1 of 4: It ran")
        for trial, word in enumerate("sfsf", start=1):
            yield from person.judge(f"Trial {trial} of 4", word)
        hands.spin_until(lambda: "gate_node" in hands.reports, 10.0, "report")
        watched.extend((item.name, item.expected) for item in hands.reports["gate_node"])

    said = compare(script, "--pairs", "2", "--order-seed", "4", "--robot", "fr3")
    assert not re.search(r"/a\b|/b\b|swinging", said.partition("case")[0])  # no name
    out = tmp_path / "out"
    assert [(each["trial"], each["success"], each["judge"]) for each in lines(out / LOG)] == [
        (0, True, "person"), (1, False, "person"), (2, True, "person"), (3, False, "person"),
    ]  # fmt: skip
    (repeat,) = lines(out / REPEATS)
    assert repeat["trial"] == 0 and re.match("judged|stopped: ", repeat["ended"])
    rows = json.loads((out / "report.json").read_text())["rows"]
    repeats = {row["case"][0]: row["value"] for row in rows if row["metric"] == "repeats"}
    assert repeats == {"AB"[first]: 1, "BA"[first]: 0}
    # Each trial begins with nodes that were configured for it, whoever acted before.
    log = (out / "ros-logs" / "gate_node.log").read_text()
    assert log.count("active, in HOLD") == 4
    assert ("modes of the robot", "told") in watched  # of the one that was named
    assert "report.html" in said


def test_what_is_typed_too_much_starts_nothing(compare: Callable[..., str]) -> None:
    def script(person: Typist, hands: Supervisor) -> Script:
        stop = hands.node.create_publisher(Bool, "/gate_node/estop", latched())
        yield from person.judge("Trial 1 of 2", "s", "", "")  # Enter in haste
        yield from person.until("Trial 2 of 2: Put the scene")
        yield from person.stands(2.0)
        person.type("go")
        yield from person.until("That starts nothing: Enter alone does")
        yield from person.stands(0.5)
        # A fault is reset by one Enter, and starts nothing by two.
        hands.call(Trigger, "/gate_node/estop", Trigger.Request())
        yield from person.refused(r"in FAULT \(e-stop service\) and is reset now")
        # A reset that the gate refuses is said, and when its cause is gone nothing moves.
        stop.publish(Bool(data=True))
        yield from person.refused("the e-stop topic says stop")
        # Nor does a policy that was activated elsewhere wait for it.
        assert hands.transition("policy_node", "activate")
        yield from person.until("it did not begin: the gate let it in not within 3 s")
        stop.publish(Bool(data=False))
        yield from person.stands(2.0)
        # What resets a hold and more than that is no start; a hold that stands ends with one.
        assert hands.transition("gate_node", "deactivate")
        yield from person.refused("the gate was not active and is now")
        hands.call(Trigger, "/gate_node/hold", Trigger.Request())
        yield from person.stands(0.5)
        yield from person.judge("Trial 2 of 2", "f")

    compare(script, "--pairs", "1")
