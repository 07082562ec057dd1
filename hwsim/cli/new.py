"""The command that begins a file of the user's own: commented, and it runs as it is."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

import typer

from hwsim.cli.app import app
from hwsim.cli.output import give

Kind = Literal["model", "space", "machine", "unit"]
STARTERS = Path(__file__).parent / "starters"
DATAPATHS = {
    "machine": '{ family = "integer", a_bits = 8, b_bits = 4, acc_bits = 24 }',
    "unit": '{ file = "{UNIT}:{CLASS}", a_bits = 8, b_bits = 4, dropped = 3, acc_bits = 24 }',
}
NEXT = {
    "model": "hwsim capture {FILE}:build --out traces/{NAME}",
    "space": "hwsim explore {FILE} --trace gpt-small --trials 40 --no-gates --out reports/{NAME}",
    "machine": "hwsim evaluate gpt-small {FILE}",
    "unit": "hwsim evaluate gpt-small {MACHINE}",
}


@app.command()
def new(
    kind: Annotated[Kind, typer.Argument(help="model, space, machine, or unit: then with a machine that uses it")],
    name: Annotated[str, typer.Argument(help="of the file, without suffix: letters, digits and _")],
    out: Annotated[Path, typer.Option("--out", help="folder to write into; the current one without it")] = Path(),
    force: Annotated[bool, typer.Option("--force", help="replace a file of that name")] = False,
) -> None:
    """Write a commented starting file for a model, a space, a machine or a unit of your own; it runs as it is."""
    from hwsim.errors import ArgumentError
    from hwsim.storage import write_whole

    if not name.isidentifier() or not name.isascii():
        raise ArgumentError("a name must be made of letters, digits and _, no digit first", got=name, where="new")
    texts = starters(kind, name, out)
    for path in texts:
        if path.exists() and not force:
            raise ArgumentError("there must be no such file yet; --force replaces it", got=str(path), where="new")
    for path, text in texts.items():
        typer.echo(str(write_whole(path, text)))
    then = _filled(NEXT[kind], name, out)
    give({"files": list(texts), "next": then})
    typer.echo(f"next: {then}")


def starters(kind: Kind, name: str, folder: Path = Path()) -> dict[Path, str]:
    """Paths and texts of the files that begin a `kind` called `name` in `folder`."""
    if kind in ("model", "unit"):
        found = {folder / f"{name}.py": _filled(_text(f"{kind}.py.txt"), name, folder)}
    else:
        found = {}
    if kind == "space":
        found[folder / f"{name}.toml"] = _filled(_text("space.toml"), name, folder)
    elif kind in DATAPATHS:
        text = _text("machine.toml").replace("{DATAPATH}", DATAPATHS[kind])
        found[folder / f"{name}.toml"] = _filled(text, name, folder)
    return found


def _text(file: str) -> str:
    return (STARTERS / file).read_text(encoding="utf-8")


def _filled(text: str, name: str, folder: Path) -> str:
    python, toml = str(folder / f"{name}.py"), str(folder / f"{name}.toml")
    kind = "".join(part.capitalize() for part in name.split("_")) or name
    file = python if "{FILE}:build" in text or "{CLASS}(" in text else toml
    for key, value in (("NAME", name), ("CLASS", kind), ("UNIT", python), ("MACHINE", toml), ("FILE", file)):
        text = text.replace(f"{{{key}}}", value)
    return text
