// A cell over a whole batch of sequences, forward and backward.
//
// The batch is divided into blocks of examples, each a task of its own from the first step
// to the last: no thread ever waits for another. The states and the weights stay in the cache;
// what the backward pass needs is written once. The backward pass runs the linear recurrence of
// the adjoints and gathers the gradient of the weights over several steps at a time.
#pragma once

#include "layout.h"

namespace rnnexp {

// Rows of a tile: where one of the four vectors is always 0, more of them fit into the registers.
template <class Cell>
constexpr int kTile = Cell::has_hn ? kRows * kVectors / (kVectors - 1) : kRows;

constexpr int kGathered = 128;  // rows, examples times steps, of one update of the gradient

template <class T, class Cell>
struct Block {
  const Problem& p;
  const Layout<T, Cell>& at;
  int64_t first;  // example
  int64_t rows;

  Block(const Problem& problem, const Layout<T, Cell>& layout, int number)
      : p(problem), at(layout), first(problem.B * number / block_count(problem.B)),
        rows(problem.B * (number + 1) / block_count(problem.B) - first) {}

  template <class P>
  P* sequence(P* base, int64_t t, int64_t r, int64_t size) const {
    return base + (t * p.B + first + r) * size;
  }
  bool valid(int64_t t, int64_t r) const { return p.lengths == nullptr || t < p.lengths[first + r]; }

