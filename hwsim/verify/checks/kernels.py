"""Every kernel compiled for every target that has its instruction, and its machine code read."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

from hwsim.errors import MissingExtra
from hwsim.jit import thread_count
from hwsim.verify.cuda import TARGETS, Kernel, build, for_target
from hwsim.verify.table import Row, skipped, today


def representatives(target: str) -> list[Kernel]:
    """One kernel a group of equal opcodes up to their types: HMMA, QMMA, OMMA, F2FP ..."""
    chosen: dict[tuple[str, ...], Kernel] = {}
    for kernel in for_target(target):
        chosen.setdefault(tuple(sorted({name.split(".")[0] for name in kernel.targets[target]})), kernel)
    return list(chosen.values())


def check(quick: bool) -> Iterator[Row]:
    """One row a target. `quick`: one kernel an opcode instead of all."""
    try:
        oracle = f"NVRTC {build.nvrtc_version()} and nvdisasm"
        build.disassembler()
    except MissingExtra as missing:
        yield skipped("CUDA kernels", "NVRTC and nvdisasm", missing)
        return
    jobs = [(target, k) for target in TARGETS for k in (representatives(target) if quick else for_target(target))]
    with ThreadPoolExecutor(thread_count()) as pool:
        results = dict(zip(jobs, pool.map(_complaint, jobs), strict=True))
    for target in TARGETS:
        own = {kernel: text for (name, kernel), text in results.items() if name == target}
        wrong = [text for text in own.values() if text]
        heads = Counter(name.split(".")[0] for kernel in own for name in set(kernel.targets[target]))
        note = wrong[0] if wrong else "opcodes " + ", ".join(sorted(heads))
        yield Row(f"{len(own)} kernels compile for {target}", oracle, len(own), len(wrong), today(), note)


def _complaint(job: tuple[str, Kernel]) -> str:
    target, kernel = job
    try:
        build.opcodes(kernel, target)
    except build.BuildError as error:
        return str(error)
    return ""
