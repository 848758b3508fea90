// README.md of a converted folder: the stored schemes and how to load the folder.
#pragma once

#include <filesystem>
#include <optional>
#include <string>

#include "mlx_encoder/convert.h"
#include "models/outputs.h"

namespace mlxe {

struct CardFacts {
  std::string title;         // the source folder's name
  std::string base_model;    // "org/name" on the hub, or empty
  std::string front_matter;  // lines reused from the source's card: its license and task
  std::string model_type;
  Layout layout = Layout::hf;
  Mode mode = Mode::none;       // as requested; the card gives the stored one
  bool sentence_model = false;  // has sentence-transformers modules
  std::string example;          // arguments of the program that run what is written
};

std::string model_card(const CardFacts& facts, const ConversionPlan& plan);

// The lines of a source README.md's YAML front matter that still hold for the converted model (license,
// license_name, license_link, language, pipeline_tag), each ended by a line break; empty without any.
std::string reusable_front_matter(const std::filesystem::path& readme);

// Replaces the text between the card's measurement marks by `markdown`. `compare` enters its figures this way. The card
// is replaced in one step or not at all. Errors: not_found, format (no marks), io.
void insert_measurements(const std::filesystem::path& folder, const std::string& markdown);
// To call before measuring: throws the errors of insert_measurements() for a folder without a card with marks.
void require_measurement_place(const std::filesystem::path& folder);

}  // namespace mlxe
