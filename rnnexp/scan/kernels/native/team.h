// Threads that go through time together, each with a share of every step, and wait for each other.
#pragma once

#include <atomic>
#include <cstdint>
#include <functional>
#include <system_error>
#include <thread>
#include <vector>

namespace rnnexp {

// Waits a little: first without leaving the processor, then with others let on it.
class Patience {
 public:
  void wait() {
    if (++turns_ > kTurns) return std::this_thread::yield();
#if defined(__x86_64__)
    __builtin_ia32_pause();
#endif
  }

 private:
  static constexpr int kTurns = 4000;  // some tens of microseconds
  int turns_ = 0;
};

// Where all members wait until the last has come.
class Barrier {
 public:
  explicit Barrier(int members) : members_(members) {}

  void wait() {
    const int64_t round = round_.load(std::memory_order_relaxed);
    if (arrived_.fetch_add(1, std::memory_order_acq_rel) + 1 == members_) {
      arrived_.store(0, std::memory_order_relaxed);
      round_.store(round + 1, std::memory_order_release);
      return;
    }
    for (Patience patience; round_.load(std::memory_order_acquire) == round;) patience.wait();
  }

 private:
  const int members_;
  std::atomic<int> arrived_{0};
  std::atomic<int64_t> round_{0};
};

// One of the threads of a team. Alone, it waits for nobody.
struct Member {
  int number = 0, members = 1;
  Barrier* barrier = nullptr;

  // Where its share of n things begins; it ends where that of the next member begins.
  int64_t share(int64_t n, int after = 0) const { return n * (number + after) / members; }
  void wait() const {
    if (barrier != nullptr) barrier->wait();
  }
};

// Runs f(member) on as many threads, this one among them, all of them at the same time. They are threads of
// its own: those of a pool may be taken by others, who wait for a member that has none. Fewer than wanted
// do where the system gives no more. f must not throw, as the others would wait for ever.
template <class F>
void as_team(int members, F&& f) {
  if (members <= 1) return f(Member{});
  std::atomic<Barrier*> start{nullptr};
  int formed = 1;
  std::vector<std::thread> threads;
  threads.reserve(members - 1);
  auto join_in = [&](int number) {
    for (Patience patience; start.load(std::memory_order_acquire) == nullptr;) patience.wait();
    f(Member{number, formed, start.load(std::memory_order_acquire)});
  };
  try {
    for (; formed < members; ++formed) threads.emplace_back(join_in, formed);
  } catch (const std::system_error&) {  // the team stays as large as it is
  }
  Barrier barrier(formed);
  start.store(&barrier, std::memory_order_release);
  f(Member{0, formed, &barrier});
  for (std::thread& thread : threads) thread.join();
}

}  // namespace rnnexp
