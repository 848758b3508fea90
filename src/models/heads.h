// What sits on an encoder: the pooler, a sequence or token classifier, a sentence-transformers pipeline.
#pragma once

#include <optional>
#include <string>
#include <variant>
#include <vector>

#include "mlx_encoder/error.h"
#include "models/ops.h"
#include "models/plan.h"

namespace mlxe {

// tanh(dense(first token)): BertPooler, RobertaPooler.
struct Pooler {
  int dense;  // a module of the plan, as all of these

  template <EncoderOps E>
  typename E::Tensor forward(E& e, const Plan& plan, const typename E::Tensor& hidden,
                             const Batch& batch) const {
    return e.activate(e.linear(e.take(hidden, batch.first_rows()), plan.linear(dense)), Activation::tanh);
  }
};

// norm(activation(dense(x))), with or without the norm: what comes before a classifier's last matrix.
struct HeadTransform {
  int dense;
  Activation activation;
  std::optional<int> norm = {};

  template <EncoderOps E>
  typename E::Tensor forward(E& e, const Plan& plan, const typename E::Tensor& x) const {
    const auto y = e.activate(e.linear(x, plan.linear(dense)), activation);
    return norm ? e.layer_norm(y, plan.norm(*norm)) : y;
  }
};

// out(transform(first token or mean)). The architectures differ in names, activation and norm:
//   Bert        pooler.dense,      tanh,       classifier
//   Roberta     classifier.dense,  tanh,       classifier.out_proj
//   DistilBert  pre_classifier,    relu,       classifier
//   ModernBert  head.dense,        GELU, norm, classifier
struct SequenceClassifier {
  HeadTransform transform;
  int out;
  PoolingKind pooling = PoolingKind::cls;  // or mean

  template <EncoderOps E>
  typename E::Tensor forward(E& e, const Plan& plan, const typename E::Tensor& hidden,
                             const Batch& batch) const {
    const auto pooled =
        pooling == PoolingKind::cls ? e.take(hidden, batch.first_rows()) : e.pool(hidden, pooling, batch);
    return e.linear(transform.forward(e, plan, pooled), plan.linear(out));
  }
};

// BertForTokenClassification and its kin: a label for every token.
struct TokenClassifier {
  std::optional<HeadTransform> transform = {};
  int out;

  template <EncoderOps E>
  typename E::Tensor forward(E& e, const Plan& plan, const typename E::Tensor& hidden) const {
    return e.linear(transform ? transform->forward(e, plan, hidden) : hidden, plan.linear(out));
  }
};

// sentence-transformers modules after the transformer, in the order of modules.json. Dense weights lie in
// files of their own, so they are no parameters of the plan.
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
