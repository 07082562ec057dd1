"""Recipes by name: every module of `hwsim.recipes.library`, or a user's own file.

A library module defines ``RECIPES``, a tuple. There is no list to keep: a file that lies there is in the catalogue.
"""

from __future__ import annotations

import importlib
import importlib.util
import pkgutil
from functools import cache
from pathlib import Path

from hwsim.errors import ArgumentError, HwsimError, UnknownName
from hwsim.own_code import line_of, note
from hwsim.recipes.recipe import Recipe


def names() -> list[str]:
    """The names of all recipes of the library, sorted."""
    return sorted(_library())


def get(name: str | Path | Recipe) -> Recipe:
    """The recipe called `name`; a `Recipe` is returned as it is; ``"path/to/file.py"`` and ``"path/to/file.py:NAME"``
    are the recipe ``RECIPE`` or ``NAME`` of a user's file, which is the user's own program and runs as such.

    Raises:
        UnknownName: no such recipe.
        ArgumentError: a file without such a recipe.
    """
    if isinstance(name, Recipe):
        return name
    text = str(name)
    head, colon, tail = text.rpartition(":")
    path, attribute = (head, tail) if colon and tail.isidentifier() else (text, "RECIPE")
    if path.endswith(".py"):
        return _from_file(Path(path), attribute)
    if text not in _library():
        raise UnknownName("recipe", text, names())
    return _library()[text]


@cache
def _library() -> dict[str, Recipe]:
    from hwsim.recipes import library

    found: dict[str, Recipe] = {}
    for module in pkgutil.iter_modules(library.__path__):
        for recipe in importlib.import_module(f"{library.__name__}.{module.name}").RECIPES:
            assert recipe.name not in found, f"two recipes are called {recipe.name}"
            found[recipe.name] = recipe
    return found


def _from_file(path: Path, attribute: str) -> Recipe:
    spec = importlib.util.spec_from_file_location(f"hwsim_recipe_{path.stem}", path)
    if spec is None or spec.loader is None or not path.is_file():
        raise ArgumentError("recipe file must be Python source that exists", got=str(path))
    module = importlib.util.module_from_spec(spec)
    note(spec.origin or path)
    try:
        spec.loader.exec_module(module)
    except HwsimError:
        raise
    except Exception as error:
        rule = f"recipe file must run, it raised {type(error).__name__}: {error}"
        raise ArgumentError(rule, where=line_of(error) or str(path)) from error
    recipe = getattr(module, attribute, None)
    if not isinstance(recipe, Recipe):
        raise ArgumentError(f"file must define {attribute}, a hwsim.recipes.Recipe", got=type(recipe).__name__,
                            where=str(path))  # fmt: skip
    return recipe
