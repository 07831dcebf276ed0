// Messages of a memory's stream, their answers, and samples to send.
#ifndef SSMD_TESTS_E2E_MEMORY_REQUESTS_H_
#define SSMD_TESTS_E2E_MEMORY_REQUESTS_H_

#include <gtest/gtest.h>

#include <cmath>
#include <string>
#include <vector>

#include "tests/support/daemon.h"

namespace ssmd::test {

inline v1::MemoryRequest OpenNew(const std::string& model = "legs") {
  v1::MemoryRequest request;
  request.mutable_open()->set_model(model);
  return request;
}

inline v1::MemoryRequest OpenSession(const std::string& id) {
  v1::MemoryRequest request;
  request.mutable_open()->set_session_id(id);
  return request;
}

inline v1::MemoryRequest Samples(const std::vector<float>& samples) {
  v1::MemoryRequest request;
  request.mutable_append()->mutable_samples()->Add(samples.begin(), samples.end());
  return request;
}

inline v1::MemoryRequest Query(const std::vector<double>& times) {
  v1::MemoryRequest request;
  request.mutable_query()->mutable_times()->Add(times.begin(), times.end());
  request.mutable_query()->set_coefficients(true);
  request.mutable_query()->set_error(true);
  return request;
}

inline std::vector<float> Wave(int from, int to) {
  std::vector<float> samples;
  for (int i = from; i < to; ++i) samples.push_back(std::sin(0.02f * static_cast<float>(i)));
  return samples;
}

// The answer; the test fails where there is none.
inline v1::MemoryResponse Ask(client::MemoryStream& stream, const v1::MemoryRequest& request) {
  auto response = stream.Ask(request);
  if (response.ok()) return response.value();
  ADD_FAILURE() << client::ToString(response.error());
  return {};
}

}  // namespace ssmd::test

#endif  // SSMD_TESTS_E2E_MEMORY_REQUESTS_H_
