#include "format/index.h"

#include "base/memory.h"

#include <stdlib.h>
#include <string.h>
#include <sys/random.h>

struct xn_index_slot {
    const char *name; // NULL: free
    uint64_t hash;
    size_t at;
};

static uint64_t rotate(uint64_t x, int by) {
    return x << by | x >> (64 - by);
}

static void sip_round(uint64_t v[4]) {
    v[0] += v[1], v[2] += v[3];
    v[1] = rotate(v[1], 13) ^ v[0], v[3] = rotate(v[3], 16) ^ v[2];
    v[0] = rotate(v[0], 32);
    v[2] += v[1], v[0] += v[3];
    v[1] = rotate(v[1], 17) ^ v[2], v[3] = rotate(v[3], 21) ^ v[0];
    v[2] = rotate(v[2], 32);
}

// SipHash-1-3 (Aumasson and Bernstein, "SipHash: a fast short-input PRF", 2012).
static uint64_t hash_of(const uint64_t key[2], const char *name) {
    size_t size = strlen(name);
    uint64_t v[4] = {key[0] ^ 0x736f6d6570736575, key[1] ^ 0x646f72616e646f6d, key[0] ^ 0x6c7967656e657261,
                     key[1] ^ 0x7465646279746573};
    for (size_t at = 0; at <= size; at += 8) {
        uint64_t word = 0;
        size_t left = size - at;
        memcpy(&word, name + at, left < 8 ? left : 8);
        if (left < 8) word |= (uint64_t)size << 56;
        v[3] ^= word;
        sip_round(v);
        v[0] ^= word;
    }
    v[2] ^= 0xff;
    for (int i = 0; i < 3; i++)
        sip_round(v);
    return v[0] ^ v[1] ^ v[2] ^ v[3];
}

// The slot that holds the name, or the free one where it belongs.
static struct xn_index_slot *slot_of(struct xn_index_slot *slots, size_t capacity, const char *name, uint64_t hash) {
    for (size_t i = hash & (capacity - 1);; i = (i + 1) & (capacity - 1)) {
        struct xn_index_slot *slot = &slots[i];
        if (!slot->name || (slot->hash == hash && strcmp(slot->name, name) == 0)) return slot;
    }
}

static int grow(struct xn_index *index) {
    if (!index->capacity && getrandom(index->key, sizeof index->key, 0) != sizeof index->key) {
        // Only a kernel that is still starting up has none; an address is less of a secret, and enough here.
        index->key[0] = (uint64_t)(uintptr_t)index;
        index->key[1] = (uint64_t)(uintptr_t)&index;
    }
    size_t capacity = index->capacity ? index->capacity * 2 : 64;
    struct xn_index_slot *slots = xn_alloc_zero(capacity, sizeof *slots);
    if (!slots) return XN_INDEX_NOMEM;
    for (size_t i = 0; i < index->capacity; i++) {
        const struct xn_index_slot *old = &index->slots[i];
        if (old->name) *slot_of(slots, capacity, old->name, old->hash) = *old;
    }
    free(index->slots);
    index->slots = slots;
    index->capacity = capacity;
    return 0;
}

int xn_index_add(struct xn_index *index, const char *name, size_t at) {
    if (index->n >= index->capacity / 2 && grow(index) != 0) return XN_INDEX_NOMEM;
    uint64_t hash = hash_of(index->key, name);
    struct xn_index_slot *slot = slot_of(index->slots, index->capacity, name, hash);
    if (slot->name) return XN_INDEX_DUPLICATE;
    *slot = (struct xn_index_slot){name, hash, at};
    index->n++;
    return 0;
}

bool xn_index_find(const struct xn_index *index, const char *name, size_t *at) {
    if (!index->n) return false;
    const struct xn_index_slot *slot = slot_of(index->slots, index->capacity, name, hash_of(index->key, name));
    if (!slot->name) return false;
    *at = slot->at;
    return true;
}

void xn_index_free(struct xn_index *index) {
    free(index->slots);
    *index = (struct xn_index){0};
}
