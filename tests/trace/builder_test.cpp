#include "trace/builder.hpp"

#include "trace/fixture.hpp"

using namespace terrazzo::trace;
using trace_test::printed;

TEST_CASE("builder: blocks and streams are numbered as they come and addresses are used again") {
  program_builder builder;
  builder.allocate(0x1000, 100, 77);
  builder.allocate(0x2000, 200, 5);
  builder.free(0x1000, 100, 77);
  builder.allocate(0x1000, 300, 5);
  builder.free(0x2000, 200, 77);
  program made = builder.finish();
  CHECK(printed(made) == "a0/0:100 a1/1:200 f0/0 a2/1:300 f1/0");
  CHECK(made.stream_count == 2);
  CHECK(made.block_count == 3);
  CHECK(made.early_block_count == 0);
  CHECK(find_problem(made) == "");
}

TEST_CASE("builder: blocks that were there before the recording come first by address") {
  program_builder builder;
  builder.allocate(0x9000, 10, 1);
  builder.free(0x5000, 50, 2);
  builder.free(0x3000, 30, 3);
  builder.free(0x9000, 10, 1);
  builder.add_live_at_end(0x4000, 40, 4);
  builder.add_live_at_end(0x9000, 10, 1);  // its address came up
  program made = builder.finish();
  CHECK(printed(made) == "a0/0:30 a1/1:40 a2/2:50 a3/3:10 f2/2 f0/0 f3/3");
  CHECK(made.early_block_count == 3);
  CHECK(made.stream_count == 4);
  CHECK(find_problem(made) == "");
}

TEST_CASE("builder: a free that was not recorded is put in") {
  program_builder builder;
  builder.allocate(0x1000, 100, 1);
  builder.allocate(0x1000, 200, 2);
  program made = builder.finish();
  CHECK(printed(made) == "a0/0:100 f0/0 a1/1:200");
  CHECK(made.omitted.missing_frees == 1);
}

TEST_CASE("builder: frees of blocks that are gone are left out and counted") {
  program_builder builder;
  builder.allocate(0x1000, 100, 1);
  builder.free(0x1000, 100, 1);
  builder.free(0x1000, 100, 9);  // its stream must not count either
  builder.request_free(0x1000, 100, 9);
  builder.complete_free(0x1000, 100, 9);
  program made = builder.finish();
  CHECK(printed(made) == "a0/0:100 f0/0");
  CHECK(made.omitted.unmatched_frees == 3);
  CHECK(made.stream_count == 1);
}

TEST_CASE("builder: peak live bytes round each request up to 512 and survive any sizes") {
  program_builder builder;
  builder.allocate(1, 1, 0);
  builder.allocate(2, 512, 0);
  builder.allocate(3, 513, 0);
  builder.free(2, 512, 0);
  builder.allocate(4, 0, 0);
  const live_peak peak = peak_of(builder.finish());
  CHECK(peak.bytes == 4 * 512);
  CHECK(peak.operation == 2);

  program_builder huge;
  for (std::uint64_t address = 1; address < 9; ++address) huge.allocate(address, ~std::uint64_t{0}, 0);
  for (std::uint64_t address = 1; address < 9; ++address) huge.free(address, 0, 0);
  CHECK(peak_of(huge.finish()).bytes == ~std::uint64_t{0});
  CHECK(peak_of(program{}).bytes == 0);
}

TEST_CASE("builder: many addresses are kept apart") {
  program_builder builder;
  constexpr std::uint64_t count = 100000;
  for (std::uint64_t i = 0; i < count; ++i) builder.allocate(0x7f0000000000 + i * 512, i, i % 7);
  for (std::uint64_t i = 0; i < count; ++i) builder.free(0x7f0000000000 + i * 512, i, i % 7);
  const program made = builder.finish();
  REQUIRE(made.operations.size() == 2 * count);
  CHECK(find_problem(made) == "");
  bool all = true;
  for (std::uint64_t i = 0; i < count; ++i)
    all = all && made.operations[i].bytes == i && made.operations[i + count].block == i;
  CHECK(all);
  CHECK(made.operations.capacity() == made.operations.size());
}

TEST_CASE("builder: each invariant of a program is checked") {
  const auto made_of = [](std::vector<operation> operations, std::uint32_t streams, std::uint32_t blocks) {
    program made;
    made.operations = std::move(operations);
    made.stream_count = streams;
    made.block_count = blocks;
    return made;
  };
  const operation first{operation_kind::allocate, 0, 0, 8};
  CHECK(find_problem(made_of({first}, 1, 1)) == "");
  CHECK(find_problem(made_of({first}, 2, 1)) == "stream order: stream_count at operation 1");
  CHECK(find_problem(made_of({first}, 1, 2)) == "block order: block_count at operation 1");
  CHECK(find_problem(made_of({{operation_kind::allocate, 1, 0, 8}}, 1, 1)) == "stream order at operation 0");
  CHECK(find_problem(made_of({{operation_kind::allocate, 0, 1, 8}}, 1, 1)) == "block order at operation 0");
  const operation gone{operation_kind::free, 0, 0, 0};
  CHECK(find_problem(made_of({first, gone, gone}, 1, 1)) == "one life at operation 2");
  CHECK(find_problem(made_of({gone}, 1, 0)) == "one life at operation 0");
  CHECK(find_problem(made_of({first, {operation_kind::free, 0, 0, 8}}, 1, 1)) == "free bytes at operation 1");
}
