/* Marks what the shared library shows. A name so marked must also stand in src/exports.txt, and a test compares the
 * two. */
#ifndef TERRAZZO_EXPORT_H
#define TERRAZZO_EXPORT_H

#if defined(TERRAZZO_STATIC)
#define TERRAZZO_API
#elif defined(_WIN32)
#if defined(TERRAZZO_BUILDING)
#define TERRAZZO_API __declspec(dllexport)
#else
#define TERRAZZO_API __declspec(dllimport)
#endif
#else
#define TERRAZZO_API __attribute__((visibility("default")))
#endif

#endif
