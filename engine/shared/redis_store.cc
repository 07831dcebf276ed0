#include "engine/shared/redis_store.h"

#include <algorithm>
#include <iterator>
#include <string_view>
#include <utility>
#include <vector>

#include "absl/strings/escaping.h"
#include "absl/strings/str_cat.h"
#include "engine/base/errors.h"
#include "engine/base/secure_random.h"
#include "engine/base/status_macros.h"
#include "engine/base/text_view.h"
#include "engine/shared/redis_errors.h"
#include "engine/shared/redis_pool.h"
#include "engine/shared/redis_scripts.h"
#include "engine/shared/redis_session.h"
#include "engine/shared/shared_limits.h"

namespace ssmd {
namespace {

using std::chrono::milliseconds;

constexpr int64_t kSmallReplyBytesMax = int64_t{1} << 20;
// A deleted session is remembered for longer than a write may be on its way.
constexpr milliseconds kDeletedFor = std::chrono::hours(1);
// What is written beside a session and not pointed at by then ends. Longer than a call may take.
constexpr milliseconds kStagedFor = std::chrono::minutes(2);
constexpr milliseconds kTtlMax = std::chrono::hours(24 * 365 * 10);

std::string Milliseconds(Duration duration) {
  const Duration clamped = std::clamp<Duration>(duration, milliseconds(1), kTtlMax);
  return absl::StrCat(std::chrono::ceil<milliseconds>(clamped).count());
}

// How a session is asked for, and read again.
std::string EncodeWish(const SessionKey& key) {
  return absl::StrCat(absl::BytesToHexString(key.tenant), ":", key.id);
}
absl::StatusOr<SessionKey> DecodeWish(std::string_view wish) {
  const size_t colon = wish.find(':');
  const std::string_view tenant = wish.substr(0, colon);
  if (colon == std::string_view::npos || tenant.size() % 2 != 0 ||
      tenant.find_first_not_of("0123456789abcdef") != std::string_view::npos) {
    return RedisUnavailable("holds a wish for a session that cannot be");
  }
  return SessionKey{absl::HexStringToBytes(View(tenant)), std::string(wish.substr(colon + 1))};
}

// What a script's verdict means where nothing is to be read from it.
absl::Status StatusOf(std::string_view verdict) {
  if (verdict == "ok") return absl::OkStatus();
  if (verdict == "lost") {
    return absl::AbortedError(
        "the session is not owned under this fence: another replica has it, "
        "or it was given up or deleted");
  }
  if (verdict == "other") return PresentElsewhere();
  if (verdict == "none") {
    return absl::NotFoundError("the shared store does not have the session, or an older one");
  }
  if (verdict == "gap") {
    return absl::OutOfRangeError(
        "the change does not follow those in the shared store, or they "
        "are too many: an image is needed");
  }
  if (verdict == "full") {
    return WithReason(
        absl::ResourceExhaustedError("the tenant has used up its bytes in the shared store"),
        reason::kStateQuota);
  }
  if (verdict == "large") {
    return absl::ResourceExhaustedError(
        "the session is larger than one may be in the shared store (reply_bytes_max)");
  }
  if (verdict == "many") {
    return absl::ResourceExhaustedError(absl::StrCat(
        "the session has ", kSharedStatesMax, " states in the shared store, which is the most"));
  }
  if (verdict == "unstaged") {
    return absl::UnavailableError(
        "the shared store lost the state before its session could point at it; try again");
  }
  if (verdict == "damaged") {
    return absl::DataLossError(
        "the session in the shared store is damaged; delete it, without an expected revision");
  }
  return RedisUnavailable("answers what it should not: is it a Redis, and nothing else's?");
}

constexpr RedisPool::Answer kCount = {
    [](const RedisReply& reply) { return reply.type == RedisReply::Type::kInteger; },
    kSmallReplyBytesMax};

class RedisStore final : public SharedStore {
 public:
  RedisStore(const RedisOptions& options, const RedisPool::Options& pool)
      : prefix_(options.prefix),
        tenant_bytes_(absl::StrCat(options.tenant_bytes)),
        session_bytes_max_(options.reply_bytes_max),
        session_bytes_(absl::StrCat(options.reply_bytes_max)),
        pool_(pool) {}

