// A bar on a terminal for what takes long; nothing where stderr is no terminal.
#pragma once

#include <chrono>
#include <string>

#include "tools/terminal.hpp"

namespace terrazzo::tools {

class progress_bar {
 public:
  progress_bar(const terminal& on, std::string words) : on_(on), words_(std::move(words)) {}
  ~progress_bar();
  progress_bar(const progress_bar&) = delete;
  progress_bar& operator=(const progress_bar&) = delete;

  /// `share`: 0 to 1. Drawn ten times a second at most.
  void show(double share);

 private:
  const terminal& on_;
  const std::string words_;
  std::chrono::steady_clock::time_point drawn_{};
  bool visible_ = false;
};

}  // namespace terrazzo::tools
