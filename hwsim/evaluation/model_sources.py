"""What a model's metric depends on besides its weights: the text of its file and of every file that it imports.

Found by reading, not by running: imports anywhere in the file, followed through the user's own files; of installed
packages the version counts. Files beside the model that share its name (its checkpoint) or that a string of its
sources names count with their bytes, those in Python with what they import too. A file that imports by a computed
name, or imports what is found nowhere, has no identity, and what is measured on it is not remembered.
"""

from __future__ import annotations

import ast
import hashlib
import importlib.metadata
import importlib.util
import sys
from collections.abc import Iterator
from pathlib import Path

from hwsim.errors import ModelError
from hwsim.storage import read_bytes

_DYNAMIC = frozenset(
    {"import_module", "__import__", "exec", "eval", "run_path", "run_module", "spec_from_file_location"}
)
_LARGEST = 1 << 32


def identity(model: Path) -> str | None:
    """16 digits that change with whatever the model's file imports; None where that cannot be told.

    Raises:
        ModelError: the file cannot be read, or is no Python.
    """
    model = model.resolve()
    digest, packages, data = hashlib.sha256(), set[str](), set[Path]()
    reached, pending = set[Path](), [model]
    while pending:
        path = pending.pop()
        if path in reached:
            continue
        reached.add(path)
        text = read_bytes(path, "model file", ModelError, _LARGEST)
        digest.update(f"{path.name}:{len(text)}:".encode() + text)
        try:
            tree = ast.parse(text)
        except (SyntaxError, ValueError, RecursionError) as error:
            raise ModelError(f"model file must be Python ({error})", where=str(path)) from None
        if _is_dynamic(tree):
            return None
        named = set(_named_files(tree, path))
        pending += sorted(one for one in named if one.suffix == ".py")
        data |= {one for one in named if one.suffix != ".py"}
        for name in sorted(_imports(tree)):
            files = _own_files(name, path)
            if files:
                pending += files
            elif not _is_known(name.partition(".")[0], packages):
                return None
    data |= {one for one in model.parent.glob(f"{model.stem}.*") if one.is_file() and one.suffix != ".py"}
    for one in sorted(data):
        if one.name.endswith(".state"):  # of an unfinished training
            continue
        digest.update(
            f"{one.name}:".encode() + hashlib.sha256(read_bytes(one, "file", ModelError, _LARGEST)).digest()
        )
    for package in sorted(packages):
        digest.update(package.encode())
    return digest.hexdigest()[:16]


def _is_dynamic(tree: ast.AST) -> bool:
    for node in ast.walk(tree):
        if isinstance(node, ast.Call):
            called = node.func
            name = (
                called.id
                if isinstance(called, ast.Name)
                else called.attr
                if isinstance(called, ast.Attribute)
                else ""
            )
            if name in _DYNAMIC and not (name == "eval" and isinstance(called, ast.Attribute)):  # model.eval()
                return True
    return False


def _imports(tree: ast.AST) -> set[str]:
    """Dotted names of modules; those of ``from a import b`` with and without b, relative ones with their dots."""
    found: set[str] = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            base = "." * node.level + (node.module or "")
            join = "" if not node.module and node.level else "."
            found |= {base, *(f"{base}{join}{alias.name}" for alias in node.names)} - {"." * node.level}
    return found


def _own_files(name: str, importer: Path) -> list[Path]:
    """Files of the user that a module's name leads to, packages on the way included; none for installed ones."""
    level = len(name) - len(name.lstrip("."))
    parts = name.lstrip(".").split(".")
    if level:
        folders = [importer.parents[level - 1]]
    else:
        if parts[0] in sys.stdlib_module_names or parts[0] == "hwsim":
            return []
        folders = [importer.parent, Path.cwd(), *(Path(entry or ".").resolve() for entry in sys.path)]
        folders = [one for one in folders if not {"site-packages", "dist-packages"} & set(one.parts)]
    for folder in folders:
        found = []
        place = folder
        for part in parts:
            place = place / part
            found += [one for one in (place.with_suffix(".py"), place / "__init__.py") if one.is_file()]
        if found:
            return [one.resolve() for one in found]
    return []


def _is_known(top: str, packages: set[str]) -> bool:
    """Whether a name is of the standard library, of hwsim, or of an installed package, whose version is added."""
    if not top or top in sys.stdlib_module_names or top == "hwsim":
        return True  # versions of Python and hashes of hwsim's sources are in the memo's name
    try:
        packages.add(f"{top}={importlib.metadata.version(top)}")
    except importlib.metadata.PackageNotFoundError:
        try:
            spec = importlib.util.find_spec(top)
        except (ImportError, ValueError, AttributeError):
            return False
        if spec is None or not spec.origin or not Path(spec.origin).is_file():
            return False
        packages.add(f"{top}={hashlib.sha256(Path(spec.origin).read_bytes()).hexdigest()}")
    return True


def _named_files(tree: ast.AST, path: Path) -> Iterator[Path]:
    """Files beside `path`, or at an absolute path, that a string of its source names."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Constant) and isinstance(node.value, str) and 0 < len(node.value) < 256:
            text = node.value
            if "\n" in text or "\0" in text or "." not in text:
                continue
            for folder in (path.parent, Path.cwd()):
                try:
                    named = folder / text
                    if named.is_file():
                        yield named.resolve()
                except (OSError, ValueError):
                    continue
