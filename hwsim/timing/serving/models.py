"""A model on bought devices as an engine: step times from sizes and data sheets, blocks from what memory is left.

Tensor parallel chips hold equal parts of every matrix and of the cache, and add their results by one all-reduce a
mixer and one a feed-forward network, each over the width of all new tokens.
"""

from __future__ import annotations

from hwsim.errors import ArgumentError, DesignError
from hwsim.timing.clusters.collectives import Link, all_reduce
from hwsim.timing.roofline import STEPS, Constants, Device
from hwsim.timing.serving.cost import StepCost
from hwsim.timing.serving.engine import Engine
from hwsim.workloads import ModelConfig
from hwsim.workloads.sizes import sizes

RESERVED = 0.10
"""Part of the memory that weights and cache leave free: the default of vLLM."""


def step_cost(
    model: ModelConfig,
    device: Device,
    chips: int = 1,
    link: Link | None = None,
    bits: float = 16.0,
    kv_bits: float = 16.0,
    constants: Constants = STEPS,
) -> StepCost:
    """Seconds of a step of a model.

    Args:
        model: a decoder.
        device: one chip.
        chips: tensor parallel ones.
        link: of a ring of the chips; needed where there are several.
        bits: of a weight, scales included; arithmetic is that of 16 bits.
        kv_bits: of an element of the cache.
        constants: of the device.

    Raises:
        ArgumentError: no decoder, no chip, several chips without a link, or attention in a window, whose rows the
            engine does not bound.
    """
    if model.attention is not None and model.attention.window:
        raise ArgumentError(
            "attention must have no window to be served", got=model.attention.window, where=model.name
        )
    if chips < 1 or (chips > 1 and link is None):
        raise ArgumentError("must have a chip, and a link where there are several", got=(chips, link), where="chips")
    one = sizes(model)
    flops, memory = device.flops * constants.compute * chips, device.bytes_s * constants.bandwidth * chips
    fixed = token = 0.0
    if link is not None and chips > 1:
        times = sum(2 if kind == "T" else 1 for kind in model.blocks)
        fixed = times * all_reduce("ring", chips, 0.0, link)
        token = times * all_reduce("ring", chips, model.width * 2.0, link) - fixed
    return StepCost(
        fixed_s=fixed + constants.launch_s * len(model.blocks),
        token_s=token,
        compute_token_s=2 * one.layer_macs / flops,
        compute_logit_s=2 * one.head_macs / flops,
        compute_pair_s=2 * one.pair_macs / flops,
        memory_s=one.read_elements * bits / 8 / memory,
        memory_row_s=one.cache_bytes(1, kv_bits) / memory,
        memory_experts_s=one.expert_elements * bits / 8 / memory,
        visited=one.visited,
        sharpness=constants.sharpness,
    )


def engine(
    model: ModelConfig,
    device: Device,
    chips: int = 1,
    link: Link | None = None,
    bits: float = 16.0,
    kv_bits: float = 16.0,
    budget: int = 2048,
    sequences: int = 256,
    block: int = 16,
) -> Engine:
    """An engine whose cache has what the chips' memory leaves beside the weights.

    Raises:
        DesignError: the weights leave no room. ArgumentError: as `step_cost`.
    """
    cost = step_cost(model, device, chips, link, bits, kv_bits)
    one = sizes(model)
    room = device.bytes * chips * (1 - RESERVED) - one.parameters * bits / 8
    states = sequences * one.state_elements * 4
    blocks = int((room - states) // one.cache_bytes(block, kv_bits)) if one.kv_elements else 1 << 40
    if room - states < 0 or blocks < 1:
        raise DesignError(
            f"memory must hold {one.parameters * bits / 8e9:.4g} GB of weights and a cache in "
            f"{1 - RESERVED:.0%} of it",
            got=f"{device.bytes * chips / 1e9:.4g} GB",
            where=f"{chips} x {device.name}",
        )
    return Engine(cost, budget, sequences, blocks, block)
