// What the settings of mapped memory do: those that say how many addresses are reserved, and what is done when a request
// finds no room. Part of effects.cpp, which calls them.
#pragma once

#include "config/effects.hpp"

namespace terrazzo::detail {

/// What PyTorch reserves for a segment, and cuts more down to; a share of the device's memory.
inline constexpr double pytorch_reserve = 9.0 / 8;

void describe_reserve(const setting& entry, const situation& among, explained_setting& out);
void describe_reserve_by_class(const setting& entry, const situation& among, explained_setting& out);
void describe_growth(const setting& entry, const situation& among, explained_setting& out);

}  // namespace terrazzo::detail
