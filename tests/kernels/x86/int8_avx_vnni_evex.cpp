// The AVX-VNNI kernels with vpdpbusd as AVX-512 VNNI encodes it.
#include "kernels/int8_table.h"

namespace mlxe {
extern const Int8Kernels kInt8AvxVnniEvex;
}

#define MLXE_VPDPBUSD_ENCODING "%{evex%}"
#define MLXE_INT8_TABLE kInt8AvxVnniEvex
#include "kernels/x86/int8_avx_vnni.cpp"