  absl::StatusOr<bool> Renew(const Replica& self, Duration ttl) override;
  absl::Status Leave(const Replica& self) override;
  absl::StatusOr<std::vector<SessionKey>> Wanted(const Replica& self, Duration patience) override;
  absl::StatusOr<Claim> TryClaim(const Replica& self, const SessionKey& key,
                                 bool take_over) override;
  absl::Status GiveUp(const Replica& self, const SessionKey& key, uint64_t fence) override;
  absl::Status PutImage(const Write& write, uint64_t number, std::string_view image) override;
  absl::Status Append(const Write& write, uint64_t number, std::string_view change) override;
  absl::Status PutState(const Write& write, const SharedState& state) override;
  absl::Status DropState(const Write& write, const std::string& name) override;
  absl::Status Delete(const Replica& self, const SessionKey& key, uint64_t fence) override;
  absl::StatusOr<SharedList> List(const std::string& tenant, const std::string& after,
                                  int most) override;
  SharedStoreFigures figures() const override { return pool_.figures(); }

 private:
  // The keys that a session's scripts are given.
  struct Keys {
    std::string session;
    std::string bytes;
    std::string ends;
    std::string ids;
    std::string states;  // what the keys of those that lie apart begin with
  };
  Keys KeysOf(const SessionKey& key) const;
  std::string PresenceOf(const Replica& replica) const {
    return absl::StrCat(prefix_, "r:", replica.id);
  }
  std::string WishesOf(const Replica& replica) const {
    return absl::StrCat(prefix_, "w:", replica.id);
  }

  // A script that answers with no more than how it went.
  absl::Status Run(const RedisScript& script, const Replica& self, const SessionKey& key,
                   std::vector<std::string_view> arguments);
  absl::Status RunWrite(const RedisScript& script, const Write& write,
                        absl::Span<const std::string_view> arguments);
  absl::Status CheckWrite(const Write& write) const;
  absl::Status PutStateApart(const Write& write, const std::string& name, std::string_view value);
  // Adds the states that lie apart, as far as they are what they should be.
  absl::Status ReadApart(const SessionKey& key, RedisSession* found);
  absl::StatusOr<Claim> Read(const Replica& self, const SessionKey& key, std::string_view fence,
                             TimePoint deadline);

