#include "processor.h"

#include "cpu/cpu.h"

#include <string.h>

struct xn_device *test_processor(const char *level, uint32_t threads) {
    struct xn_device *device;
    struct xn_cpu_options options = {.threads = threads};
    for (int i = 0; i < XN_CPU_LEVELS; i++) {
        options.level = (enum xn_cpu_level)i;
        if (strcmp(xn_cpu_level_name(options.level), level) != 0 || !xn_cpu_level_here(options.level)) continue;
        return xn_cpu_device_open(&options, &device, NULL) == XN_OK ? device : NULL;
    }
    return NULL;
}
