// Running a model: texts in, vectors, labels or tokens out.
//
//   mlxe::Encoder encoder = mlxe::Encoder::load("all-MiniLM-L6-v2-8bit");
//   mlxe::Vectors v = encoder.embed({"The sky is blue.", "What colour is the sky?"});
//   float similarity = mlxe::cosine(v.row(0), v.row(1));
//
// An Encoder is immutable once loaded: const members may be called from several threads at once. Texts are
// UTF-8; results have the order of the texts. A text gives the same bits alone and in any batch.
//
// Memory: besides the weights, the cpu engine keeps workspaces between calls, at most (peak number of
// concurrent callers) + threads - 1. A workspace holds the activations of the largest part of a batch that
// it ran. A batch has at most 4,096 tokens, or one longer text; if that keeps all threads busy, it is cut
// into parts of at most 256 tokens (bfloat16 activations: 512). With many callers it may take long until
// every workspace has met its largest part; then the memory is flat. A call's texts, tokens and results are
// freed when it returns; the C library's heap may keep as much for each thread that called.
//
// Fork: in a forked process an Encoder may be destroyed, also if calls were in progress at the fork (then
// some of its memory is not freed). On the cpu engine it may also be used, on one thread a call, if no call
// was in progress at the fork (else calls throw usage).
//
// Files: a model's files are mapped into memory, not copied. While an Encoder lives, its files must not be
//   overwritten   the call that notices it throws Error (io);
//   truncated     the process gets SIGBUS.
// Replacing them by rename is allowed.
//
// Out of memory: std::bad_alloc or Error (io), except in the tokenizer, which is Rust and aborts. (The
// program mlx-encoder ends with an error message in all these cases.)
#pragma once

#include <filesystem>
#include <map>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <utility>
#include <vector>

#include "mlx_encoder/engine.h"
#include "mlx_encoder/types.h"

namespace mlxe {

struct EncoderOptions {
  EngineKind engine = EngineKind::automatic;
  Activations activations = Activations::automatic;
  int threads = 0;         // of tokenizer and cpu engine, which share them; 0: all cores
  int64_t max_length = 0;  // most tokens of a text, special tokens included; 0: the model's limit
  // "max" or "sum": how embed_sparse() pools the logits of a masked language model whose folder states no
  // SpladePooling (modules.json); empty: such a model has no sparse vectors. SPLADE v2 and later pool by max.
  std::string splade_pooling;
  bool embeds = true;  // whether embed() will be called; if not, a pooling that is assumed gives no warning
  // Runs a model whose layers have tensors that its architecture does not have. They are ignored, with a warning.
  bool allow_unknown = false;
  Warning warning;  // called for everything that is ignored, assumed or truncated; see CallReport
};

struct ModelInfo {
  std::string model_type;
  int64_t layers = 0, hidden_size = 0, vocab_size = 0;
  int64_t max_tokens = 0;            // a text longer than this is truncated
  int64_t dimension = 0;             // of embed()'s vectors without options; see Encoder::dimension
  std::string splade_pooling;        // of embed_sparse() by SPLADE: "max" or "sum"; empty without one
  bool lexical_weights = false;      // whether embed_sparse() gives the weights of a text's tokens (bge-m3)
  bool late_interaction = false;     // whether embed_tokens() has a result, and relevance() is its MaxSim
  bool tells_queries_apart = false;  // whether embed_tokens() reads queries in another way than documents
  std::string problem_type;    // of the classifier: "single_label_classification", ...; empty without one
  std::string score_function;  // of logits to scores: "softmax", "sigmoid", "identity", "tanh", "relu"
  std::vector<std::string> labels;        // of the classifier, by index; empty without one
  std::vector<std::string> token_labels;  // of the token classifier, by index; empty without one
  std::string mask_token;  // for fill_mask(), as texts write it; empty without the head or such a token
  bool answers = false;    // has the head of answer()
  bool chooses = false;    // has the head of choose()
  std::map<std::string, std::string> prompts;  // name -> text put before a text
  std::vector<std::string> routes;  // of a Router (sentence-transformers); EmbedOptions::task chooses one
  std::string default_prompt;       // name, or empty; of classify() in a CrossEncoder, else of embed()
  std::string engine, engine_variant;
  Activations activations = Activations::float32;  // those in use
};

struct Vectors {
  int64_t rows = 0;           // one a text
  int64_t columns = 0;        // dimension
  std::vector<float> values;  // row-major

