// Environment variables for the length of a scope. Set only while no other thread runs.
#pragma once

#include <cstdlib>
#include <string>

namespace terrazzo::test {

/// Gives a variable a value, or takes it away for null, and puts back what was there before.
class variable_scope {
 public:
  variable_scope(const char* name, const char* value) : name_(name) {
    if (const char* before = std::getenv(name)) {
      had_ = true;
      before_ = before;
    }
    set(value);
  }
  ~variable_scope() { set(had_ ? before_.c_str() : nullptr); }
  variable_scope(const variable_scope&) = delete;
  variable_scope& operator=(const variable_scope&) = delete;

 private:
  void set(const char* value) const {
#ifdef _WIN32
    _putenv_s(name_, value != nullptr ? value : "");
#else
    if (value != nullptr) setenv(name_, value, 1);
    else unsetenv(name_);
#endif
  }
  const char* name_;
  bool had_ = false;
  std::string before_;
};

}  // namespace terrazzo::test
