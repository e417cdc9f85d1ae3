// The forward pass of a block of examples, by one thread or by a team that divides its units.
#pragma once

#include "block.h"

namespace rnnexp {

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

// The memory of a block's forward pass: rows [1, x, h, 1 or q] of a step and of the next, states, and what
// a step of two stages keeps.
template <class T, class Cell>
struct ForwardPass {
  const Block<T, Cell>& block;
  const T *packed, *own;
  Buffer<T> rows, h, c, between;

  ForwardPass(const Block<T, Cell>& b, const T* packed_weights, const T* own_weights)
      : block(b), packed(packed_weights), own(own_weights), rows(2 * b.rows * b.at.row), h(b.padded(b.p.h0)),
        c(b.padded(b.p.c0)), between(Cell::stages == 2 ? b.rows * b.at.kept : 0) {}

  // The row of a step.
  T* row(int64_t t, int64_t r) const { return rows.data() + ((t & 1) * block.rows + r) * block.at.row; }

  // Where a row keeps what the backward pass, or the second stage, reads of a panel; null if nothing does.
  T* kept(int64_t t, int64_t r, int64_t panel) const {
    const Layout<T, Cell>& at = block.at;
    const int64_t mine = panel * Cell::saved * at.n;
    if (block.p.saved != nullptr)
      return block.sequence(static_cast<T*>(block.p.saved), t, r, at.kept) + mine;
    return Cell::stages == 2 ? between.data() + r * at.kept + mine : nullptr;
  }

  // A member's way through time. All wait at the end of a step for the states that each of them made.
  void run(const Member& member) const {
    const Part<T, Cell> part(block, member);
    gather(part, 0);
    member.wait();
    for (int64_t t = 0; t < block.p.T; ++t) {
      first_stage(part, t);
      if constexpr (Cell::stages == 2) {
        member.wait();
        second_stage(part, t);
      }
      for (int64_t r = 0; r < block.rows; ++r)
        std::copy_n(h.data() + r * block.at.padded + part.first_unit, part.units(),
                    block.sequence(static_cast<T*>(block.p.h), t, r, block.at.H) + part.first_unit);
      gather(part, t + 1);
      member.wait();
    }
  }

  // A member's part of the rows [1, x, h, 1] of a step: x of its rows, h of its units.
  void gather(const Part<T, Cell>& part, int64_t t) const {
    const Layout<T, Cell>& at = block.at;
    if (t >= block.p.T) return;
    for (int64_t r = part.first_row; r < part.end_row; ++r) block.gather_inputs(row(t, r), t, r);
    if constexpr (Cell::mask_h != 0)
      for (int64_t r = 0; r < block.rows; ++r)
        std::copy_n(h.data() + r * at.padded + part.first_unit, part.units(),
                    row(t, r) + at.x_end + part.first_unit);
  }

  void first_stage(const Part<T, Cell>& part, int64_t t) const {
    const Layout<T, Cell>& at = block.at;
    for (int64_t panel = part.first_panel; panel < part.end_panel; ++panel)
      in_tiles<kTile<Cell>>(block.rows, [&](int64_t first, auto tile) {
        constexpr int R = decltype(tile)::value;
        Vec<T> acc[R][kVectors];
        pre_activations<R>(acc, row(t, first), packed + panel * at.depth * at.width, at);
        for (int64_t r = first; r < first + R; ++r) {
          if (!block.valid(t, r)) continue;
          const int64_t state = r * at.padded + panel * at.units;
          if constexpr (Cell::stages == 2)
            Cell::open(acc[r - first], h.data() + state, row(t, r) + at.h_end + panel * at.units,
                       kept(t, r, panel));
          else
            Cell::forward(acc[r - first], own + panel * Cell::own * at.units, h.data() + state,
                          c.data() + state, kept(t, r, panel));
        }
      });
  }

  void second_stage(const Part<T, Cell>& part, int64_t t) const {
    const Layout<T, Cell>& at = block.at;
    for (int64_t panel = part.first_panel; panel < part.end_panel; ++panel)
      in_tiles<2 * kRows>(block.rows, [&](int64_t first, auto tile) {
        constexpr int R = decltype(tile)::value;
        Vec<T> acc[R];
        of_gated<R>(acc, row(t, first), packed + panel * at.depth * at.width, at);
        for (int64_t r = first; r < first + R; ++r)
          if (block.valid(t, r))
            Cell::close(acc[r - first], h.data() + r * at.padded + panel * at.units, kept(t, r, panel));
      });
  }
};

template <class T, class Cell>
void forward_block(const Block<T, Cell>& block, const T* packed, const T* own, int members) {
  const ForwardPass<T, Cell> pass(block, packed, own);
  as_worthy_team(members, [&](const Member& member) { pass.run(member); });
  if (Cell::has_c) block.write(pass.c.data(), block.p.c_last);
}

}  // namespace rnnexp
