"""Compiled products of dot units: a general one that is right everywhere, and fast ones where they fit."""
