// Several devices for a model: the list that a user names, as a device made of them.
#include "api/select.h"

#include "base/log.h"
#include "base/memory.h"
#include "device/split/split.h"
#include "opencl/opencl.h"

#include <ctype.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct chosen {
    struct xn_split_member member[XN_SPLIT_MEMBERS];
    uint32_t n;
};

static bool is_gpu(const char *name) {
    return strncmp(name, "gpu", 3) == 0 && isdigit((unsigned char)name[3]);
}

static int add_name(struct chosen *c, const char *name, size_t length, struct xn_error *err) {
    if (c->n == XN_SPLIT_MEMBERS) return xn_fail(err, XN_ERR_ARGUMENT, "more than %d devices", XN_SPLIT_MEMBERS);
    struct xn_split_member *m = &c->member[c->n];
    if (length == 0 || length >= sizeof m->name)
        return xn_fail(err, XN_ERR_ARGUMENT, "unknown device \"%.*s\", expected names with commas between them",
                       (int)(length < 64 ? length : 64), name);
    *m = (struct xn_split_member){.share = -1};
    memcpy(m->name, name, length);
    c->n++;
    return XN_OK;
}

static int read_names(struct chosen *c, const char *names, struct xn_error *err) {
    for (const char *at = names;; at++) {
        size_t length = strcspn(at, ",");
        XN_TRY(add_name(c, at, length, err));
        at += length;
        if (!*at) return XN_OK;
    }
}

// Of the GPUs worth choosing the first of the platform whose GPUs have the most memory, of their own where some have
// that. (Another platform's may be the same ones, by another driver.) NULL: there is none.
static const struct xn_opencl_info *find_best(const struct xn_opencl_info *list, uint32_t n) {
    const struct xn_opencl_info *best = NULL;
    uint64_t most = 0;
    bool shares = true;
    for (uint32_t i = 0; i < n; i++)
        if (xn_opencl_is_choice(&list[i])) shares &= list[i].shares_memory;
    for (uint32_t i = 0; i < n; i++) {
        uint64_t sum = 0;
        for (uint32_t j = i; j < n; j++)
            if (xn_opencl_is_choice(&list[j]) && list[j].shares_memory == shares &&
                strcmp(list[j].platform, list[i].platform) == 0)
                sum += list[j].memory;
        if (!xn_opencl_is_choice(&list[i]) || list[i].shares_memory != shares || sum <= most) continue;
        best = &list[i];
        most = sum;
    }
    return best;
}

// The GPUs to choose from; none is no error, nor is a driver that fails.
static int find_gpus(struct chosen *c, struct xn_error *err) {
    struct xn_opencl_info *list;
    uint32_t n;
    char name[32];
    struct xn_error why;
    if (xn_opencl_list(&list, &n, &why) != XN_OK) {
        xn_log(XN_LOG_WARNING, "no GPU is chosen: %s", why.message);
        return XN_OK;
    }
    const struct xn_opencl_info *best = find_best(list, n);
    int status = XN_OK;
    for (uint32_t i = 0; i < n && best && status == XN_OK; i++) {
        if (!xn_opencl_is_choice(&list[i]) || list[i].shares_memory != best->shares_memory ||
            strcmp(list[i].platform, best->platform) != 0)
            continue;
        snprintf(name, sizeof name, "gpu%u", i);
        status = add_name(c, name, strlen(name), err);
    }
    free(list);
    return status;
}

// "3,1": one number a device, none negative, some positive.
static int read_shares(struct chosen *c, const char *split, struct xn_error *err) {
    const char *at = split;
    double sum = 0;
    uint32_t n = 0;
    for (;; at++, n++) {
        char *end;
        double share = strtod(at, &end);
        if (end == at || !isfinite(share) || share < 0 || (*end && *end != ',')) break;
        if (n < c->n) c->member[n].share = share;
        sum += share;
        at = end;
        if (!*at) break;
    }
    if (!*at && n + 1 == c->n && sum > 0) return XN_OK;
    return xn_fail(err, XN_ERR_ARGUMENT,
                   "shares \"%s\": %u number%s expected, one for each device named, commas between", split, c->n,
                   c->n == 1 ? "" : "s");
}

