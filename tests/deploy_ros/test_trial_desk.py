# pyright: standard, reportMissingModuleSource=false
"""Starts of trials as pictures: of a camera that runs, before anything moves, of what counts."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from sim2arm.cli.compare import CompareCfg
from sim2arm.cli.compare_log import Outcome, Plan, TrialLog
from sim2arm.cli.compare_person import STARTS, Person
from sim2arm.core.spec import ArraySpec
from sim2arm_ros.dds import context as _needs_the_dds_extra  # noqa: F401
from sim2arm_ros.dds import install

install()

from diagnostic_msgs.msg import DiagnosticStatus  # noqa: E402
from sensor_msgs.msg import Image  # noqa: E402

from sim2arm_ros.convert import status_message  # noqa: E402
from sim2arm_ros.convert_pictures import image_message  # noqa: E402
from sim2arm_ros.launcher import Place, private_domain  # noqa: E402
from sim2arm_ros.node_support import latched, streaming  # noqa: E402
from sim2arm_ros.page_pictures import Picture, read_png  # noqa: E402
from sim2arm_ros.supervisor import Supervisor  # noqa: E402
from sim2arm_ros.trial_desk import OLD_S, TrialDesk  # noqa: E402
from sim2arm_ros.trial_topics import VERDICT  # noqa: E402

from .swinging import swinging_contract  # noqa: E402

EYE = ArraySpec(name="scene_rgb", kind="sensor", shape=(4, 6, 3), dtype="uint8",
                frame="scene_optical")  # fmt: skip


class Domain:
    """A desk, and another participant that plays camera, policy and page of an arm."""

    def __init__(self, namespace: str = "") -> None:
        env, place = private_domain(), Place(namespace=namespace)
        contract = replace(swinging_contract(), inputs=(*swinging_contract().inputs, EYE))
        self.supervisor = Supervisor(env=env, namespace=namespace)
        self.desk = TrialDesk(self.supervisor, contract, place)
        self.other = Supervisor(env=env, namespace=namespace)
        create = self.other.node.create_publisher
        self.camera = create(Image, "sim_arm/scene_rgb/image_raw", streaming(1, reliable=False))
        self.policy = create(DiagnosticStatus, "policy_node/state", latched())
        self.page = create(DiagnosticStatus, VERDICT, streaming(10))
        self.supervisor.spin_until(
            lambda: all(p.get_subscription_count() for p in (self.camera, self.policy, self.page)),
            20.0, "listeners",
        )  # fmt: skip

    def shows(self, grey: int, stamp_ns: int) -> None:
        picture = np.full((4, 6, 3), grey, dtype=np.uint8)
        self.camera.publish(image_message(picture, "rgb8", "scene_optical", stamp_ns))

    def phase(self, name: str) -> None:
        said = status_message(DiagnosticStatus.OK, "policy", "", {"phase": name})
        self.policy.publish(said)
        self.supervisor.spin_until(
            lambda: self.supervisor.policy.get("phase") == name, 10.0, f"phase {name}"
        )

    def spin(self, seconds: float = 0.2) -> None:
        end = time.monotonic() + seconds
        self.supervisor.spin_until(lambda: time.monotonic() > end, 10.0, "time")

    def sees(self) -> int:
        picture = self.desk.seen()
        assert picture is not None
        return int(picture[0, 0, 0])


@pytest.fixture(params=["", "/left"])
def domain(request: pytest.FixtureRequest) -> Iterator[Domain]:
    domain = Domain(request.param)
    yield domain
    domain.supervisor.close()
    domain.other.close()


def test_what_a_camera_saw_long_ago_is_no_start(domain: Domain) -> None:
    with pytest.raises(ValueError, match="shows nothing new yet: does scene_rgb run"):
        domain.desk.seen()
    domain.shows(7, stamp_ns=1)
    domain.spin()
    assert domain.sees() == 7
    end = time.monotonic() + OLD_S + 0.3
    while time.monotonic() < end:  # a driver that hangs says its last picture again
        domain.shows(7, stamp_ns=1)
        domain.spin(0.1)
    with pytest.raises(ValueError, match=r"image_raw shows nothing new for 1\.\d s"):
        domain.desk.seen()
    domain.shows(9, stamp_ns=2)
    domain.spin()
    assert domain.sees() == 9


def test_the_start_is_what_was_seen_before_a_policy_began(domain: Domain) -> None:
    domain.shows(1, stamp_ns=1)
    domain.spin()
    for stamp, phase in enumerate(("WAITING", "RUNNING"), start=2):
        domain.phase(phase)
        domain.shows(100, stamp_ns=stamp)
        domain.spin(0.1)
        assert domain.sees() == 1
    domain.phase("IDLE")
    domain.shows(3, stamp_ns=9)
    domain.spin()
    assert domain.sees() == 3


def test_a_button_that_was_pressed_twice_judges_one_run(domain: Domain) -> None:
    def press(verdict: str) -> None:
        values = {"verdict": verdict, "trial": "4"}
        domain.page.publish(status_message(DiagnosticStatus.OK, "verdict", verdict, values))
        domain.spin()

    press("repeat")
    assert domain.desk.verdict(4) == "repeat" and domain.desk.verdict(4) == ""
    press("repeat")
    domain.desk.forget()  # as when the trial is asked for again
    assert domain.desk.verdict(4) == ""


# -- what is kept of it ------------------------------------------------------------------------


class Scene:
    """Supervisor, desk and keys of a person: each run starts by Enter and is judged at once."""

    asker, over, gate, policy_message = "policy_node", False, {"state": "HOLD"}, ""

    def __init__(self, runs: list[tuple[int | None, str]]) -> None:
        self.runs, self.policy, self.told = runs, dict[str, str](), list[bool]()

    def spin_until(self, condition: Callable[[], Any], timeout_s: float, what: str) -> None:
        while not condition():
            time.sleep(0.01)

    def transition(self, node: str, label: str) -> bool:
        self.runs.pop(0)
        return True

    def tell(self, trial: int, title: str, text: str, **more: Any) -> None:
        if more.get("start"):
            self.told.append(more["reference"] is not None)
            self.enter = time.monotonic() + 0.6

    def next(self) -> str | None:
        if not self.policy and time.monotonic() > self.enter:
            return ""
        return None

    def forget(self) -> None:
        return

    def verdict(self, trial: int) -> str:
        return self.runs[0][1] if self.policy else ""

    def activate_gate(self) -> str:
        return ""

    def make_ready(self) -> str:
        return ""

    def begin(self) -> str:
        self.policy = {"phase": "RUNNING"}
        return ""

    def seen(self) -> Picture | None:
        grey = self.runs[0][0]
        if grey is None:
            raise ValueError("the camera is dead")
        return np.full((4, 6, 3), grey, dtype=np.uint8)


def trials(folder: Path, log: TrialLog, first: int, *runs: tuple[int | None, str]) -> list[bool]:
    """Run trials of a pair; return per run whether there was a start to put the scene at."""
    scene: Any = Scene(list(runs))
    cfg = CompareCfg(bundles=(Path("a"), Path("b")), out=folder)
    person, trial = Person(scene, scene, log, scene, cfg), first
    while scene.runs:
        success, ended = person.trial(trial, 0, lambda: None)
        log.add(Outcome(trial=trial, success=success, ended=ended))
        trial += 1
    return scene.told


def make_log(folder: Path) -> TrialLog:
    plan = Plan(bundles=("a", "b", "c"), hashes=("1", "2", "3"), pairs=1, first_seed=0,
                order_seed=0, setting="robot")  # fmt: skip
    return TrialLog(folder, plan)


def test_the_reference_of_a_pair_is_the_start_of_the_run_that_counts(tmp_path: Path) -> None:
    log = make_log(tmp_path)
    told = trials(
        tmp_path, log, 0, (10, "repeat"), (50, "success"), (60, "repeat"), (90, "failure")
    )
    assert told == [False, False, True, True]
    kept = {path.name: int(read_png(path)[0, 0, 0]) for path in (tmp_path / STARTS).glob("*.png")}
    # (50 + 90) / 2
    assert kept == {"pair-001.png": 50, "pair-001-overlay-trial-2.png": 70}
    assert [(repeat.trial, repeat.ended) for repeat in log.repeats] == [
        (0, "judged"), (1, "judged"),
    ]  # fmt: skip


def test_a_dead_camera_is_said_and_leaves_no_picture(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    log = make_log(tmp_path)
    (tmp_path / STARTS).mkdir()
    stale = tmp_path / STARTS / "pair-001.png"
    stale.write_bytes(b"of a trial that a crash kept from counting")
    assert trials(tmp_path, log, 0, (None, "success"), (20, "success"), (None, "failure")) == [
        False, False, True,
    ]  # fmt: skip
    said = capsys.readouterr().out
    assert said.count("this start is kept without a picture: the camera is dead\n") == 2
    assert {path.name for path in (tmp_path / STARTS).glob("*.png")} == {"pair-001.png"}
    assert int(read_png(stale)[0, 0, 0]) == 20
