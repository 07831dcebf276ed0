#include "clients/ssmctl/input.h"

#include <fcntl.h>
#include <poll.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <limits>

#include "clients/ssmctl/text.h"

namespace ssmd::ctl {
namespace {

constexpr const char* kStandardInput = "standard input";

// After a call that set errno.
std::string CannotRead(const std::string& name) {
  const int error = errno;
  return "cannot read " + name + ": " + std::strerror(error);
}

std::string TooLarge(const std::string& name) { return name + " is larger than 64 MiB"; }

std::optional<std::string> ReadAll(int fd, const std::string& name, size_t most,
                                   std::string* text) {
  text->clear();
  char chunk[1 << 16];
  while (true) {
    const ssize_t count = ::read(fd, chunk, sizeof(chunk));
    if (count < 0 && errno == EINTR) continue;
    if (count < 0) return CannotRead(name);
    if (count == 0) return std::nullopt;
    text->append(chunk, static_cast<size_t>(count));
    if (text->size() > most) return TooLarge(name);
  }
}

}  // namespace

std::optional<std::string> ReadStandardInput(std::string* text) {
  return ReadAll(STDIN_FILENO, kStandardInput, kInputBytesMax, text);
}

std::optional<std::string> ReadFile(const std::string& path, std::string* text) {
  const int fd = ::open(path.c_str(), O_RDONLY | O_CLOEXEC);
  if (fd < 0) return CannotRead(path);
  auto problem = ReadAll(fd, path, std::numeric_limits<size_t>::max(), text);
  ::close(fd);
  return problem;
}

std::optional<std::string> ResolveText(const std::string& flag, std::optional<std::string>* text) {
  const bool piped = !text->has_value() && !::isatty(STDIN_FILENO);
  const bool from_input = piped || *text == "-";
  if (from_input) {
    std::string input;
    if (auto problem = ReadStandardInput(&input)) return problem;
    // Nothing piped in is no text, as with a closed standard input; "-" asks for what there is.
    if (!piped || !input.empty()) *text = std::move(input);
  }
  if (!text->has_value()) return std::nullopt;
  if (const auto at = FirstInvalidUtf8(**text)) {
    return (from_input ? kStandardInput : flag) + " is not UTF-8: byte " + std::to_string(*at) +
           " begins no character";
  }
  return std::nullopt;
}

LineReader::Outcome LineReader::Read(int wake_fd, std::string* line) {
  while (true) {
    if (const size_t end = buffer_.find('\n'); end != std::string::npos) {
      *line = buffer_.substr(0, end);
      buffer_.erase(0, end + 1);
      return Outcome::kLine;
    }
    pollfd fds[] = {{wake_fd, POLLIN, 0}, {STDIN_FILENO, POLLIN, 0}};
    if (::poll(fds, 2, -1) < 0) continue;
    if (fds[0].revents != 0) {
      buffer_.clear();
      return Outcome::kWoken;
    }
    char chunk[4096];
    const ssize_t count = ::read(STDIN_FILENO, chunk, sizeof(chunk));
    if (count < 0 && (errno == EINTR || errno == EAGAIN)) continue;
    if (count < 0 || buffer_.size() > kInputBytesMax) {
      *line = count < 0 ? CannotRead(kStandardInput)
                        : TooLarge("a line of " + std::string(kStandardInput));
      return Outcome::kUnreadable;
    }
    if (count == 0) {
      // The last line may lack its newline.
      *line = std::move(buffer_);
      buffer_.clear();
      return line->empty() ? Outcome::kEnd : Outcome::kLine;
    }
    buffer_.append(chunk, static_cast<size_t>(count));
  }
}

}  // namespace ssmd::ctl