// The processor comes first, so that what it takes are the first layers: then rows cross over once a step.
static int place_spill(struct chosen *c, int *spill, struct xn_error *err) {
    uint32_t gpus = 0, at = UINT32_MAX;
    for (uint32_t i = c->n; i-- > 0;)
        if (is_gpu(c->member[i].name))
            gpus++;
        else
            at = i;
    *spill = -1;
    if (gpus == 0) return XN_OK;
    if (at == UINT32_MAX) {
        at = c->n;
        XN_TRY(add_name(c, "cpu", 3, err));
    }
    struct xn_split_member m = c->member[at];
    memmove(&c->member[1], &c->member[0], at * sizeof m);
    c->member[0] = m;
    *spill = 0;
    return XN_OK;
}

// Memory to use of each: a GPU that is named twice is shared, and what is in RAM may be larger than it.
static void limit_memory(struct chosen *c, double most) {
    for (uint32_t i = 0; i < c->n; i++) {
        uint32_t same = 0;
        struct xn_device_info info;
        struct xn_split_member *m = &c->member[i];
        for (uint32_t j = 0; j < c->n; j++)
            same += strcmp(m->name, c->member[j].name) == 0;
        m->device->table->describe(m->device, &info);
        if (!is_gpu(m->name))
            m->most_memory = UINT64_MAX / 64;
        else if (most > 0)
            m->most_memory = most < (double)info.free_memory / same ? (uint64_t)most : info.free_memory / same;
        else if (same > 1)
            m->most_memory = info.free_memory / same / 20 * 19;
    }
}

static int open_all(struct chosen *c, const struct xn_device_choice *o, struct xn_error *err) {
    for (uint32_t i = 0; i < c->n; i++) {
        int status = xn_device_select(c->member[i].name, o->threads, o->gpu_timeout, &c->member[i].device, err);
        if (status == XN_OK) continue;
        while (i-- > 0)
            c->member[i].device->table->free(c->member[i].device);
        return status;
    }
    return XN_OK;
}

static int check_alone(const struct xn_device_choice *o, struct xn_error *err) {
    const char *option = o->split ? "--split" : o->layers > 0 ? "-ngl" : o->cpu_experts ? "--cpu-moe" : NULL;
    if (!option) return XN_OK;
    return xn_fail(err, XN_ERR_ARGUMENT, "%s: there is only the processor (GPUs are named by --device gpu0,gpu1)",
                   option);
}

int xn_devices_choose(const struct xn_device_choice *o, struct xn_device **out, struct xn_error *err) {
    struct chosen c = {.n = 0};
    int spill;
    bool automatic = o->devices && strcmp(o->devices, "auto") == 0;
    *out = NULL;
    if (automatic)
        XN_TRY(find_gpus(&c, err));
    else if (o->devices)
        XN_TRY(read_names(&c, o->devices, err));
    bool one = c.n == 0 || (c.n == 1 && !is_gpu(c.member[0].name));
    if (one) XN_TRY(check_alone(o, err));
    if (one) return xn_device_select(c.n ? c.member[0].name : NULL, o->threads, o->gpu_timeout, out, err);
    if (o->split) XN_TRY(read_shares(&c, o->split, err));
    XN_TRY(place_spill(&c, &spill, err));
    if (spill < 0 && (o->layers >= 0 || o->cpu_experts))
        return xn_fail(err, XN_ERR_ARGUMENT, "%s: there is no GPU among the devices \"%s\"",
                       o->cpu_experts ? "--cpu-moe" : "-ngl", o->devices);
    if (spill >= 0 && o->layers >= 0 && c.member[spill].share >= 0)
        return xn_fail(err, XN_ERR_ARGUMENT, "-ngl %d and --split %s: both say how many layers %s takes", o->layers,
                       o->split, c.member[spill].name);
    XN_TRY(open_all(&c, o, err));
    limit_memory(&c, o->gpu_memory);
    struct xn_split_options options = {.members = c.member,
                                       .n_members = c.n,
                                       .spill = spill,
                                       .layers = o->layers,
                                       .experts = o->cpu_experts,
                                       .few = automatic};
    int status = xn_split_device_open(&options, out, err);
    for (uint32_t i = 0; i < c.n && status != XN_OK; i++)
        c.member[i].device->table->free(c.member[i].device);
    return status;
}
