#include "models/registry.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <nlohmann/json.hpp>
#include <optional>
#include <string>
#include <utility>

#include "format/json_file.h"
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
#include "models/masked_heads.h"
#include "models/mobilebert.h"
#include "models/modernbert.h"
#include "models/mpnet.h"
#include "models/nomic_bert.h"
#include "models/qwen3.h"
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
          .activation =
              parse_activation(c.get_or<std::string>("hidden_act", "gelu"), c.where() + ": \"hidden_act\"")};
}

Model make_bert(const Config& c) {
  return {.plan = bert(bert_config(c))};
}

Model make_roberta(const Config& c) {
  const int64_t pad = c.get_or<int64_t>("pad_token_id", 1);
  const BertConfig config = bert_config(c);
  if (pad < 0 || pad + 1 >= config.max_positions)
    throw Error(ErrorCode::format, c.where() + ": \"pad_token_id\" is " + std::to_string(pad) +
                                       ", which leaves no position of \"max_position_embeddings\" " +
                                       std::to_string(config.max_positions) +
                                       "; positions start at pad_token_id + 1");
  return {.plan = roberta(config, static_cast<int32_t>(pad))};
}

Model make_electra(const Config& c) {
  c.harmless(
      {"summary_activation", "summary_last_dropout", "summary_type", "summary_use_proj"});  // of other heads
  BertConfig config = bert_config(c);
  config.embedding_size = c.positive_or("embedding_size", 128);
  return {.plan = bert(config)};
}

Model make_albert(const Config& c) {
  // in published files, never read by transformers
  c.harmless({"down_scale_factor", "gap_size", "layers_to_keep", "net_structure_type", "num_memory_blocks"});
  BertConfig config = bert_config(c);
  config.embedding_size = c.positive_or("embedding_size", 128);
  config.activation =
      parse_activation(c.get_or<std::string>("hidden_act", "gelu_new"), c.where() + ": \"hidden_act\"");
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
                              .activation = parse_activation(c.get_or<std::string>("activation", "gelu"),
                                                             c.where() + ": \"activation\"")})};
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

SequenceClassifier distilbert_classifier(const Config&) {
  return {.transform = {"pre_classifier", Activation::relu}, .out = "classifier"};
}

SequenceClassifier bart_classifier(const Config&) {
  return {.transform = {"classification_head.dense", Activation::tanh},
          .out = "classification_head.out_proj",
          .reads_end = true};
}

// One matrix, which a file holds under one of three names or several.
constexpr ModuleAlias kBartWords{.module = "shared",
                                 .others = {"encoder.embed_tokens", "decoder.embed_tokens"}};

// Models that were published with Python code of their own.
constexpr std::string_view kOwnCode[] = {"auto_map"};
constexpr std::string_view kOwnCodeAndPositions[] = {"auto_map", "position_embedding_type"};
constexpr std::string_view kEncoderDecoder[] = {"is_encoder_decoder"};

constexpr const char* kJinaBert = "jina_bert";

