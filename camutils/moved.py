"""Old names of modules, for one version: `import camutils.gig` gives `camutils.methods.gig_cam`, with a warning.

Everything public is `camutils.NAME`, as it always was; only who imported from inner modules meets this. CHANGELOG.md lists them.
"""

import sys
import warnings
from collections.abc import Sequence
from importlib import import_module
from importlib.abc import Loader, MetaPathFinder
from importlib.machinery import ModuleSpec
from types import ModuleType

ROOMS = {
    "core": ("baselines", "layers", "maps", "probe", "stages", "targets"),
    "methods.parts": ("links", "rivals", "biases", "fusion", "paths", "scales", "masks", "kmeans", "clusters"),
    "datasets": ("photos", "examples", "resize"),
    "evaluation": ("metrics", "statistics", "measure", "benchmark", "results", "summary", "tables", "controls", "sanity",
                   "experiments", "experiment_files"),
    "book": ("figures", "render", "compare"),
}
RENAMED = {"gradient": "methods.grad_cam", "integrative": "methods.integrative_cam", "gig": "methods.gig_cam",
           "cluster_cam": "methods.cluster_cam", "combining": "methods.combined_cam", "scenes": "datasets.scene",
           "models": "networks.load", "train": "networks.train"}
MOVED = {name: f"{room}.{name}" for room, names in ROOMS.items() for name in names} | RENAMED  # old name -> where it is now


class Moved(MetaPathFinder, Loader):
    """Finds a module under its old name: the module that has taken its place, the same object."""

    def find_spec(self, fullname: str, path: Sequence[str] | None = None, target: ModuleType | None = None) -> ModuleSpec | None:
        package, _, name = fullname.partition(".")
        first, *rest = name.split(".")
        if package != "camutils" or first not in MOVED or (rest and first != "metrics"):
            return None
        return ModuleSpec(fullname, self, origin=".".join(["camutils", MOVED[first], *rest]))

    def exec_module(self, module: ModuleType) -> None:
        assert module.__spec__ and module.__spec__.origin  # find_spec made it
        place = module.__spec__.origin
        warnings.warn(f"{module.__name__} is {place} now; the old name works until version 0.3", FutureWarning, stacklevel=2)
        sys.modules[module.__name__] = import_module(place)


class Package(ModuleType):
    """The package: an import of an old module does not put the module in place of the function of the same name."""

    def __getattr__(self, name: str) -> ModuleType:
        if name in MOVED:
            return import_module(f"camutils.{name}")
        raise AttributeError(f"module 'camutils' has no attribute {name!r}")

    def __setattr__(self, name: str, value: object) -> None:
        if not (isinstance(value, ModuleType) and callable(self.__dict__.get(name))):
            super().__setattr__(name, value)


def install() -> None:
    """Let the old names be found; first of all, since an emptied folder of an old checkout would be found as well."""
    if not any(isinstance(finder, Moved) for finder in sys.meta_path):
        sys.meta_path.insert(0, Moved())
    sys.modules["camutils"].__class__ = Package
