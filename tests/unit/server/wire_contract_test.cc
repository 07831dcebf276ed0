// The public protocol, field by field, against a committed list. Compatible additions need one line
// more in that list; what removes, renumbers or retypes something fails until the protocol is
// mended.
//
// To accept additions: SSMD_UPDATE_WIRE_CONTRACT=1 unit_server_test --gtest_filter='WireContract.*'
#include <google/protobuf/descriptor.h>
#include <gtest/gtest.h>

#include <cstdlib>
#include <fstream>
#include <set>
#include <string>

#include "absl/strings/str_cat.h"
#include "ssmd/v1/admin.pb.h"
#include "ssmd/v1/generation.pb.h"
#include "ssmd/v1/memory.pb.h"
#include "ssmd/v1/model.pb.h"
#include "ssmd/v1/rpc_status.pb.h"
#include "ssmd/v1/session.pb.h"

namespace ssmd::server {
namespace {

using google::protobuf::Descriptor;
using google::protobuf::EnumDescriptor;
using google::protobuf::FieldDescriptor;
using google::protobuf::FileDescriptor;
using google::protobuf::ServiceDescriptor;
using Lines = std::set<std::string>;

void AddEnum(const EnumDescriptor& type, Lines* lines) {
  for (int i = 0; i < type.value_count(); ++i) {
    lines->insert(absl::StrCat("enum ", type.full_name(), " ", type.value(i)->number(), " ",
                               type.value(i)->name()));
  }
}

std::string TypeName(const FieldDescriptor& field) {
  if (field.message_type() != nullptr) return field.message_type()->full_name();
  if (field.enum_type() != nullptr) return field.enum_type()->full_name();
  return field.type_name();
}

void AddMessage(const Descriptor& type, Lines* lines) {
  lines->insert(absl::StrCat("message ", type.full_name()));
  for (int i = 0; i < type.field_count(); ++i) {
    const FieldDescriptor& field = *type.field(i);
    std::string label;
    if (field.is_repeated()) label = "repeated ";
    if (field.has_optional_keyword()) label = "optional ";
    if (field.real_containing_oneof() != nullptr) {
      label = absl::StrCat("oneof ", field.real_containing_oneof()->name(), " ");
    }
    lines->insert(absl::StrCat("field ", type.full_name(), " ", field.number(), " ", label,
                               TypeName(field), " ", field.name()));
  }
  for (int i = 0; i < type.nested_type_count(); ++i) AddMessage(*type.nested_type(i), lines);
  for (int i = 0; i < type.enum_type_count(); ++i) AddEnum(*type.enum_type(i), lines);
}

void AddService(const ServiceDescriptor& service, Lines* lines) {
  for (int i = 0; i < service.method_count(); ++i) {
    const auto& method = *service.method(i);
    lines->insert(absl::StrCat(
        "rpc ", method.full_name(), " (", method.client_streaming() ? "stream " : "",
        method.input_type()->full_name(), ") returns (", method.server_streaming() ? "stream " : "",
        method.output_type()->full_name(), ")"));
  }
}

Lines PresentContract() {
  Lines lines;
  for (const FileDescriptor* file :
       {v1::SamplingParams::descriptor()->file(), v1::GenerateRequest::descriptor()->file(),
        v1::Session::descriptor()->file(), v1::Model::descriptor()->file(),
        v1::MemoryRequest::descriptor()->file(), v1::ModelStats::descriptor()->file(),
        v1::RpcStatus::descriptor()->file()}) {
    for (int i = 0; i < file->message_type_count(); ++i) AddMessage(*file->message_type(i), &lines);
    for (int i = 0; i < file->enum_type_count(); ++i) AddEnum(*file->enum_type(i), &lines);
    for (int i = 0; i < file->service_count(); ++i) AddService(*file->service(i), &lines);
  }
  return lines;
}

const char kGoldenPath[] = SSMD_WIRE_CONTRACT;

Lines GoldenContract() {
  Lines lines;
  std::ifstream file(kGoldenPath);
  std::string line;
  while (std::getline(file, line)) {
    if (!line.empty() && line[0] != '#') lines.insert(line);
  }
  return lines;
}

TEST(WireContract, NothingThatWasPromisedIsGone) {
  const Lines present = PresentContract();
  const Lines golden = GoldenContract();
  ASSERT_FALSE(golden.empty()) << kGoldenPath;
  for (const std::string& line : golden) {
    EXPECT_EQ(present.count(line), 1U) << "removed or changed: " << line;
  }
}

TEST(WireContract, AdditionsAreWrittenDown) {
  const Lines present = PresentContract();
  if (std::getenv("SSMD_UPDATE_WIRE_CONTRACT") != nullptr) {
    // Old lines stay, so that this cannot hide what was removed.
    Lines all = GoldenContract();
    all.insert(present.begin(), present.end());
    std::ofstream file(kGoldenPath);
    file << "# The public protocol ssmd.v1: what clients rely on. See wire_contract_test.cc.\n";
    for (const std::string& line : all) file << line << "\n";
  }
  const Lines golden = GoldenContract();
  for (const std::string& line : present) {
    EXPECT_EQ(golden.count(line), 1U) << "not in the contract yet: " << line;
  }
}

}  // namespace
}  // namespace ssmd::server
