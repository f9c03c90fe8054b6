"""Where jobs run: plans, jobs, executors found by name, and the worker that runs on the node.

Rules. Compute knows jobs and not models. A plan is complete and frozen; a run is its work folder, which outlives every
process; a state is believed only while the process that wrote it lives. A run gets no secret of whoever submits it, no
network but loopback, and leaves no process behind.
"""

from casemate.compute.job import Executor, Job, JobState, executor_names, find, plan_environment, worker_job
from casemate.compute.metrics import Metric, append_metric, read_metrics
from casemate.compute.plan import Plan, Resources
from casemate.compute.state import RunState, read_state
from casemate.compute.watch import cancel, follow, last_lines, outputs, wait

__all__ = [
    "Executor",
    "Job",
    "JobState",
    "Metric",
    "Plan",
    "Resources",
    "RunState",
    "append_metric",
    "cancel",
    "executor_names",
    "find",
    "follow",
    "last_lines",
    "outputs",
    "plan_environment",
    "read_metrics",
    "read_state",
    "wait",
    "worker_job",
]
