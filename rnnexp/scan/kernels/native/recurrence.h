// A cell over a whole batch of sequences, forward and backward.
//
// The batch is divided into blocks of examples, each a task of its own from the first step to the last: no
// thread ever waits for another. The states and the weights stay in the cache; what the backward pass needs
// is written once. Where the weights are too large for that, or the examples too few, the batch is one block,
// and a team of threads divides its units: each reads its own weights only, and they wait for each other at
// every step. The backward pass runs the linear recurrence of the adjoints and gathers the gradient of the
// weights over several steps at a time.
#pragma once

#include "backward.h"
#include "forward.h"

#ifndef RNNEXP_WIDE
#define RNNEXP_WIDE (1 << 23)  // bytes of weights, from which on units are divided
#endif
#ifndef RNNEXP_SHARE
#define RNNEXP_SHARE (1 << 17)  // multiplications of a step that are worth a member of a team
#endif

namespace rnnexp {

// The number of blocks, and of the threads that share each of them.
struct Division {
  int blocks, members;
};

// Examples are divided into the same blocks on every machine, whatever the number of threads, so that sums
// over the batch have one order. The number of a team's members changes no sum.
template <class T, class Cell>
Division divided(const Problem& p, const Layout<T, Cell>& at, int64_t threads) {
  const int64_t weights = at.panels * at.depth * at.width;
  if (p.B >= 16 && weights * static_cast<int64_t>(sizeof(T)) < RNNEXP_WIDE)
    return {static_cast<int>(std::clamp<int64_t>(p.B / 32, 2, 16)), 1};
  const int64_t most = std::min(threads, at.groups()), worth = p.B * weights / RNNEXP_SHARE;
  return {1, static_cast<int>(std::max<int64_t>(1, std::min(most, worth)))};
}

template <class T, class Cell>
void forward(const Problem& p, const Parallel& parallel, int64_t threads) {
  const Layout<T, Cell> at(p);
  const Division division = divided(p, at, threads);
  const Buffer<T> packed = pack(p, at, parallel), own = pack_own(p, at);
  parallel(division.blocks, [&](int number) {
    forward_block(Block<T, Cell>(p, at, number, division.blocks), packed.data(), own.data(), division.members);
  });
}

template <class T, class Cell>
void backward(const Problem& p, const Parallel& parallel, int64_t threads) {
  const Layout<T, Cell> at(p);
  const Division division = divided(p, at, threads);
  const Buffer<T> packed = pack(p, at, parallel), own = pack_own(p, at);
  const Back<T, Cell> back(p, at, packed.data(), parallel);
  std::vector<Gradients<T>> gradients(division.blocks);
  parallel(division.blocks, [&](int number) {
    const Block<T, Cell> block(p, at, number, division.blocks);
    gradients[number] = backward_block(block, back, own.data(), division.members);
  });
  unpack(p, at, gradients, parallel);
}

}  // namespace rnnexp
