// Running a recipe: the input's first bytes choose the seed of weights and text, the others what the model is made of.
// Every processor level must give the plain-C device's logits.
#include "recipe_check.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    static struct recipe_check check;
    if (!check.reference) recipe_check_open(&check);
    uint64_t seed = 0;
    size_t n = size < 4 ? size : 4;
    memcpy(&seed, data, n);
    char message[512];
    if (!recipe_check_run(&check, seed, data + n, size - n, message, sizeof message)) {
        fprintf(stderr, "%s\n", message);
        abort();
    }
    return 0;
}
