#include "format/onnx_graph.h"

#include <fmt/format.h>

#include <algorithm>
#include <charconv>
#include <cstring>
#include <filesystem>
#include <nlohmann/json.hpp>
#include <utility>

#include "format/json_file.h"
#include "mlx_encoder/error.h"
#include "rust/mlxe_rust.h"
#include "rust/rust_string.h"

namespace mlxe {
namespace fs = std::filesystem;
namespace {

constexpr size_t kMostOnnxDimensions = 64;

// TensorProto.DataType
struct OnnxType {
  int number;
  const char* name;
  std::optional<Dtype> dtype;
  int bits;
};
constexpr OnnxType kOnnxTypes[] = {
    {1, "FLOAT", Dtype::f32, 32},
    {2, "UINT8", Dtype::u8, 8},
    {3, "INT8", Dtype::i8, 8},
    {4, "UINT16", Dtype::u16, 16},
    {5, "INT16", Dtype::i16, 16},
    {6, "INT32", Dtype::i32, 32},
    {7, "INT64", Dtype::i64, 64},
    {9, "BOOL", Dtype::boolean, 8},
    {10, "FLOAT16", Dtype::f16, 16},
    {11, "DOUBLE", Dtype::f64, 64},
    {12, "UINT32", Dtype::u32, 32},
    {13, "UINT64", Dtype::u64, 64},
    {16, "BFLOAT16", Dtype::bf16, 16},
    {21, "UINT4", std::nullopt, 4},
    {22, "INT4", std::nullopt, 4},
    {8, "STRING", std::nullopt, 0},
    {17, "FLOAT8E4M3FN", std::nullopt, 0},
    {19, "FLOAT8E5M2", std::nullopt, 0},
    {23, "FLOAT4E2M1", std::nullopt, 0},
};

[[noreturn]] void onnx_damaged(const std::string& where, const std::string& what) {
  throw Error(ErrorCode::format, fmt::format("{}: {}", where, what));
}

nlohmann::json onnx_json(std::span<const std::byte> bytes, const std::string& where) {
  RustString text, error;
  check_rust(
      mlxe_onnx_graph(reinterpret_cast<const uint8_t*>(bytes.data()), bytes.size(), text.out(), error.out()),
      where + ": ", error);
  return nlohmann::json::parse(text.view());
}

// "['', 'layers.0', 'linear']": a list of texts as Python prints it.
std::vector<std::string> python_texts(std::string_view list) {
  std::vector<std::string> texts;
  while (true) {
    const size_t begin = list.find_first_of("'\"");
    if (begin == list.npos) return texts;
    const size_t end = list.find(list[begin], begin + 1);
    if (end == list.npos) return texts;
    texts.emplace_back(list.substr(begin + 1, end - begin - 1));
    list.remove_prefix(end + 1);
  }
}

// The folders that a file may have its external data in: its own, and those of the files that it links to. In the cache of a
// download, the file is a link to a place where its neighbours have other names.
std::vector<fs::path> folders_of(fs::path file) {
  constexpr int kMostLinks = 40;
  std::vector<fs::path> folders;
  std::error_code failed;
  for (int i = 0; i < kMostLinks; ++i) {
    folders.push_back(file.parent_path());
    if (!fs::is_symlink(file, failed)) break;
    file = (file.parent_path() / fs::read_symlink(file, failed)).lexically_normal();
  }
  return folders;
}

class OnnxGraphReader {
 public:
  OnnxGraphReader(std::span<const std::byte> bytes, const std::string& where)
      : bytes_(bytes), where_(where) {}

  OnnxGraph read() {
    const nlohmann::json json = onnx_json(bytes_, where_);
    graph_.producer = json["producer"].get<std::string>();
    graph_.sparse = json["sparse"].get<size_t>();
    for (const nlohmann::json& found : json["tensors"]) graph_.tensors.push_back(tensor(found));
    for (const nlohmann::json& found : json["nodes"]) graph_.nodes.push_back(node(found));
    return std::move(graph_);
  }

 private:
  OnnxNode node(const nlohmann::json& json) {
    OnnxNode node{.op = json["op"].get<std::string>(),
                  .name = json["name"].get<std::string>(),
                  .inputs = json["inputs"].get<std::vector<std::string>>(),
                  .outputs = json["outputs"].get<std::vector<std::string>>(),
                  .ints = json["ints"].get<std::map<std::string, int64_t>>(),
                  .floats = json["floats"].get<std::map<std::string, float>>(),
                  .lists = json["lists"].get<std::map<std::string, std::vector<int64_t>>>(),
                  .scopes = python_texts(json["scopes"].get_ref<const std::string&>()),
                  .value = std::nullopt,
                  .matrices_inside = json["matrices_inside"].get<size_t>()};
    if (!json["value"].is_null()) node.value = tensor(json["value"]);
    return node;
  }

