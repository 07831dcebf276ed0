#include "engine/shared/redis_client.h"

#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <sys/socket.h>
#include <sys/un.h>

#include <algorithm>
#include <cerrno>
#include <chrono>
#include <cstring>
#include <string>
#include <utility>

#include "absl/strings/str_cat.h"
#include "engine/base/fault_point.h"
#include "engine/base/status_macros.h"
#include "engine/base/text_view.h"
#include "engine/shared/redis_errors.h"

namespace ssmd {
namespace {

FaultPoint connect_fault("redis.connect", FaultPoint::Kind::kNetwork);
FaultPoint send_fault("redis.send", FaultPoint::Kind::kNetwork);
FaultPoint receive_fault("redis.receive", FaultPoint::Kind::kNetwork);

constexpr int64_t kLogInReplyBytesMax = 4096;
constexpr size_t kReadBytes = size_t{64} << 10;

absl::Status TooSlow() {
  return RedisUnavailable("does not answer in time: it is frozen, overloaded, or cut off");
}

absl::Status WentAway() { return RedisUnavailable("closed the connection"); }

absl::Status NotReached(int error) {
  return RedisUnavailable(absl::StrCat("cannot be reached: ", std::strerror(error)));
}

// Waits for `events` on a socket: true when one is there, false at the deadline.
bool WaitFor(int socket, int16_t events, TimePoint deadline) {
  while (true) {
    constexpr int64_t kMillisecondsMax = 1'000'000;  // at once; then again
    const Duration left = deadline - std::chrono::steady_clock::now();
    const int64_t milliseconds = std::chrono::ceil<std::chrono::milliseconds>(left).count();
    pollfd entry = {socket, events, 0};
    const int ready =
        ::poll(&entry, 1, static_cast<int>(std::clamp<int64_t>(milliseconds, 0, kMillisecondsMax)));
    if (ready > 0) return true;
    if (ready == 0 && milliseconds <= kMillisecondsMax) return false;
    if (ready < 0 && errno != EINTR) return true;  // the call that follows says what it is
  }
}

bool WouldBlock() { return errno == EAGAIN || errno == EWOULDBLOCK || errno == EINTR; }

void SetOption(int socket, int level, int option, int value) {
  ::setsockopt(socket, level, option, &value, sizeof(value));  // a help where it is there
}

// A command as an array of strings, of any bytes.
std::string Encode(absl::Span<const std::string_view> arguments) {
  std::string command = absl::StrCat("*", arguments.size(), "\r\n");
  for (const std::string_view argument : arguments) {
    absl::StrAppend(&command, "$", argument.size(), "\r\n", View(argument), "\r\n");
  }
  return command;
}

}  // namespace

// How long a command may still take.
struct RedisClient::Progress {
  TimePoint deadline;
  double bytes_per_second_min;

  void Moved(int64_t bytes) {
    if (bytes_per_second_min <= 0) return;
    deadline += std::chrono::duration_cast<Duration>(
        std::chrono::duration<double>(static_cast<double>(bytes) / bytes_per_second_min));
  }
};

absl::StatusOr<RedisReply> RedisClient::Call(absl::Span<const std::string_view> arguments,
                                             TimePoint deadline, int64_t reply_bytes_max) {
  Progress progress{deadline, server_->bytes_per_second_min};
  if (socket_.valid() && !IsFresh()) Close();
  if (!socket_.valid()) {
    const absl::Status connected = Connect(&progress);
    if (!connected.ok()) {
      Close();
      return connected;
    }
  }
  auto reply = Exchange(arguments, &progress, reply_bytes_max);
  if (!reply.ok()) Close();
  return reply;
}

void RedisClient::Close() {
  if (!socket_.valid()) return;
  // A command that has come to its time should not arrive after it.
  const linger at_once = {1, 0};
  ::setsockopt(socket_.get(), SOL_SOCKET, SO_LINGER, &at_once, sizeof(at_once));
  socket_ = Descriptor(-1);
  reader_.reset();
}

// Open, and nothing has come that nobody asked for: a server that was restarted is noticed before
// a command is lost on it.
bool RedisClient::IsFresh() const {
  char byte = 0;
  return ::recv(socket_.get(), &byte, 1, MSG_PEEK | MSG_DONTWAIT) < 0 && WouldBlock();
}

absl::Status RedisClient::Connect(Progress* progress) {
  reader_ = std::make_unique<RedisReplyReader>();
  if (!server_->address.socket_path.empty()) {
    SSMD_RETURN_IF_ERROR(ConnectUnix());
    return LogIn(progress);
  }
  SSMD_ASSIGN_OR_RETURN(const auto addresses, server_->lookup.Get(progress->deadline));
  absl::Status connected;
  for (size_t i = 0; i < addresses.size(); ++i) {
    // Each address gets its part of the time, so that one that swallows everything leaves some.
    const TimePoint now = std::chrono::steady_clock::now();
    const Duration part = (progress->deadline - now) / static_cast<int64_t>(addresses.size() - i);
    connected = ConnectTo(addresses[i], now + part);
    if (connected.ok()) return LogIn(progress);
  }
  return connected;
}

absl::Status RedisClient::ConnectTo(const SocketAddress& address, TimePoint deadline) {
  socket_ =
      Descriptor(::socket(address.get()->sa_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0));
  if (!socket_.valid()) return NotReached(errno);
  if (connect_fault.Hit(ECONNREFUSED) ||
      ::connect(socket_.get(), address.get(), address.length) != 0) {
    if (errno != EINPROGRESS && errno != EINTR) return NotReached(errno);
    if (!WaitFor(socket_.get(), POLLOUT, deadline)) {
      return RedisUnavailable("cannot be reached in time");
    }
    int error = 0;
    socklen_t length = sizeof(error);
    ::getsockopt(socket_.get(), SOL_SOCKET, SO_ERROR, &error, &length);
    if (error != 0) return NotReached(error);
  }
  SetOption(socket_.get(), IPPROTO_TCP, TCP_NODELAY, 1);
  // A peer that vanished while nothing is asked of it is noticed within half a minute.
  SetOption(socket_.get(), SOL_SOCKET, SO_KEEPALIVE, 1);
  SetOption(socket_.get(), IPPROTO_TCP, TCP_KEEPIDLE, 15);
  SetOption(socket_.get(), IPPROTO_TCP, TCP_KEEPINTVL, 5);
  SetOption(socket_.get(), IPPROTO_TCP, TCP_KEEPCNT, 3);
  return absl::OkStatus();
}

absl::Status RedisClient::ConnectUnix() {
  sockaddr_un address{};
  address.sun_family = AF_UNIX;
  const std::string& path = server_->address.socket_path;
  std::memcpy(address.sun_path, path.data(), std::min(path.size(), sizeof(address.sun_path) - 1));
  socket_ = Descriptor(::socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0));
  // It is connected at once or not at all: EAGAIN says that too many wait already.
  if (!socket_.valid() || connect_fault.Hit(ECONNREFUSED) ||
      ::connect(socket_.get(), reinterpret_cast<const sockaddr*>(&address), sizeof(address)) != 0) {
    return NotReached(errno);
  }
  return absl::OkStatus();
}

