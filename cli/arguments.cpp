#include "arguments.h"

#include <fmt/format.h>

#include <algorithm>
#include <charconv>
#include <cstdint>
#include <functional>
#include <string_view>
#include <vector>

#include "base/nearest.h"
#include "base/text.h"
#include "format/json_file.h"
#include "mlx_encoder/error.h"

namespace mlxe::cli {
namespace {

// Arguments whose values are texts: they may be empty, and may look like an option.
constexpr std::string_view kTexts[] = {"text",     "query",      "prompt",   "--pair",
                                       "--prompt", "--question", "--context"};

// A zero byte beside a value keeps CLI11 from reading more into it. It is removed when the value is checked.
// (No argument of a program contains a zero byte.)
//   after a final "]"            else "[a,b]" is a list, which loses its brackets
//   before what follows "--"     else "-b" is an option
constexpr char kGuard = '\0';

bool follows_mark(const std::string& value) {
  return !value.empty() && value.front() == kGuard;
}

std::string unguarded(std::string value) {
  if (value.size() > 1 && value.back() == kGuard) value.pop_back();
  if (follows_mark(value)) value.erase(0, 1);
  return value;
}

// CLI11 leaves a command at "--" if each of its positional arguments has a value, although `text` may take
// more. So "--" is replaced by a hidden flag with a name that nobody types. It ends a list of values as "--"
// does.
constexpr const char* kMark = "--\x7f";

bool holds_text(const CLI::Option& option) {
  return std::ranges::find(kTexts, option.get_name()) != std::end(kTexts);
}

// A check returns the end of an error text, "found ..., expected ...", or "" if the value is valid.
using Check = std::function<std::string(std::string& value)>;

CLI::Validator validator(Check check) {
  return {std::move(check), std::string()};
}

std::string expected(const std::string& value, const std::string& what) {
  return fmt::format("found {}, expected {}", printable(value), what);
}

// Rewrites the number as plain decimal digits: CLI11 would read "010" as 8.
template <class Integer>
std::string check_whole(std::string& value, const char* what) {
  Integer number = 0;
  const auto [end, error] = std::from_chars(value.data(), value.data() + value.size(), number);
  if (error == std::errc::invalid_argument || end != value.data() + value.size())
    return expected(value, what);
  if (error == std::errc::result_out_of_range) return fmt::format("{} is out of range", printable(value));
  value = std::to_string(number);
  return {};
}

std::string check_finite(std::string& value) {
  const bool blank = value.find(' ') != value.npos;
  return !blank && finite_number(value) ? std::string() : expected(value, "a finite number");
}

Check check_of_type(const std::string& type) {
  if (type == "INT") return [](std::string& v) { return check_whole<int64_t>(v, "a whole number"); };
  if (type == "UINT")
    return [](std::string& v) { return check_whole<uint64_t>(v, "a whole number from 0 on"); };
  if (type == "FLOAT") return check_finite;
  return [](std::string&) { return std::string(); };
}

// Adds the checks that apply to every value. They run before the option's own checks.
void add_checks(const CLI::App& command, CLI::Option& option) {
  if (option.get_expected_max() == 0) return;  // a flag
  const bool is_text = holds_text(option);
  option.transform(validator(
      [&command, is_text, check = check_of_type(option.get_type_name())](std::string& value) -> std::string {
        const bool may_be_option = !follows_mark(value);
        value = unguarded(value);
        if (is_text) return {};
        if (value.empty()) return "the value is empty; is a variable unset?";
        if (may_be_option && value.starts_with("--") && command.get_option_no_throw(value) != nullptr)
          return fmt::format("its value is missing; {} is an option", value);
        return check(value);
      }));
}

// The index of the first "--" that is not the value of an option; the number of arguments if there is none.
size_t find_mark(const CLI::App& command, const std::vector<std::string>& arguments) {
  for (size_t i = 1; i < arguments.size(); ++i) {
    if (arguments[i] == "--") return i;
    const CLI::Option* option =
        arguments[i].starts_with('-') ? command.get_option_no_throw(arguments[i]) : nullptr;
    if (option != nullptr && option->get_items_expected_min() > 0) ++i;
  }
  return arguments.size();
}

// Guards the arguments as described at kGuard and kMark. The first one names the command.
void guard(const CLI::App& app, std::vector<std::string>& arguments) {
  const auto commands = app.get_subcommands([&](const CLI::App* command) {
    return !arguments.empty() && command->get_name() == arguments.front();
  });
  const size_t mark = commands.empty() ? arguments.size() : find_mark(*commands.front(), arguments);
  for (size_t i = 0; i < arguments.size(); ++i) {
    if (arguments[i].ends_with(']')) arguments[i] += kGuard;
    if (i > mark) arguments[i].insert(0, 1, kGuard);
  }
  if (mark < arguments.size()) arguments[mark] = kMark;
}

// Refuses "--gates=": CLI11 would take the next argument as the value.
void refuse_empty_assignments(const std::vector<std::string>& arguments) {
  for (const std::string& a : arguments) {
    if (a == "--") return;
    if (a.size() > 3 && a.starts_with("--") && a.find('=') == a.size() - 1)
      throw Error(ErrorCode::usage,
                  fmt::format("{}: the value is empty; is a variable unset?", a.substr(0, a.size() - 1)));
  }
}

std::vector<std::string> option_names(const CLI::App& command) {
  std::vector<std::string> names;
  for (const CLI::Option* option : command.get_options()) {
    if (option->get_group().empty()) continue;  // hidden
    for (const std::string& name : option->get_lnames()) names.push_back("--" + name);
    for (const std::string& name : option->get_snames()) names.push_back("-" + name);
  }
  return names;
}

std::vector<std::string> command_names(const CLI::App& app) {
  std::vector<std::string> names;
  for (const CLI::App* command : app.get_subcommands({}))
    if (!command->get_group().empty()) names.push_back(command->get_name());
  return names;
}

std::string unknown_option(const std::string& argument, const CLI::App* command, const CLI::App& app) {
  const std::string name = argument.substr(0, argument.find('='));
  const std::string where = command != nullptr ? command->get_name() + " has" : "there is";
  const std::string sentence =
      fmt::format("{} no option {}{}", where, printable(name), command != nullptr ? "" : " before a command");
  const bool has_letters = name.size() > 2;  // "-a" would be near every short option
  const std::string near =
      has_letters ? nearest(name, option_names(command != nullptr ? *command : app)) : std::string();
  if (!near.empty()) return fmt::format("{}; did you mean {}?", sentence, near);
  if (command != nullptr && command->get_option_no_throw("text") != nullptr && !name.starts_with("--"))
    return sentence + "; put all texts after -- if one begins with -";
  return fmt::format("{}; mlx-encoder {}--help lists them", sentence,
                     command != nullptr ? command->get_name() + " " : "");
}

std::string unknown_command(const std::string& name, const CLI::App& app) {
  const std::vector<std::string> known = command_names(app);
  const std::string near = nearest(name, known);
  if (!near.empty()) return fmt::format("there is no command {}; did you mean {}?", printable(name), near);
  return fmt::format("there is no command {}; the commands are {}", printable(name), fmt::join(known, ", "));
}

// The error text about arguments that no option took. Empty if there are none.
std::string about_leftovers(const CLI::App* command, const CLI::App& app) {
  std::vector<std::string> left = app.remaining(true);
  const auto is_option = [](const std::string& a) { return a.size() > 1 && a.front() == '-'; };
  if (command == nullptr && !left.empty() && !is_option(left.front()))
    return unknown_command(unguarded(left.front()), app);
  const auto mark = std::ranges::find(left, "--");
  const auto option = std::find_if(left.begin(), mark, is_option);
  if (option != mark) return unknown_option(unguarded(*option), command, app);
  const auto argument = std::ranges::find_if(left, [](const std::string& a) { return a != "--"; });
  if (argument == left.end() || command == nullptr) return {};
  return fmt::format("{0}: unexpected argument {1}; see mlx-encoder {0} --help", command->get_name(),
                     printable(unguarded(*argument)));
}

// The error text about a command's options that are missing, repeated or without a value.
std::string about_options(const CLI::App& command, const CLI::ParseError& error) {
  const std::string what = error.what();
  for (const CLI::Option* option : command.get_options()) {
    const std::string name = option->get_name();
    const auto values = static_cast<int>(option->count());
    const bool mismatch = what.starts_with(name + ":"), unreadable = what.find(name + " =") != what.npos;
    if ((mismatch || unreadable) && option->get_expected_max() == 0)
      return fmt::format("{}: takes no value", name);
    if (mismatch)
      return values > option->get_items_expected_max()
                 ? fmt::format("{}: given {} times; give it once", name, values)
                 : fmt::format("{}: its value is missing", name);
    if (unreadable) return fmt::format("{}: {} is out of range", name, printable(option->results().back()));
    if (dynamic_cast<const CLI::RequiredError*>(&error) != nullptr && option->get_required() && values == 0)
      return fmt::format("{}: {} is missing ({})", command.get_name(), name, option->get_description());
  }
  return fmt::format("the arguments can't be read; see mlx-encoder {} --help", command.get_name());
}

std::string usage_sentence(const CLI::App& app, const CLI::ParseError& error) {
  const std::vector<CLI::App*> chosen = app.get_subcommands();
  const CLI::App* command = chosen.empty() ? nullptr : chosen.front();
  if (dynamic_cast<const CLI::ValidationError*>(&error) != nullptr) return error.what();  // from our checks
  if (std::string left = about_leftovers(command, app); !left.empty()) return left;
  if (command == nullptr) return fmt::format("give a command: {}", fmt::join(command_names(app), ", "));
  return about_options(*command, error);
}

CLI::Validator in_range(std::function<bool(double)> holds, std::string range) {
  return validator([holds = std::move(holds), range = std::move(range)](std::string& value) {
    const std::optional<double> number = finite_number(value);
    return number && holds(*number) ? std::string() : expected(value, range);
  });
}

}  // namespace

CLI::Validator at_least(double lowest) {
  return in_range([=](double v) { return v >= lowest; }, fmt::format("a number from {:g} on", lowest));
}

CLI::Validator above(double limit) {
  return in_range([=](double v) { return v > limit; }, fmt::format("a number above {:g}", limit));
}

CLI::Validator between(double lowest, double highest) {
  return in_range([=](double v) { return v >= lowest && v <= highest; },
                  fmt::format("a number from {:.6g} to {:.6g}", lowest, highest));
}

std::optional<int> parse_arguments(CLI::App& app, int argc, char** argv) {
  for (CLI::App* command : app.get_subcommands({})) {
    for (CLI::Option* option : command->get_options()) add_checks(*command, *option);
    command->add_flag(kMark)->group("");
  }
  std::vector<std::string> arguments(argv + 1, argv + argc);
  refuse_empty_assignments(arguments);
  guard(app, arguments);
  std::ranges::reverse(arguments);  // CLI11 expects them in reverse order
  try {
    app.parse(std::move(arguments));
  } catch (const CLI::Success& done) {
    return app.exit(done);
  } catch (const CLI::ParseError& error) {
    throw Error(ErrorCode::usage, usage_sentence(app, error));
  }
  return std::nullopt;
}

bool wants_json(int argc, char** argv) {
  for (int i = 1; i < argc && std::string_view(argv[i]) != "--"; ++i)
    if (std::string_view(argv[i]) == "--json") return true;
  return false;
}

}  // namespace mlxe::cli
