// sort: the batch's choices by expert, so that tiles find the rows of each. A group takes an expert, and looks at all
// choices.
static inline void xn_op_sort(const struct xn_env *e, XN_D const struct xn_cl_sort *d, uint group, uint groups,
                              local float *scratch) {
    local uint *before = (local uint *)scratch, *same = before + XN_GROUP;
    global uint *act = (global uint *)e->act;
    uint n = xn_rows(e) * d->used, each = (n + XN_GROUP - 1) / XN_GROUP, lid = get_local_id(0);
    if (group > d->experts) return;
    XN_EACH(expert, group, d->experts + 1) { // the last one is none: its offset is the number of all
        // A work-item counts a run of choices: those of lower experts, and of this one.
        uint lower = 0, mine = 0;
        for (uint i = lid * each; i < min((lid + 1) * each, n); i++) {
            uint id = act[d->ids + i / d->used * d->width + i % d->used];
            lower += id < expert;
            mine += id == expert;
        }
        before[lid] = lower;
        same[lid] = mine;
        barrier(CLK_LOCAL_MEM_FENCE);
        uint at = 0;
        for (uint i = 0; i < XN_GROUP; i++)
            at += before[i] + (i < lid ? same[i] : 0);
        if (lid == 0) act[d->offsets + expert] = at;
        for (uint i = lid * each; i < min((lid + 1) * each, n); i++)
            if (act[d->ids + i / d->used * d->width + i % d->used] == expert) act[d->pairs + at++] = i;
        barrier(CLK_LOCAL_MEM_FENCE);
    }
    XN_NEXT(expert, d->experts + 1, groups);
}
XN_SMALL_KERNEL(sort, 2 * XN_GROUP)
