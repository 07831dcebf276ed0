#include "kernels/cuda/agreed_checks.h"

#include <unistd.h>

#include <cstdint>
#include <cstdio>
#include <filesystem>
#include <fstream>
#include <string_view>
#include <system_error>

namespace ssmd::kernels::cuda {
namespace {

constexpr char kTitle[] = "ssmd kernel checks 1\n";
constexpr std::string_view kEnd = "end ";
constexpr size_t kMaxFileBytes = size_t{1} << 20;

// FNV-1a, in sixteen digits.
std::string DigestOf(std::string_view text) {
  uint64_t hash = 0xcbf29ce484222325;
  for (const char c : text) hash = (hash ^ static_cast<unsigned char>(c)) * 0x100000001b3;
  char digits[17];
  std::snprintf(digits, sizeof(digits), "%016llx", static_cast<unsigned long long>(hash));
  return digits;
}

std::string EndOf(std::string_view text) { return std::string(kEnd) + DigestOf(text) + "\n"; }

// All of a file of a size that can be one of ours, or "".
std::string ContentsOf(const std::string& path) {
  std::error_code error;
  const auto bytes = std::filesystem::file_size(path, error);
  if (error || bytes > kMaxFileBytes) return "";
  std::ifstream file(path, std::ios::binary);
  std::string text(static_cast<size_t>(bytes), '\0');
  file.read(text.data(), static_cast<std::streamsize>(text.size()));
  text.resize(static_cast<size_t>(file.gcount()));
  return text;
}

}  // namespace

AgreedChecks::AgreedChecks(const std::string& folder, const std::string& gpu,
                           const std::string& holds_for)
    : holds_for_(holds_for) {
  const bool one_line = holds_for.find('\n') == std::string::npos;
  if (folder.empty() || holds_for.empty() || !one_line) return;
  path_ = (std::filesystem::path(folder) / ("kernels-" + DigestOf(gpu) + ".checked")).string();
  Read();
}

std::string AgreedChecks::Header() const { return kTitle + holds_for_ + "\n"; }

void AgreedChecks::Read() {
  const std::string text = ContentsOf(path_);
  const std::string header = Header();
  const size_t end_bytes = EndOf("").size();
  if (text.size() < header.size() + end_bytes || text.compare(0, header.size(), header) != 0)
    return;
  const std::string_view body(text.data(), text.size() - end_bytes);
  if (text.substr(body.size()) != EndOf(body) || body.back() != '\n') return;
  for (std::string_view rest = body.substr(header.size()); !rest.empty();) {
    const size_t line = rest.find('\n');
    checks_.emplace(rest.substr(0, line));
    rest.remove_prefix(line + 1);
  }
}

void AgreedChecks::Save() {
  if (path_.empty() || !changed_) return;
  std::string text = Header();
  for (const std::string& check : checks_) text += check + "\n";
  text += EndOf(text);
  const std::string unfinished = path_ + "." + std::to_string(getpid()) + ".part";
  std::error_code error;
  std::filesystem::create_directories(std::filesystem::path(path_).parent_path(), error);
  std::ofstream file(unfinished, std::ios::binary | std::ios::trunc);
  file << text;
  file.close();
  if (!file.fail()) std::filesystem::rename(unfinished, path_, error);
  if (file.fail() || error) std::filesystem::remove(unfinished, error);
  changed_ = false;
}

}  // namespace ssmd::kernels::cuda
