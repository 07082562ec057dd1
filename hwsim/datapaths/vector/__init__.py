"""Operators of a vector unit."""
