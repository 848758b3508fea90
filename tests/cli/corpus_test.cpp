// embed over a folder of files of texts: a file of vectors each, continued after a run that was killed.
#include <fcntl.h>
#include <fmt/format.h>
#include <gmock/gmock.h>
#include <sys/file.h>
#include <unistd.h>

#include <cstdlib>
#include <map>

#include "json_lines.h"
#include "model_folders.h"
#include "run_program.h"

namespace mlxe::test::corpus_test {
namespace {

namespace fs = std::filesystem;
using nlohmann::json;
using testing::AllOf;
using testing::Contains;
using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;
using testing::Key;
using testing::Not;

constexpr size_t kHeader = 128;  // of .npy

std::string text_number(int i) {
  return fmt::format("the cat {} sat on the road {}", i % 7, i % 11);
}

class Corpus : public testing::Test {
 protected:
  // 3 files of 8, 0 and 5 texts, and one of 3 in a folder.
  Corpus() {
    fs::create_directories(folder_ / "c/deep");
    std::string txt, tsv = "id\ttext\n", jsonl;
    for (int i = 0; i < 8; ++i) txt += text_number(i) + "\n";
    for (int i = 0; i < 5; ++i) tsv += fmt::format("{}\t{}\n", i, text_number(i + 20));
    for (int i = 0; i < 3; ++i) jsonl += json{{"text", text_number(i + 40)}}.dump() + "\n";
    write_file(folder_ / "c/a.txt", txt);
    write_file(folder_ / "c/b.txt", "");
    write_file(folder_ / "c/c.tsv", tsv);
    write_file(folder_ / "c/deep/d.jsonl", jsonl);
  }
  std::string at(const std::string& name) const { return folder_ / name; }
  Outcome embed(std::vector<std::string> arguments) const {
    arguments.insert(arguments.begin(), {"embed", tiny("st_mean_norm"), "--engine", "cpu"});
    return run_program(arguments);
  }
  Outcome embed_corpus(std::vector<std::string> more = {}) const {
    more.insert(more.begin(), {"-i", at("c"), "-o", at("v")});
    return embed(more);
  }
  // What embed writes for one file.
  std::string alone(const std::string& name, std::vector<std::string> more = {}) const {
    more.insert(more.begin(), {"-i", at("c/" + name), "-o", at("alone.npy")});
    const Outcome o = embed(more);
    EXPECT_EQ(o.status, 0) << o.err;
    return read_file(folder_ / "alone.npy");
  }
  // All files below v/, by name.
  std::map<std::string, std::string> written() const {
    std::map<std::string, std::string> files;
    for (const auto& entry : fs::recursive_directory_iterator(folder_ / "v"))
      if (entry.is_regular_file())
        files[entry.path().lexically_relative(folder_ / "v").generic_string()] = read_file(entry.path());
    return files;
  }
  static std::vector<std::string> names(const std::map<std::string, std::string>& files) {
    std::vector<std::string> all;
    for (const auto& [name, bytes] : files) all.push_back(name);
    return all;
  }
  TemporaryFolder folder_;
};

TEST_F(Corpus, GivesAFileOfVectorsForEachFileOfTexts) {
  const Outcome o = embed_corpus({"--json"});
  ASSERT_EQ(o.status, 0) << o.err;
  EXPECT_THAT(o.err, IsEmpty());
  const json said = json::parse(o.out);
  EXPECT_EQ(said.at("files"), 4);
  EXPECT_EQ(said.at("files_before"), 0);
  EXPECT_EQ(said.at("texts"), 16);
  EXPECT_EQ(said.at("rows"), 16);
  auto files = written();
  EXPECT_EQ(files.size(), 5u);
  for (const char* name : {"a.txt", "c.tsv", "deep/d.jsonl"}) {
    EXPECT_EQ(files[std::string(name) + ".npy"], alone(name)) << name;
    EXPECT_GT(files[std::string(name) + ".npy"].size(), kHeader);
  }
  EXPECT_EQ(files["b.txt.npy"].size(), kHeader);  // no texts, no rows
  EXPECT_THAT(files["b.txt.npy"], HasSubstr("'shape': (0, "));
}

TEST_F(Corpus, RunsFilesThatAreDoneOnlyOnce) {
  ASSERT_EQ(embed_corpus().status, 0);
  const auto before = written();
  const fs::file_time_type time = fs::last_write_time(folder_ / "v/a.txt.npy");
  write_file(folder_ / "c/e.txt", "the dog\n");
  const Outcome o = embed_corpus();
  ASSERT_EQ(o.status, 0) << o.err;
  EXPECT_THAT(o.out, HasSubstr("5 files, 4 of them by earlier runs: 17 vectors"));
  EXPECT_EQ(fs::last_write_time(folder_ / "v/a.txt.npy"), time);
  auto after = written();
  EXPECT_EQ(after["a.txt.npy"], before.at("a.txt.npy"));
  EXPECT_EQ(after["e.txt.npy"], alone("e.txt"));
}

TEST_F(Corpus, RunsAFileAgainThatWasWrittenToOrWhoseVectorsAreGone) {
  ASSERT_EQ(embed_corpus().status, 0);
  write_file(folder_ / "c/a.txt", "another text\n");
  fs::remove(folder_ / "v/c.tsv.npy");
  const Outcome o = embed_corpus();
  ASSERT_EQ(o.status, 0) << o.err;
  EXPECT_THAT(o.out, HasSubstr("4 files, 2 of them by earlier runs: 9 vectors"));
  EXPECT_EQ(written()["a.txt.npy"], alone("a.txt"));
  EXPECT_EQ(written()["c.tsv.npy"], alone("c.tsv"));
}

TEST_F(Corpus, SaysWhoseTextsAreGone) {
  ASSERT_EQ(embed_corpus().status, 0);
  fs::remove(folder_ / "c/a.txt");
  const Outcome o = embed_corpus();
  EXPECT_EQ(o.status, 0);
  EXPECT_THAT(o.err, HasSubstr("the texts of a.txt.npy are gone; the vectors stay"));
  EXPECT_THAT(o.out, HasSubstr("3 files, 3 of them by earlier runs: 8 vectors"));
}

TEST_F(Corpus, KeepsWhatWasDoneBeforeAnErrorAndNamesFileAndText) {
  write_file(folder_ / "c/d.jsonl", "{\"text\": \"one\"}\n{\"body\": \"two\"}\n");
  Outcome o = embed_corpus();
  EXPECT_EQ(o.status, 6);
  EXPECT_THAT(o.err, HasSubstr("d.jsonl: line 2: "));
  EXPECT_THAT(written(), AllOf(Contains(Key("a.txt.npy")), Contains(Key("c.tsv.npy")),
                               Not(Contains(Key("d.jsonl.npy")))));
  write_file(folder_ / "c/d.jsonl", "{\"text\": \"one\"}\n");
  o = embed_corpus();
  EXPECT_EQ(o.status, 0) << o.err;
  EXPECT_THAT(o.out, HasSubstr("5 files, 3 of them by earlier runs: 17 vectors"));
}

TEST_F(Corpus, ATextWithoutATokenIsNamedByItsFile) {
  fs::copy(tiny("st_mean_norm"), folder_ / "m", fs::copy_options::recursive);
  json tokenizer = json::parse(read_file(folder_ / "m/tokenizer.json"));
  tokenizer["post_processor"] = nullptr;  // no special tokens, so that an empty text has none
  write_file(folder_ / "m/tokenizer.json", tokenizer.dump());
  write_file(folder_ / "c/c.tsv", "text\none\n\nthree\n");
  const Outcome o = run_program({"embed", at("m"), "--engine", "cpu", "-i", at("c"), "-o", at("v")});
  EXPECT_EQ(o.status, 6);
  EXPECT_THAT(o.err, HasSubstr("c.tsv: text 2: "));
}

TEST_F(Corpus, SaysTheFirstTruncatedTextAndTheirNumber) {
  const Outcome o = embed_corpus({"--max-length", "4"});
  EXPECT_EQ(o.status, 0);
  EXPECT_THAT(o.err, AllOf(HasSubstr("a.txt: text 1: truncated, 9 tokens dropped"),
                           HasSubstr("16 of 16 texts were truncated")));
  const Outcome strict = embed({"-i", at("c"), "-o", at("w"), "--max-length", "4", "--strict"});
  EXPECT_EQ(strict.status, 9);
}

TEST_F(Corpus, OtherSettingsNeedAnotherFolder) {
  ASSERT_EQ(embed_corpus().status, 0);
  const auto before = written();
  for (const std::vector<std::string>& other : {std::vector<std::string>{"--dim", "8"},
                                                {"--precision", "float16"},
                                                {"--prompt", "x "},
                                                {"--max-length", "9"},
                                                {"--output-format", "jsonl"},
                                                {"--normalize"},
                                                {"--text-column", "text"}}) {
    const Outcome o = embed_corpus(other);
    EXPECT_EQ(o.status, 2) << other.front();
    EXPECT_THAT(o.err, AllOf(HasSubstr("corpus.jsonl: the vectors there were made with"),
                             HasSubstr("give another folder, or remove this one")));
  }
  const Outcome model = run_program({"embed", tiny("st_cls"), "-i", at("c"), "-o", at("v")});
  EXPECT_EQ(model.status, 2);
  EXPECT_THAT(model.err, HasSubstr("made with"));
  EXPECT_TRUE(written() == before);
}

TEST_F(Corpus, ARunThatFinishedNothingLeavesNoSettings) {
  write_file(folder_ / "c/a.txt", "\xff\n");
  EXPECT_EQ(embed_corpus().status, 6);
  write_file(folder_ / "c/a.txt", "a text\n");
  const Outcome o = embed_corpus({"--dim", "8"});
  EXPECT_EQ(o.status, 0) << o.err;
}

TEST_F(Corpus, HoldsChunks) {
  const Outcome o = embed_corpus({"--chunk", "6"});
  ASSERT_EQ(o.status, 0) << o.err;
  for (const char* name : {"a.txt", "c.tsv", "deep/d.jsonl"}) {
    const Outcome file =
        embed({"-i", at(std::string("c/") + name), "-o", at("alone.safetensors"), "--chunk", "6"});
    ASSERT_EQ(file.status, 0) << file.err;
    EXPECT_EQ(read_file(folder_ / "v" / (std::string(name) + ".safetensors")),
              read_file(folder_ / "alone.safetensors"));
  }
}

TEST_F(Corpus, OfFewBitsNeedsRanges) {
  Outcome o = embed_corpus({"--precision", "int8"});
  EXPECT_EQ(o.status, 2);
  EXPECT_THAT(o.err, HasSubstr("need ranges that are the same for all files"));
  o = embed({"-i", at("c/a.txt"), "--precision", "int8", "--save-ranges", at("r.json"), "-o", at("x.npy")});
  ASSERT_EQ(o.status, 0) << o.err;
  o = embed_corpus({"--precision", "int8", "--ranges", at("r.json")});
  ASSERT_EQ(o.status, 0) << o.err;
  EXPECT_EQ(written()["c.tsv.npy"], alone("c.tsv", {"--precision", "int8", "--ranges", at("r.json")}));
}

TEST_F(Corpus, LeavesHiddenFilesOutAndSaysWhichOthers) {
  write_file(folder_ / "c/_SUCCESS", "");
  write_file(folder_ / "c/.part.txt", "hidden\n");
  write_file(folder_ / "c/README.md", "# corpus\n");
  fs::create_directories(folder_ / "c/_temporary");
  write_file(folder_ / "c/_temporary/x.txt", "hidden\n");
  const Outcome o = embed_corpus();
  EXPECT_EQ(o.status, 0);
  EXPECT_THAT(o.out, HasSubstr("4 files: 16 vectors"));
  EXPECT_THAT(o.err, AllOf(HasSubstr("1 file does not end in"), HasSubstr("is left out: README.md")));
}

TEST_F(Corpus, TakesTheNamedColumn) {
  write_file(folder_ / "c/c.tsv", "text\tbody\nno\tthe cat\n");
  fs::remove(folder_ / "c/a.txt");
  fs::remove(folder_ / "c/b.txt");
  fs::remove(folder_ / "c/deep/d.jsonl");
  ASSERT_EQ(embed_corpus({"--text-column", "body"}).status, 0);
  write_file(folder_ / "c/only.txt", "the cat\n");
  EXPECT_EQ(written()["c.tsv.npy"].substr(kHeader), alone("only.txt").substr(kHeader));
  // A .txt file has no columns; its lines are the texts.
  const Outcome o = embed({"-i", at("c"), "-o", at("w"), "--text-column", "body"});
  EXPECT_EQ(o.status, 0) << o.err;
  EXPECT_EQ(read_file(folder_ / "w/only.txt.npy"), read_file(folder_ / "w/c.tsv.npy"));
}

TEST_F(Corpus, RefusesWhatItCannotDo) {
  const auto refused = [&](const std::vector<std::string>& arguments, const char* sentence) {
    const Outcome o = embed(arguments);
    EXPECT_EQ(o.status, 2) << o.err;
    EXPECT_THAT(o.err, HasSubstr(sentence));
    EXPECT_FALSE(fs::exists(folder_ / "v"));
  };
  refused({"-i", at("c")}, "is a folder; add -o FOLDER");
  refused({"-i", at("c"), "-o", at("c/v")}, "must not lie in each other");
  refused({"-i", at("c"), "-o", at("v"), "--save-ranges", at("r.json")}, "--save-ranges has no meaning");
  refused({"-i", at("c"), "-o", at("v"), "--output-format", "csv"}, "--output-format \"csv\": expected");
  refused({"-i", at("c"), "-o", at("v"), "--output-format", "npy", "--chunk", "9"}, ".npy has no place");
  refused({"-i", at("c"), "-o", at("v"), "--prompt-name", "nope"}, "nope");
  fs::create_directories(folder_ / "empty");
  refused({"-i", at("empty"), "-o", at("v")}, "holds no file of texts");
  fs::create_directories(folder_ / "full");
  write_file(folder_ / "full/x.npy", "x");
  refused({"-i", at("c"), "-o", at("full")}, "holds x.npy, but no corpus.jsonl of an earlier run");
  write_file(folder_ / "c/pairs.tsv", "query\tpassage\na\tb\n");
  EXPECT_THAT(embed_corpus().err, HasSubstr("pairs.tsv: line 2: is a pair of texts"));
}

TEST_F(Corpus, ADamagedRecordIsRefused) {
  ASSERT_EQ(embed_corpus().status, 0);
  const std::string record = read_file(folder_ / "v/corpus.jsonl");
  write_file(folder_ / "v/corpus.jsonl", record.substr(0, record.size() - 5));  // a line that was cut
  Outcome o = embed_corpus();
  EXPECT_EQ(o.status, 0) << o.err;
  EXPECT_THAT(o.out, HasSubstr("3 of them by earlier runs: 16 vectors"));
  EXPECT_EQ(read_file(folder_ / "v/corpus.jsonl"), record);
  for (const char* bad : {"{\"file\": 1}\n", "nonsense\n", "[]\n", "{\"file\": \"../x\", \"bytes\": -1}\n"}) {
    write_file(folder_ / "v/corpus.jsonl", record + bad);
    o = embed_corpus();
    EXPECT_EQ(o.status, 6) << bad;
    EXPECT_THAT(o.err, HasSubstr("corpus.jsonl: line 6: "));
  }
  // A record without a line knows of no file: all are run again.
  write_file(folder_ / "v/corpus.jsonl", "");
  o = embed_corpus();
  EXPECT_EQ(o.status, 0) << o.err;
  EXPECT_THAT(o.out, HasSubstr("4 files: 16 vectors"));
}

TEST_F(Corpus, RemovesNothingButWhatItsOwnRunLeft) {
  ASSERT_EQ(embed_corpus().status, 0);
  fs::create_directories(folder_ / "v/other");
  write_file(folder_ / "v/other/.my.partial-draft", "mine");
  write_file(folder_ / "v/.notes.partial-1-a", "mine");
  write_file(folder_ / "v/.a.txt.npy.partial-1-a", "left by a run that was killed");
  ASSERT_EQ(embed_corpus().status, 0);
  EXPECT_TRUE(fs::exists(folder_ / "v/other/.my.partial-draft"));
  EXPECT_TRUE(fs::exists(folder_ / "v/.notes.partial-1-a"));
  EXPECT_FALSE(fs::exists(folder_ / "v/.a.txt.npy.partial-1-a"));
  fs::create_directories(folder_ / "w");
  write_file(folder_ / "w/x.txt", "of another");
  write_file(folder_ / "w/.a.txt.npy.partial-1-a", "of another");
  EXPECT_EQ(embed({"-i", at("c"), "-o", at("w")}).status, 2);
  EXPECT_TRUE(fs::exists(folder_ / "w/.a.txt.npy.partial-1-a"));
}

TEST_F(Corpus, AModelMayHaveAPlainName) {
  fs::copy(tiny("st_mean_norm"), folder_ / "m", fs::copy_options::recursive);
  const auto run = [&] {
    return std::system(fmt::format("cd '{}' && '{}' embed m --engine cpu -i c -o deep/v >out 2>err",
                                   folder_.path().string(), MLXE_PROGRAM)
                           .c_str());
  };
  EXPECT_EQ(run(), 0) << read_file(folder_ / "err");
  EXPECT_EQ(run(), 0) << read_file(folder_ / "err");
}

TEST_F(Corpus, NamesThatWouldMeetAreRefused) {
  fs::create_directories(folder_ / "c/a.txt.npy");
  write_file(folder_ / "c/a.txt.npy/b.txt", "a text\n");
  const Outcome o = embed_corpus();
  EXPECT_EQ(o.status, 2);
  EXPECT_THAT(o.err, HasSubstr("would have the name of a file, that of a.txt; rename one"));
  EXPECT_FALSE(fs::exists(folder_ / "v"));
}

TEST_F(Corpus, SaysWhichLinksAreLeftOut) {
  fs::create_directory_symlink(folder_ / "c/deep", folder_ / "c/again");
  fs::create_symlink(folder_ / "nowhere.txt", folder_ / "c/broken.txt");
  fs::create_symlink(folder_ / "c/a.txt", folder_ / "c/b_link.txt");
  const Outcome o = embed_corpus();
  EXPECT_EQ(o.status, 0);
  EXPECT_THAT(o.out, HasSubstr("5 files: 24 vectors"));
  EXPECT_THAT(o.err, HasSubstr("what else is no file are left out: again, broken.txt"));
}

TEST_F(Corpus, NamesThatAreNotUtf8AreRefused) {
  write_file(folder_ / "c/b\xff.txt", "a text\n");
  const Outcome o = embed_corpus();
  EXPECT_EQ(o.status, 2);
  EXPECT_THAT(o.err, HasSubstr("the name is not UTF-8; rename the file"));
}

TEST_F(Corpus, AFolderThatIsNotThereIsSaid) {
  const Outcome o = embed({"-i", at("nowhere"), "-o", at("v")});
  EXPECT_EQ(o.status, 4);
  EXPECT_THAT(o.err, HasSubstr("nowhere: no such file or folder"));
}

// A run that is killed at any moment is continued: the files are those of a run that was not, no row twice.
TEST_F(Corpus, GoesOnAfterItWasKilled) {
  for (int file = 0; file < 40; ++file) {
    std::string texts;
    for (int i = 0; i < 40; ++i) texts += text_number(file * 40 + i) + "\n";
    write_file(folder_ / fmt::format("c/many/{}.txt", file), texts);
  }
  ASSERT_EQ(embed_corpus().status, 0);
  const auto whole = written();
  fs::remove_all(folder_ / "v");
  const std::string command = fmt::format("'{}' embed '{}' --engine cpu -i '{}' -o '{}' >/dev/null 2>&1",
                                          MLXE_PROGRAM, tiny("st_mean_norm").string(), at("c"), at("v"));
  int killed = 0;
  for (int i = 0; i < 30; ++i) {
    const int status =
        std::system(fmt::format("timeout -s KILL {}.{:03}s {}", 0, 15 + 5 * i, command).c_str());
    ASSERT_NE(status, -1);
    if (WIFEXITED(status) && WEXITSTATUS(status) == 0) break;
    ++killed;
  }
  EXPECT_GT(killed, 0);
  const Outcome o = embed_corpus();
  ASSERT_EQ(o.status, 0) << o.err;
  auto continued = written();
  // Lines of the record may come in another order than files that were done in several runs.
  continued.erase("corpus.jsonl");
  auto expected = whole;
  expected.erase("corpus.jsonl");
  EXPECT_EQ(names(continued), names(expected));
  for (const auto& [name, bytes] : expected) EXPECT_TRUE(continued[name] == bytes) << name;
}

TEST_F(Corpus, OneProcessAtATimeWritesAFolder) {
  fs::create_directories(folder_ / "v");
  const int lock = ::open(at(".v.lock").c_str(), O_RDWR | O_CREAT, 0600);
  ASSERT_EQ(::flock(lock, LOCK_EX), 0);
  const Outcome o = embed_corpus();
  EXPECT_EQ(o.status, 2);
  EXPECT_THAT(o.err, HasSubstr("embeds a corpus into this folder"));
  fs::create_directory_symlink(folder_ / "v", folder_ / "link");
  EXPECT_EQ(embed({"-i", at("c"), "-o", at("link")}).status, 2);
  EXPECT_EQ(embed({"-i", at("c"), "-o", at("v/.")}).status, 2);
  ::close(lock);
  EXPECT_EQ(embed_corpus().status, 0);
}

}  // namespace
}  // namespace mlxe::test::corpus_test
