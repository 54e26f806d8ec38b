#include "opencl/opencl.h"

const char *xn_opencl_extension_name(enum xn_opencl_extension extension) {
    static const char *const names[XN_OPENCL_EXTENSION_COUNT] = {
#define X(name, text) [XN_OPENCL_##name] = text,
        XN_OPENCL_EXTENSIONS(X)
#undef X
    };
    return (unsigned)extension < XN_OPENCL_EXTENSION_COUNT ? names[extension] : "?";
}
