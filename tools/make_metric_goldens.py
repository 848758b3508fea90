"""Makes tests/data/metrics/*.json: what numpy, scipy, scikit-learn, seqeval, ranx and statsmodels say of small
random inputs. In an environment of its own:

    pip install -r tools/requirements-metrics.txt && python tools/make_metric_goldens.py
"""
import json
import pathlib
import warnings

import numpy as np
from ranx import Qrels, Run, evaluate
from scipy.special import expit, log_expit, log_softmax, softmax
from scipy.stats import ks_2samp, pearsonr, spearmanr
from seqeval.metrics.sequence_labeling import precision_recall_fscore_support as lenient_spans
from seqeval.metrics.v1 import precision_recall_fscore_support as strict_spans
from seqeval.scheme import IOB1, IOB2, IOBES
from sklearn.metrics import accuracy_score, f1_score, matthews_corrcoef
from statsmodels.stats.contingency_tables import mcnemar

FOLDER = pathlib.Path(__file__).resolve().parent.parent / "tests/data/metrics"
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


# ---- of tasks, with numbers of their own so that the ones above stay as they are
rng = np.random.default_rng(12)


def class_figures(gold, predicted):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return [accuracy_score(gold, predicted), f1_score(gold, predicted, average="macro"),
                f1_score(gold, predicted, average="weighted"), matthews_corrcoef(gold, predicted)]


def correlation_figures(x, y):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return [pearsonr(x, y)[0], spearmanr(x, y)[0]]


def task_classes(texts, gold_labels, predicted_labels, right):
    gold = rng.choice(gold_labels, texts)
    predicted = np.where(rng.random(texts) < right, gold, rng.choice(predicted_labels, texts))
    return {"gold": gold.tolist(), "predicted": predicted.tolist(), "figures": class_figures(gold, predicted)}


def tags(scheme, prefixes, sentences):
    """Random tags: broken spans are as frequent as whole ones."""
    types = ["person", "creative-work", "group"]

    def sentence(length):
        return [p if p == "O" else f"{p}-{rng.choice(types, p=[0.6, 0.3, 0.1])}"
                for p in rng.choice(list(prefixes), length)]

    gold = [sentence(n) for n in rng.integers(1, 9, sentences)]
    predicted = [[t if rng.random() < 0.85 else sentence(1)[0] for t in s] for s in gold]
    score = lenient_spans if scheme is None else lambda *a, **k: strict_spans(*a, scheme=scheme, **k)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        of_type = [list(map(float, column)) for column in zip(*score(gold, predicted, average=None))]
        averages = {a: [float(v) for v in score(gold, predicted, average=a)[:3]] for a in ("micro", "macro", "weighted")}
    return {"scheme": scheme.__name__ if scheme else "lenient", "gold": gold, "predicted": predicted,
            "types": of_type, **averages}


RANKING = ["mrr", "map", "ndcg@3", "ndcg@10", "recall@1", "recall@10"]


def rankings(queries, documents):
    scores = rng.permuted(np.tile(np.linspace(-1, 1, documents), (queries, 1)), axis=1)  # no two alike
    relevances = rng.choice([0, 1, 2, 3], (queries, documents), p=[0.8, 0.1, 0.06, 0.04])
    relevances[:, 0] = np.maximum(relevances[:, 0], 1)
    relevances[0, 1:] = 0
    name = [f"d{i:03}" for i in range(documents)]
    qrels = Qrels({f"q{q:03}": {n: int(r) for n, r in zip(name, relevances[q]) if r > 0} for q in range(queries)})
    run = Run({f"q{q:03}": dict(zip(name, map(float, scores[q]))) for q in range(queries)})
    figures = evaluate(qrels, run, RANKING, return_mean=False)
    return {"scores": scores.tolist(), "relevances": relevances.tolist(), "metrics": RANKING,
            "figures": [list(map(float, figures[m])) for m in RANKING]}