  // Rows of (B, H) into memory with padded rows.
  Buffer<T> padded(const void* from) const {
    Buffer<T> to(rows * at.padded);
    if (from != nullptr)
      for (int64_t r = 0; r < rows; ++r)
        std::copy_n(sequence(static_cast<const T*>(from), 0, r, at.H), at.H,
                    to.data() + r * at.padded);
    return to;
  }
  // And back.
  void write(const T* from, void* to, int64_t t) const {
    for (int64_t r = 0; r < rows; ++r)
      std::copy_n(from + r * at.padded, at.H, sequence(static_cast<T*>(to), t, r, at.H));
  }
  // The row [1, x, h, 1] of every example.
  void gather(T* to, int64_t t, const T* h) const {
    for (int64_t r = 0; r < rows; ++r) {
      T* row = to + r * at.row;
      row[0] = T(1);
      std::copy_n(sequence(static_cast<const T*>(p.x), t, r, at.I), at.I, row + 1);
      std::copy_n(h + r * at.padded, at.H, row + at.x_end);
      if (Cell::has_hn) row[at.h_end] = T(1);
    }
  }
};

// The pre-activations of R rows of a panel: its part of [1, x, h, 1] times the weights. A function of
// its own, as its sums fill the registers, and what a cell does with them would push some out.
template <int R, class T, class Cell>
[[gnu::noinline]] void pre_activations(Vec<T> (&z)[R][kVectors], const T* a, const T* panel,
                                       const Layout<T, Cell>& at) {
  Vec<T> acc[R][kVectors]{};
  if constexpr (Cell::mask_x == Cell::mask_h) {
    multiply<R, Cell::mask_x, T>(acc, a, at.row, 1, panel, at.width, at.h_end);
  } else {
    multiply<R, Cell::mask_x, T>(acc, a, at.row, 1, panel, at.width, at.x_end);
    multiply<R, Cell::mask_h, T>(acc, a + at.x_end, at.row, 1, panel + at.x_end * at.width,
                                 at.width, at.H);
    multiply<R, Cell::mask_last, T>(acc, a + at.h_end, at.row, 1, panel + at.h_end * at.width,
                                    at.width, 1);
  }
  for (int r = 0; r < R; ++r)
    for (int v = 0; v < kVectors; ++v) z[r][v] = acc[r][v];
}

template <class T, class Cell>
void forward_block(const Block<T, Cell>& block, const T* packed) {
  const Problem& p = block.p;
  const Layout<T, Cell>& at = block.at;
  Buffer<T> a(block.rows * at.row), h = block.padded(p.h0), c = block.padded(p.c0);
  for (int64_t t = 0; t < p.T; ++t) {
    block.gather(a.data(), t, h.data());
    for (int64_t panel = 0; panel < at.panels; ++panel)
      in_tiles<kTile<Cell>>(block.rows, [&](int64_t first, auto tile) {
        constexpr int R = decltype(tile)::value;
        Vec<T> acc[R][kVectors];
        pre_activations<R>(acc, a.data() + first * at.row, packed + panel * at.depth * at.width, at);
        for (int r = 0; r < R; ++r) {
          if (!block.valid(t, first + r)) continue;
          const int64_t state = (first + r) * at.padded + panel * at.units;
          T* kept = p.saved == nullptr ? nullptr
                                       : block.sequence(static_cast<T*>(p.saved), t, first + r, at.kept) +
                                             panel * Cell::saved * at.n;
          Cell::forward(acc[r], h.data() + state, c.data() + state, kept);
        }
      });
    block.write(h.data(), p.h, t);
  }
  if (Cell::has_c) block.write(c.data(), p.c_last, 0);
}

// Keeps a row of the adjoints of step t, or its norm, where that is wanted; zeros after a sequence's end.
template <class T, class Cell>
void keep_adjoint(const Block<T, Cell>& block, void* to, int64_t t, int64_t r, const T* row) {
  if (to == nullptr) return;
  const bool valid = block.valid(t, r);
  const int64_t H = block.at.H;
  T* kept = block.sequence(static_cast<T*>(to), t, r, block.p.norms ? 1 : H);
  if (block.p.norms) *kept = valid ? T(euclidean_norm(row, H)) : T(0);
  else valid ? std::copy_n(row, H, kept) : std::fill_n(kept, H, T(0));
}

// What the adjoints of one step give: dz, rows of every panel; dh and dc become those before it.
template <class T, class Cell>
void backward_step(const Block<T, Cell>& block, int64_t t, const T* h_old, const T* h_new, const T* c0,
                   T* dh, T* dc, const Panels<T>& dz) {
  const Problem& p = block.p;
  const Layout<T, Cell>& at = block.at;
  for (int64_t r = 0; r < block.rows; ++r) {
    T *dh_row = dh + r * at.padded, *dc_row = dc + r * at.padded;
    if (p.dh != nullptr) {
      const T* above = block.sequence(static_cast<const T*>(p.dh), t, r, at.H);
      for (int64_t u = 0; u < at.H; ++u) dh_row[u] += above[u];
    }
    keep_adjoint(block, p.tap_h, t, r, dh_row);
    keep_adjoint(block, p.tap_c, t, r, dc_row);
    if (!block.valid(t, r)) {
      for (int64_t panel = 0; panel < at.panels; ++panel) std::fill_n(dz.at(panel, r), at.width, T(0));
      continue;
    }
    const T* kept = block.sequence(static_cast<const T*>(p.saved), t, r, at.kept);
    const T* before = t > 0 ? block.sequence(static_cast<const T*>(p.saved), t - 1, r, at.kept) : nullptr;
    for (int64_t panel = 0; panel < at.panels; ++panel) {
      const int64_t unit = panel * at.units, mine = panel * Cell::saved * at.n;
      const T* c_old = nullptr;
      if constexpr (Cell::has_c)
        c_old = t > 0 ? before + mine + (Cell::saved - 1) * at.n : c0 + r * at.padded + unit;
      Cell::backward(kept + mine, c_old, h_old + r * at.padded + unit, h_new + r * at.padded + unit,
                     dh_row + unit, dc_row + unit, dz.at(panel, r));
    }
  }
}

// Adds the products of R columns of a, rows long, with a panel of dz to their rows of the gradient. A
// function of its own for the same reason as `pre_activations`.
template <int R, int Mask, class T>
[[gnu::noinline]] void add_outer_products(const T* a, int64_t a_row, const T* dz, int64_t width,
                                          int64_t rows, T* gradient) {
  Vec<T> acc[R][kVectors]{};
  multiply<R, Mask, T>(acc, a, 1, a_row, dz, width, rows);
  for (int r = 0; r < R; ++r)
    for (int v = 0; v < kVectors; ++v)
      if (Mask >> v & 1) {
        T* to = gradient + r * width + v * Lanes<T>::n;
        store(to, load(to) + acc[r][v]);
      }
}

// Adds a^T dz to the gradient of the packed weights.
template <class T, class Cell>
void add_weight_gradient(const Layout<T, Cell>& at, const T* a, const Panels<T>& dz, int64_t rows,
                         T* gradient) {
  auto part = [&](int64_t first, int64_t end, auto mask) {
    constexpr int Mask = decltype(mask)::value;
    if constexpr (Mask != 0)
      for (int64_t panel = 0; panel < at.panels; ++panel)
        in_tiles<kTile<Cell>>(end - first, [&](int64_t k, auto tile) {
          add_outer_products<decltype(tile)::value, Mask>(
              a + first + k, at.row, dz.at(panel, 0), at.width, rows,
              gradient + (panel * at.depth + first + k) * at.width);
        });
  };
  part(0, at.x_end, std::integral_constant<int, Cell::mask_x>());
  part(at.x_end, at.h_end, std::integral_constant<int, Cell::mask_h>());
  part(at.h_end, at.depth, std::integral_constant<int, Cell::mask_last>());
}

template <class T, class Cell>
Buffer<T> backward_block(const Block<T, Cell>& block, const Transposed<T, Cell>& to_h,
                         const Transposed<T, Cell>* to_x) {
  const Problem& p = block.p;
  const Layout<T, Cell>& at = block.at;
  const int64_t group = std::max<int64_t>(1, kGathered / std::max<int64_t>(1, block.rows));
  Buffer<T> gradient(at.panels * at.depth * at.width);
  Buffer<T> a(group * block.rows * at.row), dz_memory(group * block.rows * at.columns);
  const Panels<T> dz{dz_memory.data(), group * block.rows, at.width};
  Buffer<T> dh = block.padded(p.dh_last), dc = block.padded(Cell::has_c ? p.dc_last : nullptr);
  Buffer<T> c0 = block.padded(p.c0), h0 = block.padded(p.h0);
  Buffer<T> h_new(block.rows * at.padded), h_old(block.rows * at.padded);
  const int64_t x_row = (at.I + at.n - 1) / at.n * at.n;
  Buffer<T> dx(to_x == nullptr ? 0 : block.rows * x_row);
  auto read = [&](int64_t t, T* to) {
    for (int64_t r = 0; r < block.rows; ++r)
      std::copy_n(block.sequence(static_cast<const T*>(p.h), t, r, at.H), at.H, to + r * at.padded);
  };
  if (p.T > 0) read(p.T - 1, h_new.data());
  int64_t gathered = 0;
  for (int64_t t = p.T - 1; t >= 0; --t) {
    if (t > 0) read(t - 1, h_old.data());
    const T* before = t > 0 ? h_old.data() : h0.data();
    T* a_t = a.data() + gathered * block.rows * at.row;
    const Panels<T> dz_t = dz.from(gathered * block.rows);
    block.gather(a_t, t, before);
    backward_step(block, t, before, h_new.data(), c0.data(), dh.data(), dc.data(), dz_t);
    to_h.add_product(dz_t, block.rows, dh.data(), at.padded);
    if (to_x != nullptr) {
      std::fill_n(dx.data(), block.rows * x_row, T(0));
      to_x->add_product(dz_t, block.rows, dx.data(), x_row);
      for (int64_t r = 0; r < block.rows; ++r)
        std::copy_n(dx.data() + r * x_row, at.I, block.sequence(static_cast<T*>(p.dx), t, r, at.I));
    }
    if (++gathered == group || t == 0) {
      add_weight_gradient(at, a.data(), dz, gathered * block.rows, gradient.data());
      gathered = 0;
    }
    std::swap(h_old, h_new);
  }
  block.write(dh.data(), p.dh0, 0);
  if (Cell::has_c) block.write(dc.data(), p.dc0, 0);
  return gradient;
}

template <class T, class Cell>
void forward(const Problem& p, const Parallel& parallel) {
  const Layout<T, Cell> at(p);
  const Buffer<T> packed = pack(p, at);
  parallel(block_count(p.B), [&](int number) {
    forward_block(Block<T, Cell>(p, at, number), packed.data());
  });
}

template <class T, class Cell>
void backward(const Problem& p, const Parallel& parallel) {
  const Layout<T, Cell> at(p);
  const Buffer<T> packed = pack(p, at);
  const Transposed<T, Cell> to_h(packed.data(), at, at.x_end, at.H, Cell::mask_h);
  const Transposed<T, Cell> to_x(packed.data(), at, 1, p.dx == nullptr ? 0 : at.I, Cell::mask_x);
  std::vector<Buffer<T>> gradients(block_count(p.B));
  parallel(block_count(p.B), [&](int number) {
    gradients[number] = backward_block(Block<T, Cell>(p, at, number), to_h, p.dx == nullptr ? nullptr : &to_x);
  });
  unpack(p, at, gradients);
}

}  // namespace rnnexp
