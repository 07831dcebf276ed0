#include "kernels/cuda/selfcheck/agreed_checks.h"

#include <filesystem>
#include <string_view>

#include "kernels/cuda/selfcheck/sealed_file.h"

namespace ssmd::kernels::cuda {
namespace {

constexpr char kTitle[] = "ssmd kernel checks 1\n";

}  // namespace

AgreedChecks::AgreedChecks(const std::string& folder, const std::string& gpu,
                           const std::string& holds_for)
    : header_(kTitle + holds_for + "\n") {
  const bool one_line = holds_for.find('\n') == std::string::npos;
  if (folder.empty() || holds_for.empty() || !one_line) return;
  path_ = (std::filesystem::path(folder) / ("kernels-" + DigestOf(gpu) + ".checked")).string();
  const std::string text = ReadSealed(path_);
  if (text.compare(0, header_.size(), header_) != 0) return;
  for (std::string_view rest = std::string_view(text).substr(header_.size()); !rest.empty();) {
    const size_t line = rest.find('\n');
    checks_.emplace(rest.substr(0, line));
    rest.remove_prefix(line + 1);
  }
}

void AgreedChecks::Save() {
  if (path_.empty() || !changed_) return;
  std::string text = header_;
  for (const std::string& check : checks_) text += check + "\n";
  WriteSealed(path_, text, /*lasting=*/false);
  changed_ = false;
}

}  // namespace ssmd::kernels::cuda
