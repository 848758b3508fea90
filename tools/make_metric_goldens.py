"""Makes tests/data/metrics/golden.json: what numpy, scipy and scikit-learn say of small random inputs.

    python tools/make_metric_goldens.py        # needs numpy, scipy, scikit-learn
"""
import json
import pathlib
import warnings

import numpy as np
from scipy.special import expit, log_expit, log_softmax, softmax
from scipy.stats import pearsonr, spearmanr
from sklearn.metrics import accuracy_score, f1_score

OUT = pathlib.Path(__file__).resolve().parent.parent / "tests/data/metrics/golden.json"
rng = np.random.default_rng(11)


def float32_list(x):
    """The shortest decimals that read back as the same float32."""
    return [float(str(v)) for v in np.asarray(x, np.float32).ravel()]


def difference(rows, columns, noise):
    a = rng.standard_normal((rows, columns)).astype(np.float32)
    b = (a + noise * rng.standard_normal((rows, columns))).astype(np.float32)
    x, y = a.astype(np.float64), b.astype(np.float64)
    cosine = (x * y).sum(1) / (np.linalg.norm(x, axis=1) * np.linalg.norm(y, axis=1))
    return {
        "rows": rows, "columns": columns, "original": float32_list(a), "quantized": float32_list(b),
        "cosine": {"mean": cosine.mean(), "p1": np.percentile(cosine, 1), "min": cosine.min(),
                   "worst": int(cosine.argmin())},
        "mse": ((x - y) ** 2).mean(), "max_abs": np.abs(x - y).max(),
        "relative_max": np.abs(x - y).max() / np.abs(x).max(),
    }


def labels(problem, texts, outputs, noise):
    a = (3 * rng.standard_normal((texts, outputs))).astype(np.float32)
    b = (a + noise * rng.standard_normal(a.shape)).astype(np.float32)
    x, y = a.astype(np.float64), b.astype(np.float64)
    if problem == "single_label" and outputs > 1:
        p, lp, lq = softmax(x, axis=1), log_softmax(x, axis=1), log_softmax(y, axis=1)
        kl = (p * (lp - lq)).sum(1)
        order = np.sort(p, axis=1)
        margin = order[:, -1] - order[:, -2]
        flipped = x.argmax(1) != y.argmax(1)
    else:
        p = expit(x)
        kl = sum(expit(s * x) * (log_expit(s * x) - log_expit(s * y)) for s in (1, -1)).sum(1)
        margin = (2 * np.abs(p - 0.5)).min(1)
        flipped = ((x > 0) != (y > 0)).any(1)
    return {
        "problem": problem, "texts": texts, "outputs": outputs, "original": float32_list(a),
        "quantized": float32_list(b), "probabilities": p.ravel().tolist(), "kl": kl.mean(),
        "flips": np.flatnonzero(flipped).tolist(), "margin_original": margin.mean(),
        "margin_flipped": margin[flipped].mean(),
    }


def classes(texts, gold_labels, predicted_labels):
    gold = rng.choice(gold_labels, texts)
    predicted = np.where(rng.random(texts) < 0.6, gold, rng.choice(predicted_labels, texts))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        f1 = f1_score(gold, predicted, average="macro")
    return {"gold": gold.tolist(), "predicted": predicted.tolist(),
            "accuracy": accuracy_score(gold, predicted), "macro_f1": f1}


def correlation(x, y):
    return {"x": list(map(float, x)), "y": list(map(float, y)), "pearson": float(pearsonr(x, y)[0]),
            "spearman": float(spearmanr(x, y)[0])}


n = rng.standard_normal(60)
golden = {
    "difference": [difference(1, 5, 0.1), difference(2, 3, 1.0), difference(101, 3, 0.3),
                   difference(230, 4, 0.02)],
    "labels": [labels("single_label", 40, 3, 1.0), labels("single_label", 25, 1, 2.0),
               labels("multi_label", 40, 4, 0.6)],
    "classes": [classes(50, [0, 1, 2], [0, 1, 2]), classes(30, [0, 1], [1, 2, 5]), classes(1, [3], [3])],
    "correlation": [correlation(n, n + 0.3 * rng.standard_normal(60)),
                    correlation(np.round(n), np.round(rng.standard_normal(60) - n)),  # many ties
                    correlation([1, 2, 3], [3, 2, 1])],
}
OUT.parent.mkdir(parents=True, exist_ok=True)
OUT.write_text(json.dumps(golden) + "\n")
print(f"{OUT}: {OUT.stat().st_size} bytes")
