// What a team of threads takes through time: some of the examples; and what of it is a member's.
#pragma once

#include "layout.h"
#include "team.h"

namespace rnnexp {

// Rows of a tile: where a product has fewer than four vectors, more of them fit into the registers.
template <class Cell>
constexpr int kTile = std::max(__builtin_popcount(Cell::mask_x), __builtin_popcount(Cell::mask_h)) < kVectors
                          ? kRows * kVectors / (kVectors - 1)
                          : kRows;

// Examples that go through time together.
template <class T, class Cell>
struct Block {
  const Problem& p;
  const Layout<T, Cell>& at;
  int64_t first;  // example
  int64_t rows;

  Block(const Problem& problem, const Layout<T, Cell>& layout, int number, int blocks)
      : p(problem), at(layout), first(problem.B * number / blocks),
        rows(problem.B * (number + 1) / blocks - first) {}

  template <class P>
  P* sequence(P* base, int64_t t, int64_t r, int64_t size) const {
    return base + (t * p.B + first + r) * size;
  }
  bool valid(int64_t t, int64_t r) const { return p.lengths == nullptr || t < p.lengths[first + r]; }
  // h of a row after step t; before the first one, that at the start.
  const T* hidden(int64_t t, int64_t r) const {
    return t < 0 ? sequence(static_cast<const T*>(p.h0), 0, r, at.H)
                 : sequence(static_cast<const T*>(p.h), t, r, at.H);
  }

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
  void write(const T* from, void* to) const {
    for (int64_t r = 0; r < rows; ++r)
      std::copy_n(from + r * at.padded, at.H, sequence(static_cast<T*>(to), 0, r, at.H));
  }
  // What of the row [1, x, h, 1] of a step comes from x.
  void gather_inputs(T* row, int64_t t, int64_t r) const {
    row[0] = T(1);
    std::copy_n(sequence(static_cast<const T*>(p.x), t, r, at.I), at.I, row + 1);
    if (Cell::has_hn) row[at.h_end] = T(1);
  }
};

// A member's share of a block: of the units, whole groups of panels, and of the rows.
template <class T, class Cell>
struct Part {
  Member member;
  int64_t first_group, end_group, first_panel, end_panel, first_unit, end_unit, first_row, end_row;

  Part(const Block<T, Cell>& block, const Member& m)
      : member(m), first_group(m.share(block.at.groups())), end_group(m.share(block.at.groups(), 1)),
        first_panel(std::min(first_group * block.at.group_panels, block.at.panels)),
        end_panel(std::min(end_group * block.at.group_panels, block.at.panels)),
        first_unit(std::min(first_panel * block.at.units, block.at.H)),
        end_unit(std::min(end_panel * block.at.units, block.at.H)), first_row(m.share(block.rows)),
        end_row(m.share(block.rows, 1)) {}

  int64_t units() const { return end_unit - first_unit; }
};

}  // namespace rnnexp
