// The buffers of a call, compared with what they must be: no memory is touched unless every type, every
// shape and every size fits.
#pragma once

#include <initializer_list>
#include <string>

#include "problem.h"
#include "xla/ffi/api/ffi.h"

namespace rnnexp {

namespace ffi = xla::ffi;
using Dims = std::initializer_list<int64_t>;
using Shape = ffi::AnyBuffer::Dimensions;

template <class Sizes>
std::string described(const Sizes& sizes) {
  std::string text = "[";
  for (int64_t size : sizes) text += (text.size() == 1 ? "" : ",") + std::to_string(size);
  return text + "]";
}

inline std::string described(ffi::DataType type) {
  if (type == ffi::DataType::F32) return "float32";
  if (type == ffi::DataType::F64) return "float64";
  if (type == ffi::DataType::S32) return "int32";
  return "XLA's type " + std::to_string(static_cast<int>(type));
}

inline bool same(const Shape& got, Dims wanted) {
  return got.size() == wanted.size() && std::equal(got.begin(), got.end(), wanted.begin());
}

// Whether these numbers are not negative, and their product, 0 left out, is a number of 63 bits.
inline bool product_fits(Dims factors) {
  int64_t product = 1;
  for (int64_t factor : factors)
    if (factor < 0 || __builtin_mul_overflow(product, std::max<int64_t>(factor, 1), &product)) return false;
  return true;
}

// Whether every place in memory that the kernels compute is a number of 63 bits. They fill sizes up by less
// than `spare`, and keep less than `bytes` bytes for one of T B (I + H), and for one of (I + H)^2.
inline bool sizes_fit(const Problem& p) {
  constexpr int64_t bytes = 1024, spare = 256;
  int64_t rows, line;
  return product_fits({p.T, p.B}) && product_fits({p.I, p.H}) && !__builtin_add_overflow(p.B, spare, &rows) &&
         !__builtin_add_overflow(p.I, p.H, &line) && !__builtin_add_overflow(line, spare, &line) &&
         product_fits({p.T, rows, line, bytes}) && product_fits({line, line, bytes});
}

// Hands out the memory of the buffers in their order, null where a buffer is empty. After one that does
// not fit it hands out nothing, and `error` says which that was.
class Operands {
 public:
  Operands(const char* call, const ffi::RemainingArgs& args, const ffi::RemainingRets& rets)
      : call_(call), args_(args), rets_(rets) {}

  // Sizes from the first argument, x, and the seventh, h0.
  void read_sizes(Problem& p) {
    const Shape x = shape("x", 0, 3), h0 = shape("h0", 6, 2);
    if (failed()) return;
    p.T = x[0], p.B = x[1], p.I = x[2], p.H = h0[1];
    if (!sizes_fit(p)) refuse("the sizes of x" + described(x) + " and h0" + described(h0) + " overflow");
  }

  // The next argument; `or_else` is another shape that it may have.
  template <class T>
  const T* argument(const char* name, Dims wanted, Dims or_else = {-1}) {
    if (failed()) return nullptr;
    auto buffer = args_.get<ffi::AnyBuffer>(arguments_++);
    if (!buffer.has_value()) return refuse("there is no argument " + std::string(name)), nullptr;
    return memory<T>("argument ", name, *buffer, wanted, or_else);
  }

  // The next result.
  template <class T>
  T* result(const char* name, Dims wanted, Dims or_else = {-1}) {
    if (failed()) return nullptr;
    auto buffer = rets_.get<ffi::AnyBuffer>(results_++);
    if (!buffer.has_value()) return refuse("there is no result " + std::string(name)), nullptr;
    return memory<T>("result ", name, **buffer, wanted, or_else);
  }

  // To be called last: there are no more buffers than were asked for.
  void finish() {
    if (failed() || (args_.size() == arguments_ && rets_.size() == results_)) return;
    refuse(std::to_string(args_.size()) + " arguments and " + std::to_string(rets_.size()) +
           " results, expected " + std::to_string(arguments_) + " and " + std::to_string(results_));
  }

  bool failed() const { return !error_.empty(); }
  ffi::Error error() const { return ffi::Error::InvalidArgument(error_); }

 private:
  void refuse(const std::string& text) { error_ = std::string(call_) + ": " + text; }

  Shape shape(const char* name, size_t place, size_t rank) {
    if (failed()) return Shape();
    auto buffer = args_.get<ffi::AnyBuffer>(place);
    if (!buffer.has_value()) return refuse("there is no argument " + std::string(name)), Shape();
    const Shape got = buffer->dimensions();
    if (got.size() != rank)
      refuse("argument " + std::string(name) + " is " + described(buffer->element_type()) + described(got) +
             ", expected " + std::to_string(rank) + " axes");
    return got;
  }

  template <class T>
  T* memory(const char* kind, const char* name, const ffi::AnyBuffer& buffer, Dims wanted, Dims or_else) {
    constexpr ffi::DataType type = std::is_same_v<T, int32_t> ? ffi::DataType::S32
                                   : std::is_same_v<T, float> ? ffi::DataType::F32
                                                              : ffi::DataType::F64;
    const Shape got = buffer.dimensions();
    if (buffer.element_type() != type || !(same(got, wanted) || same(got, or_else))) {
      const bool one = *or_else.begin() < 0;
      refuse(kind + std::string(name) + " is " + described(buffer.element_type()) + described(got) +
             ", expected " + described(type) + described(wanted) + (one ? "" : " or " + described(or_else)));
      return nullptr;
    }
    if (std::find(got.begin(), got.end(), 0) != got.end()) return nullptr;
    void* data = buffer.untyped_data();
    if (data == nullptr || reinterpret_cast<uintptr_t>(data) % alignof(T) != 0)
      return refuse(kind + std::string(name) + " is not at an address for its type"), nullptr;
    return static_cast<T*>(data);
  }

  const char* call_;
  const ffi::RemainingArgs& args_;
  const ffi::RemainingRets& rets_;
  size_t arguments_ = 0, results_ = 0;
  std::string error_;
};

}  // namespace rnnexp
