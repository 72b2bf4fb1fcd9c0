#include "memory/chunk_store.hpp"

#include <algorithm>
#include <set>

#include "fixture.hpp"

using namespace terrazzo;
using namespace terrazzo::test;
using detail::chunk_store;

TEST_CASE("chunk_store: each spare chunk is given once") {
  memory_session on("memory=64MiB");
  chunk_store store(on.memory);
  REQUIRE(store.make(4) == status::ok);
  CHECK(store.spare_count() == 4);
  std::vector<chunk_handle> chunks;
  store.take(3, chunks);
  CHECK(store.spare_count() == 1);
  REQUIRE(store.make(1) == status::ok);
  store.take(2, chunks);
  CHECK(store.spare_count() == 0);
  CHECK(std::set<chunk_handle>(chunks.begin(), chunks.end()).size() == 5);  // appended, and none given twice
  CHECK(on.memory.held_bytes() == 10 * mib);
  store.put({chunks.begin(), chunks.begin() + 2});
  CHECK(store.spare_count() == 2);
  chunks.erase(chunks.begin(), chunks.begin() + 2);
  on.release(chunks);
}

TEST_CASE("chunk_store: what could be made before a failure is kept") {
  memory_session on("memory=16MiB");
  chunk_store store(on.memory);
  REQUIRE(store.make(5) == status::ok);
  CHECK(store.make(4) == status::out_of_memory);  // the device holds eight
  CHECK(store.spare_count() == 8);
  store.trim(5);
  on.gpu.fail("cuMemCreate", 2, CUDA_ERROR_UNKNOWN);
  CHECK(store.make(3) == status::driver_error);
  CHECK(store.spare_count() == 6);
  CHECK(on.memory.held_bytes() == 12 * mib);
}

TEST_CASE("chunk_store: trim releases down to what is to be kept") {
  memory_session on("memory=64MiB");
  {
    chunk_store store(on.memory);
    REQUIRE(store.make(6) == status::ok);
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
