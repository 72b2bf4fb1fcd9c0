#include "softgpu/call_books.hpp"

#include <algorithm>
#include <iterator>
#include <limits>

namespace softgpu {
namespace {

// Costs of virtual memory management for each 2 MiB chunk, and of one reservation, in ns. Source: kvcached's bench_vmm
// on an A100 with 4,096 chunks (means); release, which it does not list, is jitLLM's figure for a GB10. Other calls
// have no source and are free until a price is set.
struct default_price {
  const char* function;
  double fixed_ns;
  double unit_ns;
};
constexpr default_price default_prices[] = {
    {"cuMemAddressReserve", 19'000, 0}, {"cuMemCreate", 0, 193'000}, {"cuMemMap", 0, 1'450},
    {"cuMemSetAccess", 0, 36'000},      {"cuMemUnmap", 0, 26'000},   {"cuMemRelease", 0, 27'000},
};

std::string_view without_version(std::string_view name) {
  const std::size_t mark = name.rfind("_v");
  if (mark == std::string_view::npos || mark + 2 == name.size()) return name;
  const bool digits = std::all_of(name.begin() + static_cast<std::ptrdiff_t>(mark) + 2, name.end(),
                                  [](char c) { return c >= '0' && c <= '9'; });
  return digits ? name.substr(0, mark) : name;
}

// What the rule for "any function" may hit: a driver function that does something.
bool is_driver_work(std::string_view name) {
  static constexpr std::string_view questions[] = {"cuGetErrorName", "cuGetErrorString", "cuDriverGetVersion",
                                                   "cuGetProcAddress"};
  return !name.starts_with("cublas") &&
         std::find(std::begin(questions), std::end(questions), name) == std::end(questions);
}

}  // namespace

call_books::call_books() {
  for (const default_price& one : default_prices) set_price(one.function, one.fixed_ns, one.unit_ns);
}

call_books::function_books& call_books::books_of(std::string_view function) {
  const std::string_view name = without_version(function);
  const auto found = functions_.find(name);
  return found != functions_.end() ? found->second : functions_[std::string(name)];
}

bool call_books::failure_rule::hits() {
  if (times == 0) return false;
  if (calls_before != 0) {
    --calls_before;
    return false;
  }
  if (times != std::numeric_limits<std::uint64_t>::max()) --times;
  return true;
}

std::optional<int> call_books::enter(std::string_view function) {
  function_books& books = books_of(function);
  ++books.calls;
  ++all_calls_;
  priced_ns_ += books.fixed_ns;
  // Both rules see every call, so that neither's count depends on the other.
  const bool own = books.rule.hits();
  const bool any = is_driver_work(without_version(function)) && any_.hits();
  if (!own && !any) return std::nullopt;
  ++failures_;
  return own ? books.rule.result : any_.result;
}

void call_books::touch(std::string_view function, std::uint64_t units) {
  priced_ns_ += books_of(function).unit_ns * static_cast<double>(units);
}

void call_books::fail(std::string_view function, std::uint64_t k, int result, std::uint64_t times) {
  failure_rule& rule = function.empty() ? any_ : books_of(function).rule;
  rule = k == 0 ? failure_rule{} : failure_rule{k - 1, times, result};
}

void call_books::set_price(std::string_view function, double fixed_ns, double unit_ns) {
  function_books& books = books_of(function);
  books.fixed_ns = fixed_ns;
  books.unit_ns = unit_ns;
}

std::uint64_t call_books::calls(std::string_view function) const {
  const auto found = functions_.find(without_version(function));
  return found != functions_.end() ? found->second.calls : 0;
}

void call_books::reset_counts() {
  for (auto& [name, books] : functions_) books.calls = 0;
  all_calls_ = 0;
}

}  // namespace softgpu
