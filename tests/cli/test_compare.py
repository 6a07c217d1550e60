"""`sim2arm compare`: blind pairs, a log that survives, and what the report says of them."""

# pyright: standard

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from sim2arm.cli import compare_process as _needs_the_train_extra  # noqa: F401
from sim2arm.cli import compare_ros
from sim2arm.cli import main as cli
from sim2arm.cli.arm_options import on_hardware
from sim2arm.cli.compare import CompareCfg, said_before
from sim2arm.cli.compare import make_plan as plan_of
from sim2arm.cli.compare_log import (
    LOG,
    PLAN,
    REPEATS,
    Outcome,
    Plan,
    Repeat,
    TrialLog,
    pairings,
    table_of,
)
from sim2arm.cli.compare_person import Person
from sim2arm.cli.compare_report import rows_of, sentence, write_page
from sim2arm.cli.errors import UserError
from sim2arm.cli.experiments import EXPERIMENTS
from sim2arm.cli.pair_tests import mcnemar
from sim2arm.cli.runs import write_config
from sim2arm.core.contract import Provenance
from sim2arm.policies.verify import load_contract
from sim2arm.sim.tasks.reach import ReachCfg
from sim2arm_ros.graph_file import read_graph
from sim2arm_ros.launcher import NodeProcess
from sim2arm_ros.page_pictures import blended, png, read_png
from tests.deploy_ros.swinging import swinging_contract, write_swinging


def make_plan(**overrides: Any) -> Plan:
    values: dict[str, Any] = {
        "bundles": ("a", "b"), "hashes": ("1", "2"), "pairs": 8, "first_seed": 0,
        "order_seed": 3, "setting": "process",
    }  # fmt: skip
    return Plan(**(values | overrides))


def filled(plan: Plan, wins: Sequence[str]) -> dict[int, Outcome]:
    """Return outcomes: per pair the letters of the bundles that succeeded."""
    return {
        trial: Outcome(trial=trial, success="ABC"[bundle] in wins[pair])
        for trial, (pair, bundle) in enumerate(plan.order())
    }


def refused(argv: Sequence[str | Path], capsys: pytest.CaptureFixture[str]) -> str:
    """Return the one line with which the command refuses."""
    capsys.readouterr()
    assert cli.main(["compare", *(str(word) for word in argv)]) == 2
    err = capsys.readouterr().err
    assert err.count("\n") == 1, err
    return err


# -- the plan and the log ----------------------------------------------------------------------


def test_every_start_is_run_once_by_every_bundle_in_random_order() -> None:
    plan = make_plan(bundles=("a", "b", "c"), hashes=("1", "2", "3"), pairs=300)
    order = plan.order()
    assert order == plan.order() != make_plan(pairs=300, order_seed=4).order()
    assert Counter(order) == Counter((pair, bundle) for pair in range(300) for bundle in range(3))
    assert [pair for pair, _ in order] == sorted(pair for pair, _ in order)
    first = Counter(order[3 * pair][1] for pair in range(300))
    assert all(60 < first[bundle] < 140 for bundle in range(3))  # 100 each, 8 is its deviation


def test_the_log_goes_on_after_a_crash_and_names_nobody(tmp_path: Path) -> None:
    plan = make_plan()
    log = TrialLog(tmp_path, plan)
    log.add(Outcome(trial=0, success=True, ended="success"))
    log.add(Outcome(trial=3, success=False))
    with pytest.raises(ValueError, match="trial 3 has an outcome already"):
        log.add(Outcome(trial=3, success=True))
    log.close()
    with (tmp_path / LOG).open("ab") as file:
        file.write(b'{"trial": 1, "succ')  # cut by a crash
    again = TrialLog(tmp_path, make_plan(order_seed=99))  # a new draw is not taken
    assert again.plan == plan and sorted(again.outcomes) == [0, 3]
    assert [trial for trial, *_ in again.missing()] == [1, 2, *range(4, 16)]
    again.add(Outcome(trial=1, success=True))
    again.close()
    assert sorted(TrialLog(tmp_path, plan).outcomes) == [0, 1, 3]
    assert not {"bundle", "a", "b"} & set(json.loads((tmp_path / LOG).read_text().split("\n")[0]))


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ('{"trial": 0, "success": true}\n' * 2, "line 2: trial 0 is there twice"),
        ('{"trial": 16, "success": true}\n', "or not of the plan"),
        ('{"trial": 0, "success": "yes"}\n', "success"),
        ("nothing\n", "line 1"),
    ],
)
def test_a_log_that_is_damaged_is_refused(tmp_path: Path, line: str, said: str) -> None:
    TrialLog(tmp_path, make_plan()).close()
    (tmp_path / LOG).write_text(line)
    with pytest.raises(UserError, match=said):
        TrialLog(tmp_path, make_plan())


