// Threads that go through time together, each with a share of every step, and wait for each other.
#pragma once

#include <atomic>
#include <chrono>
#include <cstdint>
#include <system_error>
#include <thread>
#include <vector>

namespace rnnexp {

using Clock = std::chrono::steady_clock;
inline double seconds_since(Clock::time_point began) {
  return std::chrono::duration<double>(Clock::now() - began).count();
}

// Waits a little: first without leaving the processor, then with others let on it.
class Patience {
 public:
  void wait() {
    if (++turns_ > kTurns) {
      if (turns_ == kTurns + 1) lost_ = Clock::now();
      return std::this_thread::yield();
    }
#if defined(__x86_64__)
    __builtin_ia32_pause();
#endif
  }
  // Seconds since it was lost, 0 if it was not.
  double lost() const { return turns_ > kTurns ? seconds_since(lost_) : 0; }

 private:
  static constexpr int kTurns = 4000;  // some 100 microseconds
  int turns_ = 0;
  Clock::time_point lost_;
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
    Patience patience;
    while (round_.load(std::memory_order_acquire) == round) patience.wait();
    if (const double lost = patience.lost(); lost > 0) lost_ns_ += static_cast<int64_t>(1e9 * lost);
  }
  // Seconds that members waited, all together, after they had lost patience.
  double lost() const { return 1e-9 * static_cast<double>(lost_ns_.load()); }

 private:
  const int members_;
  std::atomic<int64_t> lost_ns_{0};
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

// Whether teams are worth it lately. Where others use the cores, members wait for one that is not let on a
// processor, and one thread alone is faster.
class Experience {
 public:
  int members(int wanted) { return rest_ > 0 && rest_-- > 0 ? 1 : wanted; }
  void add(double lost_share) {
    if (lost_share > kMost) rest_ = kCalls;
  }

 private:
  static constexpr double kMost = 0.25;  // of a member's time
  static constexpr int kCalls = 30;      // of one thread, before a team is tried again
  std::atomic<int> rest_{0};
};
inline Experience experience;

// Runs f(member) on as many threads, this one among them, all of them at the same time. They are threads of
// its own: those of a pool may be taken by others, who wait for a member that has none. Fewer than wanted
// do where the system gives no more. f must not throw, as the others would wait for ever. Returns the share of
// their time that the members waited without patience.
template <class F>
double as_team(int members, F&& f) {
  if (members <= 1) {
    f(Member{});
    return 0;
  }
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
  const auto began = Clock::now();
  start.store(&barrier, std::memory_order_release);
  f(Member{0, formed, &barrier});
  for (std::thread& thread : threads) thread.join();
  return barrier.lost() / (seconds_since(began) * formed);
}

// The same, by one thread where teams were not worth it lately.
template <class F>
void as_worthy_team(int members, F&& f) {
  if (members > 1) members = experience.members(members);
  experience.add(as_team(members, f));
}

}  // namespace rnnexp
