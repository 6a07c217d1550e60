"""The command `sim2arm`: finds the verb, runs it, turns errors into lines and exit codes."""

import importlib
import os
import sys
from collections.abc import Mapping, Sequence

from .errors import UserError, one_line
from .extras import missing_extra

# verb: (help line, module). The module has `main(argv) -> int` and is imported when it is used.
# A verb may have two words.
VERBS: dict[str, tuple[str, str]] = {
    "demo": ("Train, export, run through ROS 2 nodes, report: all of it.", "sim2arm.cli.demo"),
    "bench": ("Measure: run benchmarks/NAME.py of a checkout.", "sim2arm.cli.bench"),
    "train": ("Learn a policy in simulation.", "sim2arm.cli.train"),
    "sweep": ("Train many policies, measure them, one table.", "sim2arm.cli.sweep"),
    "export": ("Make a bundle of a run's policy.", "sim2arm.cli.export"),
    "eval": ("Measure the success of a deployed policy.", "sim2arm.cli.eval"),
    "compare": ("Which policy is better: same starts, blind, exact tests.", "sim2arm.cli.compare"),
    "view": ("Watch many worlds, in the browser or as a video.", "sim2arm.cli.view"),
    "replay": ("Run the step that broke a Warp world in MuJoCo's C engine.", "sim2arm.cli.replay"),
    "record": ("Record demonstrations as a dataset.", "sim2arm.cli.record"),
    "multiply": ("Make demonstrations for moved objects out of others.", "sim2arm.cli.multiply"),
    "convert": ("Make a dataset of a raw log of ROS messages.", "sim2arm.cli.convert"),
    "doctor": (
        "Say what is wrong with a dataset or a robot's computer.",
        "sim2arm.cli.doctor",
    ),
    "judge": ("Learn to tell success, as a reward for learning on an arm.", "sim2arm.cli.judge"),
    "salvage": ("Keep the whole episodes of a damaged dataset.", "sim2arm.cli.salvage"),
    "keygen": ("Make keys with which bundles are signed.", "sim2arm.cli.keygen"),
    "sign": ("Sign a bundle, for robots that run signed ones only.", "sim2arm.cli.sign"),
    "ros up": ("Run a bundle as ROS 2 nodes, on a robot or a simulated arm.", "sim2arm.cli.ros"),
    "ros replay": ("Play a recording to ROS 2 nodes, without an arm.", "sim2arm.cli.ros_replay"),
    "robot import": ("Make a robot of a URDF or MJCF and its controllers.", "sim2arm.cli.robot"),
    "calibrate board": (
        "Make a board to print, at true scale.",
        "sim2arm.cli.calibrate_board",
    ),
    "calibrate views": (
        "Take views of a board: camera, ROS topics or a raw log.",
        "sim2arm.cli.calibrate_views",
    ),
    "calibrate intrinsics": (
        "Find the lens of a camera from pictures of a board.",
        "sim2arm.cli.calibrate_intrinsics",
    ),
    "calibrate hand-eye": (
        "Find where a camera is on an arm or beside it.",
        "sim2arm.cli.calibrate_hand_eye",
    ),
    "calibrate joints": (
        "Find offsets of joints, by a camera or between two arms.",
        "sim2arm.cli.calibrate_joints",
    ),
    "calibrate latency": (
        "Measure how old pictures, touch and motion are, from motion itself.",
        "sim2arm.cli.calibrate_latency",
    ),
    "calibrate excitation": (
        "Make a bundle that moves an arm so that its dynamics are told.",
        "sim2arm.cli.calibrate_excitation",
    ),
    "calibrate dynamics": (
        "Find friction, inertia, gains, payload and delay of an arm from how it moves.",
        "sim2arm.cli.calibrate_dynamics",
    ),
    "calibrate gel": (
        "Find how stiff a gel is and how it grips, from presses of an arm.",
        "sim2arm.cli.calibrate_gel",
    ),
    "calibrate gap": (
        "Say how far the simulated arm is from a recording of the real one, and why.",
        "sim2arm.cli.calibrate_gap",
    ),
    "calibrate loop": (
        "Identify an arm, train its policy on, and say what that was worth.",
        "sim2arm.cli.calibrate_loop",
    ),
    "calibrate pictures": (
        "Take the pictures of ball presses that calibrate tactile needs.",
        "sim2arm.cli.pictures",
    ),
    "calibrate tactile": (
        "Make the colour table of a gel of pictures of ball presses.",
        "sim2arm.cli.calibrate",
    ),
    "import taxim": (
        "Make the colour table of a gel of a calibration of Taxim.",
        "sim2arm.cli.import_taxim",
    ),
    "import lerobot": (
        "Make demonstrations of others, LeRobot v3, those of an arm that is known here.",
        "sim2arm.cli.import_lerobot",
    ),
    "import leapp": (
        "Make a bundle of a policy that Isaac Lab exported with LEAPP.",
        "sim2arm.cli.import_leapp",
    ),
    "import onnx": (
        "Make a bundle of an ONNX policy, with what mjlab writes into it.",
        "sim2arm.cli.import_onnx",
    ),
    "import rsl-rl": (
        "Make a bundle of a checkpoint of rsl_rl.",
        "sim2arm.cli.import_rsl_rl",
    ),
    "import lerobot-act": (
        "Make a bundle of an ACT policy of LeRobot.",
        "sim2arm.cli.import_lerobot_act",
    ),
    "list": ("Show what can be named: experiments, tasks, robots, benchmarks.", "sim2arm.cli.list"),
}

