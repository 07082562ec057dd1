"""Pages that run: their blocks are executed in the order of the page, in an empty folder, as a reader would.

A block ``sh`` holds ``hwsim`` commands, or others of a shell; a block ``python`` code that shares its names with
those before it. A block ``text`` behind one of them is what it printed: all of it, or, where it has a line
``...``, at least its other lines in their order. ``python tests/pages.py PAGE...`` writes whole ones anew.
"""

from __future__ import annotations

import contextlib
import io
import os
import re
import shlex
import subprocess
import sys
import tempfile
import warnings
from dataclasses import dataclass
from pathlib import Path

from hwsim import cli

ROOT = Path(__file__).resolve().parent.parent
FENCE = re.compile(r"^```(\w*)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
ELIDED = "..."


@dataclass
class Block:
    """One fenced block: its language, its text, where it ends in the page's, and what running it printed."""

    language: str
    text: str
    span: tuple[int, int]
    printed: str = ""


def blocks(text):
    return [Block(found[1], found[2], found.span(2)) for found in FENCE.finditer(text)]


def run(page, folder):
    """Run every block of a page; returns them with what they printed. What fails is an `AssertionError`."""
    found = blocks(Path(page).read_text(encoding="utf-8"))
    names = {"__name__": "__page__"}
    here = Path.cwd()
    os.chdir(folder)
    for name in ("reports", "docs"):  # what a checkout has beside the package: committed studies, example units
        Path(name).symlink_to(ROOT / name)
    try:
        for block in found:
            if block.language == "sh":
                block.printed = _shell(block.text)
            elif block.language == "python":
                out = io.StringIO()
                with contextlib.redirect_stdout(out):
                    exec(compile(block.text, str(page), "exec"), names)
                block.printed = out.getvalue()
    finally:
        os.chdir(here)
    return found


def _shell(text):
    printed = ""
    for line in [text] if "<<" in text else text.replace("\\\n", " ").splitlines():
        words = line.strip()
        if not words or words.startswith("#"):
            continue
        if words.startswith("hwsim ") and "<<" not in words and "|" not in words:
            out, told = io.StringIO(), io.StringIO()
            with contextlib.redirect_stdout(out), contextlib.redirect_stderr(told), _wide():
                status = cli.run(shlex.split(words, comments=True)[1:])
            assert status == 0, f"{words}: {told.getvalue()[-2000:]}"
            printed += out.getvalue()
        else:
            done = subprocess.run(["sh", "-ec", words], capture_output=True, text=True, check=False)
            assert done.returncode == 0, f"{words}: {done.stderr[-2000:]}"
            printed += done.stdout
    return printed


@contextlib.contextmanager
def _wide():
    """Tables as wide as on a terminal of 200 columns, whatever this one is."""
    before = os.environ.get("COLUMNS")
    os.environ["COLUMNS"] = "200"
    try:
        yield
    finally:
        if before is None:
            del os.environ["COLUMNS"]
        else:
            os.environ["COLUMNS"] = before


def shown(printed):
    """Lines without what ends them."""
    return [line.rstrip() for line in printed.strip("\n").splitlines()]


def differences(found):
    """Lines that a page says were printed and were not."""
    wrong, last = [], None
    for block in found:
        if block.language == "text" and last is not None:
            told, real = shown(block.text), shown(last.printed)
            if ELIDED not in told:
                wrong += [] if told == real else [f"{last.text.strip()}: page is not what is printed: {real[:3]}"]
                continue
            place = iter(real)
            wrong += [line for line in told if line != ELIDED and line not in place]
        elif block.language in ("sh", "python"):
            last = block
    return wrong


def remake(page):
    """Write the whole ``text`` blocks of a page anew."""
    text = Path(page).read_text(encoding="utf-8")
    with tempfile.TemporaryDirectory() as folder, warnings.catch_warnings():
        found = run(Path(page).resolve(), folder)
    last = None
    pieces, at = [], 0
    for block in found:
        if block.language == "text" and last is not None and ELIDED not in shown(block.text):
            pieces += [text[at : block.span[0]], "\n".join(shown(last.printed)) + "\n"]
            at = block.span[1]
        elif block.language in ("sh", "python"):
            last = block
    Path(page).write_text("".join([*pieces, text[at:]]), encoding="utf-8")


if __name__ == "__main__":
    for page in sys.argv[1:]:
        remake(page)
