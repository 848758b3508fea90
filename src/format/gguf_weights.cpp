#include "format/gguf_weights.h"

#include <fmt/format.h>

#include <algorithm>
#include <cstring>
#include <memory>
#include <optional>
#include <utility>

#include "format/gguf_families.h"
#include "format/json_file.h"

namespace mlxe {
namespace {

constexpr std::string_view kLayer = "blk.";

// "blk.3.attn_q.weight" -> {"3", "attn_q", ".weight"}; the first is empty outside of layers.
struct GgufName {
  std::string_view layer, module, ending;

  explicit GgufName(std::string_view name) : module(name) {
    if (name.starts_with(kLayer)) {
      const size_t end = name.find('.', kLayer.size());
      if (end != name.npos && end > kLayer.size() &&
          name.substr(kLayer.size(), end - kLayer.size()).find_first_not_of("0123456789") == name.npos) {
        layer = name.substr(kLayer.size(), end - kLayer.size());
        module = name.substr(end + 1);
      }
    }
    const size_t dot = module.rfind('.');
    ending = dot == module.npos ? std::string_view() : module.substr(dot);
    module.remove_suffix(ending.size());
  }
};

const GgufType& readable_type(const GgufFile& file, const GgufTensor& tensor) {
  if (tensor.known) return *tensor.known;
  file.unsupported(
      fmt::format("{} has the type {}, which this version can't read; quantize the model to Q8_0, Q6_K, "
                  "Q5_K_M or Q4_K_M, or convert it to F16",
                  printable(tensor.name), gguf_type_name(tensor.type)));
}

class GgufTensors {
 public:
  explicit GgufTensors(const GgufFile& file) : file_(file), family_(gguf_family(file)) {}

  TensorContent read() {
    if (file_.integer("split.count").value_or(1) > 1)
      file_.unsupported(
          "is one of several parts of a model; put them together with llama-gguf-split --merge");
    for (const GgufTensor& tensor : file_.tensors) add(tensor);
    if (const std::string_view name = family_.zero_if_absent; !name.empty()) add_zeros(std::string(name));
    return std::move(content_);
  }

 private:
  void add(const GgufTensor& tensor) {
    const GgufName name(tensor.name);
    const std::span<const GgufModule> table = name.layer.empty() ? family_.modules : family_.layer_modules;
    const auto row = std::ranges::find(table, name.module, &GgufModule::stored);
    if (is_gate_of_both(name)) return;
    readable_type(file_, tensor);
    if (row == table.end()) return add_view(std::string(tensor.name), view(tensor));
    const std::string prefix =
        name.layer.empty() ? std::string() : fmt::format("{}{}.", family_.layers, name.layer);
    const std::string original = fmt::format("{}{}{}", prefix, row->original, name.ending);
    if (name.module == "ffn_up" && gate_beside(name)) return add_both(original, *gate_beside(name), tensor);
    switch (row->change) {
      case GgufChange::none:
        return add_view(original, view(tensor));
      case GgufChange::minus_one:
        return add_minus_one(original, tensor);
      case GgufChange::after_padding:
        return add_after_padding(original, tensor);
      case GgufChange::in_parts:
        return add_parts(prefix, std::string(name.ending), tensor);
      case GgufChange::dropped:
        return;
    }
  }

  void add_view(std::string name, TensorView view) {
    view.name = std::move(name);
    content_.tensors.push_back(std::move(view));
  }

  // Quantized numbers as float32. llama.cpp's tools write a matrix of one row as a vector.
  TensorView view(const GgufTensor& tensor) {
    const GgufType& type = *tensor.known;
    TensorView view{{}, type.plain.value_or(Dtype::f32), tensor.shape, tensor.data, true};
    const GgufName name(tensor.name);
    if (view.shape.size() == 1 && name.ending == ".weight" && name.module.find("norm") == name.module.npos)
      view.shape.insert(view.shape.begin(), 1);
    if (type.plain) return view;
    view.decoded_from = type.name;
    view.stored_bytes = tensor.data.size();
    float* out = allocate(view);
    decode_gguf(type, tensor.data, out);
    return view;
  }

  // Memory of the tensor's own for its values in float32.
  float* allocate(TensorView& view) {
    const auto bytes = static_cast<size_t>(element_count(view.shape)) * sizeof(float);
    content_.copies.push_back(std::make_unique_for_overwrite<std::byte[]>(bytes));
    view.dtype = Dtype::f32;
    view.data = {content_.copies.back().get(), bytes};
    view.mapped = false;
    return reinterpret_cast<float*>(content_.copies.back().get());
  }

  void add_minus_one(const std::string& name, const GgufTensor& tensor) {
    TensorView result = view(tensor);
    const std::vector<float> values = to_floats(result);
    float* out = allocate(result);
    std::ranges::transform(values, out, [](float value) { return value - 1.0F; });
    add_view(name, std::move(result));
  }

