"""What all commands share: the application, and arguments that several of them take."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

app = typer.Typer(
    name="hwsim",
    help="A torch model goes in, a Pareto front of 4-bit accelerators comes out.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
)

Model = Annotated[str, typer.Argument(help="a model of the workbench (gpt), or path/to/file.py:build")]
Out = Annotated[Path, typer.Option("--out", help="folder to write into")]
Seed = Annotated[int, typer.Option("--seed", help="the same seed gives the same result")]
Force = Annotated[bool, typer.Option("--force", help="also write into a folder that holds something else")]
Liberty = Annotated[Path | None, typer.Option(help="a Liberty file; the package's own without it")]
