"""MTEB: a task, here one of its own tests' that needs no download."""

import mteb
from mteb.mocks.mock_tasks import MockSTSTask

from mlx_encoder.integrations.mteb import MlxEncoderModel

result = mteb.evaluate(MlxEncoderModel("all-MiniLM-L6-v2"), MockSTSTask(), cache=None, co2_tracker=False)
print(result.task_results[0].get_score())  # other tasks: mteb.get_task("STSBenchmark"), ...
