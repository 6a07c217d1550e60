"""Runs that come with the package: their policy as a bundle, and how it was made."""

from pathlib import Path

PEG_INSERTION = Path(__file__).parent / "peg-insertion"
"""Of `sim2arm train peg-insertion-ppo`: its config, metrics, bundle, and what the export found."""
