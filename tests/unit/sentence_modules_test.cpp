#include "format/sentence_modules.h"

#include <fmt/format.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "format/module_path.h"
#include "format/safetensors.h"
#include "test_files.h"

namespace mlxe::sentence_modules_test {
namespace {

namespace fs = std::filesystem;
using ::testing::AllOf;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;

constexpr const char* kTransformer =
    R"({"idx": 0, "name": "0", "path": "", "type": "sentence_transformers.models.Transformer"})";
constexpr const char* kPooling =
    R"({"idx": 1, "name": "1", "path": "1_Pooling", "type": "sentence_transformers.models.Pooling"})";
constexpr const char* kDense =
    R"({"idx": 2, "name": "2", "path": "2_Dense", "type": "sentence_transformers.models.Dense"})";
constexpr const char* kNormalize =
    R"({"idx": 3, "name": "3", "path": "3_Normalize", "type": "sentence_transformers.models.Normalize"})";

class SentenceModulesTest : public ::testing::Test {
 protected:
  test::TemporaryFolder folder_;
  test::Heard heard_;

  void file(const char* name, std::string_view text) { test::write_file(folder_ / name, text); }
  void modules(const std::vector<std::string>& list) {
    std::string text = "[";
    for (const std::string& module : list) text += (text.size() > 1 ? "," : "") + module;
    file("modules.json", text + "]");
  }
  void pooling(const std::string& extra) {
    file("1_Pooling/config.json",
         R"({"word_embedding_dimension": 4)" + (extra.empty() ? "" : ", " + extra) + "}");
  }
  void dense(std::string_view config, const std::vector<TensorSpec>& specs) {
    file("2_Dense/config.json", config);
    SafetensorsWriter writer(folder_ / "2_Dense/model.safetensors", specs, {});
    for (const TensorSpec& spec : specs) writer.write(spec.name, std::vector<std::byte>(spec.bytes()));
    writer.finish();
  }
  SentenceModules read() { return read_sentence_modules(folder_.path(), heard_.warning()); }
  std::vector<PoolingKind> kinds() { return std::get<PoolingSpec>(read().modules.at(0)).kinds; }
  std::string error_of(ErrorCode code = ErrorCode::format) {
    return test::error_text([&] { read(); }, code);
  }
};

// Saved by sentence-transformers 5.7 itself.
TEST_F(SentenceModulesTest, ReadsWhatSentenceTransformersSaved) {
  const SentenceModules saved =
      read_sentence_modules(fs::path(MLXE_TEST_DATA) / "sentence" / "saved", heard_.warning());
  EXPECT_THAT(heard_.sentences, IsEmpty());
  EXPECT_TRUE(saved.declared);
  ASSERT_EQ(saved.modules.size(), 3u);
  const auto& pool = std::get<PoolingSpec>(saved.modules[0]);
  EXPECT_THAT(pool.kinds, ElementsAre(PoolingKind::weighted_mean, PoolingKind::cls));
  EXPECT_FALSE(pool.include_prompt);
  EXPECT_EQ(pool.dimension, 4);
  const auto& dense = std::get<DenseSpec>(saved.modules[1]);
  EXPECT_EQ(dense.activation, "linear");
  EXPECT_EQ(dense.weight.shape, (Shape{3, 8}));
  EXPECT_EQ(dense.weight.name, "2_Dense/linear.weight");
  EXPECT_EQ(dense.weight.codes.size(), 96u);
  ASSERT_TRUE(dense.bias);
  EXPECT_EQ(dense.bias->shape, Shape{3});
  EXPECT_TRUE(std::holds_alternative<NormalizeSpec>(saved.modules[2]));
  EXPECT_EQ(saved.prompts.at("query"), "query: ");
  EXPECT_EQ(saved.prompts.at("document"), "");
  EXPECT_EQ(saved.default_prompt_name, "query");
  EXPECT_EQ(saved.similarity, Similarity::dot);
  EXPECT_THAT(saved.files,
              ElementsAre("config_sentence_transformers.json", "sentence_bert_config.json", "modules.json",
                          "1_Pooling/config.json", "2_Dense/config.json", "2_Dense/model.safetensors"));
}

TEST_F(SentenceModulesTest, WithoutModulesMeanIsAssumedAndSaid) {
  const SentenceModules assumed = read();
  EXPECT_FALSE(assumed.declared);
  EXPECT_THAT(std::get<PoolingSpec>(assumed.modules.at(0)).kinds, ElementsAre(PoolingKind::mean));
  EXPECT_EQ(assumed.modules.size(), 1u);
  EXPECT_THAT(heard_.sentences, ElementsAre(HasSubstr("has no modules.json; mean pooling was assumed")));
}

TEST_F(SentenceModulesTest, OfALanguageModelTheLastTokenIsPooled) {
  file("config.json", R"({"architectures": ["Qwen3ForCausalLM"]})");
  EXPECT_THAT(kinds(), ElementsAre(PoolingKind::last_token));
  EXPECT_THAT(heard_.sentences, ElementsAre(HasSubstr("last-token pooling was assumed")));
  for (const char* other :
       {R"({"architectures": ["Qwen3ForCausalLM"], "is_causal": false})",
        R"({"architectures": ["Qwen3Model", "Qwen3ForCausalLM"]})", R"({"architectures": []})"}) {
    file("config.json", other);
    EXPECT_THAT(kinds(), ElementsAre(PoolingKind::mean)) << other;
  }
}

TEST_F(SentenceModulesTest, AFolderOfAnotherKindIsAPlainEncoder) {
  modules({kTransformer});
  file("config_sentence_transformers.json", R"({"model_type": "CrossEncoder"})");
  file("sentence_bert_config.json",
       R"({"transformer_task": "sequence-classification", "module_output_name": "scores",
           "modality_config": {"text": {"method": "forward", "method_output_name": "logits"}},
           "max_seq_length": 17})");
  const SentenceModules read_modules = read();
  EXPECT_FALSE(read_modules.declared);
  EXPECT_EQ(read_modules.max_seq_length, 17);
  EXPECT_TRUE(read_modules.cross_encoder);
  EXPECT_THAT(heard_.sentences,
              ElementsAre(HasSubstr("was saved as a \"CrossEncoder\"; mean pooling was assumed")));
  heard_.sentences.clear();
  read_sentence_modules(folder_.path(), heard_.warning(), ExpectVectors::no);
  EXPECT_THAT(heard_.sentences, IsEmpty()) << "of a classifier that is no assumption worth a word";
  file("config_sentence_transformers.json", R"({"model_type": "CrossEncoder", "zeta": 1})");
  read_sentence_modules(folder_.path(), heard_.warning(), ExpectVectors::no);
  EXPECT_THAT(heard_.sentences, ElementsAre(HasSubstr("\"zeta\" is not known"))) << "everything else is said";
}

TEST_F(SentenceModulesTest, ACrossEncodersPromptAndActivationAreOfItsPairs) {
  modules({kTransformer, kPooling});
  pooling(R"("pooling_mode": "mean")");
  const auto settings = [&](const char* kind) {
    file(
        "config_sentence_transformers.json",
        std::string(R"({"model_type": ")") + kind +
            R"(", "activation_fn": "torch.nn.modules.linear.Identity", "prompts": {"q": "Q: "}, "default_prompt_name": "q"})");
    return read();
  };
  const SentenceModules cross = settings("CrossEncoder");
  EXPECT_EQ(cross.activation_fn, "torch.nn.modules.linear.Identity");
  EXPECT_EQ(default_prompt(cross, PromptUse::classification), "Q: ");
  EXPECT_EQ(default_prompt(cross, PromptUse::embedding), "");
  const SentenceModules sentence = settings("SentenceTransformer");
  EXPECT_EQ(sentence.activation_fn, std::nullopt);
  EXPECT_EQ(default_prompt(sentence, PromptUse::classification), "");
  EXPECT_EQ(default_prompt(sentence, PromptUse::embedding), "Q: ");
}

