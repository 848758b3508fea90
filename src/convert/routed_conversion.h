// The conversion of a Router with an encoder in each route (format/encoder_routes.h): each route is converted as a model of
// its own, and the files go to where the Router has them. An encoder's folder then holds the record and the golden of its
// route, and the folder of the whole model a record of all files.
#pragma once

#include <cstdint>
#include <filesystem>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "convert/prepared_conversion.h"
#include "format/encoder_routes.h"
#include "format/provenance.h"

namespace mlxe {

class RoutedConversion {
 public:
  // Plans every route. Errors: those of prepare() for each; unsupported (another layout than hf; an encoder that is in the
  // folder of the whole model, or that several routes share).
  RoutedConversion(EncoderRoutes routes, const ConvertOptions& options, Purpose purpose = Purpose::convert);

  std::vector<PreparedConversion>& routes() noexcept { return prepared_; }
  const std::vector<PreparedConversion>& routes() const noexcept { return prepared_; }
  // Of all routes. Tensors and weight files have their encoder's folder before their names.
  ConversionPlan plan() const;
  // As PreparedConversion::report_warnings.
  void report_warnings() const;
  // Reports the warnings; then writes all routes under a hidden name and gives the folder its name, unless it holds this
  // conversion. Errors: those of convert().
  Conversion convert(const Progress& progress) const;

 private:
  std::filesystem::path place(size_t route, const std::filesystem::path& file) const;
  CarriedFiles own_files() const;
  std::vector<std::string> source_files() const;
  std::map<std::string, uint64_t> predicted_files() const;
  std::string card(const ConversionPlan& plan) const;
  std::string digest() const;
  void write_route(size_t route, const std::filesystem::path& folder, const Progress& progress,
                   Conversion& result, Provenance& record) const;

  EncoderRoutes routes_;
  ConvertOptions options_;
  std::vector<PreparedConversion> prepared_;  // by route
};

// A conversion of any folder: of one model, or of each route of a Router.
class FolderConversion {
 public:
  // Errors: those of prepare() and RoutedConversion.
  explicit FolderConversion(const ConvertOptions& options, Purpose purpose = Purpose::convert);

  // One, or one a route.
  std::vector<PreparedConversion>& parts() noexcept { return routed_ ? routed_->routes() : single_; }
  ConversionPlan plan() const { return routed_ ? routed_->plan() : single_.front().plan(); }
  void report_warnings() const;
  Conversion convert(const Progress& progress) const;

 private:
  std::optional<RoutedConversion> routed_;
  std::vector<PreparedConversion> single_;
};

}  // namespace mlxe
