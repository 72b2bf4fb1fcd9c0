#include "allocator/device_allocator.hpp"

#include <algorithm>
#include <optional>

#include "allocator/plain_segments.hpp"
#include "allocator/range.hpp"
#include "base/failure.hpp"
#include "config/options.hpp"
#include "config/rounding.hpp"

namespace terrazzo::detail {
namespace {

std::atomic<std::uint64_t> next_allocator_id{1};

/// The heap that this thread used last. Trivial, so that reading it is one load.
struct cached_heap {
  std::uint64_t allocator_id;
  stream_handle stream;
  stream_heap* heap;
};
constinit TERRAZZO_FAST_THREAD_LOCAL cached_heap thread_heap{};

constexpr std::size_t largest_request = std::size_t{1} << 48;

static_assert(allocator::default_alignment == block_alignment);

}  // namespace

device_allocator::device_allocator() noexcept : id_(next_allocator_id.fetch_add(1, std::memory_order_relaxed)) {}

status device_allocator::open(std::shared_ptr<const driver> api, int device, const config& settings,
                              std::unique_ptr<device_allocator>& result) {
  const status sound = validate_settings(settings);
  if (sound != status::ok) return sound;
  primary_context context;
  status opened = primary_context::retain(std::move(api), device, context);
  if (opened != status::ok) return opened;
  std::unique_ptr<device_allocator> made(new device_allocator());
  opened = made->memory_.open(context);
  if (opened != status::ok) return opened;
  {
    const std::lock_guard growth(made->growth_);
    opened = made->put_in_force(settings);
  }
  if (opened != status::ok) return opened;
  result = std::move(made);
  return status::ok;
}

status device_allocator::set_settings(const config& settings) noexcept {
  try {
    const status sound = validate_settings(settings);
    if (sound != status::ok) return sound;
    const std::lock_guard growth(growth_);
    return is_shut_down() ? refuse_after_shutdown() : put_in_force(settings);
  } catch (const std::bad_alloc&) {
    return fail(status::out_of_host_memory, "no host memory for other settings");
  }
}

status device_allocator::put_in_force(const config& settings) {
  const bool expandable = settings.expandable_segments.value_or(true) && memory_.has_virtual_memory();
  const segment_kind kind = expandable ? segment_kind::expandable : segment_kind::plain;
  // Who reads settings holds no lock, so what they were stays. Programs that go back and forth keep few of them.
  auto kept = std::find_if(settings_so_far_.begin(), settings_so_far_.end(),
                           [&](const auto& each) { return *each == settings; });
  if (kept == settings_so_far_.end())
    kept = settings_so_far_.insert(settings_so_far_.end(), std::make_unique<const config>(settings));

  const std::lock_guard guard(heaps_mutex_);
  std::unique_ptr<block_source>& source = source_of(kind);
  if (source == nullptr && expandable) source = std::make_unique<range>(memory_, settings);
  else if (source == nullptr) source = std::make_unique<plain_segments>(memory_, settings);
  else source->set_rules(settings);

  settings_.store(kept->get(), std::memory_order_release);
  rounds_by_divisions_.store(
      std::any_of(settings.roundup_power2_divisions.begin(), settings.roundup_power2_divisions.end(),
                  [](std::size_t divisions) { return divisions > 1; }),
      std::memory_order_relaxed);
  memory_.set_headroom(settings.headroom_bytes);
  set_limit(settings.limit_bytes);
  if (kind_.exchange(kind, std::memory_order_relaxed) != kind)
    id_.store(next_allocator_id.fetch_add(1, std::memory_order_relaxed), std::memory_order_relaxed);
  return status::ok;
}

device_allocator::~device_allocator() { shutdown(); }

void device_allocator::set_limit(std::size_t bytes) noexcept {
  const auto share =
      static_cast<std::size_t>(settings().per_process_memory_fraction * static_cast<double>(memory_.total_bytes()));
  memory_.set_limit(std::min(bytes, share));
}

status device_allocator::make_request(std::size_t bytes, std::size_t alignment, request& made) noexcept {
  std::size_t rounded = round_request(bytes, settings().roundup_power2_divisions);
  if (alignment <= block_alignment && std::has_single_bit(alignment)) [[likely]] {
    alignment = block_alignment;
  } else {
    if (!std::has_single_bit(alignment) || alignment > allocator::max_alignment)
      return fail(status::invalid_argument, "alignment {} is not allowed: give a power of two from 1 to {}", alignment,
                  allocator::max_alignment);
    // Slabs are aligned to 64 KiB: a class whose blocks are multiples of the alignment has all of them aligned. What is
    // aligned to more than that cannot lie in a slab.
    if (rounded <= small_limit_bytes)
      rounded = alignment <= slab_unit_bytes ? round_up(rounded, alignment) : small_limit_bytes + block_alignment;
  }
  if (rounded <= small_limit_bytes) {
    const std::size_t size_class = size_class_of(rounded);
    made = {bytes, size_classes[size_class].slab_bytes, slab_unit_bytes, size_class, alignment};
    return status::ok;
  }
  if (bytes > largest_request) {
    out_of_memory_count_.fetch_add(1, std::memory_order_relaxed);
    return fail(status::out_of_memory, "{} bytes were asked for, more than any device holds", bytes);
  }
  made = {bytes, rounded, alignment, size_class_count, alignment};
  return status::ok;
}

status device_allocator::find_heap(stream_handle stream, stream_heap*& heap) noexcept {
  try {
    const std::lock_guard guard(heaps_mutex_);
    const auto kind = static_cast<std::size_t>(this->kind());
    const stream_key key = stream_key::of(stream);
    stream_heap*& known = heap_by_stream_[kind][key];
    if (known == nullptr) {
      auto made = std::make_unique<stream_heap>(*this, *sources_[kind], key);
      heaps_.reserve(heaps_.size() + 1);
      sources_[kind]->add_heap(*made);
      known = made.get();
      heaps_.push_back(std::move(made));
    }
    heap = known;
    thread_heap = {id_.load(std::memory_order_relaxed), stream, heap};
  } catch (const std::bad_alloc&) {
    return fail(status::out_of_host_memory, "no host memory for the books of a stream");
  }
  return status::ok;
}

void* device_allocator::take_cached(stream_heap& heap, const request& wanted) noexcept {
  const std::lock_guard guard(heap.lock);
  heap.drain();
  if (!wanted.is_small()) {
    block* found = heap.take_large(wanted.block_bytes, wanted.alignment, wanted.requested_bytes);
    return found != nullptr ? reinterpret_cast<void*>(found->begin()) : nullptr;
  }
  void* found = heap.take_small(wanted.size_class, wanted.requested_bytes);
  if (found != nullptr) [[likely]]
    return found;
  block* under = heap.take_from_source(wanted.block_bytes, wanted.alignment);
  if (under == nullptr || !heap.open_slab(wanted.size_class, *under)) return nullptr;
  return heap.take_small(wanted.size_class, wanted.requested_bytes);
}

status device_allocator::allocate(std::size_t bytes, stream_handle stream, std::size_t alignment,
                                  void*& result) noexcept {
  // What nearly every call is: this thread's usual stream, a usual alignment, and a block of the size freed before. All
  // else is done by the general way below, which gives the same answer.
  stream_heap* heap = thread_heap.heap;
  if (thread_heap.allocator_id == id_.load(std::memory_order_relaxed) && thread_heap.stream == stream &&
      alignment == block_alignment && !rounds_by_divisions_.load(std::memory_order_relaxed)) [[likely]] {
    if (bytes - 1 < small_limit_bytes) {
      const std::lock_guard guard(heap->lock);
      heap->drain();
      result = heap->take_small(size_class_of(bytes), bytes);
      if (result != nullptr) [[likely]]
        return status::ok;
    } else if (bytes - 1 < largest_request) {
      const std::lock_guard guard(heap->lock);
      heap->drain();
      block* found = heap->take_from_front(round_up(bytes, block_alignment), bytes);
      if (found != nullptr) [[likely]] {
        result = reinterpret_cast<void*>(found->begin());
        return status::ok;
      }
    }
  }
  return allocate_generally(bytes, stream, alignment, result);
}

status device_allocator::allocate_generally(std::size_t bytes, stream_handle stream, std::size_t alignment,
                                            void*& result) noexcept {
  result = nullptr;
  if (is_shut_down()) return refuse_after_shutdown();
  stream_heap* heap = thread_heap.heap;
  if (thread_heap.allocator_id != id_.load(std::memory_order_relaxed) || thread_heap.stream != stream) {
    const status found = find_heap(stream, heap);
    if (found != status::ok) return found;
  }
  if (bytes == 0) return status::ok;
  request wanted;
  const status made = make_request(bytes, alignment, wanted);
  if (made != status::ok) return made;
  if (!heap->takes_part()) [[unlikely]]
    begin_sharing(*heap);
  if (heap->source().has_news(*heap)) look_at_marks(*heap);
  result = take_cached(*heap, wanted);
  return result != nullptr ? status::ok : allocate_on_miss(*heap, wanted, result);
}

/// Tells whether the address is still that of a live block of the heap, and which. REQUIRES: the heap's lock is held.
TERRAZZO_ALWAYS_INLINE bool device_allocator::location::is_live(std::uintptr_t address) noexcept {
  if (in == nullptr)
    return large->in_state(block_state::allocated) && large->last_user() == heap && large->begin() == address;
  if (in->heap.load(std::memory_order_relaxed) != heap) return false;
  index = in->index_of(address);
  return index != slab::no_index && slab::is_allocated(in->record(index)) && !in->is_remote(index);
}

/// Finds the slab that covers an address or the large block that begins there; false if it is none of this allocator's.
/// Whether it is live is to be asked under the heap's lock, or of the remote list: until then it may become another's.
TERRAZZO_ALWAYS_INLINE bool device_allocator::locate(std::uintptr_t address, location& found) const noexcept {
  const address_map::entry entry = address_map::find(address);
  if (entry.what() == address_map::kind::slab) [[likely]] {
    found.in = entry.as_slab();
    if (found.in == nullptr) return false;
    found.heap = found.in->heap.load(std::memory_order_acquire);
    return found.heap != nullptr && &found.heap->owner() == this;
  }
  if (entry.what() != address_map::kind::block) return false;
  found.large = entry.as_block();
  found.heap = found.large->last_user();
  return found.large->begin() == address && found.heap != nullptr && &found.heap->owner() == this;
}

status device_allocator::deallocate(void* pointer) noexcept {
  const auto address = reinterpret_cast<std::uintptr_t>(pointer);
  location found;
  if (!locate(address, found)) [[unlikely]]
    return pointer == nullptr ? status::ok : refuse(address);
  if (found.heap->lock.try_lock()) [[likely]] {
    bool live = false;
    bool epoch_over = false;
    {
      const std::lock_guard guard(found.heap->lock, std::adopt_lock);
      live = found.is_live(address);
      if (live) [[likely]] {
        if (found.in != nullptr) found.heap->give_small(*found.in, found.index);
        else found.heap->give_large(*found.large);
        epoch_over = found.heap->is_epoch_over();
      }
    }
    if (epoch_over) [[unlikely]]
      end_epoch(*found.heap);
    if (live) [[likely]]
      return status::ok;
  } else if (found.in != nullptr ? found.heap->give_small_remotely(*found.in, address)
                                 : found.heap->give_large_remotely(*found.large, address)) {
    return status::ok;
  }
  return refuse(address);
}

void device_allocator::end_epoch(stream_heap& heap) noexcept {
  if (context().is_lost() || stream_key::of(heap.key().stream) != heap.key()) return;  // another thread's own stream
  std::uint64_t stamp = 0;
  {
    const std::lock_guard guard(heap.lock);
    stamp = heap.begin_epoch(epoch_bytes(heap));
  }
  const context_scope scope(context(), capture_mode::as_is);
  if (scope.result() == status::ok && heap.marks.set(stamp)) heap.source().note_mark(heap);
}

void device_allocator::begin_sharing(stream_heap& heap) noexcept {
  const std::lock_guard guard(heaps_mutex_);
  if (!heap.join()) return;
  const bool first_two = heap.source().add_sharer() == 2;
  for (const auto& each : heaps_)
    if (each.get() == &heap || (first_two && each->takes_part() && &each->source() == &heap.source()))
      each->set_epoch_bytes(epoch_bytes(*each));
}

// Others cannot have what a stream has freed without a mark behind it: at most a five-hundredth of what is held, for
// each stream.
std::size_t device_allocator::epoch_bytes(const stream_heap& heap) const noexcept {
  if (!heap.takes_part() || heap.source().sharer_count() < 2) return std::numeric_limits<std::size_t>::max();
  return std::max<std::size_t>(2 * mib, memory_.held_bytes() / 512);
}

// What other streams have freed since somebody looked last, as far as it is finished. A driver call for each mark that
// was set, and none where nobody shares the device.
void device_allocator::look_at_marks(stream_heap& heap) noexcept {
  if (context().is_lost()) return;
  const std::unique_lock growth(growth_, std::try_to_lock);
  if (!growth.owns_lock() || is_shut_down()) return;
  const context_scope scope(context());
  if (scope.result() == status::ok) heap.source().ask_marks();
}

status device_allocator::find_requested_bytes(const void* pointer, std::size_t& bytes) const noexcept {
  const auto address = reinterpret_cast<std::uintptr_t>(pointer);
  location found;
  if (!locate(address, found)) return refuse(address);
  {
    const std::lock_guard guard(found.heap->lock);
    if (found.is_live(address)) {
      bytes = found.in != nullptr ? slab::requested_of(found.in->record(found.index)) : found.large->requested_bytes;
      return status::ok;
    }
  }
  return refuse(address);
}

status device_allocator::extend(void* pointer, std::size_t bytes) noexcept {
  const auto address = reinterpret_cast<std::uintptr_t>(pointer);
  if (bytes == 0)
    return fail(status::invalid_argument, "the block at {:#x} cannot have 0 bytes: free it instead", address);
  if (bytes > largest_request)
    return fail(status::out_of_memory, "{} bytes were asked for, more than any device holds", bytes);
  location found;
  bool done = false;
  status result = extend_cached(address, bytes, found, done);
  if (done) return result;

  const std::lock_guard growth(growth_);
  if (is_shut_down()) return refuse_after_shutdown();
  const context_scope scope(context());
  if (scope.result() != status::ok) return scope.result();
  // What lies behind it may be in the front, or finished on another stream by now. And another thread may have grown or
  // freed the block.
  {
    const std::lock_guard guard(found.heap->lock);
    found.heap->flush();
  }
  end_epoch(*found.heap);
  found.heap->source().ask_marks();
  result = extend_cached(address, bytes, found, done);
  if (done) return result;
  if (bytes > std::min(memory_.limit_bytes(), memory_.total_bytes()))
    return fail(status::out_of_memory, "{} bytes were asked for, more than device {} holds or the limit allows", bytes,
                context().device());
  return check_books(2, found.heap->source().extend(*found.heap, *found.large, bytes));
}

/// Makes a block larger by what is cached behind it; `done`: it is, or never can be.
status device_allocator::extend_cached(std::uintptr_t address, std::size_t bytes, location& found,
                                       bool& done) noexcept {
  done = true;
  if (!locate(address, found)) return refuse(address);
  {
    const std::lock_guard guard(found.heap->lock);
    if (found.is_live(address)) {
      if (found.in != nullptr) {
        if (bytes > found.in->block_bytes)
          return fail(status::out_of_memory, "the block at {:#x} is a small one of {} bytes, and cannot grow to {}",
                      address, found.in->block_bytes, bytes);
        found.heap->extend_small(*found.in, found.index, bytes);
        return status::ok;
      }
      const std::size_t before = found.large->bytes;
      const std::size_t wanted = round_up(bytes, block_alignment);
      done = wanted <= before || found.heap->source().extend_cached(*found.heap, *found.large, wanted);
      if (done) found.heap->count_extended(*found.large, before, bytes);
      return status::ok;
    }
  }
  return refuse(address);
}

/// Says why an address cannot be freed: what it is that is not live there.
status device_allocator::refuse(std::uintptr_t address) const noexcept {
  if (is_shut_down()) return refuse_after_shutdown();
  invalid_free_count_.fetch_add(1, std::memory_order_relaxed);
  const int device = context().device();
  location found;
  bool was_freed = address_map::find(address).was_freed(address);
  if (locate(address, found)) {
    const std::lock_guard guard(found.heap->lock);
    was_freed = found.in == nullptr || found.in->index_of(address) != slab::no_index;
  } else if (!was_freed && found.heap != nullptr && &found.heap->owner() != this) {
    return fail(status::wrong_device,
                "{:#x} belongs to another allocator (of device {}), not to this one (of device {})", address,
                found.heap->owner().context().device(), device);
  }
  if (was_freed) return fail(status::double_free, "the block at {:#x} has been freed already", address);
  return fail(status::foreign_pointer, "{:#x} is not the address of a block of this allocator (of device {})", address,
              device);
}

status device_allocator::refuse_after_shutdown() const noexcept {
  return fail(status::shut_down, "the allocator of device {} has been shut down", context().device());
}

void device_allocator::shutdown() noexcept {
  const std::lock_guard growth(growth_);
  if (settings_.load(std::memory_order_relaxed) == nullptr) return;  // was never opened
  if (shut_down_.exchange(true)) return;
  std::optional<context_scope> scope(context());
  if (scope->result() != status::ok) scope.emplace(context());  // without a context nothing could be given back
  (void)memory_.wait_for_device();
  const std::lock_guard guard(heaps_mutex_);
  // All locks at once: a thread that has found its block but not locked its heap yet must find nothing live then.
  for (const auto& heap : heaps_) heap->lock.lock();
  for_each_source([](block_source& each) { each.abandon(); });
  for (const auto& heap : heaps_) {
    heap->abandon();
    heap->lock.unlock();
    heap->marks.close();
  }
  for_each_source([](block_source& each) { each.close(); });
}

}  // namespace terrazzo::detail
