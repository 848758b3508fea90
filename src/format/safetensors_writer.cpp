#include <fmt/format.h>

#include <set>
#include <utility>

#include "base/output_file.h"
#include "format/json_file.h"
#include "format/safetensors.h"
#include "mlx_encoder/error.h"

namespace mlxe {
namespace {

std::string header_text(std::span<const TensorSpec> specs, const SafetensorsWriter::Metadata& metadata) {
  std::string text = "{";
  if (!metadata.empty()) {
    text += "\"__metadata__\":{";
    const char* separator = "";
    for (const auto& [key, value] : metadata) {
      text += fmt::format("{}{}:{}", separator, json_string(key), json_string(value));
      separator = ",";
    }
    text += "}";
  }
  uint64_t offset = 0;
  for (const TensorSpec& spec : specs) {
    text += fmt::format("{}{}:{{\"dtype\":\"{}\",\"shape\":[{}],\"data_offsets\":[{},{}]}}",
                        text.size() > 1 ? "," : "", json_string(spec.name), name(spec.dtype),
                        fmt::join(spec.shape, ","), offset, offset + spec.bytes());
    offset += spec.bytes();
  }
  text += "}";
  text.append((8 - text.size() % 8) % 8, ' ');  // so that data starts at a multiple of 8
  return text;
}

uint64_t payload_bytes(std::span<const TensorSpec> specs) {
  uint64_t total = 0;
  for (const TensorSpec& spec : specs) total += spec.bytes();
  return total;
}

}  // namespace

uint64_t SafetensorsWriter::predicted_size(std::span<const TensorSpec> specs, const Metadata& metadata) {
  return 8 + header_text(specs, metadata).size() + payload_bytes(specs);
}

SafetensorsWriter::SafetensorsWriter(std::filesystem::path path, std::vector<TensorSpec> specs,
                                     const Metadata& metadata, Placement placement)
    : specs_(std::move(specs)) {
  std::set<std::string_view> names{"__metadata__"};
  for (const TensorSpec& spec : specs_)
    if (!names.insert(spec.name).second)
      throw Error(ErrorCode::usage, fmt::format("{}: the tensor name {} is reserved or used twice",
                                                path.string(), printable(spec.name)));
  const std::string header = header_text(specs_, metadata);
  if (header.size() > kMaxSafetensorsHeader)
    throw Error(ErrorCode::usage,
                fmt::format("{}: {} tensors make a header of {} bytes, the limit is {}; use shards",
                            path.string(), specs_.size(), header.size(), kMaxSafetensorsHeader));
  std::byte length[8];
  for (int i = 0; i < 8; ++i) length[i] = static_cast<std::byte>(header.size() >> (8 * i));
  file_ = std::make_unique<OutputFile>(std::move(path), 8 + header.size() + payload_bytes(specs_), placement);
  file_->write(length);
  file_->write(header);
}

SafetensorsWriter::~SafetensorsWriter() = default;

bool SafetensorsWriter::complete() const {
  return current_ < specs_.size() && written_ == specs_[current_].bytes();
}

void SafetensorsWriter::advance() {
  ++current_;
  written_ = 0;
}

void SafetensorsWriter::write(std::string_view name, std::span<const std::byte> piece) {
  while (complete() && specs_[current_].name != name) advance();
  if (current_ == specs_.size() || specs_[current_].name != name)
    throw Error(ErrorCode::internal,
                fmt::format("{}: {} was written out of order", file_->path().string(), printable(name)));
  if (piece.size() > specs_[current_].bytes() - written_)
    throw Error(ErrorCode::internal,
                fmt::format("{}: {} has {} bytes, more were written", file_->path().string(), printable(name),
                            specs_[current_].bytes()));
  file_->write(piece);
  written_ += piece.size();
}

void SafetensorsWriter::finish() {
  while (complete()) advance();
  if (current_ < specs_.size())
    throw Error(ErrorCode::internal, fmt::format("{}: {} is incomplete", file_->path().string(),
                                                 printable(specs_[current_].name)));
  file_->finish();
}

}  // namespace mlxe
