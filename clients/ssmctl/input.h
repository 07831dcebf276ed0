// Text that a person types or pipes in.
#ifndef SSMD_CLIENTS_SSMCTL_INPUT_H_
#define SSMD_CLIENTS_SSMCTL_INPUT_H_

#include <optional>
#include <string>

namespace ssmd::ctl {

// Most bytes that are read from standard input.
inline constexpr size_t kInputBytesMax = size_t{64} << 20;

// What is wrong, or nothing. `text` becomes all of standard input, as it is.
std::optional<std::string> ReadStandardInput(std::string* text);

// The same of a file, which may be of any size.
std::optional<std::string> ReadFile(const std::string& path, std::string* text);

// Replaces "-" by standard input, and an absent text by it where standard input is not a terminal.
// Afterwards `text` is absent or UTF-8. `flag` names it in errors.
std::optional<std::string> ResolveText(const std::string& flag, std::optional<std::string>* text);

// Reads lines from standard input while watching another descriptor.
class LineReader {
 public:
  enum class Outcome { kLine, kEnd, kWoken, kUnreadable };

  // kWoken when `wake_fd` became readable first; what was read of a line so far is dropped then.
  // With kUnreadable `line` becomes what is wrong.
  Outcome Read(int wake_fd, std::string* line);

 private:
  std::string buffer_;
};

}  // namespace ssmd::ctl

#endif  // SSMD_CLIENTS_SSMCTL_INPUT_H_
