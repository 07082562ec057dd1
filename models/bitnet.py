"""The GPT of ``gpt.py`` as a BitNet b1.58: every linear layer multiplies ternary weights by 8-bit activations.

Ma et al., "The Era of 1-bit LLMs: All Large Language Models are in 1.58 Bits" (2024): weights by their mean
magnitude to {-1, 0, 1}, activations by the largest magnitude of each token to -127...127, an RMS norm before, and
gradients straight through both. The head is ternary here too (the paper's is not), so that one ternary array runs
the whole network; the two products of attention take activations only and stay as they are.

The matrix product itself sees whole numbers; both scales multiply its result, as in a unit that stores ternary
weights. What is captured is therefore exactly what such a unit is fed. Trained parameters are the latent ones,
bfloat16 beside this file, loaded as float32.
"""

from __future__ import annotations

from pathlib import Path

from safetensors.torch import load_file
from torch import Tensor, nn
from torch.nn import functional

from hwsim.nn import Training
from hwsim.nn import load_file as load_python

CHECKPOINT = Path(__file__).with_suffix(".safetensors")

gpt = load_python(Path(__file__).with_name("gpt.py"))
batches, loss, metric, provenance = gpt.batches, gpt.loss, gpt.metric, gpt.provenance


def straight_through(value: Tensor, rounded: Tensor) -> Tensor:
    """`rounded`, with the gradient of `value`."""
    return value + (rounded - value).detach()


class BitLinear(nn.Linear):
    """y = s_x s_w (q_x @ t_w^T): q_x in -127...127 per token, t_w in {-1, 0, 1} per tensor."""

    def ternary(self) -> tuple[Tensor, Tensor]:
        """Weights in {-1, 0, 1} and their scale, the mean magnitude."""
        scale = self.weight.detach().abs().mean().clamp(min=1e-5)
        scaled = self.weight / scale
        return straight_through(scaled, scaled.round().clamp(-1, 1)), scale

    def forward(self, x: Tensor) -> Tensor:
        """Normalise, quantise and multiply x ``[..., in_features]``."""
        x = functional.rms_norm(x.float(), (x.shape[-1],))
        scale = x.detach().abs().amax(dim=-1, keepdim=True).clamp(min=1e-5) / 127
        scaled = x / scale
        weight, weight_scale = self.ternary()
        return functional.linear(straight_through(scaled, scaled.round().clamp(-127, 127)), weight) * (
            scale * weight_scale
        )


def build(checkpoint: bool = True, seed: int = 0) -> nn.Module:
    """The network, trained, or initialised from `seed`."""
    model = gpt.build(checkpoint=False, seed=seed)
    for module in list(model.modules()):
        for name, child in module.named_children():
            if isinstance(child, nn.Linear):
                ternary = BitLinear(child.in_features, child.out_features, bias=False, device="meta")
                ternary.weight = child.weight
                setattr(module, name, ternary)
    if checkpoint:
        model.load_state_dict({name: value.float() for name, value in load_file(CHECKPOINT).items()})
    return model.eval()


def training(model: nn.Module) -> Training:
    """The training of ``gpt.py``."""
    return gpt.training(model)
