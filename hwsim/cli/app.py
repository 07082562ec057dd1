"""What all commands share: the application, and arguments that several of them take."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Annotated, Any, TypeVar

import typer

from hwsim.cli import completion
from hwsim.cli.output import Command, answering

F = TypeVar("F", bound=Callable[..., Any])


class App(typer.Typer):
    """An application whose commands answer in JSON too (`hwsim.cli.output`)."""

    def command(self, name: str | None = None, **settings: Any) -> Callable[[F], F]:
        """Register a command; arguments as those of `typer.Typer.command`."""
        settings.setdefault("cls", Command)
        register = super().command(name, **settings)

        def registered(command: F) -> F:
            register(answering(command))
            return command

        return registered


app = App(
    name="hwsim",
    help="A torch model goes in, a Pareto front of 4-bit accelerators comes out.",
    no_args_is_help=True,
    add_completion=True,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
)

Model = Annotated[
    str,
    typer.Argument(help="a model of the workbench (gpt), or path/to/file.py:build", autocompletion=completion.models),
]
Machine = Annotated[
    str,
    typer.Argument(
        help="a machine of the workbench (edge-nvfp4), or a TOML file", autocompletion=completion.machines
    ),
]
Space = Annotated[
    str,
    typer.Argument(
        help="a design space of the workbench (edge-lm), or a TOML file", autocompletion=completion.spaces
    ),
]
Out = Annotated[Path, typer.Option("--out", help="folder to write into")]
Seed = Annotated[int, typer.Option("--seed", help="the same seed gives the same result")]
Force = Annotated[bool, typer.Option("--force", help="also write into a folder that holds something else")]
Liberty = Annotated[Path | None, typer.Option(help="a Liberty file; the package's own without it")]
