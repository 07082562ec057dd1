"""Machine files: the TOML shape of an `Accelerator`, read and written.

::

    name = "edge-int8"
    [array]
    rows = 16
    cols = 16
    dataflow = "ws"          # "ws" | "os" | "is"
    overlap = "fill"         # "none" | "fill" | "ideal"
    [numerics]
    activation = "int8.channel"      # a name of hwsim.quant, or a table of a Scheme's fields
    weight = "int8.channel"
    datapath = { family = "integer", a_bits = 8, b_bits = 8, acc_bits = 32 }
    [numerics.attention]             # optional: products of two activations, the same three keys
    [[numerics.override]]            # optional, the first that matches a layer wins
    layers = "head"                  # shell wildcards
    precision = "float32"            # or activation, weight and datapath
    [memory]
    activation_kib = 128
    weight_kib = 128
    output_kib = 128
    port_bits = 256
    output_bits = 32
    handover = "dram"                # optional: "dram" | "chip"
    dram = "lpddr4"
    dram_gbyte_s = 25.6
    dram_pj_per_bit = 8.0            # optional
    [technology]
    clock_ghz = 0.5
    node_nm = 45
    voltage = 1.1                    # optional
"""

from __future__ import annotations

import tomllib
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

from hwsim import workbench
from hwsim.arch.accelerator import Accelerator
from hwsim.arch.numerics import Numerics
from hwsim.arch.policy import Policy
from hwsim.arch.tables import TableReader
from hwsim.errors import DesignError, HwsimError, UnknownName

if TYPE_CHECKING:
    from hwsim.datapaths.base import Datapath
    from hwsim.quant import Scheme

_ARRAY = {"rows": int, "cols": int, "dataflow": str, "overlap": str}
_MEMORY = {
    "activation_kib": int,
    "weight_kib": int,
    "output_kib": int,
    "port_bits": int,
    "output_bits": int,
    "handover": str,
    "dram": str,
    "dram_gbyte_s": float,
    "dram_pj_per_bit": float,
}
_TECHNOLOGY = {"clock_ghz": float, "node_nm": int, "voltage": float}
_FIELDS: dict[str, dict[str, type]] = {"array": _ARRAY, "memory": _MEMORY, "technology": _TECHNOLOGY}
_OPTIONAL = ("handover", "dram_pj_per_bit", "voltage")


def load_accelerator(name_or_path: str | Path) -> Accelerator:
    """A machine by name (``dse/machines/NAME.toml`` of the workbench) or by path.

    Raises:
        UnknownName: no machine of that name.
        ArgumentError: no file at that path.
        DesignError: the file is not TOML, or describes no machine; the message holds the field's path.
    """
    path = workbench.find("dse/machines", name_or_path, ".toml")
    try:
        tables = tomllib.loads(path.read_text(encoding="utf-8"))
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise DesignError(f"a machine must be valid TOML ({error})", where=str(path)) from None
    return from_tables(tables, path.stem)


def from_tables(tables: Mapping[str, Any], where: str | None = None) -> Accelerator:
    """The machine that `tables` describe; see `Accelerator.from_dict`."""
    reader = TableReader(tables, where or str(tables.get("name", "machine")))
    name = reader.take("name", str)
    reader.take("description", str, "")
    policy = _policy(reader.take("numerics", dict), reader.path("numerics"))
    fields: dict[str, Any] = {}
    for table, keys in _FIELDS.items():
        part = TableReader(reader.take(table, dict), reader.path(table))
        for key, kind in keys.items():
            if key in part.table or key not in _OPTIONAL:
                fields[key] = part.take(key, kind)
            else:
                part.note(key)
        part.finish()
    reader.finish()
    try:
        return Accelerator(name=name, policy=policy, **fields)
    except DesignError as error:
        raise _moved(error, name, reader.where) from None


def to_tables(machine: Accelerator) -> dict[str, Any]:
    """The tables of a machine file that `from_tables` turns into an equal machine."""
    policy = machine.policy
    numerics = _numerics_table(policy.default)
    if policy.attention is not None:
        numerics["attention"] = _numerics_table(policy.attention)
    if policy.overrides:
        numerics["override"] = [
            {"layers": pattern} | (_numerics_table(chosen) if chosen else {"precision": "float32"})
            for pattern, chosen in policy.overrides
        ]
    tables: dict[str, Any] = {"name": machine.name, "numerics": numerics}
    for table, keys in _FIELDS.items():
        values = {key: getattr(machine, key) for key in keys}
        tables[table] = {key: value for key, value in values.items() if value is not None}
    return tables


def _policy(table: dict[str, Any], where: str) -> Policy:
    reader = TableReader(table, where)
    default = _numerics(reader)
    attention = None
    if (found := reader.take_optional("attention", dict)) is not None:
        part = TableReader(found, reader.path("attention"))
        attention = _numerics(part)
        part.finish()
    overrides: list[tuple[str, Numerics | None]] = []
    for index, entry in enumerate(reader.take("override", list, [])):
        part = TableReader(entry, f"{reader.path('override')}[{index}]")
        pattern = part.take("layers", str)
        if (precision := part.take_optional("precision", str)) is None:
            overrides.append((pattern, _numerics(part)))
        elif precision == "float32":
            overrides.append((pattern, None))
        else:
            raise DesignError("must be 'float32', or be left out", got=precision, where=part.path("precision"))
        part.finish()
    reader.finish()
    try:
        return Policy(default, attention, tuple(overrides))
    except DesignError as error:
        raise _moved(error, "numerics", where) from None


def _numerics(reader: TableReader) -> Numerics:
    activation = _scheme(reader, "activation")
    weight = _scheme(reader, "weight")
    datapath = _datapath(reader)
    try:
        return Numerics(activation, weight, datapath)
    except DesignError as error:
        raise _moved(error, "numerics", reader.where) from None


def _scheme(reader: TableReader, key: str) -> Scheme:
    from hwsim import quant

    where = reader.path(key)
    if not isinstance(reader.table.get(key), Mapping):
        name = reader.take(key, str)
        try:
            return quant.get(name)
        except UnknownName as error:
            raise UnknownName(error.kind, name, error.known, where=where) from None
    table = reader.take(key, dict)
    try:
        return quant.Scheme(**table)
    except (HwsimError, TypeError) as error:
        raise DesignError(f"must be the fields of a scheme ({error})", got=table, where=where) from None


def _datapath(reader: TableReader) -> Datapath:
    from hwsim import datapaths

    spec = reader.take("datapath", dict)
    try:
        unit: Datapath = datapaths.from_spec(spec)
        return unit
    except UnknownName as error:
        raise UnknownName(error.kind, error.name, error.known, where=reader.path("datapath")) from None
    except HwsimError as error:
        raise DesignError(f"must describe a unit ({error})", got=spec, where=reader.path("datapath")) from None


def _numerics_table(numerics: Numerics) -> dict[str, Any]:
    return {
        "activation": _scheme_entry(numerics.activation),
        "weight": _scheme_entry(numerics.weight),
        "datapath": numerics.datapath.spec(),
    }


def _scheme_entry(scheme: Scheme) -> str | dict[str, Any]:
    from hwsim import quant

    if scheme.name in quant.names() and quant.get(scheme.name) == scheme:
        return scheme.name
    return {key: value for key, value in asdict(scheme).items() if value is not None and key != "source"}


def _moved(error: DesignError, old: str, new: str) -> DesignError:
    """`error` with the head of its path replaced."""
    where = error.where or old
    return DesignError(error.rule, got=error.got, where=new + where.removeprefix(old))
