"""The door to Yosys and Icarus Verilog: synthesis to a cell library, and simulation of the same text.

Each call runs in a temporary folder of its own that is removed afterwards.
"""

from hwsim.rtl.tools.icarus import count_toggles, simulate
from hwsim.rtl.tools.process import ToolError, available, end_all, find_tool
from hwsim.rtl.tools.yosys import SynthResult, synth_script, synthesize, yosys_version

__all__ = [
    "SynthResult",
    "ToolError",
    "available",
    "count_toggles",
    "end_all",
    "find_tool",
    "simulate",
    "synth_script",
    "synthesize",
    "yosys_version",
]
