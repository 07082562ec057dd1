"""Times the linear products of catalogue models on the CUDA device of this machine, for `test_roofline`.

    python tests/timing/measure_products.py h100 > products.csv

bfloat16, normal data, weights from memory: a CUDA graph of 20 products whose weights are different copies, together
larger than the second-level cache (an H100 has 50 MB, an H200 60); the median of nine graphs over 20. Launches are in
it, the time of Python is not.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from statistics import median

from hwsim.workloads import load_model, prefill

MODELS = ("qwen3-32b", "deepseek-v3", "mixtral-8x7b", "gpt2-xl", "qwen2.5-1.5b", "bitnet-2b4t", "smollm2-135m")
"""None of the Llama models whose products the constants were fitted to."""
ROWS = (1, 4, 16, 64, 128, 256, 512, 1024, 2048, 4096, 8192)
CACHE_BYTES = 256e6
LAUNCHES = 20


def shapes() -> Iterator[tuple[str, str, int, int]]:
    """Model, layer, n and k of every different linear product."""
    for model in MODELS:
        seen = set()
        for gemm in prefill(load_model(model), 16).gemms:
            if gemm.op == "linear" and (gemm.n, gemm.k) not in seen:
                seen.add((gemm.n, gemm.k))
                yield model, gemm.layer, gemm.n, gemm.k


def seconds(m: int, n: int, k: int) -> float:
    """Of one ``[m, k]`` by ``[n, k]``."""
    import torch

    x = torch.randn(m, k, device="cuda", dtype=torch.bfloat16)
    copies = min(LAUNCHES, int(CACHE_BYTES / (2 * n * k)) + 2)
    weights = [torch.randn(n, k, device="cuda", dtype=torch.bfloat16) for _ in range(copies)]
    for weight in weights[:3]:
        torch.nn.functional.linear(x, weight)
    torch.cuda.synchronize()
    graph = torch.cuda.CUDAGraph()
    with torch.cuda.graph(graph):
        for number in range(LAUNCHES):
            torch.nn.functional.linear(x, weights[number % copies])
    times = []
    for _ in range(10):
        begin, end = torch.cuda.Event(enable_timing=True), torch.cuda.Event(enable_timing=True)
        begin.record()
        graph.replay()
        end.record()
        end.synchronize()
        times.append(begin.elapsed_time(end) * 1e-3 / LAUNCHES)
    return median(times[1:])


def main() -> None:
    """One line a product."""
    import torch

    print(f"# {torch.cuda.get_device_name()}, torch {torch.__version__}, weights from memory")
    print("device,model,layer,m,n,k,median_us")
    for model, layer, n, k in shapes():
        for m in ROWS:
            print(f"{sys.argv[1]},{model},{layer},{m},{n},{k},{seconds(m, n, k) * 1e6:.3f}", flush=True)


if __name__ == "__main__":
    main()