  void add_after_padding(const std::string& name, const GgufTensor& tensor) {
    TensorView result = view(tensor);
    const int64_t rows = gguf_position_offset(file_);
    if (rows > 0 && result.shape.size() == 2 && result.data.size() > 0) {
      const std::vector<float> values = to_floats(result);
      const auto before = static_cast<size_t>(rows * result.shape[1]);
      result.shape[0] += rows;
      float* out = allocate(result);
      std::fill_n(out, before, 0.0F);
      std::ranges::copy(values, out + before);
    }
    add_view(name, std::move(result));
  }

  // Every head has as many rows.
  void add_parts(const std::string& prefix, const std::string& ending, const GgufTensor& tensor) {
    const TensorView whole = view(tensor);
    const auto count = [&](const char* key, int64_t otherwise) {
      return file_.integer(fmt::format("{}.attention.{}", family_.architecture, key)).value_or(otherwise);
    };
    const int64_t heads = count("head_count", 1), shared = count("head_count_kv", heads);
    constexpr int64_t kMostHeads = 1 << 20;
    if (whole.shape.empty() || heads < 1 || shared < 1 || heads > kMostHeads || shared > kMostHeads ||
        whole.shape[0] % (heads + 2 * shared) != 0)
      file_.malformed(fmt::format("{} is {}, which has no rows of {} heads and twice {}",
                                  printable(tensor.name), to_string(whole.shape), heads, shared));
    const int64_t head = whole.shape[0] / (heads + 2 * shared);
    const size_t head_bytes = whole.data.size() / static_cast<size_t>(heads + 2 * shared);
    size_t begin = 0;
    for (size_t i = 0; i < family_.parts.size(); ++i) {
      const int64_t own = i == 0 ? heads : shared;
      TensorView part = whole;
      part.shape[0] = own * head;
      part.data = whole.data.subspan(begin, static_cast<size_t>(own) * head_bytes);
      begin += part.data.size();
      part.stored_bytes =
          whole.stored_bytes / static_cast<size_t>(heads + 2 * shared) * static_cast<size_t>(own);
      add_view(fmt::format("{}{}{}", prefix, family_.parts[i], ending), std::move(part));
    }
  }

  std::string name_in_layer(const GgufName& name, const char* module) const {
    return fmt::format("{}{}.{}{}", kLayer, name.layer, module, name.ending);
  }
  const GgufTensor* gate_beside(const GgufName& up) const {
    return family_.gate_and_up.empty() ? nullptr : file_.find_tensor(name_in_layer(up, "ffn_gate"));
  }
  bool is_gate_of_both(const GgufName& name) const {
    return !family_.gate_and_up.empty() && name.module == "ffn_gate" &&
           file_.find_tensor(name_in_layer(name, "ffn_up")) != nullptr;
  }

  void add_both(const std::string& name, const GgufTensor& gate, const GgufTensor& up) {
    if (gate.shape != up.shape || gate.shape.empty())
      file_.malformed(fmt::format("{} is {}, but {} is {}", printable(gate.name), to_string(gate.shape),
                                  printable(up.name), to_string(up.shape)));
    const std::vector<float> first = gguf_floats(file_, family_.gate_first ? gate : up),
                             second = gguf_floats(file_, family_.gate_first ? up : gate);
    TensorView both{{}, Dtype::f32, up.shape, {}, false};
    both.shape[0] *= 2;
    if (!up.known->plain) {
      both.decoded_from = up.known->name;
      both.stored_bytes = gate.data.size() + up.data.size();
    }
    float* out = allocate(both);
    std::ranges::copy(second, std::ranges::copy(first, out).out);
    add_view(name, std::move(both));
  }

  void add_zeros(const std::string& name) {
    if (std::ranges::find(content_.tensors, name, &TensorView::name) != content_.tensors.end()) return;
    const GgufTensor* words = file_.find_tensor("token_embd.weight");
    if (words == nullptr || words->shape.size() != 2 || words->data.empty()) return;
    TensorView zeros{name, Dtype::f32, {1, words->shape[1]}, {}, false};
    float* out = allocate(zeros);
    std::fill_n(out, static_cast<size_t>(words->shape[1]), 0.0F);
    content_.tensors.push_back(std::move(zeros));
  }

  const GgufFile& file_;
  const GgufFamily& family_;
  TensorContent content_;
};

}  // namespace

TensorContent parse_gguf(std::span<const std::byte> bytes, const std::string& where) {
  const GgufFile file = GgufFile::parse(bytes, where);
  return GgufTensors(file).read();
}

std::vector<float> gguf_floats(const GgufFile& file, const GgufTensor& tensor) {
  const GgufType& type = readable_type(file, tensor);
  std::vector<float> values(static_cast<size_t>(element_count(tensor.shape)));
  if (type.plain)
    to_float(*type.plain, tensor.data, values);
  else
    decode_gguf(type, tensor.data, values.data());
  return values;
}

}  // namespace mlxe
