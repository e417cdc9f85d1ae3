// A cell over a whole batch of sequences, forward and backward.
//
// The batch is divided into blocks of examples, each a task of its own from the first step
// to the last: no thread ever waits for another. The states and the weights stay in the cache;
// what the backward pass needs is written once. The backward pass runs the linear recurrence of
// the adjoints and gathers the gradient of the weights over several steps at a time.
#pragma once

#include "layout.h"

namespace rnnexp {

// Rows of a tile: where a product has fewer than four vectors, more of them fit into the registers.
template <class Cell>
constexpr int kTile = std::max(__builtin_popcount(Cell::mask_x), __builtin_popcount(Cell::mask_h)) < kVectors
                          ? kRows * kVectors / (kVectors - 1)
                          : kRows;

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
  // The row [1, x, h, 1] of every example; of two stages without q, which `forward_step` and
  // `gather_gated` put there.
  void gather(T* to, int64_t t, const T* h) const {
    for (int64_t r = 0; r < rows; ++r) {
      T* row = to + r * at.row;
      row[0] = T(1);
      std::copy_n(sequence(static_cast<const T*>(p.x), t, r, at.I), at.I, row + 1);
      if (Cell::mask_h) std::copy_n(h + r * at.padded, at.H, row + at.x_end);
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
    if constexpr (Cell::mask_h != 0)
      multiply<R, Cell::mask_h, T>(acc, a + at.x_end, at.row, 1, panel + at.x_end * at.width,
                                   at.width, at.H);
    if constexpr (Cell::has_hn)
      multiply<R, Cell::mask_last, T>(acc, a + at.h_end, at.row, 1, panel + at.h_end * at.width,
                                      at.width, 1);
  }
  for (int r = 0; r < R; ++r)
    for (int v = 0; v < kVectors; ++v) z[r][v] = acc[r][v];
}

// The share of q of the candidates of R rows of a panel.
template <int R, class T, class Cell>
[[gnu::noinline]] void of_gated(Vec<T> (&z)[R], const T* a, const T* panel, const Layout<T, Cell>& at) {
  constexpr int v = Cell::candidate_at;
  Vec<T> acc[R][kVectors]{};
  multiply<R, Cell::mask_last, T>(acc, a + at.h_end, at.row, 1, panel + at.h_end * at.width, at.width, at.H);
  for (int r = 0; r < R; ++r) z[r] = acc[r][v];
}

// The memory of a block's forward pass: rows [1, x, h, 1 or q], states, and what a step of two stages keeps.
template <class T, class Cell>
struct ForwardPass {
  const Block<T, Cell>& block;
  const T *packed, *own;
  Buffer<T> a, h, c, between;

  ForwardPass(const Block<T, Cell>& b, const T* packed_weights, const T* own_weights)
      : block(b), packed(packed_weights), own(own_weights), a(b.rows * b.at.row), h(b.padded(b.p.h0)),
        c(b.padded(b.p.c0)), between(Cell::stages == 2 ? b.rows * b.at.kept : 0) {}

  // Where a row keeps what the backward pass, or the second stage, reads of a panel; null if nothing does.
  T* kept(int64_t t, int64_t r, int64_t panel) {
    const Layout<T, Cell>& at = block.at;
    const int64_t mine = panel * Cell::saved * at.n;
    if (block.p.saved != nullptr)
      return block.sequence(static_cast<T*>(block.p.saved), t, r, at.kept) + mine;
    return Cell::stages == 2 ? between.data() + r * at.kept + mine : nullptr;
  }

  void step(int64_t t) {
    const Layout<T, Cell>& at = block.at;
    block.gather(a.data(), t, h.data());
    for (int64_t panel = 0; panel < at.panels; ++panel)
      in_tiles<kTile<Cell>>(block.rows, [&](int64_t first, auto tile) {
        constexpr int R = decltype(tile)::value;
        Vec<T> acc[R][kVectors];
        pre_activations<R>(acc, a.data() + first * at.row, packed + panel * at.depth * at.width, at);
        for (int64_t r = first; r < first + R; ++r) {
          if (!block.valid(t, r)) continue;
          const int64_t state = r * at.padded + panel * at.units;
          if constexpr (Cell::stages == 2)
            Cell::open(acc[r - first], h.data() + state, a.data() + r * at.row + at.h_end + panel * at.units,
                       kept(t, r, panel));
          else
            Cell::forward(acc[r - first], own + panel * Cell::own * at.units, h.data() + state,
                          c.data() + state, kept(t, r, panel));
        }
      });
    if constexpr (Cell::stages == 2) second_stage(t);
  }

