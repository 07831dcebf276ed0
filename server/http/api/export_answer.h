// A snapshot as the answer to a request, piece by piece, each when the one before is taken.
#ifndef SSMD_SERVER_HTTP_API_EXPORT_ANSWER_H_
#define SSMD_SERVER_HTTP_API_EXPORT_ANSWER_H_

#include <memory>
#include <vector>

#include "engine/state/snapshot.h"
#include "server/http/exchange.h"

namespace ssmd::server {

class ExportAnswer : public std::enable_shared_from_this<ExportAnswer> {
 public:
  // Any thread. `held` is let go when the answer has ended. Keeps itself until then.
  static void Start(EncodedSnapshot snapshot, std::shared_ptr<Exchange> exchange,
                    std::vector<std::shared_ptr<void>> held);

 private:
  ExportAnswer(EncodedSnapshot snapshot, std::shared_ptr<Exchange> exchange,
               std::vector<std::shared_ptr<void>> held)
      : snapshot_(std::move(snapshot)), exchange_(std::move(exchange)), held_(std::move(held)) {}
  void WriteNext();

  const EncodedSnapshot snapshot_;
  const std::shared_ptr<Exchange> exchange_;
  const std::vector<std::shared_ptr<void>> held_;
  size_t written_ = 0;
};

}  // namespace ssmd::server

#endif  // SSMD_SERVER_HTTP_API_EXPORT_ANSWER_H_
