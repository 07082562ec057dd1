"""Serving: many requests on one engine, step by step; a compiled loop and a SimPy reference of the same rules."""

from __future__ import annotations

from hwsim.timing.serving.cost import StepCost
from hwsim.timing.serving.engine import Engine, serve
from hwsim.timing.serving.outcome import Outcome
from hwsim.timing.serving.requests import Requests

__all__ = ["Engine", "Outcome", "Requests", "StepCost", "serve"]
