"""Every multiplication of a network is seen and emulated, forward and backward: torch counts."""

import pytest
import torch
from torch import nn

from hwsim import recipes
from hwsim.nn import auditing, hugging_face
from hwsim.studies.coverage import CONFIGURATIONS, page


def test_the_count_is_that_of_the_shapes():
    """Linear 16 -> 32 on 8 rows, whose input needs no gradient; 32 -> 4; torch's own count and ours."""
    model = nn.Sequential(nn.Linear(16, 32), nn.ReLU(), nn.Linear(32, 4))
    found = auditing.audit("net", model, torch.randn(8, 16))
    forward = 8 * 16 * 32 + 8 * 32 * 4
    assert found.complete
    assert found.counted == found.seen == (forward, 8 * 16 * 32 + 2 * 8 * 32 * 4)


def test_grouped_convolutions_count_what_a_group_reads():
    """8 channels in 4 groups, 3 x 3 on 6 x 6: each number out meets 2 x 9 weights, once a gradient."""
    model = nn.Sequential(nn.Conv2d(8, 8, 1), nn.Conv2d(8, 12, 3, padding=1, groups=4))
    found = auditing.audit("net", model, torch.randn(2, 8, 6, 6))
    first, second = 2 * 8 * 36 * 8, 2 * 12 * 36 * 2 * 9
    assert found.counted == found.seen == found.emulated == (first + second, first + 2 * second)


def test_what_a_recipe_leaves_is_not_called_complete():
    """NVIDIA's recipe leaves attention: q kᵀ and p v of 2 x 4 heads, 32 x 32 x 16 each, and both their gradients."""
    model, batch = auditing.transformer_encoder()
    whole = auditing.audit("encoder", model, batch)
    assert whole.complete
    part = auditing.audit("encoder", model, batch, recipes.get("nvidia-nvfp4"))
    attention = 2 * (2 * 4) * 2 * 32 * 32 * 16  # layers, heads of the batch, products
    assert not part.complete
    assert part.seen == part.counted
    assert (part.seen[0] - part.emulated[0], part.seen[1] - part.emulated[1]) == (attention, 2 * attention)
    shares = sum(part.emulated) / sum(part.counted)
    assert f"**{100 * shares:.2f} %**" in page([part], "torch")
    assert "| 100 % |" in page([whole], "torch")


@pytest.mark.filterwarnings("ignore")  # of the library, about itself
@pytest.mark.parametrize("name", ["Llama (grouped queries)", "Mixtral", "T5", "MobileNet-V2"])
def test_networks_of_transformers_are_reached_wholly(name):
    pytest.importorskip("transformers", reason="transformers is not installed")
    model = hugging_face.from_config(CONFIGURATIONS[name])
    found = auditing.audit(name, model, hugging_face.example(model))
    assert found.complete, found
    if name == "Mixtral":  # experts as the library runs them by default, 2 of 4 for each of 64 tokens
        experts = 2 * 2 * 64 * 3 * 64 * 128  # layers, experts, tokens, matrices
        projections = 2 * 64 * (64 * 64 + 2 * 64 * 32 + 64 * 64)  # q, k and v of 2 of 4 heads, out
        others = 2 * 64 * 64 * 4 + 64 * 64 * 128 + 2 * (2 * 4) * 2 * 32 * 32 * 16  # routers, head, attention
        assert found.seen[0] == experts + projections + others
