"""Sums, products and functions whose every operation and its order are ours: the same bits on every processor.

What a library computes depends on the machine: it adds in as many lanes as a register has, fuses products with sums
where the processor can, and takes other polynomials for other instructions. Here floats are added in float64 in an
order that no width of a register decides, functions are polynomials of our own, nothing is fused that could change a
bit, and what comes out is rounded once. Compiled by `hwsim.jit`, which neither fuses nor reorders.

Pinning torch to one capability was rejected: it must be done before torch is first used, Intel's and oneDNN's
products have settings of their own, and a processor that lacks the instructions could not follow.
"""
