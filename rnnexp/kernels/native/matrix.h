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

// Calls f(first, count) for rows in tiles of at most kRows, as equal as can be; the count is
// a constant of the call.
template <class F>
inline void in_tiles(int rows, F&& f) {
  int tiles = (rows + kRows - 1) / kRows;
  for (int i = 0; i < tiles; ++i) {
    int first = rows * i / tiles, count = rows * (i + 1) / tiles - first;
    switch (count) {
      case 1: f(first, std::integral_constant<int, 1>()); break;
      case 2: f(first, std::integral_constant<int, 2>()); break;
#if defined(__AVX2__)
      case 3: f(first, std::integral_constant<int, 3>()); break;
#endif
#if defined(__AVX512F__)
      case 4: f(first, std::integral_constant<int, 4>()); break;
      case 5: f(first, std::integral_constant<int, 5>()); break;
      case 6: f(first, std::integral_constant<int, 6>()); break;
#endif
    }
  }
}

// acc[r][v] += sum over k of a[r * row + k * column] * b[k * stride + v * lanes], for k < depth and the
// vectors in Mask. The sums, one number of each row, and one vector are all the registers that it needs.
template <int R, int Mask, class T>
inline void multiply(Vec<T> (&acc)[R][kVectors], const T* a, int64_t row, int64_t column,
                     const T* b, int64_t stride, int64_t depth) {
  constexpr int n = Lanes<T>::n;
  for (int64_t k = 0; k < depth; ++k) {
    Vec<T> s[R];
#pragma GCC unroll 6
    for (int r = 0; r < R; ++r) s[r] = a[r * row + k * column] - Vec<T>{};
#pragma GCC unroll 4
    for (int v = 0; v < kVectors; ++v)
      if (Mask >> v & 1) {
        Vec<T> vector = load(b + k * stride + v * n);
        in_register(vector);
#pragma GCC unroll 6
        for (int r = 0; r < R; ++r) acc[r][v] += vector * s[r];
      }
  }
}

}  // namespace rnnexp
