// The files of sentence-transformers modules: the result is a pipeline whose modules fit together, or one
// Error. The input is parts separated by zero bytes, see `kFiles`. The last part is the header of the Dense
// module's tensors; its last byte is the payload's size.
#include "format/sentence_modules.h"

#include <algorithm>

#include "fuzz_input.h"

using mlxe::fuzz::expect_result_or_error;
using mlxe::fuzz::require;

namespace {

constexpr const char* kFiles[] = {"modules.json", "sentence_bert_config.json",
                                  "config_sentence_transformers.json", "1_Pooling/config.json",
                                  "2_Dense/config.json"};

void check(const mlxe::StoredWeight& weight) {
  uint64_t bytes = mlxe::size_of(weight.dtype);
  for (const int64_t d : weight.shape) bytes *= static_cast<uint64_t>(d);
  require(mlxe::is_float(weight.dtype) && weight.codes.size() == bytes);
  for (const std::byte b : weight.codes) require(b == std::byte{0});  // touches every byte
}

void check(const mlxe::SentenceModules& sentence) {
  require(!sentence.modules.empty());
  require(1 == std::ranges::count_if(sentence.modules, [](const mlxe::SentenceModuleSpec& module) {
            return std::holds_alternative<mlxe::PoolingSpec>(module);
          }));
  for (const mlxe::SentenceModuleSpec& module : sentence.modules) {
    if (const auto* pooling = std::get_if<mlxe::PoolingSpec>(&module)) require(!pooling->kinds.empty());
    const auto* dense = std::get_if<mlxe::DenseSpec>(&module);
    if (!dense) continue;
    require(dense->in > 0 && dense->out > 0 && dense->file != nullptr);
    require(dense->weight.shape == mlxe::Shape{dense->out, dense->in});
    check(dense->weight);
    if (dense->bias) check(*dense->bias);
  }
  require(!sentence.max_seq_length || *sentence.max_seq_length > 0);
  require(!sentence.default_prompt_name || sentence.prompts.contains(*sentence.default_prompt_name));
  for (const std::filesystem::path& file : sentence.files)
    require(file.is_relative() && std::ranges::find(file, "..") == file.end());
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  static const mlxe::fuzz::Folder folder({"1_Pooling", "2_Dense"});
  const auto parts = mlxe::fuzz::parts(data, size, std::size(kFiles) + 1);
  for (size_t i = 0; i < std::size(kFiles); ++i) mlxe::fuzz::put(folder.path / kFiles[i], parts[i]);
  const std::string_view last = parts.back();
  mlxe::fuzz::put(folder.path / "2_Dense/model.safetensors",
                  last.empty() ? std::string()
                               : mlxe::fuzz::safetensors_around(last.substr(0, last.size() - 1),
                                                                static_cast<uint8_t>(last.back())));
  expect_result_or_error([&] { check(mlxe::read_sentence_modules(folder.path, [](std::string_view) {})); });
  return 0;
}
