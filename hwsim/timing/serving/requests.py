"""Requests: when they arrive, how long their prompts and answers are."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from hwsim.errors import ArgumentError
from hwsim.storage import read_table

NS = 1_000_000_000
MOST_S = 1e9
MOST_TOKENS = 1 << 24
COLUMNS = ("arrival_s", "input_toks", "output_toks")


@dataclass(frozen=True, slots=True, eq=False)
class Requests:
    """Requests in the order of their arrival.

    Attributes:
        arrival_ns: int64 ``[requests]``, ascending.
        prompt: tokens of each prompt, int64, at least 1.
        answer: tokens of each answer, int64, at least 1.
    """

    arrival_ns: NDArray[np.int64]
    prompt: NDArray[np.int64]
    answer: NDArray[np.int64]

    def __post_init__(self) -> None:
        sizes = {len(self.arrival_ns), len(self.prompt), len(self.answer)}
        if len(sizes) != 1:
            raise ArgumentError("arrivals, prompts and answers must be equally many", got=sorted(sizes))
        if not len(self):
            raise ArgumentError("must hold at least one request", got=0, where="Requests")
        if np.any(np.diff(self.arrival_ns) < 0) or self.arrival_ns[0] < 0:
            raise ArgumentError("arrivals must ascend from 0 or later", where="Requests.arrival_ns")
        if min(int(self.prompt.min()), int(self.answer.min())) < 1:
            raise ArgumentError("prompts and answers must have at least 1 token", where="Requests")

    def __len__(self) -> int:
        return len(self.arrival_ns)

    @classmethod
    def of(cls, arrival_s: object, prompt: object, answer: object) -> Requests:
        """Requests from seconds and tokens, in any order; those that arrive together keep theirs."""
        seconds = np.asarray(arrival_s, dtype=np.float64)
        if not np.all(np.isfinite(seconds)):
            raise ArgumentError("arrivals must be finite", where="Requests.arrival_s")
        order = np.argsort(seconds, kind="stable")
        ns = np.rint(seconds * NS).astype(np.int64)
        return cls(ns[order], np.asarray(prompt, np.int64)[order], np.asarray(answer, np.int64)[order])

    @classmethod
    def from_csv(cls, path: str | Path) -> Requests:
        """Requests of a table with the columns ``arrival_s``, ``input_toks`` and ``output_toks``.

        Raises:
            ArgumentError: no such file, a column is missing, or a field is no number.
        """
        if not os.path.exists(path):
            raise ArgumentError("file must exist", got=str(path), where="arrivals")
        found: list[tuple[float, int, int]] = []
        for number, row in read_table(path, "arrivals", ArgumentError, columns=COLUMNS):
            try:
                one = float(row[COLUMNS[0]]), int(row[COLUMNS[1]]), int(row[COLUMNS[2]])
            except (TypeError, ValueError) as error:
                raise ArgumentError("must be numbers", got=row, where=f"{path}:{number}") from error
            if not abs(one[0]) <= MOST_S or max(abs(one[1]), abs(one[2])) > MOST_TOKENS:
                rule = f"arrivals must lie within {MOST_S:g} s, and tokens within {MOST_TOKENS}"
                raise ArgumentError(rule, got=row, where=f"{path}:{number}")
            found.append(one)
        return cls.of(*zip(*found, strict=True)) if found else cls.of([], [], [])

    @classmethod
    def poisson(
        cls, count: int, rate: float, prompt: NDArray[np.int64], answer: NDArray[np.int64], seed: int, cv: float = 1.0
    ) -> Requests:
        """Arrivals at `rate` a second whose distances are gamma distributed with coefficient of variation `cv`, 1 for
        a Poisson process; lengths are drawn with replacement from the pairs ``(prompt, answer)``."""
        if min(rate, cv) <= 0 or len(prompt) != len(answer):
            raise ArgumentError("rate and cv must be above 0, and lengths come in pairs", got=(rate, cv))
        random = np.random.default_rng(seed)
        seconds = np.cumsum(random.gamma(1 / cv**2, cv**2 / rate, size=count))
        picked = random.integers(len(prompt), size=count)
        return cls.of(seconds, np.asarray(prompt)[picked], np.asarray(answer)[picked])
