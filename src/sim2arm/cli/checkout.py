"""Find the checkout that this installation runs from."""

from pathlib import Path


def find_checkout(package_file: str | None = None) -> Path | None:
    """Return the root of the repository, or None when sim2arm was installed from a wheel."""
    here = Path(package_file or __file__).resolve()
    for folder in here.parents:
        if (folder / "src" / "sim2arm").is_dir() and (folder / "pyproject.toml").is_file():
            return folder
    return None
