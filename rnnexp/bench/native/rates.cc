// What a processor can do at most: multiply-adds on registers, and memory read and written.
//
// Each function has threads work in rounds that all begin together, and returns the rate of the best round: a
// bound, and not an average.
#include <algorithm>
#include <vector>

#include "team.h"
#include "vector.h"

namespace {

using rnnexp::Clock;
using rnnexp::Member;
using rnnexp::seconds_since;
using V = rnnexp::Vec<float>;
constexpr double kRound = 0.02;  // seconds at least, beside which the start of a round is short

// Units of work a second, of all threads together, in the best round. work(number of a thread, n) does n.
template <class F>
double best_rate(int threads, double seconds, F&& work) {
  int64_t n = 1;
  for (double alone = 0; alone < kRound; n *= 2) {
    const auto began = Clock::now();
    work(0, n);
    alone = seconds_since(began);
  }
  double best = 0;
  const auto start = Clock::now();
  do {
    rnnexp::as_team(threads, [&](const Member& member) {
      member.wait();
      const auto began = Clock::now();
      work(member.number, n);
      member.wait();
      if (member.number == 0) best = std::max(best, static_cast<double>(n * member.members) / seconds_since(began));
    });
  } while (seconds_since(start) < seconds);
  return best;
}

// n multiply-adds of each of as many vectors as the kernels hold sums.
void multiply_adds(int64_t n) {
  V sums[rnnexp::kRows][rnnexp::kVectors], factor = V{} + 0.5f, summand = V{} + 1.0f;
  float number = 0;
  for (auto& row : sums)
    for (V& sum : row) sum = V{} + number++;  // all different, so that none is another
  for (int64_t i = 0; i < n; ++i) {
    rnnexp::in_register(factor);  // not known to the compiler, which would make one of many steps
    for (auto& row : sums)
      for (V& sum : row) sum = sum * factor + summand;
  }
  V total{};
  for (auto& row : sums)
    for (V& sum : row) total += sum;
  volatile float read = total[0];  // so that it is computed
  (void)read;
}

}  // namespace

#pragma GCC visibility push(default)

// Floating-point operations a second: two for each multiply-add of a float.
extern "C" double rnnexp_multiply_rate(int threads, double seconds) {
  const double operations = 2.0 * rnnexp::kRows * rnnexp::kVectors * rnnexp::Lanes<float>::n;
  return operations * best_rate(threads, seconds, [](int, int64_t n) { multiply_adds(n); });
}

// Bytes a second, read and written, of copies of as many bytes of each thread.
extern "C" double rnnexp_memory_rate(int threads, double seconds, int64_t bytes) {
  std::vector<std::vector<char>> from(threads), to(threads);
  for (int i = 0; i < threads; ++i) from[i].assign(bytes, 1), to[i].assign(bytes, 2);
  const double moved = 2.0 * static_cast<double>(bytes);
  return moved * best_rate(threads, seconds, [&](int thread, int64_t n) {
    for (int64_t i = 0; i < n; ++i) std::copy_n((i % 2 ? to : from)[thread].data(), bytes, (i % 2 ? from : to)[thread].data());
  });
}
#pragma GCC visibility pop