TEST_F(SentenceModulesTest, TheLayoutOfVersion2) {
  modules({kTransformer, kPooling, kNormalize});
  pooling(
      R"("pooling_mode_cls_token": false, "pooling_mode_mean_tokens": true, "pooling_mode_max_tokens": false,
             "pooling_mode_mean_sqrt_len_tokens": false)");
  file("sentence_bert_config.json", R"({"max_seq_length": 256, "do_lower_case": true})");
  file("config_sentence_transformers.json", R"({"__version__": {"sentence_transformers": "2.0.0"}})");
  const SentenceModules old = read();
  EXPECT_THAT(heard_.sentences, IsEmpty());
  EXPECT_EQ(old.max_seq_length, 256);
  EXPECT_TRUE(old.do_lower_case);
  EXPECT_EQ(old.similarity, Similarity::cosine);
  EXPECT_EQ(old.modules.size(), 2u);
  EXPECT_TRUE(std::get<PoolingSpec>(old.modules[0]).include_prompt);
}

TEST_F(SentenceModulesTest, SeveralFlagsConcatenateInTheOrderOfSentenceTransformers) {
  modules({kTransformer, kPooling});
  pooling(
      R"("pooling_mode_lasttoken": true, "pooling_mode_weightedmean_tokens": true, "pooling_mode_mean_tokens": true,
             "pooling_mode_max_tokens": true, "pooling_mode_cls_token": true, "pooling_mode_mean_sqrt_len_tokens": true)");
  EXPECT_THAT(kinds(),
              ElementsAre(PoolingKind::cls, PoolingKind::max, PoolingKind::mean, PoolingKind::mean_sqrt_len,
                          PoolingKind::weighted_mean, PoolingKind::last_token));
}

