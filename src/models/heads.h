// The heads of an encoder: pooler, classifiers, masked language model, SPLADE, ColBERT, bge-m3, sentence pipeline. Each is a
// function that records operations and an output.
#pragma once

#include <filesystem>
#include <optional>
#include <span>
#include <string>

#include "format/answer_tokens.h"
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
//   Qwen3       none,              score without a bias
struct SequenceClassifier {
  HeadTransform transform = {};  // without a name: none
  std::string out;
  Bias out_bias = Bias::yes;
  PoolingKind pooling = PoolingKind::cls;  // or mean, or last_token: PlanBuilder::take_last
  bool reads_end = false;                  // the end-of-sequence token (PlanBuilder::take_end), no pooling
  bool pools_logits = false;               // each token is classified, and then the logits are pooled
};
void add_classifier(PlanBuilder& p, const SequenceClassifier& head, int64_t labels);

// BertForMultipleChoice and relatives: a sequence classifier of one output, the logit of a prompt with one choice.
void add_multiple_choice(PlanBuilder& p, const SequenceClassifier& head);

// decoder(transform(token)) + bias: a logit for each token of the vocabulary. The decoder's matrix is the table of words,
// unless config.json says that the two are not tied. The transform is as wide as the table. The families differ in names:
//   Bert        cls.predictions.transform.{dense, LayerNorm}, cls.predictions.{decoder, bias}
//   Roberta     lm_head.{dense, layer_norm, decoder, bias}
//   DistilBert  vocab_transform, vocab_layer_norm, vocab_projector, vocab_projector.bias
//   Albert      predictions.{dense, LayerNorm, decoder, bias}
//   Electra     generator_predictions.{dense, LayerNorm}, generator_lm_head, generator_lm_head.bias
//   ModernBert  head.{dense, norm}, decoder, decoder.bias
//   EuroBert    no transform, lm_head, lm_head.bias
//   NomicBert   cls.predictions.transform.{dense, layer_norm}, cls.predictions.{decoder, bias}
//   New, Gte    lm_head.{dense, norm}, lm_head.decoder, lm_head.decoder.bias
//   MobileBert  as Bert, and cls.predictions.dense
struct MaskedLanguageModel {
  HeadTransform transform;  // without a name: none
  std::string decoder;      // the module of a matrix of its own
  // A table with a column for each token: its rows are weighted by what the transform gives beyond the words' width.
  std::string rest = {};
  std::string bias;  // a parameter; empty: none
  bool tied = true;
  bool is_known = true;  // whether this version computes it
};
void add_masked_language_model(PlanBuilder& p, const MaskedLanguageModel& head);

// How much more a language model would answer "yes" than "no" after a text's last token: the difference of the two
// tokens' logits, which a sigmoid makes the probability of "yes" among the two. The output is that of a classifier with
// one label. The matrix is lm_head's or, if the weights are tied, the table of words; only the rows of the tokens are
// used.
void add_answers(PlanBuilder& p, const AnswerTokens& tokens, bool tied);
// SPLADE: the weights of a text's terms, from that head's logits of all its tokens. Shares the head's parameters.
// Errors: format (the folder states another number of terms).
void add_splade(PlanBuilder& p, const MaskedLanguageModel& head, const SpladeSpec& splade);

// Late interaction: the vectors of tokens, projected by a linear of the checkpoint (HF_ColBERT) or by modules of
// sentence-transformers, and scaled to length 1. Errors: as add_sentence_pipeline.
void add_token_vectors(PlanBuilder& p, const std::string& linear, int64_t columns);
void add_token_vectors(PlanBuilder& p, std::span<const DenseSpec> modules);

// bge-m3: a weight for each token, and a vector of length 1. Errors: format (widths do not fit; names the file in
// `folder`).
void add_m3_heads(PlanBuilder& p, const M3Heads& heads, const std::filesystem::path& folder);

// BertForTokenClassification and relatives: logits for every token.
void add_token_classifier(PlanBuilder& p, const std::optional<HeadTransform>& transform, int64_t labels);

// BertForQuestionAnswering and relatives: for every token, the logits that an answer begins and ends there.
inline constexpr const char* kSpanModule = "qa_outputs";
void add_question_answering(PlanBuilder& p, const std::optional<HeadTransform>& transform,
                            const std::string& out = kSpanModule);

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
