"""`sim2arm bench NAME`: run one benchmark of a checkout."""

import importlib.util
import sys
from collections.abc import Callable, Sequence
from pathlib import Path

from .checkout import find_checkout
from .errors import UserError
from .parse import unknown


def main(argv: Sequence[str]) -> int:
    """Run `benchmarks/NAME.py` with the arguments that follow the name.

    Raises:
        UserError: not in a checkout, or no such benchmark.
    """
    folder = benchmark_folder()
    known = benchmark_names(folder)
    if not argv or argv[0] in ("-h", "--help"):
        print("usage: sim2arm bench NAME [OPTIONS]\n")
        print(f"benchmarks: {', '.join(known) or 'none'}")
        if argv:
            return 0
        raise UserError("sim2arm bench: missing NAME")
    name = argv[0]
    if name not in known:
        raise UserError(unknown("benchmark", name, known))
    return load_benchmark(folder / f"{name}.py")(list(argv[1:]))


def benchmark_folder() -> Path:
    """Return the folder `benchmarks/` of the checkout.

    Raises:
        UserError: sim2arm was installed from a wheel, which has no benchmarks.
    """
    root = find_checkout()
    if root is None:
        raise UserError(
            "benchmarks are part of a checkout, and this is an installed wheel; "
            "clone the repository and use `make bench`"
        )
    return root / "benchmarks"


def benchmark_names(folder: Path) -> list[str]:
    """Return the names of the benchmarks in a folder."""
    return sorted(path.stem for path in folder.glob("*.py") if not path.stem.startswith("_"))


def load_benchmark(path: Path) -> Callable[[list[str]], int]:
    """Return the `main` of a benchmark file; it may import its neighbours, as a script may."""
    if str(path.parent) not in sys.path:
        sys.path.insert(0, str(path.parent))
    spec = importlib.util.spec_from_file_location(f"sim2arm_benchmark_{path.stem}", path)
    assert spec is not None and spec.loader is not None  # a .py file that exists
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module  # dataclasses look themselves up there
    spec.loader.exec_module(module)
    return module.main
