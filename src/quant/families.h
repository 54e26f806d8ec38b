// The codecs that the rows of the table (format.c) name, one file a family: float.c, legacy.c, k.c, iq.c, ternary.c,
// fp4.c. Contracts: struct xn_format. Decoding is defined for any bytes, and reads blocks at any alignment.
#pragma once

#include "quant/format.h"

#define XN_DECODER(name) void xn_##name##_decode(const void *blocks, float *out, size_t n)
#define XN_ENCODER(name) void xn_##name##_encode(const float *values, void *blocks, size_t n, const float *importance)

XN_DECODER(f32);
XN_DECODER(f16);
XN_DECODER(bf16);
XN_DECODER(f64);
XN_DECODER(q4_0);
XN_DECODER(q4_1);
XN_DECODER(q5_0);
XN_DECODER(q5_1);
XN_DECODER(q8_0);
XN_DECODER(q2_k);
XN_DECODER(q3_k);
XN_DECODER(q4_k);
XN_DECODER(q5_k);
XN_DECODER(q6_k);
XN_DECODER(iq2_xxs);
XN_DECODER(iq2_xs);
XN_DECODER(iq2_s);
XN_DECODER(iq3_xxs);
XN_DECODER(iq3_s);
XN_DECODER(iq1_s);
XN_DECODER(iq1_m);
XN_DECODER(iq4_nl);
XN_DECODER(iq4_xs);
XN_DECODER(tq1_0);
XN_DECODER(tq2_0);
XN_DECODER(mxfp4);
XN_DECODER(nvfp4);

XN_ENCODER(f32);
XN_ENCODER(f16);
XN_ENCODER(bf16);
XN_ENCODER(f64);
XN_ENCODER(q4_0);
XN_ENCODER(q4_1);
XN_ENCODER(q5_0);
XN_ENCODER(q5_1);
XN_ENCODER(q8_0);
XN_ENCODER(q2_k);
XN_ENCODER(q3_k);
XN_ENCODER(q4_k);
XN_ENCODER(q5_k);
XN_ENCODER(q6_k);
XN_ENCODER(iq2_xxs);
XN_ENCODER(iq2_xs);
XN_ENCODER(iq2_s);
XN_ENCODER(iq3_xxs);
XN_ENCODER(iq3_s);
XN_ENCODER(iq1_s);
XN_ENCODER(iq1_m);
XN_ENCODER(iq4_nl);
XN_ENCODER(iq4_xs);
XN_ENCODER(tq1_0);
XN_ENCODER(tq2_0);
XN_ENCODER(mxfp4);
XN_ENCODER(nvfp4);
