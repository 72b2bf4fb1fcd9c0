// Counts what the program allocates with `new`, for fuzz targets that state how much reading may take.
#pragma once

#include <cstdint>

namespace fuzz {

/// From now on what is allocated and freed is counted.
void start_counting();

/// Stops that, and tells the most bytes that were allocated at a time since then.
[[nodiscard]] std::int64_t stop_counting();

}  // namespace fuzz
