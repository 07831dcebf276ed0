// A plain HTTP GET, as simple as tests and benchmarks need it.
#ifndef SSMD_TESTS_SUPPORT_HTTP_GET_H_
#define SSMD_TESTS_SUPPORT_HTTP_GET_H_

#include <string>

namespace ssmd::test {

// The body of an HTTP GET, and its status; 0 when there was no answer.
struct HttpAnswer {
  int status = 0;
  std::string body;
};
// `address`: "HOST:PORT".
HttpAnswer HttpGet(const std::string& address, const std::string& target);

}  // namespace ssmd::test

#endif  // SSMD_TESTS_SUPPORT_HTTP_GET_H_
