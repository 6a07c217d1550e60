"""Command-line arguments to frozen dataclasses: tyro, with one line per error instead of a box."""

import difflib
import io
import os
import re
from collections.abc import Callable, Generator, Iterable, Mapping, Sequence
from contextlib import contextmanager, nullcontext, redirect_stderr
from typing import TypeVar

from .errors import UserError

T = TypeVar("T")

_RULER = re.compile(r"[─━-]{8,}")


def parse(cfg_type: type[T] | Callable[..., T], argv: Sequence[str], prog: str) -> T:
    """Return the config that the arguments describe.

    Args:
        cfg_type: a frozen, keyword-only dataclass; the docstring under a field is its help text.
        argv: the arguments after the verb.
        prog: how the verb is called, as in `sim2arm bench`.

    Raises:
        UserError: unknown option, missing or malformed value; with tyro's suggestion.
        SystemExit: code 0, after `--help`.
    """
    import tyro

    with _one_line_errors(prog, argv):
        return tyro.cli(cfg_type, args=list(argv), prog=prog)


def parse_named(
    configs: Mapping[str, tuple[str, T]], argv: Sequence[str], prog: str, kind: str
) -> tuple[str, T]:
    """Return the name and the config of a named default with its overrides.

    Args:
        configs: name to (help line, default config).
        argv: the name and then options, as in `reach-ppo --algo.lr 1e-4`.
        prog: how the verb is called, as in `sim2arm train`.
        kind: what the names are, as in `experiment`.

    Raises:
        UserError: unknown name, unknown option, missing or malformed value; with a suggestion.
        SystemExit: code 0, after `--help`.
    """
    import tyro

    if not argv or argv[0] in ("-h", "--help"):
        print(f"usage: {prog} {kind.upper()} [OPTIONS]\n\n{kind}s:")
        for name, (help_line, _) in configs.items():
            print(f"  {name:<28} {help_line}")
        print(f"\nOptions of one: {prog} {kind.upper()} --help")
        if argv:
            raise SystemExit(0)
        raise UserError(f"{prog}: missing {kind.upper()}; known: {', '.join(sorted(configs))}")
    name = argv[0]
    if name not in configs:
        raise UserError(unknown(kind, name, configs))
    help_line, default = configs[name]
    with _one_line_errors(f"{prog} {name}", argv):
        config = tyro.cli(
            type(default),
            args=list(argv[1:]),
            default=default,
            config=(tyro.conf.AvoidSubcommands,),
            prog=f"{prog} {name}",
            description=help_line,
        )
    return name, config


def unknown(kind: str, name: str, known: Iterable[str]) -> str:
    """Return the line for a name that is not known: the nearest names, else all of them."""
    names = sorted(known)
    near = difflib.get_close_matches(name, names, n=3, cutoff=0.5)
    hint = (
        f"perhaps you meant {' or '.join(near)}" if near else f"known: {', '.join(names) or 'none'}"
    )
    return f"unknown {kind} {name!r}; {hint}"


@contextmanager
def _one_line_errors(prog: str, argv: Sequence[str]) -> Generator[None, None, None]:
    """Replace tyro's error box by a `UserError` of one line."""
    wants_help = any(word in ("-h", "--help") for word in argv)
    captured = io.StringIO()
    try:
        with nullcontext() if wants_help else _wide_terminal(), redirect_stderr(captured):
            yield
    except SystemExit as error:
        if error.code in (0, None):
            raise
        raise UserError(explain(captured.getvalue(), prog)) from error


@contextmanager
def _wide_terminal() -> Generator[None, None, None]:
    """Keep tyro from breaking the lines of an error, which are read by `explain`."""
    before = os.environ.get("COLUMNS")
    os.environ["COLUMNS"] = "1000"
    try:
        yield
    finally:
        if before is None:
            del os.environ["COLUMNS"]
        else:
            os.environ["COLUMNS"] = before


def explain(box: str, prog: str) -> str:
    """Return what an error box of tyro says, as one line.

    tyro has no public way to get at its errors, so the text of the box is read; a box of an unknown
    kind still gives one line with its message.

    Args:
        box: the text that tyro wrote.
        prog: the command that was given.
    """
    head, details = _unbox(box)
    message = " ".join(line.strip() for line in head)
    if found := re.match(r"Unrecognized options: (.*)", message):
        return f"{_unrecognised(found[1])}{_suggestion(details)}"
    if message.startswith("Missing from "):
        return f"{prog}: missing {_missing(head[1:])}"
    if found := re.match(r"Missing value for argument '([^']*)'. Expected (\d+)", message):
        return f"{found[1]}: expected {found[2]} value{'s' if found[2] != '1' else ''}, got fewer"
    if found := re.match(r"invalid choice (.*) for argument '([^']*)'\. (.*?)\.?$", message):
        return f"{found[2]}: invalid choice {found[1]}; {found[3][0].lower()}{found[3][1:]}"
    if found := re.match(r"Error parsing (--\S+): (.*)", message):
        return f"{found[1]}: {found[2]}{_expected(details)}"
    if found := re.match(r"Error parsing \S+: (.*)", message):
        return f"{prog}: {found[1]}"
    return f"{prog}: {message or 'the arguments are not understood'}"


def _unbox(box: str) -> tuple[list[str], list[str]]:
    """Return the message of an error box and the lines below its first ruler, without the frame."""
    sections: list[list[str]] = [[]]
    for line in box.splitlines():
        framed = line.strip().startswith("│")
        text = (line.strip().strip("│") if framed else line).rstrip()
        if not text.strip() or text.strip()[0] in "╭╰":
            continue
        if _RULER.fullmatch(text.strip()):
            sections.append([])
        else:
            sections[-1].append(text)
    if "╭" not in box:  # an output without such signs: the title stands alone above a ruler
        sections = sections[1:] or sections
    return sections[0], [line.strip() for section in sections[1:] for line in section]


def _missing(lines: Sequence[str]) -> str:
    """Return the missing arguments, each with its help text, which stands deeper below it."""
    found: list[str] = []
    indents = [len(line) - len(line.lstrip()) for line in lines]
    for line, indent in zip(lines, indents, strict=True):
        text = line.strip().removesuffix("(required)").strip()
        if indent == min(indents):
            found.append(text)
        elif text:
            found[-1] += f" ({text.rstrip('.')})"
    return ", ".join(found)


def _unrecognised(arguments: str) -> str:
    """Return which of the arguments were not understood (a value after an option is not one)."""
    words = re.split(r",?\s+", arguments.strip())
    options = [word for word in words if word.startswith("-")]
    if options:
        return f"unrecognised option {', '.join(options)}"
    return f"unexpected argument {', '.join(words)}"


def _suggestion(details: Sequence[str]) -> str:
    """Return the options that tyro finds similar."""
    found = (re.match(r"(--[\w.:-]+)", line) for line in details)
    options = list(dict.fromkeys(match[1] for match in found if match))
    return f"; perhaps you meant {' or '.join(options[:3])}" if options else ""


def _expected(details: Sequence[str]) -> str:
    """Return the metavar of the argument, if the box shows it."""
    for line in details:
        found = re.match(r"(?:-\w, )?--[\w.:-]+ (.+)", line)
        if found:
            return f" (expected {found[1]})"
    return ""
