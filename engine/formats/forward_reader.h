// Reads a file's numbers and strings front to back: every read is checked against the end of the
// file, and errors say which file and where in it. The bytes must outlive it. Thread-compatible.
#ifndef SSMD_ENGINE_FORMATS_FORWARD_READER_H_
#define SSMD_ENGINE_FORMATS_FORWARD_READER_H_

#include <cstddef>
#include <cstdint>
#include <string_view>

#include "absl/status/status.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/string_view.h"
#include "engine/base/little_endian.h"
#include "engine/base/text_view.h"

namespace ssmd {

class ForwardReader {
 public:
  // `source`: the file's name, for errors.
  ForwardReader(std::string_view source, std::string_view bytes) : source_(source), bytes_(bytes) {}

  std::string_view bytes() const { return bytes_; }  // all of the file
  size_t at() const { return at_; }                  // of the next read
  size_t left() const { return bytes_.size() - at_; }

  absl::Status Error(absl::string_view reason) const {
    return absl::InvalidArgumentError(absl::StrCat(View(source_), ": ", reason));
  }
  absl::Status CutShort(absl::string_view within) const {
    return Error(absl::StrCat("is cut short in ", within, ", at byte ", at_));
  }

  // False, and nothing read, where the file ends before.
  template <typename T>
  bool Get(T* value) {
    std::string_view bytes;
    if (!Take(sizeof(T), &bytes)) return false;
    *value = GetLittleEndian<T>(bytes.data());
    return true;
  }
  // So many bytes, likewise.
  bool Take(uint64_t count, std::string_view* taken) {
    if (count > left()) return false;
    *taken = bytes_.substr(at_, count);
    at_ += count;
    return true;
  }

 private:
  std::string_view source_;
  std::string_view bytes_;
  size_t at_ = 0;
};

}  // namespace ssmd

#endif  // SSMD_ENGINE_FORMATS_FORWARD_READER_H_
