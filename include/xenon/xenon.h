#ifndef XENON_XENON_H
#define XENON_XENON_H
#define XENON_VERSION_STRING "0.1.0"
#endif
