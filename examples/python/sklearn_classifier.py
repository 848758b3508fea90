"""scikit-learn: a classifier of texts, learned from ten examples and kept in a file."""

import joblib
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline

from mlx_encoder.integrations.sklearn import EncoderTransformer

good = ["I love it.", "A wonderful film.", "Great acting and a moving story.", "The best evening in years.", "Delightful."]
bad = ["I hate it.", "A terrible film.", "Bad acting and a dull story.", "The worst evening in years.", "Boring."]
classifier = make_pipeline(EncoderTransformer("all-MiniLM-L6-v2"), LogisticRegression())
classifier.fit(good + bad, ["good"] * 5 + ["bad"] * 5)

joblib.dump(classifier, "classifier.joblib")  # the model is in it by its name
print(joblib.load("classifier.joblib").predict(["A lovely, touching movie.", "An awful, tedious movie."]))