  std::span<const float> row(int64_t i) const { return std::span(values).subspan(i * columns, columns); }
};

// Sparse vectors, in compressed rows (CSR). Columns are the tokens of the vocabulary.
struct SparseVectors {
  int64_t rows = 0;     // one a text
  int64_t columns = 0;  // vocabulary
  std::vector<int64_t> offsets{
      0};                        // [rows + 1]; row i is [offsets[i], offsets[i + 1]) of the two that follow
  std::vector<int32_t> indices;  // of columns: token ids, ascending in each row
  std::vector<float> values;     // weights, all above 0

  std::span<const int32_t> row_indices(int64_t i) const { return part(indices, i); }
  std::span<const float> row_values(int64_t i) const { return part(values, i); }

 private:
  template <class T>
  std::span<const T> part(const std::vector<T>& all, int64_t i) const {
    const auto first = static_cast<size_t>(offsets[static_cast<size_t>(i)]);
    return std::span(all).subspan(first, static_cast<size_t>(offsets[static_cast<size_t>(i) + 1]) - first);
  }
};

// The sum of the products of the weights that row `i` of `a` and row `j` of `b` both have.
float dot(const SparseVectors& a, int64_t i, const SparseVectors& b, int64_t j);

// Vectors of tokens. Those of text i are rows [offsets[i], offsets[i + 1]).
struct TokenVectors {
  int64_t columns = 0;
  std::vector<int64_t> offsets{0};  // [texts + 1]
  std::vector<int32_t> ids;         // [rows], of tokens; Encoder::token() has their names
  std::vector<float> values;        // [rows, columns], row-major; rows have length 1

  int64_t texts() const { return static_cast<int64_t>(offsets.size()) - 1; }
  // All values of a text.
  std::span<const float> text(int64_t i) const {
    const auto first = static_cast<size_t>(offsets[static_cast<size_t>(i)] * columns),
               past = static_cast<size_t>(offsets[static_cast<size_t>(i) + 1] * columns);
    return std::span(values).subspan(first, past - first);
  }
};

// MaxSim (Khattab and Zaharia, arXiv:2004.12832): the sum, over the tokens of query i, of the largest dot product with a
// token of document j. 0 for a document without tokens.
float max_sim(const TokenVectors& queries, int64_t i, const TokenVectors& documents, int64_t j);

// Vectors of all kinds, of one run of each text.
struct AllVectors {
  Vectors dense;         // as embed()
  SparseVectors sparse;  // as embed_sparse()
  TokenVectors tokens;   // as embed_tokens()
};

// Cosine of the angle between two vectors of equal length; 0 if either is all zero.
float cosine(std::span<const float> a, std::span<const float> b);

// A text that was truncated to ModelInfo::max_tokens.
struct TruncatedText {
  size_t text = 0;            // index into the texts of the call
  int32_t dropped = 0;        // tokens removed; of zero_shot: the most, over the labels
  bool dropped_more = false;  // more were removed, as in Tokens

