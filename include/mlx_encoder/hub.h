// Models of the Hugging Face hub: from a name to a local folder.
#pragma once

#include <cstdint>
#include <filesystem>
#include <optional>
#include <string>
#include <string_view>

#include "mlx_encoder/types.h"

namespace mlxe {

// An unset field takes the value that huggingface_hub takes from the environment.
struct HubOptions {
  std::optional<std::filesystem::path> cache;  // HF_HUB_CACHE [HF_HOME/hub; HF_HOME: ~/.cache/huggingface]
  std::optional<std::string> endpoint;         // HF_ENDPOINT [https://huggingface.co]
  std::optional<std::string> token;            // HF_TOKEN [the file HF_HOME/token]; empty: none
  std::optional<bool> offline;                 // HF_HUB_OFFLINE: only the cache is read
  // Told of a server that asks to wait, and of a cached model that is used although the hub cannot be asked
  // whether it is complete.
  Warning warning = {};
  Progress progress = {};  // bytes of a download
};

// Whether `text` may name a model on the hub: "org/name", "org/name@revision", or "name" as old models have.
// A revision is a branch, a tag or a commit; main if it is absent.
bool is_hub_name(std::string_view text);

// The folder of a model on the hub, in the cache that huggingface_hub shares:
// CACHE/models--org--name/snapshots/COMMIT. A revision that the cache holds complete is used without a request.
// Else downloads the files that a run or conversion needs, with the weights in one format; what an interrupted
// download received is kept and not downloaded again. Safe for concurrent calls and processes.
// Errors: usage (not a name), not_found (no such model, revision or file; no weights; offline and not in the
// cache), io (the hub cannot be reached, refuses access or answers with an error; other bytes than announced; the
// cache cannot be written), format (an answer or a file name that is malformed), unsupported (weights in other
// formats alone; a build without libcurl).
std::filesystem::path hub_snapshot(std::string_view name, const HubOptions& options = {});

// What a user calls a model: a path, if there is a file or folder of that name, else a name on the hub. A text that
// is neither is returned as it is. A weight file ("onnx/model_quantized.onnx") means the model whose files are around
// it with the weights of that file: a temporary folder of links, removed when the process ends. A GGUF file needs none
// around it, and a folder may hold one alone. Errors: as hub_snapshot; not_found (a weight file without a model folder
// around it); usage (a folder with several GGUF files); format, unsupported (a GGUF file).
std::filesystem::path model_folder(const std::string& path_or_name, const HubOptions& options = {});

// An upload.
struct Uploaded {
  std::string commit;  // of the repository, 40 hexadecimal digits
  std::string url;     // of the repository
  uint64_t bytes = 0;  // of large files that were sent; those that the hub had already are not
};

// Uploads the files of a model folder to the repository "org/name" as one commit to its main branch; creates the
// repository if there is none. Other files of the repository stay. Needs a token that may write. What was sent before a
// failure is not sent again. Errors: usage (not such a name, no token, offline, no model folder), not_found (no such
// folder), io (the hub cannot be reached or refuses, a file cannot be read), format (an answer that is malformed),
// unsupported (a build without libcurl).
Uploaded upload_model(const std::filesystem::path& folder, std::string_view repo,
                      const HubOptions& options = {});

// Throws if upload_model could not begin: its errors of usage, and of a token that the hub does not know. For callers
// with long work before the upload.
void require_upload(std::string_view repo, const HubOptions& options = {});

}  // namespace mlxe
