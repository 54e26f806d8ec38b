/* The public header, alone, in the strictest C and in C++. */
#include <xenon/xenon.h>

int main(void) {
    xenon_model_options options = {0, 0, 0, 0};
    return options.threads + (xenon_version()[0] == 0);
}
