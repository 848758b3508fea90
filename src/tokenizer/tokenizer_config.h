// The settings files of a tokenizer, and its Hugging Face class.
#pragma once

#include <cstdint>
#include <filesystem>
#include <nlohmann/json.hpp>
#include <optional>
#include <string>

#include "mlx_encoder/types.h"

namespace mlxe {

// Tokenizer classes that are loaded in the same way.
enum class TokenizerFamily {
  bert,         // BertTokenizer, DistilBertTokenizer, ElectraTokenizer, MobileBertTokenizer
  roberta,      // RobertaTokenizer, BartTokenizer
  xlm_roberta,  // XLMRobertaTokenizer
  camembert,    // CamembertTokenizer
  albert,       // AlbertTokenizer
  deberta_v2,   // DebertaV2Tokenizer
  t5,           // T5Tokenizer
  gemma,        // GemmaTokenizer
  mbart,        // MBartTokenizer: </s> and a language after the text
  mbart50,      // MBart50Tokenizer: a language before the text, </s> after it
  generic,      // PreTrainedTokenizerFast, and classes this library does not know
};

struct TokenizerConfig {
  std::string class_name;  // without "Fast"
  TokenizerFamily family = TokenizerFamily::generic;

  // The files' contents. An absent file is an empty object.
  nlohmann::json settings;            // tokenizer_config.json
  nlohmann::json special_tokens_map;  // special_tokens_map.json
  nlohmann::json added_tokens;        // added_tokens.json: {content: id}

  // Values of the settings, or the class's defaults.
  bool do_lower_case = true;
  std::optional<bool> strip_accents;  // unset: when lower-casing
  bool tokenize_chinese_chars = true;
  bool add_prefix_space = false;
  bool keep_accents = false;    // of AlbertTokenizer
  bool split_by_punct = false;  // of DebertaV2Tokenizer
  bool legacy = true;           // of T5Tokenizer, as is the next
  int64_t extra_ids = 100;      // number of its tokens <extra_id_0>, ...
  bool trim_offsets = true;
  bool split_special_tokens = false;
  bool add_bos_token = true;  // of GemmaTokenizer: around each text
  bool add_eos_token = false;
  std::string source_language;  // "src_lang", of MBartTokenizer and MBart50Tokenizer
  std::optional<bool> clean_up_tokenization_spaces;
  std::optional<std::string> truncation_side;
  int64_t model_max_length = 0;  // in tokens; 0: no limit
  bool gives_type_ids = true;
};

// Errors: io, format. Warns about a class it does not know and settings it does not honour.
TokenizerConfig read_tokenizer_config(const std::filesystem::path& folder, const Warning& warning);

}  // namespace mlxe
