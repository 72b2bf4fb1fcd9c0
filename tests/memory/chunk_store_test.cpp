#include "memory/chunk_store.hpp"

#include <algorithm>
#include <set>

#include "fixture.hpp"

using namespace terrazzo;
using namespace terrazzo::test;
using detail::chunk_store;

TEST_CASE("chunk_store: spare chunks are taken before new ones are made") {
  memory_session on("memory=64MiB");
  chunk_store store(on.memory);
  std::vector<chunk_handle> chunks;
  REQUIRE(store.take(4, chunks) == status::ok);
  store.put({chunks.begin(), chunks.begin() + 3});
  CHECK(store.spare_count() == 3);
  std::vector<chunk_handle> more{chunks[3]};
  const std::uint64_t created = on.gpu.calls("cuMemCreate");
  REQUIRE(store.take(2, more) == status::ok);
  CHECK(on.gpu.calls("cuMemCreate") == created);
  CHECK(store.spare_count() == 1);
  REQUIRE(store.take(3, more) == status::ok);
  CHECK(on.gpu.calls("cuMemCreate") == created + 2);
  CHECK(store.spare_count() == 0);
  CHECK(std::set<chunk_handle>(more.begin(), more.end()).size() == 6);  // appended, and none given twice
  CHECK(more.front() == chunks[3]);
  CHECK(on.memory.held_bytes() == 12 * mib);
  on.release(more);
}

TEST_CASE("chunk_store: what cannot be taken whole is not taken at all") {
  memory_session on("memory=16MiB");
  chunk_store store(on.memory);
  std::vector<chunk_handle> chunks;
  REQUIRE(store.take(5, chunks) == status::ok);
  store.put(chunks);
  std::vector<chunk_handle> none;
  CHECK(store.take(9, none) == status::out_of_memory);  // the device holds eight
  CHECK(none.empty());
  CHECK(store.spare_count() == 5);
  on.gpu.fail("cuMemCreate", 2, CUDA_ERROR_UNKNOWN);
  CHECK(store.take(8, none) == status::driver_error);
  CHECK(none.empty());
  CHECK(store.spare_count() == 5);
  CHECK(on.memory.held_bytes() == 10 * mib);
  on.memory.set_limit(10 * mib);
  CHECK(store.take(6, none) == status::out_of_memory);
  REQUIRE(store.take(5, none) == status::ok);
  std::sort(none.begin(), none.end());
  std::sort(chunks.begin(), chunks.end());
  CHECK(none == chunks);
  on.release(none);
}

TEST_CASE("chunk_store: trim releases down to what is to be kept") {
  memory_session on("memory=64MiB");
  {
    chunk_store store(on.memory);
    std::vector<chunk_handle> chunks;
    REQUIRE(store.take(6, chunks) == status::ok);
    store.put(chunks);
    store.trim(10);
    CHECK(store.spare_count() == 6);
    store.trim(2);
    CHECK(store.spare_count() == 2);
    CHECK(on.memory.held_bytes() == 4 * mib);
    CHECK(on.gpu.count("chunks") == 2);
  }
  CHECK(on.memory.held_bytes() == 0);
  CHECK(on.gpu.count("chunks") == 0);
}