TEST_F(SentenceModulesTest, PoolingModeAsNameListOrAbsent) {
  modules({kTransformer, kPooling});
  pooling(R"("pooling_mode": "lasttoken")");
  EXPECT_THAT(kinds(), ElementsAre(PoolingKind::last_token));
  pooling(R"("pooling_mode": ["max", "cls"])");
  EXPECT_THAT(kinds(), ElementsAre(PoolingKind::max, PoolingKind::cls));
  EXPECT_THAT(heard_.sentences, IsEmpty());
  pooling(R"("pooling_mode": "max", "pooling_mode_cls_token": true)");
  EXPECT_THAT(kinds(), ElementsAre(PoolingKind::max));
  EXPECT_THAT(heard_.sentences, ElementsAre(HasSubstr("differ; the first was used")));
  heard_.sentences.clear();
  pooling("");
  EXPECT_THAT(kinds(), ElementsAre(PoolingKind::mean));
  EXPECT_THAT(heard_.sentences, ElementsAre(HasSubstr("names no pooling mode; mean was assumed")));
}

TEST_F(SentenceModulesTest, BadPoolingsAreNamed) {
  modules({kTransformer, kPooling});
  EXPECT_THAT(error_of(ErrorCode::not_found), HasSubstr("1_Pooling/config.json"));
  pooling(R"("pooling_mode": "median")");
  EXPECT_THAT(error_of(ErrorCode::unsupported), HasSubstr("\"median\" is unknown; expected cls, max"));
  pooling(R"("pooling_mode": [])");
  EXPECT_THAT(error_of(), HasSubstr("\"pooling_mode\" is empty"));
  pooling(R"("pooling_mode": 3)");
  EXPECT_THAT(error_of(), HasSubstr("expected a list of strings"));
  pooling(R"("pooling_mode_cls_token": 1)");
  EXPECT_THAT(error_of(), HasSubstr("\"pooling_mode_cls_token\" is 1"));
  file("1_Pooling/config.json", "{}");
  EXPECT_THAT(error_of(), HasSubstr("\"word_embedding_dimension\" is missing"));
  pooling(R"("zeta": 1, "pooling_mode": "cls")");
  EXPECT_THAT(error_of(ErrorCode::unsupported), HasSubstr("\"zeta\" is not honoured"));
}

