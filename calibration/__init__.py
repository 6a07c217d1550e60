"""Calibration: measured numbers in; parameters, residuals and a report out."""
