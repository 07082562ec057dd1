// One mma.sync per block of 32 threads. All operands lie in fragment order: word `register * 32 + lane` of a tile.
// Given from outside: INSTRUCTION (PTX), WIDE (1: four 32-bit results, 0: two words of two float16), INTEGER, SCALED.
extern "C" __global__ void kernel(const unsigned *a, const unsigned *b, const unsigned *c, const unsigned *scale_a,
                                  const unsigned *scale_b, unsigned *d) {
    const unsigned lane = threadIdx.x, tile = blockIdx.x;
    a += tile * 128 + lane;
    b += tile * 64 + lane;
    const unsigned a0 = a[0], a1 = a[32], a2 = a[64], a3 = a[96], b0 = b[0], b1 = b[32];
#if WIDE
    c += tile * 128 + lane;
    d += tile * 128 + lane;
#if INTEGER
    unsigned c0 = c[0], c1 = c[32], c2 = c[64], c3 = c[96], d0, d1, d2, d3;
#define REGISTER "r"
#else
    float c0 = __uint_as_float(c[0]), c1 = __uint_as_float(c[32]), c2 = __uint_as_float(c[64]),
          c3 = __uint_as_float(c[96]), d0, d1, d2, d3;
#define REGISTER "f"
#endif
#if SCALED
    const unsigned sa = scale_a[tile * 32 + lane], sb = scale_b[tile * 32 + lane];
    const unsigned short zero = 0;
    asm volatile(INSTRUCTION " {%0, %1, %2, %3}, {%4, %5, %6, %7}, {%8, %9}, {%10, %11, %12, %13}, "
                             "{%14}, {%16, %16}, {%15}, {%16, %16};"
                 : "=f"(d0), "=f"(d1), "=f"(d2), "=f"(d3)
                 : "r"(a0), "r"(a1), "r"(a2), "r"(a3), "r"(b0), "r"(b1), "f"(c0), "f"(c1), "f"(c2), "f"(c3), "r"(sa),
                   "r"(sb), "h"(zero));
#else
    asm volatile(INSTRUCTION " {%0, %1, %2, %3}, {%4, %5, %6, %7}, {%8, %9}, {%10, %11, %12, %13};"
                 : "=" REGISTER(d0), "=" REGISTER(d1), "=" REGISTER(d2), "=" REGISTER(d3)
                 : "r"(a0), "r"(a1), "r"(a2), "r"(a3), "r"(b0), "r"(b1), REGISTER(c0), REGISTER(c1), REGISTER(c2),
                   REGISTER(c3));
#endif
#if INTEGER
    d[0] = d0, d[32] = d1, d[64] = d2, d[96] = d3;
#else
    d[0] = __float_as_uint(d0), d[32] = __float_as_uint(d1), d[64] = __float_as_uint(d2), d[96] = __float_as_uint(d3);
#endif
#else
    c += tile * 64 + lane;
    d += tile * 64 + lane;
    unsigned d0, d1;
    asm volatile(INSTRUCTION " {%0, %1}, {%2, %3, %4, %5}, {%6, %7}, {%8, %9};"
                 : "=r"(d0), "=r"(d1)
                 : "r"(a0), "r"(a1), "r"(a2), "r"(a3), "r"(b0), "r"(b1), "r"(c[0]), "r"(c[32]));
    d[0] = d0, d[32] = d1;
#endif
}
#undef REGISTER
