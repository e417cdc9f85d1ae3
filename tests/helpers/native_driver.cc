// Calls the kernels as XLA does, but without XLA: a program of its own, which can be built with sanitizers.
//
// It reads calls from its input and writes what comes out. Every buffer is an allocation of its own, of
// exactly its size, so that an access beside it is seen. All numbers of the protocol are int64.
#include "kernel.cc"

#include <cstdio>
#include <cstdlib>
#include <string>
#include <thread>
#include <vector>

struct XLA_FFI_Error {
  std::string message;
};

namespace {

enum Command : int64_t { kEnd, kForward, kBackward, kFacts, kOverrun, kOverflow };

std::vector<std::thread> threads;

int64_t number() {
  int64_t value = 0;
  if (std::fread(&value, sizeof value, 1, stdin) != 1) std::exit(3);
  return value;
}

void reply(int64_t value) { std::fwrite(&value, sizeof value, 1, stdout); }

struct Buffer {
  XLA_FFI_Buffer buffer{};
  std::vector<int64_t> dims;
  char* memory = nullptr;
  int64_t bytes = 0;

  // Type, rank, dimensions, bytes and, of an argument, content; `offset` is how far the numbers lie
  // behind an address that suits all types.
  Buffer(int64_t offset, bool content) {
    const int64_t type = number();
    dims.resize(number());
    for (int64_t& dim : dims) dim = number();
    bytes = number();
    memory = static_cast<char*>(std::malloc(offset + bytes));
    char* data = memory + offset;
    std::fill_n(data, bytes, char(-1));  // NaN, so that what is not written is seen
    if (content && bytes > 0 && std::fread(data, bytes, 1, stdin) != 1) std::exit(3);
    buffer.struct_size = XLA_FFI_Buffer_STRUCT_SIZE;
    buffer.dtype = static_cast<XLA_FFI_DataType>(type);
    buffer.data = data;
    buffer.rank = static_cast<int64_t>(dims.size());
    buffer.dims = dims.data();
  }
  Buffer(const Buffer&) = delete;
  ~Buffer() { std::free(memory); }
};

using Buffers = std::vector<std::unique_ptr<Buffer>>;

Buffers buffers(int64_t offset, bool content) {
  Buffers all;
  for (int64_t count = number(); count > 0; --count) all.push_back(std::make_unique<Buffer>(offset, content));
  return all;
}

std::vector<void*> addresses(const Buffers& all) {
  std::vector<void*> found;
  for (auto& one : all) found.push_back(&one->buffer);
  return found;
}

XLA_FFI_Error* create_error(XLA_FFI_Error_Create_Args* args) { return new XLA_FFI_Error{args->message}; }

XLA_FFI_Error* schedule(XLA_FFI_ThreadPool_Schedule_Args* args) {
  threads.emplace_back(args->task, args->data);
  return nullptr;
}

void call(XLA_FFI_Handler* handler, bool backward) {
  int64_t most_threads = number();
  bool has_lengths = number() != 0, norms = number() != 0;
  int64_t cut_steps = number();
  const int64_t offset = number();
  const Buffers arguments = buffers(offset, true), results = buffers(offset, false);

  XLA_FFI_Api api{};
  api.struct_size = XLA_FFI_Api_STRUCT_SIZE;
  api.XLA_FFI_Error_Create = create_error;
  api.XLA_FFI_ThreadPool_Schedule = schedule;

  XLA_FFI_Scalar scalars[] = {{XLA_FFI_DataType_S64, &cut_steps},
                              {XLA_FFI_DataType_PRED, &has_lengths},
                              {XLA_FFI_DataType_PRED, &norms},
                              {XLA_FFI_DataType_S64, &most_threads}};
  XLA_FFI_ByteSpan names[] = {{"cut_steps", 9}, {"has_lengths", 11}, {"norms", 5}, {"threads", 7}};
  std::vector<void*> values;
  std::vector<XLA_FFI_ByteSpan*> spans;
  for (int i = 0; i < 4; ++i)
    if (backward || i % 2 == 1) values.push_back(&scalars[i]), spans.push_back(&names[i]);
  std::vector<XLA_FFI_AttrType> kinds(values.size(), XLA_FFI_AttrType_SCALAR);
  std::vector<XLA_FFI_ArgType> given(arguments.size(), XLA_FFI_ArgType_BUFFER);
  std::vector<XLA_FFI_RetType> wanted(results.size(), XLA_FFI_RetType_BUFFER);
  std::vector<void*> in = addresses(arguments), out = addresses(results);

  XLA_FFI_CallFrame frame{};
  frame.struct_size = XLA_FFI_CallFrame_STRUCT_SIZE;
  frame.api = &api;
  frame.stage = XLA_FFI_ExecutionStage_EXECUTE;
  frame.args = {XLA_FFI_Args_STRUCT_SIZE, nullptr, static_cast<int64_t>(in.size()), given.data(), in.data()};
  frame.rets = {XLA_FFI_Rets_STRUCT_SIZE, nullptr, static_cast<int64_t>(out.size()), wanted.data(), out.data()};
  frame.attrs = {XLA_FFI_Attrs_STRUCT_SIZE, nullptr, static_cast<int64_t>(values.size()), kinds.data(),
                 spans.data(), values.data()};

  XLA_FFI_Error* error = handler(&frame);
  for (std::thread& thread : threads) thread.join();
  threads.clear();
  const std::string message = error == nullptr ? "" : error->message;
  delete error;
  reply(static_cast<int64_t>(message.size()));
  std::fwrite(message.data(), 1, message.size(), stdout);
  for (auto& one : results)
    if (message.empty()) std::fwrite(one->buffer.data, 1, one->bytes, stdout);
}

}  // namespace

int main() {
  for (;;) {
    switch (number()) {
      case kForward: call(rnnexp_forward, false); break;
      case kBackward: call(rnnexp_backward, true); break;
      case kFacts:
        reply(rnnexp::Lanes<RNNEXP_REAL>::n);
        reply(rnnexp_saved_size(number()));
        break;
      case kOverrun: {  // what the sanitizers must see
        volatile int64_t beyond = number();
        std::vector<char> memory(64);
        reply(memory.data()[beyond]);
        break;
      }
      case kOverflow: {
        volatile int32_t large = static_cast<int32_t>(number());
        reply(large + large);
        break;
      }
      default: return 0;
    }
    std::fflush(stdout);
  }
}
