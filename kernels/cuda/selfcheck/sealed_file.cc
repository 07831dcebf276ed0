#include "kernels/cuda/selfcheck/sealed_file.h"

#include <fcntl.h>
#include <unistd.h>

#include <cstdint>
#include <cstdio>
#include <filesystem>
#include <fstream>
#include <system_error>

namespace ssmd::kernels::cuda {
namespace {

constexpr std::string_view kEnd = "end ";
constexpr size_t kMaxFileBytes = size_t{1} << 20;

std::string EndOf(std::string_view text) { return std::string(kEnd) + DigestOf(text) + "\n"; }

bool WriteWhole(const std::string& path, std::string_view text, bool lasting) {
  const int file = open(path.c_str(), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0644);
  if (file < 0) return false;
  bool good = true;
  while (good && !text.empty()) {
    const ssize_t written = write(file, text.data(), text.size());
    good = written > 0;
    if (good) text.remove_prefix(static_cast<size_t>(written));
  }
  if (lasting) good = good && fsync(file) == 0;
  return close(file) == 0 && good;
}

}  // namespace

std::string DigestOf(std::string_view text) {
  uint64_t hash = 0xcbf29ce484222325;
  for (const char c : text) hash = (hash ^ static_cast<unsigned char>(c)) * 0x100000001b3;
  char digits[17];
  std::snprintf(digits, sizeof(digits), "%016llx", static_cast<unsigned long long>(hash));
  return digits;
}

std::string ReadSealed(const std::string& path) {
  std::error_code error;
  const auto bytes = std::filesystem::file_size(path, error);
  if (error || bytes > kMaxFileBytes) return "";
  std::ifstream file(path, std::ios::binary);
  std::string text(static_cast<size_t>(bytes), '\0');
  file.read(text.data(), static_cast<std::streamsize>(text.size()));
  text.resize(static_cast<size_t>(file.gcount()));
  const size_t end_bytes = EndOf("").size();
  if (text.size() <= end_bytes) return "";
  const std::string end = text.substr(text.size() - end_bytes);
  text.resize(text.size() - end_bytes);
  return text.back() == '\n' && end == EndOf(text) ? text : "";
}

bool WriteSealed(const std::string& path, const std::string& lines, bool lasting) {
  const std::string unfinished = path + "." + std::to_string(getpid()) + ".part";
  std::error_code error;
  std::filesystem::create_directories(std::filesystem::path(path).parent_path(), error);
  bool written = WriteWhole(unfinished, lines + EndOf(lines), lasting);
  if (written) std::filesystem::rename(unfinished, path, error);
  if (written && !error) return true;
  std::filesystem::remove(unfinished, error);
  return false;
}

}  // namespace ssmd::kernels::cuda
