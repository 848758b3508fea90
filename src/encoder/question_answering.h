// Questions answered with parts of a text.
#pragma once

#include <span>
#include <vector>

#include "encoder/text_runner.h"
#include "mlx_encoder/encoder.h"

namespace mlxe {

// Encoder::answer.
std::vector<std::vector<Answer>> answer_questions(const TextRunner& runner,
                                                  std::span<const Question> questions,
                                                  const AnswerOptions& options);

}  // namespace mlxe
