#include "engine/log/log_folder.h"

#include <algorithm>
#include <optional>

#include "absl/strings/str_cat.h"
#include "absl/strings/strip.h"
#include "engine/log/log_format.h"

namespace ssmd {

absl::StatusOr<LogFolder> ListLogFolder(FileSystem* files, const std::string& folder) {
  const auto entries = files->List(folder);
  if (!entries.ok()) return Named(folder, entries.status());
  LogFolder contents;
  std::vector<LogFileId> finished;
  for (const FolderEntry& entry : *entries) {
    absl::string_view stem = entry.name;
    const bool unfinished = absl::ConsumeSuffix(&stem, kUnfinishedSuffix);
    const std::optional<LogFileId> id = ParseLogFileName({stem.data(), stem.size()});
    if (!id.has_value()) continue;
    if (unfinished) {
      contents.unfinished.push_back(entry.name);
      continue;
    }
    finished.push_back(*id);
    if (id->kind == LogFileKind::kImage) contents.image = std::max(contents.image, id->number);
  }
  for (const LogFileId& id : finished) {
    if (id.number < contents.image) {
      contents.superseded.push_back(LogFileName(id.kind, id.number));
    } else if (id.kind == LogFileKind::kSegment) {
      contents.segments.push_back(id.number);
    }
  }
  std::sort(contents.segments.begin(), contents.segments.end());
  return contents;
}

absl::Status RemoveLogFiles(FileSystem* files, const std::string& folder,
                            const std::vector<std::string>& names) {
  for (const std::string& name : names) {
    const std::string path = absl::StrCat(folder, "/", name);
    if (absl::Status status = files->Remove(path); !status.ok()) return Named(path, status);
  }
  return absl::OkStatus();
}

}  // namespace ssmd
