"""Many chips: collectives, pipelines, and what slow workers cost."""

from __future__ import annotations

from hwsim.timing.clusters.collectives import Link, all_reduce, all_to_all, ring_all_gather, ring_reduce_scatter
from hwsim.timing.clusters.pipelines import pipeline_ns
from hwsim.timing.clusters.rings import ring_ns

__all__ = ["Link", "all_reduce", "all_to_all", "pipeline_ns", "ring_all_gather", "ring_ns", "ring_reduce_scatter"]
