// What one call computes: sizes, weights, sequences, results. Shapes as in `cpu.py`.
#pragma once

#include <cstdint>
#include <functional>

namespace rnnexp {

// Pointers are to numbers of the type that the kernel is built for.
struct Problem {
  int64_t T, B, I, H;
  const void *x, *w_x, *w_h, *b;          // (T,B,I) (I,G*H) (H,G*H) (G*H): no w_h where h acts on no other unit
  const void *b_hn, *own;                 // (H) of GRU only; (own,H), what acts on a unit's own state
  const void *h0, *c0;                    // (B,H); c0 of LSTM only
  const int32_t* lengths;                 // (B), or null: all T
  void *h, *c_last, *saved;               // (T,B,H) (B,H) (T,B,saved_size): the last null without gradients
  // Of the backward pass.
  const void *dh, *dh_last, *dc_last;     // cotangents of h, or null, of its last step, and of c_last
  void *dx, *dw_x, *dw_h, *db, *db_hn, *d_own, *dh0, *dc0;  // dx null if not wanted
  int64_t cut_steps;                      // no adjoint goes back over steps that it divides; 0: over all
  void *tap_h, *tap_c;                    // (T,B,H), cotangents of every state, or null
  bool norms;                             // of them the norms alone, (T,B)
};

// Runs tasks 0 ... n - 1, in any order, on any threads.
using Parallel = std::function<void(int n, const std::function<void(int)>& task)>;

}  // namespace rnnexp
