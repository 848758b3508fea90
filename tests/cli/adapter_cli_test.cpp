// --adapter of the commands, from a folder and from the hub, and --task.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <nlohmann/json.hpp>

#include "hub/http.h"
#include "hub_server.h"
#include "model_folders.h"
#include "run_program.h"

namespace mlxe::test::adapter_cli_test {
namespace {

using testing::HasSubstr;

const std::string kAdapter = MLXE_TEST_DATA "/adapters/embeddings";
const std::string kBase = MLXE_TEST_DATA "/tiny/bert";

Outcome done(const std::vector<std::string>& arguments) {
  Outcome o = run_program(arguments);
  EXPECT_EQ(o.status, 0) << testing::PrintToString(arguments) << o.err;
  return o;
}

TEST(AdapterCommands, GiveTheMergedModelsResults) {
  const TemporaryFolder folder;
  const std::string merged = folder / "bert", vectors = folder / "v.npy";
  const auto vectors_of = [&](const std::string& model, const std::vector<std::string>& more) {
    std::vector<std::string> command{"embed", model,  "The cat sat on the warm piano.", "--engine", "cpu",
                                     "-o",    vectors};
    command.insert(command.end(), more.begin(), more.end());
    done(command);
    return read_file(vectors);
  };
  done({"convert", kBase, "--adapter", kAdapter, "--dtype", "float32", "--mlx-path", merged});
  EXPECT_EQ(vectors_of(kBase, {"--adapter", kAdapter}), vectors_of(merged, {}));
  EXPECT_NE(vectors_of(kBase, {}), vectors_of(merged, {}));
  // Of two models the original has it: without it, the merged one is far from it.
  write_file(folder / "texts.txt", "The cat sat on the warm piano.\nA question\nTake the second road\n");
  std::vector<std::string> compare{"compare",           kBase, merged, "--no-speed", "--json", "--texts",
                                   folder / "texts.txt"};
  EXPECT_EQ(nlohmann::json::parse(done(compare).out)["passed"], false);
  compare.insert(compare.end(), {"--adapter", kAdapter});
  EXPECT_EQ(nlohmann::json::parse(done(compare).out)["passed"], true);
}

TEST(AdapterCommands, SayWhatIsWrong) {
  const Outcome alone = run_program({"embed", kAdapter, "a text"});
  EXPECT_EQ(alone.status, 7);
  EXPECT_THAT(alone.err, HasSubstr("not a model; give its base model, \"./bert\", and --adapter"));
  EXPECT_EQ(run_program({"inspect", kAdapter}).err, alone.err);
  EXPECT_EQ(run_program({"embed", kBase, "a text", "--adapter", kBase}).status, 4);
  EXPECT_EQ(run_program({"bench", kBase, kBase, "--adapter", kAdapter}).status, 2);
}

TEST(AdapterCommands, TakeAnAdapterOfTheHub) {
  if (!has_http()) GTEST_SKIP() << "this build downloads nothing (MLXE_WITH_HUB=OFF)";
  const TemporaryFolder folder;
  HubServer server;
  server.add("org/adapter", kAdapter);
  server.add("org/base", kBase);
  const Variables variables{{"HF_HUB_CACHE", folder / "cache"},
                            {"HF_ENDPOINT", server.endpoint()},
                            {"HF_HUB_OFFLINE", ""},
                            {"HF_HUB_DISABLE_IMPLICIT_TOKEN", "1"},
                            {"HF_TOKEN", ""}};
  for (int i = 0; i < 2; ++i)  // from the hub, and from the cache
    done({"convert", "org/base", "--adapter", "org/adapter", "--mlx-path", folder / (i ? "a" : "b")});
  done({"convert", kBase, "--adapter", kAdapter, "--mlx-path", folder / "c"});
  EXPECT_EQ(read_file(folder / "a/model.safetensors"), read_file(folder / "c/model.safetensors"));
  EXPECT_THAT(read_file(folder / "a/README.md"), HasSubstr("base_model: org/base\n"));
}

TEST(TaskCommands, GiveTheTasksResults) {
  const TemporaryFolder folder;
  const std::string model = MLXE_TEST_DATA "/tiny/st_jina_v3", converted = folder / "query",
                    vectors = folder / "v.npy";
  const auto vectors_of = [&](const std::string& of, const std::vector<std::string>& more) {
    std::vector<std::string> command{"embed", of,     "The cat sat on the warm piano.", "--engine", "cpu",
                                     "-o",    vectors};
    command.insert(command.end(), more.begin(), more.end());
    done(command);
    return read_file(vectors);
  };
  done({"convert", model, "--task", "retrieval.query", "--dtype", "float32", "--mlx-path", converted});
  EXPECT_EQ(vectors_of(model, {"--task", "retrieval.query"}),
            vectors_of(converted, {"--task", "retrieval.query"}));
  EXPECT_NE(vectors_of(model, {"--task", "text-matching"}), vectors_of(converted, {}));
  done({"verify", converted, "--strict"});
  const Outcome without = run_program({"convert", model, "--strict", "--mlx-path", folder / "none"});
  EXPECT_EQ(without.status, 9);
  EXPECT_THAT(without.err, HasSubstr("choose one (--task, in evaluate --model-task)"));
  EXPECT_EQ(run_program({"embed", model, "a text", "--task", "clustering"}).status, 2);
  EXPECT_EQ(run_program({"embed", kBase, "a text", "--task", "clustering"}).status, 2);
  // Two tasks are no comparison.
  write_file(folder / "texts.txt", "The cat sat on the warm piano.\nA question\n");
  std::vector<std::string> compare{"compare",    model,     converted,
                                   "--no-speed", "--texts", folder / "texts.txt"};
  const Outcome refused = run_program(compare);
  EXPECT_EQ(refused.status, 2);
  EXPECT_THAT(refused.err, HasSubstr("has the weights of no task, and"));
  compare.insert(compare.end(), {"--task", "retrieval.query"});
  done(compare);
}

// Of a Router with an encoder in each route.
TEST(TaskCommands, ChooseARoute) {
  const TemporaryFolder folder;
  const std::string model = MLXE_TEST_DATA "/encoder_routers/static", converted = folder / "8bit",
                    alone = folder / "query";
  done({"convert", model, "-q", "--q-group-size", "32", "--strict", "--mlx-path", converted});
  done({"verify", converted, "--strict"});
  const auto vector_of = [](const std::string& of, const std::vector<std::string>& more) {
    std::vector<std::string> command{"embed", of, "The cat sat.", "--engine", "cpu", "--json", "--strict"};
    command.insert(command.end(), more.begin(), more.end());
    return done(command).out;
  };
  done({"convert", model, "--task", "query", "--dtype", "float32", "--strict", "--mlx-path", alone});
  EXPECT_EQ(vector_of(model, {"--query"}), vector_of(alone, {"--query"}));
  EXPECT_NE(vector_of(model, {"--document"}), vector_of(alone, {"--document"}));
  done({"verify", alone, "--strict"});
  write_file(folder / "texts.txt", "The cat sat on the warm piano.\nA question\n");
  std::vector<std::string> compare{"compare",    model,     converted,
                                   "--no-speed", "--texts", folder / "texts.txt"};
  const Outcome refused = run_program(compare);
  EXPECT_EQ(refused.status, 7);
  EXPECT_THAT(refused.err,
              HasSubstr("choose the route with --task (task_model() in the library): query, document"));
  compare.insert(compare.end(), {"--task", "document"});
  done(compare);
  done({"bench", model, "--task", "query", "--shapes", "1x4", "--seconds", "0"});
}

}  // namespace
}  // namespace mlxe::test::adapter_cli_test
