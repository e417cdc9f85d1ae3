// What a cell does with its pre-activations, and the derivatives of that, vector by vector.
//
// A step multiplies the row [1, x, h, 1] by weights that stand in panels of four vectors, whose
// meaning is the cell's. Its masks say on which of them 1 and x act (`mask_x`), and h
// (`mask_h`), and the last 1 (`mask_last`); `gate_x` and `gate_h` say which block of the
// matrices a vector is, `unit` which of a panel's vectors of units. Weights of the number `own` act
// on a unit's own state alone. Cells of two stages are in two_stages.h.
#pragma once

#include "matrix.h"
#include "problem.h"

namespace rnnexp {

// What the backward pass of a panel and row finds: what the forward pass kept, the states, and the
// weights that act unit by unit, [own][unit].
template <class T>
struct Before {
  const T *kept, *c_old, *h_old, *h_new, *own;
};

// What it makes. dh is what reaches h from above and after, dc what reaches c from after; they become
// what reaches the states before, but for the part through the products with dz. d_own is added to.
template <class T>
struct Adjoints {
  T *dh, *dc, *dz, *d_own;
};

template <class T>
inline void add(T* to, Vec<T> v) { store(to, load(to) + v); }

// What cells are unless they say otherwise.
struct CellFacts {
  static constexpr int own = 0, stages = 1, mask_last = 0;
  static constexpr bool has_c = false, has_hn = false;
};

// A panel is of one vector of units, each of whose vectors is a gate.
struct VectorPerGate : CellFacts {
  static constexpr int panel_units = 1;
  static constexpr int gate_x(int v) { return v; }
  static constexpr int gate_h(int v) { return v; }
  static constexpr int unit(int) { return 0; }
};

// A panel is of four vectors of units, of a cell's only block.
struct OneGate : CellFacts {
  static constexpr int gates = 1, mask_x = 15;
  static constexpr int panel_units = kVectors;
  static constexpr int gate_x(int) { return 0; }
  static constexpr int gate_h(int) { return 0; }
  static constexpr int unit(int v) { return v; }
};

// Vectors: the gates i, f, g, o; coupled, f, g, o, and i = 1 - f. Peepholes: of i, f, o, or of f, o.
template <bool Coupled, bool Peepholes>
struct AnyLstmCell : VectorPerGate {
  static constexpr int gates = Coupled ? 3 : 4, saved = gates + 1, own = Peepholes ? gates - 1 : 0;
  static constexpr bool has_c = true;
  static constexpr int mask_x = (1 << gates) - 1, mask_h = mask_x;
  static constexpr int f_at = Coupled ? 0 : 1, g_at = f_at + 1, o_at = f_at + 2;

  template <class T>
  static void forward(Vec<T> (&z)[kVectors], const T* own_, T* h, T* c, T* kept) {
    constexpr int n = Lanes<T>::n;
    const Vec<T> c_old = load(c);
    if constexpr (Peepholes) {
      if (!Coupled) z[0] += load(own_) * c_old;
      z[f_at] += load(own_ + f_at * n) * c_old;
    }
    const Vec<T> f = sigmoid(z[f_at]), g = tanh(z[g_at]);
    const Vec<T> i = Coupled ? T(1) - f : sigmoid(z[0]);
    const Vec<T> c_new = f * c_old + i * g;
    if constexpr (Peepholes) z[o_at] += load(own_ + g_at * n) * c_new;
    const Vec<T> o = sigmoid(z[o_at]);
    store(c, c_new);
    store(h, o * tanh(c_new));
    if (kept == nullptr) return;
    if (!Coupled) store(kept, i);
    store(kept + f_at * n, f), store(kept + g_at * n, g), store(kept + o_at * n, o);
    store(kept + gates * n, c_new);
  }

