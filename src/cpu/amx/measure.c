// Products of tiles in registers.
#include "cpu/amx/tile.h"
#include "cpu/declare.h"

uint64_t xn_cpu_multiply16_amx(uint64_t rounds, float *result) {
    enum { TILES = 4, VALUES = 16 * 32 };
    uint16_t operand[VALUES] __attribute__((aligned(64)));
    float sums[16][16] __attribute__((aligned(64)));
    for (int i = 0; i < VALUES; i++)
        operand[i] = 0x3c00;  // 2^-7
    rounds = rounds / 16 + 1; // each a thousand times an instruction of vectors
    tiles_begin();
    TILE_ZERO(0);
    TILE_ZERO(1);
    TILE_ZERO(2);
    TILE_ZERO(3);
    TILE_LOAD(4, operand, 64);
    TILE_LOAD(5, operand, 64);
    TILE_LOAD(6, operand, 64);
    TILE_LOAD(7, operand, 64);
    for (uint64_t i = 0; i < rounds; i++) {
        TILE_PRODUCTS(0, 4, 6);
        TILE_PRODUCTS(1, 4, 7);
        TILE_PRODUCTS(2, 5, 6);
        TILE_PRODUCTS(3, 5, 7);
    }
    TILE_STORE(0, sums, 64);
    tiles_end();
    *result = sums[0][0];
    return rounds * TILES * 16 * 16 * 32 * 2;
}
