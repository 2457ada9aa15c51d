#include "interop/llmc.h"

#include <array>
#include <vector>

#include "interop/model_source.h"
#include "interop/tensor_views.h"
#include "io/byte_source.h"
#include "io/coding.h"
#include "zhgpt/atomic_file.h"
#include "zhgpt/error.h"
#include "zhgpt/interop.h"
#include "zhgpt/messages.h"

namespace zhgpt::interop {
namespace {

constexpr std::uint32_t kMagic = 20240326, kVersionF32 = 3, kVersionBf16 = 5;
constexpr std::int64_t kHeaderBytes = 1024, kPadding = 128;

struct Part {
  std::string name;
  std::vector<std::int64_t> shape;
};

// The tensors in the order of the file.
std::vector<Part> layout(const ModelConfig& m, std::int64_t padded_rows) {
  const std::int64_t C = m.n_embd;
  std::vector<Part> parts = {{"wte.weight", {padded_rows, C}}, {"wpe.weight", {m.block_size, C}}};
  const Part in_block[] = {{"ln_1.weight", {C}},
                           {"ln_1.bias", {C}},
                           {"attn.c_attn.weight", {3 * C, C}},
                           {"attn.c_attn.bias", {3 * C}},
                           {"attn.c_proj.weight", {C, C}},
                           {"attn.c_proj.bias", {C}},
                           {"ln_2.weight", {C}},
                           {"ln_2.bias", {C}},
                           {"mlp.c_fc.weight", {4 * C, C}},
                           {"mlp.c_fc.bias", {4 * C}},
                           {"mlp.c_proj.weight", {C, 4 * C}},
                           {"mlp.c_proj.bias", {C}}};
  for (const Part& part : in_block) {
    for (std::int64_t l = 0; l < m.n_layer; ++l)
      parts.push_back({"h." + std::to_string(l) + "." + part.name, part.shape});
  }
  parts.push_back({"ln_f.weight", {C}});
  parts.push_back({"ln_f.bias", {C}});
  return parts;
}

std::array<std::uint32_t, 8> read_header(const ByteSource& file) {
  std::array<std::uint32_t, 8> header{};
  std::array<std::byte, sizeof header> bytes{};
  file.read(0, bytes);
  ByteReader in(bytes);
  for (std::uint32_t& value : header) (void)in.get(value);
  return header;
}

}  // namespace

bool is_llmc(const std::string& path) {
  try {
    const auto file = ByteSource::open(path);
    return file->size() >= kHeaderBytes && read_header(*file)[0] == kMagic;
  } catch (const Error&) {
    return false;
  }
}

ForeignModel open_llmc(const std::string& path) {
  const auto file = ByteSource::open(path);
  if (file->size() < kHeaderBytes) {
    file->refuse(0, tr(Msg::interop_llmc_header), std::to_string(file->size()), ">= 1024");
  }
  const auto header = read_header(*file);
  const auto field = [&](std::size_t at, std::int64_t least, std::int64_t most) {
    const std::int64_t value = header[at];
    if (value < least || value > most) {
      file->refuse(static_cast<std::int64_t>(4 * at), tr(Msg::interop_llmc_header), std::to_string(value),
                   std::to_string(least) + ".." + std::to_string(most));
    }
    return value;
  };
  field(0, kMagic, kMagic);
  if (header[1] != kVersionF32 && header[1] != kVersionBf16) {
    file->refuse(4, tr(Msg::interop_llmc_version), std::to_string(header[1]), "3, 5");
  }
  const DType dtype = header[1] == kVersionF32 ? DType::f32 : DType::bf16;
  ForeignModel out{.path = path};
  ModelConfig& m = out.config.model;
  m.block_size = field(2, 1, 1 << 20);
  m.vocab_size = field(3, 1, 1 << 21);
  m.n_layer = field(4, 1, 1000);
  m.n_head = field(5, 1, 1000);
  m.n_embd = field(6, 1, 65536);
  const std::int64_t padded_rows = field(7, m.vocab_size, 1 << 21);
  if (m.n_embd % m.n_head != 0) {
    file->refuse(20, tr(Msg::interop_llmc_header), std::to_string(m.n_head), "n_embd % n_head = 0");
  }

  std::int64_t offset = kHeaderBytes;  // with the bounds above at most 2^48: nothing overflows
  for (Part& part : layout(m, padded_rows)) {
    const TensorInfo info{SectionKind::parameter, part.name, dtype, std::move(part.shape)};
    out.tensors[part.name] = {
        info, [file, offset](std::int64_t at, std::span<std::byte> to) { file->read(offset + at, to); }};
    offset += info.bytes();
  }
  if (file->size() != offset) {
    file->refuse(file->size(), tr(Msg::interop_llmc_size), std::to_string(file->size()),
                 std::to_string(offset));
  }
  return out;
}

}  // namespace zhgpt::interop

namespace zhgpt {

using namespace interop;

void export_llmc(const Snapshot& snapshot, const std::string& path, bool overwrite) {
  const ModelSource source(snapshot);
  const ModelConfig& m = source.model();
  const std::int64_t padded_rows = (m.vocab_size + kPadding - 1) / kPadding * kPadding;
  ByteWriter header;
  for (const std::int64_t value : {std::int64_t{kMagic}, std::int64_t{kVersionF32}, m.block_size,
                                   m.vocab_size, m.n_layer, m.n_head, m.n_embd, padded_rows}) {
    header.put(static_cast<std::uint32_t>(value));
  }
  header.put_zeros_until(kHeaderBytes);
  auto rows = std::make_shared<std::vector<std::int64_t>>(static_cast<std::size_t>(padded_rows), kZeroRow);
  for (std::int64_t row = 0; row < m.vocab_size; ++row) (*rows)[static_cast<std::size_t>(row)] = row;

  AtomicFile file(path, overwrite ? AtomicFile::Existing::replace : AtomicFile::Existing::refuse,
                  kHeaderBytes + 4 * (source.table().count() + (padded_rows - m.vocab_size) * m.n_embd));
  file.write(header.bytes());
  for (const Part& part : layout(m, padded_rows)) {
    TensorSource tensor = source.parameter(part.name);
    if (part.name == "wte.weight") tensor = with_rows(std::move(tensor), rows);
    for_each_piece(tensor, [&](std::span<const std::byte> piece) { file.write(piece); });
  }
  file.commit();
}

}  // namespace zhgpt
