#include "engine/shared/redis_scripts.h"

#include <openssl/evp.h>

#include "absl/strings/escaping.h"
#include "absl/strings/str_cat.h"
#include "engine/base/check.h"
#include "engine/base/text_view.h"
#include "engine/shared/shared_limits.h"

namespace ssmd {
namespace {

// What every script begins with.
constexpr std::string_view kCommon = R"lua(
local ID_LENGTH = 32
local TOKEN = string.rep('%x', ID_LENGTH)
local APART = string.rep('\255', 8)  -- in the place of a position, which it cannot be

-- A number as it is written here, or nil.
local function number(text)
  if not text or #text > 16 or not string.match(text, '^%d+$') then return nil end
  local value = tonumber(text)
  return value <= NUMBER_MAX and value or nil
end

-- A number as a piece of a name, which Lua would round.
local function digits(value) return string.format('%.0f', value) end

-- Fields of a hash; nil where the key is something else.
local function fields(key, ...)
  local found = redis.pcall('HMGET', key, ...)
  if not found.err then return found end
  if not string.find(found.err, 'WRONGTYPE', 1, true) then error(found) end
  return nil
end

-- Whether another process has the presence (a key's value: INCARNATION ADDRESS) of this one's
-- replica. What an earlier version wrote there is an address alone, and another's.
local function is_other(presence, incarnation)
  local present = redis.call('GET', presence)
  return present and string.sub(present, 1, ID_LENGTH + 1) ~= incarnation .. ' '
end

-- Keys of the states that lie beside the session, by its list of their tokens.
local function apart(tokens)
  local keys = {}
  for token in string.gmatch(tokens or '', TOKEN) do
    if #keys < STATES_MAX then keys[#keys + 1] = KEYS[5] .. token end
  end
  return keys
end

-- The session that is there, without its content: nil when there is none.
local function read()
  local found = fields(KEYS[1], 'owner', 'fence', 'image_number', 'last', 'bytes', 'deleted',
    'apart', 'process')
  if not found then return {damaged = true} end
  local session = {owner = found[1], fence = number(found[2]), first = number(found[3]),
    last = number(found[4]), bytes = number(found[5]), deleted = found[6],
    apart = found[7] or '', process = found[8]}
  if session.deleted then return session end
  local whole = session.owner and session.fence and session.first and session.last and session.bytes
  if whole and (session.owner == '' or #session.owner == ID_LENGTH) and session.first <= session.last and
    session.last - session.first <= CHANGES_MAX then return session end
  if redis.call('EXISTS', KEYS[1]) == 0 then return nil end
  return {damaged = true, apart = session.apart}
end

local function now()
  local time = redis.call('TIME')
  return tonumber(time[1]) * 1000 + math.floor(tonumber(time[2]) / 1000)
end
)lua";

// What every write begins with. ARGV: id, self, fence, ttl, the tenant's bytes (0: any), a
// session's bytes; last: the incarnation. KEYS[6]: the replica's presence.
constexpr std::string_view kWriting = R"lua(
local id, self, fence, ttl = ARGV[1], ARGV[2], tonumber(ARGV[3]), tonumber(ARGV[4])
local incarnation = ARGV[#ARGV]
local tenant_max, session_max = tonumber(ARGV[5]), tonumber(ARGV[6])
local session = read()

-- 'own'; 'none' where nothing is there, or what an earlier owner left in a store that lost the rest;
-- or why nothing may be written.
local function standing()
  if is_other(KEYS[6], incarnation) then return 'other' end
  if not session then return 'none' end
  if session.damaged then return 'damaged' end
  if session.deleted then return 'lost' end
  if fence > session.fence then return 'none' end
  if fence == session.fence and session.owner == self and session.process == incarnation then
    return 'own'
  end
  return 'lost'
end

-- What the tenant's bytes will be when the session has `bytes`. Sessions that have ended are taken
-- off a piece at a time. Reads only.
local function plan(bytes, time)
  if tenant_max == 0 then return nil end
  local ended, names = {}, {'i' .. id}
  for _, other in ipairs(redis.call('ZRANGEBYSCORE', KEYS[3], '-inf', time, 'LIMIT', 0, 100)) do
    if other ~= id then
      ended[#ended + 1] = other
      names[#names + 1] = 'i' .. other
    end
  end
  local total = number(redis.call('HGET', KEYS[2], 'total')) or 0
  local held = redis.call('HMGET', KEYS[2], unpack(names))
  local old = number(held[1]) or 0
  for i = 2, #names do total = total - (number(held[i]) or 0) end
  local after = math.max(total - old, 0) + bytes
  return {ended = ended, names = names, total = math.max(total, 0), after = after, bytes = bytes,
    full = bytes > old and after > tenant_max}
end

-- A tenant's key is there for as long as the last of its sessions.
local function outlast(key, expires)
  redis.call('PEXPIREAT', key, expires, 'NX')
  redis.call('PEXPIREAT', key, expires, 'GT')
end

-- Of a refused write the ended sessions alone.
local function account(planned, expires)
  if not planned then return end
  if #planned.ended > 0 then
    redis.call('ZREM', KEYS[3], unpack(planned.ended))
    redis.call('HDEL', KEYS[2], unpack(planned.names, 2))
  end
  if planned.full then
    redis.call('HSET', KEYS[2], 'total', planned.total)
    return
  end
  redis.call('HSET', KEYS[2], 'total', planned.after, 'i' .. id, planned.bytes)
  redis.call('ZADD', KEYS[3], expires, id)
  outlast(KEYS[2], expires)
  outlast(KEYS[3], expires)
end

-- What the session's bytes will be with another summary; an empty one is none.
local function summarized(bytes, summary)
  if summary == '' then return bytes end
  return bytes - redis.call('HSTRLEN', KEYS[1], 'info') + #summary
end
local function summarize(summary)
  if summary ~= '' then redis.call('HSET', KEYS[1], 'info', summary) end
end

-- What the state in that field counts for, 0 where there is none; and its token, if it lies apart.
local function held(name)
  local length = redis.call('HSTRLEN', KEYS[1], name)
  if length <= #APART + ID_LENGTH or length > #APART + ID_LENGTH + 16 then return length end
  local value = redis.call('HGET', KEYS[1], name)
  if string.sub(value, 1, #APART) ~= APART then return length end
  local token, counted = string.match(string.sub(value, #APART + 1), '^(' .. TOKEN .. ')(%d+)$')
  if not number(counted) then return length end
  return number(counted), token
end

-- Of the states that lie apart the session lets one go and gets another, where there are such.
local function exchange(old, new)
  if not old and not new then return end
  local tokens = {}
  for token in string.gmatch(session.apart, TOKEN) do
    if token ~= old then tokens[#tokens + 1] = token end
  end
  if old then redis.call('UNLINK', KEYS[5] .. old) end
  tokens[#tokens + 1] = new
  session.apart = table.concat(tokens)
  if #tokens == 0 then redis.call('HDEL', KEYS[1], 'apart')
  else redis.call('HSET', KEYS[1], 'apart', session.apart) end
end

-- Holds `bytes` against the limits and, where they allow it, calls `apply`, which writes.
local function write(bytes, apply)
  local grows = not session or not session.bytes or bytes > session.bytes
  if grows and bytes > session_max then return {'large'} end
  local time = now()
  redis.call('ZSCORE', KEYS[4], id)  -- fails where it is something else
  local planned = plan(bytes, time)
  if planned and planned.full then
    account(planned)
    return {'full'}
  end
  apply()
  redis.call('HSET', KEYS[1], 'writer', self, 'bytes', bytes)
  redis.call('PEXPIREAT', KEYS[1], time + ttl)
  for _, key in ipairs(apart(session and session.apart)) do
    redis.call('PEXPIREAT', key, time + ttl)
  end
  redis.call('ZADD', KEYS[4], 0, id)
  outlast(KEYS[4], time + ttl)
  account(planned, time + ttl)
  return {'ok'}
end
)lua";

constexpr std::string_view kRenew = R"lua(
local incarnation, address, ttl = ARGV[1], ARGV[2], ARGV[3]
if is_other(KEYS[1], incarnation) then return {'other'} end
local known = redis.call('EXISTS', KEYS[1]) == 1
redis.call('SET', KEYS[1], incarnation .. ' ' .. address, 'PX', ttl)
return {known and 'ok' or 'new'}
)lua";

constexpr std::string_view kLeave = R"lua(
if is_other(KEYS[1], ARGV[1]) then return {'other'} end
redis.call('DEL', KEYS[1], KEYS[2])
return {'ok'}
)lua";

constexpr std::string_view kClaim = R"lua(
local self, take_over, prefix, asked = ARGV[1], ARGV[2] == '1', ARGV[3], ARGV[4]
local incarnation = ARGV[#ARGV]
if is_other(KEYS[6], incarnation) then return {'other'} end
local session = read()
if not session or session.deleted then return {'none'} end
if session.damaged then return {'damaged'} end
if session.owner == self and session.process == incarnation then
  return {'owned', digits(session.fence)}
end
if session.owner ~= '' and session.owner ~= self then
  local present = redis.call('GET', prefix .. 'r:' .. session.owner)
  if present then
    local address = string.match(present, '^' .. TOKEN .. ' (.*)$') or present
    local wanted = prefix .. 'w:' .. session.owner
    if redis.call('LLEN', wanted) < WANTED_MAX and not redis.call('LPOS', wanted, asked) then
      redis.call('RPUSH', wanted, asked)
      redis.call('PEXPIRE', wanted, WANTED_MS)
    end
    return {'elsewhere', session.owner, address, '1'}
  end
  if not take_over then return {'elsewhere', session.owner, '', '0'} end
end
if session.fence >= NUMBER_MAX then return {'damaged'} end
local fence = digits(session.fence + 1)
redis.call('HSET', KEYS[1], 'owner', self, 'fence', fence, 'process', incarnation)
return {'owned', fence}
)lua";

constexpr std::string_view kGiveUp = R"lua(
local self, fence, incarnation = ARGV[1], tonumber(ARGV[2]), ARGV[#ARGV]
if is_other(KEYS[6], incarnation) then return {'other'} end
local session = read()
if not session then return {'none'} end
if session.damaged then return {'damaged'} end
if session.deleted or fence < session.fence then return {'lost'} end
if fence > session.fence then return {'none'} end
if session.owner == self and session.process ~= incarnation then return {'lost'} end
redis.call('HSET', KEYS[1], 'owner', '')
return {'ok'}
)lua";

constexpr std::string_view kErase = R"lua(
local id, fence = ARGV[1], ARGV[2] ~= 'any' and tonumber(ARGV[2])
local self, incarnation = ARGV[4], ARGV[#ARGV]
if is_other(KEYS[6], incarnation) then return {'other'} end
local session = read()
if session and session.deleted then return {'ok'} end
if session and not session.damaged and fence and
  (fence < session.fence or (fence == session.fence and (session.owner == '' or
    (session.owner == self and session.process ~= incarnation)))) then return {'lost'} end
local held = redis.call('HGET', KEYS[2], 'i' .. id)
local total = redis.call('HGET', KEYS[2], 'total')
for i = 3, 4 do redis.call('ZSCORE', KEYS[i], id) end  -- fails where it is something else
redis.call('UNLINK', KEYS[1], unpack(apart(session and session.apart)))
redis.call('HSET', KEYS[1], 'deleted', '1')
redis.call('PEXPIRE', KEYS[1], ARGV[3])
redis.call('ZREM', KEYS[4], id)
if held then
  redis.call('HSET', KEYS[2], 'total', math.max((number(total) or 0) - (number(held) or 0), 0))
  redis.call('HDEL', KEYS[2], 'i' .. id)
  redis.call('ZREM', KEYS[3], id)
end
return {'ok'}
)lua";

constexpr std::string_view kPutImage = R"lua(
local at, image, summary = tonumber(ARGV[7]), ARGV[8], ARGV[9]
local verdict = standing()

-- Sessions that end by themselves stay in their tenant's list. Whoever makes one looks at those that
-- follow it, which are others every time, for ids are random: where as many end as are made, one in
-- SWEPT of the list has ended.
local function sweep()
  local sessions, gone = string.sub(KEYS[1], 1, #KEYS[1] - #id), {}
  for _, other in ipairs(redis.call('ZRANGEBYLEX', KEYS[4], '(' .. id, '+', 'LIMIT', 0, SWEPT)) do
    if redis.call('EXISTS', sessions .. other) == 0 then gone[#gone + 1] = other end
  end
  if #gone > 0 then redis.call('ZREM', KEYS[4], unpack(gone)) end
end

if verdict ~= 'own' and verdict ~= 'none' then return {verdict} end
-- One that comes late: what is there is newer.
if verdict == 'own' and at < session.first then return {'ok'} end

local bytes, last, replaced = SESSION_BYTES + PART_BYTES + #image, at, {}
if verdict == 'own' then
  last = math.max(at, session.last)
  bytes = session.bytes - redis.call('HSTRLEN', KEYS[1], 'image') + #image
  for i = session.first + 1, math.min(at, session.last) do
    local name = 'r' .. digits(i)
    replaced[#replaced + 1] = name
    bytes = bytes - PART_BYTES - redis.call('HSTRLEN', KEYS[1], name)
  end
end
bytes = verdict == 'own' and summarized(bytes, summary) or bytes + #summary
return write(bytes, function()
  if verdict == 'none' then
    redis.call('UNLINK', KEYS[1], unpack(apart(session and session.apart)))
    if session then session.apart = '' end
    sweep()
  end
  if #replaced > 0 then redis.call('HDEL', KEYS[1], unpack(replaced)) end
  redis.call('HSET', KEYS[1], 'owner', self, 'fence', digits(fence), 'process', incarnation,
    'image', image, 'image_number', digits(at), 'last', digits(last))
  summarize(summary)
end)
)lua";

constexpr std::string_view kAppend = R"lua(
local at, change, summary = tonumber(ARGV[7]), ARGV[8], ARGV[9]
local verdict = standing()
if verdict ~= 'own' then return {verdict} end
if at <= session.last then return {'ok'} end
if at ~= session.last + 1 or session.last - session.first >= CHANGES_MAX then return {'gap'} end
return write(summarized(session.bytes + PART_BYTES + #change, summary), function()
  redis.call('HSET', KEYS[1], 'r' .. digits(at), change, 'last', digits(at))
  summarize(summary)
end)
)lua";

constexpr std::string_view kPutState = R"lua(
local name, value, token = 's' .. ARGV[7], ARGV[8], ARGV[9] ~= '' and ARGV[9] or nil
local verdict = standing()
if verdict ~= 'own' then return {verdict} end
local length = #value
if token then
  length = redis.call('STRLEN', KEYS[5] .. token)
  if length == 0 or length ~= number(value) then return {'unstaged'} end
  value = APART .. token .. value
end
local old, old_token = held(name)
local fixed = FIXED_FIELDS - (redis.call('HSTRLEN', KEYS[1], 'info') == 0 and 1 or 0) -
  (session.apart == '' and 1 or 0)
local states = redis.call('HLEN', KEYS[1]) - fixed - (session.last - session.first)
if old == 0 and states >= STATES_MAX then return {'many'} end
local bytes = session.bytes - old + length
if old == 0 then bytes = bytes + PART_BYTES + #ARGV[7] end
return write(bytes, function()
  redis.call('HSET', KEYS[1], name, value)
  exchange(old_token, token)
end)
)lua";

constexpr std::string_view kDropState = R"lua(
local name = 's' .. ARGV[7]
local verdict = standing()
if verdict ~= 'own' then return {verdict} end
local bytes, old, token = session.bytes, held(name)
if old > 0 then bytes = bytes - old - PART_BYTES - #ARGV[7] end
return write(bytes, function()
  redis.call('HDEL', KEYS[1], name)
  exchange(token)
end)
)lua";

constexpr std::string_view kList = R"lua(
local after, most, sessions = ARGV[1], tonumber(ARGV[2]), ARGV[3]
local ids = redis.call('ZRANGEBYLEX', KEYS[1], after == '' and '-' or '(' .. after, '+', 'LIMIT', 0, most)
local answer, gone = {'ok', #ids == most and ids[most] or ''}, {}
for _, id in ipairs(ids) do
  local found = fields(sessions .. id, 'info', 'deleted')
  if found and (found[2] or (not found[1] and redis.call('EXISTS', sessions .. id) == 0)) then
    gone[#gone + 1] = id
  elseif found and found[1] and #found[1] <= SUMMARY_MAX then
    answer[#answer + 1] = id
    answer[#answer + 1] = found[1]
  end
end
if #gone > 0 then redis.call('ZREM', KEYS[1], unpack(gone)) end
return answer
)lua";

// How long a wish is kept for a replica that does not ask: who wishes asks again before.
constexpr int kWantedMs = 60'000;
constexpr int kFixedFields =
    10;  // owner, process, fence, writer, image, image_number, last, bytes, info, apart
// Sessions of the list that are looked at when one is made.
constexpr int kSwept = 4;

std::string Constants() {
  return absl::StrCat(
      "local SESSION_BYTES, PART_BYTES = ", kSharedSessionBytes, ", ", kSharedPartBytes,
      "\nlocal CHANGES_MAX, STATES_MAX, WANTED_MAX = ", kSharedChangesMax, ", ", kSharedStatesMax,
      ", ", kSharedWantedMax, "\nlocal NUMBER_MAX, WANTED_MS, FIXED_FIELDS = ", kSharedNumberMax,
      ", ", kWantedMs, ", ", kFixedFields, "\nlocal SUMMARY_MAX, SWEPT = ", kSharedSummaryBytes,
      ", ", kSwept, "\n");
}

std::string Sha1Hex(std::string_view text) {
  unsigned char digest[EVP_MAX_MD_SIZE];
  unsigned int length = 0;
  Check(EVP_Digest(text.data(), text.size(), digest, &length, EVP_sha1(), nullptr) == 1,
        "RedisScript: OpenSSL has no SHA-1");
  return absl::BytesToHexString(absl::string_view(reinterpret_cast<const char*>(digest), length));
}

std::string Written(std::string_view part) { return absl::StrCat(View(kWriting), View(part)); }

}  // namespace

RedisScript::RedisScript(std::string_view flags, std::string_view part)
    : text(absl::StrCat("#!lua flags=", View(flags), "\n", Constants(), View(kCommon), View(part))),
      digest(Sha1Hex(text)) {}

// What keeps a session owned, moves it or frees memory works in a full Redis, too.
RedisScripts::RedisScripts()
    : renew("no-cluster,allow-oom", kRenew),
      leave("no-cluster,allow-oom", kLeave),
      claim("no-cluster,allow-oom", kClaim),
      give_up("no-cluster,allow-oom", kGiveUp),
      erase("no-cluster,allow-oom", kErase),
      put_image("no-cluster", Written(kPutImage)),
      append("no-cluster", Written(kAppend)),
      put_state("no-cluster", Written(kPutState)),
      drop_state("no-cluster,allow-oom", Written(kDropState)),
      list("no-cluster,allow-oom", kList) {}

}  // namespace ssmd