def draws(seed, items, resamples):
    """The items src/metrics/resampling.h draws."""
    mask = (1 << 64) - 1
    state = seed
    for _ in range(resamples):
        chosen = []
        for _ in range(items):
            state = (state + 0x9E3779B97F4A7C15) & mask
            z = ((state ^ (state >> 30)) * 0xBF58476D1CE4E5B9) & mask
            z = ((z ^ (z >> 27)) * 0x94D049BB133111EB) & mask
            z ^= z >> 31
            chosen.append(((z >> 32) * items) >> 32)
        yield np.array(chosen)


def bootstrap(kind, figures, gold, first, second, seed=7, resamples=200, confidence=0.9):
    found = [np.subtract(figures(gold[i], second[i]), figures(gold[i], first[i])) for i in draws(seed, len(gold), resamples)]
    tail = 50 * (1 - confidence)
    return {"kind": kind, "gold": gold.tolist(), "first": first.tolist(), "second": second.tolist(), "seed": seed,
            "resamples": resamples, "confidence": confidence,
            "intervals": np.nanpercentile(found, [tail, 100 - tail], axis=0).T.tolist()}


def paired_classes(items):
    gold = rng.integers(0, 3, items)
    answer = [np.where(rng.random(items) < right, gold, rng.integers(0, 3, items)) for right in (0.7, 0.6)]
    return gold, *answer


def paired_scores(items):
    gold = np.round(5 * rng.random(items), 1)
    return gold, gold + rng.standard_normal(items), np.round(gold + 1.5 * rng.standard_normal(items))


def mcnemar_case(only_first, only_second):
    exact = only_first + only_second < 25
    r = mcnemar([[3, only_first], [only_second, 4]], exact=exact, correction=True)
    return {"only_first": only_first, "only_second": only_second, "exact": exact, "p": float(r.pvalue)}


def ks_case(size, shift, digits):
    """Two samples; few digits give ties. scipy's p-value is the exact one, which it takes by itself up to 10,000."""
    a = np.round(rng.standard_normal(size), digits)
    b = np.round(rng.standard_normal(size) + shift, digits)
    r = ks_2samp(a, b, method="exact")
    return {"a": a.tolist(), "b": b.tolist(), "statistic": float(r.statistic), "p": float(r.pvalue)}


tasks = {
    "classes": [task_classes(80, [0, 1, 2], [0, 1, 2], 0.6), task_classes(40, [0, 0, 0, 1], [1, 2, 5], 0.4),
                task_classes(9, [1], [0, 1], 0.5), task_classes(1, [3], [3], 1)],
    "spans": [tags(None, "BIESO", 60), tags(None, "BIO", 60), tags(IOB1, "BIIO", 60), tags(IOB2, "BIIO", 60),
              tags(IOBES, "BIESO", 60)],
    "ranking": rankings(12, 30),
    "bootstrap": [bootstrap("classes", class_figures, *paired_classes(60)),
                  bootstrap("correlation", correlation_figures, *paired_scores(50)),
                  bootstrap("correlation", correlation_figures, *paired_scores(4))],  # some are not numbers
    "mcnemar": [mcnemar_case(*c) for c in [(1, 0), (3, 3), (2, 9), (24, 0), (10, 14), (12, 13), (25, 0), (40, 17),
                                           (30, 30), (400, 310)]],
}
drift = [ks_case(*c) for c in [(1, 0, 9), (1, 2, 9), (5, 0, 9), (7, 1.5, 0), (40, 0.2, 9), (40, 0.5, 1), (300, 0.01, 9),
                               (300, 0.3, 2), (2000, 0.02, 3), (2000, 3, 3)]]
FOLDER.mkdir(parents=True, exist_ok=True)
for name, content in (("golden", golden), ("tasks", tasks), ("drift", drift)):
    out = FOLDER / f"{name}.json"
    out.write_text(json.dumps(content) + "\n")
    print(f"{out}: {out.stat().st_size} bytes")