  const std::string prefix_;
  const std::string tenant_bytes_;
  const int64_t session_bytes_max_;
  const std::string session_bytes_;
  const RedisScripts scripts_;
  RedisPool pool_;
};

RedisStore::Keys RedisStore::KeysOf(const SessionKey& key) const {
  const std::string tenant = absl::BytesToHexString(key.tenant);
  return {absl::StrCat(prefix_, "s:", tenant, ":", key.id), absl::StrCat(prefix_, "b:", tenant),
          absl::StrCat(prefix_, "e:", tenant), absl::StrCat(prefix_, "l:", tenant),
          absl::StrCat(prefix_, "v:", tenant, ":", key.id, ":")};
}

absl::Status RedisStore::Run(const RedisScript& script, const Replica& self, const SessionKey& key,
                             std::vector<std::string_view> arguments) {
  const Keys keys = KeysOf(key);
  arguments.push_back(self.incarnation);
  const auto verdict = pool_.Run(
      script, {keys.session, keys.bytes, keys.ends, keys.ids, keys.states, PresenceOf(self)},
      arguments, pool_.Deadline());
  if (!verdict.ok()) return verdict.status();
  return StatusOf(verdict->front().text);
}

absl::Status RedisStore::CheckWrite(const Write& write) const {
  SSMD_RETURN_IF_ERROR(CheckReplica(write.self));
  SSMD_RETURN_IF_ERROR(CheckFence(write.fence));
  return CheckSummary(write.summary);
}

absl::Status RedisStore::RunWrite(const RedisScript& script, const Write& write,
                                  absl::Span<const std::string_view> arguments) {
  SSMD_RETURN_IF_ERROR(CheckWrite(write));
  const std::string fence = absl::StrCat(write.fence), ttl = Milliseconds(write.ttl);
  std::vector<std::string_view> all = {write.key.id, write.self.id, fence,
                                       ttl,          tenant_bytes_, session_bytes_};
  int64_t bytes = 0;
  for (const std::string_view argument : arguments) bytes += static_cast<int64_t>(argument.size());
  // Refused by the script, too, which it need not be sent for.
  if (bytes > session_bytes_max_) return StatusOf("large");
  all.insert(all.end(), arguments.begin(), arguments.end());
  return Run(script, write.self, write.key, std::move(all));
}

absl::StatusOr<bool> RedisStore::Renew(const Replica& self, Duration ttl) {
  SSMD_RETURN_IF_ERROR(CheckReplica(self));
  const auto verdict =
      pool_.Run(scripts_.renew, {PresenceOf(self)},
                {self.incarnation, self.address, Milliseconds(ttl)}, pool_.Deadline());
  SSMD_RETURN_IF_ERROR(verdict.status());
  if (verdict->front().text == "new") return false;
  SSMD_RETURN_IF_ERROR(StatusOf(verdict->front().text));
  return true;
}

absl::Status RedisStore::Leave(const Replica& self) {
  SSMD_RETURN_IF_ERROR(CheckReplica(self));
  const auto verdict = pool_.Run(scripts_.leave, {PresenceOf(self), WishesOf(self)},
                                 {self.incarnation}, pool_.Deadline());
  SSMD_RETURN_IF_ERROR(verdict.status());
  return StatusOf(verdict->front().text);
}

absl::StatusOr<std::vector<SessionKey>> RedisStore::Wanted(const Replica& self, Duration patience) {
  SSMD_RETURN_IF_ERROR(CheckReplica(self));
  const std::string key = WishesOf(self);
  std::vector<RedisReply> wishes;
  const auto patient = std::chrono::floor<milliseconds>(std::min<Duration>(patience, kTtlMax));
  if (patient.count() > 0) {
    const RedisPool::Answer first = {
        [](const RedisReply& reply) {
          return reply.type == RedisReply::Type::kNil ||
                 (reply.is_strings() && reply.elements.size() == 2);  // the key, and it
        },
        kSmallReplyBytesMax};
    const std::string seconds = absl::StrCat(static_cast<double>(patient.count()) / 1000);
    SSMD_ASSIGN_OR_RETURN(auto popped,
                          pool_.CallPatiently({"BLPOP", key, seconds}, patient, first));
    if (popped.elements.empty()) return std::vector<SessionKey>();
    wishes.push_back(std::move(popped.elements[1]));
  }
  const RedisPool::Answer more = {[](const RedisReply& reply) {
                                    return reply.type == RedisReply::Type::kNil ||
                                           reply.is_strings();
                                  },
                                  kSmallReplyBytesMax};
  const std::string most = absl::StrCat(kSharedWantedMax - static_cast<int64_t>(wishes.size()));
  SSMD_ASSIGN_OR_RETURN(auto rest, pool_.Call({"LPOP", key, most}, more, pool_.Deadline()));
  std::move(rest.elements.begin(), rest.elements.end(), std::back_inserter(wishes));
  std::vector<SessionKey> keys;
  for (const RedisReply& wish : wishes) {
    SSMD_ASSIGN_OR_RETURN(keys.emplace_back(), DecodeWish(wish.text));
  }
  return keys;
}

absl::StatusOr<Claim> RedisStore::TryClaim(const Replica& self, const SessionKey& key,
                                           bool take_over) {
  SSMD_RETURN_IF_ERROR(CheckReplica(self));
  const TimePoint deadline = pool_.Deadline();  // of the claim and its reading
  const Keys keys = KeysOf(key);
  SSMD_ASSIGN_OR_RETURN(
      const auto claim,
      pool_.Run(scripts_.claim,
                {keys.session, keys.bytes, keys.ends, keys.ids, keys.states, PresenceOf(self)},
                {self.id, take_over ? "1" : "0", prefix_, EncodeWish(key), self.incarnation},
                deadline));
  const std::string& verdict = claim.front().text;
  if (verdict == "none") return NoSuchSession();
  if (verdict == "owned" && claim.size() == 2) return Read(self, key, claim[1].text, deadline);
  if (verdict == "elsewhere" && claim.size() == 4) {
    return OwnedElsewhere{{claim[1].text, claim[2].text, {}}, claim[3].text == "1"};
  }
  const absl::Status status = StatusOf(verdict);
  return status.ok() ? StatusOf("") : status;
}

// Not part of the claim, so that Redis need not carry a large session through a script. Nobody but
// the owner changes it in between; a new owner shows.
absl::StatusOr<Claim> RedisStore::Read(const Replica& self, const SessionKey& key,
                                       std::string_view fence, TimePoint deadline) {
  const RedisPool::Answer pairs = {
      [](const RedisReply& reply) { return reply.is_strings() && reply.elements.size() % 2 == 0; },
      session_bytes_max_};
  SSMD_ASSIGN_OR_RETURN(auto fields, pool_.Call({"HGETALL", KeysOf(key).session}, pairs, deadline));
  if (fields.elements.empty()) return NoSuchSession();
  SSMD_ASSIGN_OR_RETURN(RedisSession found, DecodeRedisSession(std::move(fields)));
  if (found.deleted) return NoSuchSession();
  if (found.owner != self.id || absl::StrCat(found.session.fence) != fence) {
    return absl::UnavailableError("the session went to another replica while it was read");
  }
  SSMD_RETURN_IF_ERROR(ReadApart(key, &found));
  return std::move(found.session);
}

// One that is missing, of another length or damaged is lost, and the session is not: its tokens are
// read again by who goes on. Each has a call's time.
absl::Status RedisStore::ReadApart(const SessionKey& key, RedisSession* found) {
  // MGET, for to it a key of another kind is none.
  const RedisPool::Answer one = {
      [](const RedisReply& reply) {
        return reply.elements.size() == 1 &&
               (reply.is_strings() || reply.elements[0].type == RedisReply::Type::kNil);
      },
      session_bytes_max_ + kSmallReplyBytesMax};
  std::vector<SharedState>& states = found->session.states;
  int64_t left = session_bytes_max_;
  for (const RedisStateApart& apart : found->apart) {
    if (apart.length > left) continue;
    left -= apart.length;
    const std::string name = absl::StrCat(KeysOf(key).states, apart.token);
    SSMD_ASSIGN_OR_RETURN(const auto reply, pool_.Call({"MGET", name}, one, pool_.Deadline()));
    const std::string& value = reply.elements[0].text;
    if (static_cast<int64_t>(value.size()) != apart.length) continue;
    auto state = DecodeRedisState(apart.name, value);
    if (state.ok()) states.push_back(*std::move(state));
  }
  std::sort(states.begin(), states.end(),
            [](const SharedState& a, const SharedState& b) { return a.name < b.name; });
  return absl::OkStatus();
}

absl::Status RedisStore::GiveUp(const Replica& self, const SessionKey& key, uint64_t fence) {
  SSMD_RETURN_IF_ERROR(CheckReplica(self));
  SSMD_RETURN_IF_ERROR(CheckFence(fence));
  const std::string text = absl::StrCat(fence);
  return Run(scripts_.give_up, self, key, {self.id, text});
}

absl::Status RedisStore::PutImage(const Write& write, uint64_t number, std::string_view image) {
  SSMD_RETURN_IF_ERROR(CheckNumber(number));
  return RunWrite(scripts_.put_image, write, {absl::StrCat(number), image, write.summary});
}

absl::Status RedisStore::Append(const Write& write, uint64_t number, std::string_view change) {
  SSMD_RETURN_IF_ERROR(CheckNumber(number));
  return RunWrite(scripts_.append, write, {absl::StrCat(number), change, write.summary});
}

absl::Status RedisStore::PutState(const Write& write, const SharedState& state) {
  SSMD_RETURN_IF_ERROR(CheckNumber(static_cast<uint64_t>(state.position)));
  const std::string value = EncodeRedisState(state.position, state.snapshot);
  if (static_cast<int64_t>(value.size()) > kSharedInlineBytesMax) {
    return PutStateApart(write, state.name, value);
  }
  return RunWrite(scripts_.put_state, write, {state.name, value, ""});
}

// Under a name that nobody has used, so that neither a late nor a refused write touches a state
// that a session points at.
absl::Status RedisStore::PutStateApart(const Write& write, const std::string& name,
                                       std::string_view value) {
  SSMD_RETURN_IF_ERROR(CheckWrite(write));
  if (static_cast<int64_t>(value.size()) > session_bytes_max_) return StatusOf("large");
  const std::string token = SecureRandomId();
  const std::string key = absl::StrCat(KeysOf(write.key).states, token);
  const RedisPool::Answer done = {[](const RedisReply& reply) {
                                    return reply.type == RedisReply::Type::kStatus &&
                                           reply.text == "OK";
                                  },
                                  kSmallReplyBytesMax};
  SSMD_RETURN_IF_ERROR(
      pool_.Call({"SET", key, value, "PX", Milliseconds(kStagedFor)}, done, pool_.Deadline())
          .status());
  const absl::Status put =
      RunWrite(scripts_.put_state, write, {name, absl::StrCat(value.size()), token});
  // Where it is not known what came of it the session may point at it, or will: then time tells.
  if (!put.ok() && !absl::IsUnavailable(put)) {
    pool_.Call({"UNLINK", key}, kCount, pool_.Deadline()).IgnoreError();
  }
  return put;
}

absl::Status RedisStore::DropState(const Write& write, const std::string& name) {
  return RunWrite(scripts_.drop_state, write, {name});
}

absl::Status RedisStore::Delete(const Replica& self, const SessionKey& key, uint64_t fence) {
  SSMD_RETURN_IF_ERROR(CheckReplica(self));
  std::string text(kRedisAnyFence);
  if (fence != kAnyFence) {
    SSMD_RETURN_IF_ERROR(CheckFence(fence));
    text = absl::StrCat(fence);
  }
  const std::string ttl = Milliseconds(kDeletedFor);
  return Run(scripts_.erase, self, key, {key.id, text, ttl, self.id});
}

absl::StatusOr<SharedList> RedisStore::List(const std::string& tenant, const std::string& after,
                                            int most) {
  SSMD_RETURN_IF_ERROR(CheckListed(most));
  const Keys keys = KeysOf({tenant, ""});
  SSMD_ASSIGN_OR_RETURN(
      auto answer, pool_.Run(scripts_.list, {keys.ids}, {after, absl::StrCat(most), keys.session},
                             pool_.Deadline()));
  SSMD_RETURN_IF_ERROR(StatusOf(answer.front().text));
  if (answer.size() % 2 != 0 || answer.size() > 2 + 2 * static_cast<size_t>(most)) {
    return StatusOf("");
  }
  SharedList list;
  list.next = std::move(answer[1].text);
  for (size_t i = 2; i < answer.size(); i += 2) {
    const std::string& last = list.sessions.empty() ? after : list.sessions.back().id;
    if (answer[i].text <= last) return StatusOf("");
    list.sessions.push_back({std::move(answer[i].text), std::move(answer[i + 1].text)});
  }
  const std::string& last = list.sessions.empty() ? after : list.sessions.back().id;
  if (!list.next.empty() && list.next < last) return StatusOf("");
  return list;
}

absl::Status BadOption(absl::string_view what) {
  return absl::InvalidArgumentError(absl::StrCat("the shared store's ", what));
}

}  // namespace

absl::StatusOr<std::unique_ptr<SharedStore>> OpenRedisStore(const RedisOptions& options) {
  RedisPool::Options pool;
  SSMD_ASSIGN_OR_RETURN(pool.address, ParseRedisUrl(options.url));
  if (options.prefix.size() > 256) return BadOption("prefix is longer than 256 bytes");
  if (options.timeout < milliseconds(1) || options.timeout > std::chrono::minutes(1)) {
    return BadOption("timeout must be from 1 ms to 1 min");
  }
  if (options.retry_after < milliseconds(1) || options.retry_after > std::chrono::minutes(1)) {
    return BadOption("retry_after must be from 1 ms to 1 min");
  }
  if (options.connections < 1 || options.connections > 256) {
    return BadOption("connections must be from 1 to 256");
  }
  if (options.tenant_bytes < 0) return BadOption("tenant_bytes must not be negative");
  // Redis takes no more in one command, by default (its client-query-buffer-limit).
  if (options.reply_bytes_max < (4 << 10) || options.reply_bytes_max > (1 << 30)) {
    return BadOption("reply_bytes_max must be from 4 KiB to 1 GiB");
  }
  if (!(options.bytes_per_second_min >= 0)) {
    return BadOption("bytes_per_second_min must not be negative");
  }
  pool.timeout = options.timeout;
  pool.retry_after = options.retry_after;
  pool.connections = options.connections;
  pool.bytes_per_second_min = options.bytes_per_second_min;
  return std::make_unique<RedisStore>(options, pool);
}

}  // namespace ssmd
