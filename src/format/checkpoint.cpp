#include "format/checkpoint.h"

#include <fmt/format.h>

#include <functional>
#include <utility>

#include "format/json_file.h"
#include "format/weight_files.h"
#include "mlx_encoder/error.h"

namespace mlxe {
namespace fs = std::filesystem;
namespace {

// BERT's first TensorFlow checkpoints: what transformers renames when it loads them.
std::string canonical_name(std::string_view original, std::string_view base_prefix) {
  std::string name(original);
  if (!base_prefix.empty() && name.size() > base_prefix.size() + 1 && name.starts_with(base_prefix) &&
      name[base_prefix.size()] == '.')
    name.erase(0, base_prefix.size() + 1);
  if (name.ends_with("LayerNorm.gamma")) name.replace(name.size() - 5, 5, "weight");
  if (name.ends_with("LayerNorm.beta")) name.replace(name.size() - 4, 4, "bias");
  return name;
}

bool is_buffer(std::string_view name) {
  return name.ends_with("position_ids") || name.ends_with("token_type_ids");
}

// "x.weight" -> "x"; empty if the name has another ending.
std::string_view module_of(std::string_view name) {
  constexpr std::string_view kWeight = ".weight";
  return name.ends_with(kWeight) ? name.substr(0, name.size() - kWeight.size()) : std::string_view{};
}

std::string describe(const CheckpointTensor& tensor) {
  return fmt::format("{} is {} {}", tensor.original, name(tensor.view.dtype), to_string(tensor.view.shape));
}

// The schemes that codes [O, words] and scales [O, groups] could have been written with, for the error
// message.
std::string consistent_schemes(int64_t words, int64_t groups) {
  std::string text;
  for (const int bits : {2, 3, 4, 5, 6, 8})
    for (const int group : {16, 32, 64, 128})
      if (words * 32 == groups * group * bits)
        text += fmt::format("{}{} bits with group size {}", text.empty() ? "" : " or ", bits, group);
  return text.empty() ? "no bits and group size" : text;
}

// "mlx_encoder": {"scheme": "int8", "version": 1}
Mode read_declared_mode(const Config& config) {
  if (!config.has("mlx_encoder")) return Mode::none;
  const Config note = config.object("mlx_encoder");
  if (const int version = note.get<int>("version"); version != 1)
    throw Error(ErrorCode::unsupported,
                fmt::format("{}: \"version\" is {}, this version reads 1; update mlx-encoder", note.where(),
                            version));
  const auto scheme = note.get<std::string>("scheme");
  if (scheme == "int8") return Mode::int8;
  if (scheme == "fake") return Mode::fake;
  throw Error(ErrorCode::unsupported,
              fmt::format("{}: \"scheme\" is {}, expected int8 or fake", note.where(), printable(scheme)));
}

}  // namespace

Checkpoint::Checkpoint(fs::path folder, Config config)
    : folder_(std::move(folder)), config_(std::move(config)) {}

Checkpoint Checkpoint::open(const fs::path& folder, const Warning& warn) {
  if (!fs::exists(folder))
    throw Error(ErrorCode::not_found,
                fmt::format("{}: no such folder; give a model folder", folder.string()));
  if (!fs::is_directory(folder))
    throw Error(ErrorCode::not_found,
                fmt::format("{}: not a folder; give the folder that holds config.json", folder.string()));
  Checkpoint checkpoint(folder, Config::read(folder / "config.json"));
  checkpoint.quantization_ = QuantizationConfig::read(checkpoint.config_, warn);
  checkpoint.declared_mode_ = read_declared_mode(checkpoint.config_);

  WeightFiles weights = open_weight_files(folder, warn);
  checkpoint.opened_ = std::move(weights.files);
  for (const SafetensorsFile& file : checkpoint.opened_)
    checkpoint.files_.push_back({file.path(), file.size()});
  for (const WeightFiles::Location& at : weights.tensors) {
    const TensorView& view = checkpoint.opened_[at.file].tensors()[at.tensor];
    checkpoint.tensors_.push_back(
        {.name = {}, .original = view.name, .view = view, .file = at.file, .owner = {}});
  }
  checkpoint.canonicalize("");
  return checkpoint;
}

void Checkpoint::canonicalize(std::string_view base_prefix) {
  base_prefix_ = base_prefix;
  index_.clear();
  for (size_t i = 0; i < tensors_.size(); ++i) {
    CheckpointTensor& tensor = tensors_[i];
    tensor.name = canonical_name(tensor.original, base_prefix);
    const auto [it, added] = index_.emplace(tensor.name, i);
    if (!added)
      throw Error(ErrorCode::format, fmt::format("{}: {} and {} are the same weight, {}; remove one",
                                                 folder_.string(), printable(tensors_[it->second].original),
                                                 printable(tensor.original), printable(tensor.name)));
  }
  for (CheckpointTensor& tensor : tensors_) {
    tensor.role = is_buffer(tensor.name) ? TensorRole::buffer : TensorRole::weight;
    tensor.owner.clear();
  }
  const auto claim = [&](const std::string& owner, const std::string& part, TensorRole role) {
    if (const auto it = index_.find(part); it != index_.end()) {
      tensors_[it->second].role = role;
      tensors_[it->second].owner = owner;
    }
  };
  for (const CheckpointTensor& tensor : tensors_) {
    const std::string module(module_of(tensor.name));
    if (module.empty()) continue;
    const std::string owner = tensor.name;
    if (tensor.view.dtype == Dtype::u32 || index_.contains(module + ".scales")) {
      claim(owner, module + ".scales", TensorRole::part);
      claim(owner, module + ".biases", TensorRole::part);
    }
    const TensorRole role = tensor.view.dtype == Dtype::i8 ? TensorRole::part : TensorRole::fake_part;
    claim(owner, owner + ".scale", role);
    claim(owner, owner + ".zero_point", role);
  }
}

const CheckpointTensor* Checkpoint::find(std::string_view name) const {
  const auto it = index_.find(std::string(name));
  return it == index_.end() ? nullptr : &tensors_[it->second];
}

StoredWeight Checkpoint::stored(std::string_view name) const {
  const CheckpointTensor* weight = find(name);
  if (!weight)
    throw Error(ErrorCode::format, fmt::format("{}: the tensor {} is missing", folder_.string(), name));
  const std::string where = files_[weight->file].path.string();
  const auto fail = [&](const std::string& what) { throw Error(ErrorCode::format, where + ": " + what); };
  const TensorView& view = weight->view;
  const std::string module(module_of(name));

  StoredWeight result{.name = weight->name,
                      .scheme = {},
                      .shape = view.shape,
                      .dtype = view.dtype,
                      .codes = view.data,
                      .scales = {},
                      .biases = {}};
  const CheckpointTensor* scales = module.empty() ? nullptr : find(module + ".scales");
  if (scales) {
    if (!quantization_.present())
      fail(fmt::format("{} has quantization scales, but config.json has no \"quantization\"",
                       printable(weight->original)));
    const std::string original(module_of(weight->original));
    std::vector<std::string> names{module, original, "model." + module, "model." + original};
    if (!base_prefix_.empty()) names.push_back(base_prefix_ + "." + module);
    const QuantizationConfig::Choice choice = quantization_.choose(names);
    if (!choice.scheme)
      fail(fmt::format("{} is stored quantized, but {} says {}: false", weight->original,
                       quantization_.where(), printable(choice.key)));
    result.scheme = *choice.scheme;
    const Scheme& scheme = result.scheme;
    const Shape &words = view.shape, &groups = scales->view.shape;
    if (view.dtype != Dtype::u32 || words.size() != 2 || groups.size() != 2 || words[0] != groups[0] ||
        words[0] == 0 || words[1] == 0)
      fail(fmt::format("{}, {}; expected U32 [rows, words] and [rows, groups]", describe(*weight),
                       describe(*scales)));
    // Both fit in 2^63 bytes, so the products below can't overflow after the division by 32 rows' worth of
    // words.
    if (words[1] > kMaxConfigSize || groups[1] > kMaxConfigSize || words[1] * 32 % scheme.bits != 0 ||
        words[1] * 32 / scheme.bits != groups[1] * scheme.group_size)
      fail(fmt::format("{}, {}: that is {}, but {}{} says {} bits with group size {}", describe(*weight),
                       describe(*scales), consistent_schemes(words[1], groups[1]), quantization_.where(),
                       choice.key.empty() ? "" : " for " + printable(choice.key), scheme.bits,
                       scheme.group_size));
    result.shape[1] = groups[1] * scheme.group_size;
    result.scales = scales->view.data;

    const CheckpointTensor* biases = find(module + ".biases");
    if (scheme.mode == Mode::affine) {
      if (!is_float(scales->view.dtype) || scales->view.dtype == Dtype::f64)
        fail(fmt::format("{}, expected F32, F16 or BF16 for mode affine", describe(*scales)));
      if (!biases) fail(fmt::format("{} is missing; mode affine needs it", module + ".biases"));
      if (biases->view.dtype != scales->view.dtype || biases->view.shape != groups)
        fail(fmt::format("{}, expected the same as {}", describe(*biases), describe(*scales)));
      result.scheme.dtype = scales->view.dtype;
      result.dtype = scales->view.dtype;
      result.biases = biases->view.data;
    } else {
      if (scales->view.dtype != Dtype::u8)
        fail(fmt::format("{}, expected U8 for this mode", describe(*scales)));
      if (biases)
        fail(fmt::format("{} is there, but {} gives a mode without biases", biases->original,
                         quantization_.where()));
      result.dtype = result.scheme.dtype;
    }
    return result;
  }
  if (view.dtype == Dtype::u32 && !module.empty())
    fail(fmt::format("{}, packed codes, but {}.scales is missing", describe(*weight), module));
  if (!module.empty() && find(module + ".biases"))
    fail(fmt::format("{}.biases is there, but {}.scales is missing", module, module));

  if (view.dtype == Dtype::i8) {
    const CheckpointTensor* scale = find(weight->name + ".scale");
    const CheckpointTensor* zero = find(weight->name + ".zero_point");
    if (!scale || !zero)
      fail(fmt::format("{}, but {}.{} is missing", describe(*weight), weight->name,
                       scale ? "zero_point" : "scale"));
    if (view.shape.size() != 2 || scale->view.dtype != Dtype::f32 ||
        scale->view.shape != Shape{view.shape[0]})
      fail(fmt::format("{}, {}; expected I8 [rows, columns] and F32 [rows]", describe(*weight),
                       describe(*scale)));
    if (zero->view.dtype != Dtype::i8 || zero->view.shape != scale->view.shape)
      fail(fmt::format("{}, expected I8 {}", describe(*zero), to_string(scale->view.shape)));
    result.scheme = {.mode = Mode::int8, .bits = 8};
    result.dtype = Dtype::f32;
    result.scales = scale->view.data;
    result.biases = zero->view.data;
    return result;
  }
  result.scheme = {.mode = Mode::none, .dtype = view.dtype};
  return result;
}

std::vector<std::string> Checkpoint::weight_names() const {
  std::vector<std::string> names;
  for (const CheckpointTensor& tensor : tensors_)
    if (tensor.role == TensorRole::weight) names.push_back(tensor.name);
  return names;
}

uint64_t Checkpoint::bytes() const noexcept {
  uint64_t total = 0;
  for (const CheckpointFile& file : files_) total += file.bytes;
  return total;
}

void Checkpoint::release(std::span<const std::byte> data) const noexcept {
  for (const SafetensorsFile& file : opened_) {
    // Pointers into different mappings are compared through std::less, which orders them all.
    const auto bytes = file.bytes();
    const std::less<const std::byte*> before;
    if (!before(data.data(), bytes.data()) && !before(bytes.data() + bytes.size(), data.data() + data.size()))
      file.release(data);
  }
}

}  // namespace mlxe
