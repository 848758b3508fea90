// The rules of a conversion: how each tensor is stored.
//
// Linear and embedding matrices are quantized. Norms, biases, token-type embeddings and the final
// classifier stay float: they are tiny, so quantizing them saves nothing and costs accuracy. (fake:
// embeddings stay float, too.) A group size that does not divide a row falls back to the next smaller one
// (128, 64, 32), then to float.
//
// Precedence, highest first: `keep` and `set` of the user; an allocation (a scheme for each of many
// matrices, from a solver, a preset or a recipe); the requested scheme.
//
// Patterns name modules, "encoder.layer.0.output.dense" (or the tensor, with ".weight"), prefix of the base
// model removed. They match the whole name: `?` stands for any one character, `*` for any number of them,
// dots included.
#pragma once

#include <map>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "mlx_encoder/quantize.h"
#include "quant/role.h"

namespace mlxe {

bool matches(std::string_view pattern, std::string_view text) noexcept;

struct PolicyDecision {
  Scheme scheme;          // mode none: stays float, in the dtype of the requested scheme
  std::string reason;     // why it is not the requested scheme: "final classifier"; empty if it is
  bool fallback = false;  // an unrequested fallback: a warning, an error under `--strict`
};

class Policy {
 public:
  // scheme: the requested scheme; mode none leaves everything float.
  // keep: patterns of modules that stay float (`--keep`). They win over `set`.
  // set: "PATTERN=bits[:group]" (`--set`): matching matrices of any role are stored as affine with these
  //   bits, or as float if bits is 16. Default group: the scheme's, else 64. If several patterns match, the
  //   last one counts.
  // allocation: by tensor name; mode none is float. Errors: usage (an illegal scheme or entry of `set`;
  // `set` to fewer than 16 bits together with int8 or fake, a mix that no reader supports; patterns
  // although nothing is quantized).
  Policy(const Scheme& scheme, std::span<const std::string> keep, std::span<const std::string> set,
         std::map<std::string, Scheme> allocation = {});

  // name: of the tensor as in the checkpoint, "encoder.layer.0.output.dense.weight".
  PolicyDecision decide(std::string_view name, const Shape& shape, Role role);

  // Whether a pattern of `keep` or `set` matches this tensor.
  bool is_named(std::string_view name) const;

  // Options whose pattern matched no tensor of decide() so far: "--keep clasifier".
  std::vector<std::string> unmatched() const;

 private:
  struct Rule {
    std::string option;  // as the user wrote it
    std::string pattern;
    Scheme scheme;
    bool matched = false;
  };
  Rule parse_set(const std::string& entry) const;
  static bool applies(const Rule& rule, std::string_view name);
  const Rule* find_rule(std::string_view name);
  Scheme as_float() const { return {Mode::none, 0, 0, scheme_.dtype}; }
  PolicyDecision fit(Scheme wanted, int64_t columns, std::string reason) const;

  Scheme scheme_;
  std::vector<Rule> rules_;  // later ones win
  std::map<std::string, Scheme> allocation_;
};

}  // namespace mlxe
