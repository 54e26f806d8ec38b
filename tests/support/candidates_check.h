// The best tokens that a device finds of its own logits, held to those that plain C finds of the same logits.
#pragma once

#include "device/device.h"

// Heads of vocabularies of several sizes (up to `most`), batches of each of these numbers of rows, logits of many kinds
// (equal ones, NaN, infinite, in order). "": all is well; else what is wrong, for a person, in `problem`. Returns how
// many rows were compared. infinite: some logits are; not where weights become half floats, in which the others would
// vanish beside those.
uint32_t xn_candidates_check(struct xn_device *device, const uint32_t *rows, uint32_t n_rows, uint32_t most,
                             bool infinite, uint64_t seed, char problem[256]);
