"""Machine files: the TOML shape of an `Accelerator`, read and written.

::

    name = "edge-int8"
    objective = "energy"             # optional: what the plan is chosen for
    fused = true                     # optional
    [array]
    rows = 16
    cols = 16
    dataflow = "ws"                  # optional, as all that `hwsim.arch.fields` gives a default
    [vector]                         # optional
    lanes = 16
    [numerics]
    activation = "int8.channel"      # a name of hwsim.quant, or a table of a Scheme's fields
    weight = "int8.channel"
    datapath = { family = "integer", a_bits = 8, b_bits = 8, acc_bits = 32 }
    rotation = { size = 16 }         # optional: both operands turned before they are quantised (size 1: not at all)
    [numerics.attention]             # optional: products of two activations, the same keys
    [[numerics.override]]            # optional, the first that matches a layer wins
    layers = "head"                  # shell wildcards
    precision = "float32"            # or activation, weight and datapath
    [memory]                         # three memories and a DRAM ...
    activation_kib = 128
    weight_kib = 128
    output_kib = 128
    port_bits = 256
    output_bits = 32
    dram = "lpddr4"
    dram_gbyte_s = 25.6
    [technology]
    clock_ghz = 0.5
    node_nm = 45

``[memory]`` may also be any graph of levels, and ``output_bits`` then stands at the top::

    [[memory]]
    name = "dram"
    kind = "dram"
    technology = "lpddr4"
    gbyte_s = 25.6
    [[memory]]
    name = "buffer"
    kib = 108
    holds = ["input", "output"]
    parent = "dram"
    ports = [{ bits = 64 }]

`hwsim.arch.fields` lists every key; ``dse/machine.schema.json`` is the same for editors.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

from hwsim.arch.dataflow import dataflow
from hwsim.arch.fields import ARRAY, FUSED, OBJECTIVE, OUTPUT_BITS, TECHNOLOGY, TOP, VECTOR, Field
from hwsim.arch.memory_tables import read_memories, write_memories
from hwsim.arch.numerics import Numerics
from hwsim.arch.parts import Array, VectorUnit
from hwsim.arch.policy import Policy
from hwsim.arch.tables import TableReader, checked_name
from hwsim.errors import DesignError, HwsimError, UnknownName

if TYPE_CHECKING:
    from hwsim.arch.accelerator import Accelerator
    from hwsim.datapaths.base import Datapath
    from hwsim.quant import Rotation, Scheme


Make = Callable[..., "Accelerator"]


def from_tables(make: Make, tables: Mapping[str, Any], where: str | None = None) -> Accelerator:
    """The machine that `tables` describe; `make`: of its fields. See `Accelerator.from_dict`."""
    reader = TableReader(tables, where or str(tables.get("name", "machine")))
    top = _top(reader)
    checked_name(top["name"], reader.path("name"))
    return _machine(make, top, _policy(reader.take("numerics", dict), reader.path("numerics")), reader)


def hardware(make: Make, tables: Mapping[str, Any], policy: Policy) -> Accelerator:
    """The machine of `tables` with another policy; see `Accelerator.with_hardware`."""
    reader = TableReader({key: table for key, table in tables.items() if key != "numerics"}, str(tables.get("name")))
    return _machine(make, _top(reader), policy, reader)


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
    return _hardware_tables(machine) | {"numerics": numerics}


def changed(machine: Accelerator, fields: Mapping[str, Any]) -> Accelerator:
    """`machine` with the fields at some paths of its file replaced; see `Accelerator.changed`."""
    tables = _hardware_tables(machine)
    for path, value in fields.items():
        _assign(tables, path, value, machine.name)
    reader = TableReader(tables, machine.name)
    return _machine(type(machine), _top(reader), machine.policy, reader)


def _top(reader: TableReader) -> dict[str, Any]:
    reader.know(field.key for field in TOP)
    return reader.take_all(field for field in TOP if field.kind is not dict)


def _machine(make: Make, top: dict[str, Any], policy: Policy, reader: TableReader) -> Accelerator:
    """The machine of what `reader` still holds: everything but the top of the file and the numerics."""
    parts = {}
    for key, fields in (("array", ARRAY), ("vector", VECTOR), ("technology", TECHNOLOGY)):
        part = TableReader(reader.take(key, dict, {}), reader.path(key))
        parts[key] = part.take_all(fields)
        part.finish()
    memories, output_bits = read_memories(reader.table.pop("memory", None), reader.path("memory"))
    reader.finish()
    if output_bits is not None and top["output_bits"] is not None:
        raise DesignError("must stand in [memory] alone", got=top["output_bits"], where=reader.path("output_bits"))
    array = parts["array"]
    array["dataflow"] = dataflow(array["dataflow"], reader.path("array.dataflow"))
    try:
        return make(
            name=top["name"],
            policy=policy,
            arrays=(Array(**array),),
            memories=memories,
            vector=VectorUnit(**parts["vector"]),
            output_bits=output_bits or top["output_bits"] or OUTPUT_BITS.default,
            objective=top["objective"],
            fused=top["fused"],
            **parts["technology"],
        )
    except DesignError as error:
        raise _moved(error, top["name"], reader.where) from None


def _hardware_tables(machine: Accelerator) -> dict[str, Any]:
    """All tables but the numerics."""
    memory, is_short = write_memories(machine.memories, machine.output_bits)
    tables: dict[str, Any] = {"name": machine.name}
    if not is_short:
        tables["output_bits"] = machine.output_bits
    tables |= _said((OBJECTIVE, FUSED), machine)
    array = {field.key: getattr(machine.array, field.key) for field in ARRAY}
    array["dataflow"] = machine.array.dataflow.name
    tables["array"] = {field.key: array[field.key] for field in ARRAY}
    if vector := _said(VECTOR, machine.vector):
        tables["vector"] = vector
    tables["memory"] = memory
    technology = {field.key: getattr(machine, field.key) for field in TECHNOLOGY}
    tables["technology"] = {key: value for key, value in technology.items() if value is not None}
    return tables


def _said(fields: tuple[Field, ...], record: object) -> dict[str, Any]:
    """The fields of `record` that are not as they would be without being said."""
    values = {field.key: getattr(record, field.key) for field in fields}
    return {field.key: values[field.key] for field in fields if values[field.key] != field.default}


def _assign(tables: dict[str, Any], path: str, value: Any, name: str) -> None:
    """Set the field at `path`; a level of a graph of memories is found by its name."""
    *parents, leaf = path.split(".")
    place: Any = tables
    for parent in parents:
        if isinstance(place, list):
            named = [entry for entry in place if entry["name"] == parent]
            if not named:
                known = ", ".join(entry["name"] for entry in place)
                raise DesignError(f"must be the name of a memory: {known}", got=parent, where=f"{name}.{path}")
            place = named[0]
        else:
            place = place.setdefault(parent, {})
    if not isinstance(place, dict):
        raise DesignError("must be a path to a field of the machine's file", got=path, where=name)
    if value is None:
        place.pop(leaf, None)
    else:
        place[leaf] = value


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
    rotation = _rotation(reader)
    try:
        return Numerics(activation, weight, datapath, rotation)
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


def _rotation(reader: TableReader) -> Rotation | None:
    """What turns both operands: ``size`` (1: nothing) and ``signs``, a seed (0), ``"nvidia"``, ``"plain"`` (all +1),
    or an array of +1 and -1."""
    from hwsim.quant import Rotation

    if (table := reader.take_optional("rotation", dict)) is None:
        return None
    part = TableReader(table, reader.path("rotation"))
    part.know(["signs"])
    size, signs = part.take("size", int), part.table.pop("signs", 0)
    part.finish()
    if signs == "drawn" or not isinstance(signs, (int, str, list)) or isinstance(signs, bool):
        raise DesignError("must be a seed, nvidia, plain, or +1 and -1", got=signs, where=part.path("signs"))
    if isinstance(signs, list) and any(one not in (1, -1) for one in signs):
        raise DesignError("must be +1 and -1", got=signs, where=part.path("signs"))
    if size == 1:
        return None
    try:
        return Rotation(size, tuple(signs) if isinstance(signs, list) else None if signs == "plain" else signs)
    except HwsimError as error:
        raise DesignError(f"must describe a rotation ({error})", got=table, where=reader.path("rotation")) from None


def _rotation_entry(rotation: Rotation) -> dict[str, Any]:
    signs = rotation.signs
    plain: Any = "plain" if signs is None else list(signs) if isinstance(signs, tuple) else signs
    return {"size": rotation.size, "signs": plain}


def _numerics_table(numerics: Numerics) -> dict[str, Any]:
    turned = {} if numerics.rotation is None else {"rotation": _rotation_entry(numerics.rotation)}
    return turned | {
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
