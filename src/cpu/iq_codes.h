// The grids of IQ2 and IQ3 (quant/blocks.h) in 16 bits an entry, for looking up within registers. Half m of a byte, in
// the order low and high of the first byte after those of the second (0, 2, 1, 3), is for value m: of IQ3 the place of
// its magnitude among eight, of IQ2 that of value m among three and, two bits up, that of value 4 + m.
#pragma once

#include <stdint.h>

extern const uint16_t xn_cpu_iq2_xxs_codes[256], xn_cpu_iq2_xs_codes[512], xn_cpu_iq2_s_codes[1024];
extern const uint16_t xn_cpu_iq3_xxs_codes[256], xn_cpu_iq3_s_codes[512];
