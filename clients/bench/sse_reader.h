// Reads a stream of server-sent events (WHATWG's HTML standard, 9.2) as its bytes come, cut
// wherever they may be. Comments and fields other than "data" are passed over, and an event that
// the stream's end cuts short is none. Not thread-safe.
#ifndef SSMD_CLIENTS_BENCH_SSE_READER_H_
#define SSMD_CLIENTS_BENCH_SSE_READER_H_

#include <cstddef>
#include <functional>
#include <string>
#include <string_view>

namespace ssmd::bench {

class SseReader {
 public:
  static constexpr size_t kEventBytesMax = size_t{1} << 20;

  explicit SseReader(size_t event_bytes_max = kEventBytesMax) : bytes_max_(event_bytes_max) {}

  // Calls `on_event` with the data of each event that `bytes` complete. False where a line or an
  // event is longer than the limit; it is not to be called again then.
  bool Feed(std::string_view bytes, const std::function<void(std::string_view data)>& on_event);

 private:
  bool TakeLine(std::string_view line, const std::function<void(std::string_view)>& on_event);

  const size_t bytes_max_;
  std::string line_;  // that has begun
  std::string data_;  // of the event that has begun
  bool has_data_ = false;
  bool after_return_ = false;  // a line feed now belongs to the line's end before
};

}  // namespace ssmd::bench

#endif  // SSMD_CLIENTS_BENCH_SSE_READER_H_