def test_another_comparison_in_the_folder_is_refused(tmp_path: Path) -> None:
    TrialLog(tmp_path, make_plan()).close()
    with pytest.raises(UserError, match="another comparison"):
        TrialLog(tmp_path, make_plan(pairs=9))
    (tmp_path / PLAN).write_text("{}")
    with pytest.raises(UserError, match="plan"):
        TrialLog(tmp_path, make_plan())


# -- what comes of it --------------------------------------------------------------------------


def test_pairs_are_counted_by_hand(tmp_path: Path) -> None:
    plan = make_plan()
    # Both, neither, six only A: 2 / 2^6.
    outcomes = filled(plan, ["AB", "", *["A"] * 6])
    (found,) = pairings(plan, outcomes)
    assert (found.both, found.neither, found.only_first, found.only_second) == (1, 1, 6, 0)
    assert found.differing == tuple(range(2, 8))
    rows = {(row.case, row.metric): row.value for row in rows_of(plan, outcomes)}
    assert rows["A (a)", "success"] == 7 / 8 and rows["B (b)", "success"] == 1 / 8
    assert rows["A and B", "difference of success"] == 0.75
    assert rows["A and B", "p (McNemar, exact)"] == 2 / 64
    # All 6 for A: its share is at least 0.025^(1/6).
    low = rows["A and B", "share of differing pairs that the first wins, 95 % low"]
    assert low == pytest.approx(0.025 ** (1 / 6), abs=1e-9)
    assert sentence(plan, found, 2 / 64).startswith("A is better than B: 6 starts only by A, 0")
    assert sentence(plan, found, 0.06).startswith("No difference between A and B was found")
    page = write_page(tmp_path, plan, outcomes, 0.2).read_text()
    assert "A is better than B" in page and "7 of 8" in page and "http" not in page


def test_three_bundles_are_corrected_for_being_three(tmp_path: Path) -> None:
    plan = make_plan(bundles=("a", "b", "c"), hashes=("1", "2", "3"))
    outcomes = filled(plan, ["A"] * 6 + ["AC"] * 2)
    rows = {(row.case, row.metric): row.value for row in rows_of(plan, outcomes)}
    assert rows["A and B", "p (McNemar, exact)"] == mcnemar(8, 0) == 2 / 256
    assert rows["A and B", "p (Holm)"] == 3 * 2 / 256
    assert rows["A and C", "p (Holm)"] == 2 * 2 / 64
    assert rows["B and C", "p (Holm)"] == 0.5
    assert len(table_of(plan, outcomes)[0]) == 3


def test_what_is_said_beforehand() -> None:
    assert "by 107 pairs" in said_before(make_plan(pairs=107), 0.2)
    assert said_before(make_plan(pairs=107), 0.2).endswith("These are enough.")
    assert said_before(make_plan(pairs=106), 0.2).endswith("These are too few.")
    assert "more than 1000 pairs" in said_before(make_plan(), 0.01)


# -- bad input ---------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def bundle(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_swinging(tmp_path_factory.mktemp("compare") / "a")


