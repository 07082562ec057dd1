"""Files of a design for another cost model, and ``hwsim.json``: what hwsim says of the same products."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from hwsim.errors import UnknownName
from hwsim.evaluation.peers import accelforge, zigzag
from hwsim.evaluation.peers.shared import Shared, shared
from hwsim.storage import owned, write_whole

if TYPE_CHECKING:
    from hwsim.arch import Accelerator
    from hwsim.trace import Workload

PEERS: Mapping[str, Callable[[Shared, str], dict[str, str]]] = {
    "accelforge": accelforge.files,
    "zigzag": zigzag.files,
}


def export(
    machine: Accelerator, workload: Workload, to: str, out: str | Path, force: bool = False
) -> tuple[Path, Shared]:
    """Write a design and the products of a workload as another cost model reads them.

    Args:
        machine: the design.
        workload: its products; the rest of its graph is no matter of peers.
        to: of `PEERS`.
        out: folder.
        force: also write into a folder that holds something else.

    Returns:
        The folder, and what the peer is told, hwsim's own answer beside it.

    Raises:
        UnknownName: no such peer.
        DesignError: the machine has what peers cannot be told (`shared`).
    """
    if to not in PEERS:
        raise UnknownName("peer", to, [*PEERS], where="to")
    design = shared(machine, workload)
    comment = f"{design.name}, written by hwsim; prices and widths are hwsim's, mapping and counting the reader's."
    answer = {
        "design": design.name,
        "latency_cycles": design.latency_cycles,
        "energy_uj": design.energy_pj * 1e-6,
        "dram_bits": design.dram_bits,
        "products_pj_each": design.product_pj,
        "products": [f"{one.batch} x {one.m}x{one.n}x{one.k} {one.name}" for one in design.products],
    }
    with owned(out, "export", force=force) as folder:
        for name, text in PEERS[to](design, comment).items():
            write_whole(folder / name, text)
        write_whole(folder / "hwsim.json", json.dumps(answer, indent=1) + "\n")
    return folder, design
