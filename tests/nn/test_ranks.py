"""Two ranks of DistributedDataParallel, or of FSDP2, draw and round as one process does with two micro-batches."""

import os
from contextlib import contextmanager
from dataclasses import dataclass, replace

import numpy as np
import pytest
import torch
import torch.multiprocessing as mp
from torch import nn
from torch.distributed.device_mesh import init_device_mesh
from torch.distributed.fsdp import fully_shard
from torch.utils import checkpoint

from hwsim import recipes
from hwsim.nn import emulate
from hwsim.recipes import Recipe

STOCHASTIC = Recipe("stochastic", "", "", recipes.get("nvidia-nvfp4").layer)
STEPS = 2


@dataclass(frozen=True)
class Pull:
    """After a step all rows go half the way to their mean, which no shard knows; later, as the memory says, a
    quarter."""

    name = "pull"

    def apply(self, layer, weight, scheme, step, steps, memory):
        share = np.float32(0.5 if memory is None else 0.25)
        weight += share * (weight.mean(axis=0, keepdims=True) - weight)
        return np.float32(step)


PULLED = replace(STOCHASTIC, name="pulled", after_step=Pull())


class Net(nn.Module):
    def __init__(self):
        super().__init__()
        torch.manual_seed(0)
        self.first, self.second = nn.Linear(16, 32), nn.Linear(32, 16)

    def forward(self, x):
        return checkpoint.checkpoint(lambda y: self.second(torch.relu(self.first(y))), x, use_reentrant=False)


def batch(step, part):
    return torch.randn(8, 16, generator=torch.Generator().manual_seed(10 * step + part))


def trained(model, parts, scale, recipe=STOCHASTIC):
    optimizer = torch.optim.SGD(model.parameters(), lr=0.5)
    with emulate(model, recipe, seed=5):
        for step in range(STEPS):
            optimizer.zero_grad()
            for part in parts:
                (scale * model(batch(step, part)).square().mean()).backward()
            optimizer.step()
    return [value.detach().clone() for value in model.parameters()]


@contextmanager
def ranks_meet(rank, folder):
    """A group of two over the loopback. Nobody leaves before both are done: to a rank that is still about to take the
    last numbers from its socket, gloo reports the end of the other's connection in their place."""
    os.environ.setdefault("GLOO_SOCKET_IFNAME", "lo")
    store = torch.distributed.FileStore(f"{folder}/store", 2)
    torch.distributed.init_process_group("gloo", store=store, rank=rank, world_size=2)
    yield
    store.set(f"done {rank}", "yes")
    store.wait(["done 0", "done 1"])
    torch.distributed.destroy_process_group()


def one_rank(rank, folder, recipe):
    with ranks_meet(rank, folder):
        model = nn.parallel.DistributedDataParallel(Net())
        torch.save(trained(model, [rank], 1.0, recipe), f"{folder}/{rank}.pt")


def one_sharded_rank(rank, folder, recipe):
    """FSDP2: parameters are shards of a mesh, gathered around each forward and backward."""
    with ranks_meet(rank, folder):
        model = fully_shard(Net(), mesh=init_device_mesh("cpu", (2,)))
        found = trained(model, [rank], 1.0, recipe)
        torch.save([value.full_tensor() for value in found], f"{folder}/{rank}.pt")


@pytest.mark.parametrize("recipe", [STOCHASTIC, PULLED], ids=lambda recipe: recipe.name)
@pytest.mark.parametrize("run", [one_rank, one_sharded_rank])
def test_two_ranks_end_in_the_bits_of_one(run, recipe, tmp_path):
    mp.spawn(run, args=(str(tmp_path), recipe), nprocs=2)
    wanted = trained(Net(), [0, 1], 0.5, recipe)  # ranks average, halves are exact
    other = trained(Net(), [1, 0], 0.5, recipe)
    unlike = trained(Net(), [0, 1], 0.5, PULLED if recipe is STOCHASTIC else STOCHASTIC)
    assert not all(torch.equal(one, two) for one, two in zip(unlike, wanted, strict=True))
    for rank in (0, 1):
        found = torch.load(tmp_path / f"{rank}.pt", weights_only=True)
        assert all(torch.equal(one, two) for one, two in zip(found, wanted, strict=True))
    assert not all(torch.equal(one, two) for one, two in zip(other, wanted, strict=True))
