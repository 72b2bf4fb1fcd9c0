#include "trace/text.hpp"

#include <sstream>

#include "trace/fixture.hpp"

using namespace terrazzo::trace;
using namespace trace_test;

namespace {

const std::string rmm_header = "Thread,Time,Action,Pointer,Size,Stream\n";

std::string rmm(const std::string& lines) { return printed(read(rmm_header + lines).at(0)); }
std::string rmm_error(const std::string& lines) { return error_of(rmm_header + lines); }
std::string own(const std::string& lines) { return printed(read("terrazzo trace 1\n" + lines).at(0)); }
std::string own_error(const std::string& lines) { return error_of("terrazzo trace 1\n" + lines); }

}  // namespace

TEST_CASE("rmm log: allocations and frees of every version's spelling are read") {
  const std::vector<program> made = read(rmm_header +
                                         "2342727,15:47:02.841961,allocate,0x10012400000,1048576,0\n"
                                         "2342728,15:47:02:841962,allocate,7f8a40000000,600,0x7f8a38001020\r\n"
                                         "\n"
                                         "2342727,15:47:02.841977,free,0x10012400000,1048576,0x0\n"
                                         "2342727,15:47:02.841978,allocate failure,(nil),99999999999,0\n"
                                         "2342727,15:47:02.841979,allocate,(nil),0,(nil)\n"
                                         "2342727,15:47:02.841979,free,0xabc000,77,0x2");
  REQUIRE(made.size() == 1);
  CHECK(printed(made[0]) == "a0/0:77 a1/1:1048576 a2/2:600 f1/1 f0/0");
  CHECK(made[0].format == "RMM log");
  CHECK(made[0].early_block_count == 1);
  CHECK(made[0].omitted.failed_allocations == 1);
  CHECK(made[0].omitted.other_records == 1);
  CHECK(rmm("1,2,allocate,0x1000,8,1\n1,2,free,0x1000,8,2\n1,2,allocate,0x1000,9,2\n") == "a0/0:8 f0/1 a1/1:9");
}

TEST_CASE("rmm log: columns are found by their names") {
  CHECK(printed(read("Thread,Stream,Size,Pointer,Action\n1,2,8,0x1000,allocate\n").at(0)) == "a0/0:8");
  CHECK(contains(error_of("Thread,Time,Action,Pointer,Size\n"), "line 1: no column Stream"));
}

TEST_CASE("rmm log: bad lines are errors with their number") {
  CHECK(contains(rmm_error(""), "the log has no allocations"));
  CHECK(contains(rmm_error("1,2,allocate,0x1000,8,0\n1,2,allocate,0x10\n"),
                 "run.pickle: line 3: the line has 4 columns, where 6"));
  CHECK(contains(rmm_error("1,2,resize,0x1000,8,0\n"), "line 2: Action is none of allocate"));
  CHECK(contains(rmm_error("1,2,allocate,here,8,0\n"), "Pointer is \"here\", where a hexadecimal number should be"));
  CHECK(contains(rmm_error("1,2,allocate,0x,8,0\n"), "Pointer is \"0x\""));
  CHECK(contains(rmm_error("1,2,allocate,0x11112222333344445,8,0\n"), "Pointer is"));
  CHECK(contains(rmm_error("1,2,allocate,0x1000,-8,0\n"), "Size is \"-8\", where a number should be"));
  CHECK(contains(rmm_error("1,2,allocate,0x1000,18446744073709551616,0\n"), "Size is"));
  CHECK(contains(rmm_error("1,2,allocate,0x1000,8,\x1b[31m" + std::string(99, 'x') + "\n"), "Stream is \"?[31mxxx"));
  CHECK(contains(rmm_error(std::string(100000, 'x')), "line 2: the line is longer than 64 KiB"));
}

TEST_CASE("own trace: operations settings device and comments are read") {
  const std::vector<program> made = read(
      "terrazzo trace 1\r\n# made by hand\ndevice 3\nsettings expandable_segments:True,max_split_size_mb:64\n\n"
      "a 10 5 100\na 20 0 200\n# in between\nf 10\nf 20 5\na 10 0 300");
  REQUIRE(made.size() == 1);
  CHECK(printed(made[0]) == "a0/0:100 a1/1:200 f0/0 f1/0 a2/1:300");
  CHECK(made[0].device == 3);
  CHECK(made[0].source_settings == "expandable_segments:True,max_split_size_mb:64");
  CHECK(made[0].format == "terrazzo trace");
}

TEST_CASE("own trace: bad lines are errors with their number") {
  CHECK(contains(own_error(""), "the trace has no allocations"));
  CHECK(contains(own_error("a 0 0 8\na 0 0 8\n"), "line 3: block 0 is allocated, and has not been freed"));
  CHECK(contains(own_error("f 7\n"), "line 2: block 7 is freed, and is not allocated"));
  CHECK(contains(own_error("a 0 0 8\nf 0\nf 0\n"), "line 4: block 0 is freed"));
  CHECK(contains(own_error("a 0 0 8\ndevice 1\n"), "line 3: settings and device stand before the operations"));
  CHECK(contains(own_error("device 99999999999\n"), "the device is too large"));
  CHECK(contains(own_error("a 0 0 x\n"), "the size is \"x\""));
  for (const char* bad : {"a", "a 0", "a 0 0", "a 0 0 8 9", "f", "f 0 0 0", "x 0", "a  0 0 8", " a 0 0 8", "A 0 0 8"})
    CHECK(own_error(std::string(bad) + "\n") != "");
  CHECK(own("a 0 0 8") == "a0/0:8");
  CHECK(contains(error_of("terrazzo trace 2\n"), "of a version that this terrazzo does not know"));
  CHECK(contains(error_of("terrazzo trace 10\n"), "of a version that this terrazzo does not know"));
}

TEST_CASE("own trace: what is written is read back as it was") {
  const value whole = snapshot({list({}), list({event("alloc", 4096, 100, 7), event("free_requested", 1, 50, 8),
                                                event("free_requested", 4096, 100, 8), event("alloc", 4096, 300, 7)})},
                               {}, "backend:native\nx");
  const std::vector<program> first = read(pickled(whole));
  std::ostringstream text;
  write_program(first.at(0), text);
  CHECK(text.str() ==
        "terrazzo trace 1\ndevice 1\nsettings backend:native x\na 0 0 50\na 1 1 100\nf 0\nf 1 0\na 2 1 300\n");
  const std::vector<program> second = read(text.str());
  CHECK(second.at(0).operations == first[0].operations);
  CHECK(second[0].stream_count == first[0].stream_count);
  CHECK(second[0].block_count == first[0].block_count);
  CHECK(second[0].device == 1);
  std::ostringstream again;
  write_program(second[0], again);
  CHECK(again.str() == text.str());
}

#if TERRAZZO_TRACE_UNPACKS
TEST_CASE("own trace: a recorded program survives the way through it") {
  const std::vector<program> first = load_programs(TERRAZZO_TRACES "/serve_streams.pickle.xz");
  std::ostringstream text;
  write_program(first.at(0), text);
  const std::vector<program> second = read(text.str());
  CHECK(second.at(0).operations == first[0].operations);
  CHECK(peak_of(second[0]).bytes == peak_of(first[0]).bytes);
}
#endif
