// Work that keeps the device busy while an item times driver calls, and tells how much the calls slowed it down.
//   idle     nothing runs
//   kernel   a spinning kernel that reads device memory; its turns a second are compared
//   copies   device-to-device copies, one after another; their total time is compared
#pragma once

#include <functional>
#include <memory>
#include <vector>

#include "kernels.hpp"
#include "vmm.hpp"

namespace terrazzo::probe {

class background {
 public:
  virtual ~background() = default;
  [[nodiscard]] virtual const char* name() const = 0;
  [[nodiscard]] virtual bool usable() const { return true; }

  /// Calls `work` at least `least` times, and goes on, up to `most` times, as long as the load needs to be compared.
  /// Returns how much slower the load ran meanwhile: 1 is not at all, 0 stands for unknown.
  [[nodiscard]] virtual double run(int least, int most, const std::function<void()>& work) = 0;
};

class idle_background final : public background {
 public:
  [[nodiscard]] const char* name() const override { return "idle"; }
  [[nodiscard]] double run(int least, int most, const std::function<void()>& work) override;
};

class kernel_background final : public background {
 public:
  kernel_background(gpu& device, const kernels& code) : device_(device), code_(code) {}
  [[nodiscard]] const char* name() const override { return "kernel"; }
  [[nodiscard]] double run(int least, int most, const std::function<void()>& work) override;

  /// False once the kernel came to its time limit before the calls were done, as it does where they wait for it.
  [[nodiscard]] bool usable() const override { return usable_; }

 private:
  gpu& device_;
  const kernels& code_;
  bool usable_ = true;
};

class copies_background final : public background {
 public:
  copies_background(gpu& device, std::size_t copy_bytes);
  [[nodiscard]] const char* name() const override { return "copies"; }
  [[nodiscard]] double run(int least, int most, const std::function<void()>& work) override;

 private:
  void enqueue();
  double elapsed_ms() const;

  gpu& device_;
  std::size_t copy_bytes_;
  plain_memory source_;
  plain_memory target_;
  stream stream_;
  event begin_;
  event end_;
  int copies_ = 1;
};

}  // namespace terrazzo::probe
