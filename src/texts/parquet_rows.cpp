#include "texts/parquet_rows.h"

#include <algorithm>
#include <memory>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "base/mapped_file.h"
#include "mlx_encoder/error.h"
#include "rust/rust_string.h"

namespace mlxe {
namespace {

struct FreeParquet {
  void operator()(MlxeParquet* reader) const noexcept { mlxe_parquet_free(reader); }
};

class ParquetReader {
 public:
  ParquetReader(const std::filesystem::path& file, const ChooseColumns& choose)
      : file_(file), where_(file.string() + ": ") {
    RustString description, error;
    MlxeParquet* reader = nullptr;
    check_rust(mlxe_parquet_open(reinterpret_cast<const uint8_t*>(file_.bytes().data()), file_.bytes().size(),
                                 &reader, description.out(), error.out()),
               where_, error);
    reader_.reset(reader);
    const auto json = nlohmann::json::parse(description.view());
    rows_ = std::max(json["rows"].get<int64_t>(), int64_t{1});
    this->choose(json["columns"], choose);
  }

  // Errors: format, unsupported.
  nlohmann::ordered_json next() {
    RustString rows, error;
    check_rust(mlxe_parquet_next(reader_.get(), rows.out(), error.out()), where_, error);
    return nlohmann::ordered_json::parse(rows.view());
  }

  Row row(nlohmann::ordered_json& cells) {
    Row row{.line = ++given_, .cells = nlohmann::ordered_json::object(), .unit = "row"};
    row.past = static_cast<uint64_t>(static_cast<double>(file_.bytes().size()) *
                                     (static_cast<double>(given_) / static_cast<double>(rows_)));
    for (size_t i = 0; i < names_.size(); ++i) row.cells[names_[i]] = std::move(cells[i]);
    return row;
  }

 private:
  void choose(const nlohmann::json& columns, const ChooseColumns& choose) {
    std::vector<std::string> all, texts;
    for (const nlohmann::json& column : columns) {
      all.push_back(column["name"]);
      if (!column["bytes"].get<bool>()) texts.push_back(column["name"]);
    }
    names_ = choose ? choose(all) : texts;
    std::vector<size_t> indexes;
    for (const std::string& name : names_)
      indexes.push_back(static_cast<size_t>(std::ranges::find(all, name) - all.begin()));
    RustString error;
    check_rust(mlxe_parquet_choose(reader_.get(), indexes.data(), indexes.size(), error.out()), where_,
               error);
  }

  MappedFile file_;
  std::string where_;
  std::unique_ptr<MlxeParquet, FreeParquet> reader_;
  int64_t rows_ = 1;
  size_t given_ = 0;
  std::vector<std::string> names_;
};

}  // namespace

void read_parquet_rows(const std::filesystem::path& file, const std::function<bool(const Row&)>& take,
                       IfEmpty if_empty, const ChooseColumns& choose) {
  ParquetReader reader(file, choose);
  bool any = false;
  for (auto rows = reader.next(); !rows.empty(); rows = reader.next()) {
    any = true;
    for (nlohmann::ordered_json& cells : rows)
      if (!take(reader.row(cells))) return;
  }
  if (!any && if_empty == IfEmpty::refuse) throw Error(ErrorCode::usage, file.string() + ": holds no rows");
}

}  // namespace mlxe
