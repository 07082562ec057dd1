"""Oracles: what hwsim is compared with, written by others."""
