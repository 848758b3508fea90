// A golden: texts, and what a model gives for them. A conversion stores one in mlx_encoder_golden.json; other tools
// can write the same form (docs/verify.md).
#pragma once

#include <cstdint>
#include <filesystem>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "mlx_encoder/types.h"

namespace mlxe {

enum class GoldenOutput {
  sentence,       // the sentence vector
  logits,         // of a classifier
  token_scores,   // of a token classifier: the mean of its tokens' softmax, special tokens left out
  span_logits,    // of question answering: the mean of the tokens' two logits, special tokens left out
  choice_logits,  // of multiple choice: the logit of a pair
  term_weights,   // of SPLADE: the sums of the weights of terms whose ids are equal modulo kGoldenTerms
  token_vectors,  // of ColBERT: the mean of the vectors of a document's tokens, marks and special tokens left out
  all_vectors,  // of bge-m3: the sentence vector, the mean of the tokens' vectors, that of their weights
};
const char* name(GoldenOutput output) noexcept;
inline constexpr int64_t kGoldenTerms = 256;
// Whether the values of a text are a vector, of which a cosine has a meaning, and texts have prompts.
bool is_vector(GoldenOutput output) noexcept;

struct GoldenText {
  TextInput input;
  std::string prompt_name;      // empty: the model's default
  std::vector<float> values;    // what the model gives
  std::vector<float> original;  // what the model that it was converted from gives; empty if not known
};

// The largest difference and the smallest cosine of a text. Without either, the limit follows from the bits of the
// folder that is checked.
struct GoldenTolerance {
  std::optional<double> difference, cosine;
};

struct Golden {
  std::string made_by;
  GoldenOutput output = GoldenOutput::sentence;
  GoldenTolerance tolerance;
  std::string record;                           // files_digest() of the conversion; empty without one
  std::map<std::string, std::string> settings;  // by SettingInForce::name
  std::vector<GoldenText> texts;                // all with as many values

  size_t width() const { return texts.empty() ? 0 : texts.front().values.size(); }
  // Numbers have six digits and one width, so that the size does not depend on the values.
  std::string text() const;
  // `where` names the text in messages. `warn` gets each key that is not known. Errors: format, unsupported
  // (another version).
  static Golden parse(std::string_view text, const std::string& where, const Warning& warn);
  // Errors: those of parse, not_found, io.
  static Golden read(const std::filesystem::path& file, const Warning& warn);
};

// The texts of a conversion's golden, without values: a pair for heads that read pairs, names for token classifiers, and one text
// for each of the first prompts for sentence vectors.
std::vector<GoldenText> golden_texts(GoldenOutput output, const std::map<std::string, std::string>& prompts);

// The largest difference of two engines, or two kernel variants, on the same files with float32 activations, relative
// to the largest value. They sum in other orders. A sum of 3072 products carries an error of sqrt(3072) * 2^-24 = 3.3e-6.
// Those of two blocks in each of 24 layers add up as independent ones: sqrt(48) * 3.3e-6 = 2.3e-5. The worst of some
// thousand values is four times that. The six digits of the stored numbers add at most 5e-6. (MiniLM on cpu and mlx:
// 3.4e-6.)
inline constexpr double kGoldenDifference = 1e-4;

}  // namespace mlxe
