// The settings of a model folder that results depend on, and the file that each comes from.
#pragma once

#include <map>
#include <string>
#include <vector>

#include "encoder/model_loader.h"
#include "mlx_encoder/verify.h"
#include "tokenizer/tokenizer.h"

namespace mlxe {

// Settings of sentence vectors, and of the classifier if the model has one. `tokenizer`: null if the folder has none that
// could be loaded.
std::vector<SettingInForce> settings_in_force(const LoadedModel& model, const Tokenizer* tokenizer);

// The values by name.
std::map<std::string, std::string> by_name(const std::vector<SettingInForce>& settings);

}  // namespace mlxe
