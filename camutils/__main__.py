"""The command line: `camutils COMMAND --help`, or `python -m camutils COMMAND --help`.

Exit status: 0 done; 1 what was compared differs; 2 something was asked wrongly, said in one line on stderr.
"""

import json
import sys
from pathlib import Path
from typing import Annotated, Any

import typer

from .evaluation.benchmark import HELP
from .memory import keep_memory
from .networks.given import HELP as NETWORK
from .places import BUILD, from_home

ASKED = (ValueError, TypeError, OSError, ImportError)  # what is raised where something was asked wrongly
STOPPED = (*(kind.__name__ for kind in ASKED), "FileNotFoundError", "UnidentifiedImageError", "KeyError", "IndexError")

BRACKETS = 100  # in a parameter; Python reads no more than 200, one in the other

app = typer.Typer(add_completion=False, pretty_exceptions_enable=False,
                  help="Class activation mapping: explain photographs, measure methods, run notebooks, train scene networks.")


def _value(text: str) -> Any:
    """What `-p name=VALUE` means: JSON where it reads as JSON, else the text itself.

    Raises ValueError for what no notebook could be given: lists in lists without end, half a character.
    """
    try:
        value = json.loads(text)
    except (ValueError, RecursionError):  # no JSON, or brackets and digits without end
        value = text
    if isinstance(value, list | dict) and text.count("[") + text.count("{") > BRACKETS:
        raise ValueError(f"{text[:40]}... has more than {BRACKETS} brackets; accepted: a value, or a list of values")
    try:
        json.dumps(value, ensure_ascii=False).encode()
    except UnicodeEncodeError as error:
        raise ValueError(f"{text!a} holds half a character; accepted: text in UTF-8") from error
    return value


@app.command()
def render(names: Annotated[list[str] | None, typer.Argument(help="Notebooks, by name or number; none: all.")] = None,
           preset: Annotated[str, typer.Option(help="What they run on: scenes, photos, voc2012 or ilsvrc2012.")] = "scenes",
           parameter: Annotated[list[str] | None, typer.Option("--parameter", "-p", help="NAME=VALUE, may be repeated.")] = None,
           formats: Annotated[str | None, typer.Option("--format", help="png, pdf, svg, comma-separated: every figure also so, "
                                                       "with its numbers as CSV, in build/figures.")] = None,
           dpi: Annotated[int | None, typer.Option(help="Pixels per inch with --format, in PDF and SVG of images; "
                                                   "default: 100.")] = None) -> None:
    """Execute notebooks with papermill and regenerate their figures; with -p or --format: to build/custom instead."""
    from .book.render import render as run
    from .evaluation.measure import split_list

    pairs = [p.partition("=") for p in parameter or []]
    if any(not mark for _, mark, _ in pairs):
        raise ValueError(f"parameters {parameter}; accepted: NAME=VALUE")
    values = {name: _value(value) for name, _, value in pairs}
    if isinstance(values.get("photo"), str) and values["photo"]:  # seen from where the command was typed; notebooks run elsewhere
        photo = from_home(values["photo"])
        if not photo.is_file():
            raise FileNotFoundError(f"no photograph {photo}; accepted as photo: the path of an image file")
        values["photo"] = str(photo.resolve())
    try:
        run(names, preset, values, split_list(formats) if formats is not None else (), dpi)
    except Exception as error:  # papermill's, which is imported only here, tells of a cell by ename and evalue
        if not values or getattr(error, "ename", None) not in STOPPED:
            raise
        said = f"{getattr(error, 'ename', '')}: {getattr(error, 'evalue', '')}"
        raise ValueError(f"with {', '.join(parameter or [])} a notebook stopped: {said}") from error


@app.command()
def handout(names: Annotated[list[str] | None, typer.Argument(help="Notebooks, by name or number; none: all.")] = None,
            out: Annotated[Path | None, typer.Option(help="Folder of the copies, in notebooks/ and figures/ there; default: "
                                                     "build/handout. Only copies of an earlier handout, as it wrote them, are "
                                                     "replaced.")] = None) -> None:
    """Copy notebooks without their outputs, and the pictures in their texts, for a class.

    Answers that are folded in a text (<details>) stay, since they are part of the lesson; notebooks/solutions/ stays behind. A
    link to a file that does not come along keeps its words only.
    """
    from .book.handout import handout as run

    made = run(names, out)
    print(f"{len(made)} notebook{'s' * (len(made) != 1)} without outputs in {made[0].parent}")


