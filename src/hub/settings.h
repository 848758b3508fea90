// Where the hub and its cache are, and how files are transferred.
#pragma once

#include <chrono>
#include <cstdint>
#include <filesystem>
#include <string>

#include "mlx_encoder/hub.h"

namespace mlxe {

struct HubSettings {
  std::filesystem::path cache;
  std::string endpoint;  // without a slash at the end
  std::string token;     // empty: none
  bool offline = false;
  Warning warning = {};
  Progress progress = {};

  // A large file is received in parts of this size over several connections. Parts that arrive early wait in memory.
  uint64_t part_bytes = uint64_t{8} << 20;
  size_t connections = 8;
  // A connection that gives nothing for this long is given up.
  std::chrono::seconds connect_time{10}, stall_time{30};
  // Attempts after the first one that brought no byte, and the pause before them, which doubles.
  int retries = 4;
  std::chrono::milliseconds pause{500};
  std::chrono::milliseconds longest_pause{120'000};  // of those that a server asks for
};

// Errors: usage (an endpoint that is no http address, a token with other characters than a token has), io (a token
// file that cannot be read).
HubSettings hub_settings(const HubOptions& options);

// "scheme://host:port" in lower case with the port written out; empty if `url` is no http(s) address, or
// has a blank, a control character or a backslash.
std::string origin_of(const std::string& url);

}  // namespace mlxe
