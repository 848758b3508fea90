#include "format/late_interaction.h"

#include <string_view>

namespace mlxe {

LateInteraction default_late_interaction() {
  LateInteraction late;
  for (const char symbol : std::string_view("!\"#$%&'()*+,-./:;<=>?@[\\]^_`{|}~"))
    late.skipped_words.emplace_back(1, symbol);
  return late;
}

LateInteraction m3_late_interaction() {
  return {.query_prefix = "",
          .document_prefix = "",
          .query_length = 0,
          .document_length = 0,
          .expands_queries = false,
          .skipped_words = {},
          .skips_first = true,
          .averages = true};
}

LateInteraction read_pylate_settings(const Config& config) {
  LateInteraction late = default_late_interaction();
  late.query_prefix = config.get_or<std::string>("query_prefix", late.query_prefix);
  late.document_prefix = config.get_or<std::string>("document_prefix", late.document_prefix);
  late.query_length = config.positive_or("query_length", late.query_length);
  late.document_length = config.positive_or("document_length", late.document_length);
  late.expands_queries = config.get_or<bool>("do_query_expansion", true);
  late.attends_to_expansion = config.get_or<bool>("attend_to_expansion_tokens", false);
  if (config.has("skiplist_words"))
    late.skipped_words = config.get<std::vector<std::string>>("skiplist_words");
  config.harmless({"skiplist_words"});  // null means "not given"
  return late;
}

LateInteraction read_stanford_settings(const Config* metadata) {
  LateInteraction late = default_late_interaction();
  late.query_prefix = "[unused0]", late.document_prefix = "[unused1]";
  if (metadata == nullptr) return late;
  late.query_prefix = metadata->get_or<std::string>("query_token_id", late.query_prefix);
  late.document_prefix = metadata->get_or<std::string>("doc_token_id", late.document_prefix);
  late.query_length = metadata->positive_or("query_maxlen", late.query_length);
  late.document_length = metadata->positive_or("doc_maxlen", late.document_length);
  late.attends_to_expansion = metadata->get_or<bool>("attend_to_mask_tokens", false);
  if (!metadata->get_or<bool>("mask_punctuation", true)) late.skipped_words.clear();
  return late;
}

}  // namespace mlxe