  bool operator==(const TruncatedText&) const = default;
};

// What a call has to say besides its results. With a report, the warnings of the call go there and not to
// EncoderOptions::warning, so those of concurrent calls do not mix. A call adds to its report, also if it
// throws; the caller keeps a report for each call.
struct CallReport {
  std::vector<TruncatedText> truncated;  // in the order of the texts
  std::vector<std::string> warnings;
  bool words_truncated = true;  // whether warnings has sentences about the truncated texts, too
};

// What a text is for, as in sentence-transformers' encode_query() and encode_document(): the text gets the
// model's prompt "query" or "document". Without such a prompt it gets none, also not the default one. A model
// with a Router sends the text through the modules of the task's route.
enum class EmbedTask { any, query, document };

// At most one of `prompt_name`, `prompt` and `task` is given; more are an error (usage). With a Router, a prompt beside
// a task takes the place of the task's prompt.
struct EmbedOptions {
  std::string prompt_name;            // one of ModelInfo::prompts; empty: the model's default
  std::optional<std::string> prompt;  // a literal prompt
  EmbedTask task = EmbedTask::any;
  // The first values of each vector (Matryoshka models); 0: ModelInfo::dimension. If the pipeline ends with a
  // Normalize, they are scaled to length 1 again.
  int64_t dimension = 0;
  bool normalize = false;  // scale every vector to length 1
  // For callers that stream texts in windows: the number of texts before this call. Messages number texts
  // from 1 over all windows.
  size_t first_text = 0;
  Progress progress;             // in texts
  CallReport* report = nullptr;  // filled by the call
};

// At most one of `prompt_name`, `prompt` and `task` is given, as in EmbedOptions.
struct SparseOptions {
  std::string prompt_name;
  std::optional<std::string> prompt;
  EmbedTask task = EmbedTask::any;
  // The largest weights of each text, sentence-transformers' max_active_dims; of equal ones those of the lowest ids.
  // 0: all.
  int64_t top_k = 0;
  size_t first_text = 0;         // as in EmbedOptions
  Progress progress;             // in texts
  CallReport* report = nullptr;  // filled by the call
};

struct TokenVectorOptions {
  EmbedTask task = EmbedTask::document;  // `any` counts as document
  size_t first_text = 0;                 // as in EmbedOptions
  Progress progress;                     // in texts
  CallReport* report = nullptr;          // filled by the call
};

// How embed_chunks() cuts texts.
struct ChunkOptions {
  int64_t tokens = 0;   // most tokens of a chunk, special tokens and those of the prompt included
  int64_t overlap = 0;  // most tokens of the text that a chunk shares with the next; at least half as many
  // Late chunking (arXiv 2409.04701): the model reads the whole text, then each chunk is the mean of its tokens'
  // vectors. The first chunk of a text includes the tokens before it (prompt, special tokens), the last chunk those
  // after it. A text longer than the model allows is read in windows, each with a quarter of the window before as
  // context, with a warning.
  bool late = false;
};

// Part of a text.
struct Chunk {
  size_t text = 0;             // index into the texts of the call
  int32_t index = 0;           // among the chunks of its text
  int32_t begin = 0, end = 0;  // code points of the text
  int32_t tokens = 0;          // special tokens and those of the prompt included; late: those of the mean
};

struct ChunkVectors {
  Vectors vectors;            // one a chunk
  std::vector<Chunk> chunks;  // in the order of the texts
};

struct ClassifyOptions {
  size_t first_text = 0;         // as in EmbedOptions
  Progress progress;             // in texts
  CallReport* report = nullptr;  // filled by the call
};

struct Prediction {
  int64_t best = 0;           // index of the highest score
  std::vector<float> scores;  // ModelInfo::score_function of the logits; of choose(), their softmax
  std::vector<float> logits;
};

// A prompt, and texts that may follow or answer it.
struct ChoiceInput {
  std::string prompt;
  std::vector<std::string> choices;
};

struct RerankOptions {
  size_t top_k = 0;  // most documents of rerank()'s result; 0: all
  bool raw = false;  // logits instead of scores
  // What makes a document relevant, for a reranker that is a language model (Qwen3-Reranker); empty: its own default.
  std::string instruction;
  size_t first_text = 0;         // as in EmbedOptions
  Progress progress;             // in texts
  CallReport* report = nullptr;  // filled by the call
};

struct RankedDocument {
  size_t index = 0;  // into the documents of the call
  float score = 0;
};

struct ZeroShotOptions {
  std::string hypothesis_template = "This example is {}.";
  bool multi_label = false;      // scores each label on its own (entailment against contradiction)
  size_t first_text = 0;         // as in EmbedOptions
  Progress progress;             // in pairs of a text and a label
  CallReport* report = nullptr;  // filled by the call
};

struct TagOptions {
  // Reads texts beyond ModelInfo::max_tokens in windows of that many tokens, special ones included; neighbouring
  // windows have `stride` tokens in common. Absent: such texts are truncated.
  std::optional<int64_t> stride;
  size_t first_text = 0;         // as in EmbedOptions
  Progress progress;             // in texts
  CallReport* report = nullptr;  // filled by the call
};

// A token classifier's scores of one token of a text.
struct TokenScores {
  int32_t begin = 0, end = 0;   // code points of the text; tokens may share them, or have none
  bool continues_word = false;  // not the first token of its word; see Aggregation
  std::vector<float> scores;    // softmax, one a label
  int32_t window = 0;           // of the text, with TagOptions::stride
  int32_t index = 0;            // of the token in the text, without special tokens
};

struct FillMaskOptions {
  int64_t top_k = 5;  // most tokens for a mask
  // Only these tokens are candidates; their scores are as without. A word that is no token of the vocabulary stands for
  // its first token, with a warning. Empty: all tokens are candidates.
  std::vector<std::string> targets;
  size_t first_text = 0;         // as in EmbedOptions
  Progress progress;             // in texts
  CallReport* report = nullptr;  // filled by the call
};

// A candidate for a mask.
struct MaskFill {
  float score = 0;  // softmax over the vocabulary
  int32_t id = 0;
  std::string token;  // its text, decoded alone
  // The tokens of the text with this one in the mask's place, decoded: without special tokens if the text has one mask,
  // with them (the other masks) if it has several.
  std::string sequence;
};

// A mask of a text and its candidates, the best first.
struct FilledMask {
  int32_t position = 0;  // of the mask among the text's tokens, special ones included
  std::vector<MaskFill> fills;
};

// A question, and the text that the answer is a part of.
struct Question {
  std::string question, context;
};

// The options of transformers' question-answering pipeline, with its defaults. (Its max_question_len has no effect on a
// fast tokenizer: a question is never cut.)
struct AnswerOptions {
  int64_t top_k = 1;            // most answers to a question
  int64_t max_answer_len = 15;  // most tokens of an answer
  // Most tokens of a window: the question, a part of the context, special tokens. Default: 384, or the model's limit if
  // that is lower.
  std::optional<int64_t> max_seq_len = {};
  // A longer context runs in several windows; neighbours share this many tokens of it. Default: 128, or half of
  // max_seq_len if that is lower.
  std::optional<int64_t> doc_stride = {};
  bool handle_impossible_answer = false;  // the empty answer is one of the answers, with the score of none
  bool align_to_words = true;    // answers begin and end with words, as the tokenizer splits the context
  size_t first_text = 0;         // as in EmbedOptions
  Progress progress;             // in questions
  CallReport* report = nullptr;  // filled by the call
};

// A part of a context.
struct Answer {
  // Probability of its first token times that of its last, each a softmax over the context's part in a window and the
  // class token. Answers whose texts differ only in case are one, with the sum of their scores.
  float score = 0;
  int32_t begin = 0, end = 0;  // code points of the context; 0, 0: there is no answer
  std::string text;            // empty: there is no answer
};

// How tokens become entities, as in transformers' token-classification pipeline:
//   none     every token on its own
//   simple   neighbours of one type are joined, unless a B- begins a new entity
//   first    each word gets the label of its first token, then as `simple`
//   average  each word gets the label with the highest mean score, then as `simple`
//   max      each word gets the label of its token with the highest score, then as `simple`
// Words are the pipeline's. Where the vocabulary marks tokens inside a word ("##ing": BERT, DistilBERT), a word ends
// before a token as long as its text. Elsewhere (RoBERTa, ModernBERT, XLM-RoBERTa, ALBERT, DeBERTa) it ends at a space,
// so punctuation belongs to the word it is written to, and a line break ends no word. An unknown token begins a word.
//
// Texts in windows (TagOptions::stride): each window has entities of its own. Of those that overlap, the longest stays,
// of equally long ones that with the highest score. With `none`, where the pipeline has no windows, each token is taken
// from the window where it is farthest from a cut.
//
// Unlike the pipeline, BIOES and BILOU are understood (E- and L- end an entity, S- and U- are a whole
// entity), a type may contain "-" or be called "O", and windows give no entity without characters twice.
enum class Aggregation { none, simple, first, average, max };
Aggregation parse_aggregation(std::string_view spelling);  // "none", ...; throws usage

struct Entity {
  std::string label;  // "person"; with Aggregation::none the tag itself, "B-person"
  float score = 0;
  int32_t begin = 0, end = 0;  // code points of the text
};

// The entities of one text, in order, without those labelled "O".
std::vector<Entity> entities(std::span<const TokenScores> tokens, std::span<const std::string> labels,
                             Aggregation aggregation);

struct Tokens {
  std::vector<int32_t> ids, type_ids;
  std::vector<std::string> tokens;
  std::vector<std::pair<int32_t, int32_t>> offsets;  // of each token: code points of the text (or pair)
  std::vector<int8_t> sequence;                      // 0 text, 1 pair, -1 special token
  int32_t dropped = 0;                               // tokens removed by truncation
  bool dropped_more = false;  // more were removed: the end of a text far beyond the limit is not tokenized
};

class Encoder {
 public:
  // Reads a folder as Hugging Face, sentence-transformers or MLX tools lay it out.
  // Errors: not_found; io (also a file that changed while it was read); format; unsupported (architecture,
  // config value, or an engine that is not available).
  static Encoder load(const std::filesystem::path& folder, const EncoderOptions& options = {});
  Encoder(Encoder&&) noexcept;
  Encoder& operator=(Encoder&&) noexcept;
  ~Encoder();

