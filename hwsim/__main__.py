"""The program: ``hwsim``, and ``python -m hwsim``.

An interruption while Python still imports ends it without a traceback, as nothing has begun; `hwsim.guard.stopping`
takes over from there.
"""

from __future__ import annotations

import signal


def main() -> None:
    """Run the command line."""
    if signal.getsignal(signal.SIGINT) is signal.default_int_handler:
        signal.signal(signal.SIGINT, signal.SIG_DFL)
    from hwsim.cli import main as run

    run()


if __name__ == "__main__":
    main()
