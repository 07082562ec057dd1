"""Every kernel compiled for every target that has its instruction, and its machine code read."""

from __future__ import annotations

from collections.abc import Iterator

from hwsim.errors import MissingExtra
from hwsim.verify.cuda import TARGETS, build, for_target
from hwsim.verify.table import Row, skipped, today


def check() -> Iterator[Row]:
    """One row a target."""
    try:
        oracle = f"NVRTC {build.nvrtc_version()} and nvdisasm"
        build.disassembler()
    except MissingExtra as missing:
        yield skipped("CUDA kernels", "NVRTC and nvdisasm", missing)
        return
    for target in TARGETS:
        own = for_target(target)
        wrong = [error for error in build.survey(own, target).values() if error]
        heads = {name.split(".")[0] for kernel in own for name in kernel.targets[target]}
        note = str(wrong[0]) if wrong else "opcodes " + ", ".join(sorted(heads))
        yield Row(f"{len(own)} kernels compile for {target}", oracle, len(own), len(wrong), today(), note)
