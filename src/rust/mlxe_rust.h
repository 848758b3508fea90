/* The C interface of the Rust half (src/rust). Only these C++ wrappers include it:
 *   src/tokenizer/backend.cpp, src/base/sha256.cpp, src/base/progress_bar.cpp, src/base/out_of_memory.cpp,
 *   src/tokenizer/chat_template.cpp, src/tokenizer/sentencepiece.cpp, src/report/chart.cpp, src/format/toml_file.cpp,
 *   src/format/zip_archive.cpp, src/format/onnx_graph.cpp, src/base/base64.cpp, src/texts/parquet_rows.cpp,
 *   src/vectors/parquet_vectors.cpp
 *
 * Ownership. `mlxe_*_new` and `mlxe_*_load` give an object that its `mlxe_*_free` takes back; an MlxeString
 * that a function fills is given back with mlxe_free_string. Arguments are borrowed for the call only. Text
 * is UTF-8 with an explicit length and may hold NUL; a null pointer is an empty text. Errors. A function that
 * can fail returns an MlxeStatus and, when it is not MLXE_OK, fills `error` with one sentence. A panic on the
 * Rust side never crosses: it arrives as MLXE_INTERNAL. Nothing is printed. Threads. An object may be used by
 * many threads at once through functions that take it const.
 */
#ifndef MLXE_RUST_H
#define MLXE_RUST_H

#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

/* Numbered like the process exit statuses of mlx_encoder/error.h. */
typedef enum MlxeStatus {
  MLXE_OK = 0,
  MLXE_INTERNAL = 1,
  MLXE_USAGE = 2,
  MLXE_FORMAT = 6,
  MLXE_UNSUPPORTED = 7
} MlxeStatus;

typedef struct MlxeString {
  char* data; /* not NUL-terminated */
  size_t size;
} MlxeString;

void mlxe_free_string(MlxeString text);

/* ---- Memory. When an allocation of this library fails, `handler` is called on the same thread with the number of
 * bytes. It should not return. If it does, or without a handler, Rust ends the process by abort(). */
void mlxe_on_out_of_memory(void (*handler)(size_t bytes));

/* ---- Tokenizer: a tokenizer.json, used without its stored truncation and padding. */
typedef struct MlxeTokenizer MlxeTokenizer;

/* `notes`: messages for the user about the file, one a line; often empty. */
int mlxe_tokenizer_load(const char* json, size_t size, MlxeTokenizer** tokenizer, MlxeString* notes,
                        MlxeString* error);
void mlxe_tokenizer_free(MlxeTokenizer* tokenizer);

/* JSON: {"normalizer", "pre_tokenizer", "post_processor": as in tokenizer.json or null,
 *        "added_tokens": {"id": {"content", "single_word", "lstrip", "rstrip", "normalized", "special"}},
 *        "truncation_side": "left" or "right" as stored in the file, or null, "marks_subwords": whether tokens
 * inside a word begin with a prefix as "##", "vocab_size": with the added tokens}. */
int mlxe_tokenizer_describe(const MlxeTokenizer* tokenizer, MlxeString* json, MlxeString* error);

/* The whole tokenizer, as it stands, as a tokenizer.json. */
int mlxe_tokenizer_json(const MlxeTokenizer* tokenizer, MlxeString* json, MlxeString* error);

/* `json` may hold "normalizer", "pre_tokenizer", "post_processor" (replaced), "add_tokens" (a list of tokens
 * as above, added in order) and "split_special_tokens" (true: special tokens written in a text are plain
 * text). Not while another thread uses the tokenizer. */
int mlxe_tokenizer_change(MlxeTokenizer* tokenizer, const char* json, size_t size, MlxeString* error);

int64_t mlxe_tokenizer_id(const MlxeTokenizer* tokenizer, const char* token,
                          size_t size); /* -1: no such token */
int mlxe_tokenizer_token(const MlxeTokenizer* tokenizer, uint32_t id, MlxeString* token); /* 0: no such id */

/* Ids without a token are left out. */
int mlxe_tokenizer_decode(const MlxeTokenizer* tokenizer, const uint32_t* ids, size_t size,
                          int skip_special_tokens, MlxeString* text, MlxeString* error);

/* With a stride, no token is dropped: a text is cut into windows of max_length tokens, each with its special tokens, of
 * which neighbours have `stride` tokens in common. The first window is at the side that truncation keeps.
 * Offsets count from the start of the token's own text; 0 for a special token the post-processor put in. */
typedef struct MlxeToken {
  int32_t id, type_id;
  int32_t sequence; /* 0 first text, 1 second, -1 special */
  int32_t word;     /* index of the word within its text, -1 none */
  int32_t byte_begin, byte_end;
  int32_t code_point_begin, code_point_end;
  int32_t window; /* 0, 1, ... in order; 0 without a stride */
} MlxeToken;

typedef struct MlxeTokens {
  MlxeToken* data;
  size_t size;
  size_t dropped; /* number of tokens that truncation removed */
  int at_least;   /* 1: the end of a long text was not tokenized; `dropped` does not count its tokens */
} MlxeTokens;

typedef struct MlxeEncodeOptions {
  int add_special_tokens;
  size_t max_length; /* in tokens, special ones included; 0: no limit */
  int strategy;      /* where to cut: 0 the longest text first, 1 only the first, 2 only the second */
  int keep_end;      /* 0: cut off the end of a text, 1: its beginning */
  /* -1: what is cut off is dropped; else it follows in further windows, each with all of the other text, special
   * tokens, and this many tokens of the window before. */
  int64_t stride;
} MlxeEncodeOptions;

