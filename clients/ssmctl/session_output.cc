#include "clients/ssmctl/session_output.h"

#include <algorithm>
#include <map>
#include <set>

#include "absl/strings/str_format.h"
#include "clients/ssmctl/enum_names.h"
#include "clients/ssmctl/text.h"
#include "clients/ssmctl/units.h"

namespace ssmd::ctl {
namespace {

using Points = google::protobuf::RepeatedPtrField<v1::SessionPoint>;

void WritePoints(const Points& points, bool named, JsonWriter* writer) {
  writer->BeginArray();
  for (const v1::SessionPoint& point : points) {
    writer->BeginObject();
    if (named) writer->Key("name").String(point.name());
    writer->Key("revision").Unsigned(point.revision());
    writer->Key("position").Int(point.position());
    writer->Key("held").Bool(point.held());
    writer->EndObject();
  }
  writer->EndArray();
}

std::string TokenList(const v1::Session& session) {
  std::string list;
  for (const int32_t id : session.last_token_ids()) {
    if (!list.empty()) list += ",";
    list += std::to_string(id);
  }
  return list.empty() ? "none" : list;
}

std::string PointList(const Points& points) {
  std::string list;
  for (const v1::SessionPoint& point : points) {
    if (!list.empty()) list += ", ";
    if (!point.name().empty()) list += LossyUtf8(point.name()) + " at ";
    list += std::to_string(point.position());
    if (!point.held()) list += " (to recompute)";
  }
  return list;
}

// To people: what the next turn has to do, where nothing is lost but the state.
std::string ShownTier(v1::StateTier tier) {
  return tier == v1::STATE_TIER_LOST ? "replay" : TierName(tier);
}

// Of a list: another replica has it, which alone knows more.
bool IsAway(const v1::Session& session) {
  return session.tier() == v1::STATE_TIER_UNSPECIFIED &&
         session.position() > session.pending_tokens();
}

std::string StateLine(const v1::Session& session) {
  std::string line = ShownTier(session.tier());
  if (session.state_bytes() > 0) line += ", " + Bytes(session.state_bytes());
  const int64_t behind = session.position() - session.pending_tokens() - session.state_position();
  if (behind > 0) line += absl::StrFormat(", %d tokens to read again", behind);
  return line;
}

std::string Notes(const v1::Session& session, int64_t now_unix_ms) {
  std::string notes;
  const auto add = [&notes](const std::string& note) {
    if (!notes.empty()) notes += ", ";
    notes += note;
  };
  if (session.running()) add("running");
  if (session.waiting_turns() > 0) add(absl::StrFormat("%d waiting", session.waiting_turns()));
  if (session.checkpoints_size() > 0) {
    add(absl::StrFormat("%d checkpoint%s", session.checkpoints_size(),
                        session.checkpoints_size() == 1 ? "" : "s"));
  }
  if (session.expires_unix_ms() > 0) {
    add("ends in " + Age(session.expires_unix_ms() - now_unix_ms));
  }
  return notes;
}

struct Row {
  std::string name;    // with its branches
  size_t columns = 0;  // that the name takes
  const v1::Session* session = nullptr;
};

// The sessions as a forest, parents first. Children are in the order in which they were given. Not
// recursive: a chain of a hundred thousand forks is a long list and no overflow.
class Forest {
 public:
  explicit Forest(const std::vector<v1::Session>& sessions) {
    std::set<std::string> ids;
    for (const v1::Session& session : sessions) ids.insert(session.session_id());
    for (const v1::Session& session : sessions) {
      const bool has_parent = ids.count(session.parent_id()) > 0;
      children_[has_parent ? session.parent_id() : std::string()].push_back(&session);
    }
  }

  std::vector<Row> Rows() {
    std::vector<Row> rows;
    PushChildren("", "", 0);
    while (!stack_.empty()) {
      const Pending next = std::move(stack_.back());
      stack_.pop_back();
      const std::string& id = next.session->session_id();
      const int levels = std::min(next.depth, kIndentMax);
      rows.push_back(
          {next.branch + LossyUtf8(id), static_cast<size_t>(3 * levels) + id.size(), next.session});
      PushChildren(id, next.indent, next.depth + 1);
    }
    return rows;
  }

 private:
  static constexpr int kIndentMax = 16;  // deeper ones stand below each other
  struct Pending {
    const v1::Session* session;
    std::string branch;
    std::string indent;  // of its children
    int depth;
  };

  void PushChildren(const std::string& parent, const std::string& indent, int depth) {
    const auto found = children_.find(parent);
    if (found == children_.end()) return;
    const bool indents = depth > 0 && depth < kIndentMax;
    for (size_t i = found->second.size(); i-- > 0;) {
      const bool last = i + 1 == found->second.size();
      stack_.push_back({found->second[i], depth == 0 ? "" : indent + (last ? "└─ " : "├─ "),
                        indents ? indent + (last ? "   " : "│  ") : indent, depth});
    }
  }