  const ModelInfo& info() const noexcept;

  // SHA-256, in hex, of the names and contents of the files that the model was loaded from: weights, config.json, tokenizer,
  // modules, adapters. Reads them again. Errors: io, not_found.
  std::string fingerprint() const;

  // Columns of embed()'s vectors with these options. Errors: usage (a dimension above the pipeline's; the model's Router
  // has no route for the task).
  int64_t dimension(const EmbedOptions& options = {}) const;

  // One vector a text, through the model's sentence-transformers pipeline (mean pooling if it has none).
  // Errors that name the text: format (not UTF-8; no token, as for an empty text if the tokenizer adds no
  // special tokens), numeric (NaN in the vector). Errors: usage (an unknown prompt; those of dimension()).
  Vectors embed(std::span<const std::string> texts, const EmbedOptions& options = {}) const;
  Vectors embed(std::initializer_list<std::string> texts) const {
    return embed(std::span<const std::string>(texts.begin(), texts.size()));
  }

  // The weights of each text's terms, by SPLADE: log(1 + max(x, 0)) of the logits x that a masked language model gives
  // for each token of the text, of which the largest is taken, or the sum (Formal et al., arXiv:2107.05720 and
  // 2109.10086). As sentence-transformers' SparseEncoder, special tokens included. Needs the head of a masked language
  // model, and a SpladePooling in modules.json or EncoderOptions::splade_pooling, else unsupported. Errors: as embed();
  // usage (top_k below 0).
  // bge-m3 (arXiv:2402.03216): max(w h + b, 0) of the vector h of each token; of equal tokens the largest counts. Class
  // token, end of text, padding and unknown tokens have no weight, as in FlagEmbedding.
  SparseVectors embed_sparse(std::span<const std::string> texts, const SparseOptions& options = {}) const;

