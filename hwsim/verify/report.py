"""The table as files, and the claims that a README may make from it."""

from __future__ import annotations

from pathlib import Path

from hwsim.storage import owned, write_whole
from hwsim.verify.table import Table

CLAIMS = (  # what, words of the operation or the oracle that belong to it
    ("element formats", ("float32 to", "to float32"), "NVIDIA's headers on the host, ml_dtypes, numpy"),
    ("tensor cores of every architecture", ("tensor-core units",), "mmasim 2.1.1"),
    ("whole products, K in any length", ("whole products of",), "the unit's own dot products"),
    ("FP4 units", ("exact fractions",), "their rule in exact fractions"),
    ("tensor cores", ("recorded on",), "dot products recorded on silicon"),
    ("tensor-core circuits", ("Verilog in Icarus",), "Verilog, simulated"),
    ("CUDA kernels", ("kernels compile",), "the machine code that NVRTC makes of them"),
    ("NVFP4 casts", ("quantize",), "torchao"),
)


def claims(table: Table) -> str:
    """A Markdown table of what was compared with what, one line a kind; kinds without a comparison are left out."""
    lines = ["| what | against | how far |", "|---|---|---|"]
    for what, marks, against in CLAIMS:
        rows = [
            row
            for row in table.rows
            if row.differences is not None
            and not row.bound
            and any(mark in f"{row.operation} {row.oracle}" for mark in marks)
        ]
        if rows:
            cases, wrong = sum(row.cases for row in rows), sum(row.differences or 0 for row in rows)
            code = what == "CUDA kernels"
            equal = "each is the one instruction it names" if code else "all bit-equal"
            verdict = equal if not wrong else f"{wrong:,} differ"
            lines.append(f"| {what} | {against} | {cases:,} {'kernels' if code else 'cases'}, {verdict} |")
    return "\n".join(lines)


def write(table: Table, folder: Path, force: bool = False) -> list[Path]:
    """``verify.json`` and ``verify.md`` in `folder`.

    Raises:
        ArgumentError: the folder holds something else and `force` is false.
        StorageError: it cannot be written.
    """
    with owned(folder, "verification", force=force):
        page = f"{table.to_markdown()}\n## Claims\n\n{claims(table)}\n"
        return [write_whole(folder / "verify.json", table.to_json()), write_whole(folder / "verify.md", page)]
