#include "quant/policy.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <string>
#include <vector>

#include "test_files.h"

namespace mlxe::policy_test {
namespace {

using Strings = std::vector<std::string>;
using testing::ElementsAre;
using testing::HasSubstr;

constexpr Scheme kAffine8{Mode::affine, 8, 64, Dtype::f16};
constexpr Scheme kMxfp4{Mode::mxfp4, 4, 32, Dtype::bf16};
constexpr Scheme kInt8{Mode::int8, 8, 0, Dtype::f16};
constexpr Scheme kFake{Mode::fake, 8, 0, Dtype::f32};
constexpr Scheme kNone{Mode::none, 0, 0, Dtype::f16};

TEST(PolicyPattern, MatchesWholeNames) {
  struct Row {
    const char *pattern, *text;
    bool expected;
  };
  for (const Row& row : {
           Row{"classifier", "classifier", true},
           {"classifier", "pre_classifier", false},
           {"classifier", "classifier.out_proj", false},
           {"*classifier*", "pre_classifier", true},
           {"encoder.layer.?.output.dense", "encoder.layer.3.output.dense", true},
           {"encoder.layer.?.output.dense", "encoder.layer.11.output.dense", false},
           {"encoder.*.dense", "encoder.layer.11.attention.output.dense", true},  // `*` matches dots
           {"encoder.*.dense", "encoder.dense", false},
           {"*", "", true},
           {"*", "anything.at.all", true},
           {"", "", true},
           {"", "x", false},
           {"?", "", false},
           {"a*b*c", "a.b.b.c", true},
           {"a*b*c", "a.c.b", false},
           {"**a**", "bab", true},
           {"*ab", "aab", true},
           {"encoder.layer.[0]", "encoder.layer.0", false},  // no other special characters
           {"Classifier", "classifier", false},
       })
    EXPECT_EQ(matches(row.pattern, row.text), row.expected) << row.pattern << " on " << row.text;
}

// A pattern for which a naive matcher needs exponential time.
TEST(PolicyPattern, ManyStarsAreQuick) {
  std::string pattern;
  for (int i = 0; i < 40; ++i) pattern += "a*";
  EXPECT_FALSE(matches(pattern + "b", std::string(2000, 'a')));
}

struct Row {
  Scheme scheme;
  Strings keep, set;
  const char* name;
  Shape shape;
  Role role;
  Scheme expected;
  const char* reason;
  bool fallback;
};

constexpr const char* kDense = "encoder.layer.0.output.dense.weight";
constexpr const char* kWords = "embeddings.word_embeddings.weight";

Scheme affine(int bits, int group) {
  return {Mode::affine, bits, group, Dtype::f16};
}

TEST(Policy, EveryRule) {
  const Row rows[] = {
      // by role
      {kAffine8, {}, {}, kDense, {768, 3072}, Role::linear, kAffine8, "", false},
      {kAffine8, {}, {}, kWords, {30522, 768}, Role::embedding, kAffine8, "", false},
      {kAffine8,
       {},
       {},
       "e.token_type_embeddings.weight",
       {2, 768},
       Role::token_type_embedding,
       kNone,
       "token types",
       false},
      {kAffine8, {}, {}, "classifier.weight", {3, 768}, Role::classifier, kNone, "final classifier", false},
      {kAffine8, {}, {}, "embeddings.LayerNorm.weight", {768}, Role::norm, kNone, "norm", false},
      {kAffine8, {}, {}, "encoder.layer.0.output.dense.bias", {768}, Role::bias, kNone, "bias", false},
      {kAffine8, {}, {}, kDense, {768}, Role::linear, kNone, "not a matrix", false},
      {kAffine8, {}, {}, kDense, {768, 3, 64}, Role::linear, kNone, "not a matrix", false},
      // by mode
      {kNone, {}, {}, kDense, {768, 3072}, Role::linear, kNone, "", false},
      {kMxfp4, {}, {}, kDense, {768, 3072}, Role::linear, kMxfp4, "", false},
      {kMxfp4,
       {},
       {},
       "classifier.weight",
       {3, 768},
       Role::classifier,
       {Mode::none, 0, 0, Dtype::bf16},
       "final classifier",
       false},
      {kInt8, {}, {}, kDense, {10, 7}, Role::linear, kInt8, "", false},
      {kInt8, {}, {}, kWords, {10, 7}, Role::embedding, kInt8, "", false},
      {kFake, {}, {}, kDense, {10, 7}, Role::linear, kFake, "", false},
      {kFake,
       {},
       {},
       kWords,
       {10, 7},
       Role::embedding,
       {Mode::none, 0, 0, Dtype::f32},
       "fake quantization leaves embeddings as they are",
       false},
      // groups that do not divide a row; the number of rows has no influence
      {kAffine8,
       {},
       {},
       kDense,
       {7, 96},
       Role::linear,
       affine(8, 32),
       "group size 64 does not divide 96 columns: 32 used",
       true},
      {affine(4, 128),
       {},
       {},
       kDense,
       {7, 192},
       Role::linear,
       affine(4, 64),
       "group size 128 does not divide 192 columns: 64 used",
       true},
      {affine(4, 128),
       {},
       {},
       kDense,
       {7, 96},
       Role::linear,
       affine(4, 32),
       "group size 128 does not divide 96 columns: 32 used",
       true},
      {kAffine8,
       {},
       {},
       kDense,
       {312, 312},
       Role::linear,
       kNone,
       "no group size of 64 or less divides 312 columns: kept float",
       true},
      {affine(4, 32),
       {},
       {},
       kDense,
       {312, 312},
       Role::linear,
       kNone,
       "group size 32 does not divide 312 columns: kept float",
       true},
      {kMxfp4,
       {},
       {},
       kDense,
       {312, 312},
       Role::linear,
       {Mode::none, 0, 0, Dtype::bf16},
       "group size 32 does not divide 312 columns: kept float",
       true},
      {{Mode::nvfp4, 4, 16, Dtype::f16},
       {},
       {},
       kDense,
       {312, 312},
       Role::linear,
       kNone,
       "group size 16 does not divide 312 columns: kept float",
       true},
      {{Mode::nvfp4, 4, 16, Dtype::f16},
       {},
       {},
       kDense,
       {312, 48},
       Role::linear,
       {Mode::nvfp4, 4, 16, Dtype::f16},
       "",
       false},
      // --keep
      {kAffine8,
       {"*.output.dense"},
       {},
       kDense,
       {768, 3072},
       Role::linear,
       kNone,
       "kept by --keep *.output.dense",
       false},
      {kAffine8,
       {kDense},
       {},
       kDense,
       {768, 3072},
       Role::linear,
       kNone,
       "kept by --keep encoder.layer.0.output.dense.weight",
       false},
      {kAffine8, {"*.dense"}, {}, kWords, {30522, 768}, Role::embedding, kAffine8, "", false},
      {kInt8, {"*"}, {}, kDense, {768, 3072}, Role::linear, kNone, "kept by --keep *", false},
      {kAffine8, {"*"}, {}, "embeddings.LayerNorm.weight", {768}, Role::norm, kNone, "norm", false},
      // --set
      {kAffine8,
       {},
       {"*.dense=4"},
       kDense,
       {768, 3072},
       Role::linear,
       affine(4, 64),
       "by --set *.dense=4",
       false},
      {kAffine8,
       {},
       {"*.dense=4:128"},
       kDense,
       {768, 3072},
       Role::linear,
       affine(4, 128),
       "by --set *.dense=4:128",
       false},
      {affine(4, 32), {}, {"*=6"}, kDense, {768, 3072}, Role::linear, affine(6, 32), "by --set *=6", false},
      {kMxfp4,
       {},
       {"embeddings.*=8"},
       kWords,
       {30522, 768},
       Role::embedding,
       {Mode::affine, 8, 64, Dtype::bf16},
       "by --set embeddings.*=8",
       false},
      {kAffine8, {}, {"*=16"}, kDense, {768, 3072}, Role::linear, kNone, "kept by --set *=16", false},
      {kInt8, {}, {"*=16"}, kDense, {768, 3072}, Role::linear, kNone, "kept by --set *=16", false},
      {kAffine8,
       {},
       {"*=3", "*.dense=5"},
       kDense,
       {768, 3072},
       Role::linear,
       affine(5, 64),
       "by --set *.dense=5",
       false},
      {kAffine8,
       {},
       {"*.dense=5", "*=3"},
       kDense,
       {768, 3072},
       Role::linear,
       affine(3, 64),
       "by --set *=3",
       false},
      {kAffine8,
       {"*.dense"},
       {"*=3"},
       kDense,
       {768, 3072},
       Role::linear,
       kNone,
       "kept by --keep *.dense",
       false},
      {kAffine8,
       {},
       {"classifier=8"},
       "classifier.weight",
       {3, 768},
       Role::classifier,
       affine(8, 64),
       "by --set classifier=8",
       false},
      {kAffine8, {}, {"*=4"}, "embeddings.LayerNorm.weight", {768}, Role::norm, kNone, "norm", false},
      {kAffine8, {}, {"*=4"}, "encoder.layer.0.output.dense.bias", {768}, Role::bias, kNone, "bias", false},
      {kAffine8,
       {},
       {"*=4:128"},
       kDense,
       {768, 96},
       Role::linear,
       affine(4, 32),
       "group size 128 does not divide 96 columns: 32 used",
       true},
      {kAffine8, {}, {"a=b=4"}, "a=b.weight", {64, 64}, Role::linear, affine(4, 64), "by --set a=b=4", false},
  };
  for (const Row& row : rows) {
    Policy policy(row.scheme, row.keep, row.set);
    const PolicyDecision decision = policy.decide(row.name, row.shape, row.role);
    const std::string what =
        to_string(row.scheme) + " " + row.name + " " + to_string(row.shape) + " " + row.reason;
    EXPECT_EQ(decision.scheme, row.expected) << what << ": " << to_string(decision.scheme);
    EXPECT_EQ(decision.reason, row.reason) << what;
    EXPECT_EQ(decision.fallback, row.fallback) << what;
    if (decision.scheme.mode != Mode::none) {
      EXPECT_TRUE(fits(decision.scheme, row.shape[1])) << what;
      EXPECT_NO_THROW(validate(decision.scheme)) << what;
    }
  }
}

TEST(Policy, PatternsThatMatchNothingAreNamed) {
  Policy policy(kAffine8, Strings{"clasifier", "encoder.*"}, Strings{"embedings.*=4", "*=8"});
  EXPECT_THAT(policy.unmatched(), testing::SizeIs(4));
  policy.decide(kDense, {768, 3072}, Role::linear);
  policy.decide("classifier.weight", {3, 768}, Role::classifier);
  EXPECT_THAT(policy.unmatched(), ElementsAre("--set embedings.*=4", "--keep clasifier"));
}

TEST(Policy, APatternThatLosesToAnotherStillMatched) {
  Policy policy(kAffine8, Strings{"*"}, Strings{"*.dense=4", "*=8"});
  policy.decide(kDense, {768, 3072}, Role::linear);
  EXPECT_THAT(policy.unmatched(), ElementsAre());
}

TEST(Policy, WrongOptions) {
  struct Wrong {
    Scheme scheme;
    Strings keep, set;
    const char* text;
  };
  for (const Wrong& wrong : {
           Wrong{kAffine8, {}, {"x"}, "--set x: expected PATTERN=bits or PATTERN=bits:group"},
           {kAffine8, {}, {"=4"}, "--set =4: expected PATTERN=bits"},
           {kAffine8, {}, {"x="}, "--set x=: the bits are not a number"},
           {kAffine8, {}, {"x=four"}, "the bits are not a number"},
           {kAffine8, {}, {"x=4.5"}, "the bits are not a number"},
           {kAffine8, {}, {"x= 4"}, "the bits are not a number"},
           {kAffine8, {}, {"x=99999999999"}, "the bits are not a number"},
           {kAffine8, {}, {"x=4:"}, "the group size is not a number"},
           {kAffine8, {}, {"x=4:64:2"}, "the group size is not a number"},
           {kAffine8,
            {},
            {"x=7"},
            "--set x=7: affine quantization: found bits 7, expected 2, 3, 4, 5, 6 or 8"},
           {kAffine8, {}, {"x=4:16"}, "found group size 16, expected 32, 64 or 128"},
           {kAffine8, {}, {"x=16:64"}, "16 bits are plain floats"},
           {kInt8, {}, {"x=4"}, "int8 can't be mixed with other bits"},
           {kFake, {}, {"x=4"}, "fake can't be mixed with other bits"},
           {kAffine8, {""}, {}, "--keep: the pattern is empty"},
           {kNone, {"x"}, {}, "--keep x: found no quantization"},
           {kNone, {}, {"x=4"}, "--set x=4: found no quantization"},
           {affine(4, 48), {}, {}, "found group size 48"},
       })
    EXPECT_THAT(test::error_text([&] { Policy(wrong.scheme, wrong.keep, wrong.set); }, ErrorCode::usage),
                HasSubstr(wrong.text));
}

}  // namespace
}  // namespace mlxe::policy_test
