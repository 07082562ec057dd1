"""Verilog of the datapaths, and the tools that synthesise and simulate it."""