  // The vectors of each text's tokens by a late interaction model (ColBERT), as PyLate's encode() gives them: projected,
  // of length 1. A text gets the folder's mark of a query or document. A query is made longer with mask tokens, if the
  // folder says so; a document has no vectors for the words that the folder leaves out (punctuation). Needs a folder of
  // PyLate, Stanford's ColBERT or bge-m3, else unsupported. bge-m3 gives all tokens but the first a vector, of queries and
  // documents alike. Errors: as embed(); format (the mark is no token); unsupported (a query
  // is made so long that local attention does not reach its beginning, or positions are relative to what it does not
  // read: DeBERTa).
  TokenVectors embed_tokens(std::span<const std::string> texts, const TokenVectorOptions& options = {}) const;

  // What embed(), embed_sparse() and embed_tokens() give, for little more than the time of one of them. All three read the
  // prompt of the options. Needs bge-m3, else unsupported. Errors: as embed().
  AllVectors embed_all(std::span<const std::string> texts, const EmbedOptions& options = {}) const;

  // One vector a chunk of a text; no token is left out, however long the text is. A chunk ends at white space, or else
  // between words, where one is in its second half. White space between chunks belongs to none. A text of at most
  // ChunkOptions::tokens tokens is one chunk, with embed()'s vector. Without `late`, each chunk is a text of its own
  // behind the prompt: its vector is embed()'s of text[begin:end].
  // Errors: as embed(); usage (chunks longer than ModelInfo::max_tokens or without room for a token, too much overlap);
  // unsupported (late: a model that pools by anything but the mean).
  ChunkVectors embed_chunks(std::span<const std::string> texts, const ChunkOptions& chunking,
                            const EmbedOptions& options = {}) const;

