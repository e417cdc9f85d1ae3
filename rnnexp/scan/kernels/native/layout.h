// How weights stand in memory for the products of a step, and how gradients come back.
#pragma once

#include "diagonal_cells.h"
#include "two_stages.h"

namespace rnnexp {

template <class T, class Cell>
struct Layout {
  static constexpr int n = Lanes<T>::n;
  static constexpr int units = Cell::panel_units * n;  // of a panel
  static constexpr int width = kVectors * n;           // columns of a panel
  explicit Layout(const Problem& p)
      : I(p.I), H(p.H), x_end(1 + I), h_end(x_end + (Cell::mask_h ? H : 0)),
        depth(h_end + (Cell::has_hn ? 1 : Cell::stages == 2 ? H : 0)),
        panels((H + units - 1) / units), padded(panels * units), columns(panels * width),
        kept(panels * Cell::saved * n), row((depth + n - 1) / n * n + n) {}
  int64_t I, H;
  int64_t x_end, h_end, depth;  // the row [1, x, h, 1 or q]: where x and h end, and its length
  int64_t panels, padded;       // of units
  int64_t columns;              // of all panels
  int64_t kept;                 // values saved for the backward pass, of one example and step
  int64_t row;                  // memory of one row

  // Of panels whose units are four vectors: what a thread of a team has whole.
  static constexpr int group_panels = kVectors * n / units;
  int64_t groups() const { return (panels + group_panels - 1) / group_panels; }
};

// Of large weights parts are packed in parallel, by whole panels.
template <class T, class Cell, class F>
void for_parts(const Layout<T, Cell>& at, const Parallel& parallel, int64_t things, F&& f) {
  constexpr int64_t kPart = 1 << 20;  // bytes that are worth a task
  const int64_t bytes = at.panels * at.depth * at.width * sizeof(T);
  const int parts = static_cast<int>(std::min<int64_t>({things, 1 + bytes / kPart, 64}));
  parallel(parts, [&](int i) { f(things * i / parts, things * (i + 1) / parts); });
}

// Calls f(index in the packed weights, where: 0 b, 1 w_x, 2 w_h, 3 b_hn, index there) for those of some
// panels. Of two stages the rows of q are those of w_h, in the blocks on which h does not act.
template <class T, class Cell, class F>
void for_each_weight(const Layout<T, Cell>& at, int64_t first_panel, int64_t end_panel, F&& f) {
  constexpr int n = Lanes<T>::n;
  const int64_t line = Cell::gates * at.H;  // of the matrices
  for (int64_t p = first_panel; p < end_panel; ++p)
    for (int64_t k = 0; k < at.depth; ++k) {
      const bool of_x = k < at.x_end, last = k >= at.h_end;
      const int mask = of_x ? Cell::mask_x : last ? Cell::mask_last : Cell::mask_h;
      for (int v = 0; v < kVectors; ++v) {
        if (!(mask >> v & 1)) continue;
        const int64_t first = p * at.units + Cell::unit(v) * n;
        const int64_t block = (of_x ? Cell::gate_x(v) : Cell::gate_h(v)) * at.H;
        const int64_t here = (p * at.depth + k) * at.width + v * n;
        for (int64_t u = first; u < std::min<int64_t>(first + n, at.H); ++u) {
          const int64_t to = here + u - first;
          if (k == 0) f(to, 0, block + u);
          else if (of_x) f(to, 1, (k - 1) * line + block + u);
          else if (last && Cell::has_hn) f(to, 3, u);
          else f(to, 2, (k - (last ? at.h_end : at.x_end)) * line + block + u);
        }
      }
    }
}

// Rows of every panel, [panel][row][vector][lane]: a panel's rows follow each other, so that they stay in
// the nearest cache; rows of all panels together would lie a power of two apart, and push each other out.
template <class T>
struct Panels {
  T* memory;
  int64_t rows, width;
  T* at(int64_t panel, int64_t row) const { return memory + (panel * rows + row) * width; }
  Panels from(int64_t row) const { return {at(0, row), rows, width}; }
};

// Weights as [panel][row of the product][vector][lane], zeros where there is no unit.
template <class T, class Cell>
Buffer<T> pack(const Problem& p, const Layout<T, Cell>& at, const Parallel& parallel) {
  Buffer<T> packed(at.panels * at.depth * at.width);
  const T* from[] = {static_cast<const T*>(p.b), static_cast<const T*>(p.w_x),
                     static_cast<const T*>(p.w_h), static_cast<const T*>(p.b_hn)};
  for_parts(at, parallel, at.panels, [&](int64_t first, int64_t end) {
    for_each_weight(at, first, end, [&](int64_t to, int where, int64_t i) { packed.data()[to] = from[where][i]; });
  });
  return packed;
}

// Calls f(index in the packed weights that act unit by unit, index in the matrix of them).
template <class T, class Cell, class F>
void for_each_own(const Layout<T, Cell>& at, F&& f) {
  for (int64_t own = 0; own < Cell::own; ++own)
    for (int64_t u = 0; u < at.H; ++u)
      f((u / at.units * Cell::own + own) * at.units + u % at.units, own * at.H + u);
}

// Weights that act unit by unit as [panel][own][unit of the panel], zeros where there is no unit.
template <class T, class Cell>
Buffer<T> pack_own(const Problem& p, const Layout<T, Cell>& at) {
  Buffer<T> packed(at.panels * Cell::own * at.units);
  for_each_own(at, [&](int64_t to, int64_t i) { packed.data()[to] = static_cast<const T*>(p.own)[i]; });
  return packed;
}

// A block's gradients, of the packed weights and of those that act unit by unit.
template <class T>
struct Gradients {
  Buffer<T> weights, own;
};

// Sums the blocks' gradients, in their order, and puts them where they belong.
template <class T, class Cell>
void unpack(const Problem& p, const Layout<T, Cell>& at, std::vector<Gradients<T>>& blocks, const Parallel& parallel) {
  T *total = blocks[0].weights.data(), *own = blocks[0].own.data();
  T* to[] = {static_cast<T*>(p.db), static_cast<T*>(p.dw_x), static_cast<T*>(p.dw_h),
             static_cast<T*>(p.db_hn)};
  for_parts(at, parallel, at.panels, [&](int64_t first, int64_t end) {
    for (size_t block = 1; block < blocks.size(); ++block) {
      const T* more = blocks[block].weights.data();
      for (int64_t i = first * at.depth * at.width; i < end * at.depth * at.width; ++i) total[i] += more[i];
    }
    for_each_weight(at, first, end, [&](int64_t from, int where, int64_t i) { to[where][i] = total[from]; });
  });
  for (size_t block = 1; block < blocks.size(); ++block)
    for (int64_t i = 0; i < at.panels * Cell::own * at.units; ++i) own[i] += blocks[block].own.data()[i];
  for_each_own(at, [&](int64_t from, int64_t i) { static_cast<T*>(p.d_own)[i] = own[from]; });
}

// Rows `first` to `first + count` of the packed weights as columns, for the way back:
// [group of four vectors of rows][column that acts on them][vector][lane].
template <class T, class Cell>
class Transposed {
 public:
  Transposed(const T* packed, const Layout<T, Cell>& at, int64_t first, int64_t count, int mask,
             const Parallel& parallel)
      : count_(count), vectors_((count + Lanes<T>::n - 1) / Lanes<T>::n), mask_(mask), panels_(at.panels),
        depth_(at.panels * __builtin_popcount(mask) * Lanes<T>::n),
        weights_(depth_ * vectors_ * Lanes<T>::n) {
    for_parts(at, parallel, groups(), [&](int64_t group, int64_t end) {
      for (; group < end; ++group) fill(packed + first * at.width, at, group);
    });
  }

