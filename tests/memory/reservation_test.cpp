#include "memory/reservation.hpp"

#include <algorithm>

#include "fixture.hpp"
#include "memory/chunk_store.hpp"

using namespace terrazzo;
using namespace terrazzo::test;
using detail::chunk_store;
using detail::reservation;

TEST_CASE("reservation: half as many addresses are asked for until they are had") {
  struct {
    const char* spec;
    std::size_t wanted;
    std::size_t least;
    std::size_t expected;  // 0: none
    std::uint64_t tries;
  } const table[] = {
      {"memory=64MiB", 256 * mib, 16 * mib, 256 * mib, 1},
      {"memory=64MiB;addresses=64MiB", 256 * mib, 16 * mib, 64 * mib, 3},
      {"memory=64MiB;addresses=40MiB", 250 * mib, 16 * mib, 30 * mib, 4},  // 124, 62 and 30 MiB: whole chunks
      {"memory=64MiB;addresses=48MiB", 256 * mib, 48 * mib, 48 * mib, 4},
      {"memory=64MiB;addresses=46MiB", 256 * mib, 48 * mib, 0, 4},
      {"memory=64MiB;addresses=46MiB", 48 * mib, 48 * mib, 0, 1}};
  for (const auto& row : table) {
    CAPTURE(std::string(row.spec));
    CAPTURE(row.wanted);
    memory_session on(row.spec);
    reservation made(on.memory);
    const std::uint64_t before = on.gpu.calls("cuMemAddressReserve");
    const status opened = made.open(row.wanted, row.least);
    CHECK((opened == status::ok) == (row.expected != 0));
    CHECK(made.bytes() == row.expected);
    CHECK(on.gpu.calls("cuMemAddressReserve") == before + row.tries);
    CHECK(on.gpu.count("reserved_address_bytes") == row.expected);
    CHECK(made.address() % on.memory.chunk_bytes() == 0);
    CHECK(made.mapped_count() == 0);
  }
}

TEST_CASE("reservation: chunks are found at the places they were mapped at") {
  memory_session on("memory=64MiB");
  reservation places(on.memory);
  REQUIRE(places.open(32 * mib, 32 * mib) == status::ok);
  const std::vector<chunk_handle> chunks = on.create(5);
  REQUIRE(places.map(2, chunks.data(), 3) == status::ok);
  REQUIRE(places.map(9, chunks.data() + 3, 2) == status::ok);
  CHECK(places.mapped_count() == 5);
  CHECK(on.gpu.count("mappings") == 5);
  for (std::size_t place = 0; place < 16; ++place) {
    CAPTURE(place);
    CHECK(places.is_mapped(place) == ((place >= 2 && place < 5) || place == 9 || place == 10));
    CHECK(places.place_of(places.address() + place * 2 * mib) == place);
    CHECK(places.place_of(places.address() + (place + 1) * 2 * mib - 1) == place);
  }
  std::vector<chunk_handle> taken;
  taken.reserve(5);
  REQUIRE(places.unmap(3, 2, taken) == status::ok);
  REQUIRE(places.unmap(9, 1, taken) == status::ok);
  CHECK(taken == std::vector<chunk_handle>{chunks[1], chunks[2], chunks[3]});
  CHECK(places.mapped_count() == 2);
  CHECK(on.gpu.count("mappings") == 2);
  CHECK(places.is_mapped(2));
  CHECK_FALSE(places.is_mapped(3));
  CHECK(on.memory.held_bytes() == 10 * mib);
  on.release(taken);  // what is still mapped goes with the reservation
}

TEST_CASE("reservation: what fails changes no book") {
  memory_session on("memory=64MiB");
  reservation places(on.memory);
  REQUIRE(places.open(32 * mib, 32 * mib) == status::ok);
  const std::vector<chunk_handle> chunks = on.create(3);
  for (const char* function : {"cuMemMap", "cuMemSetAccess"}) {
    CAPTURE(std::string(function));
    on.gpu.fail(function, 1, CUDA_ERROR_UNKNOWN);
    CHECK(places.map(4, chunks.data(), 3) == status::driver_error);
    CHECK(places.mapped_count() == 0);
    CHECK_FALSE(places.is_mapped(4));
  }
  REQUIRE(places.map(4, chunks.data(), 3) == status::ok);
  std::vector<chunk_handle> taken;
  taken.reserve(3);
  REQUIRE(terrazzo_softgpu_fail("cuMemUnmap", 1, CUDA_ERROR_UNKNOWN, 2) == 0);
  CHECK(places.unmap(4, 3, taken) == status::driver_error);
  CHECK(taken.empty());
  CHECK(places.mapped_count() == 3);
  CHECK(places.is_mapped(6));
  REQUIRE(places.unmap(4, 3, taken) == status::ok);
  CHECK(taken == chunks);
  on.release(taken);
}

TEST_CASE("reservation: chunks still mapped are given back with it") {
  memory_session on("memory=64MiB");
  {
    reservation places(on.memory);
    REQUIRE(places.open(32 * mib, 32 * mib) == status::ok);
    const std::vector<chunk_handle> chunks = on.create(4);
    REQUIRE(places.map(0, chunks.data(), 3) == status::ok);
    REQUIRE(places.map(15, chunks.data() + 3, 1) == status::ok);
  }
  CHECK(on.memory.held_bytes() == 0);
  CHECK(on.gpu.count("chunks") == 0);
  CHECK(on.gpu.count("reservations") == 0);
}

TEST_CASE("reservation: whichever call fails the counts agree and nothing is left") {
  // Chunks made, mapped, moved, kept as spares and released, with one failure at every point in turn.
  for (std::uint64_t k = 1;; ++k) {
    CAPTURE(k);
    REQUIRE(k < 200);
    memory_session on("memory=64MiB");
    bool reached = false;
    {
      chunk_store store(on.memory);
      reservation places(on.memory);
      std::vector<chunk_handle> chunks;
      chunks.reserve(8);
      on.memory.set_headroom(mib);
      on.gpu.fail(nullptr, k, CUDA_ERROR_UNKNOWN);
      const auto take = [&](std::size_t count) {
        if (store.make(count - std::min(count, store.spare_count())) != status::ok) return false;
        store.take(count, chunks);
        return true;
      };
      const auto put_back = [&] {
        store.put(chunks);
        chunks.clear();
      };
      if (places.open(64 * mib, 8 * mib) == status::ok && take(6)) {
        if (places.map(3, chunks.data(), 6) == status::ok) {
          chunks.clear();
          if (places.unmap(5, 4, chunks) == status::ok) put_back();
        } else {
          put_back();
        }
        CHECK(on.counts_agree());
        if (take(5) && places.map(20, chunks.data(), 5) == status::ok) chunks.clear();
        put_back();
        store.trim(1);
      }
      reached = terrazzo_softgpu_failures() != 0;
      terrazzo_softgpu_fail(nullptr, 0, 0, 0);
      CHECK(on.counts_agree());
      CHECK(on.memory.held_bytes() == (places.mapped_count() + store.spare_count()) * on.memory.chunk_bytes());
    }
    CHECK(on.memory.held_bytes() == 0);
    if (!reached) {
      CHECK(k > 20);
      break;
    }
  }
}