TEST_F(SentenceModulesTest, DenseActivations) {
  modules({kTransformer, kPooling, kDense});
  pooling(R"("pooling_mode": "mean")");
  const std::vector<TensorSpec> tensors{{"linear.weight", Dtype::f16, {2, 4}},
                                        {"linear.bias", Dtype::f16, {2}}};
  for (const auto& [python, expected] :
       std::vector<std::pair<std::string, std::string>>{{"torch.nn.modules.activation.Tanh", "tanh"},
                                                        {"torch.nn.modules.linear.Identity", "linear"},
                                                        {"torch.nn.modules.activation.ReLU", "relu"},
                                                        {"torch.nn.modules.activation.GELU", "gelu"},
                                                        {"torch.nn.modules.activation.Sigmoid", "sigmoid"},
                                                        {"torch.nn.modules.activation.SiLU", "silu"}}) {
    dense(R"({"in_features": 4, "out_features": 2, "activation_function": ")" + python + "\"}", tensors);
    EXPECT_EQ(std::get<DenseSpec>(read().modules.at(1)).activation, expected);
  }
  dense(R"({"in_features": 4, "out_features": 2})", tensors);
  EXPECT_EQ(std::get<DenseSpec>(read().modules.at(1)).activation, "tanh");
  for (const char* refused : {"torch.nn.modules.activation.Softplus", "my.module.Tanh", "os.system"}) {
    dense(std::string(R"({"in_features": 4, "out_features": 2, "activation_function": ")") + refused + "\"}",
          tensors);
    EXPECT_THAT(error_of(ErrorCode::unsupported), HasSubstr(refused));
  }
}

TEST_F(SentenceModulesTest, DenseWithoutBias) {
  modules({kTransformer, kPooling, kDense});
  pooling(R"("pooling_mode": "mean")");
  dense(R"({"in_features": 4, "out_features": 2, "bias": false})", {{"linear.weight", Dtype::f32, {2, 4}}});
  EXPECT_FALSE(std::get<DenseSpec>(read().modules.at(1)).bias);
}

TEST_F(SentenceModulesTest, BadDensesAreNamed) {
  modules({kTransformer, kPooling, kDense});
  pooling(R"("pooling_mode": "mean")");
  const char* config = R"({"in_features": 4, "out_features": 2})";
  const TensorSpec weight{"linear.weight", Dtype::f32, {2, 4}}, bias{"linear.bias", Dtype::f32, {2}};
  file("2_Dense/config.json", config);
  EXPECT_THAT(error_of(ErrorCode::not_found),
              HasSubstr("2_Dense: no model.safetensors or pytorch_model.bin"));
  file("2_Dense/pytorch_model.bin", "x");
  EXPECT_THAT(error_of(),
              HasSubstr("2_Dense/pytorch_model.bin: 1 bytes that begin with neither a zip archive"));
  dense(config, {{"linear.weight", Dtype::f32, {4, 2}}, bias});
  EXPECT_THAT(error_of(), HasSubstr("linear.weight is F32 [4, 2], config.json implies a float [2, 4]"));
  dense(config, {{"linear.weight", Dtype::i8, {2, 4}}, bias});
  EXPECT_THAT(error_of(), HasSubstr("linear.weight is I8"));
  dense(config, {weight});
  EXPECT_THAT(error_of(), HasSubstr("linear.bias is missing"));
  dense(config, {weight, bias, {"linear.extra", Dtype::f32, {1}}});
  EXPECT_THAT(error_of(), HasSubstr("\"linear.extra\" does not belong"));
  const auto refused = [&](const char* more, const char* message, ErrorCode code = ErrorCode::unsupported) {
    dense(std::string(R"({"in_features": 4, "out_features": 2, )") + more + "}", {weight, bias});
    EXPECT_THAT(error_of(code), HasSubstr(message)) << more;
  };
  refused(R"("module_input_name": "image_embeds")", "\"module_input_name\" is \"image_embeds\"");
  refused(R"("module_input_name": "token_embeddings", "module_output_name": "sentence_embedding")",
          "\"module_output_name\" \"sentence_embedding\"");
  refused(R"("module_output_name": "token_embeddings")", "\"module_output_name\" \"token_embeddings\"");
  refused(R"("scale": 2)", "\"scale\" is not honoured");
  refused(R"("dropout": 0.1)",
          "\"dropout\" is not honoured");  // harmless in the model's config.json, but unknown here
  refused(R"("use_residual": true)", "residual.weight is missing", ErrorCode::format);
  refused(R"("use_residual": "yes")", "\"use_residual\" is \"yes\"", ErrorCode::format);
  refused(R"("activation_function": null)", "\"activation_function\"", ErrorCode::format);
}

