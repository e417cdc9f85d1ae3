// The backward pass of a block of examples, by one thread or by a team that divides its units.
#pragma once

#include "block.h"

namespace rnnexp {

constexpr int kGathered = 128;  // rows, examples times steps, of one update of the gradient

// The products that carry adjoints back: to h, to what is gated before the second product, to x.
template <class T, class Cell>
struct Back {
  Transposed<T, Cell> to_h, to_q, to_x;

  Back(const Problem& p, const Layout<T, Cell>& at, const T* packed, const Parallel& parallel)
      : to_h(packed, at, at.x_end, at.h_end - at.x_end, Cell::mask_h, parallel),
        to_q(packed, at, at.h_end, Cell::stages == 2 ? at.H : 0, Cell::mask_last, parallel),
        to_x(packed, at, 1, p.dx == nullptr ? 0 : at.I, Cell::mask_x, parallel) {}
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

// Adds a^T dz to the gradient of the packed weights of some panels.
template <class T, class Cell>
void add_weight_gradient(const Layout<T, Cell>& at, const T* a, const Panels<T>& dz, int64_t rows,
                         int64_t first_panel, int64_t end_panel, T* gradient) {
  auto part = [&](int64_t first, int64_t end, auto mask) {
    constexpr int Mask = decltype(mask)::value;
    if constexpr (Mask != 0)
      for (int64_t panel = first_panel; panel < end_panel; ++panel)
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

// The memory of a block's backward pass: adjoints, h of two steps, rows and dz of several steps, and, where
// norms of adjoints are wanted, the adjoints of two steps.
template <class T, class Cell>
struct BackwardPass {
  const Block<T, Cell>& block;
  const Problem& p;
  const Layout<T, Cell>& at;
  const Back<T, Cell>& back;
  const T* own;
  int64_t group, x_row;  // steps of an update of the gradient; memory of a row of dx
  Gradients<T> gradient;
  Buffer<T> a, dz_memory, dh, dc, dq, c0, hidden, adjoints, dx;

  BackwardPass(const Block<T, Cell>& b, const Back<T, Cell>& products, const T* own_weights)
      : block(b), p(b.p), at(b.at), back(products), own(own_weights),
        group(std::max<int64_t>(1, kGathered / std::max<int64_t>(1, b.rows))),
        x_row((at.I + at.n - 1) / at.n * at.n),
        gradient{Buffer<T>(at.panels * at.depth * at.width), Buffer<T>(at.panels * Cell::own * at.units)},
        a(group * b.rows * at.row), dz_memory(group * b.rows * at.columns), dh(b.padded(p.dh_last)),
        dc(b.padded(Cell::has_c ? p.dc_last : nullptr)), dq(Cell::stages == 2 ? b.rows * at.padded : 0),
        c0(b.padded(p.c0)), hidden(2 * b.rows * at.padded), adjoints(p.norms ? 4 * b.rows * at.padded : 0),
        dx(p.dx == nullptr ? 0 : b.rows * x_row) {}

  Panels<T> dz() const { return {dz_memory.data(), group * block.rows, at.width}; }
  const T* kept(int64_t t, int64_t r) const {
    return block.sequence(static_cast<const T*>(p.saved), t, r, at.kept);
  }
  // h after step t, in padded rows; of the steps that are at hand.
  T* h(int64_t t) const { return hidden.data() + ((t + 1) & 1) * block.rows * at.padded; }
  // The adjoints of a step of which norms are taken: of h (0) and c (1).
  T* adjoint(int64_t t, int leaf) const {
    return adjoints.data() + ((t & 1) * 2 + leaf) * block.rows * at.padded;
  }

  // A member's way back through time. All wait for the dz that each of them made, and, once in a group of
  // steps, until nobody reads the rows and the dz of the group any more.
  void run(const Member& member) const {
    const Part<T, Cell> part(block, member);
    if (p.T > 0) read_hidden(part, p.T - 1);
    int64_t gathered = 0;
    for (int64_t t = p.T - 1; t >= 0; --t) {
      const Panels<T> dz_t = dz().from(gathered * block.rows);
      read_hidden(part, t - 1);
      gather(part, t, a.data() + gathered * block.rows * at.row);
      step(part, t, dz_t);
      member.wait();
      if constexpr (Cell::stages == 2) {
        second_stage(part, t, dz_t);
        member.wait();
      }
      keep_norms(part, t);
      if constexpr (Cell::mask_h != 0)
        back.to_h.add_product(dz_t, block.rows, dh.data(), at.padded, part.first_group, part.end_group);
      write_dx(part, t, dz_t);
      if (p.cut_steps > 0 && t > 0 && t % p.cut_steps == 0) cut(part, t);
      if (++gathered == group || t == 0) {
        add_weight_gradient(at, a.data(), dz(), gathered * block.rows, part.first_panel, part.end_panel,
                            gradient.weights.data());
        gathered = 0;
        member.wait();
      }
    }
  }

  void read_hidden(const Part<T, Cell>& part, int64_t t) const {
    for (int64_t r = 0; r < block.rows; ++r)
      std::copy_n(block.hidden(t, r) + part.first_unit, part.units(), h(t) + r * at.padded + part.first_unit);
  }

  // Rows [1, x, h, 1 or q] of a step; q is made anew of the gate that was kept.
  void gather(const Part<T, Cell>& part, int64_t t, T* rows) const {
    for (int64_t r = part.first_row; r < part.end_row; ++r) {
      T* row = rows + r * at.row;
      const T* before = block.hidden(t - 1, r);
      block.gather_inputs(row, t, r);
      if constexpr (Cell::mask_h != 0) std::copy_n(before, at.H, row + at.x_end);
      if constexpr (Cell::stages == 2)
        for (int64_t u = 0; u < at.H; ++u)
          row[at.h_end + u] = block.valid(t, r) ? gate(t, r, u) * before[u] : T(0);
    }
  }
  // What of two stages makes q of h, and is kept first.
  T gate(int64_t t, int64_t r, int64_t u) const {
    return kept(t, r)[u / at.units * Cell::saved * at.n + u % at.units];
  }

  // Calls f(what the backward pass of a row and panel finds, and makes) for a member's panels of a row.
  template <class F>
  void each(const Part<T, Cell>& part, int64_t t, const Panels<T>& dz_t, int64_t r, F&& f) const {
    for (int64_t panel = part.first_panel; panel < part.end_panel; ++panel) {
      const int64_t unit = panel * at.units, state = r * at.padded + unit, mine = panel * Cell::saved * at.n;
      const int64_t of_own = panel * Cell::own * at.units;
      const T* c_old = nullptr;
      if constexpr (Cell::has_c)
        c_old = t > 0 ? kept(t - 1, r) + mine + (Cell::saved - 1) * at.n : c0.data() + state;
      f(Before<T>{kept(t, r) + mine, c_old, h(t - 1) + state, h(t) + state, own + of_own},
        Adjoints<T>{dh.data() + state, dc.data() + state, dz_t.at(panel, r), gradient.own.data() + of_own},
        unit);
    }
  }

  // dz of a step from its adjoints, which become those before it, without the part through the products.
  void step(const Part<T, Cell>& part, int64_t t, const Panels<T>& dz_t) const {
    for (int64_t r = 0; r < block.rows; ++r) {
      if (p.dh != nullptr) {
        const T* above = block.sequence(static_cast<const T*>(p.dh), t, r, at.H);
        for (int64_t u = part.first_unit; u < part.end_unit; ++u) dh.data()[r * at.padded + u] += above[u];
      }
      keep_adjoint(part, p.tap_h, t, r, dh.data(), 0);
      keep_adjoint(part, p.tap_c, t, r, dc.data(), 1);
      if (!block.valid(t, r)) {
        for (int64_t panel = part.first_panel; panel < part.end_panel; ++panel)
          std::fill_n(dz_t.at(panel, r), at.width, T(0));
        continue;
      }
      each(part, t, dz_t, r, [](const Before<T>& was, const Adjoints<T>& d, int64_t) {
        if constexpr (Cell::stages == 2) Cell::backward_candidate(was, d);
        else Cell::backward(was, d);
      });
    }
  }

  // A member's units of a row of adjoints where they are wanted, zeros after a sequence's end; or where
  // their norms are made of them.
  void keep_adjoint(const Part<T, Cell>& part, void* to, int64_t t, int64_t r, const T* leaf, int number) const {
    if (to == nullptr) return;
    const T* from = leaf + r * at.padded + part.first_unit;
    T* kept = p.norms ? adjoint(t, number) + r * at.padded : block.sequence(static_cast<T*>(to), t, r, at.H);
    if (block.valid(t, r)) std::copy_n(from, part.units(), kept + part.first_unit);
    else std::fill_n(kept + part.first_unit, part.units(), T(0));
  }

  // The norms of a member's rows of adjoints, to which all members' units belong.
  void keep_norms(const Part<T, Cell>& part, int64_t t) const {
    if (!p.norms) return;
    void* const taps[] = {p.tap_h, p.tap_c};
    for (int leaf = 0; leaf < 2; ++leaf)
      for (int64_t r = part.first_row; r < part.end_row && taps[leaf] != nullptr; ++r)
        *block.sequence(static_cast<T*>(taps[leaf]), t, r, 1) =
            T(euclidean_norm(adjoint(t, leaf) + r * at.padded, at.H));
  }

  void second_stage(const Part<T, Cell>& part, int64_t t, const Panels<T>& dz_t) const {
    for (int64_t r = 0; r < block.rows; ++r)
      std::fill_n(dq.data() + r * at.padded + part.first_unit, part.units(), T(0));
    back.to_q.add_product(dz_t, block.rows, dq.data(), at.padded, part.first_group, part.end_group);
    for (int64_t r = 0; r < block.rows; ++r)
      if (block.valid(t, r))
        each(part, t, dz_t, r, [&](const Before<T>& was, const Adjoints<T>& d, int64_t unit) {
          Cell::backward_gate(was, d, load(dq.data() + r * at.padded + unit));
        });
  }

  void write_dx(const Part<T, Cell>& part, int64_t t, const Panels<T>& dz_t) const {
    const int64_t first = part.first_row, count = part.end_row - first;
    if (p.dx == nullptr || count == 0) return;
    T* mine = dx.data() + first * x_row;
    std::fill_n(mine, count * x_row, T(0));
    back.to_x.add_product(dz_t.from(first), count, mine, x_row, 0, back.to_x.groups());
    for (int64_t r = 0; r < count; ++r)
      std::copy_n(mine + r * x_row, at.I, block.sequence(static_cast<T*>(p.dx), t, first + r, at.I));
  }

  // Truncated backpropagation: what has come back to the state before a step that counts goes no further.
  void cut(const Part<T, Cell>& part, int64_t t) const {
    for (int64_t r = 0; r < block.rows; ++r) {
      if (!block.valid(t, r)) continue;
      std::fill_n(dh.data() + r * at.padded + part.first_unit, part.units(), T(0));
      std::fill_n(dc.data() + r * at.padded + part.first_unit, part.units(), T(0));
    }
  }
};

template <class T, class Cell>
Gradients<T> backward_block(const Block<T, Cell>& block, const Back<T, Cell>& back, const T* own, int members) {
  BackwardPass<T, Cell> pass(block, back, own);
  as_worthy_team(members, [&](const Member& member) { pass.run(member); });
  block.write(pass.dh.data(), block.p.dh0);
  if (Cell::has_c) block.write(pass.dc.data(), block.p.dc0);
  return std::move(pass.gradient);
}

}  // namespace rnnexp
