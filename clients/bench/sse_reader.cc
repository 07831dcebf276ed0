#include "clients/bench/sse_reader.h"

namespace ssmd::bench {

bool SseReader::Feed(std::string_view bytes,
                     const std::function<void(std::string_view)>& on_event) {
  while (!bytes.empty()) {
    if (after_return_ && bytes.front() == '\n') bytes.remove_prefix(1);
    after_return_ = false;
    const size_t end = bytes.find_first_of("\r\n");
    const std::string_view part = bytes.substr(0, end);
    if (line_.size() + part.size() > bytes_max_) return false;
    if (end == std::string_view::npos) {
      line_ += part;
      return true;
    }
    after_return_ = bytes[end] == '\r';
    bytes.remove_prefix(end + 1);
    if (line_.empty()) {
      if (!TakeLine(part, on_event)) return false;
    } else {
      line_ += part;
      const bool taken = TakeLine(line_, on_event);
      line_.clear();
      if (!taken) return false;
    }
  }
  return true;
}

bool SseReader::TakeLine(std::string_view line,
                         const std::function<void(std::string_view)>& on_event) {
  if (line.empty()) {
    if (has_data_) on_event(data_);
    data_.clear();
    has_data_ = false;
    return true;
  }
  const size_t colon = line.find(':');
  if (line.substr(0, colon) != "data") return true;
  std::string_view value = colon == std::string_view::npos ? "" : line.substr(colon + 1);
  if (!value.empty() && value.front() == ' ') value.remove_prefix(1);
  if (data_.size() + value.size() + 1 > bytes_max_) return false;
  if (has_data_) data_.push_back('\n');
  data_ += value;
  has_data_ = true;
  return true;
}

}  // namespace ssmd::bench
