"""What a shell completes: names of the workbench, and files where a command takes both.

``hwsim --install-completion`` sets it up for bash, zsh, fish and PowerShell.
"""

from __future__ import annotations

from collections.abc import Iterator

from hwsim import workbench


def _begun(known: list[str], incomplete: str, suffix: str) -> list[str]:
    """Names that begin so, then files and folders of that suffix."""
    return [name for name in known if name.startswith(incomplete)] + sorted(_files(incomplete, suffix))


def _files(incomplete: str, suffix: str) -> Iterator[str]:
    from pathlib import Path

    head, _, tail = incomplete.rpartition("/")
    folder = Path(f"{head}/" if head or incomplete.startswith("/") else ".")
    if not folder.is_dir():
        return
    for entry in folder.iterdir():
        if entry.name.startswith(tail) and not entry.name.startswith("."):
            written = f"{head}/{entry.name}" if head or incomplete.startswith("/") else entry.name
            if entry.is_dir():
                yield f"{written}/"
            elif entry.suffix == suffix:
                yield written


def models(incomplete: str) -> list[str]:
    """Models of the workbench, and Python files."""
    return _begun(workbench.names("models", ".py"), incomplete, ".py")


def machines(incomplete: str) -> list[str]:
    """Machines of the workbench, and TOML files."""
    return _begun(workbench.names("dse/machines", ".toml"), incomplete, ".toml")


def spaces(incomplete: str) -> list[str]:
    """Design spaces of the workbench, and TOML files."""
    return _begun(workbench.names("dse", ".toml"), incomplete, ".toml")


def traces(incomplete: str) -> list[str]:
    """Whole models of the catalogue, and folders."""
    from hwsim.workloads import names

    return _begun(names(), incomplete, ".toml")


def studies(incomplete: str) -> list[str]:
    """Published claims that can be measured again."""
    from hwsim.studies import NAMES

    return [name for name in NAMES if name.startswith(incomplete)]


def recipes(incomplete: str) -> list[str]:
    """Training recipes."""
    from hwsim.recipes import names

    return [name for name in names() if name.startswith(incomplete)]
