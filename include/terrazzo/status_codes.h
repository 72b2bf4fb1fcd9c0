/* The table of everything that can go wrong: code number, name, one sentence. The C ABI's enumerators, the C++ enum,
   the printer and the documentation are all made from it. Numbers are part of the ABI: never reuse or change one. */
#ifndef TERRAZZO_STATUS_CODES_H
#define TERRAZZO_STATUS_CODES_H

/* clang-format off */
#define TERRAZZO_STATUS_CODES(X)                                                                          \
  X(ok, 0, "no error")                                                                                    \
  X(invalid_argument, 1, "an argument is outside its allowed range")                                      \
  X(invalid_config, 2, "a config string or a setting cannot be understood")                               \
  X(invalid_device, 3, "no such CUDA device")                                                             \
  X(wrong_device, 4, "the address belongs to an allocator of another device or to another allocator")     \
  X(foreign_pointer, 5, "the address was not handed out by terrazzo")                                     \
  X(double_free, 6, "the block at this address has been freed already")                                   \
  X(out_of_memory, 7, "the device, or the limit set for terrazzo, has no room for the request")           \
  X(out_of_host_memory, 8, "the host has no memory for terrazzo's own books")                             \
  X(shut_down, 9, "the allocator has been shut down")                                                     \
  X(not_supported, 10, "the device, driver or library cannot do this")                                    \
  X(driver_not_found, 11, "no CUDA driver library could be loaded")                                       \
  X(driver_too_old, 12, "the CUDA driver lacks a function that terrazzo needs")                           \
  X(driver_error, 13, "a CUDA driver call failed")                                                        \
  X(library_not_found, 14, "the cuBLAS library could not be loaded, or it lacks a function")              \
  X(library_error, 15, "a cuBLAS call failed")                                                            \
  X(busy, 16, "the object is in use and cannot be changed now")                                           \
  X(corrupted, 17, "terrazzo's books contradict each other: a defect in terrazzo or memory overwritten")   \
  X(device_lost, 18, "the device failed before in a way that only a new process ends")
/* clang-format on */

#endif
