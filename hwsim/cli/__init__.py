"""The command line: arguments, progress and tables; everything else lives in the rooms.

A user's mistake is one line on stderr and exit status 2; so is what the system refuses. A signal ends what was
begun, says so in one line, and leaves with 130, 143 or 129. What a Python file of a user's own raises is a mistake in
that file. Anything else that goes wrong is a defect of hwsim and shows as a traceback. Rooms are imported inside the
commands, so that ``hwsim --help`` loads none of them.
"""

from __future__ import annotations

import codecs
import io
import os
import sys
import warnings

import typer

from hwsim.cli import models, designs, peers, ask, serving, explain, files  # isort: skip  # noqa: F401 - they register
from hwsim.cli import circuits, verify, catalogue, caches, doctor, new  # isort: skip  # noqa: F401 - in this order
from hwsim import cache
from hwsim.cli.app import app
from hwsim.errors import HwsimError, Stopped
from hwsim.guard import stopping
from hwsim.own_code import line_of


def main() -> None:
    """Run the command line and leave with its exit status."""
    os.environ.setdefault("GOMP_SPINCOUNT", "0")  # torch's idle threads would keep the cores that kernels wait for
    if (kept := cache.root()) is not None:  # torch makes a folder below TMPDIR when it trains, and leaves it there
        os.environ.setdefault("TORCHINDUCTOR_CACHE_DIR", str(kept / "torch"))
    codecs.register_error("hwsim", _spelled)
    codecs.register(_ascii)
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):  # a terminal of another alphabet gets ASCII, not a traceback
            plain = codecs.lookup(stream.encoding).name == "ascii"
            stream.reconfigure(encoding=ASCII if plain else None, errors="hwsim")
    status = 0
    try:
        with stopping():
            status = run(sys.argv[1:])
    except Stopped as reason:  # between two blocks
        status = _stopped(reason)
    sys.exit(status)


def run(arguments: list[str]) -> int:
    """Run one command; returns 0, 2 for a user's mistake, or the status of the signal that ended it."""
    try:
        with warnings.catch_warnings():
            if not sys.warnoptions:
                warnings.showwarning = _one_line
            app(arguments, standalone_mode=True)
    except HwsimError as error:
        _complain(str(error))
        return 2
    except Stopped as reason:
        return _stopped(reason)
    except RecursionError:
        _complain("the input must not nest that deep")
        return 2
    except OSError as error:
        if not isinstance(error.filename, str | bytes) or error.strerror is None:
            return _blamed(error)
        _complain(f"{os.fsdecode(error.filename)}: the system refuses, {error.strerror}")
        return 2
    except Exception as error:
        return _blamed(error)
    except SystemExit as left:
        return left.code if isinstance(left.code, int) else 1
    return 0


def _complain(message: str) -> None:
    """One line on stderr, whatever a name in it holds."""
    typer.echo("hwsim: " + "".join(one if one.isprintable() else repr(one)[1:-1] for one in message), err=True)


def _blamed(error: Exception) -> int:
    """The status of an error in a user's own code; any other goes on as it is."""
    place = line_of(error)
    if place is None:
        raise error
    _complain(f"{place}: code of your own must run, it raised {type(error).__name__}: {error}")
    return 2


def _stopped(reason: Stopped) -> int:
    _complain(
        f"stopped by {reason}; what is finished is kept, and the same command (explore, sweep: with --resume) goes on"
    )
    return reason.status


def _one_line(message: Warning | str, *_: object, **__: object) -> None:
    _complain(f"warning: {message}")


_SPELLING = str.maketrans(
    {"µ": "u", "\N{GREEK SMALL LETTER MU}": "u", "²": "^2", "×": "x", "÷": "/", "≤": "<=", "≥": ">=", "—": "-",
     "–": "-", "…": "...", "·": "*", "±": "+-", "½": "1/2", "→": "->"}
)  # fmt: skip


ASCII = "hwsim_ascii"


def _ascii(name: str) -> codecs.CodecInfo | None:
    """ASCII by a name of ours: typer takes the usual name for a mistake, and writes UTF-8."""
    if name != ASCII:
        return None
    codec = codecs.lookup("ascii")
    return codecs.CodecInfo(
        codec.encode, codec.decode, codec.streamreader, codec.streamwriter, codec.incrementalencoder,
        codec.incrementaldecoder, ASCII,
    )  # fmt: skip


def _spelled(error: UnicodeError) -> tuple[str, int]:
    """What an alphabet lacks, spelled in ASCII."""
    if not isinstance(error, UnicodeEncodeError):
        raise error
    text = error.object[error.start : error.end].translate(_SPELLING)
    return text.encode("ascii", errors="replace").decode(), error.end
