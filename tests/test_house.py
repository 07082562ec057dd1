"""The house itself: import order of the layers, the list of packages, what an import costs."""

from __future__ import annotations

import ast
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
PACKAGE = ROOT / "hwsim"

LAYERS = (
    ("errors", "notebook", "own_code"),
    ("storage", "guard"), ("cache",), ("workbench", "jit"), ("content", "ordered"),
    ("formats",), ("quant",), ("trace",), ("workloads",), ("rtl",), ("gates",), ("cost",), ("datapaths",), ("arch",),
    ("timing",), ("recipes",), ("nn",), ("evaluation",), ("search",), ("studies",), ("report",), ("verify",),
    ("testing",),
    ("cli",),
)  # fmt: skip
LEVEL = {room: level for level, rooms in enumerate(LAYERS) for room in rooms}

DOORS = {  # outside package -> the rooms it may enter
    "numba": {"jit", "verify"},
    "torch": {"nn", "verify"},
    "safetensors": {"nn", "trace"},
    "transformers": {"nn"},
    "gguf": {"nn"},
    "tokenizers": {"nn"},
    "optuna": {"search"},
    "gymnasium": {"search"},
    "pandas": {"cost", "search"},
    "matplotlib": {"report"},
    "jinja2": {"report"},
    "typer": {"cli"},
    "rich": {"cli"},
    "scipy": set(),
    "simpy": {"timing"},
    "sklearn": {"search"},
    "cuda": {"verify"},
    "mmasim": {"verify"},
    "ml_dtypes": {"verify"},
    "torchao": {"verify"},
    "triton": {"verify"},
}


def _modules() -> list[Path]:
    return sorted(path for path in PACKAGE.rglob("*.py") if "share" not in path.parts)


def _room(path: Path) -> str:
    return path.relative_to(PACKAGE).parts[0].removesuffix(".py")