ROBOT, TASK = ["A", "A", "--where", "robot", "--judge", "person"], ["--task", "reach"]


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["A"], "expected two bundles or more, got 1"),
        (["A", "A", "--pairs", "0"], "must be 1 or more"),
        (["A", "A", "--difference", "0"], "--difference: expected above 0 to 1"),
        (["A", "A", "--where", "robot"], "a robot does not say how a trial ended"),
        (["A", "A", "--judge", "person"], "in process nobody sees a trial"),
        (["A", "A", "--judge", "person", "--where", "sim"], "pass --real-time"),
        (["A", "A", "--real-time"], "or pass --where sim"),
        (["A", "A", "--page"], "nobody is asked"),
        (["A", "A", "--settings", "none.yaml", "--task", "reach"], "expected a file"),
        (["A", "nowhere"], "nowhere is neither a bundle nor a run with one"),
        (["A", "A", "--task", "reech"], "reech"),
        (["A", "A", "--robot", "fr3"], "--robot: leave it out, or pass --where sim or robot"),
        (["A", "A", "--keystore", "x"], "--keystore: leave it out, or pass --where robot"),
        ([*ROBOT, "--touch", "gel"], "--touch: leave it out, or pass --where process or sim"),
        ([*ROBOT, "--namespace", "1 2"], "--namespace: expected a name such as left, got '1 2'"),
        ([*ROBOT, "--namespace", "left", "--page"], "--namespace: the page shows one arm"),
        ([*ROBOT, "--keystore", "x"], "x/enclaves/sim2arm/operator/permissions.p7s is missing"),
        ([*ROBOT, "--servos", "none.yaml"], "--servos: no such file: none.yaml"),
        ([*ROBOT, "--calibrations", "none.yaml"], "--calibrations: no such file"),
        (ROBOT, "--where robot: which? The graph of the package watches no robot's modes"),
        (
            [*ROBOT, "--robot", "fr3", "--trusted-keys", "none"],
            "the file of trusted keys cannot be read",
        ),
        ([*ROBOT, "--robot", "kuka"], "robot: expected one of ['fr3', 'so101', 'ur5e']"),
        ([*ROBOT, "--robot", "ur5e"], "this graph is of a ur5e, the bundle is for a fr3"),
        ([*ROBOT, "--robot", "fr3", "--port", "/dev/x"], "this robot has a driver of its own"),
        (["A", "A", *TASK, "--actuators", "gears"], "gears"),
        (["A", "A", *TASK, "--touch", "gell"], "unknown touch 'gell'; perhaps you meant gel"),
        (["A", "A", *TASK, "--touch", "gel"], "--touch: touch: nothing in this task can be"),
        (["A", "A", *TASK, "--cameras", "seen"], "unknown cameras 'seen'"),
        (["A", "A"], "unknown experiment 'swinging'"),
        (["A", "SLOW"], "control_hz is 50.0, that of"),
    ],
)
def test_bad_input_is_one_line(
    bundle: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], words: list[str], said: str
) -> None:
    known = {"A": str(bundle)}
    if "SLOW" in words:
        slow = replace(swinging_contract().action, dt_s=0.02)
        other = write_swinging(tmp_path / "other", control_hz=50.0, action=slow)
        known["SLOW"] = str(other)
    line = refused([*(known.get(word, word) for word in words), "--out", tmp_path / "out"], capsys)
    assert said in line and not (tmp_path / "out").exists()


# -- in process --------------------------------------------------------------------------------

# Of 40 starts a swing of 2 cm ends some that standing still does not.
SETTINGS = "position_tolerance: 0.16\nrotation_tolerance: 4.0\nmax_steps: 60\n"


