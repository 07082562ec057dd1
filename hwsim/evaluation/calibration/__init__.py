"""Coefficients fitted to synthesised circuits and to a trace in their gates."""
