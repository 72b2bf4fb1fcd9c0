# doctest's header, and its CMake module doctest.cmake, which makes a ctest test of every test case.
include(host_headers)
host_headers(doctest::doctest doctest)
find_path(doctest_CMAKE_DIR NAMES doctest.cmake PATHS /usr/lib/cmake/doctest /usr/local/lib/cmake/doctest NO_DEFAULT_PATH
          NO_CMAKE_FIND_ROOT_PATH REQUIRED)
list(APPEND CMAKE_MODULE_PATH ${doctest_CMAKE_DIR})
set(doctest_FOUND TRUE)
