"""Policies: one algorithm per file, their shared parts, export, and the torch-free runtime."""
