#include "kernels/cuda/selfcheck/build_id.h"

#include <elf.h>
#include <link.h>

#include <cstring>
#include <string_view>

namespace ssmd::kernels::cuda {
namespace {

constexpr std::string_view kGnu("GNU\0", 4);

size_t Aligned(size_t bytes) { return (bytes + 3) / 4 * 4; }

std::string Hex(std::string_view bytes) {
  constexpr char kDigits[] = "0123456789abcdef";
  std::string text;
  for (const char byte : bytes) {
    const auto value = static_cast<unsigned char>(byte);
    text += kDigits[value >> 4];
    text += kDigits[value & 15];
  }
  return text;
}

// Of a segment of notes: each is a header, its owner's name and its text, padded.
std::string IdIn(std::string_view notes) {
  ElfW(Nhdr) header;
  while (notes.size() >= sizeof(header)) {
    std::memcpy(&header, notes.data(), sizeof(header));
    notes.remove_prefix(sizeof(header));
    const size_t name_bytes = Aligned(header.n_namesz), text_bytes = Aligned(header.n_descsz);
    if (notes.size() < name_bytes || notes.size() - name_bytes < text_bytes) return "";
    if (header.n_type == NT_GNU_BUILD_ID && notes.substr(0, header.n_namesz) == kGnu) {
      return Hex(notes.substr(name_bytes, header.n_descsz));
    }
    notes.remove_prefix(name_bytes + text_bytes);
  }
  return "";
}

// The first object is the program itself.
int ReadFirst(dl_phdr_info* info, size_t /*size*/, void* result) {
  for (int i = 0; i < info->dlpi_phnum; ++i) {
    const ElfW(Phdr)& segment = info->dlpi_phdr[i];
    if (segment.p_type != PT_NOTE) continue;
    const auto* notes = reinterpret_cast<const char*>(info->dlpi_addr + segment.p_vaddr);
    std::string id = IdIn({notes, segment.p_memsz});
    if (id.empty()) continue;
    *static_cast<std::string*>(result) = std::move(id);
    break;
  }
  return 1;
}

}  // namespace

std::string BuildId() {
  std::string id;
  dl_iterate_phdr(ReadFirst, &id);
  return id;
}

}  // namespace ssmd::kernels::cuda