constexpr std::array<Architecture, 23> kArchitectures{{
    {"bert", "bert", "BertForSequenceClassification", "BertForTokenClassification", make_bert,
     bert_classifier, bert_masked_head, "all-MiniLM-L6-v2"},
    {"distilbert", "distilbert", "DistilBertForSequenceClassification", "DistilBertForTokenClassification",
     make_distilbert, distilbert_classifier, distilbert_masked_head, "a fine-tuned NLI classifier"},
    {"roberta", "roberta", "RobertaForSequenceClassification", "RobertaForTokenClassification", make_roberta,
     roberta_classifier, roberta_masked_head, "tests/data/tiny/roberta"},
    {"xlm-roberta", "roberta", "XLMRobertaForSequenceClassification", "XLMRobertaForTokenClassification",
     make_roberta, roberta_classifier, roberta_masked_head, "tests/data/tiny/xlm_roberta"},
    // mlx-embeddings spells it with an underscore
    {"xlm_roberta", "roberta", "XLMRobertaForSequenceClassification", "XLMRobertaForTokenClassification",
     make_roberta, roberta_classifier, roberta_masked_head, "tests/data/tiny/xlm_roberta"},
    {"camembert", "roberta", "CamembertForSequenceClassification", "CamembertForTokenClassification",
     make_roberta, roberta_classifier, roberta_masked_head, "tests/data/tiny/camembert_ner"},
    {"electra", "electra", "ElectraForSequenceClassification", "ElectraForTokenClassification", make_electra,
     electra_classifier, electra_masked_head, "tests/data/tiny/electra"},
    {"albert",
     "albert",
     "AlbertForSequenceClassification",
     "AlbertForTokenClassification",
     make_albert,
     albert_classifier,
     albert_masked_head,
     "tests/data/tiny/albert",
     nullptr,
     {},
     {},
     kAlbertPooler},
    {"mpnet", "mpnet", "MPNetForSequenceClassification", "MPNetForTokenClassification", make_mpnet,
     roberta_classifier, roberta_masked_head, "tests/data/tiny/mpnet"},
    {"mobilebert", "mobilebert", "MobileBertForSequenceClassification", "MobileBertForTokenClassification",
     make_mobilebert, bert_classifier, nullptr, "tests/data/tiny/mobilebert"},
    {"modernbert", "model", "ModernBertForSequenceClassification", "ModernBertForTokenClassification",
     make_modernbert, modernbert_classifier, modernbert_masked_head, "tests/data/tiny/modernbert",
     modernbert_transform},
    {"deberta",
     "deberta",
     "DebertaForSequenceClassification",
     "DebertaForTokenClassification",
     make_deberta,
     deberta_v2_classifier,
     deberta_masked_head,
     "tests/data/tiny/deberta",
     nullptr,
     {},
     {},
     nullptr},
    {"deberta-v2",
     "deberta",
     "DebertaV2ForSequenceClassification",
     "DebertaV2ForTokenClassification",
     make_deberta_v2,
     deberta_v2_classifier,
     deberta_masked_head,
     "tests/data/tiny/deberta_v2",
     nullptr,
     {},
     {},
     nullptr},
    {"qwen3", "model", nullptr, nullptr, make_qwen3, nullptr, nullptr, "tests/data/tiny/qwen3"},
    {"gemma3_text", "model", nullptr, nullptr, make_gemma3, nullptr, nullptr, "tests/data/tiny/gemma3"},
    {"t5", "transformer", nullptr, nullptr, make_t5, nullptr, nullptr, "tests/data/tiny/t5", nullptr,
     kEncoderDecoder, ModuleAlias{.module = kT5Words, .others = {"encoder.embed_tokens"}}},
    {"eurobert", "model", "EuroBertForSequenceClassification", "EuroBertForTokenClassification",
     make_eurobert, eurobert_classifier, nullptr, "tests/data/tiny/eurobert", nullptr, kOwnCode},
    {"nomic_bert", "nomic_bert", "NomicBertForSequenceClassification", "NomicBertForTokenClassification",
     make_nomic_bert, bert_classifier, nullptr, "tests/data/tiny/nomic_bert", nullptr, kOwnCode},
    {"new", "new", "NewForSequenceClassification", "NewForTokenClassification", make_gte, bert_classifier,
     nullptr, "tests/data/tiny/new", nullptr, kOwnCodeAndPositions},
    {"gte", "gte", "GteForSequenceClassification", "GteForTokenClassification", make_gte, bert_classifier,
     nullptr, "tests/data/tiny/gte_ner", nullptr, kOwnCodeAndPositions},
    {kJinaBert, "bert", "JinaBertForSequenceClassification", "JinaBertForTokenClassification", make_jina_bert,
     bert_classifier, nullptr, "tests/data/tiny/jina_bert", nullptr, kOwnCodeAndPositions},
    {"bart", "model", "BartForSequenceClassification", nullptr, make_bart, bart_classifier, nullptr,
     "tests/data/tiny/bart_cls", nullptr, kEncoderDecoder, kBartWords, nullptr},
    {"mbart", "model", "MBartForSequenceClassification", nullptr, make_mbart, bart_classifier, nullptr,
     "tests/data/tiny/mbart_cls", nullptr, kEncoderDecoder, kBartWords, nullptr},
}};

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

enum class Head { none, sequence_classifier, token_classifier };

// "architectures" as a list: a single string counts, an absent or null one is empty.
std::vector<std::string> class_names(const Config& config) {
  if (!config.has("architectures")) return {};
  if (config.json().at("architectures").is_string()) return {config.get<std::string>("architectures")};
  return config.get<std::vector<std::string>>("architectures");
}

// A class that transformers has for some head or none: "BertModel", "RobertaForMaskedLM".
bool is_transformers_class(std::string_view name) {
  for (const std::string_view family :
       {"Bert",      "DistilBert", "Roberta",    "XLMRoberta", "Camembert", "Electra",
        "Albert",    "MPNet",      "MobileBert", "ModernBert", "Deberta",   "DebertaV2",
        "Qwen3",     "Gemma3",     "Gemma3Text", "T5",         "T5Encoder", "EuroBert",
        "NomicBert", "New",        "Gte",        "JinaBert",   "Bart",      "MBart"})
    if (name.starts_with(family) &&
        (name.substr(family.size()) == "Model" || name.substr(family.size()).starts_with("For")))
      return true;
  return false;
}

