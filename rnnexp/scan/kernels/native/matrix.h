// Products of small matrices, held in registers: rows of a batch by panels of four vectors.
#pragma once

#include <algorithm>
#include <vector>

#include "vector.h"

namespace rnnexp {

// Memory at a vector's boundary.
template <class T>
class Buffer {
 public:
  Buffer() = default;
  explicit Buffer(size_t size) : memory_(size + kBytes / sizeof(T)) {
    auto address = reinterpret_cast<uintptr_t>(memory_.data());
    begin_ = memory_.data() + (kBytes - address % kBytes) % kBytes / sizeof(T);
  }
  Buffer(Buffer&&) = default;
  Buffer& operator=(Buffer&&) = default;
  T* data() const { return begin_; }

 private:
  std::vector<T> memory_;
  T* begin_ = nullptr;
};

// Calls f(count), 1 to Most, as a constant of the call.
template <int Most, class F>
inline void call_with(int count, F&& f) {
  if constexpr (Most > 1) {
    if (count < Most) return call_with<Most - 1>(count, f);
  }
  f(std::integral_constant<int, Most>());
}

// Calls f(first, count) for rows in tiles of at most `Most`, as equal as can be; the count is
// a constant of the call.
template <int Most = kRows, class F>
inline void in_tiles(int64_t rows, F&& f) {
  const int64_t tiles = (rows + Most - 1) / Most;
  if (tiles == 0) return;
  // In 32 bits, where that does, a division takes a fraction of the time.
  const int64_t least = rows <= INT32_MAX ? static_cast<uint32_t>(rows) / static_cast<uint32_t>(tiles) : rows / tiles;
  const int64_t more = rows - least * tiles;  // as rows * i / tiles, which may overflow
  for (int64_t i = 0, first = 0, left = 0; i < tiles; ++i) {
    left += more;
    const int64_t count = least + (left >= tiles);
    left -= left >= tiles ? tiles : 0;
    call_with<Most>(static_cast<int>(count), [&](auto constant) { f(first, constant); });
    first += count;
  }
}

// acc[r][v] += sum over k of a[r * row + k * column] * b[k * stride + v * lanes], for k < depth and the
// vectors in Mask. The sums, and either one number of each row and one vector or the other way round, are
// all the registers that it needs.
template <int R, int Mask, class T>
inline void multiply(Vec<T> (&acc)[R][kVectors], const T* a, int64_t row, int64_t column,
                     const T* b, int64_t stride, int64_t depth) {
  constexpr int n = Lanes<T>::n;
  constexpr bool vectors_stay = __builtin_popcount(Mask) < R;
  auto number = [&](int r, int64_t k) { return a[r * row + k * column] - Vec<T>{}; };
  auto vector = [&](int v, int64_t k) {
    Vec<T> w = load(b + k * stride + v * n);
    in_register(w);
    return w;
  };
  for (int64_t k = 0; k < depth; ++k) {
    Vec<T> s[R], w[kVectors];
    if constexpr (vectors_stay) {
#pragma GCC unroll 4
      for (int v = 0; v < kVectors; ++v)
        if (Mask >> v & 1) w[v] = vector(v, k);
#pragma GCC unroll 8
      for (int r = 0; r < R; ++r) {
        s[r] = number(r, k);
#pragma GCC unroll 4
        for (int v = 0; v < kVectors; ++v)
          if (Mask >> v & 1) acc[r][v] += w[v] * s[r];
      }
    } else {
#pragma GCC unroll 8
      for (int r = 0; r < R; ++r) s[r] = number(r, k);
#pragma GCC unroll 4
      for (int v = 0; v < kVectors; ++v)
        if (Mask >> v & 1) {
          w[v] = vector(v, k);
#pragma GCC unroll 8
          for (int r = 0; r < R; ++r) acc[r][v] += w[v] * s[r];
        }
    }
  }
}

}  // namespace rnnexp
