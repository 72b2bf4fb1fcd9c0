#include "terrazzo/status.hpp"

#include <doctest/doctest.h>

#include <set>
#include <string>

#include "base/failure.hpp"

using terrazzo::status;

TEST_CASE("status: every code has a number and a name of its own and a sentence") {
  std::set<int> numbers;
  std::set<std::string> names;
  int count = 0;
#define TERRAZZO_COUNT(name, number, sentence)     \
  ++count;                                         \
  numbers.insert(static_cast<int>(status::name));  \
  names.insert(terrazzo::to_string(status::name)); \
  CHECK(static_cast<int>(status::name) == number); \
  CHECK(std::string(terrazzo::describe(status::name)) == sentence);
  TERRAZZO_STATUS_CODES(TERRAZZO_COUNT)
#undef TERRAZZO_COUNT
  CHECK(numbers.size() == static_cast<std::size_t>(count));
  CHECK(names.size() == static_cast<std::size_t>(count));
  CHECK(std::string(terrazzo::to_string(static_cast<status>(-7))) == "unknown");
}

TEST_CASE("status: a failure travels in the exception") {
  const status code = terrazzo::detail::fail(status::invalid_argument, "alignment {} is not a power of two", 3);
  CHECK(code == status::invalid_argument);
  CHECK(std::string(terrazzo::last_error_message()) == "alignment 3 is not a power of two");
  try {
    terrazzo::throw_on_failure(code);
    FAIL("nothing was thrown");
  } catch (const terrazzo::error& caught) {
    CHECK(caught.code() == status::invalid_argument);
    CHECK(std::string(caught.what()).find("alignment 3") != std::string::npos);
  }
  CHECK_THROWS_AS(terrazzo::throw_on_failure(status::out_of_memory), std::bad_alloc);
  CHECK_NOTHROW(terrazzo::throw_on_failure(status::ok));
}

TEST_CASE("status: a sentence longer than the buffer is cut, not lost") {
  const std::string longest(5000, 'x');
  terrazzo::detail::fail(status::invalid_config, "{}", longest);
  CHECK(std::string(terrazzo::last_error_message()).size() == terrazzo::detail::failure_message::capacity);
}