@app.command()
def site(out: Annotated[Path | None, typer.Option(help="Folder of the pages; default: build/site. Only an earlier site is "
                                                  "replaced.")] = None,
         moving: Annotated[bool, typer.Option("--moving", help="Build nothing: compute the moving figures anew, in figures/site."
                                              )] = False) -> None:
    """Build the book as static pages, from the notebooks as they are committed; nothing is executed."""
    if moving:
        from .book.site.moving import compute

        print("\n".join(str(path) for path in compute()))
        return
    from .book.site.build import site as run

    print(f"{run(out)}/index.html")


@app.command()
def explore(port: Annotated[int | None, typer.Option(help="Where JupyterLab listens; default: the first that is free from 8888 "
                                                     "on.")] = None,
            no_browser: Annotated[bool, typer.Option("--no-browser", help="Print the address instead of opening it.")] = False,
           ) -> None:
    """Open the explorer in JupyterLab: choose picture, network, class, methods and their knobs, and see the map change.

    It is a copy of notebooks/90_explorer.ipynb in build/explorer, yours to change. Your own photographs can be put in there.
    """
    from .book.explorer.lab import explore as run

    raise typer.Exit(run(port, not no_browser))


@app.command()
def explain(photos: Annotated[list[Path], typer.Argument(help="Photographs, or folders of them.")],
            method: Annotated[str, typer.Option(help="A method, see `camutils methods`; options as NAME:option=value.")
                              ] = "integrative_cam",
            compare: Annotated[str | None, typer.Option(help="Several methods, comma-separated, on one sheet.")] = None,
            model: Annotated[str | None, typer.Option(help=f"{NETWORK['model']} Default: EfficientNet-Lite.")] = None,
            weights: Annotated[Path | None, typer.Option(help=NETWORK["weights"])] = None,
            size: Annotated[int | None, typer.Option(help=NETWORK["size"])] = None,
            classes: Annotated[str | None, typer.Option("--class", help="A name, a number, a WordNet number, or top3; "
                                                        "default: the likeliest.")] = None,
            layer: Annotated[str | None, typer.Option(help="See `camutils layers`; default: found by itself.")] = None,
            out: Annotated[Path, typer.Option(help="Folder of the pictures; nobody else's are replaced.")] = Path("."),
            raw: Annotated[bool, typer.Option("--raw", help="Also write each map as .npy, in [0, 1].")] = False) -> None:
    """Print the likeliest classes of your own photographs and draw heat maps of them: the square that the network sees.

    A file that cannot be read is named and passed over; the exit status is 0 if any photograph was explained, else 2.
    """
    from .explain import explain as run

    run(photos, method, compare, model, weights, size, classes, layer, out, raw)


@app.command()
def layers(name: Annotated[str | None, typer.Argument(metavar="MODEL", help=NETWORK["model"])] = None,
           model: Annotated[str | None, typer.Option(help="The same, as an option.")] = None,
           weights: Annotated[Path | None, typer.Option(help=NETWORK["weights"])] = None,
           size: Annotated[int | None, typer.Option(help=NETWORK["size"])] = None) -> None:
    """List a network's layers with a map: name, shape, stride, which one is the default, which ones are stages."""
    from .listing import layer_table
    from .networks.given import open_network

    if name and model:
        raise ValueError(f"MODEL {name} and --model {model}; accepted: one of them")
    print("\n".join(layer_table(open_network(name or model, weights, size, trained=False))))


@app.command()
def methods() -> None:
    """List the methods: passes through the network, when to use each, what it does."""
    from .listing import method_table

    print("\n".join(method_table()))


@app.command()
def compare(before: Annotated[Path, typer.Argument(help="Folder with notebooks/ and figures/ to compare with.")],
            after: Annotated[Path, typer.Argument(help="The other folder.")] = Path(".")) -> None:
    """Say where two runs differ: texts exactly, pictures beyond 2/255 root mean square; exit status 1 if they do."""
    from .book.compare import compare as run

    said = run(before, after)
    print("\n".join(said) or "same texts, same pictures")
    raise typer.Exit(bool(said))


