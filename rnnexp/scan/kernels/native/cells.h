// What a cell does with its pre-activations, and the derivatives of that, vector by vector.
//
// A step multiplies the row [1, x, h, 1] by weights that stand in panels of four vectors, whose
// meaning is the cell's. Its masks say on which of them 1 and x act (`mask_x`), and h
// (`mask_h`), and the last 1 (`mask_last`); `gate_x` and `gate_h` say which block of the
// matrices a vector is.
#pragma once

#include "matrix.h"
#include "problem.h"

namespace rnnexp {

struct LstmCell {
  static constexpr int gates = 4, saved = 5;
  static constexpr bool has_c = true, has_hn = false;
  static constexpr int mask_x = 15, mask_h = 15, mask_last = 0;
  static constexpr int panel_units = 1;  // vectors of units in a panel
  static constexpr int gate_x(int v) { return v; }
  static constexpr int gate_h(int v) { return v; }

  template <class T>
  static void forward(Vec<T> (&z)[kVectors], T* h, T* c, T* kept) {
    constexpr int n = Lanes<T>::n;
    Vec<T> i = sigmoid(z[0]), f = sigmoid(z[1]), g = tanh(z[2]), o = sigmoid(z[3]);
    Vec<T> c_new = f * load(c) + i * g;
    store(c, c_new);
    store(h, o * tanh(c_new));
    if (kept == nullptr) return;
    store(kept, i), store(kept + n, f), store(kept + 2 * n, g), store(kept + 3 * n, o);
    store(kept + 4 * n, c_new);
  }

  // dh is what reaches h from above and after; dc what reaches c from after.
  template <class T>
  static void backward(const T* kept, const T* c_old, const T*, const T*, T* dh, T* dc, T* dz) {
    constexpr int n = Lanes<T>::n;
    Vec<T> i = load(kept), f = load(kept + n), g = load(kept + 2 * n), o = load(kept + 3 * n);
    Vec<T> t = tanh(load(kept + 4 * n)), d = load(dh);
    Vec<T> both = load(dc) + d * o * (T(1) - t * t);
    store(dz, both * g * i * (T(1) - i));
    store(dz + n, both * load(c_old) * f * (T(1) - f));
    store(dz + 2 * n, both * i * (T(1) - g * g));
    store(dz + 3 * n, d * t * o * (T(1) - o));
    store(dc, both * f);
    store(dh, Vec<T>{});
  }
};

// Vectors: reset, update, the candidate's share of x, its share of h.
struct GruCell {
  static constexpr int gates = 3, saved = 4;
  static constexpr bool has_c = false, has_hn = true;
  static constexpr int mask_x = 7, mask_h = 11, mask_last = 8;
  static constexpr int panel_units = 1;
  static constexpr int gate_x(int v) { return v; }
  static constexpr int gate_h(int v) { return v == 3 ? 2 : v; }

  template <class T>
  static void forward(Vec<T> (&v)[kVectors], T* h, T*, T* kept) {
    constexpr int n = Lanes<T>::n;
    Vec<T> r = sigmoid(v[0]), z = sigmoid(v[1]), candidate = tanh(v[2] + r * v[3]);
    store(h, (T(1) - z) * candidate + z * load(h));
    if (kept == nullptr) return;
    store(kept, r), store(kept + n, z), store(kept + 2 * n, candidate), store(kept + 3 * n, v[3]);
  }

  template <class T>
  static void backward(const T* kept, const T*, const T* h_old, const T*, T* dh, T*, T* dz) {
    constexpr int n = Lanes<T>::n;
    Vec<T> r = load(kept), z = load(kept + n), candidate = load(kept + 2 * n), d = load(dh);
    Vec<T> dx = d * (T(1) - z) * (T(1) - candidate * candidate);
    store(dz, dx * load(kept + 3 * n) * r * (T(1) - r));
    store(dz + n, d * (load(h_old) - candidate) * z * (T(1) - z));
    store(dz + 2 * n, dx);
    store(dz + 3 * n, dx * r);
    store(dh, d * z);
  }
};

enum Activation { kTanh, kRelu, kLinear };

template <Activation A>
struct ElmanCell {
  static constexpr int gates = 1, saved = 0;
  static constexpr bool has_c = false, has_hn = false;
  static constexpr int mask_x = 15, mask_h = 15, mask_last = 0;
  static constexpr int panel_units = kVectors;
  static constexpr int gate_x(int) { return 0; }
  static constexpr int gate_h(int) { return 0; }

  template <class T>
  static void forward(Vec<T> (&z)[kVectors], T* h, T*, T*) {
    for (int v = 0; v < kVectors; ++v) {
      Vec<T> a = z[v];
      if (A == kTanh) a = tanh(a);
      if (A == kRelu) a = a < T(0) ? Vec<T>{} : a;  // NaN stays NaN
      store(h + v * Lanes<T>::n, a);
    }
  }

  template <class T>
  static void backward(const T*, const T*, const T*, const T* h_new, T* dh, T*, T* dz) {
    for (int v = 0; v < kVectors; ++v) {
      int at = v * Lanes<T>::n;
      Vec<T> d = load(dh + at), h = load(h_new + at);
      if (A == kTanh) d = d * (T(1) - h * h);
      if (A == kRelu) d = h > T(0) ? d : Vec<T>{};
      store(dz + at, d);
      store(dh + at, Vec<T>{});
    }
  }
};

using TanhCell = ElmanCell<kTanh>;
using ReluCell = ElmanCell<kRelu>;
using LinearCell = ElmanCell<kLinear>;

}  // namespace rnnexp
