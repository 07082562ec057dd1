"""A graph as JSON: tensors and operators as rows of their fields, fields of default values left out."""

from __future__ import annotations

import dataclasses
import json
from typing import Any

from hwsim.trace.gemm import GemmShape
from hwsim.trace.graph import Access, Graph, Operator, Tensor, Window


def write_graph(graph: Graph) -> bytes:
    """The JSON of a graph, one line a tensor and an operator."""
    tensors = ",\n  ".join(_line(tensor) for tensor in graph.tensors)
    operators = ",\n  ".join(_line(operator) for operator in graph.operators)
    return f'{{"tensors": [\n  {tensors}\n ],\n "operators": [\n  {operators}\n ]}}\n'.encode()


def read_graph(data: bytes) -> Graph:
    """What `write_graph` wrote."""
    held = json.loads(data)
    tensors = tuple(Tensor(**{**row, "shape": tuple(row["shape"])}) for row in held["tensors"])
    return Graph(tensors, tuple(_operator(row) for row in held["operators"]))


def _line(record: Any) -> str:
    return json.dumps(_fields(record), separators=(",", ":"), ensure_ascii=False)


def _fields(record: Any) -> Any:
    if dataclasses.is_dataclass(record):
        values = ((field, getattr(record, field.name)) for field in dataclasses.fields(record))
        return {field.name: _fields(value) for field, value in values if value != field.default}
    return [_fields(item) for item in record] if isinstance(record, tuple) else record


def _operator(row: dict[str, Any]) -> Operator:
    inputs = tuple(_access(access) for access in row["inputs"])
    gemm = GemmShape(**row["gemm"]) if "gemm" in row else None
    return Operator(**{**row, "inputs": inputs, "gemm": gemm})


def _access(row: dict[str, Any]) -> Access:
    window = row.get("window")
    if window is None:
        return Access(**row)
    sizes: dict[str, Any] = {
        name: tuple(value) if isinstance(value, list) else value for name, value in window.items()
    }
    return Access(**{**row, "window": Window(**sizes)})
