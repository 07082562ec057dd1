// One scalar or vector instruction a thread. Words x, y, z in, one word out. Given from outside: BODY, the statements
// that set `d` from the words `x`, `y`, `z`.
extern "C" __global__ void kernel(const unsigned *a, const unsigned *b, const unsigned *c, const unsigned *,
                                  const unsigned *, unsigned *out) {
    const unsigned i = blockIdx.x * 128 + threadIdx.x;
    const unsigned x = a[i], y = b[i], z = c[i];
    unsigned d = 0;
    BODY;
    out[i] = d;
}
