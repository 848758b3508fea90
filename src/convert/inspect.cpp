#include "mlx_encoder/inspect.h"

#include <fmt/format.h>

#include <algorithm>
#include <map>
#include <nlohmann/json.hpp>
#include <optional>
#include <set>

#include "base/file_errors.h"
#include "base/thread_pool.h"
#include "convert/folder_tokenizer.h"
#include "convert/inspect_routes.h"
#include "convert/inspection_parts.h"
#include "convert/loader_compatibility.h"
#include "convert/value_grid.h"
#include "convert/weight_components.h"
#include "format/adapter_config.h"
#include "format/checkpoint.h"
#include "format/encoder_routes.h"
#include "format/json_file.h"
#include "format/m3_heads.h"
#include "format/provenance.h"
#include "mlx_encoder/error.h"
#include "models/registry.h"

namespace mlxe {
namespace fs = std::filesystem;
namespace {

class Inspector {
 public:
  Inspector(Checkpoint checkpoint, int threads)
      : checkpoint_(std::move(checkpoint)),
        tokenizer_(load_folder_tokenizer(checkpoint_.folder())),
        pool_(threads) {}

  Inspection run() {
    result_.bytes = checkpoint_.bytes();
    read_model();
    list_tensors();
    look_for_grids();
    diagnose();
    add_components();
    result_.readers = judge_loaders(checkpoint_, tokenizer_);
    result_.unknown_keys = checkpoint_.config().unknown_keys();
    predict_size_at_8_bits(checkpoint_.folder(), tokenizer_, result_);
    return std::move(result_);
  }

 private:
  void read_model() {
    const Config& config = checkpoint_.config();
    if (config.has("model_type")) result_.model_type = config.get<std::string>("model_type");
    try {
      const Model model = make_model(checkpoint_, {});
      result_.model_type = model.model_type;
      for (const Parameter& p : model.parameters()) components_.emplace(p.name, p.component);
      for (const OutputEntry& o : kOutputTable)
        if (o.output != Output::layers && o.output != Output::hidden && model.has(o.output))
          result_.heads.emplace_back(o.name);
      if (read_m3_heads(checkpoint_.folder()))
        for (const Output o : {Output::token_vectors, Output::token_weights})
          result_.heads.emplace_back(entry(o).name);
    } catch (const Error& error) {
      result_.warnings.emplace_back(error.what());
    }
  }

  void list_tensors() {
    for (const CheckpointTensor& tensor : checkpoint_.tensors()) {
      if (tensor.role == TensorRole::component && !tensor.owner.empty()) continue;  // counted with its owner
      const auto component = components_.find(tensor.name);
      InspectedTensor t{.name = tensor.original,
                        .shape = tensor.view.shape,
                        .scheme = {.dtype = tensor.view.dtype},
                        .dtype = tensor.view.dtype,
                        .bytes = tensor.view.data.size(),
                        .component = component == components_.end() ? "other" : name(component->second),
                        .finding = {}};
      if (tensor.role == TensorRole::weight) {
        try {
          const StoredWeight stored = checkpoint_.stored(tensor.name);
          t.shape = stored.shape;
          t.scheme = stored.scheme;
          t.bytes = stored.bytes();
          parameters_.push_back(static_cast<uint64_t>(element_count(t.shape)));
          const std::string& form = tensor.view.decoded_from;
          if (form.empty()) {
            weights_.emplace_back(stored);
          } else {  // its values need no search for a grid
            t.bytes = tensor.view.stored_bytes;
            t.finding = "stored as " + form + ", read as floats";
            if (t.shape.size() == 2) ++decoded_, decoded_from_.insert(form);
            weights_.emplace_back();
          }
        } catch (const Error& error) {
          t.finding = error.what();
          unreadable_.push_back(error.what());
          parameters_.push_back(static_cast<uint64_t>(element_count(t.shape)));
          weights_.emplace_back();
        }
      } else {
        t.finding = tensor.role == TensorRole::buffer ? "a constant nothing reads"
                    : tensor.role == TensorRole::component
                        ? "belongs to no tensor"
                        : "a quantization parameter nothing reads: the weight is stored as floats";
        if (tensor.role == TensorRole::stray_component) ++stray_;
        parameters_.push_back(0);  // says nothing the weight does not
        weights_.emplace_back();
      }
      result_.tensors.push_back(std::move(t));
    }
  }

  void look_for_grids() {
    std::vector<std::optional<ValueGrid>> grids(weights_.size());
    pool_.parallel_for(static_cast<int64_t>(weights_.size()), [&](int64_t i, int) {
      const auto& stored = weights_[static_cast<size_t>(i)];
      if (stored) grids[static_cast<size_t>(i)] = find_value_grid(checkpoint_, *stored);
    });
    for (size_t i = 0; i < grids.size(); ++i) {
      if (!grids[i]) continue;
      InspectedTensor& t = result_.tensors[i];
      int code_bits = 1;
      while ((1 << code_bits) < grids[i]->points) ++code_bits;
      t.scheme = {.mode = Mode::fake, .bits = code_bits, .group_size = 0, .dtype = t.dtype};
      t.finding = to_string(*grids[i], t.dtype);
    }
  }

