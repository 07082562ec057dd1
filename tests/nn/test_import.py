"""Without torch the room says what to install."""

import subprocess
import sys


def test_without_torch_one_line_says_what_to_install():
    program = "import sys; sys.modules['torch'] = None; import hwsim; hwsim.capture('gpt', out='x')"
    ended = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True)
    line = "hwsim.nn.capture: torch is needed, install it with: pip install 'hwsim[torch]'"
    assert ended.stderr.splitlines()[-1] == f"hwsim.errors.MissingExtra: {line}"


def test_the_room_itself_loads_without_torch():
    program = "import sys, hwsim.nn, hwsim.trace; assert 'torch' not in sys.modules and 'numba' not in sys.modules"
    subprocess.run([sys.executable, "-c", program], check=True)
