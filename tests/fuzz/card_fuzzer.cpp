// README.md of a model: the front matter kept from a source's card consists of whole lines and has no fence
// of its own. Measurements that are entered twice are in the card once.
#include "convert/model_card.h"

#include "fuzz_input.h"

using mlxe::fuzz::require;

namespace {

std::string text_of(const std::filesystem::path& file) {
  std::ifstream stream(file, std::ios::binary);
  return {std::istreambuf_iterator<char>(stream), {}};
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  static const mlxe::fuzz::Folder folder;
  const std::filesystem::path readme = folder.path / "README.md";
  mlxe::fuzz::put(readme, {reinterpret_cast<const char*>(data), size});
  mlxe::fuzz::expect_result_or_error([&] {
    const std::string kept = mlxe::reusable_front_matter(readme);
    require(kept.empty() || kept.back() == '\n');
    require(kept.size() <= size + 1 && !kept.starts_with("---") && kept.find("\n---") == kept.npos);
  });
  mlxe::fuzz::expect_result_or_error([&] {
    mlxe::insert_measurements(folder.path, "| a | b |");
    const std::string once = text_of(readme);
    require(once.find("| a | b |") != once.npos);
    mlxe::insert_measurements(folder.path, "| a | b |");
    require(text_of(readme) == once);
  });
  return 0;
}
