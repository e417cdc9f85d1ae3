// Cells whose candidate reads a gated state, q = gate * h: a step has two products, one after the other.
//
// The row is [1, x, h, q]; `mask_last` says on which vector q acts. The forward pass keeps the gate that q
// is made with first, and the candidate, before that its share of 1 and x, in `candidate_at`.
#pragma once

#include "cells.h"

namespace rnnexp {

// GRU with the reset before the product. Vectors: reset, update, candidate.
struct ResetBeforeGruCell : VectorPerGate {
  static constexpr int gates = 3, saved = 3, stages = 2, candidate_at = 2;
  static constexpr int mask_x = 7, mask_h = 3, mask_last = 4;

  template <class T>
  static void open(Vec<T> (&v)[kVectors], const T* h, T* q, T* kept) {
    constexpr int n = Lanes<T>::n;
    const Vec<T> r = sigmoid(v[0]);
    store(q, r * load(h));
    store(kept, r), store(kept + n, sigmoid(v[1])), store(kept + 2 * n, v[2]);
  }

  template <class T>
  static void close(Vec<T> of_q, T* h, T* kept) {
    constexpr int n = Lanes<T>::n;
    const Vec<T> z = load(kept + n), candidate = tanh(load(kept + 2 * n) + of_q);
    store(h, (T(1) - z) * candidate + z * load(h));
    store(kept + 2 * n, candidate);
  }

  // What is known before the adjoint of q is.
  template <class T>
  static void backward_candidate(const Before<T>& was, const Adjoints<T>& d) {
    constexpr int n = Lanes<T>::n;
    const Vec<T> z = load(was.kept + n), candidate = load(was.kept + 2 * n), dh = load(d.dh);
    store(d.dz + n, dh * (load(was.h_old) - candidate) * z * (T(1) - z));
    store(d.dz + 2 * n, dh * (T(1) - z) * (T(1) - candidate * candidate));
    store(d.dh, dh * z);
  }

  template <class T>
  static void backward_gate(const Before<T>& was, const Adjoints<T>& d, Vec<T> dq) {
    const Vec<T> r = load(was.kept);
    store(d.dz, dq * load(was.h_old) * r * (T(1) - r));
    add(d.dh, dq * r);
  }
};

// Minimal gated unit. Vectors: forget gate, candidate.
struct MinimalGatedCell : VectorPerGate {
  static constexpr int gates = 2, saved = 2, stages = 2, candidate_at = 1;
  static constexpr int mask_x = 3, mask_h = 1, mask_last = 2;

  template <class T>
  static void open(Vec<T> (&v)[kVectors], const T* h, T* q, T* kept) {
    const Vec<T> f = sigmoid(v[0]);
    store(q, f * load(h));
    store(kept, f), store(kept + Lanes<T>::n, v[1]);
  }

  template <class T>
  static void close(Vec<T> of_q, T* h, T* kept) {
    constexpr int n = Lanes<T>::n;
    const Vec<T> f = load(kept), candidate = tanh(load(kept + n) + of_q);
    store(h, (T(1) - f) * load(h) + f * candidate);
    store(kept + n, candidate);
  }

  // Leaves the derivative by f itself, without that through q, in the place of that by its pre-activation.
  template <class T>
  static void backward_candidate(const Before<T>& was, const Adjoints<T>& d) {
    constexpr int n = Lanes<T>::n;
    const Vec<T> f = load(was.kept), candidate = load(was.kept + n), dh = load(d.dh);
    store(d.dz, dh * (candidate - load(was.h_old)));
    store(d.dz + n, dh * f * (T(1) - candidate * candidate));
    store(d.dh, dh * (T(1) - f));
  }

  template <class T>
  static void backward_gate(const Before<T>& was, const Adjoints<T>& d, Vec<T> dq) {
    const Vec<T> f = load(was.kept);
    store(d.dz, (load(d.dz) + dq * load(was.h_old)) * f * (T(1) - f));
    add(d.dh, dq * f);
  }
};

}  // namespace rnnexp