  std::map<std::string, std::vector<const v1::Session*>> children_;  // by parent; "": the top
  std::vector<Pending> stack_;
};

}  // namespace

void WriteSession(const v1::Session& session, JsonWriter* writer) {
  writer->BeginObject();
  writer->Key("session_id").String(session.session_id());
  writer->Key("model").String(session.model());
  writer->Key("revision").Unsigned(session.revision());
  writer->Key("position").Int(session.position());
  writer->Key("pending_tokens").Int(session.pending_tokens());
  writer->Key("last_token_ids").Ids(session.last_token_ids());
  writer->Key("history_hash").String(absl::StrFormat("%016x", session.history_hash()));
  writer->Key("running").Bool(session.running());
  writer->Key("waiting_turns").Int(session.waiting_turns());
  writer->Key("tier").String(TierName(session.tier()));
  writer->Key("state_position").Int(session.state_position());
  writer->Key("state_bytes").Int(session.state_bytes());
  writer->Key("parent_id").String(session.parent_id());
  writer->Key("parent_position").Int(session.parent_position());
  writer->Key("checkpoints");
  WritePoints(session.checkpoints(), true, writer);
  writer->Key("turn_ends");
  WritePoints(session.turn_ends(), false, writer);
  writer->Key("created_unix_ms").Int(session.created_unix_ms());
  writer->Key("used_unix_ms").Int(session.used_unix_ms());
  writer->Key("expires_unix_ms").Int(session.expires_unix_ms());
  writer->EndObject();
}

std::vector<std::string> DescribeSession(const v1::Session& session, int64_t now_unix_ms) {
  std::vector<std::string> lines;
  const auto add = [&lines](const char* name, const std::string& value) {
    lines.push_back(absl::StrFormat("%-13s%s", name, value));
  };
  add("session", LossyUtf8(session.session_id()));
  add("model", LossyUtf8(session.model()));
  add("revision", std::to_string(session.revision()));
  add("history", absl::StrFormat("%d tokens, %d of them pending", session.position(),
                                 session.pending_tokens()));
  add("last tokens", TokenList(session));
  add("state", StateLine(session));
  if (session.running() || session.waiting_turns() > 0) {
    add("turns", absl::StrFormat("%d running, %d waiting", session.running() ? 1 : 0,
                                 session.waiting_turns()));
  }
  if (!session.parent_id().empty()) {
    add("forked from",
        absl::StrFormat("%s at %d", LossyUtf8(session.parent_id()), session.parent_position()));
  }
  if (session.checkpoints_size() > 0) add("checkpoints", PointList(session.checkpoints()));
  if (session.turn_ends_size() > 0) add("turn ends", PointList(session.turn_ends()));
  add("created", UtcTime(session.created_unix_ms()));
  add("used",
      UtcTime(session.used_unix_ms()) + ", " + Age(now_unix_ms - session.used_unix_ms()) + " ago");
  if (session.expires_unix_ms() > 0) {
    add("ends",
        UtcTime(session.expires_unix_ms()) + " (an idle limit moves with each use, a TTL stays)");
  }
  return lines;
}

std::vector<std::string> SessionTree(const std::vector<v1::Session>& sessions,
                                     int64_t now_unix_ms) {
  const std::vector<Row> rows = Forest(sessions).Rows();
  size_t name_columns = 7;
  size_t model_columns = 5;
  for (const Row& row : rows) {
    name_columns = std::max(name_columns, row.columns);
    model_columns = std::max(model_columns, row.session->model().size());
  }
  std::vector<std::string> lines;
  const auto add = [&](const std::string& name, size_t columns, const std::string& model,
                       const std::string& rest) {
    lines.push_back(name + std::string(name_columns - columns + 2, ' ') +
                    absl::StrFormat("%-*s%s", static_cast<int>(model_columns), model, rest));
  };
  const auto rest = [](const std::string& tokens, const std::string& revision,
                       const std::string& state, const std::string& bytes, const std::string& used,
                       const std::string& notes) {
    std::string text =
        absl::StrFormat("%9s %6s  %-6s %8s %8s", tokens, revision, state, bytes, used);
    return notes.empty() ? text : text + "  " + notes;
  };
  add("SESSION", 7, "MODEL", rest("TOKENS", "REV", "STATE", "BYTES", "USED", ""));
  for (const Row& row : rows) {
    const v1::Session& session = *row.session;
    add(row.name, row.columns, LossyUtf8(session.model()),
        rest(std::to_string(session.position()), std::to_string(session.revision()),
             IsAway(session) ? "away" : ShownTier(session.tier()),
             IsAway(session) ? "-" : Bytes(session.state_bytes()),
             Age(now_unix_ms - session.used_unix_ms()) + " ago", Notes(session, now_unix_ms)));
  }
  return lines;
}

std::string TierName(v1::StateTier tier) {
  if (tier == v1::STATE_TIER_UNSPECIFIED) return "none";
  return LowerCase(ShortName(v1::StateTier_Name(tier), "STATE_TIER_", tier));
}

}  // namespace ssmd::ctl
