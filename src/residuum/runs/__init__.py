"""Runs with edits and capture, generation, tasks and metrics: the only owner of hooks."""

from residuum.runs.apply import Coder
from residuum.runs.arguments import need_model, need_task, refuse_unknown, shown, whole_number
from residuum.runs.behaviour import BehaviourCheck, SideCheck
from residuum.runs.blocks import Done, Executor, InProcess, Work, Worker, run_blocks
from residuum.runs.capture import Capture, TopK
from residuum.runs.executors import WorkerProcesses
from residuum.runs.fork_parts import parts_proven
from residuum.runs.forks import CannotFork, Change, Forks
from residuum.runs.generation import Generation, Sampling
from residuum.runs.intervals import (
    bootstrap_mean_interval,
    bootstrap_mean_intervals,
    wilson_interval,
)
from residuum.runs.memory import free_memory, memory_in_bytes, out_of_memory
from residuum.runs.metrics import METRICS, Metric, metric_named
from residuum.runs.model import Model, load
from residuum.runs.named_tasks import make_task, task_names
from residuum.runs.places import part_count, resolve
from residuum.runs.record import BlockCall, record_calls, record_sites
from residuum.runs.run import Run
from residuum.runs.run_trace import Reuse
from residuum.runs.selfcheck import Check, Report, outer_bound, self_check
from residuum.runs.sign_flip import SignFlips, clusters_needed, sign_flip_max_t
from residuum.runs.task import Task
from residuum.runs.weight_proof import prove_unembedding, prove_weights

__all__ = [
    "METRICS",
    "BehaviourCheck",
    "BlockCall",
    "CannotFork",
    "Capture",
    "Change",
    "Check",
    "Coder",
    "Done",
    "Executor",
    "Forks",
    "Generation",
    "InProcess",
    "Metric",
    "Model",
    "Report",
    "Reuse",
    "Run",
    "Sampling",
    "SideCheck",
    "SignFlips",
    "Task",
    "TopK",
    "Work",
    "Worker",
    "WorkerProcesses",
    "bootstrap_mean_interval",
    "bootstrap_mean_intervals",
    "clusters_needed",
    "free_memory",
    "load",
    "make_task",
    "memory_in_bytes",
    "metric_named",
    "need_model",
    "need_task",
    "out_of_memory",
    "outer_bound",
    "part_count",
    "parts_proven",
    "prove_unembedding",
    "prove_weights",
    "record_calls",
    "record_sites",
    "refuse_unknown",
    "resolve",
    "run_blocks",
    "self_check",
    "shown",
    "sign_flip_max_t",
    "task_names",
    "whole_number",
    "wilson_interval",
]
