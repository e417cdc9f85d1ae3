// The calls that XLA makes. One library holds one cell (RNNEXP_CELL) in one type of numbers
// (RNNEXP_REAL), so that the first run of a cell waits for no other to be compiled.
#include <atomic>
#include <condition_variable>
#include <exception>
#include <memory>
#include <mutex>

#include "operands.h"
#include "recurrence.h"

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
  std::exception_ptr failure;

  void take() {
    for (int i = next++; i < count; i = next++) {
      std::exception_ptr thrown;
      try {
        task(i);
      } catch (...) {  // must not leave a thread that is not ours
        thrown = std::current_exception();
      }
      std::lock_guard<std::mutex> lock(mutex);
      if (thrown) failure = thrown;
      if (++done == count) all_done.notify_all();
    }
  }
};

Parallel on_pool(ffi::ThreadPool pool, int64_t threads) {
  return [pool, threads](int count, const std::function<void(int)>& task) mutable {
    auto shared = std::make_shared<Shared>();
    shared->task = task;
    shared->count = count;
    try {
      for (int i = 1; i < std::min<int64_t>(count, threads); ++i) pool.Schedule([shared] { shared->take(); });
    } catch (const std::exception&) {  // fewer threads do, and those that work must be waited for
    }
    shared->take();
    std::unique_lock<std::mutex> lock(shared->mutex);
    shared->all_done.wait(lock, [&] { return shared->done == shared->count; });
    if (shared->failure) std::rethrow_exception(shared->failure);
  };
}

// The first nine arguments, those of both calls; their sizes are those of all others.
void read(Problem& p, Operands& operands, bool has_lengths) {
  operands.read_sizes(p);
  if (operands.failed()) return;
  const int64_t columns = Cell::gates * p.H;
  p.x = operands.argument<Real>("x", {p.T, p.B, p.I});
  p.w_x = operands.argument<Real>("w_x", {p.I, columns});
  p.w_h = operands.argument<Real>("w_h", {Cell::mask_h ? p.H : 0, columns});
  p.b = operands.argument<Real>("b", {columns});
  p.b_hn = operands.argument<Real>("b_hn", {Cell::has_hn ? p.H : 0});
  p.own = operands.argument<Real>("own", {Cell::own, p.H});
  p.h0 = operands.argument<Real>("h0", {p.B, p.H});
  p.c0 = operands.argument<Real>("c0", {Cell::has_c ? p.B : 0, p.H});
  p.lengths = operands.argument<int32_t>("lengths", {has_lengths ? p.B : 0});
}

// Runs what may need more memory than there is.
template <class F>
ffi::Error computed(F&& compute) {
  try {
    compute();
  } catch (const std::exception& error) {  // no more memory, no more threads
    return ffi::Error(ffi::ErrorCode::kResourceExhausted, std::string("rnnexp: ") + error.what());
  }
  return ffi::Error::Success();
}

ffi::Error Forward(ffi::ThreadPool pool, int64_t threads, bool has_lengths,
                   ffi::RemainingArgs args, ffi::RemainingRets rets) {
  Problem p{};
  Operands operands("rnnexp's forward pass", args, rets);
  read(p, operands, has_lengths);
  if (operands.failed()) return operands.error();
  p.h = operands.result<Real>("h", {p.T, p.B, p.H});
  p.c_last = operands.result<Real>("c_last", {Cell::has_c ? p.B : 0, p.H});
  p.saved = operands.result<Real>("saved", {p.T, p.B, Layout<Real, Cell>(p).kept}, {p.T, p.B, 0});
  operands.finish();
  if (operands.failed()) return operands.error();
  return computed([&] { forward<Real, Cell>(p, on_pool(pool, threads), threads); });
}

ffi::Error Backward(ffi::ThreadPool pool, int64_t threads, bool has_lengths, bool norms, int64_t cut_steps,
                    ffi::RemainingArgs args, ffi::RemainingRets rets) {
  Problem p{};
  Operands operands("rnnexp's backward pass", args, rets);
  read(p, operands, has_lengths);
  if (operands.failed()) return operands.error();
  const int64_t columns = Cell::gates * p.H, with_c = Cell::has_c ? p.B : 0;
  p.h = const_cast<Real*>(operands.argument<Real>("h", {p.T, p.B, p.H}));
  p.saved = const_cast<Real*>(operands.argument<Real>("saved", {p.T, p.B, Layout<Real, Cell>(p).kept}));
  p.dh = operands.argument<Real>("dh", {p.T, p.B, p.H}, {0});
  p.dh_last = operands.argument<Real>("dh_last", {p.B, p.H});
  p.dc_last = operands.argument<Real>("dc_last", {with_c, p.H});
  p.dx = operands.result<Real>("dx", {p.T, p.B, p.I}, {0});
  p.dw_x = operands.result<Real>("dw_x", {p.I, columns});
  p.dw_h = operands.result<Real>("dw_h", {Cell::mask_h ? p.H : 0, columns});
  p.db = operands.result<Real>("db", {columns});
  p.db_hn = operands.result<Real>("db_hn", {Cell::has_hn ? p.H : 0});
  p.d_own = operands.result<Real>("d_own", {Cell::own, p.H});
  p.dh0 = operands.result<Real>("dh0", {p.B, p.H});
  p.dc0 = operands.result<Real>("dc0", {with_c, p.H});
  auto tap = [&](const char* name, bool exists) {
    if (!exists) return operands.result<Real>(name, {0});
    if (norms) return operands.result<Real>(name, {p.T, p.B}, {0});
    return operands.result<Real>(name, {p.T, p.B, p.H}, {0});
  };
  p.tap_h = tap("tap_h", true), p.tap_c = tap("tap_c", Cell::has_c), p.norms = norms;
  p.cut_steps = cut_steps;
  operands.finish();
  if (operands.failed()) return operands.error();
  return computed([&] { backward<Real, Cell>(p, on_pool(pool, threads), threads); });
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
                              rnnexp::Binding().Attr<bool>("norms").Attr<int64_t>("cut_steps").RemainingArgs().RemainingRets());

// Values that the forward pass keeps of one example and step.
extern "C" int64_t rnnexp_saved_size(int64_t hidden_size) {
  rnnexp::Problem p{};
  p.H = hidden_size;
  return rnnexp::Layout<RNNEXP_REAL, rnnexp::RNNEXP_CELL>(p).kept;
}
#pragma GCC visibility pop
