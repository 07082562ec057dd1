"""A design in the files of other cost models, for a second opinion."""

from hwsim.evaluation.peers.export import PEERS, export
from hwsim.evaluation.peers.shared import Level, Product, Shared, shared

__all__ = ["PEERS", "Level", "Product", "Shared", "export", "shared"]
