/* The one place that holds terrazzo's version: CMake, the C ABI, the C++ API and the packages read it here. */
#ifndef TERRAZZO_VERSION_H
#define TERRAZZO_VERSION_H

#define TERRAZZO_VERSION_MAJOR 0
#define TERRAZZO_VERSION_MINOR 1
#define TERRAZZO_VERSION_PATCH 0
#define TERRAZZO_VERSION_STRING "0.1.0"

#endif
