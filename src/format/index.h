// An index of names: a hash table from a string to its place in an array of the caller. The hash is keyed at random, so
// that a hostile file can't choose names that collide.
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

// Zero-initialise. Names are not copied: they must outlive the index.
struct xn_index {
    struct xn_index_slot *slots;
    size_t n, capacity; // names held; slots, a power of two
    uint64_t key[2];
};

enum { XN_INDEX_NOMEM = -1, XN_INDEX_DUPLICATE = -2 };

// Adds a name whose value is `at`. 0, XN_INDEX_DUPLICATE where it is there already (the index is then as before), or
// XN_INDEX_NOMEM.
int xn_index_add(struct xn_index *index, const char *name, size_t at);
bool xn_index_find(const struct xn_index *index, const char *name, size_t *at);
void xn_index_free(struct xn_index *index); // leaves it empty