TEST_F(SentenceModulesTest, DenseWithAResidual) {
  modules({kTransformer, kPooling, kDense});
  pooling(R"("pooling_mode": "mean")");
  const TensorSpec weight{"linear.weight", Dtype::f32, {2, 4}}, bias{"linear.bias", Dtype::f32, {2}};
  dense(R"({"in_features": 4, "out_features": 2, "use_residual": true})",
        {weight, bias, {"residual.weight", Dtype::f32, {2, 4}}});
  const SentenceModules wide = read();
  const auto& other_width = std::get<DenseSpec>(wide.modules.at(1));
  EXPECT_TRUE(other_width.use_residual);
  ASSERT_TRUE(other_width.residual);
  EXPECT_EQ(other_width.residual->shape, (Shape{2, 4}));
  dense(R"({"in_features": 4, "out_features": 2})", {weight, bias, {"residual.weight", Dtype::f32, {2, 4}}});
  EXPECT_THAT(error_of(), HasSubstr("\"residual.weight\" does not belong"));
  dense(R"({"in_features": 2, "out_features": 2, "use_residual": true})",
        {{"linear.weight", Dtype::f32, {2, 2}}, bias});
  const SentenceModules square = read();
  EXPECT_TRUE(std::get<DenseSpec>(square.modules.at(1)).use_residual);
  EXPECT_FALSE(std::get<DenseSpec>(square.modules.at(1)).residual) << "the input itself is added";
}

TEST_F(SentenceModulesTest, ModulesOfTokenVectorsStandBeforeThePooling) {
  constexpr const char* kTokens = R"({"module_input_name": "token_embeddings"})";
  pooling(R"("pooling_mode": "mean")");
  file("3_Normalize/config.json", kTokens);
  modules({kTransformer, kNormalize, kPooling});
  const SentenceModules before = read();
  ASSERT_EQ(before.modules.size(), 2u);
  EXPECT_TRUE(std::holds_alternative<NormalizeSpec>(before.modules[0]));
  EXPECT_THAT(before.files, testing::Contains("3_Normalize/config.json"));
  modules({kTransformer, kPooling, kNormalize});  // after the Pooling there are no token vectors
  const SentenceModules after = read();
  EXPECT_EQ(after.modules.size(), 1u);
  EXPECT_THAT(after.files, testing::Contains("3_Normalize/config.json"));
  for (const auto& [text, message] : std::vector<std::pair<std::string, std::string>>{
           {R"({"module_input_name": "scores"})", "\"module_input_name\" is \"scores\""},
           {R"({"p": 1})", "\"p\" is not honoured"}}) {
    file("3_Normalize/config.json", text);
    EXPECT_THAT(error_of(ErrorCode::unsupported), HasSubstr(message));
  }
}

// Modules run in order, so that a Dense may change the width that is pooled.
TEST_F(SentenceModulesTest, ADenseOfTokenVectorsIsReadBeforeThePooling) {
  pooling(R"("pooling_mode": "mean")");
  dense(R"({"in_features": 8, "out_features": 4, "module_input_name": "token_embeddings", "bias": false})",
        {{"linear.weight", Dtype::f32, {4, 8}}});
  modules({kTransformer, kDense, kPooling});
  EXPECT_TRUE(std::holds_alternative<DenseSpec>(read().modules.at(0)));
}