EXIT_USAGE = 2
EXIT_FAULT = 1
EXIT_INTERRUPTED = 130


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command.

    Args:
        argv: the arguments; those of the process by default.

    Returns:
        The exit code: 0, or 2 for bad input (one line on stderr), 130 after Ctrl-C. Anything
        unexpected is raised, which is exit code 1 and a traceback.
    """
    words = list(sys.argv[1:] if argv is None else argv)
    show_traceback = os.environ.get("SIM2ARM_TRACEBACK", "") not in ("", "0")
    if words[:1] == ["--traceback"]:
        show_traceback, words = True, words[1:]
    verb = ""
    try:
        if not words or words[0] in ("-h", "--help", "help"):
            print(usage())
            return 0
        if words[1:2] in (["-h"], ["--help"]) and words[0] not in VERBS:
            inner = {verb: VERBS[verb] for verb in VERBS if verb.startswith(f"{words[0]} ")}
            if inner:
                print(usage(inner))
                return 0
        if words[0] == "--version":
            from sim2arm import __version__

            print(f"sim2arm {__version__}")
            return 0
        verb, rest = split_verb(words)
        return run_verb(verb, rest)
    except UserError as error:
        if show_traceback:
            raise
        return _fail(str(error))
    except ModuleNotFoundError as error:
        advice = missing_extra(error.name)
        if advice is None or show_traceback:
            raise
        return _fail(f"'{verb}' {advice}")
    except KeyboardInterrupt as error:
        hint = f": {one_line(error)}" if str(error) else ""
        print(f"\nsim2arm: interrupted{hint}", file=sys.stderr)
        return EXIT_INTERRUPTED
    except BrokenPipeError:
        # The reader of our output went away (`sim2arm list | head -1`): no reason to complain.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return EXIT_FAULT


def run_verb(verb: str, argv: list[str]) -> int:
    """Import the module of a verb and run it."""
    try:
        return importlib.import_module(VERBS[verb][1]).main(argv)
    except SystemExit as error:  # `--help` of a verb
        return error.code if isinstance(error.code, int) else 0


def split_verb(words: list[str]) -> tuple[str, list[str]]:
    """Return the verb, of two words or one, and the arguments after it.

    Raises:
        UserError: there is no such verb.
    """
    for length in (2, 1):
        verb = " ".join(words[:length])
        if len(words) >= length and verb in VERBS:
            return verb, words[length:]
    if words[0].startswith("-"):
        raise UserError(f"unrecognised option {words[0]}; options of a verb come after the verb")
    inner = [verb.split()[1] for verb in VERBS if verb.startswith(f"{words[0]} ")]
    from .parse import unknown

    if inner and len(words) == 1:
        raise UserError(f"sim2arm {words[0]}: expected one of: {', '.join(inner)}")
    if inner:
        raise UserError(unknown(f"verb 'sim2arm {words[0]} ...'", words[1], inner))
    raise UserError(unknown("verb", words[0], VERBS))


def usage(verbs: Mapping[str, tuple[str, str]] = VERBS) -> str:
    """Return the text of `sim2arm --help`, for all verbs or for some."""
    width = max(len(verb) for verb in verbs) + 2
    lines = [f"  {verb:<{width}}{help_line}" for verb, (help_line, _) in verbs.items()]
    return "\n".join(
        (
            "usage: sim2arm [--traceback] VERB ...",
            "",
            *lines,
            "",
            "`sim2arm VERB --help` shows the arguments of a verb. `--traceback` (or",
            "SIM2ARM_TRACEBACK=1) shows where an error came from.",
        )
    )


def _fail(message: str) -> int:
    print(f"sim2arm: error: {one_line(message)}", file=sys.stderr)
    return EXIT_USAGE


if __name__ == "__main__":
    sys.exit(main())
