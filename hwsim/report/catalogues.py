"""What there is by name, as data: every format, scheme, unit, recipe, machine, space, model, study and workload.

The command ``hwsim list`` and the reference under ``docs/reference`` show these entries and know nothing more, so a
new catalogue line is listed and documented by being there.
"""

from __future__ import annotations

import ast
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from hwsim.errors import UnknownName
from hwsim.report.equations import DECODES, RULES, UNITS, format_equation


@dataclass(frozen=True, slots=True)
class Entry:
    """One name.

    Attributes:
        name: as commands and files take it.
        title: what it is, in a line.
        equation: what it computes, "" where it computes nothing.
        source: the document or code that it is from, or the file that holds it.
        facts: further lines.
    """

    name: str
    title: str
    equation: str = ""
    source: str = ""
    facts: tuple[str, ...] = ()


def kinds() -> tuple[str, ...]:
    """What can be listed."""
    return tuple(_KINDS)


def entries(kind: str) -> tuple[Entry, ...]:
    """Every entry of a kind, in the order of its catalogue; `UnknownName` names the kinds."""
    if kind not in _KINDS:
        raise UnknownName("list", kind, _KINDS)
    return tuple(_KINDS[kind]())


def entry(kind: str, name: str) -> Entry:
    """One entry; `UnknownName` names near ones."""
    known = {one.name: one for one in entries(kind)}
    if name not in known:
        raise UnknownName(kind.removesuffix("s"), name, known)
    return known[name]


def _formats() -> Iterator[Entry]:
    from hwsim.formats.catalog import CATALOG

    for one in CATALOG.values():
        if one.is_integer:
            title = f"{one.bits} bits, two's complement, {-(1 << one.bits - 1)} to {(1 << one.bits - 1) - 1}"
        else:
            sign = {"magnitude": "sign, ", "ignored": "a sign that is not read, ", "none": ""}.get(one.sign, "")
            title = (
                f"{one.bits} bits: {sign}{one.exponent_bits} exponent, {one.mantissa_bits} mantissa; "
                f"bias {one.bias}, largest {one.max:.6g}, smallest normal {one.min_normal:.6g}"
            )
        special = {
            "none": "no infinity, no NaN", "nan": "one NaN (two with a sign), no infinity",
            "ieee": "infinities and NaNs", "fnuz": "one NaN, no infinity, no -0",
        }[one.specials]  # fmt: skip
        yield Entry(one.name, title, format_equation(one), one.source, () if one.is_integer else (special,))


def _schemes() -> Iterator[Entry]:
    from hwsim.quant import catalog

    for one in catalog.CATALOG.values():
        shared = {
            "tensor": "the tensor", "channel": "each slice along the axis",
            "block": f"{one.block} along the axis", "block2d": f"{one.block} × {one.block}",
        }[one.granularity]  # fmt: skip
        scaled = one.scale_format is not None
        title = one.element.upper() + (f", a scale {one.scale_format} for {shared}" if scaled else ", a plain cast")
        title += ", one float32 of the tensor above" if one.tensor_scale else ""
        title += f", stochastic by {one.sr_bits} bits" if one.rounding == "sr" else ""
        bound = f"; scales aim at {one.scale_bound:g}" if one.scale_bound is not None else ""
        equation = f"{RULES[one.scale_rule]}{bound}; value {DECODES[one.decode]}" if scaled else RULES["none"]
        yield Entry(one.name, title, equation, one.source)
    for alias, name in catalog.ALIASES.items():
        yield Entry(alias, f"another name of {name}", "", catalog.CATALOG[name].source)


def _units() -> Iterator[Entry]:
    from hwsim.datapaths import FAMILIES
    from hwsim.datapaths.dot.catalogue import ARCHS, ROWS

    for name in FAMILIES:
        made = UNITS[name]
        yield Entry(name, made.title, made.equation, made.source, (f'datapath = {{ family = "{name}", ... }}',))
    for arch in ARCHS:
        for row in (one for one in ROWS if arch in one.archs):
            for operand in row.operands:
                block = f", a scale {row.scale} for {row.block}" if row.block else ""
                yield Entry(
                    f"tensor_core.{arch}.{operand}",
                    f"{row.instruction}: {row.align}, {row.group} products a step, "
                    f"{row.fraction_bits} fraction bits, {row.rounding}{block}",
                    UNITS[f"dot.{row.align}"].equation,
                    row.source,
                    (f'datapath = {{ family = "tensor_core", arch = "{arch}", operand = "{operand}" }}',),
                )


def _recipes() -> Iterator[Entry]:
    from hwsim import recipes

    for name in recipes.names():
        one = recipes.get(name)
        yield Entry(name, one.title, "; ".join(_gemms(one)), one.paper, tuple(recipe_lines(one)))


