// The calls that XLA makes. One library holds one cell (RNNEXP_CELL) in one type of numbers
// (RNNEXP_REAL), so that the first run of a cell waits for no other to be compiled.
#include <atomic>
#include <condition_variable>
#include <memory>
#include <mutex>

#include "recurrence.h"
#include "xla/ffi/api/ffi.h"

namespace ffi = xla::ffi;

namespace rnnexp {
namespace {

using Cell = RNNEXP_CELL;
using Real = RNNEXP_REAL;

// Tasks that any thread may take. The caller takes what nobody else does, so that it never waits
// for a thread that waits itself.
struct Shared {
  std::function<void(int)> task;
  int count;
  std::atomic<int> next{0};
  int done = 0;
  std::mutex mutex;
  std::condition_variable all_done;

  void take() {
    for (int i = next++; i < count; i = next++) {
      task(i);
      std::lock_guard<std::mutex> lock(mutex);
      if (++done == count) all_done.notify_all();
    }
  }
};

Parallel on_pool(ffi::ThreadPool pool, int64_t threads) {
  return [pool, threads](int count, const std::function<void(int)>& task) mutable {
    auto shared = std::make_shared<Shared>();
    shared->task = task;
    shared->count = count;
    for (int i = 1; i < std::min<int64_t>(count, threads); ++i) pool.Schedule([shared] { shared->take(); });
    shared->take();
    std::unique_lock<std::mutex> lock(shared->mutex);
    shared->all_done.wait(lock, [&] { return shared->done == shared->count; });
  };
}

// Arguments of both calls, by their place: x, w_x, w_h, b, b_hn, h0, c0, lengths.
Problem read(bool has_lengths, const ffi::RemainingArgs& args) {
  Problem p{};
  auto at = [&](size_t i) { return *args.get<ffi::AnyBuffer>(i); };
  auto data = [&](size_t i) -> const void* {
    return at(i).element_count() == 0 ? nullptr : at(i).untyped_data();
  };
  auto x = at(0).dimensions();
  p.T = x[0], p.B = x[1], p.I = x[2], p.H = at(5).dimensions()[1];
  p.x = data(0), p.w_x = data(1), p.w_h = data(2), p.b = data(3), p.b_hn = data(4);
  p.h0 = data(5), p.c0 = data(6);
  if (has_lengths) p.lengths = static_cast<const int32_t*>(data(7));
  return p;
}

void* result(ffi::RemainingRets& rets, size_t i) {
  auto buffer = *rets.get<ffi::AnyBuffer>(i);
  return buffer->element_count() == 0 ? nullptr : buffer->untyped_data();
}

// Results: h, c_last, saved.
ffi::Error Forward(ffi::ThreadPool pool, int64_t threads, bool has_lengths,
                   ffi::RemainingArgs args, ffi::RemainingRets rets) {
  Problem p = read(has_lengths, args);
  p.h = result(rets, 0), p.c_last = result(rets, 1), p.saved = result(rets, 2);
  forward<Real, Cell>(p, on_pool(pool, threads));
  return ffi::Error::Success();
}

// Further arguments: h, saved, dh, dh_last, dc_last. Results: dx, dw_x, dw_h, db, db_hn, dh0, dc0, tap_h, tap_c.
ffi::Error Backward(ffi::ThreadPool pool, int64_t threads, bool has_lengths, bool norms,
                    ffi::RemainingArgs args, ffi::RemainingRets rets) {
  Problem p = read(has_lengths, args);
  auto data = [&](size_t i) -> void* {
    auto buffer = *args.get<ffi::AnyBuffer>(i);
    return buffer.element_count() == 0 ? nullptr : buffer.untyped_data();
  };
  p.h = data(8), p.saved = data(9), p.dh = data(10), p.dh_last = data(11), p.dc_last = data(12);
  p.dx = result(rets, 0), p.dw_x = result(rets, 1), p.dw_h = result(rets, 2), p.db = result(rets, 3);
  p.db_hn = result(rets, 4), p.dh0 = result(rets, 5), p.dc0 = result(rets, 6);
  p.tap_h = result(rets, 7), p.tap_c = result(rets, 8), p.norms = norms;
  backward<Real, Cell>(p, on_pool(pool, threads));
  return ffi::Error::Success();
}

auto Binding() {
  return ffi::Ffi::Bind()
      .Ctx<ffi::ThreadPool>()
      .Attr<int64_t>("threads")
      .Attr<bool>("has_lengths");
}

}  // namespace
}  // namespace rnnexp

#pragma GCC visibility push(default)
XLA_FFI_DEFINE_HANDLER_SYMBOL(rnnexp_forward, rnnexp::Forward,
                              rnnexp::Binding().RemainingArgs().RemainingRets());
XLA_FFI_DEFINE_HANDLER_SYMBOL(rnnexp_backward, rnnexp::Backward,
                              rnnexp::Binding().Attr<bool>("norms").RemainingArgs().RemainingRets());

// Values that the forward pass keeps of one example and step.
extern "C" int64_t rnnexp_saved_size(int64_t hidden_size) {
  rnnexp::Problem p{};
  p.H = hidden_size;
  return rnnexp::Layout<RNNEXP_REAL, rnnexp::RNNEXP_CELL>(p).kept;
}
#pragma GCC visibility pop
