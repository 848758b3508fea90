// The twin of parity_test.cpp: a model with one damaged tensor must not pass for the original.
#include <gtest/gtest.h>

#include <fstream>

#include "golden.h"
#include "test_files.h"

namespace mlxe::damage_test {
namespace {

using test::Difference;
using test::Golden;
using test::Running;

// 1 / 128: the largest change by rounding a weight to bfloat16.
constexpr float kDamage = 1 + 1 / 128.0f;

// Multiplies the values of one tensor of a folder's weights by kDamage and, since a norm of queries hides a common
// factor, in turn by its mirror image, in the file.
void damage(const LoadedModel& original, const CheckpointTensor& tensor,
            const std::filesystem::path& folder) {
  const SafetensorsFile file(original.checkpoint.files()[tensor.file].path);
  const TensorView* view = file.find(tensor.original);
  ASSERT_NE(view, nullptr);
  ASSERT_EQ(view->dtype, Dtype::f32);
  std::vector<float> values = to_floats(*view);
  for (size_t i = 0; i < values.size(); ++i) values[i] *= i % 2 == 0 ? kDamage : 2 - kDamage;
  std::fstream out(folder / file.path().filename(), std::ios::binary | std::ios::in | std::ios::out);
  out.seekp(view->data.data() - file.bytes().data());
  out.write(reinterpret_cast<const char*>(values.data()), static_cast<std::streamsize>(view->data.size()));
  ASSERT_TRUE(out.good());
}

// Infinite where the folder no longer loads, because two tensors that are one parameter differ.
double largest_difference(const std::filesystem::path& folder, const Golden& golden,
                          std::unique_ptr<Engine> engine) {
  double largest = 0;
  try {
    Running model(folder, std::move(engine));
    for (const Difference& d : test::compare_all(golden, model)) largest = std::max(largest, d.relative);
  } catch (const Error& error) {
    EXPECT_EQ(error.code(), ErrorCode::format) << error.what();
    return INFINITY;
  }
  return largest;
}

// A key's bias, that of its norm if it has one, adds the same number to all scores of a query, which the softmax
// removes. Tensors that are not read: a language model's output matrix, T5's decoder, copies of tied matrices. (Of biases
// that are one parameter, both must be equal.)
bool cancels_out(const LoadedModel& original, const std::string& name) {
  const bool is_read = std::ranges::find(original.model.parameters(), name, &Parameter::name) !=
                       original.model.parameters().end();
  if (!is_read && !name.ends_with(".bias")) return true;
  if (original.checkpoint.has("encoder.layer.0.attention.self.layer_norm_k.bias"))
    return name.ends_with(".layer_norm_k.bias");
  const bool of_bart = name.starts_with("encoder.layers.") || name.starts_with("decoder.layers.");
  return name.ends_with(".key.bias") || name.ends_with(".k_lin.bias") || name.ends_with(".k.bias") ||
         name.ends_with(".pos_key_proj.bias") || (of_bart && name.ends_with(".k_proj.bias"));
}

class Damage : public ::testing::TestWithParam<test::EngineAndFolder> {};

TEST_P(Damage, OfAnyTensorIsNoticed) {
  const auto [engine, name] = GetParam();
  const std::filesystem::path folder = test::kTinyFolders / name;
  const Golden golden(folder);
  const LoadedModel original = load_model(folder, {});
  test::TemporaryFolder temporary;
  double smallest = INFINITY;
  int damaged = 0;
  for (const CheckpointTensor& tensor : original.checkpoint.tensors()) {
    std::string why_not;
    std::unique_ptr<Engine> made = test::make_engine(engine, why_not);
    if (!made) GTEST_SKIP() << why_not;
    const std::filesystem::path copy = temporary / std::to_string(damaged++);
    std::filesystem::copy(folder, copy, std::filesystem::copy_options::recursive);
    damage(original, tensor, copy);
    const double difference = largest_difference(copy, golden, std::move(made));
    if (cancels_out(original, tensor.name)) {
      EXPECT_LE(difference, test::kParityTolerance) << tensor.name;
    } else {
      EXPECT_GT(difference, test::kParityTolerance) << tensor.name;
      smallest = std::min(smallest, difference);
    }
    std::filesystem::remove_all(copy);
  }
  EXPECT_GT(damaged, 10);
  RecordProperty("smallest_difference", fmt::format("{:.2e}", smallest));
}

INSTANTIATE_TEST_SUITE_P(
    Models, Damage,
    ::testing::Combine(
        ::testing::Values("cpu", "mlx"),
        ::testing::Values(
            "bert", "bert_prefix", "bert_sharded", "distilbert", "distilbert_cls", "roberta", "roberta_cls",
            "xlm_roberta", "xlm_roberta_cls", "electra", "electra_cls", "camembert_ner", "albert",
            "albert_cls", "albert_ner", "mobilebert", "mobilebert_cls", "mpnet", "mpnet_cls", "modernbert",
            "modernbert_cls", "modernbert_ner", "deberta", "deberta_cls", "deberta_v2", "deberta_v2_cls",
            "deberta_v2_conv", "deberta_v2_ner", "qwen3", "qwen3_lm", "qwen3_cls", "qwen3_rerank", "st_qwen3",
            "gemma3", "gemma3_lm", "st_gemma3", "t5", "t5_gated", "t5_lm", "st_t5", "bart", "bart_cls",
            "bart_nli", "bart_lm", "mbart", "mbart_cls", "eurobert", "eurobert_cls", "eurobert_bos",
            "nomic_bert", "nomic_bert_cls", "new", "new_cls", "gte_ner", "jina_bert", "jina_bert_code",
            "jina_bert_heads", "jina_bert_cls", "jina_bert_ner", "jina_v3", "jina_v3_cls", "jina_reranker",
            "jina_v3_mlm", "bert_mlm", "bert_mlm_untied", "distilbert_mlm", "roberta_mlm", "albert_mlm",
            "electra_mlm", "mpnet_mlm", "modernbert_mlm", "modernbert_mlm_bias", "deberta_mlm",
            "deberta_v2_mlm", "mobilebert_mlm", "eurobert_mlm", "nomic_bert_mlm", "new_mlm", "bert_qa",
            "roberta_qa", "albert_qa", "modernbert_qa", "bert_choice", "roberta_choice", "electra_choice",
            "splade", "splade_distil", "colbert_stanford", "bge_m3")),
    test::name_of);

}  // namespace
}  // namespace mlxe::damage_test
