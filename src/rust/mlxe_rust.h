/* The C edge of the Rust half (src/rust). Only the C++ faces include this file:
 *   src/tokenizer/tokenizer.cpp, src/base/sha256.cpp, src/base/progress_bar.cpp, src/compare/chart.cpp
 *
 * Ownership. `mlxe_*_new` and `mlxe_*_load` give an object that its `mlxe_*_free` takes back; an MlxeString that
 * a function fills is given back with mlxe_free_string. Arguments are borrowed for the call only.
 * Text is UTF-8 with an explicit length and may hold NUL; a null pointer is an empty text.
 * Errors. A function that can fail returns an MlxeStatus and, when it is not MLXE_OK, fills `error` with one
 * sentence. A panic on the Rust side never crosses: it arrives as MLXE_INTERNAL. Nothing is printed.
 * Threads. An object may be used by many threads at once through functions that take it const.
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