  void diagnose() {
    std::map<Mode, uint64_t> kinds;
    uint64_t matrices = 0, total = 0;
    const InspectedTensor* example = nullptr;
    for (size_t i = 0; i < result_.tensors.size(); ++i) {
      InspectedTensor& t = result_.tensors[i];
      t.bits_per_weight = bits_per_weight(t.bytes, parameters_[i]);
      result_.parameters += parameters_[i];
      total += t.bytes;
      if (t.shape.size() != 2 || parameters_[i] == 0) continue;
      ++matrices;
      ++kinds[is_mlx(t.scheme.mode) ? Mode::affine : t.scheme.mode];
      if (t.scheme.mode == Mode::fake && !example) example = &t;
    }
    result_.bits_per_weight = bits_per_weight(total, result_.parameters);

    const Config& config = checkpoint_.config();
    const bool claims_mlx = checkpoint_.quantization().present();
    const std::string claimed =
        config.has("mlx_encoder") ? config.object("mlx_encoder").get_or<std::string>("scheme", "") : "";
    const bool real = kinds[Mode::affine] + kinds[Mode::int8] > 0;
    const bool fake = kinds[Mode::fake] > 0 || stray_ > 0 || claimed == "fake" ||
                      ((claims_mlx || !claimed.empty()) && !real);
    const int found = (kinds[Mode::affine] > 0) + (kinds[Mode::int8] > 0) + (fake ? 1 : 0);
    auto& evidence = result_.evidence;
    if (!unreadable_.empty()) {
      result_.diagnosis = Diagnosis::unknown;
      evidence = unreadable_;
      return;
    }
    result_.diagnosis = found > 1             ? Diagnosis::mixed
                        : fake                ? Diagnosis::fake
                        : kinds[Mode::affine] ? Diagnosis::mlx
                        : kinds[Mode::int8]   ? Diagnosis::int8
                                              : Diagnosis::plain;
    const auto of = [&](uint64_t n) { return fmt::format("{} of {} matrices", n, matrices); };
    if (kinds[Mode::affine])
      evidence.push_back(fmt::format("{} stored in MLX's quantized format", of(kinds[Mode::affine])));
    if (kinds[Mode::int8])
      evidence.push_back(fmt::format("{} stored as real int8 codes", of(kinds[Mode::int8])));
    if (decoded_ > 0)
      evidence.push_back(
          fmt::format("{} stored quantized ({}) and read as floats, with the error of that quantization",
                      of(decoded_), fmt::join(decoded_from_, ", ")));
    if (kinds[Mode::fake])
      evidence.push_back(
          fmt::format("{} hold values of a quantization but are stored as floats, for example {}: {}",
                      of(kinds[Mode::fake]), example->name, example->finding));
    if (stray_)
      evidence.push_back(fmt::format(
          "{} .scale and .zero_point tensors stand beside weights stored as floats; no reader uses them",
          stray_));
    if (claims_mlx && !real)
      evidence.push_back(fmt::format("{} announces quantization, but no tensor is stored quantized",
                                     checkpoint_.quantization().where()));
    if (!claimed.empty() && (claimed == "fake" || !real))
      evidence.push_back(fmt::format("config.json says {}, the matrices are stored as floats",
                                     printable("mlx_encoder: " + claimed)));
    if (found == 0 && decoded_ == 0)
      evidence.push_back(
          fmt::format("no grid in the values of {}, nothing announces quantization", of(kinds[Mode::none])));
    evidence.push_back(fmt::format("{:.2f} bits a weight on disk", result_.bits_per_weight));
  }

  void add_components() {
    std::map<std::string, ComponentSize> sizes;
    for (size_t i = 0; i < result_.tensors.size(); ++i) {
      const InspectedTensor& t = result_.tensors[i];
      ComponentSize& size = sizes[t.component];
      size.component = t.component;
      ++size.tensors;
      size.parameters += parameters_[i];
      size.bytes += t.bytes;
    }
    for (auto& [component, size] : sizes) result_.components.push_back(size);
    std::ranges::stable_sort(result_.components, std::greater{}, &ComponentSize::bytes);
  }

  Checkpoint checkpoint_;
  FolderTokenizer tokenizer_;
  ThreadPool pool_;
  Inspection result_;
  std::map<std::string, Component, std::less<>> components_;  // of the model's tensors, by canonical name
  uint64_t decoded_ = 0;  // matrices that are stored in a quantized form of another format
  std::set<std::string> decoded_from_;
  std::vector<uint64_t> parameters_;                  // beside result_.tensors
  std::vector<std::optional<StoredWeight>> weights_;  // that can be read, beside result_.tensors
  std::vector<std::string> unreadable_;
  uint64_t stray_ = 0;
};

}  // namespace

const char* name(Diagnosis diagnosis) noexcept {
  switch (diagnosis) {
    case Diagnosis::plain:
      return "float";
    case Diagnosis::mlx:
      return "mlx";
    case Diagnosis::int8:
      return "int8";
    case Diagnosis::fake:
      return "fake";
    case Diagnosis::mixed:
      return "mixed";
    case Diagnosis::unknown:
      return "unknown";
  }
  return "unknown";
}

Inspection inspect_model(const fs::path& folder, int threads) {
  if (const auto routes = encoder_routes(folder)) {
    Inspection result = with_file_errors([&] { return inspect_routes(*routes, threads); });
    result.changes = changed_files(folder);
    return result;
  }
  std::vector<std::string> warnings;
  std::optional<Checkpoint> checkpoint;
  try {
    checkpoint.emplace(Checkpoint::open(folder, [&](std::string_view s) { warnings.emplace_back(s); }));
  } catch (const Error& error) {
    if (error.code() != ErrorCode::unsupported || is_adapter_alone(folder)) throw;
    Inspection foreign = with_file_errors([&] { return inspect_foreign(folder, error); });
    foreign.changes = changed_files(folder);
    return foreign;
  }
  Inspection result = with_file_errors([&] { return Inspector(std::move(*checkpoint), threads).run(); });
  result.changes = changed_files(folder);
  result.warnings.insert(result.warnings.begin(), warnings.begin(), warnings.end());
  return result;
}

std::vector<std::string> changed_files(const fs::path& folder) {
  return changes_since_conversion(folder, FileCheck::content);
}

}  // namespace mlxe
