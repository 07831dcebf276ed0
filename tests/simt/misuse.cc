#include "tests/simt/misuse.h"

#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <map>

namespace ssmd::simt {
namespace {

const char* NameOf(Call call) {
  switch (call) {
    case Call::kSync:
      return "Sync";
    case Call::kSyncAny:
      return "SyncAny";
    case Call::kSyncWarp:
      return "SyncWarp";
    case Call::kShuffle:
      return "Shuffle";
    case Call::kBallot:
      return "Ballot";
    case Call::kMma:
      return "Mma";
  }
  return "";
}

std::string WhereIs(const Thread* thread) {
  if (thread == nullptr) return "returned";
  const std::string file = thread->place.file;
  return std::string("in ") + NameOf(thread->call) + " at " + file.substr(file.rfind('/') + 1) +
         ':' + std::to_string(thread->place.line);
}

// "0-15, 17" of the bits set.
std::string RangesOf(uint32_t lanes) {
  std::string text;
  for (int first = 0; first < 32; ++first) {
    if ((lanes >> first & 1) == 0) continue;
    int last = first;
    while (last < 31 && (lanes >> (last + 1) & 1) != 0) ++last;
    text += (text.empty() ? "" : ", ") + std::to_string(first);
    if (last > first) text += '-' + std::to_string(last);
    first = last;
  }
  return text;
}

std::string Header(const BlockFacts& block) {
  return std::string("simt: kernel ") + block.call->name + ", block (" + std::to_string(block.x) +
         ", " + std::to_string(block.y) + ", " + std::to_string(block.z) + ") of " +
         std::to_string(block.call->threads) + " threads, seed " + std::to_string(block.seed) +
         ": ";
}

[[noreturn]] void Fail(const std::string& message) {
  std::fprintf(stderr, "%s\n", message.c_str());
  std::fflush(stderr);
  std::abort();
}

}  // namespace

void FailKernel(const BlockFacts& block, const std::string& what) { Fail(Header(block) + what); }

void FailStuck(const BlockFacts& block, int first_thread, const std::vector<const Thread*>& threads,
               const char* what) {
  // The lanes of each warp by where they are; warps with the same lanes at a place share a line.
  std::map<std::string, std::map<int, uint32_t>> places;
  for (size_t i = 0; i < threads.size(); ++i) {
    const int thread = first_thread + static_cast<int>(i);
    places[WhereIs(threads[i])][thread / 32] |= 1u << thread % 32;
  }
  std::string message = Header(block) + what;
  for (const auto& [where, warps] : places) {
    for (auto first = warps.begin(); first != warps.end();) {
      auto next = first;
      int last = first->first;
      while (next != warps.end() && next->second == first->second &&
             next->first - last <= (next == first ? 0 : 1)) {
        last = next->first;
        ++next;
      }
      message += "\n  warp " + std::to_string(first->first);
      if (last != first->first) message += '-' + std::to_string(last);
      message += ", lanes " + RangesOf(first->second) + ": " + where;
      first = next;
    }
  }
  Fail(message);
}

void FailHost(const std::string& what) { Fail("simt: " + what); }

}  // namespace ssmd::simt
