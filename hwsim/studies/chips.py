"""Published chips, set up as machine files and run by this model: what was published beside what comes out.

Decides what counts: a quantity that a paper states for a network and a setting, at the limits below; no constant of
the model is fitted to a chip. The table `constants` lists every constant that these chips touched.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from hwsim.studies import chips_eyeriss, chips_nvdla, chips_prices, chips_tpu
from hwsim.studies.page import Study, Table, Value


@dataclass(frozen=True, slots=True)
class Grid:
    """NVDLA's configurations, by multipliers."""

    nvdla: tuple[int, ...]


FULL = Grid(tuple(chips_nvdla.PUBLISHED))
QUICK = Grid((2048, 32))

CONSTANTS: tuple[tuple[str, str, str, str], ...] = (
    ("sizes of arrays and memories, ports, clocks", "the machine file", "stands in the file, line by line", "no"),
    ("part of DRAM bandwidth that a stream sustains", "0.8", "0.75 to 0.85 for LPDDR and DDR, recalled practice; "
     "NVDLA's table gives peak bandwidths", "no"),
    ("slack of a row-stationary pass", "1.05", "chosen before the comparison: a percent of time is not worth twice "
     "the bytes", "no"),
    ("bits of a run-length coded value", "64/3", "Eyeriss: three words and their runs in 64 bits", "no"),
    ("half speed of 16-bit activations", "2", "TPUv1's paper: 8 x 16 products run at half speed", "no"),
    ("host interface", "14 GB/s", "TPUv1's paper, figure 1", "no"),
    ("published-area factor of memories", "2.5; 1.3 for one read and one write port", "CACTI against Gemmini, "
     "Eyeriss, TPUv1, TPUv4i, within 1.35", "to the four together"),
    ("share of a layout's rows that cells fill", "0.65", "A100, TPUv1 and GK104 against typical libraries", "no"),
    ("energy of a bit that flips in a unit", "pann.energy_per_flip", "gates of ten units on uniform operands", "no"),
    ("way of a word to Eyeriss's array", "1.75 mm", "half of the core's side, JSSC 2017", "no"),
)  # fmt: skip


def study(grid: Grid) -> Study:
    """Every chip's tables, a summary of all that has a limit, and the constants."""
    tile, networks = chips_tpu.tables()
    eyeriss, nvdla = chips_eyeriss.table(), chips_nvdla.table(grid.nvdla)
    areas, power, efficiency = chips_prices.areas(), chips_prices.eyeriss_power(), chips_prices.efficiencies()
    summary = _summary(tile, networks, eyeriss, nvdla, power, (areas, efficiency))
    return Study(
        "chips",
        "Published chips",
        "Eight accelerators whose papers say enough to set them up: what do their machine files give, and where they "
        "differ, why?",
        _findings(summary, networks, eyeriss, nvdla, power, efficiency),
        {
            "machines": "dse/machines/published, every field with its source",
            "networks": "AlexNet and ResNet-50 as published; TPUv1's production networks as square layers made of "
            "their published layers, weights, batches and intensities",
            "time": "hwsim.timing: recurrence over tiles for TPUv1, plan of the whole network for NVDLA; "
            "hwsim.arch.row_stationary for Eyeriss",
        },
        (summary, tile, networks, eyeriss, power, nvdla, areas, efficiency, _constants()),
    )