def _gemms(recipe: Any) -> Iterator[str]:
    from hwsim import recipes

    for label, layer in (("layers", recipe.layer), ("attention", recipe.attention)):
        for one in recipes.GEMMS:
            gemm = layer.gemm(one)
            if gemm is not None:
                turned = f", rotated by {gemm.rotation.size}" if gemm.rotation is not None else ""
                more = f", {gemm.extend.name}" if gemm.extend is not None else ""
                yield f"{label} {one}: {gemm.a.label} × {gemm.b.label}{turned}{more}"


def recipe_lines(recipe: Any) -> Iterator[str]:
    """All of a recipe: its products, its exceptions, its changes with time, and what of its claims is unverified."""
    from hwsim import recipes

    yield from _gemms(recipe)
    for rule in recipe.rules:
        sides = ("first", rule.where.first), ("last", rule.where.last)
        ends = (f"{side} {amount:g}" for side, amount in sides if amount)
        selected = ", ".join([*ends, *rule.where.kinds, *rule.where.names])
        yield f"{selected}: {'high precision' if rule.use == recipes.FLOAT32 else 'a rule of its own'}"
    for change in recipe.schedule:
        to = "in high precision" if change.to is None else "otherwise"
        yield f"from {change.at:g} of the steps on: {', '.join(change.gemms)} {to}"
    if recipe.monitor is not None:
        yield f"{', '.join(recipe.monitor.gemms)} lifted below a ratio of {recipe.monitor.threshold:.3g}"
    parts = {"softmax": recipe.softmax, "saved activations": recipe.saver, "after each step": recipe.after_step}
    yield from (f"{label}: {part.name}" for label, part in parts.items() if part is not None)
    if recipe.unbiased:
        yield "its paper claims unbiased gradients"
    yield from (f"- {claim}" for claim in recipe.claims)


def _machines() -> Iterator[Entry]:
    import hwsim
    from hwsim import workbench

    for name in workbench.names("dse/machines", ".toml"):
        yield _machine(hwsim.load_accelerator(name), workbench.find("dse/machines", name, ".toml"))
    published = workbench.find("dse/machines", "edge-int8", ".toml").parent / "published"
    for path in sorted(published.glob("*.toml")):
        yield _machine(hwsim.load_accelerator(path), path)


def _machine(machine: Any, path: Path) -> Entry:
    array = machine.array
    facts = (
        f"{array.rows} × {array.cols} {array.dataflow.name}, {machine.clock_ghz:g} GHz, {machine.node_nm} nm",
        machine.policy.default.label,
        *(f"{one.name} {one.kib:g} KiB" for one in machine.memories if one.kib),
    )
    comments = [line[1:].strip() for line in path.read_text(encoding="utf-8").splitlines() if line.startswith("# ")]
    source = " ".join(one for one in comments if one.startswith("Source"))
    return Entry(path.stem, _toml(path).get("description", machine.name), "", source, facts)


def _toml(path: Path) -> dict[str, Any]:
    import tomllib

    return tomllib.loads(path.read_text(encoding="utf-8"))


def _spaces() -> Iterator[Entry]:
    from hwsim import workbench
    from hwsim.search import load_space

    for name in workbench.names("dse", ".toml"):
        space = load_space(name)
        knobs = tuple(f"{one.name}: {', '.join(map(str, one.values))}" for one in space.parameters)
        head = (
            f"objectives: {', '.join(space.objectives)}; limits: {', '.join(map(str, space.constraints)) or 'none'}"
        )
        yield Entry(name, _toml(workbench.find("dse", name, ".toml")).get("title", name), "", "", (head, *knobs))


def _models() -> Iterator[Entry]:
    from hwsim import workbench

    for name in workbench.names("models", ".py"):
        yield Entry(
            name, _first_line(workbench.find("models", name, ".py").read_text(encoding="utf-8", errors="replace"))
        )


def _studies() -> Iterator[Entry]:
    import importlib.util

    from hwsim import studies

    for name, module in studies.NAMES.items():
        spec = importlib.util.find_spec(module)
        assert spec is not None
        assert spec.origin is not None
        yield Entry(name, _first_line(Path(spec.origin).read_text(encoding="utf-8")))


def _first_line(text: str) -> str:
    """Of a file's docstring; a user's file that is no Python is listed too."""
    try:
        return (ast.get_docstring(ast.parse(text)) or "").partition("\n")[0]
    except (SyntaxError, ValueError):
        return ""


def _workloads() -> Iterator[Entry]:
    from hwsim import workloads

    for name in workloads.names():
        one = workloads.load_model(name)
        yield Entry(name, f"{one.kind}, {one.layers} layers of width {one.width}", "", one.source)


_KINDS: dict[str, Callable[[], Iterator[Entry]]] = {
    "formats": _formats,
    "schemes": _schemes,
    "units": _units,
    "recipes": _recipes,
    "models": _models,
    "spaces": _spaces,
    "machines": _machines,
    "studies": _studies,
    "workloads": _workloads,
}
