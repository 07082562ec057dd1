// One tcgen05.mma of 128 x 16 results per block of 128 threads. A and B come as images of shared memory (core matrices
// of eight rows of 16 bytes, two side by side, no swizzle); C and D as one 32-bit word a result, row by row, a float16
// in the low half. A row's scale bytes are one word; row r of the scales lies in lane r % 32 and column r / 32 of
// tensor memory, repeated in all four groups of lanes.
// Given from outside: KIND (PTX), DESCRIPTOR (the instruction descriptor), SCALED.
__device__ unsigned long long descriptor(const void *image) {
    const unsigned long long address = __cvta_generic_to_shared(image);
    return (address & 0x3FFFF) >> 4 | 128ull >> 4 << 16 | 256ull >> 4 << 32 | 1ull << 46;
}

__device__ void store(unsigned column, unsigned word) {
    asm volatile("tcgen05.st.sync.aligned.32x32b.x1.b32 [%0], {%1};" ::"r"(column), "r"(word));
}

extern "C" __global__ void kernel(const unsigned *a, const unsigned *b, const unsigned *c, const unsigned *scale_a,
                                  const unsigned *scale_b, unsigned *d) {
    __shared__ __align__(128) unsigned a_image[1024], b_image[128];
    __shared__ unsigned tensor_memory;
    __shared__ __align__(8) unsigned long long barrier;
    const unsigned thread = threadIdx.x, tile = blockIdx.x, lanes = thread / 32 * 32 << 16;
    const unsigned barrier_at = (unsigned)__cvta_generic_to_shared(&barrier);
    for (unsigned i = 0; i < 8; ++i) a_image[i * 128 + thread] = a[tile * 1024 + i * 128 + thread];
    b_image[thread] = b[tile * 128 + thread];
    if (thread == 0) asm volatile("mbarrier.init.shared::cta.b64 [%0], 1;" ::"r"(barrier_at) : "memory");
    if (thread < 32) {
        asm volatile("tcgen05.alloc.cta_group::1.sync.aligned.shared::cta.b32 [%0], 32;" ::"r"(
                         (unsigned)__cvta_generic_to_shared(&tensor_memory))
                     : "memory");
        asm volatile("tcgen05.relinquish_alloc_permit.cta_group::1.sync.aligned;");
    }
    asm volatile("fence.proxy.async.shared::cta;" ::: "memory");
    __syncthreads();
    asm volatile("tcgen05.fence::after_thread_sync;" ::: "memory");
    const unsigned results = tensor_memory, a_scales = results + 16, b_scales = results + 20;
    for (unsigned column = 0; column < 16; ++column)
        store(results + lanes + column, c[tile * 2048 + thread * 16 + column]);
#if SCALED
    for (unsigned column = 0; column < 4; ++column)
        store(a_scales + lanes + column, scale_a[tile * 128 + column * 32 + thread % 32]);
    store(b_scales + lanes, scale_b[tile * 32 + thread % 32]);
#endif
    asm volatile("tcgen05.wait::st.sync.aligned;" ::: "memory");
    asm volatile("tcgen05.fence::before_thread_sync;" ::: "memory");
    __syncthreads();
    asm volatile("tcgen05.fence::after_thread_sync;" ::: "memory");
    if (thread == 0) {
        const unsigned long long a_at = descriptor(a_image), b_at = descriptor(b_image);
#if SCALED
        asm volatile("tcgen05.mma.cta_group::1." KIND " [%0], %1, %2, %3, [%4], [%5], 1;" ::"r"(results), "l"(a_at),
                     "l"(b_at), "r"(DESCRIPTOR), "r"(a_scales), "r"(b_scales)
                     : "memory");
#else
        asm volatile("tcgen05.mma.cta_group::1." KIND " [%0], %1, %2, %3, 1;" ::"r"(results), "l"(a_at), "l"(b_at),
                     "r"(DESCRIPTOR)
                     : "memory");
#endif
        asm volatile("tcgen05.commit.cta_group::1.mbarrier::arrive::one.shared::cluster.b64 [%0];" ::"r"(barrier_at)
                     : "memory");
    }
    unsigned ready = 0;
    while (!ready)
        asm volatile("{\n .reg .pred p;\n mbarrier.try_wait.parity.shared::cta.b64 p, [%1], 0;\n"
                     " selp.b32 %0, 1, 0, p;\n}"
                     : "=r"(ready)
                     : "r"(barrier_at)
                     : "memory");
    asm volatile("tcgen05.fence::after_thread_sync;" ::: "memory");
    for (unsigned column = 0; column < 16; ++column) {
        unsigned word;
        asm volatile("tcgen05.ld.sync.aligned.32x32b.x1.b32 {%0}, [%1];" : "=r"(word) : "r"(results + lanes + column));
        asm volatile("tcgen05.wait::ld.sync.aligned;" : "+r"(word)::"memory");
        d[tile * 2048 + thread * 16 + column] = word;
    }
    asm volatile("tcgen05.fence::before_thread_sync;" ::: "memory");
    __syncthreads();
    if (thread < 32) asm volatile("tcgen05.dealloc.cta_group::1.sync.aligned.b32 %0, 32;" ::"r"(results));
}