  // Groups of four vectors of rows.
  int64_t groups() const { return (vectors_ + kVectors - 1) / kVectors; }

  // out (rows, padded to whole vectors) += dz times these weights, for some groups. Weights are read a
  // piece at a time by all rows, so that it stays in a near cache meanwhile.
  void add_product(const Panels<T>& dz, int64_t rows, T* out, int64_t out_row, int64_t group, int64_t end) const {
    const int64_t bytes_of_panel = __builtin_popcount(mask_) * Lanes<T>::n * kVectors * kBytes;
    const int64_t piece = std::max<int64_t>(1, kPiece / bytes_of_panel);
    for (; group < end; ++group)
      for (int64_t panel = 0; panel < panels_; panel += piece)
        call_with<kVectors>(static_cast<int>(group_vectors(group)), [&](auto count) {
          add_piece<decltype(count)::value>(dz, rows, out, out_row, group, panel, std::min(panel + piece, panels_));
        });
  }

 private:
  static constexpr int64_t kPiece = 1 << 16;  // bytes

  int64_t group_vectors(int64_t group) const {
    return std::min<int64_t>(kVectors, vectors_ - group * kVectors);
  }
  T* weights(int64_t group) const { return weights_.data() + group * kVectors * Lanes<T>::n * depth_; }

  void fill(const T* packed, const Layout<T, Cell>& at, int64_t group) {
    constexpr int n = Lanes<T>::n;
    const int64_t begin = group * kVectors * n, stride = group_vectors(group) * n;
    for (int64_t j = begin; j < std::min(begin + kVectors * n, count_); ++j) {
      T* to = weights(group) + j - begin;
      for (int64_t p = 0; p < at.panels; ++p)
        for (int v = 0; v < kVectors; ++v)
          for (int lane = 0; lane < n && (mask_ >> v & 1); ++lane, to += stride)
            *to = packed[(p * at.depth + j) * at.width + v * n + lane];
    }
  }

  template <int Count>
  void add_piece(const Panels<T>& dz, int64_t rows, T* out, int64_t out_row, int64_t group, int64_t panel,
                 int64_t end) const {
    constexpr int n = Lanes<T>::n, all = (1 << Count) - 1;
    const T* piece = weights(group) + panel * __builtin_popcount(mask_) * n * Count * n;
    out += group * kVectors * n;
    in_tiles(rows, [&](int64_t first, auto tile) {
      constexpr int R = decltype(tile)::value;
      Vec<T> acc[R][kVectors];
      for (int r = 0; r < R; ++r)
        for (int v = 0; v < Count; ++v) acc[r][v] = load(out + (first + r) * out_row + v * n);
      const T* b = piece;
      for (int64_t p = panel; p < end; ++p)
        for (int v = 0; v < kVectors; ++v)
          if (mask_ >> v & 1) {
            multiply<R, all, T>(acc, dz.at(p, first) + v * n, dz.width, 1, b, Count * n, n);
            b += Count * n * n;
          }
      for (int r = 0; r < R; ++r)
        for (int v = 0; v < Count; ++v) store(out + (first + r) * out_row + v * n, acc[r][v]);
    });
  }

  int64_t count_, vectors_;
  int mask_;
  int64_t panels_, depth_;
  Buffer<T> weights_;
};

}  // namespace rnnexp