TEST_F(SentenceModulesTest, OtherModulesAndOrdersAreRefused) {
  pooling(R"("pooling_mode": "mean")");
  const auto refused = [&](const std::vector<std::string>& list, const char* message, ErrorCode code) {
    modules(list);
    EXPECT_THAT(error_of(code), HasSubstr(message));
  };
  refused({kTransformer, kPooling, R"({"path": "2_LSTM", "type": "sentence_transformers.models.LSTM"})"},
          "\"sentence_transformers.models.LSTM\" is not implemented", ErrorCode::unsupported);
  refused({R"({"path": "", "type": "my_code.Transformer"})"}, "\"my_code.Transformer\"",
          ErrorCode::unsupported);
  refused({kTransformer, kNormalize}, "a Normalize of the sentence_embedding before the Pooling",
          ErrorCode::unsupported);
  refused({kPooling, kTransformer}, "a Pooling, expected it once", ErrorCode::format);
  refused({kTransformer, kPooling, kPooling}, "a Pooling, expected it once", ErrorCode::format);
  refused({kTransformer, kTransformer}, "a Transformer, expected it once", ErrorCode::format);
  refused({kTransformer}, "has no Pooling", ErrorCode::format);
  refused({}, "has no Pooling", ErrorCode::format);
  refused({"7"}, "module 0: found 7", ErrorCode::format);
  refused({R"({"path": ""})"}, "\"type\" is missing", ErrorCode::format);
  for (const char* path : {"../other", "/etc", "1_Pooling/../../x"}) {
    const auto at_path = [&](const char* kind) {
      return fmt::format(R"({{"type": "sentence_transformers.models.{}", "path": "{}"}})", kind, path);
    };
    refused({kTransformer, at_path("Pooling")}, "expected a folder inside the model's", ErrorCode::format);
    refused({at_path("Transformer")}, "expected a folder inside the model's", ErrorCode::format);
  }
  file("modules.json", "{}");
  EXPECT_THAT(error_of(), HasSubstr("expected a list of modules"));
}

TEST_F(SentenceModulesTest, ATransformerMayHaveAFolderOfItsOwn) {
  pooling(R"("pooling_mode": "mean")");
  for (const char* path : {"0_Transformer", "0_Transformer/", "./0_Transformer"}) {
    modules({fmt::format(R"({{"path": "{}", "type": "sentence_transformers.models.Transformer"}})", path),
             kPooling});
    file("sentence_bert_config.json", R"({"max_seq_length": 7})");  // outside the transformer's folder
    file("0_Transformer/sentence_bert_config.json", R"({"max_seq_length": 11})");
    const SentenceModules read_ones = read();
    EXPECT_EQ(read_ones.transformer, "0_Transformer") << path;
    EXPECT_EQ(read_ones.max_seq_length, 11) << path;
    EXPECT_EQ(transformer_path(folder_.path()), "0_Transformer") << path;
  }
  for (const char* path : {"", "."}) {
    modules({fmt::format(R"({{"path": "{}", "type": "sentence_transformers.models.Transformer"}})", path),
             kPooling});
    EXPECT_EQ(read().max_seq_length, 7) << path;
    EXPECT_EQ(transformer_path(folder_.path()), "") << path;
  }
}

TEST_F(SentenceModulesTest, DropoutDoesNothing) {
  pooling(R"("pooling_mode": "mean")");
  modules(
      {kTransformer, kPooling, R"({"path": "2_Dropout", "type": "sentence_transformers.models.Dropout"})"});
  EXPECT_EQ(read().modules.size(), 1u);
  file("2_Dropout/config.json", R"({"dropout": 0.2})");
  EXPECT_THAT(read().files, testing::Contains("2_Dropout/config.json"));
  file("2_Dropout/config.json", R"({"keep": 0.2})");
  EXPECT_THAT(error_of(ErrorCode::unsupported), HasSubstr("\"keep\" is not honoured"));
}

// Without modules.json, sentence-transformers builds its default modules and does not read the file.
TEST_F(SentenceModulesTest, TextSettingsWithoutModulesAreNotRead) {
  file("sentence_bert_config.json", R"({"max_seq_length": 17, "do_lower_case": true, "zeta": 1})");
  const SentenceModules plain = read();
  EXPECT_EQ(plain.max_seq_length, std::nullopt);
  EXPECT_FALSE(plain.do_lower_case);
  EXPECT_THAT(heard_.sentences, testing::Contains(HasSubstr("sentence_bert_config.json: ignored")));
}