@app.command()
def reproduce(names: Annotated[list[str] | None, typer.Argument(help="Notebooks, by name or number; none: all.")] = None,
              variant: Annotated[list[str] | None, typer.Option(help="Which machine to play; may be repeated.")] = None,
              store: Annotated[bool, typer.Option(help="Write the table to data/reproduced.csv, with the commit.")] = False,
              print_environment: Annotated[bool, typer.Option(help="Run nothing: print the variant's variables.")] = False,
             ) -> None:
    """Render notebooks as other machines would and compare with what is committed; exit status 1 where anything differs."""
    from .book.reproduce import environment
    from .book.reproduce import reproduce as run

    if print_environment:
        for one in variant or []:
            for key, value in environment(one).items():
                print(f"{key}={value}")
        return
    raise typer.Exit(bool(run(names, variant, store)))


@app.command()
def benchmark(dataset: Annotated[str, typer.Option(help=HELP["dataset"])],
              model: Annotated[str, typer.Option(help=NETWORK["model"])],
              methods: Annotated[str, typer.Option(help=HELP["methods"])],
              out: Annotated[Path, typer.Option(help=HELP["out"])],
              metrics: Annotated[str | None, typer.Option(help=HELP["metrics"])] = None,
              limit: Annotated[int | None, typer.Option(help=HELP["limit"])] = None,
              first: Annotated[int, typer.Option(help=HELP["first"])] = 0,
              root: Annotated[Path | None, typer.Option(help=HELP["root"])] = None,
              split: Annotated[str | None, typer.Option(help=HELP["split"])] = None,
              batch: Annotated[int, typer.Option(help=HELP["batch"])] = 8,
              seed: Annotated[int, typer.Option(help=HELP["seed"])] = 0,
              link: Annotated[str | None, typer.Option(help=HELP["link"])] = None,
              tolerance: Annotated[float | None, typer.Option(help=HELP["tolerance"])] = None,
              weights: Annotated[Path | None, typer.Option(help=NETWORK["weights"])] = None,
              boxes: Annotated[Path | None, typer.Option(help="COCO JSON, CSV or masks for a folder.")] = None) -> None:
    """Measure methods on a data set: one row per image, class and method; resumable; several processes with torchrun."""
    from .datasets import open_dataset
    from .evaluation.benchmark import benchmark as run
    from .networks.given import named_network

    images = dataset if boxes is None else open_dataset(dataset, root, split, boxes)
    run(images, named_network(model, weights), methods, metrics, out=out, limit=limit, first=first, root=root, split=split,
        batch=batch, seed=seed, link=link, tolerance=tolerance)


@app.command()
def sanity(dataset: Annotated[str, typer.Option(help="scenes or imagenet.")],
           model: Annotated[str, typer.Option(help=NETWORK["model"])],
           methods: Annotated[str, typer.Option(help=HELP["methods"])],
           out: Annotated[Path, typer.Option(help="Folder for the results; methods that it holds already are kept.")],
           limit: Annotated[int | None, typer.Option(help=HELP["limit"])] = None,
           first: Annotated[int, typer.Option(help=HELP["first"])] = 0,
           root: Annotated[Path | None, typer.Option(help=HELP["root"])] = None,
           split: Annotated[str | None, typer.Option(help=HELP["split"])] = None,
           batch: Annotated[int, typer.Option(help=HELP["batch"])] = 8,
           seed: Annotated[int, typer.Option(help="Seed of random weights, noise and the bootstrap.")] = 0,
           draws: Annotated[int, typer.Option(help="How often weights and noise are drawn.")] = 1,
           weights: Annotated[Path | None, typer.Option(help=NETWORK["weights"])] = None) -> None:
    """Ask of each method whether its map depends on the network: random weights, shuffled labels, other classes, noise."""
    from .evaluation.sanity import sanity as run
    from .networks.given import named_network

    run(dataset, named_network(model, weights), methods, out=out, limit=limit, first=first, root=root, split=split,
        batch=batch, seed=seed, draws=draws)


