// A model whose files are written to while it is loaded or in use.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <chrono>
#include <fstream>
#include <functional>
#include <thread>

#include "mlx_encoder/compare.h"
#include "mlx_encoder/encoder.h"
#include "model_folders.h"

namespace mlxe::changing_files_test {
namespace {

namespace fs = std::filesystem;
using ::testing::AllOf;
using ::testing::HasSubstr;

const std::vector<std::string> kTexts{"The sky is blue.", "A cat sat on the piano."};

class ChangingFiles : public ::testing::Test {
 protected:
  ChangingFiles() { fs::copy(test::tiny("st_dense"), model, fs::copy_options::recursive); }

  // Overwrites the file in place, with the same size.
  static void write_into(const fs::path& file) {
    std::this_thread::sleep_for(std::chrono::milliseconds(20));  // file times have the system's tick as unit
    std::fstream stream(file, std::ios::in | std::ios::out | std::ios::binary);
    stream.seekp(-1, std::ios::end);
    stream.put('\x01');
  }

  test::TemporaryFolder folder;
  fs::path model = folder / "model";
};

TEST_F(ChangingFiles, AreNoticedWhileTheModelIsLoaded) {
  nlohmann::json config = read_json(model / "config.json");
  config["frobnicate"] = 1;  // causes a warning, and so a callback in the middle of loading
  test::write_file(model / "config.json", config.dump());
  for (const char* file : {"model.safetensors", "tokenizer.json", "tokenizer_config.json",
                           "special_tokens_map.json", "config.json", "1_Pooling/config.json", "notes.md"}) {
    const bool is_read = file != std::string_view("notes.md");
    test::write_file(model / "notes.md", "one");
    bool done = false;
    const auto load = [&] {
      Encoder::load(model, {.engine = EngineKind::cpu, .warning = [&](std::string_view) {
                              if (!std::exchange(done, true))
                                fs::last_write_time(model / file, fs::last_write_time(model / file) +
                                                                      std::chrono::seconds(1));
                            }});
    };
    if (is_read)
      EXPECT_THAT(test::error_text(load, ErrorCode::io),
                  AllOf(HasSubstr("changed while it was read"), HasSubstr(file)));
    else
      EXPECT_NO_THROW(load());
    EXPECT_TRUE(done) << file;
  }
}

TEST_F(ChangingFiles, ATokenizerFileThatComesOrGoesIsNoticed) {
  nlohmann::json config = read_json(model / "config.json");
  config["frobnicate"] = 1;
  test::write_file(model / "config.json", config.dump());
  const auto error_after = [&](const std::function<void()>& change) {
    bool done = false;
    const auto load = [&] {
      Encoder::load(model, {.engine = EngineKind::cpu, .warning = [&](std::string_view) {
                              if (!std::exchange(done, true)) change();
                            }});
    };
    return test::error_text(load, ErrorCode::io);
  };
  EXPECT_THAT(error_after([&] { test::write_file(model / "added_tokens.json", "{}"); }),
              HasSubstr("added_tokens.json"));
  EXPECT_THAT(error_after([&] { fs::remove(model / "added_tokens.json"); }), HasSubstr("added_tokens.json"));
}

TEST_F(ChangingFiles, WeightsWrittenToInUseEndTheCall) {
  const Encoder encoder = Encoder::load(model, {.engine = EngineKind::cpu});
  const Vectors before = encoder.embed(kTexts);
  write_into(model / "model.safetensors");
  EXPECT_THAT(test::error_text([&] { encoder.embed(kTexts); }, ErrorCode::io),
              AllOf(HasSubstr("model.safetensors"), HasSubstr("written to while it was in use")));
}

// The twin: replacing the files by renaming does not change a loaded model.
TEST_F(ChangingFiles, WeightsPutInPlaceByRenamingDoNot) {
  const Encoder encoder = Encoder::load(model, {.engine = EngineKind::cpu});
  const Vectors before = encoder.embed(kTexts);
  fs::copy_file(model / "model.safetensors", model / "new");
  write_into(model / "new");
  fs::rename(model / "new", model / "model.safetensors");
  EXPECT_EQ(encoder.embed(kTexts).values, before.values);
  fs::remove_all(model);
  EXPECT_EQ(encoder.embed(kTexts).values, before.values);
}

TEST_F(ChangingFiles, AComparisonNoticesThem) {
  fs::copy(model, folder / "other", fs::copy_options::recursive);
  CompareInput input;
  for (const std::string& text : kTexts) input.texts.push_back({text, std::nullopt});
  CompareOptions options{.engine = EngineKind::cpu};
  EXPECT_NO_THROW(compare(model, folder / "other", input, options));
  bool done = false;
  options.progress = [&](std::string_view, uint64_t, uint64_t) {
    if (!std::exchange(done, true)) write_into(folder / "other" / "model.safetensors");
  };
  EXPECT_THAT(test::error_text([&] { compare(model, folder / "other", input, options); }, ErrorCode::io),
              HasSubstr("other/model.safetensors"));
  EXPECT_TRUE(done);
}

}  // namespace
}  // namespace mlxe::changing_files_test
