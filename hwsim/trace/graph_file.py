"""The operator graph of a trace as a file: ``graph.json`` beside the index, with its SHA-256 in the manifest."""

from __future__ import annotations

import dataclasses
import hashlib
import json
import os
from pathlib import Path
from typing import Any

from hwsim.errors import TraceError
from hwsim.trace.files import refused
from hwsim.trace.gemm import GemmShape
from hwsim.trace.graph import Access, Graph, Operator, Tensor, Window

GRAPH = "graph.json"


def write_graph(folder: Path, graph: Graph) -> str:
    """Write the whole file or none; return its SHA-256."""
    text = json.dumps(dataclasses.asdict(graph), separators=(",", ":"), sort_keys=True) + "\n"
    temporary = folder / f".{GRAPH}.{os.getpid()}"
    try:
        temporary.write_text(text, encoding="utf-8")
        os.replace(temporary, folder / GRAPH)
    except OSError as error:
        temporary.unlink(missing_ok=True)
        raise refused(folder / GRAPH, error) from error
    return hashlib.sha256(text.encode()).hexdigest()


def read_graph(folder: Path, digest: str) -> Graph:
    """What `write_graph` wrote.

    Raises:
        TraceError: the file is missing, is not what was written, or holds no graph.
    """
    path = folder / GRAPH
    try:
        data = path.read_bytes()
    except OSError as error:
        raise TraceError("graph must be readable", got=error.strerror, where=str(path)) from error
    found = hashlib.sha256(data).hexdigest()
    if found != digest:
        raise TraceError(f"SHA-256 of the graph must be {digest}", got=found, where=str(path))
    try:
        plain = json.loads(data)
        tensors = tuple(Tensor(**{**one, "shape": tuple(one["shape"])}) for one in plain["tensors"])
        return Graph(tensors, tuple(_operator(one) for one in plain["operators"]))
    except (ValueError, TypeError, KeyError, AttributeError) as error:
        raise TraceError(f"file must hold a graph of operators, {error}", where=str(path)) from error


def _operator(plain: dict[str, Any]) -> Operator:
    inputs = tuple(_access(one) for one in plain["inputs"])
    gemm = None if plain["gemm"] is None else GemmShape(**plain["gemm"])
    return Operator(**{**plain, "inputs": inputs, "gemm": gemm})


def _access(plain: dict[str, Any]) -> Access:
    sizes: dict[str, Any] | None = plain["window"]
    if sizes is not None:
        sizes = {key: tuple(value) if isinstance(value, list) else value for key, value in sizes.items()}
    return Access(**{**plain, "window": None if sizes is None else Window(**sizes)})
