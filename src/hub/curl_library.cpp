#include "hub/curl_library.h"

#include <dlfcn.h>
#include <fmt/format.h>

#include <string>

#include "mlx_encoder/error.h"

namespace mlxe {
namespace {

constexpr const char* kNames[] = {"libcurl.so.4", "libcurl.4.dylib"};

CurlLibrary open_curl() {
  void* opened = nullptr;
  std::string why;
  for (const char* name : kNames) {
    if (opened != nullptr) break;
    opened = ::dlopen(name, RTLD_NOW | RTLD_LOCAL);
    if (opened == nullptr && why.empty()) why = ::dlerror();
  }
  if (opened == nullptr)
    throw Error(ErrorCode::unsupported,
                fmt::format("libcurl: can't be opened, and a download needs it: {}; install it", why));
  CurlLibrary library{};
  const auto find = [&](auto& function, const char* name) {
    function = reinterpret_cast<std::remove_reference_t<decltype(function)>>(::dlsym(opened, name));
    if (function == nullptr)
      throw Error(ErrorCode::unsupported,
                  fmt::format("libcurl: has no {}, expected version 7.85 or newer; update it", name));
  };
  find(library.global_init, "curl_global_init");
  find(library.easy_init, "curl_easy_init");
  find(library.easy_reset, "curl_easy_reset");
  find(library.setopt, "curl_easy_setopt");
  find(library.getinfo, "curl_easy_getinfo");
  find(library.perform, "curl_easy_perform");
  find(library.strerror, "curl_easy_strerror");
  find(library.easy_cleanup, "curl_easy_cleanup");
  find(library.getdate, "curl_getdate");
  find(library.slist_append, "curl_slist_append");
  find(library.slist_free_all, "curl_slist_free_all");
  find(library.multi_init, "curl_multi_init");
  find(library.multi_add, "curl_multi_add_handle");
  find(library.multi_remove, "curl_multi_remove_handle");
  find(library.multi_perform, "curl_multi_perform");
  find(library.multi_poll, "curl_multi_poll");
  find(library.multi_info_read, "curl_multi_info_read");
  find(library.multi_cleanup, "curl_multi_cleanup");
  if (library.global_init(CURL_GLOBAL_DEFAULT) != CURLE_OK)
    throw Error(ErrorCode::unsupported, "libcurl: can't be initialized; reinstall it");
  return library;
}

}  // namespace

const CurlLibrary& curl() {
  static const CurlLibrary library = open_curl();
  return library;
}

}  // namespace mlxe
