#include "kernels/cuda/selfcheck/trials.h"

#include <unistd.h>

#include <algorithm>
#include <cstdlib>
#include <filesystem>
#include <sstream>

#include "kernels/cuda/selfcheck/sealed_file.h"

namespace ssmd::kernels::cuda {
namespace {

constexpr char kTitle[] = "ssmd kernel trials 1\n";
constexpr int kTimes = 2;  // that a comparison may be cut short
constexpr char kOff[] = "off ", kBegun[] = "begun ";

std::string TextOf(const Trial& trial) { return trial.group + ": " + trial.check + "\n"; }

Trial TrialOf(const std::string& text) {
  const size_t colon = text.find(": ");
  if (colon == std::string::npos) return {};
  return {text.substr(0, colon), text.substr(colon + 2)};
}

// What follows `word` in a line that begins with it.
bool Follows(const std::string& line, const std::string& word, std::string* rest) {
  if (line.compare(0, word.size(), word) != 0) return false;
  *rest = line.substr(word.size());
  return true;
}

}  // namespace

Trials::Trials(const std::string& folder, const std::string& gpu, const std::string& holds_for)
    : header_(kTitle + holds_for + "\n") {
  const bool one_line = holds_for.find('\n') == std::string::npos;
  if (folder.empty() || holds_for.empty() || !one_line) return;
  path_ = (std::filesystem::path(folder) / ("kernels-" + DigestOf(gpu) + ".trials")).string();
  Read();
  for (const Begun& begun : begun_) {
    if (begun.times >= kTimes) off_.push_back(begun.trial);
  }
  const auto over = [](const Begun& begun) { return begun.times >= kTimes; };
  if (std::erase_if(begun_, over) > 0) Write();
}

void Trials::Read() {
  const std::string text = ReadSealed(path_);
  if (text.compare(0, header_.size(), header_) != 0) return;
  std::istringstream lines(text.substr(header_.size()));
  for (std::string line, rest; std::getline(lines, line);) {
    if (Follows(line, kOff, &rest)) off_.push_back(TrialOf(rest));
    if (!Follows(line, kBegun, &rest)) continue;
    const size_t space = std::min(rest.find(' '), rest.size() - 1);
    begun_.push_back({TrialOf(rest.substr(space + 1)), std::atoi(rest.c_str())});
  }
}

void Trials::Begin(const Trial& trial) {
  trying_ = trial;
  const auto again = std::find_if(begun_.begin(), begun_.end(),
                                  [&](const Begun& begun) { return begun.trial == trial; });
  if (again == begun_.end()) {
    begun_.push_back({trial, 1});
  } else {
    ++again->times;
  }
  Write();
}

void Trials::End(bool gpu_failed) {
  if (gpu_failed) off_.push_back(trying_);
  std::erase_if(begun_, [&](const Begun& begun) { return begun.trial == trying_; });
  Write();
}

void Trials::Write() const {
  if (path_.empty()) return;
  if (off_.empty() && begun_.empty()) {
    unlink(path_.c_str());
    return;
  }
  std::string text = header_;
  for (const Trial& trial : off_) text += kOff + TextOf(trial);
  for (const Begun& begun : begun_) {
    text += kBegun + std::to_string(begun.times) + " " + TextOf(begun.trial);
  }
  WriteSealed(path_, text, /*lasting=*/true);
}

}  // namespace ssmd::kernels::cuda
