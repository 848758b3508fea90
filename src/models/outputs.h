// What a run of a model can give. A new output needs a row in kOutputTable and a head that records it.
#pragma once

#include <array>
#include <cstdint>
#include <initializer_list>

namespace mlxe {

enum class Output {
  layers,             // token vectors after the embeddings and after each layer
  hidden,             // token vectors after the last layer
  pooled,             // the model's own pooler
  sentence,           // the sentence-transformers pipeline
  query_sentence,     // the same of queries and of documents, where a Router takes
  document_sentence,  // another route for them
  text_logits,        // the sequence classifier
  token_logits,       // the token classifier
  chosen_logits,      // the masked language model, of the batch's chosen tokens
  span_logits,        // question answering: of an answer's first and last token
  choice_logits,      // multiple choice: of a pair of a prompt and a choice
  term_weights,       // SPLADE: a weight for each token of the vocabulary
  token_vectors,      // ColBERT: projected token vectors of length 1
  token_weights,      // bge-m3: a weight for each token
};

enum class OutputRows { tokens, texts, chosen };

struct OutputEntry {
  Output output;
  OutputRows rows;    // a row for each token of a batch, for each text, or for each chosen token
  const char* name;   // in JSON and in goldens
  const char* words;  // in messages; of layers, see check_finite()
};

inline constexpr std::array kOutputTable{
    OutputEntry{Output::layers, OutputRows::tokens, "layers", "output of a layer"},
    OutputEntry{Output::hidden, OutputRows::tokens, "hidden", "last hidden state"},
    OutputEntry{Output::pooled, OutputRows::texts, "pooler", "pooler's output"},
    OutputEntry{Output::sentence, OutputRows::texts, "sentence", "sentence vector"},
    OutputEntry{Output::query_sentence, OutputRows::texts, "query_sentence", "sentence vector of a query"},
    OutputEntry{Output::document_sentence, OutputRows::texts, "document_sentence",
                "sentence vector of a document"},
    OutputEntry{Output::text_logits, OutputRows::texts, "logits", "logits"},
    OutputEntry{Output::token_logits, OutputRows::tokens, "token_logits", "logits"},
    OutputEntry{Output::chosen_logits, OutputRows::chosen, "chosen_logits", "logits"},
    OutputEntry{Output::span_logits, OutputRows::tokens, "span_logits", "logits"},
    OutputEntry{Output::choice_logits, OutputRows::texts, "choice_logits", "logits"},
    OutputEntry{Output::term_weights, OutputRows::texts, "term_weights", "weights of terms"},
    OutputEntry{Output::token_vectors, OutputRows::tokens, "token_vectors", "token vectors"},
    OutputEntry{Output::token_weights, OutputRows::tokens, "token_weights", "weights of tokens"},
};
inline constexpr size_t kOutputs = kOutputTable.size();

constexpr size_t index_of(Output output) noexcept {
  return static_cast<size_t>(output);
}
constexpr const OutputEntry& entry(Output output) noexcept {
  return kOutputTable[index_of(output)];
}

static_assert([] {
  for (size_t i = 0; i < kOutputs; ++i)
    if (index_of(kOutputTable[i].output) != i) return false;
  return true;
}());

// Whether its model reads a pair of texts at once, or else as two texts.
constexpr bool reads_pairs(Output output) noexcept {
  return output == Output::text_logits || output == Output::span_logits || output == Output::choice_logits;
}

// A set of outputs.
class Outputs {
 public:
  constexpr Outputs() = default;
  constexpr Outputs(std::initializer_list<Output> outputs) {
    for (const Output o : outputs) add(o);
  }

  constexpr void add(Output o) noexcept { bits_ |= bit(o); }
  constexpr void add(Outputs others) noexcept { bits_ |= others.bits_; }
  constexpr void remove(Output o) noexcept { bits_ &= ~bit(o); }
  constexpr bool contains(Output o) const noexcept { return (bits_ & bit(o)) != 0; }
  constexpr bool contains_any(Outputs others) const noexcept { return (bits_ & others.bits_) != 0; }
  constexpr bool operator==(const Outputs&) const = default;

 private:
  static constexpr uint32_t bit(Output o) noexcept { return uint32_t{1} << index_of(o); }
  uint32_t bits_ = 0;
};

// All kinds of sentence vectors.
inline constexpr Outputs kSentenceOutputs{Output::sentence, Output::query_sentence,
                                          Output::document_sentence};

}  // namespace mlxe
