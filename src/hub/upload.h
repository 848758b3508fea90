// A model folder to a repository of the hub, as one commit.
//
// Of the hub's API: /api/repos/create; /api/models/REPO/preupload/main says which files are large; those go to the
// storage that the LFS batch names, in one piece or in several; /api/models/REPO/commit/main takes the small files
// and the hashes of the large ones. Storage that has a large file already does not ask for it.
#pragma once

#include <cstdint>
#include <filesystem>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "hub/http.h"
#include "hub/hub_name.h"
#include "hub/settings.h"
#include "mlx_encoder/hub.h"

namespace mlxe {

// `text` is the name of a repository that can be uploaded to, and the settings allow it. Errors: usage (a name with a
// revision, offline, no token), unsupported (a build without libcurl).
HubName require_upload_target(std::string_view text, const HubSettings& settings);

class Upload {
 public:
  // Both references must outlive the object. Errors: not_found (no such folder), usage (it is no model folder).
  Upload(const HubSettings& settings, const HubName& name, const std::filesystem::path& folder);

  // Errors: io (the hub cannot be reached or refuses; a file cannot be read), format (an answer that is malformed).
  Uploaded run();

 private:
  struct File {
    std::filesystem::path path;
    std::string name;  // in the repository
    uint64_t size = 0;
    bool is_large = false;
    std::string sha256;  // of a large one
  };

  void create_repository();
  void ask_which_are_large();
  void send_large_files();
  void send(const File& file, const nlohmann::json& actions);
  void send_in_parts(const File& file, const nlohmann::json& upload, uint64_t part_bytes);
  HttpContent piece_of(const File& file, uint64_t from, uint64_t size);
  Uploaded commit();
  nlohmann::json post(const std::string& url, const char* type, const std::string& body, const char* doing);
  void require_good(const HttpAnswer& answer, const std::string& doing) const;

  const HubSettings& settings_;
  const HubName& name_;
  HttpClient http_;
  std::vector<File> files_;
  uint64_t sent_ = 0, to_send_ = 0;
};

// Asks the hub whether the token is good, so that an upload after a long conversion does not fail of it. Errors: io.
void require_token(const HubSettings& settings);

}  // namespace mlxe
