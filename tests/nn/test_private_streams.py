"""Tensor parallel ranks with private channels: limits, a step by hand, and data-parallel trainings that drop."""

import numpy as np
import pytest

from hwsim.errors import ArgumentError

torch = pytest.importorskip("torch")

from hwsim.nn.data_parallel import Small, train_dropping  # noqa: E402
from hwsim.nn.private_streams import PrivateStreams, gpt_module  # noqa: E402


@pytest.fixture(scope="module")
def gpt():
    return gpt_module().build()


@pytest.fixture(scope="module")
def tokens():
    return next(iter(gpt_module().batches(1, 2)))[:, :40]


@pytest.mark.parametrize("ranks", [1, 2, 3, 6])
def test_all_channels_shared_is_the_network_itself(gpt, tokens, ranks):
    with torch.no_grad():
        assert torch.allclose(PrivateStreams(gpt, ranks, 1.0)(tokens), gpt(tokens), atol=2e-4)


def test_one_rank_shares_with_nobody_whatever_the_share(gpt, tokens):
    with torch.no_grad():
        assert torch.allclose(PrivateStreams(gpt, 1, 0.25)(tokens), gpt(tokens), atol=2e-4)


def test_a_block_by_hand(gpt, tokens):
    """Without a shared channel each rank of two is a network of half of the heads and half of the hidden units, and
    the sum of what both added is read out."""
    half = gpt_module()
    start = half.norm(gpt.embed(tokens))
    added = []
    for rank in (0, 1):
        x = start
        for block in gpt.blocks:
            a, width = block.attention, 192
            b, t, _ = x.shape
            qkv = a.qkv(half.norm(x)).view(b, t, 3, 6, 32).permute(2, 0, 3, 1, 4)[:, :, 3 * rank : 3 * rank + 3]
            q, k, v = half.rotate(half.norm(qkv[0])), half.rotate(half.norm(qkv[1])), qkv[2]
            scores = (q @ k.transpose(-1, -2)) / 32**0.5
            scores = scores.masked_fill(torch.ones(t, t).triu(1).bool(), -torch.inf)
            mixed = torch.zeros(b, t, width)
            mixed[..., 96 * rank : 96 * rank + 96] = (scores.softmax(-1) @ v).transpose(1, 2).reshape(b, t, 96)
            x = x + a.out(mixed)
            hidden = block.up(half.norm(x)).relu().square()
            kept = torch.zeros_like(hidden)
            kept[..., 384 * rank : 384 * rank + 384] = hidden[..., 384 * rank : 384 * rank + 384]
            x = x + block.down(kept)
        added.append(x - start)
    with torch.no_grad():
        expected = gpt.head(half.norm(start + added[0] + added[1]))
        found = PrivateStreams(gpt, 2, 0.0)(tokens)
        assert torch.allclose(found, expected, atol=2e-4)
        assert not torch.allclose(found, gpt(tokens), atol=0.1)


def test_what_ranks_are_refused(gpt):
    with pytest.raises(ArgumentError, match="ranks must divide 6 heads and 768 hidden units, got 4"):
        PrivateStreams(gpt, 4, 0.5)
    with pytest.raises(ArgumentError, match="share must be a part"):
        PrivateStreams(gpt, 2, 1.5)


def test_a_dropped_micro_batch_is_not_seen():
    """All of a step's workers dropped but one are the training of that one's windows, so that two masks with the same
    windows left give the same bits, another mask gives others; a step without a micro-batch is refused."""
    small = Small(48, 1, 1, 16)
    counts = np.ones((3, 2, 2), dtype=bool)
    counts[:, 1] = False
    full = np.ones_like(counts)
    assert train_dropping(small, counts, 0) == train_dropping(small, counts.copy(), 0)
    assert train_dropping(small, counts, 0) != train_dropping(small, full, 0)
    assert train_dropping(small, full, 0) == train_dropping(small, full.reshape(3, 4, 1), 0)
    counts[1] = False
    with pytest.raises(ArgumentError, match="each step must have a micro-batch"):
        train_dropping(small, counts, 0)


def test_products_of_ranks_are_emulated(gpt, tokens):
    """NVFP4 on two ranks moves the logits as much as on the network itself: about a tenth, as blocks of E2M1 do."""
    from hwsim.arch import load_accelerator
    from hwsim.nn import emulate

    machine, found = load_accelerator("edge-nvfp4"), []
    with torch.no_grad():
        for net in (gpt, PrivateStreams(gpt, 2, 1.0)):
            exact = net(tokens)
            with emulate(net, machine):
                low = net(tokens)
            found.append(float((low - exact).norm() / exact.norm()))
    assert 0.05 < found[0] < 0.2
    assert found[1] == pytest.approx(found[0], rel=0.2)
