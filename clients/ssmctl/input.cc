#include "clients/ssmctl/input.h"

#include <poll.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>

#include "clients/ssmctl/text.h"

namespace ssmd::ctl {

std::optional<std::string> ReadStandardInput(std::string* text) {
  text->clear();
  char chunk[1 << 16];
  while (true) {
    const ssize_t count = ::read(STDIN_FILENO, chunk, sizeof(chunk));
    if (count < 0 && errno == EINTR) continue;
    if (count < 0) return "cannot read standard input: " + std::string(std::strerror(errno));
    if (count == 0) return std::nullopt;
    text->append(chunk, static_cast<size_t>(count));
    if (text->size() > kInputBytesMax) return "standard input is larger than 64 MiB";
  }
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
    return (from_input ? "standard input" : flag) + " is not UTF-8: byte " + std::to_string(*at) +
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
    const bool too_long = buffer_.size() > kInputBytesMax;
    if (count <= 0 || too_long) {
      // The last line may lack its newline.
      *line = std::move(buffer_);
      buffer_.clear();
      return line->empty() || too_long ? Outcome::kEnd : Outcome::kLine;
    }
    buffer_.append(chunk, static_cast<size_t>(count));
  }
}

}  // namespace ssmd::ctl
