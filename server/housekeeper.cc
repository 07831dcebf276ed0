// See housekeeper.h.
#include "server/housekeeper.h"

#include <string>

namespace ssmd::server {
namespace {

constexpr std::chrono::minutes kReportEvery(1);

}  // namespace

Housekeeper::Housekeeper(Engine* engine, Log* log, Duration period, const Clock* clock)
    : engine_(engine), log_(log), period_(period), clock_(clock), thread_([this] { Run(); }) {}

void Housekeeper::Stop() {
  {
    MutexLock lock(&mutex_);
    stopping_ = true;
  }
  changed_.NotifyAll();
  if (thread_.joinable()) thread_.join();
}

void Housekeeper::Run() {
  for (;;) {
    {
      MutexLock lock(&mutex_);
      const TimePoint next = std::chrono::steady_clock::now() + period_;
      while (!stopping_ && changed_.WaitUntil(&mutex_, next)) {
      }
      if (stopping_) return;
    }
    Report(engine_->Maintain());
    ReportStore();
  }
}

void Housekeeper::Report(const absl::Status& status) {
  if (status.ok()) return;
  const TimePoint now = clock_->Now();
  if (reported_at_.has_value() && now - *reported_at_ < kReportEvery) return;
  reported_at_ = now;
  const std::string message(status.message());
  const std::string code = absl::StatusCodeToString(status.code());
  log_->Write(LogLevel::kError, "maintenance_failed",
              {{"status", std::string_view(code)}, {"message", std::string_view(message)}});
}

void Housekeeper::ReportStore() {
  const std::optional<SharingFigures> sharing = engine_->Figures().sharing;
  if (!sharing.has_value()) return;
  std::string_view event = kStoreBack;
  if (!sharing->trouble.empty()) {
    event = sharing->refused > Duration(0) ? "replica_refused" : "shared_store_gone";
  }
  if (event == said_) return;
  said_ = event;
  if (event == kStoreBack) {
    log_->Write(LogLevel::kInfo, event, {{"unwritten_sessions", sharing->unwritten}});
  } else {
    log_->Write(LogLevel::kWarn, event,
                {{"message", std::string_view(sharing->trouble)},
                 {"unwritten_sessions", sharing->unwritten}});
  }
}

}  // namespace ssmd::server
