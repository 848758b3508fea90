// What sits on an encoder: the pooler, a sequence or token classifier, a sentence-transformers pipeline.
#pragma once

#include <optional>
#include <string>
#include <variant>
#include <vector>

#include "mlx_encoder/error.h"
#include "models/ops.h"

namespace mlxe {

// tanh(dense(first token)): BertPooler, RobertaPooler.
struct Pooler {
  Linear dense;

  void visit(ParameterVisitor& v) { v.linear("pooler.dense", dense); }

  template <EncoderOps E>
  typename E::Tensor forward(E& e, const typename E::Tensor& hidden, const Batch& batch) const {
    return e.activate(e.linear(e.take(hidden, batch.first_rows()), dense), Activation::tanh);
  }
};

// out(activation(dense(first token))). The three architectures differ only in names and activation:
//   Bert        pooler.dense,      tanh,  classifier
//   Roberta     classifier.dense,  tanh,  classifier.out_proj
//   DistilBert  pre_classifier,    relu,  classifier
struct SequenceClassifier {
  std::string dense_name, out_name;
  Activation activation;
  Linear dense, out;

  void visit(ParameterVisitor& v) {
    v.linear(dense_name, dense);
    v.linear(out_name, out, Role::classifier);
  }

  template <EncoderOps E>
  typename E::Tensor forward(E& e, const typename E::Tensor& hidden, const Batch& batch) const {
    const auto first = e.take(hidden, batch.first_rows());
    return e.linear(e.activate(e.linear(first, dense), activation), out);
  }
};

// BertForTokenClassification and its kin: a label for every token.
struct TokenClassifier {
  Linear out;

  void visit(ParameterVisitor& v) { v.linear("classifier", out, Role::classifier); }

  template <EncoderOps E>
  typename E::Tensor forward(E& e, const typename E::Tensor& hidden) const {
    return e.linear(hidden, out);
  }
};

// sentence-transformers modules after the transformer, in the order of modules.json. Dense weights lie in
// files of their own, so the loader binds them, not a visit.
struct PoolingModule {
  std::vector<PoolingKind> kinds;  // concatenated in this order
  bool include_prompt = true;
};
struct DenseModule {
  Linear dense;
  Activation activation = Activation::tanh;
  bool use_residual = false;       // the input is added to the output,
  std::optional<Linear> residual;  // after this product where the widths differ

  template <EncoderOps E>
  typename E::Tensor forward(E& e, const typename E::Tensor& x) const {
    const auto y = e.activate(e.linear(x, dense), activation);
    if (!use_residual) return y;
    return e.add(y, residual ? e.linear(x, *residual) : x);
  }
};
struct NormalizeModule {};
using SentenceModule = std::variant<PoolingModule, DenseModule, NormalizeModule>;

struct SentencePipeline {
  // Exactly one PoolingModule: what stands before it works on tokens' vectors, what stands after on texts'.
  std::vector<SentenceModule> modules;

  const PoolingModule& pooling() const {
    for (const SentenceModule& m : modules)
      if (const auto* p = std::get_if<PoolingModule>(&m)) return *p;
    throw Error(ErrorCode::internal, "a sentence pipeline without pooling");
  }

  template <EncoderOps E>
  typename E::Tensor forward(E& e, const typename E::Tensor& hidden, const Batch& batch) const {
    typename E::Tensor x = hidden;
    for (const SentenceModule& m : modules) {
      if (const auto* p = std::get_if<PoolingModule>(&m)) {
        std::vector<typename E::Tensor> parts;
        for (PoolingKind kind : p->kinds) parts.push_back(e.pool(x, kind, batch));
        x = parts.size() == 1 ? parts[0] : e.concatenate(parts);
      } else if (const auto* d = std::get_if<DenseModule>(&m)) {
        x = d->forward(e, x);
      } else {
        x = e.normalize(x);
      }
    }
    return x;
  }
};

}  // namespace mlxe