  void second_stage(int64_t t) {
    const Layout<T, Cell>& at = block.at;
    for (int64_t panel = 0; panel < at.panels; ++panel)
      in_tiles<2 * kRows>(block.rows, [&](int64_t first, auto tile) {
        constexpr int R = decltype(tile)::value;
        Vec<T> acc[R];
        of_gated<R>(acc, a.data() + first * at.row, packed + panel * at.depth * at.width, at);
        for (int64_t r = first; r < first + R; ++r)
          if (block.valid(t, r))
            Cell::close(acc[r - first], h.data() + r * at.padded + panel * at.units, kept(t, r, panel));
      });
  }
};

template <class T, class Cell>
void forward_block(const Block<T, Cell>& block, const T* packed, const T* own) {
  const Problem& p = block.p;
  ForwardPass<T, Cell> pass(block, packed, own);
  for (int64_t t = 0; t < p.T; ++t) {
    pass.step(t);
    block.write(pass.h.data(), p.h, t);
  }
  if (Cell::has_c) block.write(pass.c.data(), p.c_last, 0);
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

// The products that carry adjoints back: to h, to what is gated before the second product, to x.
template <class T, class Cell>
struct Back {
  Transposed<T, Cell> to_h, to_q, to_x;

  Back(const Problem& p, const Layout<T, Cell>& at, const T* packed)
      : to_h(packed, at, at.x_end, at.h_end - at.x_end, Cell::mask_h),
        to_q(packed, at, at.h_end, Cell::stages == 2 ? at.H : 0, Cell::mask_last),
        to_x(packed, at, 1, p.dx == nullptr ? 0 : at.I, Cell::mask_x) {}
};

// The memory of a block's backward pass: adjoints, states of two steps, and rows and dz of several steps.
template <class T, class Cell>
struct BackwardPass {
  const Block<T, Cell>& block;
  const Problem& p;
  const Layout<T, Cell>& at;
  const Back<T, Cell>& back;
  const T* own;
  int64_t group, x_row;  // steps of an update of the gradient; memory of a row of dx
  Gradients<T> gradient;
  Buffer<T> a, dz_memory, dh, dc, dq, c0, h0, h_new, h_old, dx;

  BackwardPass(const Block<T, Cell>& b, const Back<T, Cell>& products, const T* own_weights)
      : block(b), p(b.p), at(b.at), back(products), own(own_weights),
        group(std::max<int64_t>(1, kGathered / std::max<int64_t>(1, b.rows))),
        x_row((at.I + at.n - 1) / at.n * at.n),
        gradient{Buffer<T>(at.panels * at.depth * at.width), Buffer<T>(at.panels * Cell::own * at.units)},
        a(group * b.rows * at.row), dz_memory(group * b.rows * at.columns), dh(b.padded(p.dh_last)),
        dc(b.padded(Cell::has_c ? p.dc_last : nullptr)), dq(Cell::stages == 2 ? b.rows * at.padded : 0),
        c0(b.padded(p.c0)), h0(b.padded(p.h0)), h_new(b.rows * at.padded), h_old(b.rows * at.padded),
        dx(p.dx == nullptr ? 0 : b.rows * x_row) {}

  Panels<T> dz() { return {dz_memory.data(), group * block.rows, at.width}; }

  const T* kept(int64_t t, int64_t r) const {
    return block.sequence(static_cast<const T*>(p.saved), t, r, at.kept);
  }

  // Calls f(what the backward pass of a row and panel finds, and makes) for all of a step that count.
  template <class F>
  void each(int64_t t, const T* before, const Panels<T>& dz_t, int64_t r, F&& f) {
    for (int64_t panel = 0; panel < at.panels; ++panel) {
      const int64_t unit = panel * at.units, state = r * at.padded + unit, mine = panel * Cell::saved * at.n;
      const int64_t of_own = panel * Cell::own * at.units;
      const T* c_old = nullptr;
      if constexpr (Cell::has_c)
        c_old = t > 0 ? kept(t - 1, r) + mine + (Cell::saved - 1) * at.n : c0.data() + state;
      f(Before<T>{kept(t, r) + mine, c_old, before + state, h_new.data() + state, own + of_own},
        Adjoints<T>{dh.data() + state, dc.data() + state, dz_t.at(panel, r), gradient.own.data() + of_own},
        unit);
    }
  }

  // Rows [1, x, h, 1 or q] of a step; q is made anew of the gate that was kept.
  void gather(T* rows, int64_t t, const T* before) {
    block.gather(rows, t, before);
    if constexpr (Cell::stages == 2)
      for (int64_t r = 0; r < block.rows; ++r)
        for (int64_t panel = 0; panel < at.panels; ++panel) {
          const T* gate = kept(t, r) + panel * Cell::saved * at.n;
          T* q = rows + r * at.row + at.h_end + panel * at.units;
          if (block.valid(t, r)) store(q, load(gate) * load(before + r * at.padded + panel * at.units));
          else store(q, Vec<T>{});
        }
  }

  // dz of a step from its adjoints, which become those before it, without the part through the products.
  void step(int64_t t, const T* before, const Panels<T>& dz_t) {
    for (int64_t r = 0; r < block.rows; ++r) {
      T *dh_row = dh.data() + r * at.padded, *dc_row = dc.data() + r * at.padded;
      if (p.dh != nullptr) {
        const T* above = block.sequence(static_cast<const T*>(p.dh), t, r, at.H);
        for (int64_t u = 0; u < at.H; ++u) dh_row[u] += above[u];
      }
      keep_adjoint(block, p.tap_h, t, r, dh_row);
      keep_adjoint(block, p.tap_c, t, r, dc_row);
      if (!block.valid(t, r)) {
        for (int64_t panel = 0; panel < at.panels; ++panel) std::fill_n(dz_t.at(panel, r), at.width, T(0));
        continue;
      }
      each(t, before, dz_t, r, [](const Before<T>& was, const Adjoints<T>& d, int64_t) {
        if constexpr (Cell::stages == 2) Cell::backward_candidate(was, d);
        else Cell::backward(was, d);
      });
    }
    if constexpr (Cell::stages == 2) second_stage(t, before, dz_t);
  }

  void second_stage(int64_t t, const T* before, const Panels<T>& dz_t) {
    std::fill_n(dq.data(), block.rows * at.padded, T(0));
    back.to_q.add_product(dz_t, block.rows, dq.data(), at.padded);
    for (int64_t r = 0; r < block.rows; ++r)
      if (block.valid(t, r))
        each(t, before, dz_t, r, [&](const Before<T>& was, const Adjoints<T>& d, int64_t unit) {
          Cell::backward_gate(was, d, load(dq.data() + r * at.padded + unit));
        });
  }

  void write_dx(int64_t t, const Panels<T>& dz_t) {
    std::fill_n(dx.data(), block.rows * x_row, T(0));
    back.to_x.add_product(dz_t, block.rows, dx.data(), x_row);
    for (int64_t r = 0; r < block.rows; ++r)
      std::copy_n(dx.data() + r * x_row, at.I, block.sequence(static_cast<T*>(p.dx), t, r, at.I));
  }

  // Truncated backpropagation: what has come back to the state before a step that counts goes no further.
  void cut(int64_t t) {
    for (int64_t r = 0; r < block.rows; ++r) {
      if (!block.valid(t, r)) continue;
      std::fill_n(dh.data() + r * at.padded, at.padded, T(0));
      std::fill_n(dc.data() + r * at.padded, at.padded, T(0));
    }
  }
};

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
Gradients<T> backward_block(const Block<T, Cell>& block, const Back<T, Cell>& back, const T* own) {
  const Problem& p = block.p;
  const Layout<T, Cell>& at = block.at;
  BackwardPass<T, Cell> pass(block, back, own);
  const Panels<T> dz = pass.dz();
  auto read = [&](int64_t t, T* to) {
    for (int64_t r = 0; r < block.rows; ++r)
      std::copy_n(block.sequence(static_cast<const T*>(p.h), t, r, at.H), at.H, to + r * at.padded);
  };
  if (p.T > 0) read(p.T - 1, pass.h_new.data());
  int64_t gathered = 0;
  for (int64_t t = p.T - 1; t >= 0; --t) {
    if (t > 0) read(t - 1, pass.h_old.data());
    const T* before = t > 0 ? pass.h_old.data() : pass.h0.data();
    const Panels<T> dz_t = dz.from(gathered * block.rows);
    pass.gather(pass.a.data() + gathered * block.rows * at.row, t, before);
    pass.step(t, before, dz_t);
    if constexpr (Cell::mask_h != 0) back.to_h.add_product(dz_t, block.rows, pass.dh.data(), at.padded);
    if (p.dx != nullptr) pass.write_dx(t, dz_t);
    if (p.cut_steps > 0 && t > 0 && t % p.cut_steps == 0) pass.cut(t);
    if (++gathered == pass.group || t == 0) {
      add_weight_gradient(at, pass.a.data(), dz, gathered * block.rows, pass.gradient.weights.data());
      gathered = 0;
    }
    std::swap(pass.h_old, pass.h_new);
  }
  block.write(pass.dh.data(), p.dh0, 0);
  if (Cell::has_c) block.write(pass.dc.data(), p.dc0, 0);
  return std::move(pass.gradient);
}

template <class T, class Cell>
void forward(const Problem& p, const Parallel& parallel) {
  const Layout<T, Cell> at(p);
  const Buffer<T> packed = pack(p, at), own = pack_own(p, at);
  parallel(block_count(p.B), [&](int number) {
    forward_block(Block<T, Cell>(p, at, number), packed.data(), own.data());
  });
}

template <class T, class Cell>
void backward(const Problem& p, const Parallel& parallel) {
  const Layout<T, Cell> at(p);
  const Buffer<T> packed = pack(p, at), own = pack_own(p, at);
  const Back<T, Cell> back(p, at, packed.data());
  std::vector<Gradients<T>> gradients(block_count(p.B));
  parallel(block_count(p.B), [&](int number) {
    gradients[number] = backward_block(Block<T, Cell>(p, at, number), back, own.data());
  });
  unpack(p, at, gradients);
}

}  // namespace rnnexp
