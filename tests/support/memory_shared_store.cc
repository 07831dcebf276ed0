#include "tests/support/memory_shared_store.h"

#include <algorithm>

#include "engine/base/errors.h"
#include "engine/base/status_macros.h"
#include "engine/shared/shared_limits.h"

namespace ssmd::test {
namespace {

absl::Status Unreachable() { return absl::UnavailableError("the shared store does not answer"); }
absl::Status Lost() { return absl::AbortedError("the session is not owned under this fence"); }
absl::Status CheckWrite(const SharedStore::Write& write) {
  SSMD_RETURN_IF_ERROR(CheckReplica(write.self));
  SSMD_RETURN_IF_ERROR(CheckFence(write.fence));
  return CheckSummary(write.summary);
}
absl::Status NoSession() { return absl::NotFoundError("the shared store has no such session"); }

MemorySharedStore::Name NameOf(const SessionKey& key) { return {key.tenant, key.id}; }

int64_t Size(std::string_view bytes) { return static_cast<int64_t>(bytes.size()); }

}  // namespace

// What a call works on, under the store's lock.
struct MemorySharedStore::Keeper {
  Contents& contents;
  const Options& options;
  const TimePoint now;

  // Null when there is none, or it has ended.
  Session* Find(const SessionKey& key) {
    const auto found = contents.sessions.find(NameOf(key));
    if (found == contents.sessions.end()) return nullptr;
    if (found->second.end > now) return &found->second;
    contents.sessions.erase(found);
    return nullptr;
  }

  bool IsPresent(const std::string& replica) const {
    const auto found = contents.present.find(replica);
    return found != contents.present.end() && found->second.end > now;
  }

  // OK unless another process is present as that replica.
  absl::Status CheckIncarnation(const Replica& self) const {
    if (!IsPresent(self.id)) return absl::OkStatus();
    const Presence& present = contents.present.at(self.id);
    return present.incarnation == self.incarnation ? absl::OkStatus() : PresentElsewhere();
  }

  int64_t BytesOf(const std::string& tenant) const {
    int64_t sum = 0;
    for (const auto& [name, session] : contents.sessions) {
      if (name.first == tenant && !session.deleted && session.end > now) sum += session.bytes();
    }
    return sum;
  }

  // ABORTED, or whether there is a session that the writer owns.
  absl::StatusOr<bool> Owns(const Write& write) {
    SSMD_RETURN_IF_ERROR(CheckIncarnation(write.self));
    const Session* session = Find(write.key);
    if (session == nullptr) return false;
    if (session->deleted) return Lost();
    if (write.fence > session->fence) return false;
    if (write.fence == session->fence && session->owner == write.self.id &&
        session->process == write.self.incarnation) {
      return true;
    }
    return Lost();
  }

  // The session that the writer owns.
  absl::StatusOr<Session> Owned(const Write& write) {
    SSMD_ASSIGN_OR_RETURN(const bool owned, Owns(write));
    if (!owned) return NoSession();
    return *Find(write.key);
  }

  // Puts `after` in the place of what is there, if the limits allow it.
  absl::Status Replace(const Write& write, Session after) {
    const Session* before = Find(write.key);
    const int64_t old = before == nullptr ? 0 : before->bytes(), bytes = after.bytes();
    if (bytes > old && bytes > options.session_bytes_max) {
      return absl::ResourceExhaustedError("the session is larger than one may be");
    }
    if (bytes > old && options.tenant_bytes > 0 &&
        BytesOf(write.key.tenant) - old + bytes > options.tenant_bytes) {
      return WithReason(absl::ResourceExhaustedError("the tenant has used up its bytes"),
                        reason::kStateQuota);
    }
    after.writer = write.self.id;
    after.end = now + write.ttl;
    contents.sessions[NameOf(write.key)] = std::move(after);
    return absl::OkStatus();
  }

