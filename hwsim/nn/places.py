"""What a layer is in its model: its kind, and where it stands, as recipes select it (`hwsim.recipes.Selection`).

The blocks of a model are the entries of its longest list of modules of one class that hold weights. Layers with a
weight stand in the order in which the model registers them; those before the first block are its embedding, the last
one behind the blocks is its head. In a model without blocks every layer is one, and the last is the head.
"""

from __future__ import annotations

from fnmatch import fnmatchcase

from torch import nn

from hwsim.recipes import Kind, Selection

WRAPPERS = ("module.", "_orig_mod.", "_fsdp_wrapped_module.", "_checkpoint_wrapped_module.")
"""What DistributedDataParallel, torch.compile, FSDP and checkpoint wrappers put into a module's name."""


def plain_name(name: str) -> str:
    """The name of a module as if no wrapper stood around it or any module above."""
    dotted = f"{name}."
    for wrapper in WRAPPERS:
        dotted = dotted.removeprefix(wrapper).replace(f".{wrapper}", ".")
    return dotted.removesuffix(".")


class Places:
    """Kinds and positions of the layers of a model, by their plain names."""

    def __init__(self, model: nn.Module) -> None:
        modules = {plain_name(name): module for name, module in model.named_modules()}
        self.layers = [name for name, module in modules.items() if _multiplies(module)]
        self.recurrent = {
            name for name, module in modules.items() if isinstance(module, (nn.RNNBase, nn.RNNCellBase))
        }
        self.blocks = _blocks(modules)
        inside = [self._block(name) is not None for name in self.layers]
        behind = self.layers[-1:] if self.layers and not inside[-1] and len(self.layers) > 1 else []
        self.head = set(behind)
        first = inside.index(True) if any(inside) else 0
        self.embedding = set(self.layers[:first]) - self.head
        self.body = [name for name in self.layers if name not in self.head | self.embedding]
        if not self.blocks:
            self.blocks = self.body

    def kind(self, layer: str, op: str, b_role: str) -> Kind:
        """The kind of a product of `layer`: `op` is ``linear``, ``convolution``, ``attention`` or ``matmul``."""
        if b_role != "weight":
            return "attention" if op == "attention" else "matmul"
        if layer in self.head:
            return "head"
        if layer in self.embedding:
            return "embedding"
        if layer in self.recurrent:
            return "recurrent"
        return "convolution" if op == "convolution" else "linear"

    def selects(self, where: Selection, layer: str, kind: Kind) -> bool:
        """Whether `where` selects the products of `layer`, which are of `kind`."""
        return (
            kind in where.kinds
            or any(fnmatchcase(layer, pattern) for pattern in where.names)
            or _under(layer, self._ends(where.first, last=False))
            or _under(layer, self._ends(where.last, last=True))
        )

    def _ends(self, amount: float, last: bool) -> list[str]:
        names = self.blocks if amount >= 1 else self.body
        count = min(int(amount) if amount >= 1 else round(amount * len(names)), len(names))
        return names[len(names) - count :] if last else names[:count]

    def _block(self, layer: str) -> str | None:
        return next((block for block in self.blocks if _under(layer, [block])), None)


def _under(layer: str, names: list[str]) -> bool:
    return any(layer == name or layer.startswith(f"{name}.") for name in names)


def _multiplies(module: nn.Module) -> bool:
    own = [parameter for parameter in module.parameters(recurse=False) if parameter.ndim >= 2]
    return bool(own) and not isinstance(module, (nn.Embedding, nn.EmbeddingBag))


def _blocks(modules: dict[str, nn.Module]) -> list[str]:
    best: list[str] = []
    for name, module in modules.items():
        if not isinstance(module, (nn.ModuleList, nn.Sequential)):
            continue
        children = list(module.named_children())
        alike = len({type(child) for _, child in children}) == 1
        weights = all(any(p.ndim >= 2 for p in child.parameters()) for _, child in children)
        if alike and weights and len(children) > max(1, len(best)):
            best = [f"{name}.{child}".lstrip(".") for child, _ in children]
    return best
