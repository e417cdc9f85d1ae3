// Cells in which a unit reads no other: h acts on no pre-activation, or on its own alone.
#pragma once

#include "cells.h"

namespace rnnexp {

// h = relu(z + u h), u the weights that act unit by unit.
struct IndRnnCell : OneGate {
  static constexpr int saved = 0, own = 1, mask_h = 0;

  template <class T>
  static void forward(Vec<T> (&z)[kVectors], const T* u, T* h, T*, T*) {
    for (int v = 0; v < kVectors; ++v) {
      const int at = v * Lanes<T>::n;
      const Vec<T> a = z[v] + load(u + at) * load(h + at);
      store(h + at, a < T(0) ? Vec<T>{} : a);  // NaN stays NaN
    }
  }

  template <class T>
  static void backward(const Before<T>& was, const Adjoints<T>& d) {
    for (int v = 0; v < kVectors; ++v) {
      const int at = v * Lanes<T>::n;
      const Vec<T> dz = load(was.h_new + at) > T(0) ? load(d.dh + at) : Vec<T>{};
      store(d.dz + at, dz);
      add(d.d_own + at, dz * load(was.h_old + at));
      store(d.dh + at, dz * load(was.own + at));
    }
  }
};

// The candidate of the minimal cells: x, or, with `Positive`, x + 1/2 from 0 on and s(x) below.
template <bool Positive, class T>
inline Vec<T> candidate(Vec<T> x) {
  if constexpr (!Positive) return x;
  return x >= T(0) ? x + T(0.5) : sigmoid(x);
}
// Its slope, from its value.
template <bool Positive, class T>
inline Vec<T> candidate_slope(Vec<T> value) {
  const Vec<T> one = Vec<T>{} + T(1);
  if constexpr (!Positive) return one;
  return value >= T(0.5) ? one : value * (T(1) - value);
}

// h = (1 - z) h + z g(n). Vectors: z and n of two vectors of units.
template <bool Positive>
struct AnyMinGruCell : CellFacts {
  static constexpr int gates = 2, saved = 4, mask_x = 15, mask_h = 0;
  static constexpr int panel_units = 2;
  static constexpr int gate_x(int v) { return v / 2; }
  static constexpr int gate_h(int v) { return v / 2; }
  static constexpr int unit(int v) { return v % 2; }

  template <class T>
  static void forward(Vec<T> (&a)[kVectors], const T*, T* h, T*, T* kept) {
    constexpr int n = Lanes<T>::n;
    for (int u = 0; u < 2; ++u) {
      const Vec<T> z = sigmoid(a[u]), g = candidate<Positive, T>(a[2 + u]);
      store(h + u * n, (T(1) - z) * load(h + u * n) + z * g);
      if (kept != nullptr) store(kept + u * n, z), store(kept + (2 + u) * n, g);
    }
  }

  template <class T>
  static void backward(const Before<T>& was, const Adjoints<T>& d) {
    constexpr int n = Lanes<T>::n;
    for (int u = 0; u < 2; ++u) {
      const Vec<T> z = load(was.kept + u * n), g = load(was.kept + (2 + u) * n), dh = load(d.dh + u * n);
      store(d.dz + u * n, dh * (g - load(was.h_old + u * n)) * z * (T(1) - z));
      store(d.dz + (2 + u) * n, dh * z * candidate_slope<Positive, T>(g));
      store(d.dh + u * n, dh * (T(1) - z));
    }
  }
};

// h = p h + (1 - p) g(n), p = s(f) / (s(f) + s(i)).
template <bool Positive>
struct AnyMinLstmCell : VectorPerGate {
  static constexpr int gates = 3, saved = 4, mask_x = 7, mask_h = 0;

  template <class T>
  static Vec<T> larger(Vec<T> a, Vec<T> b) { return a > b ? a : b; }

  template <class T>
  static void forward(Vec<T> (&a)[kVectors], const T*, T* h, T*, T* kept) {
    constexpr int n = Lanes<T>::n;
    // p = (1 + e^-i) / (2 + e^-f + e^-i), over the largest of its terms, so that none overflows
    const Vec<T> most = larger<T>(larger<T>(-a[0], -a[1]), Vec<T>{});
    const Vec<T> one = exponential(-most), of_f = exponential(-a[0] - most), of_i = exponential(-a[1] - most);
    const Vec<T> p = (one + of_i) / (T(2) * one + of_f + of_i), g = candidate<Positive, T>(a[2]);
    store(h, p * load(h) + (T(1) - p) * g);
    if (kept == nullptr) return;
    store(kept, p), store(kept + n, g), store(kept + 2 * n, sigmoid(-a[0])), store(kept + 3 * n, sigmoid(-a[1]));
  }

  template <class T>
  static void backward(const Before<T>& was, const Adjoints<T>& d) {
    constexpr int n = Lanes<T>::n;
    const Vec<T> p = load(was.kept), g = load(was.kept + n), dh = load(d.dh);
    const Vec<T> d_ratio = dh * (load(was.h_old) - g) * p * (T(1) - p);
    store(d.dz, d_ratio * load(was.kept + 2 * n));
    store(d.dz + n, -d_ratio * load(was.kept + 3 * n));
    store(d.dz + 2 * n, dh * (T(1) - p) * candidate_slope<Positive, T>(g));
    store(d.dh, dh * p);
  }
};

using MinGruCell = AnyMinGruCell<false>;
using PositiveMinGruCell = AnyMinGruCell<true>;
using MinLstmCell = AnyMinLstmCell<false>;
using PositiveMinLstmCell = AnyMinLstmCell<true>;

}  // namespace rnnexp
