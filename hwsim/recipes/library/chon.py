"""CHON: arXiv 2602.02047.

NVIDIA's recipe, and a patch of hot channels in the forward: the quantization residuals of the channels that lose
most are multiplied again and added. What follows the queries and keys stays in high precision, as all of attention
does here.
"""

from __future__ import annotations

from dataclasses import replace

from hwsim.recipes.library.nvidia_nvfp4 import NVIDIA
from hwsim.recipes.parts import HotChannels

assert NVIDIA.layer.fprop is not None

RECIPES = (
    replace(
        NVIDIA,
        name="chon",
        title="NVFP4 as NVIDIA's, hot channels patched in the forward",
        paper="Dong et al., Dissecting Outlier Dynamics in LLM NVFP4 Pretraining, arXiv 2602.02047",
        layer=replace(NVIDIA.layer, fprop=replace(NVIDIA.layer.fprop, extend=HotChannels())),
        claims=(
            *NVIDIA.claims,
            "the abstract alone was at hand: which channels are hot, how many (1/16 here), and that the patch is in "
            "the forward alone are unverified",
        ),
    ),
)