def _imports(tree: ast.AST) -> list[str]:
    found = []
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            found += [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, "imports are absolute"
            found.append(node.module or "")
            if node.module == "hwsim":
                found += [f"hwsim.{alias.name}" for alias in node.names]
    return found


@pytest.mark.parametrize("path", _modules(), ids=lambda path: str(path.relative_to(PACKAGE)))
def test_a_module_imports_only_from_lower_layers_and_by_the_right_door(path):
    room = _room(path)
    if room in ("__init__", "__main__"):  # the lazy front, whose imports are for type checkers, and the way in
        return
    assert room in LEVEL, f"{room} has no place in the line of layers"
    for name in _imports(ast.parse(path.read_text(encoding="utf-8"))):
        top, *rest = name.split(".")
        if top == "hwsim" and rest:
            assert rest[0] == room or LEVEL[rest[0]] < LEVEL[room], f"{room} imports {name}, which is not below it"
        elif top in DOORS:
            assert room in DOORS[top], f"{top} enters at {sorted(DOORS[top])}, not at {room}"


def test_package_list_is_the_tree():
    settings = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["setuptools"]
    tree = {".".join(path.parent.relative_to(ROOT).parts) for path in PACKAGE.rglob("__init__.py")}
    listed = {name for name in settings["packages"] if not name.startswith("hwsim.share")}
    assert listed == tree
    for package, folder in settings["package-dir"].items():
        assert package in settings["packages"]
        assert (ROOT / folder).is_dir()
        assert any((ROOT / folder).glob(pattern) for pattern in settings["package-data"][package])


@pytest.mark.parametrize(
    "line", ["import hwsim", "import hwsim.verify", "import hwsim.cli", "import hwsim.arch", "import hwsim.formats"]
)
def test_importing_loads_no_heavy_package(line):
    heavy = {"torch", "numba", "pandas", "matplotlib", "optuna", "scipy", "sklearn", "simpy"}
    code = f"import sys; {line}; print(*sorted({heavy!r} & set(sys.modules)))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.split() == []


def test_no_library_module_prints():
    for path in _modules():
        calls = [node for node in ast.walk(ast.parse(path.read_text())) if isinstance(node, ast.Call)]
        assert not any(isinstance(call.func, ast.Name) and call.func.id == "print" for call in calls), path


FAMILIES = ("integer", "dot", "tensor_core", "ternary_lut", "pann", "shift", "softmax")
UNITS = ("Integer", "Dot", "Rule", "TernaryLut", "Pann", "Shift", "Softmax", "tensor_core")


def _switches(tree: ast.AST) -> list[str]:
    """Where code asks which family a unit is: comparisons and cases of a family with a name, and of types."""
    found = []
    for node in ast.walk(tree):
        asks = False
        if isinstance(node, ast.Compare):
            sides = [node.left, *node.comparators]
            named = {one.value for side in sides for one in ast.walk(side) if isinstance(one, ast.Constant)}
            asks = any(ast.unparse(side).endswith("family") for side in sides) and bool(named & set(FAMILIES))
        elif isinstance(node, ast.Match):
            cases = [one for case in node.cases for one in ast.walk(case.pattern)]
            asks = any(isinstance(one, ast.Constant) and one.value in FAMILIES for one in cases)
        elif isinstance(node, ast.Call) and ast.unparse(node.func) == "isinstance":
            asks = ast.unparse(node.args[1]).rpartition(".")[2] in UNITS
        if asks:
            found.append(ast.unparse(node).partition("\n")[0])
    return found


@pytest.mark.parametrize(
    "line",
    [
        "unit.family == 'pann'", "spec['x'].family in ('dot', 'shift')", "isinstance(unit, datapaths.dot.Dot)",
        "match family:\n    case 'integer': pass",
    ],
)  # fmt: skip
def test_a_switch_by_family_is_seen(line):
    assert _switches(ast.parse(line)) == [line.partition("\n")[0]]


def test_nobody_outside_of_datapaths_asks_which_family_a_unit_is():
    outside = {
        f"{path.relative_to(PACKAGE)}: {one}"
        for path in _modules()
        if _room(path) != "datapaths"
        for one in _switches(ast.parse(path.read_text(encoding="utf-8")))
    }
    assert outside == set()


def _runtime_imports(path: Path, known: set[str]) -> set[str]:
    """Modules of the package that a file imports, at its head or in a function, but for type checkers alone."""
    tree = ast.parse(path.read_text(encoding="utf-8"))
    for node in ast.walk(tree):
        if isinstance(node, ast.If) and ast.unparse(node.test) == "TYPE_CHECKING":
            node.body = [ast.Pass()]
    found = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            found |= {f"{node.module}.{alias.name}" for alias in node.names} & known or {node.module or ""}
    return found & known


def _circles(graph: dict[str, set[str]]) -> list[set[str]]:
    """Sets of modules each of which reaches every other one."""
    reached: dict[str, set[str]] = {}
    for start in graph:
        seen, waiting = set[str](), list(graph[start])
        while waiting:
            one = waiting.pop()
            if one not in seen:
                seen.add(one)
                waiting += graph[one]
        reached[start] = seen
    circles: list[set[str]] = []
    for name in graph:
        if name in reached[name] and not any(name in circle for circle in circles):
            circles.append({other for other in reached[name] if name in reached[other]})
    return circles


def test_circles_of_a_graph():
    graph = {"a": {"b"}, "b": {"c"}, "c": {"b", "d"}, "d": {"e"}, "e": {"d"}, "f": {"a"}}
    assert _circles(graph) == [{"b", "c"}, {"d", "e"}]


def test_no_circle_of_imports_but_that_of_a_unit_and_its_views():
    """Late imports count. A family's unit gives its views, and its views take the unit: one folder, one object."""
    names = {
        ".".join(path.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__"): path for path in _modules()
    }
    circles = _circles({name: _runtime_imports(path, set(names)) for name, path in names.items()})
    homes = [{tuple(name.split(".")[:3]) for name in circle} for circle in circles]
    families = {"dot", "integer", "pann", "shift", "ternary"}
    assert sorted(homes, key=str) == [{("hwsim", "datapaths", one)} for one in sorted(families)]