// The head whose tensors the checkpoint has.
Head head_of_weights(const Checkpoint& checkpoint, const Architecture& architecture) {
  const SequenceClassifier sequence = architecture.classifier(checkpoint.config());
  if (checkpoint.has(sequence.transform.dense + ".weight") && checkpoint.has(sequence.out + ".weight"))
    return Head::sequence_classifier;
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
  const std::vector<std::string> classes = class_names(config);
  const bool has_token_class = architecture.token_classification != nullptr;
  const auto note = [&](Head head, const std::string& why) {
    if (warn && head != Head::none)
      warn(config.where() + ": " + why + "; its weights are read as " +
           (head == Head::sequence_classifier ? architecture.sequence_classification
                                              : architecture.token_classification));
    return head;
  };
  for (const std::string& name : classes) {
    if (name == architecture.sequence_classification) return Head::sequence_classifier;
    if (has_token_class && name == architecture.token_classification) return Head::token_classifier;
  }
  for (const std::string& name : classes) {
    const std::string why =
        "\"architectures\" names " + printable(name) + ", no class of a " + architecture.model_type;
    if (name.ends_with("ForSequenceClassification")) return note(Head::sequence_classifier, why);
    if (has_token_class && name.ends_with("ForTokenClassification")) return note(Head::token_classifier, why);
  }
  if (std::ranges::any_of(classes, is_transformers_class)) return Head::none;
  return note(head_of_weights(checkpoint, architecture),
              classes.empty()
                  ? "\"architectures\" names no class"
                  : "\"architectures\" names " + printable(classes[0]) + ", no class of transformers");
}

}  // namespace

std::span<const Architecture> architectures() noexcept {
  return kArchitectures;
}

const Architecture& find_architecture(const Config& config) {
  std::string type = config.get<std::string>("model_type");
  if (type == "bert" && has_alibi(config)) type = kJinaBert;  // as Jina publishes it
  std::string known;
  for (const Architecture& a : kArchitectures) {
    if (type == a.model_type) return a;
    known += (known.empty() ? "" : ", ") + std::string(a.model_type);
  }
  throw Error(ErrorCode::unsupported,
              config.where() + ": \"model_type\" is \"" + type + "\"; this version knows " + known);
}

Model make_model(Checkpoint& checkpoint, const Warning& warn) {
  const Config& config = checkpoint.config();
  const Architecture& architecture = find_architecture(config);
  checkpoint.canonicalize(architecture.base_prefix, architecture.alias);
  if (const std::string& prefix = checkpoint.foreign_prefix(); warn && !prefix.empty())
    warn(fmt::format(
        "{}: the weights' names begin with {}, as of a model saved inside another; read without it",
        checkpoint.folder().string(), printable(prefix)));
  config.reject_unsupported(architecture.own_keys);

  Model model = architecture.make(config);
  model.model_type = architecture.model_type;
  PlanBuilder heads(std::move(model.plan));
  const Head head_kind = find_head(checkpoint, architecture, warn);
  std::optional<SequenceClassifier> classifier;
  if (head_kind == Head::sequence_classifier) classifier = architecture.classifier(config);
  const std::string pooler = architecture.pooler == nullptr ? "" : architecture.pooler;
  const bool classifier_reads_it = classifier && classifier->transform.dense == pooler;
  if (checkpoint.has(pooler + ".weight") && !classifier_reads_it) add_pooler(heads, pooler);
  if (classifier) {
    model.labels = config.labels(warn);
    model.problem_type = problem_type(config);
    add_classifier(heads, *classifier, static_cast<int64_t>(model.labels.size()));
  } else if (head_kind == Head::token_classifier) {
    model.token_labels = config.labels(warn);
    std::optional<HeadTransform> transform;
    if (architecture.token_transform) transform = architecture.token_transform(config);
    add_token_classifier(heads, transform, static_cast<int64_t>(model.token_labels.size()));
  } else if (architecture.masked_head != nullptr) {
    if (const auto head = stored_masked_head(architecture.masked_head(config), checkpoint, warn))
      add_masked_language_model(heads, *head);
  }
  model.plan = heads.finish();
  config.warn_unknown(warn);
  return model;
}

}  // namespace mlxe