/* A null `pair`: no second text. An empty `pair`: a second text without tokens. */
int mlxe_tokenizer_encode(const MlxeTokenizer* tokenizer, const char* text, size_t size, const char* pair,
                          size_t pair_size, MlxeEncodeOptions options, MlxeTokens* tokens, MlxeString* error);
void mlxe_free_tokens(MlxeTokens tokens);

/* ---- Unicode's lower case of a text. */
int mlxe_lower_case(const char* text, size_t size, MlxeString* lower, MlxeString* error);

/* ---- Progress bar on stderr, one stage at a time. Silent if stderr is not a terminal. One thread at a time. */
typedef struct MlxeProgress MlxeProgress;
MlxeProgress* mlxe_progress_new(int draws); /* 0: never draws */
void mlxe_progress_update(MlxeProgress* bar, const char* stage, size_t size, uint64_t done, uint64_t total);
int mlxe_progress_print(MlxeProgress* bar, const char* line,
                        size_t size);       /* 0: no bar is drawn, nothing printed */
void mlxe_progress_free(MlxeProgress* bar); /* removes the bar from the screen */

/* ---- Charts: `json` as src/rust/src/chart.rs declares it, `svg` a whole SVG document. */
int mlxe_chart_svg(const char* json, size_t size, MlxeString* svg, MlxeString* error);

/* ---- TOML as JSON: {"values": the document, dates as texts, "lines": {JSON pointer: the line its key or
 * array element begins at, from 1}}. An error starts with "line:column: ". */
int mlxe_toml_json(const char* toml, size_t size, MlxeString* json, MlxeString* error);

/* ---- Chat templates: `template` is Jinja as transformers renders it, `variables` a JSON object. An endless template is an
 * error. */
int mlxe_chat_template_render(const char* template_text, size_t size, const char* variables,
                              size_t variables_size, MlxeString* text, MlxeString* error);

/* ---- A SentencePiece model: {"pieces": [[text, score, type], ...], "model_type", "byte_fallback", "unk_id",
 * "unk_piece", "charsmap": base64, empty if there is none}, numbers as in sentencepiece_model.proto. */
int mlxe_sentencepiece_json(const char* model, size_t size, MlxeString* json, MlxeString* error);

/* ---- Zip: the entries of an archive as a JSON list of {"name", "begin": of the data within the archive, "size": the
 * bytes there, "stored": neither compressed nor encrypted}. Nothing guarantees that they lie inside. */
int mlxe_zip_entries(const uint8_t* archive, size_t size, MlxeString* json, MlxeString* error);

/* ---- An ONNX model: {"producer", "nodes": [{"op", "name", "inputs", "outputs", "ints", "floats", "lists": attributes by name,
 * "scopes": the modules around it as torch writes them, "value": the tensor of that attribute or null,
 * "matrices_inside": number in graphs of its own}], "tensors": [tensor], "sparse": their number}. A tensor is {"name",
 * "dims", "type": as in onnx.proto, "in": "raw", "numbers" (packed floats or doubles), "varints" (packed integers),
 * "external" or "many" (in several of these), "begin", "size": of its bytes in `model`, "external": {key: value}}. */
int mlxe_onnx_graph(const uint8_t* model, size_t size, MlxeString* json, MlxeString* error);
/* Exactly `count` packed integers. */
int mlxe_onnx_varints(const uint8_t* packed, size_t size, int64_t* numbers, size_t count, MlxeString* error);

/* ---- Reading Parquet: `file` outlives the reader. `json`: {"rows": their number, "columns": [{"name", "bytes": whether they
 * may be texts without being said to be}] of texts, numbers or lists of them, in order}. One thread at a time. */
typedef struct MlxeParquet MlxeParquet;
int mlxe_parquet_open(const uint8_t* file, size_t size, MlxeParquet** reader, MlxeString* json,
                      MlxeString* error);
/* The columns that are read, as indexes into "columns"; before the first row. */
int mlxe_parquet_choose(MlxeParquet* reader, const size_t* columns, size_t count, MlxeString* error);
/* The next rows as a JSON list, each a list of the chosen columns' cells; an empty list at the end. */
int mlxe_parquet_next(MlxeParquet* reader, MlxeString* json, MlxeString* error);
void mlxe_parquet_free(MlxeParquet* reader);

/* ---- Writing Parquet. `json`: {"dtype": "F32", "F16", "I8" or "U8", "width": values of a vector, "numbers": names of columns of
 * int64}. `file`: the next bytes of the file. One thread at a time. */
typedef struct MlxeParquetWriter MlxeParquetWriter;
int mlxe_parquet_writer_new(const char* json, size_t size, MlxeParquetWriter** writer, MlxeString* error);
/* `vectors`: [rows, width]; `numbers`: [columns, rows]. */
int mlxe_parquet_write(MlxeParquetWriter* writer, size_t rows, const uint8_t* vectors, const int64_t* numbers,
                       MlxeString* file, MlxeString* error);
int mlxe_parquet_finish(MlxeParquetWriter* writer, MlxeString* file, MlxeString* error);
void mlxe_parquet_writer_free(MlxeParquetWriter* writer);

/* ---- Base64: the standard alphabet, padded. */
int mlxe_base64(const uint8_t* data, size_t size, MlxeString* text, MlxeString* error);

/* ---- SHA-256. */
typedef struct MlxeSha256 MlxeSha256;
MlxeSha256* mlxe_sha256_new(void);
void mlxe_sha256_update(MlxeSha256* hash, const uint8_t* data, size_t size);
void mlxe_sha256_finish(MlxeSha256* hash, uint8_t digest[32]); /* and starts anew */
void mlxe_sha256_free(MlxeSha256* hash);

#ifdef __cplusplus
}
#endif

#endif
