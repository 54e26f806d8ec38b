// Tables for looking up within vector registers, sixteen bits an entry, aligned to 64 bytes.
#pragma once

#include <stdint.h>

// The grids of IQ2 and IQ3 (quant/blocks.h): bits 0, 8, 4 and 12 begin the codes of values 0 to 3. A code is a
// magnitude's place, among the eight of IQ3; of IQ2 it is value m's place among three and, two bits up, value 4 + m's.
extern const uint16_t xn_cpu_iq2_xxs_codes[256], xn_cpu_iq2_xs_codes[512], xn_cpu_iq2_s_codes[1024];
extern const uint16_t xn_cpu_iq3_xxs_codes[256], xn_cpu_iq3_s_codes[512];

// The five digits of a byte of TQ1_0, the first in the lowest two bits.
extern const uint16_t xn_cpu_tq1_0_codes[256];