def _summary(
    tile: Table, networks: Table, eyeriss: Table, nvdla: Table, power: Table, prices: tuple[Table, ...]
) -> Table:
    """One row for each quantity that has a limit."""
    rows: list[tuple[Value, ...]] = []
    for row in tile.select({}):
        rows.append(("TPUv1", row["quantity"], row["published"], row["ours"], row["ours / published"], "x1.01",
                     abs(row["ours / published"] - 1) < 0.01, ""))  # fmt: skip
    for row in networks.select({}):
        if row["within 10"] is None:
            continue
        name = f"{row['network']}: {row['share']}, %"
        rows.append(("TPUv1", name, row["published"], row["ours"], None, "10 points", row["within 10"],
                     row["why not"]))  # fmt: skip
    for row in eyeriss.select({}):
        if row["published"] is not None:
            limit = chips_eyeriss.LIMITS[row["quantity"]]
            rows.append(("Eyeriss", f"{row['layer']}: {row['quantity']}", row["published"], row["ours"],
                         row["ours / published"], f"x{limit:g}", row["within"], ""))  # fmt: skip
    for row in nvdla.select({}):
        rows.append(("NVDLA", f"{row['multipliers']} multipliers: images/s", row["published"], row["ours"],
                     row["ours / published"], f"x{chips_nvdla.LIMIT:g}", row["within"], row["why not"]))  # fmt: skip
    for row in power.select({}):
        rows.append(("Eyeriss", f"{row['layer']}: power, mW", row["published"], row["ours"], row["ours / published"],
                     "x2", row["within"], ""))  # fmt: skip
    for table in prices:
        what = table.title.split(",")[0]
        for row in table.select({}):
            rows.append((row["chip"], f"{what}: {row['quantity']}", row["published"], row["ours"],
                         row["ours / published"], f"x{row['limit']:g}", row["within"], row["why not"]))  # fmt: skip
    return Table(
        "summary",
        "All quantities with a limit; the page shows those outside",
        ("chip", "quantity", "published", "ours", "ours / published", "limit", "within", "why not"),
        tuple(rows),
        brief={"within": (False,)},
    )


def _constants() -> Table:
    return Table(
        "constants",
        "Constants that these chips touched",
        ("constant", "value", "source", "fitted to a chip"),
        CONSTANTS,
        "Everything else comes from the machine files and from the tables of `hwsim.cost`.",
    )


def _findings(
    summary: Table, networks: Table, eyeriss: Table, nvdla: Table, power: Table, efficiency: Table
) -> tuple[str, ...]:
    within = summary.column("within")
    glb = _span(eyeriss.select({"quantity": "buffer, MB"}), "in published passes")
    time = _span(eyeriss.select({"quantity": "processing, ms"}), "ours / published")
    chosen = _span(eyeriss.select({"quantity": "buffer, MB"}), "ours / published")
    dram = _span(eyeriss.select({"quantity": "DRAM, MB"}), "ours / published")
    rates = [row["ours / published"] for row in nvdla.select({"within": True})]
    far = [row["multipliers"] for row in nvdla.select({"within": False})]
    bound = [row for row in networks.select({}) if row["network"] in ("MLP0", "MLP1", "LSTM0", "LSTM1")]
    matrix = max(abs(row["points"]) for row in bound if "of matrix cycles" in row["share"])
    tops = max(abs(row["points"]) for row in bound if "TOPS" in row["share"])
    return (
        f"{sum(map(bool, within))} of {len(within)} published quantities lie within their limits.",
        f"Eyeriss: with the passes that were published, the bytes of its buffer are {glb} of the published ones; the "
        f"passes that the rule chooses move {chosen}, take {time} of the time and {dram} of the DRAM bytes.",
        f"TPUv1: the four networks that wait for weights spend their matrix cycles as published within {matrix:.1f} "
        f"points, and make the published TOPS within {tops:.1f} points of the peak.",
        f"NVDLA: {min(rates):.2f} to {max(rates):.2f} of the published images a second"
        + (f"; outside the limit with {' and '.join(map(str, far))} multipliers." if far else "."),
        f"Energy: Eyeriss takes {_span(power.select({}), 'ours / published')} of its published power; a product on "
        f"VS-Quant, the MX NPU and Simba {_span(efficiency.select({'limit': 2.0}), 'ours / published')} of the "
        "published energy.",
    )


def _span(rows: Sequence[Mapping[str, object]], column: str) -> str:
    values = [float(str(row[column])) for row in rows]
    return f"{min(values):.2f} to {max(values):.2f}"
