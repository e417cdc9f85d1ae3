// Vectors of the instruction set that is compiled for, and functions of them.
#pragma once

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <cstring>

namespace rnnexp {

#if defined(__AVX512F__)
constexpr int kBytes = 64, kRows = 6;  // 6 rows by 4 vectors are 24 of 32 registers
#elif defined(__AVX2__)
constexpr int kBytes = 32, kRows = 3;  // 12 of 16
#else
constexpr int kBytes = 16, kRows = 2;
#endif
constexpr int kVectors = 4;  // of a panel: the four gates of as many units as a vector has lanes

template <class T>
struct Lanes {
  typedef T Vec __attribute__((vector_size(kBytes)));
  static constexpr int n = kBytes / sizeof(T);
};
template <class T>
using Vec = typename Lanes<T>::Vec;
typedef int32_t Ints __attribute__((vector_size(kBytes)));

template <class T>
inline Vec<T> load(const T* p) {
  Vec<T> v;
  __builtin_memcpy(&v, p, sizeof v);
  return v;
}
template <class T>
inline void store(T* p, Vec<T> v) {
  __builtin_memcpy(p, &v, sizeof v);
}
// Has a vector loaded once, not anew from memory for each product that it is in: the compiler holds those
// loads to be free, but there are two in a cycle at most, as there are products.
template <class V>
inline void in_register(V& vector) {
#if defined(__x86_64__)
  asm("" : "+v"(vector));
#endif
}
// The first `count` elements, as many as a vector has at most; the others are 0.
template <class T>
inline Vec<T> load_part(const T* p, int count) {
  if (count >= Lanes<T>::n) return load(p);
  Vec<T> v{};
  __builtin_memcpy(&v, p, count * sizeof(T));
  return v;
}
template <class T>
inline void store_part(T* p, Vec<T> v, int count) {
  if (count >= Lanes<T>::n) return store(p, v);
  __builtin_memcpy(p, &v, count * sizeof(T));
}

// e^x to about one unit in the last place, for |x| <= 87: 2^n e^r with |r| <= ln 2 / 2, where
// e^r = 1 + r + r^2 p(r); p is the Chebyshev fit of degree 4. NaN stays NaN.
inline Vec<float> exponential(Vec<float> x) {
  x = x > 87.0f ? Vec<float>{} + 87.0f : x;
  x = x < -87.0f ? Vec<float>{} - 87.0f : x;
  const float round = 12582912.0f;  // 1.5 * 2^23: adding it leaves no room for a fraction
  Vec<float> n = (x * 1.44269504f + round) - round;
  Vec<float> r = (x - n * 0.693359375f) + n * 2.12194440e-4f;  // ln 2 in two parts
  Vec<float> p = ((0.00139337f * r + 0.00836324f) * r + 0.04166646f) * r + 0.16666577f;
  p = (p * r + 0.5f) * (r * r) + r + 1.0f;
  Ints bits = (__builtin_convertvector(n, Ints) + 127) << 23;
  Vec<float> scale;
  __builtin_memcpy(&scale, &bits, sizeof scale);
  return p * scale;
}
inline Vec<float> sigmoid(Vec<float> x) { return 1.0f / (1.0f + exponential(-x)); }
// Near 0 x + x^3 p(x^2), p the Chebyshev fit of degree 4, so that small values keep all digits.
inline Vec<float> tanh(Vec<float> x) {
  Vec<float> size = x < 0.0f ? -x : x;
  Vec<float> far = 1.0f - 2.0f / (exponential(2.0f * size) + 1.0f);
  Vec<float> s = x * x;
  Vec<float> p = ((-0.0060622f * s + 0.02097413f) * s - 0.05384626f) * s + 0.13332741f;
  Vec<float> near = (p * s - 0.33333329f) * (s * x) + x;
  return size < 0.625f ? near : (x < 0.0f ? -far : far);
}
inline Vec<double> exponential(Vec<double> x) {
  for (int i = 0; i < Lanes<double>::n; ++i) x[i] = std::exp(x[i]);
  return x;
}
inline Vec<double> sigmoid(Vec<double> x) {
  for (int i = 0; i < Lanes<double>::n; ++i) x[i] = 1.0 / (1.0 + std::exp(-x[i]));
  return x;
}
inline Vec<double> tanh(Vec<double> x) {
  for (int i = 0; i < Lanes<double>::n; ++i) x[i] = std::tanh(x[i]);
  return x;
}

// The Euclidean norm, free of overflow and underflow: squares of floats fit into a double, and of doubles the largest is
// divided out first. What is not finite stays so.
template <class T>
double euclidean_norm(const T* row, int64_t size) {
  double scale = 1;
  if constexpr (sizeof(T) == sizeof(double)) {
    double largest = 0;
    for (int64_t i = 0; i < size; ++i) largest = std::max(largest, std::abs(row[i]));
    if (largest > 0 && std::isfinite(largest)) scale = largest;
  }
  constexpr int lanes = 8;  // sums apart from each other, to go on side by side
  double sums[lanes] = {};
  for (int64_t i = 0; i < size; i += lanes)
    for (int lane = 0; lane < std::min<int64_t>(lanes, size - i); ++lane) {
      const double x = row[i + lane] / scale;
      sums[lane] += x * x;
    }
  double total = 0;
  for (double sum : sums) total += sum;
  return scale * std::sqrt(total);
}

}  // namespace rnnexp
