"""The command line: arguments, progress and tables; everything else lives in the rooms.

A user's mistake is one line on stderr and exit status 2. An interrupted job says how to continue and leaves with
130. Anything else that goes wrong is a defect of hwsim and shows as a traceback. Rooms are imported inside the
commands, so that ``hwsim --help`` loads none of them.
"""

from __future__ import annotations

import errno
import os
import sys

import typer

from hwsim.cli import models, designs, ask, serving, explain, files, circuits, verify, catalogue  # isort: skip  # noqa: F401 - their commands register themselves, in this order
from hwsim.cli.app import app
from hwsim.errors import HwsimError


def main() -> None:
    """Run the command line and leave with its exit status."""
    os.environ.setdefault("GOMP_SPINCOUNT", "0")  # torch's idle threads would keep the cores that kernels wait for
    sys.exit(run(sys.argv[1:]))


def run(arguments: list[str]) -> int:
    """Run one command; returns 0, 2 for a user's mistake, or 130 when interrupted."""
    try:
        app(arguments, standalone_mode=True)
    except HwsimError as error:
        typer.echo(f"hwsim: {error}", err=True)
        return 2
    except KeyboardInterrupt:
        typer.echo("hwsim: interrupted; what is finished is kept, --resume goes on from there", err=True)
        return 130
    except OSError as error:
        if error.errno not in (errno.ENOSPC, errno.EDQUOT, errno.EROFS, errno.EACCES):
            raise
        typer.echo(f"hwsim: {error.filename}: the file must be writable, got {error.strerror!r}", err=True)
        return 2
    except SystemExit as left:
        return left.code if isinstance(left.code, int) else 1
    return 0
