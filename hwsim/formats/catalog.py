"""Every format by name: data only, each with its source.

Three formats share the name E4M3 in the field. ``e4m3`` is that of OCP and NVIDIA (largest value 448, no infinity);
``e4m3_ieee`` keeps IEEE's infinities (largest value 240, Gaudi 2); ``e4m3fnuz`` is that of AMD's CDNA3 (largest value
240 too, but no infinity and no -0), as ``e5m2fnuz`` is beside ``e5m2``.

``e1m6``, ``e2m5`` and ``e6m1`` complete the grid of scale formats of arXiv 2505.19115, which publishes widths
only: they get the usual bias ``2^(exponent_bits - 1) - 1`` and no special words, a choice of ours. So do the other
splits of 3 to 8 bits into exponent and mantissa (`GRID`), that a search can ask for any of them.
"""

from __future__ import annotations

from hwsim.formats.format import Format, by_name

OFP8 = "OCP 8-bit Floating Point Specification (OFP8) 1.0"
OCP_MX = "OCP Microscaling Formats (MX) Specification 1.0"
FNUZ = 'AMD Instinct MI300 ISA, 7.2, "FP8 and BF8"; ml_dtypes README'
IEEE = "IEEE 754-2019"
PTX = "NVIDIA PTX ISA, alternate floating point data formats"
ML_DTYPES = "ml_dtypes README"
FP4_GRID = "arXiv 2505.19115, grid of scale formats"
INTEGER = "two's complement"

GRID = "IEEE 754's rule for the bias, no special words"

CATALOG = by_name(
    [
        Format("e2m1", 2, 1, 1, source=OCP_MX),
        Format("e1m2", 1, 2, 1, source="uniform grid of quarters, sign and magnitude"),
        Format("e3m0", 3, 0, 3, source="arXiv 2112.10769, [1,3,0] with code 0 as zero"),
        Format("e2m3", 2, 3, 1, source=OCP_MX),
        Format("e3m2", 3, 2, 3, source=OCP_MX),
        Format("e1m6", 1, 6, 0, source=FP4_GRID),
        Format("e2m5", 2, 5, 1, source=FP4_GRID),
        Format("e6m1", 6, 1, 31, source=FP4_GRID),
        *(
            Format(f"e{e}m{bits - 1 - e}", e, bits - 1 - e, (1 << (e - 1)) - 1, source=GRID)
            for bits, exponents in ((3, (1, 2)), (5, (1, 2, 3, 4)), (6, (1, 4, 5)), (7, (1, 2, 3, 4, 5)))
            for e in exponents
        ),
        Format("e3m4", 3, 4, 3, specials="ieee", source=ML_DTYPES),
        Format("e4m3", 4, 3, 7, specials="nan", source=OFP8),
        Format("e4m3_ieee", 4, 3, 7, specials="ieee", source=f"{ML_DTYPES}; Intel Gaudi 2"),
        Format("e4m3fnuz", 4, 3, 8, specials="fnuz", source=FNUZ),
        Format("e5m2", 5, 2, 15, specials="ieee", source=OFP8),
        Format("e5m2fnuz", 5, 2, 16, specials="fnuz", source=FNUZ),
        Format("e8m0", 8, 0, 127, sign="none", specials="nan", zero=False, source=OCP_MX),
        Format("ue4m3", 4, 3, 7, sign="ignored", specials="nan", source=PTX),
        Format("ue5m3", 5, 3, 15, sign="none", specials="nan", source=FP4_GRID),
        Format("fp16", 5, 10, 15, specials="ieee", source=IEEE),
        Format("bf16", 8, 7, 127, specials="ieee", source=PTX),
        Format("tf32", 8, 10, 127, specials="ieee", padding_bits=13, source=PTX),
        Format("fp32", 8, 23, 127, specials="ieee", source=IEEE),
        *(Format(f"int{b}", 0, b - 1, 0, sign="twos_complement", source=INTEGER) for b in (*range(2, 9), 16)),
    ]
)
