// embed's forms of vectors: prompts for queries and documents, dimensions, precisions, files.
#include <fmt/format.h>
#include <gmock/gmock.h>
#include <sys/stat.h>

#include <cstring>
#include <thread>

#include "format/safetensors.h"
#include "json_lines.h"
#include "model_folders.h"
#include "run_program.h"

namespace mlxe::test::vectors_test {
namespace {

namespace fs = std::filesystem;
using nlohmann::json;
using testing::AllOf;
using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;
using testing::Not;
using testing::SizeIs;

constexpr size_t kHeader = 128;

class Vectors : public testing::Test {
 protected:
  Vectors() {
    std::string lines;
    for (int i = 0; i < 150; ++i) lines += fmt::format("the cat {} sat on the road {}\n", i % 7, i % 11);
    write_file(folder_ / "t.txt", lines);
  }
  std::string at(const char* name) const { return folder_ / name; }
  Outcome embed(std::vector<std::string> arguments, const char* model = "st_mean_norm") const {
    arguments.insert(arguments.begin(), {"embed", tiny(model), "--engine", "cpu"});
    return run_program(arguments);
  }
  // The same for the 150 texts; the bytes after the header of the file.
  std::string values(const std::vector<std::string>& arguments, const char* file = "v.npy") const {
    std::vector<std::string> all{"--input", at("t.txt"), "-o", at(file)};
    all.insert(all.end(), arguments.begin(), arguments.end());
    const Outcome o = embed(all);
    EXPECT_EQ(o.status, 0) << o.err;
    return read_file(folder_ / file).substr(kHeader);
  }
  TemporaryFolder folder_;
};

std::vector<float> floats_in(const std::string& bytes) {
  std::vector<float> values(bytes.size() / sizeof(float));
  std::memcpy(values.data(), bytes.data(), bytes.size());
  return values;
}

TEST_F(Vectors, TasksTakeTheModelsPrompts) {
  const auto vector = [&](std::vector<std::string> options) {
    options.insert(options.begin(), {"home", "--json"});
    const Outcome o = embed(options, "st_prompts");
    EXPECT_EQ(o.status, 0) << o.err;
    return json::parse(o.out).at("embedding");
  };
  EXPECT_EQ(vector({"--query"}), vector({"--prompt-name", "query"}));
  EXPECT_EQ(vector({"--document"}), vector({}));
  EXPECT_NE(vector({"--query"}), vector({"--document"}));
}

TEST_F(Vectors, ATaskThatLeavesAPromptOutIsSaid) {
  fs::copy(tiny("st_mean_norm"), folder_ / "m", fs::copy_options::recursive);
  write_file(folder_ / "m/config_sentence_transformers.json",
             R"({"prompts": {"query": "q: ", "passage": "p: "}, "default_prompt_name": "query"})");
  Outcome o = run_program({"embed", at("m"), "home", "--document"});
  EXPECT_EQ(o.status, 0);
  EXPECT_THAT(o.err, HasSubstr("no prompt for a document, so none was used"));
  o = run_program({"embed", at("m"), "home", "--document", "--strict"});
  EXPECT_EQ(o.status, 9);
  o = run_program({"embed", at("m"), "home", "--query", "--strict"});
  EXPECT_EQ(o.status, 0) << o.err;
}

TEST_F(Vectors, OptionsThatContradictAreErrors) {
  write_file(folder_ / "r.json", R"({"lowest": [0], "highest": [1]})");
  for (const auto& [options, expected] : std::vector<std::pair<std::vector<std::string>, std::string>>{
           {{"--query", "--document"}, "--query and --document were given"},
           {{"--query", "--prompt", "x"}, "the task query and a literal prompt were given"},
           {{"--document", "--prompt-name", "query"}, "the task document and the prompt name \"query\""},
           {{"--dim", "0"}, "--dim: found \"0\", expected a number from 1 on"},
           {{"--dim", "33"}, "dimension 33: the model's vectors have 32 values; give 1 to 32"},
           {{"--dim", "2.5"}, "--dim: found \"2.5\", expected a whole number"},
           {{"--precision", "int4"}, "expected float32, float16, int8, uint8, binary or ubinary"},
           {{"--ranges", at("r.json")}, "--ranges: float32 has no ranges, int8 and uint8 have"},
           {{"--precision", "int8", "--ranges", at("r.json")},
            "has 1 columns, the vectors have 32 values; give ranges of such vectors"},
           {{"--precision", "int8", "--ranges", at("r.json"), "--save-ranges", at("s.json")},
            "ranges are either read or found"},
           {{"--save-ranges", at("s.txt")}, "a file of ranges ends in .npy or .json"},
           {{"--output-format", "npy"}, "add -o FILE"},
           {{"-o", at("v.csv")}, "expected a name that ends in .npy, .jsonl, .parquet or .safetensors"},
           {{"-o", at("v")}, "expected a name that ends in .npy, .jsonl, .parquet or .safetensors"},
           {{"-o", at("v.npy"), "--output-format", "csv"}, "expected npy, jsonl, parquet or safetensors"}}) {
    std::vector<std::string> arguments{"home"};
    arguments.insert(arguments.end(), options.begin(), options.end());
    const Outcome o = embed(arguments);
    EXPECT_EQ(o.status, 2) << testing::PrintToString(options) << o.err;
    EXPECT_THAT(o.err, HasSubstr(expected));
    EXPECT_THAT(o.out, IsEmpty());
  }
  EXPECT_THAT(names_in(folder_.path()), ElementsAre("r.json", "t.txt"));
}

TEST_F(Vectors, DimensionsAndLength) {
  const Outcome o = embed({"home", "--dim", "5", "--json"});
  const std::vector<float> v = json::parse(o.out).at("embedding");
  ASSERT_THAT(v, SizeIs(5));
  double sum = 0;
  for (const float x : v) sum += static_cast<double>(x) * x;
  EXPECT_NEAR(sum, 1, 1e-6);
  const auto length = [&](const std::vector<std::string>& options) {
    std::vector<std::string> all{"home", "--json"};
    all.insert(all.end(), options.begin(), options.end());
    const json vector = json::parse(embed(all, "st_cls").out).at("embedding");
    double squares = 0;
    for (const double x : vector) squares += x * x;
    return squares;
  };
  EXPECT_NEAR(length({"--normalize"}), 1, 1e-6);
  EXPECT_GT(length({}), 2) << "st_cls has no Normalize";
  EXPECT_THAT(embed({"home", "--dim", "5"}).out, HasSubstr("5 values"));
}

TEST_F(Vectors, AModelsOwnDimensionIsKept) {
  fs::copy(tiny("st_mean_norm"), folder_ / "m", fs::copy_options::recursive);
  write_file(folder_ / "m/config_sentence_transformers.json", R"({"truncate_dim": 9})");
  const Outcome converted =
      run_program({"convert", at("m"), "--mlx-path", at("q"), "-q", "--q-group-size", "32", "--strict"});
  ASSERT_EQ(converted.status, 0) << converted.err;
  for (const char* model : {"m", "q"}) {
    EXPECT_THAT(json::parse(run_program({"embed", at(model), "home", "--json"}).out).at("embedding"),
                SizeIs(9));
    EXPECT_THAT(
        json::parse(run_program({"embed", at(model), "home", "--json", "--dim", "20"}).out).at("embedding"),
        SizeIs(20));
  }
  const Outcome theirs = run_program({"convert", at("m"), "--mlx-path", at("x"), "-q", "--q-group-size", "32",
                                      "--layout", "mlx-embeddings"});
  EXPECT_EQ(theirs.status, 0) << theirs.err;
  EXPECT_THAT(theirs.err, HasSubstr("this model's truncate_dim keeps the first 9 values"));
}

TEST_F(Vectors, EveryFormatHasTheSameVectors) {
  const std::vector<float> npy = floats_in(values({}));
  ASSERT_THAT(npy, SizeIs(150 * 32));
  EXPECT_THAT(read_file(folder_ / "v.npy"),
              HasSubstr("{'descr': '<f4', 'fortran_order': False, 'shape': (150, 32), }"));
  values({}, "v.safetensors");
  {
    const SafetensorsFile file(folder_ / "v.safetensors");
    ASSERT_THAT(file.tensors(), SizeIs(1));
    EXPECT_EQ(file.tensors()[0].name, "embeddings");
    EXPECT_EQ(file.tensors()[0].shape, (Shape{150, 32}));
    EXPECT_EQ(to_floats(file.tensors()[0]), npy);
  }
  values({}, "v.jsonl");
  const std::vector<json> rows = json_lines(read_file(folder_ / "v.jsonl"));
  ASSERT_THAT(rows, SizeIs(150));
  for (size_t i = 0; i < rows.size(); ++i) {
    EXPECT_EQ(rows[i].at("index"), i);
    EXPECT_EQ(rows[i].at("embedding").get<std::vector<float>>(),
              std::vector<float>(npy.begin() + static_cast<int64_t>(32 * i),
                                 npy.begin() + static_cast<int64_t>(32 * (i + 1))));
  }
  EXPECT_EQ(json_lines(embed({"--input", at("t.txt"), "--json"}).out), rows) << "the lines of --json";
  EXPECT_EQ(values({"--output-format", "npy"}, "v.bin"), read_file(folder_ / "v.npy").substr(kHeader));
}

TEST_F(Vectors, EveryPrecisionHasItsType) {
  for (const auto& [precision, npy, safetensors, columns, bytes] :
       {std::tuple("float32", "<f4", Dtype::f32, 32, 4),
        {"float16", "<f2", Dtype::f16, 32, 2},
        {"int8", "|i1", Dtype::i8, 32, 1},
        {"uint8", "|u1", Dtype::u8, 32, 1},
        {"binary", "|i1", Dtype::i8, 4, 1},
        {"ubinary", "|u1", Dtype::u8, 4, 1}}) {
    const std::string raw = values({"--precision", precision});
    EXPECT_EQ(raw.size(), static_cast<size_t>(150 * columns * bytes)) << precision;
    EXPECT_THAT(read_file(folder_ / "v.npy"),
                HasSubstr(fmt::format("{{'descr': '{}', 'fortran_order': False, 'shape': (150, {}), }}", npy,
                                      columns)));
    values({"--precision", precision}, "v.safetensors");
    const SafetensorsFile file(folder_ / "v.safetensors");
    const TensorView& tensor = file.tensors().at(0);
    EXPECT_EQ(tensor.dtype, safetensors);
    EXPECT_EQ(tensor.shape, (Shape{150, columns}));
    EXPECT_EQ(std::memcmp(tensor.data.data(), raw.data(), raw.size()), 0) << precision;
  }
}

// 7 bits and one that is filled up with 0.
TEST_F(Vectors, BitsAreTheSignsOfTheValues) {
  const json floats = json::parse(embed({"home", "--dim", "7", "--json"}).out).at("embedding");
  int bits = 0;
  for (const double v : floats) bits = 2 * bits + (v > 0 ? 1 : 0);
  bits *= 2;
  EXPECT_EQ(
      json::parse(embed({"home", "--dim", "7", "--precision", "ubinary", "--json"}).out).at("embedding"),
      json::array({bits}));
  EXPECT_EQ(json::parse(embed({"home", "--dim", "7", "--precision", "binary", "--json"}).out).at("embedding"),
            json::array({bits - 128}));
  EXPECT_THAT(embed({"home", "--dim", "7", "--precision", "ubinary"}).out,
              AllOf(HasSubstr(fmt::format("[{}]  1 values", bits)), HasSubstr("home")));
}

TEST_F(Vectors, RangesAreFoundSavedAndReadAgain) {
  const std::string found = values({"--precision", "uint8", "--save-ranges", at("r.npy")});
  const std::vector<float> floats = floats_in(values({}));
  const std::vector<float> ranges = floats_in(read_file(folder_ / "r.npy").substr(kHeader));
  ASSERT_THAT(ranges, SizeIs(64));
  for (size_t i = 0; i < 32; ++i) {
    float low = floats[i], high = floats[i];
    for (size_t r = 0; r < 150; ++r) {
      low = std::min(low, floats[32 * r + i]);
      high = std::max(high, floats[32 * r + i]);
    }
    EXPECT_EQ(ranges[i], low);
    EXPECT_EQ(ranges[32 + i], high);
  }
  EXPECT_EQ(values({"--precision", "uint8", "--ranges", at("r.npy")}), found);
  values({"--save-ranges", at("r.json")});  // of any precision
  EXPECT_EQ(values({"--precision", "uint8", "--ranges", at("r.json")}), found);
  std::string int8 = values({"--precision", "int8", "--ranges", at("r.json")});
  for (char& c : int8) c = static_cast<char>(c ^ 0x80);
  EXPECT_EQ(int8, found);
  for (size_t i = 0; i < 32; ++i) {
    unsigned char lowest = 255, highest = 0;
    for (size_t r = 0; r < 150; ++r) {
      lowest = std::min(lowest, static_cast<unsigned char>(found[32 * r + i]));
      highest = std::max(highest, static_cast<unsigned char>(found[32 * r + i]));
    }
    EXPECT_EQ(lowest, 0);
    EXPECT_GE(highest, 254) << "the step is rounded";
  }
  // Other texts with these ranges: a text alone.
  const Outcome one =
      embed({"a dog was home", "--precision", "int8", "--ranges", at("r.npy"), "--strict", "--json"});
  EXPECT_EQ(one.status, 0) << one.err;
  EXPECT_THAT(json::parse(one.out).at("embedding"), SizeIs(32));
}

// Three windows, the last one short, through the temporary file.
TEST_F(Vectors, ManyTextsInTwoPassesAreThoseInOne) {
  std::string many;
  for (int i = 0; i < 9000; ++i) many += fmt::format("a {} cat {}\n", i % 83, i % 89);
  write_file(folder_ / "t.txt", many);
  const std::string found = values({"--precision", "uint8", "--save-ranges", at("r.npy")});
  EXPECT_THAT(found, SizeIs(9000 * 32));
  EXPECT_TRUE(values({"--precision", "uint8", "--ranges", at("r.npy")}) == found);
  const Outcome shown = embed({"--input", at("t.txt"), "--precision", "uint8"});
  std::string texts;
  std::istringstream stream(shown.out);
  for (std::string line; std::getline(stream, line);)
    if (!line.starts_with("  [")) texts += line + "\n";
  EXPECT_TRUE(texts == many) << "each vector has its text";
}

TEST_F(Vectors, RangesOfFewTextsAreSaid) {
  const Outcome o = embed({"home", "a dog", "--precision", "int8"});
  EXPECT_EQ(o.status, 0) << o.err;
  EXPECT_THAT(o.err, HasSubstr("the ranges come from 2 texts; take them from 100 or more"));
  EXPECT_THAT(o.out,
              AllOf(HasSubstr("home\n  ["), HasSubstr("a dog\n  ["), HasSubstr("-128"), HasSubstr("127")));
  EXPECT_EQ(embed({"home", "--precision", "int8", "--strict"}).status, 9);
}

TEST_F(Vectors, AFileOfRangesThatIsNoneIsAnError) {
  const std::string npy(read_file(tiny("st_mean_norm") / "config.json"));
  values({"--save-ranges", at("good.npy")});
  const std::string good = read_file(folder_ / "good.npy");
  std::string fortran = good, nan = good, swapped = good, three = good;
  fortran.replace(fortran.find("False"), 5, "True ");
  std::memcpy(nan.data() + kHeader + 4, "\0\0\xc0\x7f", 4);
  std::memcpy(swapped.data() + kHeader, "\0\0\x80\x7f", 4);
  three.replace(three.find("(2, 32)"), 7, "(4, 16)");
  std::string list = good, wrong_type = good;
  list.replace(list.find("(2, 32)"), 7, "(64,)  ");
  wrong_type.replace(wrong_type.find("<f4"), 3, "<i4");
  for (const auto& [name, content, expected] : std::vector<std::tuple<const char*, std::string, std::string>>{
           {"text.npy", npy, "is no .npy file"},
           {"short.npy", good.substr(0, 90), "ends inside the header"},
           {"cut.npy", good.substr(0, good.size() - 4), "has 252 bytes of values, its shape is [2, 32]"},
           {"fortran.npy", fortran, "Fortran's order"},
           {"nan.npy", nan, "column 1: the range is nan to"},
           {"swapped.npy", swapped, "column 0: the range is inf to"},
           {"four.npy", three, "has the shape [4, 16], expected [2, columns]"},
           {"list.npy", list, "expected two dimensions"},
           {"int.npy", wrong_type, "its type is \"<i4\", expected float32 or float64"},
           {"empty.npy", "", "is no .npy file"},
           {"list.json", "[[0], [1]]", "has no list \"lowest\""},
           {"word.json", R"({"lowest": ["a"], "highest": [1]})", "\"lowest\" holds \"a\", expected numbers"},
           {"large.json", R"({"lowest": [0], "highest": [1e300]})", "column 0: the range is 0 to inf"},
           {"order.json", R"({"lowest": [2], "highest": [1]})", "column 0: the range is 2 to 1"},
           {"uneven.json", R"({"lowest": [0, 0], "highest": [1]})", "has 2 lowest and 1 highest values"},
           {"broken.json", "{", "broken.json"}}) {
    write_file(folder_ / name, content);
    const Outcome o = embed({"home", "--precision", "int8", "--ranges", at(name)});
    EXPECT_EQ(o.status, 6) << name << o.err;
    EXPECT_THAT(o.err, AllOf(HasSubstr(name), HasSubstr(expected)));
  }
  EXPECT_EQ(embed({"home", "--precision", "int8", "--ranges", at("absent.npy")}).status, 4);
}

TEST_F(Vectors, Float16EndsAt65504) {
  changed_copy(tiny("st_cls"), folder_ / "m", [](RawTensors& tensors) {
    for (auto& [name, t] : tensors)
      if (name.find("encoder.layer.1.output.LayerNorm.weight") != name.npos) {
        std::vector<float> values = floats(t);
        for (float& v : values) v *= 1e6f;
        t = float_tensor(t.shape, values);
      }
  });
  const Outcome o = run_program({"embed", at("m"), "home", "--precision", "float16", "-o", at("v.npy")});
  EXPECT_EQ(o.status, 8) << o.err;
  EXPECT_THAT(o.err, AllOf(HasSubstr("text 1: value "), HasSubstr("float16 ends at 65504; use float32")));
  EXPECT_FALSE(fs::exists(folder_ / "v.npy"));
  EXPECT_EQ(run_program({"embed", at("m"), "home", "-o", at("v.npy")}).status, 0);
}

TEST_F(Vectors, RangesAndVectorsAreFilesOfTheirOwn) {
  values({"--save-ranges", at("r.npy")});
  const std::string before = read_file(folder_ / "r.npy");
  for (const auto& options : std::vector<std::vector<std::string>>{
           {"--ranges", at("r.npy"), "-o", at("r.npy")}, {"--save-ranges", at("x.npy"), "-o", at("x.npy")}}) {
    std::vector<std::string> arguments{"home", "--precision", "int8"};
    arguments.insert(arguments.end(), options.begin(), options.end());
    const Outcome o = embed(arguments);
    EXPECT_EQ(o.status, 2) << o.err;
    EXPECT_THAT(o.err, HasSubstr("name another file"));
  }
  EXPECT_EQ(read_file(folder_ / "r.npy"), before);
  EXPECT_FALSE(fs::exists(folder_ / "x.npy"));
}

TEST_F(Vectors, PipesGetEveryFormat) {
  for (const char* name : {"p.npy", "p.jsonl", "p.safetensors"}) {
    values({"--precision", "int8"}, name);
    const std::string right = read_file(folder_ / name);
    fs::remove(folder_ / name);
    ASSERT_EQ(::mkfifo(at(name).c_str(), 0600), 0);
    std::string read;
    std::thread reader([&] { read = read_file(folder_ / name); });
    const Outcome o = embed({"--input", at("t.txt"), "--precision", "int8", "-o", at(name)});
    reader.join();
    EXPECT_EQ(o.status, 0) << o.err;
    EXPECT_EQ(read, right);
    const Outcome out = embed({"--input", at("t.txt"), "--precision", "int8", "-o", "/dev/stdout",
                               "--output-format", std::string(name).substr(2)});
    EXPECT_EQ(out.out, right);
  }
}

}  // namespace
}  // namespace mlxe::test::vectors_test
