// The heads of an encoder: pooler, sequence classifier, token classifier, sentence-transformers pipeline. Each is a
// function that records operations and an output.
#pragma once

#include <optional>
#include <span>
#include <string>

#include "format/sentence_modules.h"
#include "models/plan_builder.h"

namespace mlxe {

// tanh(dense(first token)): BertPooler, RobertaPooler, and AlbertModel's, which has another name.
inline constexpr const char* kPoolerDense = "pooler.dense";
void add_pooler(PlanBuilder& p, const std::string& dense = kPoolerDense);

// norm(activation(dense(x))), the input of a classifier's last matrix. The norm is optional.
struct HeadTransform {
  struct Norm {
    std::string name;
    float epsilon;
    Bias bias;
  };
  std::string dense;
  Activation activation;
  Bias bias = Bias::yes;
  std::optional<Norm> norm = {};
};

// out(transform(first token or mean)). The architectures differ in names, activation and norm:
//   Bert        pooler.dense,      tanh,       classifier
//   Albert      pooler,            tanh,       classifier
//   Roberta     classifier.dense,  tanh,       classifier.out_proj
//   DistilBert  pre_classifier,    relu,       classifier
//   ModernBert  head.dense,        GELU, norm, classifier
//   EuroBert    dense,             GELU,       classifier
//   Bart        classification_head.dense, tanh, classification_head.out_proj
struct SequenceClassifier {
  HeadTransform transform;
  std::string out;
  PoolingKind pooling = PoolingKind::cls;  // or mean
  bool reads_end = false;                  // the end-of-sequence token (PlanBuilder::take_end), no pooling
  bool pools_logits = false;               // each token is classified, and then the logits are pooled
};
void add_classifier(PlanBuilder& p, const SequenceClassifier& head, int64_t labels);

// decoder(transform(token)) + bias: a logit for each token of the vocabulary. The decoder's matrix is the table of words,
// unless config.json says that the two are not tied. The transform is as wide as the table. The families differ in names:
//   Bert        cls.predictions.transform.{dense, LayerNorm}, cls.predictions.{decoder, bias}
//   Roberta     lm_head.{dense, layer_norm, decoder, bias}
//   DistilBert  vocab_transform, vocab_layer_norm, vocab_projector, vocab_projector.bias
//   Albert      predictions.{dense, LayerNorm, decoder, bias}
//   Electra     generator_predictions.{dense, LayerNorm}, generator_lm_head, generator_lm_head.bias
//   ModernBert  head.{dense, norm}, decoder, decoder.bias
struct MaskedLanguageModel {
  HeadTransform transform;
  std::string decoder;  // the module of a matrix of its own
  std::string bias;     // a parameter; empty: none
  bool tied = true;
};
void add_masked_language_model(PlanBuilder& p, const MaskedLanguageModel& head);

// BertForTokenClassification and relatives: logits for every token.
void add_token_classifier(PlanBuilder& p, const std::optional<HeadTransform>& transform, int64_t labels);

// The sentence-transformers modules after the transformer, in the order of modules.json, as `output`. Exactly one of them
// pools.
// Modules before it work on token vectors, modules after it on text vectors. A parameter's name is the module's folder
// and the name of the weight there. This is the last head, because no parameter of the checkpoint may follow. Errors:
// format (widths do not fit), unsupported (an activation).
void add_sentence_pipeline(PlanBuilder& p, std::span<const SentenceModuleSpec> modules,
                           Output output = Output::sentence);
// The pipelines of all tasks. A task has an output of its own if it takes another route than texts without a task.
void add_sentence_pipelines(PlanBuilder& p, const SentenceModules& sentence);

}  // namespace mlxe
