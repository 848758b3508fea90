"""sentence-transformers: its evaluators measure an Encoder."""

from sentence_transformers.sentence_transformer.evaluation import EmbeddingSimilarityEvaluator

from mlx_encoder import Encoder, convert

convert("all-MiniLM-L6-v2", "minilm-8bit", quantize=True)
evaluator = EmbeddingSimilarityEvaluator(
    sentences1=["A cat sleeps.", "A cat sleeps.", "Stocks fell.", "It rains."],
    sentences2=["A kitten naps.", "Bees live in hives.", "Shares lost value.", "The sky is blue."],
    scores=[0.9, 0.1, 0.8, 0.4],
)
for model in ("all-MiniLM-L6-v2", "minilm-8bit"):
    print(model, evaluator(Encoder(model))["spearman_cosine"])