@app.command()
def results(names: Annotated[list[str] | None, typer.Argument(help="Experiments by number or file, or runs; none: all.")] = None,
            assets: Annotated[Path | None, typer.Option(help="Folder that holds ILSVRC/ and VOCdevkit/; default: "
                                                        "$CAMUTILS_ASSETS; without one only the scenes are measured.")] = None,
            dry_run: Annotated[bool, typer.Option("--dry-run", help="List the runs, make none.")] = False,
            batch: Annotated[int, typer.Option(help=HELP["batch"])] = 8,
            out: Annotated[Path | None, typer.Option(help="Folder of the runs, resumed there; default: build/results.")] = None,
            again: Annotated[int | None, typer.Option(help="Store nothing: measure so many rows of each stored run again, and "
                                                      "compare.")] = None) -> None:
    """Measure what data/experiments ask and copy the tables to data/results; resumable; several processes with torchrun."""
    from .evaluation.experiments import make_results
    from .evaluation.repeats import print_repeated

    if again is not None:
        raise typer.Exit(0 if print_repeated(names, assets, again, batch) else 1)
    make_results(names, assets, dry_run, batch, out or BUILD / "results")


@app.command()
def speed(suite: Annotated[str, typer.Option(help="cpu, gpu or all.")] = "cpu",
          networks: Annotated[str | None, typer.Option(help="Networks, comma-separated; default: scenes_resnet, scenes_vgg, "
                                                       "mobilenet_v2, efficientnet_lite0, resnet50, vgg16.")] = None,
          methods: Annotated[str | None, typer.Option(help="Methods, comma-separated, deletion_insertion among them; "
                                                      "default: all.")] = None,
          parts: Annotated[str | None, typer.Option(help="ratios, curves; default: both.")] = None,
          rounds: Annotated[int | None, typer.Option(help="Default: 15 where a round takes less than 5 seconds, else 3.")] = None,
          threads: Annotated[int | None, typer.Option(help="Threads of torch; default: as many as it takes by itself.")] = None,
          out: Annotated[Path | None, typer.Option(help="Folder of the tables, resumed there; default: build/speed.")] = None,
          store: Annotated[bool, typer.Option("--store", help="Copy the tables to data/speed.")] = False) -> None:
    """Time every method beside the bare passes that it needs and beside captum, grad-cam and torchcam; how cost grows."""
    from .evaluation.measure import split_list
    from .evaluation.speed import open_suite

    asked = [None if text is None else split_list(text) for text in (networks, methods, parts)]
    open_suite()(suite, asked[0], asked[1], asked[2], rounds, threads, out, store)


@app.command()
def train(name: Annotated[str, typer.Argument(help="scenes_resnet or scenes_vgg; with _seed1 or _seed2 "
                                                   "from another start; scenes_resnet_shuffled (random labels).")],
          out: Annotated[Path | None, typer.Option(help="Folder of the checkpoint; default: data/checkpoints.")] = None,
          epochs: Annotated[int | None, typer.Option(help="Default: 8, for _shuffled 40.")] = None,
          length: Annotated[int | None, typer.Option(help="Scenes to learn; default: 20 000, for _shuffled 500.")] = None,
          seed: Annotated[int | None, typer.Option(help="Default: the name's, 0 for a name without one.")] = None) -> None:
    """Train a scene network (about ten minutes on two cores) and write its checkpoint."""
    from .networks.train import train as run

    print(json.dumps(run(name, epochs=epochs, length=length, seed=seed, out=out), indent=1))


def main() -> None:
    """Run the command line; what was asked wrongly is one line on stderr and exit status 2."""
    keep_memory()
    try:
        sys.exit(app(sys.argv[1:] or ["--help"], standalone_mode=False) or 0)
    except ModuleNotFoundError as error:
        said = f"this needs {error.name}, which is not installed; pip install 'camutils[book]' installs it"
    except ASKED as error:
        said = str(error)
    except Exception as error:
        if not hasattr(error, "format_message"):  # which typer's own kinds have: no such command, no such option
            raise
        said = error.format_message()
    print(f"camutils: {' '.join(said.split())}", file=sys.stderr)
    sys.exit(2)


if __name__ == "__main__":
    main()