@pytest.fixture(scope="module")
def both(bundle: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[list[str | Path]]:
    """Two bundles, one of which hardly moves, and the task."""
    folder = tmp_path_factory.mktemp("both")
    little = replace(swinging_contract().action, scale=(1e-4,) * 6)
    worse = write_swinging(folder / "b", action=little)
    settings = folder / "task.yaml"
    settings.write_text(SETTINGS)
    yield [bundle, worse, "--task", "reach", "--settings", settings]


def test_in_process_it_goes_on_and_comes_to_the_same(
    both: list[str | Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    words = ["compare", *(str(word) for word in both), "--pairs", "40", "--order-seed", "5"]
    out = tmp_path / "out"
    assert cli.main([*words, "--out", str(out), "--num-arms", "30"]) == 0
    said = capsys.readouterr().out
    assert "2 bundles, 40 pairs, 80 trials" in said and "These are too few." in said
    lines = (out / LOG).read_text().splitlines()
    assert len(lines) == 80
    report = json.loads((out / "report.json").read_text())
    values = {(row["case"][:7], row["metric"]): row["value"] for row in report["rows"]}
    first = values["A and B", "only the first"]
    assert first == 3 and values["A and B", "only the second"] == 0
    page = (out / "report.html").read_text()
    assert "data:image/png;base64," in page  # a start with different outcomes
    assert len(list((out / "starts").glob("pair-*.png"))) == first
    # Cut in the middle: what is missing is run again, with the same outcomes.
    (out / LOG).write_text("\n".join(lines[:70]) + "\n")
    assert cli.main([*words, "--out", str(out), "--num-arms", "30"]) == 0
    assert "70 of 80 trials are there: going on" in capsys.readouterr().out
    again = [json.loads(line) for line in (out / LOG).read_text().splitlines()]
    key = {line["trial"]: line["success"] for line in again}
    assert key == {one["trial"]: one["success"] for one in map(json.loads, lines)}


def run_of(folder: Path, **settings: Any) -> Path:
    """Return a run with a bundle that swings, as if it was trained so."""
    name = "reach-ppo"
    task = ReachCfg(position_tolerance=0.16, rotation_tolerance=4.0, max_steps=60)
    write_config(folder, name, replace(EXPERIMENTS[name][1], task=task, **settings))
    write_swinging(folder / "bundle", provenance=Provenance(experiment=name))
    return folder


def test_all_bundles_are_tried_on_one_arm(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    runs = [run_of(tmp_path / "a"), run_of(tmp_path / "b", actuators="motor-gear")]
    words = [*runs, "--pairs", "12", "--out", tmp_path / "out"]
    assert refused(words, capsys).endswith(
        "the bundles were trained on arms with different actuators (ideal, motor-gear): pass "
        "--actuators NAME, of the one arm that all are tried on\n"
    )
    felt = [run_of(tmp_path / touch, touch=touch) for touch in ("field", "gel")]
    assert "different touch (field, gel): pass --touch NAME" in refused(
        [*felt, "--out", tmp_path / "out"], capsys
    )
    assert not (tmp_path / "out").exists()
    assert cli.main(["compare", *map(str, words), "--actuators", "motor-gear"]) == 0
    plan = json.loads((tmp_path / "out" / PLAN).read_text())
    assert plan["setting"].endswith("actuators motor-gear, cameras none, touch none")
    # The same policy on the same arm ends in the same way, whatever each was trained on.
    ends = [json.loads(line) for line in (tmp_path / "out" / LOG).read_text().splitlines()]
    by_bundle: list[dict[int, tuple[str, int]]] = [{}, {}]
    for end in ends:
        pair, which = Plan(**plan).order()[end["trial"]]
        by_bundle[which][pair] = (end["ended"], end["steps"])
    assert by_bundle[0] == by_bundle[1] and len(by_bundle[0]) == 12
    assert "another comparison (setting was" in refused([*words, "--actuators", "gear"], capsys)


# -- through ROS -------------------------------------------------------------------------------


def started(cfg: CompareCfg, bundle: Path, logs: Path) -> dict[str, NodeProcess]:
    """Return the processes of a comparison on a robot."""
    nodes, _ = compare_ros._nodes(cfg, [bundle, bundle], load_contract(bundle), None, logs)
    return {node.executable: node for node in nodes}


def test_on_a_robot_every_node_knows_which_it_is(bundle: Path, tmp_path: Path) -> None:
    cfg = CompareCfg(
        bundles=(bundle, bundle), out=tmp_path, where="robot", judge="person", robot="fr3",
        prefix="left_", namespace="left", calibrations=(tmp_path / "lens.yaml",),
        trusted_keys=tmp_path / "keys",
    )  # fmt: skip
    nodes = started(cfg, bundle, tmp_path)
    assert sorted(nodes) == ["gate_node", "policy_node"]
    for node in nodes.values():
        expected = {"robot": "fr3", "prefix": "left_", "trusted_keys": str(tmp_path / "keys")}
        assert node.parameters.items() >= expected.items() and node.namespace == "/left"
    assert nodes["gate_node"].parameters["real_hardware"] is True
    assert nodes["policy_node"].parameters["calibrations"] == str(tmp_path / "lens.yaml")
    setting = plan_of(replace(cfg, calibrations=()), [bundle]).setting
    assert setting == "robot, judge person, robot fr3, prefix left_, namespace left"


def test_the_driver_of_an_arm_is_started_where_it_has_one_of_ours(
    tmp_path: Path, bundle: Path
) -> None:
    cfg = CompareCfg(bundles=(bundle,), out=tmp_path, where="robot", robot="so101", port="/dev/x")
    graph = read_graph(robot="so101")
    first, *others = on_hardware(cfg, graph, [])
    assert first.executable == "so101_node" and first.parameters["port"] == "/dev/x"
    assert others == []


# -- a person ----------------------------------------------------------------------------------


def test_nobody_who_answers_is_one_line_and_the_log_stays(tmp_path: Path) -> None:
    class Gone:
        over = True

        def next(self) -> str | None:
            return None

    cfg = CompareCfg(bundles=(Path("a"), Path("b")), out=tmp_path)
    person = Person(None, None, None, Gone(), cfg)  # type: ignore[arg-type]
    with pytest.raises(UserError, match="standard input ended; the same command goes on"):
        person._judged()


def test_repeats_are_logged_and_stand_beside_the_result(tmp_path: Path) -> None:
    plan = make_plan()
    log = TrialLog(tmp_path, plan)
    for trial, ended in ((0, "judged"), (0, "stopped: gate: e-stop"), (3, "time up")):
        log.repeat(Repeat(trial=trial, ended=ended, at="2026-01-01T00:00:00Z"))
    log.close()
    with (tmp_path / REPEATS).open("ab") as file:
        file.write(b'{"trial": 1, "en')  # cut by a crash
    again = TrialLog(tmp_path, plan)
    assert again.repeats == log.repeats
    outcomes = filled(plan, ["AB"] * 8)
    rows = rows_of(plan, outcomes, again.repeats)
    found = {row.case[0]: row.value for row in rows if row.metric == "repeats"}
    first, other = "AB"[plan.order()[0][1]], "AB"[plan.order()[3][1]]
    assert found == {"A": 0, "B": 0} | {first: 2} | ({other: 3} if first == other else {other: 1})
    page = write_page(tmp_path, plan, outcomes, 0.2, again.repeats).read_text()
    assert "stopped: gate: e-stop" in page and "Repeats, which do not count" in page
    assert f"{found['A']:g} repeated" in page and f"{found['B']:g} repeated" in page
    (tmp_path / REPEATS).write_text('{"trial": 16, "ended": "", "at": ""}\n')
    with pytest.raises(UserError, match="line 1: trial 16 is not of the plan"):
        TrialLog(tmp_path, plan)


def test_the_first_start_of_a_pair_lies_over_the_next(tmp_path: Path) -> None:
    reference = np.zeros((4, 6, 3), dtype=np.uint8)
    live = np.full((4, 6, 3), 255, dtype=np.uint8)
    live[0, 0] = 0  # an object that stands where it stood
    over = blended(reference, live)
    assert over[0, 0].tolist() == [0, 0, 0] and (over[1:] == 127).all()
    np.testing.assert_array_equal(blended(reference[:2], live), live)  # of another size
    path = tmp_path / "a.png"
    picture = np.random.default_rng(0).integers(0, 256, (5, 7, 3), dtype=np.uint8)
    path.write_bytes(png(picture))
    np.testing.assert_array_equal(read_png(path), picture)
