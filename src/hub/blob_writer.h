// The content of one file while it is received.
#pragma once

#include <cstdint>
#include <filesystem>
#include <string>
#include <string_view>

#include "hub/hub_client.h"

namespace mlxe {

// Appends to BLOB.incomplete, which always holds the first bytes of the content: another process, of huggingface_hub
// too, can go on with it. To be used under the blob's lock. Errors: io.
class BlobWriter {
 public:
  // Goes on with what is there, unless it is longer than the file.
  BlobWriter(const std::filesystem::path& blob, const RemoteFile& remote);
  ~BlobWriter();
  BlobWriter(const BlobWriter&) = delete;
  BlobWriter& operator=(const BlobWriter&) = delete;

  uint64_t size() const noexcept { return size_; }
  bool is_resumed() const noexcept { return is_resumed_; }
  void append(std::string_view bytes);
  // Checks size and hash and gives the blob its name. False if the hash is another one: then nothing is left.
  bool finish();

 private:
  std::filesystem::path blob_, incomplete_;
  const RemoteFile& remote_;
  int fd_ = -1;
  uint64_t size_ = 0;
  bool is_resumed_ = false;
};

}  // namespace mlxe