  // Needs a classification head, else unsupported. Other errors as embed(). A CrossEncoder's default prompt
  // goes before each text.
  std::vector<Prediction> classify(std::span<const TextInput> texts,
                                   const ClassifyOptions& options = {}) const;

  // How well each pair's second text answers the first: the scores of CrossEncoder.predict(). Needs a
  // classification head with one label, else unsupported. Otherwise as classify(). The activation is the
  // folder's own; without one a sigmoid, also where classify() takes the logit (problem_type "regression").
  // A language model (Qwen3ForCausalLM) scores a pair by its answer: the logit is that of "yes" less that of "no" after
  // the pair's last token, the sigmoid of it the probability of "yes" among the two. Its chat template makes one text of
  // a pair; the end of a text that is too long is cut off, but not the template's. Warns if no file says that the model
  // is a reranker, or what its template is. Errors: usage (an instruction for a model that takes none). A late
  // interaction model gives max_sim() of the pair, also if RerankOptions::raw is set; bge-m3 gives it divided by the number
  // of the query's vectors, as FlagEmbedding's colbert_score().
  std::vector<float> relevance(std::span<const TextInput> pairs, const RerankOptions& options = {}) const;

  // The documents by falling relevance to `query`, as CrossEncoder.rank(); equal scores keep their order.
  // Messages number the documents. Errors: as relevance().
  std::vector<RankedDocument> rerank(const std::string& query, std::span<const std::string> documents,
                                     const RerankOptions& options = {}) const;

  // scores[i][j]: how well labels[j] fits texts[i], by an NLI head (one with an "entailment" label).
  std::vector<std::vector<float>> zero_shot(std::span<const std::string> texts,
                                            std::span<const std::string> labels,
                                            const ZeroShotOptions& options = {}) const;

  // The tokens of each text, without special and truncated ones; empty for a text without tokens. With a stride,
  // the tokens of each window, one window after the other. Needs a token classification head, else unsupported.
  // Errors: usage (a negative stride, or one that is not less than a window without its special tokens).
  std::vector<std::vector<TokenScores>> score_tokens(std::span<const std::string> texts,
                                                     const TagOptions& options = {}) const;

  // The first token of each word of texts that are split into words, as tokenizers give it for is_split_into_words
  // with add_prefix_space. A word without a token, or that truncation cut off, has no scores. The words are run as one
  // text with a space between them: the first word has a space before it only if the tokenizer adds one. Offsets are
  // those of that text. Otherwise as score_tokens().
  std::vector<std::vector<TokenScores>> score_words(std::span<const std::vector<std::string>> sentences,
                                                    const ClassifyOptions& options = {}) const;

  // The masks of each text, filled in as transformers' fill-mask pipeline does. Needs the head of a masked language
  // model and a mask token, else unsupported. Errors: format (names a text without a mask, or with a mask that
  // truncation cut off), usage (top_k below 1; targets without a token).
  std::vector<std::vector<FilledMask>> fill_mask(std::span<const std::string> texts,
                                                 const FillMaskOptions& options = {}) const;

  // The best answers to each question, the best first, as transformers' question-answering pipeline finds them; spans
  // whose probability is 0 are left out. Nothing is truncated. Needs a question answering head, else unsupported.
  // Errors: usage (an option out of range; a question that leaves a window no more of the context than doc_stride),
  // format (an empty question or context), and those of classify().
  std::vector<std::vector<Answer>> answer(std::span<const Question> questions,
                                          const AnswerOptions& options = {}) const;

  // How well each choice fits its prompt: a prompt and a choice run as a pair. Needs a multiple choice head, else
  // unsupported. Errors: usage (a prompt without choices), and those of classify().
  std::vector<Prediction> choose(std::span<const ChoiceInput> prompts,
                                 const ClassifyOptions& options = {}) const;

  Tokens tokenize(const TextInput& text) const;
  std::string token(int32_t id) const;  // as in the vocabulary; empty for an id without a token

 private:
  struct Impl;
  explicit Encoder(std::unique_ptr<Impl> impl);
  std::unique_ptr<Impl> impl_;
};

}  // namespace mlxe
