# doctest's header, and its CMake module doctest.cmake, which makes a ctest test of every test case.
include(host_headers)
host_headers(doctest::doctest doctest)
# mingw-w64 frees thread-local variables before it destroys them, and doctest's have destructors: one set for all threads.
target_compile_definitions(doctest::doctest INTERFACE DOCTEST_THREAD_LOCAL=)
find_path(doctest_CMAKE_DIR NAMES doctest.cmake PATHS /usr/lib/cmake/doctest /usr/local/lib/cmake/doctest NO_DEFAULT_PATH
          NO_CMAKE_FIND_ROOT_PATH REQUIRED)
list(APPEND CMAKE_MODULE_PATH ${doctest_CMAKE_DIR})
set(doctest_FOUND TRUE)