TEST_F(SentenceModulesTest, TextSettings) {
  modules({kTransformer, kPooling});
  pooling(R"("pooling_mode": "mean")");
  file("sentence_roberta_config.json", R"({"max_seq_length": 128})");
  EXPECT_EQ(read().max_seq_length, 128);
  file("sentence_bert_config.json", R"({"max_seq_length": 128, "query_length": null})");
  EXPECT_EQ(read().max_seq_length, 128);
  EXPECT_THAT(heard_.sentences, IsEmpty());
  file("sentence_bert_config.json", R"({"max_seq_length": null, "tokenizer_args": {"model_max_length": 64},
                                        "model_args": {"torch_dtype": "float16"}})");
  EXPECT_EQ(read().max_seq_length, 64);
  for (const auto& [text, message] : std::vector<std::pair<std::string, std::string>>{
           {R"({"transformer_task": "fill-mask"})", "\"transformer_task\" is \"fill-mask\""},
           {R"({"module_output_name": "sentence_embedding"})", "\"module_output_name\""},
           {R"({"processing_kwargs": {"text": {"padding": true}}})", "\"processing_kwargs\""},
           {R"({"config_kwargs": {"is_decoder": true}})", "\"is_decoder\" is not honoured"},
           {R"({"processor_kwargs": {"padding_side": "left"}})", "\"padding_side\" is not honoured"},
           {R"({"modality_config": {"text": {"method": "get_text_features"}}})", "\"method\""},
           {R"({"modality_config": {"text": {"method": "forward", "zeta": 1}}})", "\"zeta\" is not honoured"},
           {R"({"zeta": 1})", "\"zeta\" is not honoured"},
           {R"({"max_length": 64})", "\"max_length\" is not honoured"},
           {R"({"query_length": 32})", "\"query_length\" is 32"},
           {R"({"query_expansion": {"length": 32}})", "\"query_expansion\" is"},
       }) {
    file("sentence_bert_config.json", text);
    EXPECT_THAT(error_of(ErrorCode::unsupported), HasSubstr(message));
  }
  file("sentence_bert_config.json", R"({"max_seq_length": 0})");
  EXPECT_THAT(error_of(), HasSubstr("\"max_seq_length\" is 0, expected a positive integer"));
}

TEST_F(SentenceModulesTest, PromptsAndSimilarity) {
  file("config_sentence_transformers.json",
       R"({"prompts": {"q": "Query: ", "none": null}, "similarity_fn_name": null})");
  const SentenceModules some = read();
  EXPECT_EQ(some.prompts.at("q"), "Query: ");
  EXPECT_EQ(some.prompts.at("none"), "");
  EXPECT_EQ(some.similarity, Similarity::cosine);
  file("config_sentence_transformers.json", R"({"prompts": {"q": 1}})");
  EXPECT_THAT(error_of(), HasSubstr("\"prompts\": \"q\" is 1, expected a string"));
  file("config_sentence_transformers.json", R"({"prompts": {}, "default_prompt_name": "q"})");
  EXPECT_THAT(error_of(), HasSubstr("\"default_prompt_name\" is \"q\", which \"prompts\" does not have"));
  file("config_sentence_transformers.json", R"({"similarity_fn_name": "hamming"})");
  EXPECT_THAT(error_of(ErrorCode::unsupported), HasSubstr("\"similarity_fn_name\" is \"hamming\""));
  for (const auto& [written, expected] :
       {std::pair("128", std::optional<int64_t>(128)), {"null", std::nullopt}}) {
    file("config_sentence_transformers.json", fmt::format(R"({{"truncate_dim": {}}})", written));
    EXPECT_EQ(read().truncate_dim, expected);
  }
  for (const char* written : {"0", "-3", "1.5", "\"8\""}) {
    file("config_sentence_transformers.json", fmt::format(R"({{"truncate_dim": {}}})", written));
    EXPECT_THAT(error_of(), HasSubstr("\"truncate_dim\" is "));
  }
}

}  // namespace
}  // namespace mlxe::sentence_modules_test
