/* Packed integer arithmetic, logic, comparison and shifts with VEX and EVEX: kernels in simd_int.h, forms in avx.h. */
#include "cpu/avx.h"
#include "cpu/simd_int.h"

AVX_BINARY(paddb, 8)
AVX_BINARY(paddw, 16)
AVX_BINARY(paddd, 32)
AVX_BINARY(paddq, 64)
