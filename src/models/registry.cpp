#include "models/registry.h"

#include <fmt/format.h>

#include <algorithm>
#include <nlohmann/json.hpp>
#include <optional>
#include <string>
#include <utility>

#include "format/json_file.h"
#include "format/static_embedding.h"
#include "mlx_encoder/error.h"
#include "models/albert.h"
#include "models/bart.h"
#include "models/bert.h"
#include "models/config_readers.h"
#include "models/deberta_v2.h"
#include "models/distilbert.h"
#include "models/eurobert.h"
#include "models/gemma3.h"
#include "models/gte.h"
#include "models/jina_bert.h"
#include "models/jina_xlm_roberta.h"
#include "models/masked_heads.h"
#include "models/mobilebert.h"
#include "models/modernbert.h"
#include "models/mpnet.h"
#include "models/nearest_architecture.h"
#include "models/nomic_bert.h"
#include "models/qwen3.h"
#include "models/static_embedding.h"
#include "models/t5.h"

namespace mlxe {
namespace {

constexpr const char* kAlbertPooler = "pooler";

BertConfig bert_config(const Config& c) {
  return {.vocab_size = c.positive("vocab_size"),
          .hidden_size = divisible_width(c, "hidden_size", "num_attention_heads"),
          .layers = c.positive("num_hidden_layers"),
          .heads = c.positive("num_attention_heads"),
          .intermediate_size = c.positive("intermediate_size"),
          .max_positions = c.positive("max_position_embeddings"),
          .type_vocab_size = c.positive_or("type_vocab_size", 2),
          .layer_norm_epsilon = static_cast<float>(c.non_negative_number_or("layer_norm_eps", 1e-12)),
          .activation = read_activation(c, "hidden_act", "gelu")};
}

Model make_bert(const Config& c) {
  return {.plan = bert(bert_config(c))};
}

Model make_roberta(const Config& c) {
  const BertConfig config = bert_config(c);
  return {.plan = roberta(config, padding_before_positions(c, config.max_positions))};
}

Model make_electra(const Config& c) {
  c.harmless({"summary_activation", "summary_last_dropout", "summary_type",
              "summary_use_proj"});  // of multiple choice
  BertConfig config = bert_config(c);
  config.embedding_size = c.positive_or("embedding_size", 128);
  return {.plan = bert(config)};
}

Model make_albert(const Config& c) {
  // in published files, never read by transformers
  c.harmless({"down_scale_factor", "gap_size", "layers_to_keep", "net_structure_type", "num_memory_blocks"});
  BertConfig config = bert_config(c);
  config.embedding_size = c.positive_or("embedding_size", 128);
  config.activation = read_activation(c, "hidden_act", "gelu_new");
  const AlbertSharing sharing{.groups = c.positive_or("num_hidden_groups", 1),
                              .inner_layers = c.positive_or("inner_group_num", 1)};
  if (sharing.groups > config.layers)
    throw Error(ErrorCode::format,
                c.where() + ": \"num_hidden_groups\" is " + std::to_string(sharing.groups) +
                    ", expected at most \"num_hidden_layers\" " + std::to_string(config.layers) +
                    "; a group without layers is never used");
  return {.plan = albert(config, sharing)};
}

Model make_distilbert(const Config& c) {
  c.harmless({"sinusoidal_pos_embds"});  // says how the stored table was made
  return {.plan = distilbert({.vocab_size = c.positive("vocab_size"),
                              .dim = divisible_width(c, "dim", "n_heads"),
                              .layers = c.positive("n_layers"),
                              .heads = c.positive("n_heads"),
                              .hidden_dim = c.positive("hidden_dim"),
                              .max_positions = c.positive("max_position_embeddings"),
                              .activation = read_activation(c, "activation", "gelu")})};
}

Model make_mpnet(const Config& c) {
  const int64_t rows = c.positive_or("relative_attention_num_buckets", kMPNetBuckets);
  if (rows < kMPNetBuckets)
    throw Error(ErrorCode::format, c.where() + ": \"relative_attention_num_buckets\" is " +
                                       std::to_string(rows) + ", expected at least " +
                                       std::to_string(kMPNetBuckets) +
                                       ", which the architecture always uses");
  return {.plan = mpnet(bert_config(c), rows)};
}

Model make_static_embedding(const Config& c) {
  return {.plan = static_embedding(c.positive("vocab_size"), c.positive("hidden_size"))};
}

SequenceClassifier bert_classifier(const Config&) {
  return {.transform = {kPoolerDense, Activation::tanh}, .out = "classifier"};
}

SequenceClassifier albert_classifier(const Config&) {
  return {.transform = {kAlbertPooler, Activation::tanh}, .out = "classifier"};
}

SequenceClassifier roberta_classifier(const Config&) {
  return {.transform = {"classifier.dense", Activation::tanh}, .out = "classifier.out_proj"};
}

SequenceClassifier electra_classifier(const Config&) {
  return {.transform = {"classifier.dense", Activation::gelu_erf}, .out = "classifier.out_proj"};
}

// The "sequence summary" of the first token. Errors: unsupported (another one).
SequenceClassifier electra_chooser(const Config& c) {
  constexpr const char* kOther =
      "only a summary of the first token with a matrix of the model's width is computed";
  c.reject_unless("summary_type", {"first"}, kOther);
  c.reject_unless("summary_use_proj", {true}, kOther);
  const bool without = c.json().contains("summary_activation") && !c.has("summary_activation");
  return {.transform = {"sequence_summary.summary",
                        without ? Activation::identity : read_activation(c, "summary_activation", "gelu")},
          .out = "classifier"};
}

SequenceClassifier distilbert_classifier(const Config&) {
  return {.transform = {"pre_classifier", Activation::relu}, .out = "classifier"};
}

SequenceClassifier bart_classifier(const Config&) {
  return {.transform = {"classification_head.dense", Activation::tanh},
          .out = "classification_head.out_proj",
          .reads_end = true};
}

SequenceClassifier qwen3_classifier(const Config&) {
  return {.out = "score", .out_bias = Bias::no, .pooling = PoolingKind::last_token};
}

// One matrix, which a file holds under one of three names or several.
constexpr ModuleAlias kBartWords{.module = "shared",
                                 .others = {"encoder.embed_tokens", "decoder.embed_tokens"}};

// Models that were published with Python code of their own.
constexpr std::string_view kOwnCode[] = {"auto_map"};
constexpr std::string_view kOwnCodeAndPositions[] = {"auto_map", "position_embedding_type"};
constexpr std::string_view kEncoderDecoder[] = {"is_encoder_decoder"};

constexpr const char* kJinaBert = "jina_bert";
constexpr const char* kJinaXlmRoberta = "jina_embeddings_v3";

constexpr Architecture kArchitectures[] = {
    {.model_type = "bert",
     .base_prefix = "bert",
     .make = make_bert,
     .proved_with = "all-MiniLM-L6-v2",
     .sequence_classification = "BertForSequenceClassification",
     .classifier = bert_classifier,
     .token_classification = "BertForTokenClassification",
     .question_answering = "BertForQuestionAnswering",
     .multiple_choice = "BertForMultipleChoice",
     .chooser = bert_classifier,
     .masked_head = bert_masked_head},
    {.model_type = "distilbert",
     .base_prefix = "distilbert",
     .make = make_distilbert,
     .proved_with = "a fine-tuned NLI classifier",
     .sequence_classification = "DistilBertForSequenceClassification",
     .classifier = distilbert_classifier,
     .token_classification = "DistilBertForTokenClassification",
     .question_answering = "DistilBertForQuestionAnswering",
     .multiple_choice = "DistilBertForMultipleChoice",
     .chooser = distilbert_classifier,
     .masked_head = distilbert_masked_head},
    {.model_type = "roberta",
     .base_prefix = "roberta",
     .make = make_roberta,
     .proved_with = "tests/data/tiny/roberta",
     .sequence_classification = "RobertaForSequenceClassification",
     .classifier = roberta_classifier,
     .token_classification = "RobertaForTokenClassification",
     .question_answering = "RobertaForQuestionAnswering",
     .multiple_choice = "RobertaForMultipleChoice",
     .chooser = bert_classifier,
     .masked_head = roberta_masked_head},
    {.model_type = "xlm-roberta",
     .base_prefix = "roberta",
     .make = make_roberta,
     .proved_with = "tests/data/tiny/xlm_roberta",
     .sequence_classification = "XLMRobertaForSequenceClassification",
     .classifier = roberta_classifier,
     .token_classification = "XLMRobertaForTokenClassification",
     .question_answering = "XLMRobertaForQuestionAnswering",
     .multiple_choice = "XLMRobertaForMultipleChoice",
     .chooser = bert_classifier,
     .masked_head = roberta_masked_head},
    // mlx-embeddings spells it with an underscore
    {.model_type = "xlm_roberta",
     .base_prefix = "roberta",
     .make = make_roberta,
     .proved_with = "tests/data/tiny/xlm_roberta",
     .sequence_classification = "XLMRobertaForSequenceClassification",
     .classifier = roberta_classifier,
     .token_classification = "XLMRobertaForTokenClassification",
     .question_answering = "XLMRobertaForQuestionAnswering",
     .multiple_choice = "XLMRobertaForMultipleChoice",
     .chooser = bert_classifier,
     .masked_head = roberta_masked_head},
    {.model_type = "camembert",
     .base_prefix = "roberta",
     .make = make_roberta,
     .proved_with = "tests/data/tiny/camembert_ner",
     .sequence_classification = "CamembertForSequenceClassification",
     .classifier = roberta_classifier,
     .token_classification = "CamembertForTokenClassification",
     .question_answering = "CamembertForQuestionAnswering",
     .multiple_choice = "CamembertForMultipleChoice",
     .chooser = bert_classifier,
     .masked_head = roberta_masked_head},
    {.model_type = "electra",
     .base_prefix = "electra",
     .make = make_electra,
     .proved_with = "tests/data/tiny/electra",
     .sequence_classification = "ElectraForSequenceClassification",
     .classifier = electra_classifier,
     .token_classification = "ElectraForTokenClassification",
     .question_answering = "ElectraForQuestionAnswering",
     .multiple_choice = "ElectraForMultipleChoice",
     .chooser = electra_chooser,
     .masked_head = electra_masked_head},
    {.model_type = "albert",
     .base_prefix = "albert",
     .make = make_albert,
     .proved_with = "tests/data/tiny/albert",
     .sequence_classification = "AlbertForSequenceClassification",
     .classifier = albert_classifier,
     .token_classification = "AlbertForTokenClassification",
     .question_answering = "AlbertForQuestionAnswering",
     .multiple_choice = "AlbertForMultipleChoice",
     .chooser = albert_classifier,
     .masked_head = albert_masked_head,
     .pooler = kAlbertPooler},
    {.model_type = "mpnet",
     .base_prefix = "mpnet",
     .make = make_mpnet,
     .proved_with = "tests/data/tiny/mpnet",
     .sequence_classification = "MPNetForSequenceClassification",
     .classifier = roberta_classifier,
     .token_classification = "MPNetForTokenClassification",
     .question_answering = "MPNetForQuestionAnswering",
     .multiple_choice = "MPNetForMultipleChoice",
     .chooser = bert_classifier,
     .masked_head = roberta_masked_head},
    {.model_type = "mobilebert",
     .base_prefix = "mobilebert",
     .make = make_mobilebert,
     .proved_with = "tests/data/tiny/mobilebert",
     .sequence_classification = "MobileBertForSequenceClassification",
     .classifier = bert_classifier,
     .token_classification = "MobileBertForTokenClassification",
     .question_answering = "MobileBertForQuestionAnswering",
     .multiple_choice = "MobileBertForMultipleChoice",
     .chooser = bert_classifier,
     .masked_head = mobilebert_masked_head},
    {.model_type = "modernbert",
     .base_prefix = "model",
     .make = make_modernbert,
     .proved_with = "tests/data/tiny/modernbert",
     .sequence_classification = "ModernBertForSequenceClassification",
     .classifier = modernbert_classifier,
     .token_classification = "ModernBertForTokenClassification",
     .question_answering = "ModernBertForQuestionAnswering",
     .span_module = "classifier",
     .token_transform = modernbert_transform,
     .multiple_choice = "ModernBertForMultipleChoice",
     .chooser = modernbert_classifier,
     .masked_head = modernbert_masked_head},
    {.model_type = "deberta",
     .base_prefix = "deberta",
     .make = make_deberta,
     .proved_with = "tests/data/tiny/deberta",
     .sequence_classification = "DebertaForSequenceClassification",
     .classifier = deberta_v2_classifier,
     .token_classification = "DebertaForTokenClassification",
     .question_answering = "DebertaForQuestionAnswering",
     .masked_head = deberta_masked_head,
     .pooler = nullptr},
    {.model_type = "deberta-v2",
     .base_prefix = "deberta",
     .make = make_deberta_v2,
     .proved_with = "tests/data/tiny/deberta_v2",
     .sequence_classification = "DebertaV2ForSequenceClassification",
     .classifier = deberta_v2_classifier,
     .token_classification = "DebertaV2ForTokenClassification",
     .question_answering = "DebertaV2ForQuestionAnswering",
     .multiple_choice = "DebertaV2ForMultipleChoice",
     .chooser = deberta_v2_classifier,
     .masked_head = deberta_masked_head,
     .pooler = nullptr},
    {.model_type = "qwen3",
     .base_prefix = "model",
     .make = make_qwen3,
     .proved_with = "tests/data/tiny/qwen3",
     .sequence_classification = "Qwen3ForSequenceClassification",
     .classifier = qwen3_classifier,
     .language_model = "Qwen3ForCausalLM",
     .pooler = nullptr},
    {.model_type = "gemma3_text",
     .base_prefix = "model",
     .make = make_gemma3,
     .proved_with = "tests/data/tiny/gemma3"},
    {.model_type = "t5",
     .base_prefix = "transformer",
     .make = make_t5,
     .proved_with = "tests/data/tiny/t5",
     .own_keys = kEncoderDecoder,
     .alias = {.module = kT5Words, .others = {"encoder.embed_tokens"}}},
    {.model_type = "eurobert",
     .base_prefix = "model",
     .make = make_eurobert,
     .proved_with = "tests/data/tiny/eurobert",
     .sequence_classification = "EuroBertForSequenceClassification",
     .classifier = eurobert_classifier,
     .token_classification = "EuroBertForTokenClassification",
     .masked_head = eurobert_masked_head,
     .own_keys = kOwnCode},
    {.model_type = "nomic_bert",
     .base_prefix = "nomic_bert",
     .make = make_nomic_bert,
     .proved_with = "tests/data/tiny/nomic_bert",
     .sequence_classification = "NomicBertForSequenceClassification",
     .classifier = bert_classifier,
     .token_classification = "NomicBertForTokenClassification",
     .masked_head = nomic_bert_masked_head,
     .own_keys = kOwnCode},
    {.model_type = "new",
     .base_prefix = "new",
     .make = make_gte,
     .proved_with = "tests/data/tiny/new",
     .sequence_classification = "NewForSequenceClassification",
     .classifier = bert_classifier,
     .token_classification = "NewForTokenClassification",
     .question_answering = "NewForQuestionAnswering",
     .multiple_choice = "NewForMultipleChoice",
     .chooser = bert_classifier,
     .masked_head = gte_masked_head,
     .own_keys = kOwnCodeAndPositions},
    {.model_type = "gte",
     .base_prefix = "gte",
     .make = make_gte,
     .proved_with = "tests/data/tiny/gte_ner",
     .sequence_classification = "GteForSequenceClassification",
     .classifier = bert_classifier,
     .token_classification = "GteForTokenClassification",
     .masked_head = gte_masked_head,
     .own_keys = kOwnCodeAndPositions},
    {.model_type = kJinaBert,
     .base_prefix = "bert",
     .make = make_jina_bert,
     .proved_with = "tests/data/tiny/jina_bert",
     .sequence_classification = "JinaBertForSequenceClassification",
     .classifier = bert_classifier,
     .token_classification = "JinaBertForTokenClassification",
     .question_answering = "JinaBertForQuestionAnswering",
     .multiple_choice = "JinaBertForMultipleChoice",
     .chooser = bert_classifier,
     .own_keys = kOwnCodeAndPositions},
    {.model_type = kJinaXlmRoberta,
     .base_prefix = "roberta",
     .make = make_jina_xlm_roberta,
     .proved_with = "tests/data/tiny/jina_v3",
     .sequence_classification = "JinaEmbeddingsV3ForSequenceClassification",
     .classifier = roberta_classifier,
     .token_classification = "JinaEmbeddingsV3ForTokenClassification",
     .question_answering = "JinaEmbeddingsV3ForQuestionAnswering",
     .masked_head = roberta_masked_head,
     .authors_classes = "XLMRoberta",
     .own_keys = kOwnCodeAndPositions},
    {.model_type = "bart",
     .base_prefix = "model",
     .make = make_bart,
     .proved_with = "tests/data/tiny/bart_cls",
     .sequence_classification = "BartForSequenceClassification",
     .classifier = bart_classifier,
     .default_labels = 3,
     .question_answering = "BartForQuestionAnswering",
     .pooler = nullptr,
     .own_keys = kEncoderDecoder,
     .alias = kBartWords},
    {.model_type = "mbart",
     .base_prefix = "model",
     .make = make_mbart,
     .proved_with = "tests/data/tiny/mbart_cls",
     .sequence_classification = "MBartForSequenceClassification",
     .classifier = bart_classifier,
     .question_answering = "MBartForQuestionAnswering",
     .pooler = nullptr,
     .own_keys = kEncoderDecoder,
     .alias = kBartWords},
    {.model_type = kStaticModelType,
     .base_prefix = "",
     .make = make_static_embedding,
     .proved_with = "tests/data/encoder_routers/static",
     .pooler = nullptr},
};

ProblemType problem_type(const Config& c) {
  const std::string text = c.get_or<std::string>("problem_type", "");
  if (text == "regression") return ProblemType::regression;
  if (text == "multi_label_classification") return ProblemType::multi_label;
  if (text.empty() || text == "single_label_classification") return ProblemType::single_label;
  throw Error(
      ErrorCode::unsupported,
      c.where() + ": \"problem_type\" is \"" + text +
          "\"; this version knows regression, single_label_classification and multi_label_classification");
}

enum class Head { none, sequence_classifier, token_classifier, question_answering, multiple_choice };

// A head that an architecture may have. `name` is the class, null if it is not computed; `ending` that of such classes.
struct HeadClass {
  Head head;
  const char* name;
  std::string_view ending;
};

std::vector<HeadClass> head_classes(const Architecture& a) {
  std::vector<HeadClass> all{
      {Head::sequence_classifier, a.sequence_classification, "ForSequenceClassification"},
      {Head::token_classifier, a.token_classification, "ForTokenClassification"},
      {Head::question_answering, a.question_answering, "ForQuestionAnswering"},
      {Head::multiple_choice, a.multiple_choice, "ForMultipleChoice"}};
  std::erase_if(all, [](const HeadClass& c) { return c.name == nullptr; });
  return all;
}

// "architectures" as a list: a single string counts, an absent or null one is empty.
std::vector<std::string> class_names(const Config& config) {
  if (!config.has("architectures")) return {};
  if (config.json().at("architectures").is_string()) return {config.get<std::string>("architectures")};
  return config.get<std::vector<std::string>>("architectures");
}

// A class that transformers has for some head or none: "BertModel", "RobertaForMaskedLM".
bool is_transformers_class(std::string_view name) {
  for (const std::string_view family :
       {"Bert",       "DistilBert", "Roberta",    "XLMRoberta",      "Camembert", "Electra", "Albert",
        "MPNet",      "MobileBert", "ModernBert", "Deberta",         "DebertaV2", "Qwen3",   "Gemma3",
        "Gemma3Text", "T5",         "T5Encoder",  "EuroBert",        "NomicBert", "New",     "Gte",
        "JinaBert",   "Bart",       "MBart",      "JinaEmbeddingsV3"})
    if (name.starts_with(family) &&
        (name.substr(family.size()) == "Model" || name.substr(family.size()).starts_with("For")))
      return true;
  return false;
}

// The head whose tensors the checkpoint has. Those of multiple choice may be those of a classifier with one class.
Head head_of_weights(const Checkpoint& checkpoint, const Architecture& architecture) {
  const SequenceClassifier sequence = architecture.classifier(checkpoint.config());
  const std::string& dense = sequence.transform.dense;
  if ((dense.empty() || checkpoint.has(dense + ".weight")) && checkpoint.has(sequence.out + ".weight"))
    return Head::sequence_classifier;
  if (architecture.question_answering != nullptr && checkpoint.has(std::string(kSpanModule) + ".weight"))
    return Head::question_answering;
  return architecture.token_classification != nullptr && checkpoint.has("classifier.weight")
             ? Head::token_classifier
             : Head::none;
}

// What "architectures" names; transformers itself goes by the class it is asked for. So a class of another
// model (RobertaForSequenceClassification of an xlm-roberta) counts by its ending, and where no class of
// transformers is named, the tensors decide. Both are said.
Head find_head(const Checkpoint& checkpoint, const Architecture& architecture, const Warning& warn) {
  if (architecture.classifier == nullptr) return Head::none;
  const Config& config = checkpoint.config();
  const std::vector<std::string> names = class_names(config);
  const std::vector<HeadClass> classes = head_classes(architecture);
  const auto note = [&](Head head, const std::string& why) {
    if (const auto read = std::ranges::find(classes, head, &HeadClass::head); warn && read != classes.end())
      warn(config.where() + ": " + why + "; its weights are read as " + read->name);
    return head;
  };
  for (const std::string& name : names)
    for (const HeadClass& c : classes)
      if (name == c.name || (architecture.authors_classes != nullptr &&
                             name == fmt::format("{}{}", architecture.authors_classes, c.ending)))
        return c.head;
  for (const std::string& name : names)
    for (const HeadClass& c : classes)
      if (name.ends_with(c.ending))
        return note(c.head, "\"architectures\" names " + printable(name) + ", no class of a " +
                                architecture.model_type);
  if (std::ranges::any_of(names, is_transformers_class)) return Head::none;
  return note(head_of_weights(checkpoint, architecture),
              names.empty()
                  ? "\"architectures\" names no class"
                  : "\"architectures\" names " + printable(names[0]) + ", no class of transformers");
}

// The tokens of a language model that is a reranker.
std::optional<AnswerTokens> answers_of(const Checkpoint& checkpoint, const Architecture& architecture) {
  if (architecture.language_model == nullptr) return std::nullopt;
  const std::vector<std::string> classes = class_names(checkpoint.config());
  if (classes.empty() || classes[0] != architecture.language_model) return std::nullopt;
  auto tokens = find_answer_tokens(checkpoint.folder());
  const int64_t words = checkpoint.config().positive("vocab_size");
  if (tokens && std::max(tokens->yes, tokens->no.value_or(0)) >= words)
    throw Error(ErrorCode::format,
                fmt::format("{}: the answers are the tokens {} and {}, expected ids below \"vocab_size\" {}",
                            checkpoint.folder().string(), tokens->yes, tokens->no.value_or(0), words));
  return tokens;
}

}  // namespace

std::span<const Architecture> architectures() noexcept {
  return kArchitectures;
}

const Architecture& find_architecture(const Config& config) {
  std::string type = config.get<std::string>("model_type");
  // as Jina publishes them
  if (type == "bert" && has_alibi(config)) type = kJinaBert;
  if (type == "xlm-roberta" && is_jina_xlm_roberta(config)) type = kJinaXlmRoberta;
  std::string known;
  for (const Architecture& a : kArchitectures) {
    if (type == a.model_type) return a;
    known += (known.empty() ? "" : ", ") + std::string(a.model_type);
  }
  throw Error(ErrorCode::unsupported, fmt::format("{}: \"model_type\" is {}; this version knows {}",
                                                  config.where(), printable(type), known));
}

const Architecture& find_architecture(Checkpoint& checkpoint) {
  try {
    return find_architecture(checkpoint.config());
  } catch (const Error& error) {
    if (error.code() != ErrorCode::unsupported) throw;
    throw Error(error.code(), fmt::format("{}; {}", error.what(), nearest_architecture(checkpoint)));
  }
}

Model make_model(Checkpoint& checkpoint, const Warning& warn) {
  const Config& config = checkpoint.config();
  const Architecture& architecture = find_architecture(checkpoint);
  checkpoint.canonicalize(architecture.base_prefix, architecture.alias);
  checkpoint.merge_adapters();
  if (const std::string& prefix = checkpoint.foreign_prefix(); warn && !prefix.empty())
    warn(fmt::format(
        "{}: the weights' names begin with {}, as of a model saved inside another; read without it",
        checkpoint.folder().string(), printable(prefix)));
  config.reject_unsupported(architecture.own_keys);

  Model model = architecture.make(config);
  model.model_type = architecture.model_type;
  model.is_language_model = architecture.language_model != nullptr;
  PlanBuilder heads(std::move(model.plan));
  const Head head = find_head(checkpoint, architecture, warn);
  std::optional<SequenceClassifier> of_text;
  if (head == Head::sequence_classifier) of_text = architecture.classifier(config);
  if (head == Head::multiple_choice) of_text = architecture.chooser(config);
  const auto of_token = [&] {
    return architecture.token_transform ? std::optional(architecture.token_transform(config)) : std::nullopt;
  };
  const std::string pooler = architecture.pooler == nullptr ? "" : architecture.pooler;
  const bool head_reads_it = of_text && of_text->transform.dense == pooler;
  if (checkpoint.has(pooler + ".weight") && !head_reads_it) add_pooler(heads, pooler);
  switch (head) {
    case Head::sequence_classifier:
      model.labels = config.labels(warn, architecture.default_labels);
      model.problem_type = problem_type(config);
      add_classifier(heads, *of_text, static_cast<int64_t>(model.labels.size()));
      break;
    case Head::token_classifier:
      model.token_labels = config.labels(warn, architecture.default_labels);
      add_token_classifier(heads, of_token(), static_cast<int64_t>(model.token_labels.size()));
      break;
    case Head::question_answering:
      model.problem_type = ProblemType::regression;
      add_question_answering(heads, of_token(), architecture.span_module);
      break;
    case Head::multiple_choice:
      model.problem_type = ProblemType::regression;
      add_multiple_choice(heads, *of_text);
      break;
    case Head::none:
      if ((model.answers = answers_of(checkpoint, architecture))) {
        model.labels = {"yes"};
        add_answers(heads, *model.answers, config.get_or<bool>("tie_word_embeddings", false));
        break;
      }
      if (architecture.masked_head == nullptr) break;
      model.masked_head = stored_masked_head(architecture.masked_head(config), checkpoint, warn);
      if (model.masked_head) add_masked_language_model(heads, *model.masked_head);
      break;
  }
  if (const std::string weight = std::string(kColbertLinear) + ".weight";
      is_stanford_colbert(config) && checkpoint.has(weight) && checkpoint.stored(weight).shape.size() == 2)
    add_token_vectors(heads, kColbertLinear, checkpoint.stored(weight).shape[0]);
  model.plan = heads.finish();
  config.warn_unknown(warn);
  return model;
}

}  // namespace mlxe