absl::Status RedisClient::LogIn(Progress* progress) {
  const RedisAddress& address = server_->address;
  if (!address.password.empty() && address.user.empty()) {
    SSMD_RETURN_IF_ERROR(LogInWith({"AUTH", address.password}, progress));
  } else if (!address.password.empty()) {
    SSMD_RETURN_IF_ERROR(LogInWith({"AUTH", address.user, address.password}, progress));
  }
  if (address.database == 0) return absl::OkStatus();
  return LogInWith({"SELECT", absl::StrCat(address.database)}, progress);
}

absl::Status RedisClient::LogInWith(absl::Span<const std::string_view> command,
                                    Progress* progress) {
  SSMD_ASSIGN_OR_RETURN(const RedisReply reply, Exchange(command, progress, kLogInReplyBytesMax));
  if (reply.is_error()) return UnderstandRedisError(reply.text).status;
  if (reply.type != RedisReply::Type::kStatus || reply.text != "OK") {
    return RedisUnavailable("answers what it should not when logging in: is it a Redis?");
  }
  return absl::OkStatus();
}

absl::StatusOr<RedisReply> RedisClient::Exchange(absl::Span<const std::string_view> arguments,
                                                 Progress* progress, int64_t reply_bytes_max) {
  SSMD_RETURN_IF_ERROR(Send(Encode(arguments), progress));
  return Receive(progress, reply_bytes_max);
}

absl::Status RedisClient::Send(std::string_view bytes, Progress* progress) {
  while (!bytes.empty()) {
    const ssize_t sent = send_fault.Hit(EPIPE)
                             ? -1
                             : ::send(socket_.get(), bytes.data(), bytes.size(), MSG_NOSIGNAL);
    if (sent < 0 && !WouldBlock()) return WentAway();
    if (sent < 0) {
      if (!WaitFor(socket_.get(), POLLOUT, progress->deadline)) return TooSlow();
      continue;
    }
    progress->Moved(sent);
    server_->bytes_written += sent;
    bytes.remove_prefix(sent);
  }
  return absl::OkStatus();
}

absl::StatusOr<RedisReply> RedisClient::Receive(Progress* progress, int64_t reply_bytes_max) {
  reader_->Expect(reply_bytes_max);
  buffer_.resize(kReadBytes);
  while (true) {
    const ssize_t received = receive_fault.Hit(ECONNRESET)
                                 ? -1
                                 : ::recv(socket_.get(), buffer_.data(), buffer_.size(), 0);
    if (received == 0 || (received < 0 && !WouldBlock())) return WentAway();
    if (received < 0) {
      if (!WaitFor(socket_.get(), POLLIN, progress->deadline)) return TooSlow();
      continue;
    }
    progress->Moved(received);
    server_->bytes_read += received;
    SSMD_ASSIGN_OR_RETURN(auto reply, reader_->Feed(std::string_view(buffer_.data(), received)));
    if (reply.has_value()) return *std::move(reply);
  }
}

}  // namespace ssmd
