"""What there is by name: recipes, quantization schemes, models, machines, studies."""

from __future__ import annotations

from typing import Annotated

import typer

from hwsim.cli.app import app


@app.command("list")
def list_names(
    what: Annotated[str, typer.Argument(help="recipes, schemes, models, machines, spaces or studies")],
    detail: Annotated[
        str | None, typer.Option("--detail", help="all of one recipe: its GEMMs, its paper, what is unverified")
    ] = None,
) -> None:
    """List what is known by name."""
    from hwsim.errors import ArgumentError, UnknownName

    if detail is not None:
        if what != "recipes":
            raise ArgumentError("--detail must belong to recipes", got=what)
        typer.echo(_recipe(detail))
        return
    names = _names()
    if what not in names:
        raise UnknownName("list", what, names)
    for name in names[what]:
        typer.echo(name)


def _names() -> dict[str, list[str]]:
    from hwsim import quant, recipes, studies, workbench

    return {
        "recipes": [f"{name:26} {recipes.get(name).title}" for name in recipes.names()],
        "schemes": quant.names(),
        "models": workbench.names("models", ".py"),
        "machines": workbench.names("dse/machines", ".toml"),
        "spaces": workbench.names("dse", ".toml"),
        "studies": list(studies.NAMES),
    }


def _recipe(name: str) -> str:
    from hwsim import recipes

    recipe = recipes.get(name)
    lines = [f"{recipe.name}, version {recipe.version}: {recipe.title}", recipe.paper]
    for label, layer in (("layers", recipe.layer), ("attention", recipe.attention)):
        for one in recipes.GEMMS:
            gemm = layer.gemm(one)
            if gemm is not None:
                turned = f", rotated by {gemm.rotation.size}" if gemm.rotation is not None else ""
                more = f", {gemm.extend.name}" if gemm.extend is not None else ""
                lines.append(f"{label} {one}: {gemm.a.label} × {gemm.b.label}{turned}{more}")
    for rule in recipe.rules:
        sides = ("first", rule.where.first), ("last", rule.where.last)
        ends = (f"{side} {amount:g}" for side, amount in sides if amount)
        selected = ", ".join([*ends, *rule.where.kinds, *rule.where.names])
        lines.append(f"{selected}: {'high precision' if rule.use == recipes.FLOAT32 else 'a rule of its own'}")
    for change in recipe.schedule:
        to = "in high precision" if change.to is None else "otherwise"
        lines.append(f"from {change.at:g} of the steps on: {', '.join(change.gemms)} {to}")
    if recipe.monitor is not None:
        lines.append(f"{', '.join(recipe.monitor.gemms)} lifted below a ratio of {recipe.monitor.threshold:.3g}")
    parts = {"softmax": recipe.softmax, "saved activations": recipe.saver, "after each step": recipe.after_step}
    lines += [f"{label}: {part.name}" for label, part in parts.items() if part is not None]
    if recipe.unbiased:
        lines.append("its paper claims unbiased gradients")
    return "\n".join([*lines, *(f"- {claim}" for claim in recipe.claims)])
