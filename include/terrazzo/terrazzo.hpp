// All of terrazzo's C++ API.
#pragma once

#include "terrazzo/allocator.hpp"
#include "terrazzo/config.hpp"
#include "terrazzo/statistics.hpp"
#include "terrazzo/status.hpp"
#include "terrazzo/stream.hpp"
#include "terrazzo/version.h"
#include "terrazzo/workspace.hpp"