  OnnxTensor tensor(const nlohmann::json& json) {
    OnnxTensor tensor{.name = json["name"].get<std::string>(),
                      .type = {},
                      .dtype = {},
                      .shape = json["dims"].get<Shape>(),
                      .data = {}};
    const int number = json["type"].get<int>();
    const auto type = std::ranges::find(kOnnxTypes, number, &OnnxType::number);
    tensor.type = type == std::end(kOnnxTypes) ? fmt::format("number {}", number) : type->name;
    if (type == std::end(kOnnxTypes) || type->bits == 0) return tensor;
    tensor.dtype = type->dtype;
    tensor.bits = type->bits;
    if (tensor.shape.size() > kMostOnnxDimensions)
      malformed(tensor, fmt::format("has {} dimensions", tensor.shape.size()));
    // For two elements in a byte, the whole bytes.
    const std::optional<uint64_t> elements = checked_bytes(1, tensor.shape);
    const std::optional<uint64_t> size =
        type->bits >= 8 ? checked_bytes(static_cast<size_t>(type->bits) / 8, tensor.shape)
        : elements      ? std::optional(*elements / 2 + *elements % 2)
                        : std::nullopt;
    if (!size || !elements) malformed(tensor, fmt::format("has the shape {}", to_string(tensor.shape)));
    const auto& place = json["in"].get_ref<const std::string&>();
    if (place == "many") malformed(tensor, "has its numbers in several places");
    if (place == "external") {
      tensor.data = external(tensor, json["external"].get<std::map<std::string, std::string>>(), *size);
      return tensor;
    }
    const auto begin = json["begin"].get<uint64_t>(), length = json["size"].get<uint64_t>();
    tensor.data = bytes_.subspan(begin, length);
    if (place == "varints") {
      tensor.data = unpacked(tensor, *size);
      tensor.mapped = false;
    }
    if (tensor.data.size() != *size)
      malformed(tensor, fmt::format("has {} bytes, expected {} for {} {}; is the download complete?",
                                    tensor.data.size(), *size, tensor.type, to_string(tensor.shape)));
    return tensor;
  }

  // A packed integer for each element, or for each byte of those of 4 bits.
  std::span<const std::byte> unpacked(const OnnxTensor& tensor, uint64_t size) {
    const size_t width = tensor.bits < 8 ? 1 : static_cast<size_t>(tensor.bits) / 8, count = size / width;
    if (count > tensor.data.size())  // each takes a byte or more
      malformed(tensor, fmt::format("has {} bytes of numbers, expected {} numbers; is the download complete?",
                                    tensor.data.size(), count));
    std::vector<int64_t> numbers(count);
    RustString error;
    if (mlxe_onnx_varints(reinterpret_cast<const uint8_t*>(tensor.data.data()), tensor.data.size(),
                          numbers.data(), count, error.out()) != MLXE_OK)
      malformed(tensor, error.str());
    graph_.copies.push_back(std::make_unique<std::byte[]>(size));
    std::byte* const out = graph_.copies.back().get();
    for (size_t i = 0; i < count; ++i) std::memcpy(out + i * width, &numbers[i], width);  // the low bytes
    return {out, size};
  }

  std::span<const std::byte> external(const OnnxTensor& tensor,
                                      const std::map<std::string, std::string>& entries, uint64_t size) {
    const auto entry = [&](const char* key) {
      const auto found = entries.find(key);
      return found == entries.end() ? std::string() : found->second;
    };
    const auto number = [&](const char* key, uint64_t otherwise) {
      const std::string text = entry(key);
      uint64_t value = otherwise;
      const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
      if (!text.empty() && (error != std::errc() || end != text.data() + text.size()))
        malformed(tensor, fmt::format("has the {} {} in its file, expected a number", key, printable(text)));
      return value;
    };
    const std::span<const std::byte> file = side_file(tensor, entry("location"));
    const uint64_t offset = number("offset", 0), length = number("length", size);
    if (length != size || offset > file.size() || size > file.size() - offset)
      malformed(tensor,
                fmt::format("is said to be {} bytes at {} of {}, which has {}; expected {} for {} {}; is the "
                            "download complete?",
                            length, offset, printable(entry("location")), file.size(), size, tensor.type,
                            to_string(tensor.shape)));
    return file.subspan(offset, size);
  }

  // The file of this name beside the model. A name that leads out of the folder could make any file a model's.
  std::span<const std::byte> side_file(const OnnxTensor& tensor, const std::string& location) {
    const fs::path relative(location);
    if (location.empty() || location.find('\0') != location.npos || relative.is_absolute() ||
        std::ranges::any_of(relative, [](const fs::path& part) { return part == ".."; }))
      malformed(tensor, fmt::format("is in the file {}, expected a name inside the model's folder",
                                    printable(location)));
    const std::string name = relative.lexically_normal().string();
    if (const auto known = mapped_.find(name); known != mapped_.end())
      return graph_.beside[known->second].file.bytes();
    for (const fs::path& folder : folders_of(where_))
      if (const fs::path file = folder / relative; fs::is_regular_file(file)) {
        mapped_.emplace(name, graph_.beside.size());
        graph_.beside.push_back({file, MappedFile(file)});
        return graph_.beside.back().file.bytes();
      }
    throw Error(
        ErrorCode::not_found,
        fmt::format("{}: the file {} beside it, which holds weights, is missing; is the download complete?",
                    where_, printable(location)));
  }

  [[noreturn]] void malformed(const OnnxTensor& tensor, const std::string& what) const {
    onnx_damaged(where_, fmt::format("the tensor {} {}", printable(tensor.name), what));
  }

  std::span<const std::byte> bytes_;
  const std::string& where_;
  OnnxGraph graph_;
  std::map<std::string, size_t> mapped_;  // index in `beside`
};

}  // namespace

int64_t OnnxNode::integer(const std::string& attribute, int64_t otherwise) const {
  const auto found = ints.find(attribute);
  return found == ints.end() ? otherwise : found->second;
}

const std::string& OnnxNode::input(size_t index) const {
  static const std::string none;
  return index < inputs.size() ? inputs[index] : none;
}

OnnxGraph read_onnx_graph(std::span<const std::byte> bytes, const std::string& where) {
  return OnnxGraphReader(bytes, where).read();
}

}  // namespace mlxe
