#include "server/openai/responses.h"

#include "base/memory.h"

#include <pthread.h>
#include <stdlib.h>
#include <string.h>

enum { MOST_KEPT = 256, MOST_BYTES = 64 << 20 };

struct kept {
    char id[XN_CALL_ID];
    uint64_t owner, used;
    size_t size; // as text: what it is about in memory
    json_t *conversation, *response;
};
static struct {
    pthread_mutex_t lock;
    struct kept kept[MOST_KEPT];
    size_t n, bytes;
    uint64_t clock;
} all = {.lock = PTHREAD_MUTEX_INITIALIZER};

static void drop_locked(size_t i) {
    json_decref(all.kept[i].conversation);
    json_decref(all.kept[i].response);
    all.bytes -= all.kept[i].size;
    all.kept[i] = all.kept[--all.n];
}

static size_t find_locked(const char *id, uint64_t owner) {
    size_t i = 0;
    while (i < all.n && (all.kept[i].owner != owner || strcmp(all.kept[i].id, id) != 0))
        i++;
    return i;
}

void xn_response_keep(const char *id, uint64_t owner, json_t *conversation, json_t *response) {
    size_t size = json_dumpb(conversation, NULL, 0, JSON_COMPACT) + json_dumpb(response, NULL, 0, JSON_COMPACT);
    // Copies: of what others hold the counts of references must not change on another thread.
    json_t *copies[2] = {json_deep_copy(conversation), json_deep_copy(response)};
    if (!copies[0] || !copies[1] || size > MOST_BYTES) {
        json_decref(copies[0]);
        json_decref(copies[1]);
        return;
    }
    pthread_mutex_lock(&all.lock);
    while (all.n == MOST_KEPT || (all.n && all.bytes + size > MOST_BYTES)) {
        size_t oldest = 0;
        for (size_t i = 1; i < all.n; i++)
            if (all.kept[i].used < all.kept[oldest].used) oldest = i;
        drop_locked(oldest);
    }
    struct kept *k = &all.kept[all.n++];
    *k = (struct kept){
        .owner = owner, .used = ++all.clock, .size = size, .conversation = copies[0], .response = copies[1]};
    strncpy(k->id, id, sizeof k->id - 1);
    all.bytes += size;
    pthread_mutex_unlock(&all.lock);
}

bool xn_response_find(const char *id, uint64_t owner, json_t **conversation, json_t **response) {
    pthread_mutex_lock(&all.lock);
    size_t i = find_locked(id, owner);
    bool found = i < all.n;
    if (found) all.kept[i].used = ++all.clock;
    if (found && conversation) *conversation = json_deep_copy(all.kept[i].conversation);
    if (found && response) *response = json_deep_copy(all.kept[i].response);
    pthread_mutex_unlock(&all.lock);
    return found;
}

bool xn_response_drop(const char *id, uint64_t owner) {
    pthread_mutex_lock(&all.lock);
    size_t i = find_locked(id, owner);
    bool found = i < all.n;
    if (found) drop_locked(i);
    pthread_mutex_unlock(&all.lock);
    return found;
}

void xn_openai_forget_responses(void) {
    pthread_mutex_lock(&all.lock);
    while (all.n)
        drop_locked(all.n - 1);
    pthread_mutex_unlock(&all.lock);
}
