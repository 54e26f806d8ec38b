/* The public header, alone, in the strictest C and in C++. */
#include <xenon/xenon.h>

#include <string.h>

int main(void) {
    xenon_model_options options;
    memset(&options, 0, sizeof options);
    return options.threads + (xenon_version()[0] == 0);
}