  template <class T>
  static void backward(const Before<T>& was, const Adjoints<T>& d) {
    constexpr int n = Lanes<T>::n;
    const T* kept = was.kept;
    const Vec<T> f = load(kept + f_at * n), g = load(kept + g_at * n), o = load(kept + o_at * n);
    const Vec<T> i = Coupled ? T(1) - f : load(kept);
    const Vec<T> c_new = load(kept + gates * n), c_old = load(was.c_old), t = tanh(c_new);
    const Vec<T> dh = load(d.dh), d_o = dh * t * o * (T(1) - o);
    Vec<T> both = load(d.dc) + dh * o * (T(1) - t * t);
    if constexpr (Peepholes) both += d_o * load(was.own + g_at * n);
    const Vec<T> d_i = both * g * i * (T(1) - i);
    const Vec<T> d_f = both * (Coupled ? c_old - g : c_old) * f * (T(1) - f);
    if (!Coupled) store(d.dz, d_i);
    store(d.dz + f_at * n, d_f);
    store(d.dz + g_at * n, both * i * (T(1) - g * g));
    store(d.dz + o_at * n, d_o);
    Vec<T> dc = both * f;
    if constexpr (Peepholes) {
      if (!Coupled) dc += d_i * load(was.own), add(d.d_own, d_i * c_old);
      dc += d_f * load(was.own + f_at * n), add(d.d_own + f_at * n, d_f * c_old);
      add(d.d_own + g_at * n, d_o * c_new);
    }
    store(d.dc, dc);
    store(d.dh, Vec<T>{});
  }
};

using LstmCell = AnyLstmCell<false, false>;
using PeepholeLstmCell = AnyLstmCell<false, true>;
using CoupledLstmCell = AnyLstmCell<true, false>;
using CoupledPeepholeLstmCell = AnyLstmCell<true, true>;

// Vectors: reset, update, the candidate's share of x, its share of h.
struct GruCell : VectorPerGate {
  static constexpr int gates = 3, saved = 4;
  static constexpr bool has_hn = true;
  static constexpr int mask_x = 7, mask_h = 11, mask_last = 8;
  static constexpr int gate_h(int v) { return v == 3 ? 2 : v; }

  template <class T>
  static void forward(Vec<T> (&v)[kVectors], const T*, T* h, T*, T* kept) {
    constexpr int n = Lanes<T>::n;
    Vec<T> r = sigmoid(v[0]), z = sigmoid(v[1]), candidate = tanh(v[2] + r * v[3]);
    store(h, (T(1) - z) * candidate + z * load(h));
    if (kept == nullptr) return;
    store(kept, r), store(kept + n, z), store(kept + 2 * n, candidate), store(kept + 3 * n, v[3]);
  }

  template <class T>
  static void backward(const Before<T>& was, const Adjoints<T>& d) {
    constexpr int n = Lanes<T>::n;
    Vec<T> r = load(was.kept), z = load(was.kept + n), candidate = load(was.kept + 2 * n), dh = load(d.dh);
    Vec<T> dx = dh * (T(1) - z) * (T(1) - candidate * candidate);
    store(d.dz, dx * load(was.kept + 3 * n) * r * (T(1) - r));
    store(d.dz + n, dh * (load(was.h_old) - candidate) * z * (T(1) - z));
    store(d.dz + 2 * n, dx);
    store(d.dz + 3 * n, dx * r);
    store(d.dh, dh * z);
  }
};

enum Activation { kTanh, kRelu, kLinear };

template <Activation A>
struct ElmanCell : OneGate {
  static constexpr int saved = 0, mask_h = 15;

  template <class T>
  static void forward(Vec<T> (&z)[kVectors], const T*, T* h, T*, T*) {
    for (int v = 0; v < kVectors; ++v) {
      Vec<T> a = z[v];
      if (A == kTanh) a = tanh(a);
      if (A == kRelu) a = a < T(0) ? Vec<T>{} : a;  // NaN stays NaN
      store(h + v * Lanes<T>::n, a);
    }
  }

  template <class T>
  static void backward(const Before<T>& was, const Adjoints<T>& d) {
    for (int v = 0; v < kVectors; ++v) {
      int at = v * Lanes<T>::n;
      Vec<T> dh = load(d.dh + at), h = load(was.h_new + at);
      if (A == kTanh) dh = dh * (T(1) - h * h);
      if (A == kRelu) dh = h > T(0) ? dh : Vec<T>{};
      store(d.dz + at, dh);
      store(d.dh + at, Vec<T>{});
    }
  }
};

using TanhCell = ElmanCell<kTanh>;
using ReluCell = ElmanCell<kRelu>;
using LinearCell = ElmanCell<kLinear>;

}  // namespace rnnexp
