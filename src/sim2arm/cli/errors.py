"""Bad input becomes one clear line: the only error class of the command line."""

from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path

import yaml


class UserError(ValueError):
    """What the person at the keyboard can put right: printed as one line, exit code 2."""


@contextmanager
def user_input(what: str, path: Path | str | None = None) -> Generator[None, None, None]:
    """Turn the errors of reading one piece of user input into a `UserError`.

    Put the reading and checking of input under it, and nothing else: the same exceptions raised
    elsewhere are faults of ours and keep their traceback.

    Args:
        what: name of the input, as in `policy bundle`.
        path: where it was read from, if it was a file.

    Raises:
        UserError: the block raised a value, type, key, operating system or YAML error.
    """
    place = f"{what} {path}" if path is not None else what
    try:
        yield
    except UserError:
        raise
    except FileNotFoundError as error:
        missing = error.filename if error.filename is not None else path
        detail = f"no such file or folder: {missing}" if missing is not None else str(error)
        raise UserError(f"{what}: {detail}") from error
    except OSError as error:
        which = f"{what} {error.filename}" if path is None and error.filename else place
        raise UserError(f"{which}: {error.strerror or error}") from error
    except yaml.YAMLError as error:
        raise UserError(f"{what}: {_yaml_line(error, path)}") from error
    except KeyError as error:
        raise UserError(f"{place}: expected the key {error}, which is absent") from error
    except (ValueError, TypeError) as error:
        raise UserError(f"{place}: {error}") from error


def _yaml_line(error: yaml.YAMLError, path: Path | str | None) -> str:
    """Return `file:line:column: expected valid YAML, got ...` for a YAML error."""
    if not isinstance(error, yaml.MarkedYAMLError) or error.problem_mark is None:
        return f"{path or 'text'}: expected valid YAML: {error}"
    mark = error.problem_mark
    where = path if path is not None else mark.name
    problem = " ".join(part for part in (error.context, error.problem) if part)
    return f"{where}:{mark.line + 1}:{mark.column + 1}: expected valid YAML: {problem}"


def one_line(message: object) -> str:
    """Return a message as one line."""
    return "; ".join(part.strip() for part in str(message).splitlines() if part.strip())
