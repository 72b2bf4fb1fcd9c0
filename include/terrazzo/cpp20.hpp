// Included first by every C++ header of terrazzo but abi.hpp, which is C++11: says what is missing in one sentence,
// before an older compiler says it in hundreds.
#pragma once

// 201703 is C++17; compilers that were not done with C++20 yet have numbers between the two. _MSVC_LANG is the Microsoft
// compiler's, whose __cplusplus stays at C++98 unless told otherwise.
#if (defined(_MSVC_LANG) && _MSVC_LANG <= 201703L) || (!defined(_MSVC_LANG) && __cplusplus <= 201703L)
#error \
    "terrazzo needs C++20: compile with -std=c++20 (/std:c++20), or use terrazzo/abi.hpp (C++11), terrazzo/terrazzo.h (C)"
#endif
