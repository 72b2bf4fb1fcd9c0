#include "tools/progress.hpp"

#include <algorithm>

namespace terrazzo::tools {

progress_bar::~progress_bar() {
  if (visible_) on_.print("\r{:{}}\r", "", on_.width() - 1);
}

void progress_bar::show(double share) {
  constexpr std::size_t least_width = 30;
  if (on_.width() < least_width) return;  // no terminal, or too narrow a one
  const auto now = std::chrono::steady_clock::now();
  if (now - drawn_ < std::chrono::milliseconds(100)) return;
  drawn_ = now;
  visible_ = true;
  constexpr std::size_t bar = 20;
  const auto full = static_cast<std::size_t>(std::clamp(share, 0.0, 1.0) * bar);
  const std::string words = words_.substr(0, on_.width() - bar - 10);
  on_.print("\r[{:#<{}}{:-<{}}] {:3.0f}% {:<{}}", "", full, "", bar - full, 100 * share, words, on_.width() - bar - 10);
}

}  // namespace terrazzo::tools