  void Wish(const std::string& owner, const SessionKey& key) {
    std::deque<Name>& wishes = contents.wished_for[owner];
    const bool asked = std::find(wishes.begin(), wishes.end(), NameOf(key)) != wishes.end();
    if (!asked && static_cast<int64_t>(wishes.size()) < kSharedWantedMax) {
      wishes.push_back(NameOf(key));
    }
  }

  // Of the replica that calls, but of an earlier process of it.
  static bool IsOfEarlier(const Session& session, const Replica& self) {
    return session.owner == self.id && session.process != self.incarnation;
  }

  absl::StatusOr<Claim> TryClaim(const Replica& self, const SessionKey& key, bool take_over) {
    SSMD_RETURN_IF_ERROR(CheckIncarnation(self));
    Session* session = Find(key);
    if (session == nullptr || session->deleted) return NoSuchSession();
    if (IsOfEarlier(*session, self)) session->owner.clear();
    if (session->owner != self.id) {
      const std::string& owner = session->owner;
      if (!owner.empty() && IsPresent(owner)) {
        Wish(owner, key);
        return OwnedElsewhere{{owner, contents.present[owner].address, {}}, true};
      }
      if (!owner.empty() && !take_over) return OwnedElsewhere{{owner, "", {}}, false};
      session->owner = self.id;
      session->process = self.incarnation;
      ++session->fence;
    }
    SharedSession claimed;
    claimed.fence = session->fence;
    claimed.writer = session->writer;
    claimed.image_number = session->image_number;
    claimed.image = session->image;
    claimed.changes.assign(session->changes.begin(), session->changes.end());
    for (const auto& [name, state] : session->states) claimed.states.push_back(state);
    return claimed;
  }
};

int64_t MemorySharedStore::Session::bytes() const {
  int64_t sum = kSharedSessionBytes + kSharedPartBytes + Size(image) + Size(summary);
  for (const std::string& change : changes) sum += kSharedPartBytes + Size(change);
  for (const auto& [name, state] : states) {
    sum += kSharedPartBytes + Size(name) + Size(state.snapshot) + int64_t{sizeof(state.position)};
  }
  return sum;
}

void MemorySharedStore::FailCall(int n, Fault fault) {
  const MutexLock lock(&mutex_);
  faults_[figures_.calls + n] = fault;
}

void MemorySharedStore::DeliverLate() {
  const MutexLock lock(&mutex_);
  Keeper keeper{contents_, options_, clock_->Now()};
  for (const auto& effect : late_) effect(&keeper);
  late_.clear();
}

void MemorySharedStore::SetReachable(bool reachable) {
  const MutexLock lock(&mutex_);
  reachable_ = reachable;
}

MemorySharedStore::Contents MemorySharedStore::Save() const {
  const MutexLock lock(&mutex_);
  return contents_;
}

void MemorySharedStore::Restore(Contents contents) {
  const MutexLock lock(&mutex_);
  contents_ = std::move(contents);
}

int64_t MemorySharedStore::TenantBytes(const std::string& tenant) const {
  const MutexLock lock(&mutex_);
  Contents contents = contents_;
  return Keeper{contents, options_, clock_->Now()}.BytesOf(tenant);
}

SharedStoreFigures MemorySharedStore::figures() const {
  const MutexLock lock(&mutex_);
  return figures_;
}

template <typename Result>
Result MemorySharedStore::Call(size_t bytes, const Effect<Result>& effect) {
  const MutexLock lock(&mutex_);
  Keeper keeper{contents_, options_, clock_->Now()};
  const auto planned = faults_.find(++figures_.calls);
  const bool failing = !reachable_ || planned != faults_.end();
  figures_.reachable = !failing;
  if (!failing) {
    figures_.bytes_written += static_cast<int64_t>(bytes);
    return effect(&keeper);
  }
  ++figures_.failures;
  if (reachable_ && planned->second == Fault::kAfter) (void)effect(&keeper);
  if (reachable_ && planned->second == Fault::kLate) {
    late_.push_back([effect](Keeper* later) { (void)effect(later); });
  }
  return Unreachable();
}

absl::StatusOr<bool> MemorySharedStore::Renew(const Replica& self, Duration ttl) {
  SSMD_RETURN_IF_ERROR(CheckReplica(self));
  return Call<absl::StatusOr<bool>>(0, [=](Keeper* keeper) -> absl::StatusOr<bool> {
    SSMD_RETURN_IF_ERROR(keeper->CheckIncarnation(self));
    const bool known = keeper->IsPresent(self.id);
    keeper->contents.present[self.id] = {self.address, self.incarnation, keeper->now + ttl};
    return known;
  });
}

absl::Status MemorySharedStore::Leave(const Replica& self) {
  SSMD_RETURN_IF_ERROR(CheckReplica(self));
  return Call<absl::Status>(0, [=](Keeper* keeper) -> absl::Status {
    SSMD_RETURN_IF_ERROR(keeper->CheckIncarnation(self));
    keeper->contents.present.erase(self.id);
    keeper->contents.wished_for.erase(self.id);
    return absl::OkStatus();
  });
}

absl::StatusOr<std::vector<SessionKey>> MemorySharedStore::Wanted(const Replica& self,
                                                                  Duration /*patience*/) {
  SSMD_RETURN_IF_ERROR(CheckReplica(self));
  return Call<absl::StatusOr<std::vector<SessionKey>>>(0, [=](Keeper* keeper) {
    std::vector<SessionKey> keys;
    for (const auto& [tenant, id] : keeper->contents.wished_for[self.id]) {
      keys.push_back({tenant, id});
    }
    keeper->contents.wished_for.erase(self.id);
    return keys;
  });
}

absl::StatusOr<Claim> MemorySharedStore::TryClaim(const Replica& self, const SessionKey& key,
                                                  bool take_over) {
  SSMD_RETURN_IF_ERROR(CheckReplica(self));
  return Call<absl::StatusOr<Claim>>(
      0, [=](Keeper* keeper) { return keeper->TryClaim(self, key, take_over); });
}

absl::Status MemorySharedStore::GiveUp(const Replica& self, const SessionKey& key, uint64_t fence) {
  SSMD_RETURN_IF_ERROR(CheckReplica(self));
  SSMD_RETURN_IF_ERROR(CheckFence(fence));
  return Call<absl::Status>(0, [=](Keeper* keeper) -> absl::Status {
    SSMD_RETURN_IF_ERROR(keeper->CheckIncarnation(self));
    Session* session = keeper->Find(key);
    if (session == nullptr) return NoSession();
    if (session->deleted || fence < session->fence) return Lost();
    if (fence > session->fence) return NoSession();
    if (keeper->IsOfEarlier(*session, self)) return Lost();
    session->owner.clear();
    return absl::OkStatus();
  });
}

absl::Status MemorySharedStore::PutImage(const Write& write, uint64_t number,
                                         std::string_view image) {
  SSMD_RETURN_IF_ERROR(CheckWrite(write));
  SSMD_RETURN_IF_ERROR(CheckNumber(number));
  return Call<absl::Status>(
      image.size(),
      [=, image = std::string(image),
       summary = std::string(write.summary)](Keeper* keeper) -> absl::Status {
        SSMD_ASSIGN_OR_RETURN(const bool owned, keeper->Owns(write));
        Session after;
        if (owned) after = *keeper->Find(write.key);
        if (owned && number < after.image_number) return absl::OkStatus();
        const uint64_t replaced =
            owned ? std::min(number, after.last_number()) - after.image_number : 0;
        after.changes.erase(after.changes.begin(),
                            after.changes.begin() + static_cast<std::ptrdiff_t>(replaced));
        after.owner = write.self.id;
        after.process = write.self.incarnation;
        after.fence = write.fence;
        after.image_number = number;
        after.image = image;
        if (!summary.empty()) after.summary = summary;
        return keeper->Replace(write, std::move(after));
      });
}

absl::Status MemorySharedStore::Append(const Write& write, uint64_t number,
                                       std::string_view change) {
  SSMD_RETURN_IF_ERROR(CheckWrite(write));
  SSMD_RETURN_IF_ERROR(CheckNumber(number));
  return Call<absl::Status>(
      change.size(),
      [=, change = std::string(change),
       summary = std::string(write.summary)](Keeper* keeper) -> absl::Status {
        SSMD_ASSIGN_OR_RETURN(Session after, keeper->Owned(write));
        if (number <= after.last_number()) return absl::OkStatus();
        if (number != after.last_number() + 1 || after.changes.size() >= kSharedChangesMax) {
          return absl::OutOfRangeError("the change does not follow, or they are too many");
        }
        after.changes.push_back(change);
        if (!summary.empty()) after.summary = summary;
        return keeper->Replace(write, std::move(after));
      });
}

absl::Status MemorySharedStore::PutState(const Write& write, const SharedState& state) {
  SSMD_RETURN_IF_ERROR(CheckWrite(write));
  SSMD_RETURN_IF_ERROR(CheckNumber(static_cast<uint64_t>(state.position)));
  return Call<absl::Status>(state.snapshot.size(), [=](Keeper* keeper) -> absl::Status {
    SSMD_ASSIGN_OR_RETURN(Session after, keeper->Owned(write));
    after.states[state.name] = state;
    if (static_cast<int64_t>(after.states.size()) > kSharedStatesMax) {
      return absl::ResourceExhaustedError("the session has too many states");
    }
    return keeper->Replace(write, std::move(after));
  });
}

absl::Status MemorySharedStore::DropState(const Write& write, const std::string& name) {
  SSMD_RETURN_IF_ERROR(CheckWrite(write));
  return Call<absl::Status>(0, [=](Keeper* keeper) -> absl::Status {
    SSMD_ASSIGN_OR_RETURN(Session after, keeper->Owned(write));
    after.states.erase(name);
    return keeper->Replace(write, std::move(after));
  });
}

absl::Status MemorySharedStore::Delete(const Replica& self, const SessionKey& key, uint64_t fence) {
  SSMD_RETURN_IF_ERROR(CheckReplica(self));
  if (fence != kAnyFence) SSMD_RETURN_IF_ERROR(CheckFence(fence));
  return Call<absl::Status>(0, [=](Keeper* keeper) -> absl::Status {
    SSMD_RETURN_IF_ERROR(keeper->CheckIncarnation(self));
    const Session* session = keeper->Find(key);
    if (session != nullptr && session->deleted) return absl::OkStatus();
    if (session != nullptr && (fence < session->fence ||
                               (fence == session->fence &&
                                (session->owner.empty() || keeper->IsOfEarlier(*session, self))))) {
      return Lost();
    }
    Session deleted;
    deleted.deleted = true;
    deleted.end = keeper->now + std::chrono::hours(1);
    keeper->contents.sessions[NameOf(key)] = std::move(deleted);
    return absl::OkStatus();
  });
}

absl::StatusOr<SharedList> MemorySharedStore::List(const std::string& tenant,
                                                   const std::string& after, int most) {
  SSMD_RETURN_IF_ERROR(CheckListed(most));
  return Call<absl::StatusOr<SharedList>>(0, [=](Keeper* keeper) {
    const auto& sessions = keeper->contents.sessions;
    SharedList list;
    auto session = sessions.lower_bound({tenant, after});
    for (int looked = 0; session != sessions.end() && session->first.first == tenant; ++session) {
      const std::string& id = session->first.second;
      const Session& of = session->second;
      if (of.deleted || of.end <= keeper->now || (!after.empty() && id == after)) continue;
      if (!of.summary.empty()) list.sessions.push_back({id, of.summary});
      if (++looked < most) continue;
      list.next = id;
      break;
    }
    return list;
  });
}

}  // namespace ssmd::test
