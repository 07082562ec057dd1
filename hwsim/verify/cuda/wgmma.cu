// One wgmma of 64 x 8 results per block of 128 threads. A and B come as images of shared memory: eight rows of
// 16 bytes are a core matrix, two of them side by side are the 32 bytes of K, no swizzle. C and D lie in fragment
// order: word `register * 128 + thread` of a tile. Given from outside: INSTRUCTION (PTX), TRANSPOSE (its last
// operands), WIDE (1: four float32 results a thread, 0: two words of two float16).
__device__ unsigned long long descriptor(const void *image) {
    const unsigned long long address = __cvta_generic_to_shared(image);
    return (address & 0x3FFFF) >> 4 | 128ull >> 4 << 16 | 256ull >> 4 << 32;
}

extern "C" __global__ void kernel(const unsigned *a, const unsigned *b, const unsigned *c, const unsigned *scale_a,
                                  const unsigned *scale_b, unsigned *d) {
    __shared__ __align__(128) unsigned a_image[512], b_image[64];
    const unsigned thread = threadIdx.x, tile = blockIdx.x;
    for (unsigned i = 0; i < 4; ++i) a_image[i * 128 + thread] = a[tile * 512 + i * 128 + thread];
    if (thread < 64) b_image[thread] = b[tile * 64 + thread];
    asm volatile("fence.proxy.async.shared::cta;" ::: "memory");
    __syncthreads();
    const unsigned long long a_at = descriptor(a_image), b_at = descriptor(b_image);
    asm volatile("wgmma.fence.sync.aligned;" ::: "memory");
#if WIDE
    c += tile * 512 + thread;
    d += tile * 512 + thread;
    float d0 = __uint_as_float(c[0]), d1 = __uint_as_float(c[128]), d2 = __uint_as_float(c[256]),
          d3 = __uint_as_float(c[384]);
    asm volatile("wgmma.fence.sync.aligned;" ::: "memory");
    asm volatile(INSTRUCTION " {%0, %1, %2, %3}, %4, %5, 1, 1, 1" TRANSPOSE ";"
                 : "+f"(d0), "+f"(d1), "+f"(d2), "+f"(d3)
                 : "l"(a_at), "l"(b_at));
    asm volatile("wgmma.commit_group.sync.aligned;\n wgmma.wait_group.sync.aligned 0;"
                 : "+f"(d0), "+f"(d1), "+f"(d2), "+f"(d3)::"memory");
    d[0] = __float_as_uint(d0), d[128] = __float_as_uint(d1), d[256] = __float_as_uint(d2),
    d[384] = __float_as_uint(d3);
#else
    c += tile * 256 + thread;
    d += tile * 256 + thread;
    unsigned d0 = c[0], d1 = c[128];
    asm volatile("wgmma.fence.sync.aligned;" ::: "memory");
    asm volatile(INSTRUCTION " {%0, %1}, %2, %3, 1, 1, 1" TRANSPOSE ";"
                 : "+r"(d0), "+r"(d1)
                 : "l"(a_at), "l"(b_at));
    asm volatile("wgmma.commit_group.sync.aligned;\n wgmma.wait_group.sync.aligned 0;" : "+r"(d0), "+r"(d1)::"memory");
    d[0] = d0, d[128] = d1;
#endif
}
