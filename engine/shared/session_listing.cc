// Lists of a tenant's sessions, those of other replicas among them.
#include <algorithm>
#include <map>
#include <utility>

#include "engine/base/status_macros.h"
#include "engine/session/session_errors.h"
#include "engine/shared/session_sharing_impl.h"
#include "engine/shared/session_summary.h"
#include "engine/shared/shared_limits.h"

namespace ssmd {
namespace {

// Ids of the store that one list looks at: past them its page ends, full or not.
constexpr int kLookedAtMax = 4096;
constexpr char kMayBeMore[] = "other replicas may have more sessions";

bool IsListed(const SessionInfo& session, const SessionFilter& filter, int64_t now) {
  return (filter.model.empty() || session.model == filter.model) &&
         (filter.parent_id.empty() || session.parent_id == filter.parent_id) &&
         // Nobody is left to delete it, and whoever uses it finds it gone.
         (session.expires_unix_ms == 0 || session.expires_unix_ms > now);
}

}  // namespace

absl::StatusOr<SessionPage> SharingImpl::ListStore(const std::string& tenant,
                                                   const SessionFilter& filter, size_t wanted,
                                                   const std::string& after) {
  const int64_t now = UnixMillis();
  SessionPage page;
  page.next_page_token = after;
  int looked = 0;
  do {
    // As many as are missing where all fit, and twice as many each time where few do.
    const int missing = static_cast<int>(wanted - page.sessions.size());
    const int most = std::min({std::max(missing, looked), kSharedListedMax, kLookedAtMax - looked});
    auto list = store_->List(tenant, page.next_page_token, most);
    looked += most;
    int64_t damaged = 0;
    if (list.ok()) {
      for (const SharedSummary& listed : list->sessions) {
        auto session = DecodeSessionSummary(listed.id, listed.summary);
        if (!session.ok()) {
          ++damaged;
        } else if (IsListed(*session, filter, now)) {
          page.sessions.push_back(*std::move(session));
        }
      }
      page.next_page_token = std::move(list->next);
    }
    MutexLock lock(&mutex_);
    totals_.failures += damaged;
    if (!list.ok()) return StoreError(kMayBeMore, list.status());
  } while (!page.next_page_token.empty() && page.sessions.size() < wanted && looked < kLookedAtMax);
  if (page.next_page_token.empty() || IsSessionId(page.next_page_token)) return page;
  MutexLock lock(&mutex_);
  return StoreError(kMayBeMore, absl::UnavailableError("it lists what is no session"));
}

absl::StatusOr<SessionPage> SharingImpl::List(const std::string& tenant,
                                              const SessionFilter& filter, int page_size,
                                              const std::string& page_token) {
  SSMD_ASSIGN_OR_RETURN(SessionPage here, table_->List(tenant, filter, page_size, page_token));
  const auto size = static_cast<size_t>(page_size);
  // One more than fit, so that a page that is the last says so.
  SSMD_ASSIGN_OR_RETURN(SessionPage shared, ListStore(tenant, filter, size + 1, page_token));

  // Up to where both are known.
  std::string end = here.next_page_token;
  if (!shared.next_page_token.empty() && (end.empty() || shared.next_page_token < end)) {
    end = shared.next_page_token;
  }
  std::map<std::string, SessionInfo> all;
  {
    MutexLock lock(&mutex_);
    for (SessionInfo& session : shared.sessions) {
      const Row* row = Find({tenant, session.session_id});
      if (row == nullptr || !row->deleted) all[session.session_id] = std::move(session);
    }
    for (SessionInfo& session : here.sessions) {
      const Row* row = Find({tenant, session.session_id});
      // What was here before a restart, or has just gone, is as the store says, if it does.
      const bool is_here = row != nullptr && row->phase == Phase::kHere;
      if (is_here || !all.contains(session.session_id)) {
        all[session.session_id] = std::move(session);
      }
    }
  }
  SessionPage page;
  for (auto& [id, session] : all) {
    if (!end.empty() && id > end) break;
    if (page.sessions.size() == size) {
      page.next_page_token = page.sessions.back().session_id;
      return page;
    }
    page.sessions.push_back(std::move(session));
  }
  page.next_page_token = end;
  return page;
}

}  // namespace ssmd
