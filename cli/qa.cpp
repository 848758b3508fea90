// mlx-encoder qa: parts of texts that answer questions.
#include <fmt/format.h>

#include <iostream>
#include <memory>
#include <nlohmann/json.hpp>
#include <utility>

#include "arguments.h"
#include "command.h"
#include "mlx_encoder/error.h"
#include "print_json.h"
#include "report/report_text.h"
#include "texts.h"

namespace mlxe::cli {
namespace {

constexpr const char* kQuestionColumns[] = {"question", "query"};
constexpr const char* kContextColumns[] = {"context", "passage", "text"};

struct QaCommand {
  RunOptions run;
  std::string question, context;
  CLI::Option *question_option = nullptr, *context_option = nullptr;
  TextSource contexts;
  AnswerOptions options;
  int64_t doc_stride = 0, max_seq_len = 0;
  CLI::Option *doc_stride_option = nullptr, *max_seq_len_option = nullptr;
  bool no_align = false;
};

Question question_of(const QaCommand& o, const CellRow& row) {
  const bool given = o.question_option->count() > 0;
  const auto own = row.text(kQuestionColumns);
  auto context = row.text(kContextColumns);
  if (given && own)
    throw Error(ErrorCode::usage,
                fmt::format("{}: the row has a question of its own; leave --question out", row.where()));
  if (!given && !own)
    throw Error(ErrorCode::usage,
                fmt::format("{}: found no question; give --question, or a file with the column {}",
                            row.where(), fmt::join(kQuestionColumns, " or ")));
  if (!context)
    throw Error(ErrorCode::format, fmt::format("{}: found no context, expected a column {}", row.where(),
                                               fmt::join(kContextColumns, " or ")));
  return {given ? o.question : *own, std::move(*context)};
}

// For people.
constexpr size_t kShownOfContext = 60;  // characters

void print(const Question& q, const std::vector<Answer>& answers) {
  std::cout << q.question << "  |  " << shortened(q.context, kShownOfContext) << '\n';
  if (answers.empty()) std::cout << "  (no answer: no part of the context has a probability above 0)\n";
  for (const Answer& a : answers)
    std::cout << fmt::format("  {:.4f}  {:>6} to {:<6}  {}\n", a.score, a.begin, a.end,
                             a.text.empty() ? "(no answer)" : a.text);
}

int qa(const QaCommand& o) {
  TextSource contexts = o.contexts;
  if (o.context_option->count() > 0) {
    if (!contexts.arguments.empty() || !contexts.input.empty())
      throw Error(ErrorCode::usage, "--context and other contexts were given; give one of the two");
    contexts.arguments = {o.context};
  }
  AnswerOptions options = o.options;
  options.align_to_words = !o.no_align;
  if (o.doc_stride_option->count() > 0) options.doc_stride = o.doc_stride;
  if (o.max_seq_len_option->count() > 0) options.max_seq_len = o.max_seq_len;
  options.progress = progress();
  const Encoder encoder = o.run.load(RunOptions::Use::no_vectors);
  size_t done = 0;
  std::vector<Question> questions;
  const auto run = [&] {
    options.first_text = done;
    const auto answers = encoder.answer(questions, options);
    for (size_t i = 0; i < questions.size(); ++i) {
      if (!o.run.json) {
        print(questions[i], answers[i]);
        continue;
      }
      nlohmann::json found = nlohmann::json::array();
      for (const Answer& a : answers[i])
        found.push_back({{"score", a.score}, {"begin", a.begin}, {"end", a.end}, {"text", a.text}});
      print_json(nlohmann::json{{"index", done + i}, {"answers", std::move(found)}});
    }
    done += questions.size();
    questions.clear();
  };
  contexts.read_cells([&](const CellRow& row) {
    questions.push_back(question_of(o, row));
    if (questions.size() == kWindow) run();
  });
  if (!questions.empty()) run();
  return 0;
}

}  // namespace

void add_qa(CLI::App& app, Run& run) {
  CLI::App* command =
      app.add_subcommand("qa", "Answer questions with parts of texts (extractive question answering)");
  auto o = std::make_shared<QaCommand>();
  o->run.add_to(*command);
  o->question_option = command->add_option("--question", o->question,
                                           "Question to every text; left out for a file with questions");
  o->context_option =
      command->add_option("--context", o->context, "Text that holds the answer; also TEXTS or --input");
  o->contexts.add_to(*command, true);
  command->add_option("--top-k", o->options.top_k, "Most answers to a question")
      ->check(at_least(1))
      ->capture_default_str();
  command->add_option("--max-answer-len", o->options.max_answer_len, "Most tokens of an answer")
      ->check(at_least(1))
      ->capture_default_str();
  o->max_seq_len_option =
      command
          ->add_option("--max-seq-len", o->max_seq_len,
                       "Most tokens of a window: question, part of the text [384, or the model's limit]")
          ->check(at_least(1));
  o->doc_stride_option =
      command
          ->add_option("--doc-stride", o->doc_stride,
                       "Tokens of a long text that neighbouring windows share [128, or half a window]")
          ->check(at_least(0));
  command->add_flag("--no-answer", o->options.handle_impossible_answer,
                    "The question may have no answer: list that, too, with its score");
  command->add_flag("--no-align-to-words", o->no_align, "Answers may begin and end inside words");
  command->callback([o, &run] { run = [o] { return qa(*o); }; });
}

}  // namespace mlxe::cli
