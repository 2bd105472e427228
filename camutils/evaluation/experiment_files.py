"""Experiments are data: what a file data/experiments/NN_name.toml may hold, and the runs that it stands for.

    title = "…"            what the file is about; a comment says what it asks
    kind = "benchmark"     or "sanity"
    methods = […]          method strings ("m:a=1", "m+M", "m:a=1^0.5": the map to that power) and grids:
                           {method = "cluster_cam", n_clusters = [5, 8], merge = ["cut", "soft"]}

    [[runs]]               networks on a data set, one run for each network
    name = "32_{model}"    the run's folder in data/results; {model} stands for the network
    dataset = "scenes"     or "imagenet", "voc"
    models = […]           the networks
    metrics = […]          not for sanity
    split, first, limit    which part of the data set, from which of its images on (0 is the first), how many; may be left out
    before, after          methods that these runs ask besides, before and after those of the file; may be left out
"""

import inspect
import re
import tomllib
from collections.abc import Iterable
from itertools import product
from math import prod
from pathlib import Path
from typing import Any, NamedTuple

from ..methods import METHODS
from .measure import METRICS, functions_of, parse_method, split_power

Keys = dict[str, type]  # key -> type of its value
FILE: Keys = {"title": str, "kind": str, "methods": list, "runs": list}
RUN: Keys = {"name": str, "dataset": str, "models": list}
OPTIONAL: Keys = {"split": str, "limit": int, "first": int, "before": list, "after": list}
TYPES = {str: "text", int: "a whole number from 1", list: "a list that is not empty"}
KINDS = ("benchmark", "sanity")
DATASETS = ("scenes", "imagenet", "voc")
GRID = 1000  # methods that one grid may stand for


class Run(NamedTuple):
    """One network on one data set: what `benchmark` or `sanity` is asked, and the name of the folder that keeps the answer."""

    name: str
    experiment: str  # its file, without .toml
    title: str
    kind: str
    dataset: str
    model: str
    split: str | None
    limit: int | None
    metrics: list[str] | None
    methods: list[str]
    first: int = 0


def expand(entry: object) -> list[str]:
    """Method strings of one entry of `methods`: text as it is, a grid as every combination of its values, the last fastest.

    {method = "m", a = [1, 2], b = ["x", "y"]} -> m:a=1:b=x, m:a=1:b=y, m:a=2:b=x, m:a=2:b=y. The key `options` takes whole
    options, where an axis is more than one of them: {method = "m", options = ["a=1", "b=x:c=y"]} -> m:a=1, m:b=x:c=y.
    Raises ValueError for anything else.
    """
    if isinstance(entry, str):
        return [entry]
    if not isinstance(entry, dict) or "method" not in entry:
        raise ValueError(f"{entry!r} among the methods; accepted: text, or a table of a method and values of its options")
    axes: list[list[Any]] = []
    for key, values in entry.items():
        values = values if isinstance(values, list) else [values]
        if not values or any(isinstance(value, list | dict) for value in values):
            raise ValueError(f"{key} = {values!r} in a grid; accepted: one value or more, a list among them as text, \"[1,1.5]\"")
        if key == "method":
            axes.insert(0, [str(value) for value in values])
        elif key == "options":
            axes.append([f":{value}" for value in values])
        else:
            axes.append([f":{key}={value}" for value in values])
    if (count := prod(map(len, axes))) > GRID:
        raise ValueError(f"a grid of {count} methods; accepted: up to {GRID}")
    return ["".join(parts) for parts in product(*axes)]


def _fits(value: object, kind: type) -> bool:
    """Is it text, a whole number from 1, or a list, and not empty?"""
    return isinstance(value, kind) and value is not True and bool(value) and not (isinstance(value, int) and value < 1)


def _check_keys(where: str, given: object, needed: Keys, optional: Keys) -> None:
    """ValueError unless `given` is a table that holds every needed key and no unknown one, with values of their types."""
    known = needed | optional
    if not isinstance(given, dict):
        raise ValueError(f"{given!r} in {where}; accepted: a table with {', '.join(known)}")
    for key, value in given.items():
        if key not in known:
            raise ValueError(f"unknown key {key!r} in {where}; accepted: {', '.join(known)}")
        if not _fits(value, known[key]):
            raise ValueError(f"{key} = {value!r} in {where}; accepted: {TYPES[known[key]]}")
    missing = [key for key in needed if key not in given]
    if missing:
        raise ValueError(f"no {missing[0]} in {where}; needed: {', '.join(needed)}")


def _check_known(what: str, given: Iterable[str], known: Iterable[str]) -> None:
    for name in given:
        if name not in known:
            raise ValueError(f"unknown {what} {name!r}; accepted: {', '.join(known)}")


def _check_methods(methods: list[str]) -> None:
    """ValueError for a method, an option or a way of writing them that is not known, and for a method that stands twice."""
    for text in methods:
        parse_method(text, METHODS)  # the power too
        plain = split_power(text)[0]
        options = parse_method(plain, METHODS).keywords
        name = plain.split(":")[0]
        parameters = [p for f in functions_of(name, METHODS) for p in inspect.signature(f).parameters.values()]
        known = ["layer", *(p.name for p in parameters if p.kind is p.KEYWORD_ONLY)]
        _check_known(f"option of {name}", list(options), known)
        if methods.count(text) > 1:
            raise ValueError(f"method {text!r} twice; accepted: each method once")


def read_experiment(path: Path) -> list[Run]:
    """The runs of one file. Raises ValueError that names the file, what is wrong in it and what is accepted.

    A grid stands for at most GRID methods, lest a few lines fill the memory.
    """
    try:
        if not re.fullmatch(r"\d\d_\w+", path.stem):
            raise ValueError("an experiment's file; accepted: NN_name.toml")
        given = tomllib.loads(path.read_text(encoding="utf-8"))
        _check_keys("the file", given, FILE, {})
        _check_known("kind", [given["kind"]], KINDS)
        runs: list[Run] = []
        for entry in given["runs"]:
            runs += _runs(path.stem, given, entry)
        return runs
    except (ValueError, RecursionError) as error:
        raise ValueError(f"{path.name}: {error}") from error


def _runs(experiment: str, given: dict[str, Any], entry: dict[str, Any]) -> list[Run]:
    """One [[runs]] table of a file: a run for each of its networks."""
    metrics: Keys = {"metrics": list} if given["kind"] == "benchmark" else {}
    _check_keys("[[runs]]", entry, RUN | metrics, OPTIONAL)
    _check_known("dataset", [entry["dataset"]], DATASETS)
    for key in ("models", "metrics"):
        if wrong := [name for name in entry.get(key, []) if not isinstance(name, str)]:
            raise ValueError(f"{wrong[0]!r} among {key} in [[runs]]; accepted: text")
    _check_known("metric", entry.get("metrics", []), METRICS)
    methods: list[str] = []
    for part in [*entry.get("before", []), *given["methods"], *entry.get("after", [])]:
        methods += expand(part)
    _check_methods(methods)
    runs = []
    for model in entry["models"]:
        name = entry["name"].replace("{model}", model)
        if not re.fullmatch(r"\w[\w.-]*", name):
            raise ValueError(f"name = {name!r} in [[runs]]; accepted: the name of a folder, of letters, digits, _ . and -")
        runs.append(Run(name, experiment, given["title"], given["kind"], entry["dataset"], model, entry.get("split"),
                        entry.get("limit"), entry.get("metrics"), methods, entry.get("first", 0)))
    return runs
