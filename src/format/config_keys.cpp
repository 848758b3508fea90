// Keys of config.json that the architectures do not read. Sources: transformers 4.57 (PretrainedConfig and
// the configurations of BERT, DistilBERT, RoBERTa, XLM-RoBERTa), older releases, converters and hubs.
#include <algorithm>
#include <array>
#include <iterator>

#include "format/config.h"

namespace mlxe {
namespace {

constexpr const char* kHarmless[] = {
    // training only
    "attention_dropout", "attention_probs_dropout_prob", "classifier_dropout", "classifier_dropout_prob",
    "dropout", "gradient_checkpointing", "hidden_dropout_prob", "initializer_factor", "initializer_range",
    "layerdrop", "qa_dropout", "seq_classif_dropout", "tf_legacy_loss", "use_bfloat16",
    // origin
    "_commit_hash", "_name_or_path", "architectures", "finetuning_task", "model_type", "name_or_path",
    "task_specific_params", "tokenizer_class", "transformers.js_config", "transformers_version",
    // how transformers runs the model or what it returns, not what it computes
    "_attn_implementation_autoset", "_attn_implementation", "_attn_implementation_internal",
    "_output_attentions", "attn_implementation", "chunk_size_feed_forward", "output_attentions",
    "output_hidden_states", "output_past", "return_dict", "torchscript", "use_cache", "use_return_dict",
    // dtype of the file: every tensor has its own
    "dtype", "torch_dtype",
    // read by a head or the tokenizer, if there is one
    "_num_labels", "add_pooling_layer", "bos_token_id", "cls_token_id", "eos_token_id", "eos_token_ids",
    "id2label", "label2id", "mask_token_id", "num_labels", "pad_token_id", "problem_type",
    "sbert_ce_default_activation_function", "sentence_transformers", "sep_token_id", "unk_token_id",
    // for a tied output layer, which an encoder does not have
    "tie_encoder_decoder", "tie_weights_", "tie_word_embeddings",
    // in the files of multilingual BERT, never read by transformers
    "directionality", "pooler_fc_size", "pooler_num_attention_heads", "pooler_num_fc_layers",
    "pooler_size_per_head", "pooler_type",
    // read by the checkpoint reader
    "mlx_encoder", "quantization", "quantization_config",
    // text generation
    "bad_words_ids", "begin_suppress_tokens", "decoder_start_token_id", "diversity_penalty", "do_sample",
    "early_stopping", "encoder_no_repeat_ngram_size", "exponential_decay_length_penalty",
    "forced_bos_token_id", "forced_eos_token_id", "length_penalty", "max_length", "min_length",
    "no_repeat_ngram_size", "num_beam_groups", "num_beams", "num_return_sequences", "output_scores",
    "remove_invalid_values", "repetition_penalty", "return_dict_in_generate", "suppress_tokens",
    "temperature", "top_k", "top_p", "typical_p"};

}  // namespace

bool is_harmless_key(std::string_view key) {
  return std::find(std::begin(kHarmless), std::end(kHarmless), key) != std::end(kHarmless);
}

const std::vector<RejectedKey>& rejected_keys() {
  static const std::vector<RejectedKey> table = {
      {"is_decoder", "false",
       "the model attends to earlier tokens only, this library runs bidirectional encoders"},
      {"is_encoder_decoder", "false", "this library runs encoders only"},
      {"add_cross_attention", "false", "this library runs encoders only"},
      {"cross_attention_hidden_size", "null", "this library runs encoders only"},
      {"pruned_heads", "{}", "attention heads were pruned; save the model with all heads"},
      {"position_embedding_type", "\"absolute\"", "relative position embeddings are not implemented"},
      {"auto_map", "{}", "the model brings its own Python code, which this library can't run"},
      {"prefix", "\"\"", "a prefix for every input is not implemented; add the prefix to the inputs"},
  };
  return table;
}

}  // namespace mlxe
