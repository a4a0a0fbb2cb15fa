"""The command line: `python -m datagen`, or `vitkit-data`."""

from __future__ import annotations

import contextlib
import errno
import functools
import inspect
import json
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Annotated, Any, Literal

import typer

from datagen import finishing, pipeline, planning, terminal
from datagen.asking import Interrupted
from datagen.audit import AuditConfig, write_audit
from datagen.config import Job, RunConfig, check_config, check_out, check_writable
from datagen.ledger import FILE_NAME, Ledger
from datagen.prompting import DEFAULT_PACK, find_pack, load_pack
from datagen.records import InputError
from datagen.teacher import TEACHERS
from schemas import RunManifest

EXIT_UNFINISHED = 1
EXIT_BAD_INPUT = 2
EXIT_INTERRUPTED = 130
_FAULTS_OF_PATHS = (errno.EACCES, errno.EPERM, errno.ENAMETOOLONG)

app = typer.Typer(
    help="Image annotations in, checked LLaVA instruction data out.",
    no_args_is_help=True,
    add_completion=False,
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
)

packs = typer.Typer(
    help="Write, check and compare prompt packs.",
    no_args_is_help=True,
    add_completion=False,
    rich_markup_mode=None,
)
app.add_typer(packs, name="pack")


def _run_options(
    captions: Annotated[
        list[Path] | None,
        typer.Option(metavar="FILE", help="COCO captions file; may be given several times."),
    ] = None,
    instances: Annotated[
        list[Path] | None,
        typer.Option(metavar="FILE", help="COCO instances file; may be given several times."),
    ] = None,
    images: Annotated[
        Path | None, typer.Option(metavar="DIR", help="Image folder; images that are not in it are left out.")
    ] = None,
    teacher: Annotated[
        str,
        typer.Option(metavar="NAME", help="; ".join(f"{name}: {what}" for name, what in TEACHERS.items())),
    ] = "programmatic",
    model: Annotated[
        str | None,
        typer.Option(metavar="NAME", help="For --teacher openai or openai-batch: a model it serves."),
    ] = None,
    base_url: Annotated[
        str | None,
        typer.Option(
            metavar="URL",
            help="For --teacher openai or openai-batch: the endpoint, such as http://localhost:8000/v1.",
        ),
    ] = None,
    replies: Annotated[
        Path | None,
        typer.Option(metavar="FILE", help="For --teacher replay: a JSON lines file of recorded replies."),
    ] = None,
    pack: Annotated[
        str, typer.Option(metavar="PACK", help="Prompt pack: a shipped one's name, or a folder.")
    ] = "coco",
    types: Annotated[
        str | None,
        typer.Option(metavar="A,B", help="Response types, comma-separated.  [default: all of the pack's]"),
    ] = None,
    proxy: Annotated[
        Literal["grounded", "llava-exact"] | None,
        typer.Option(help="How annotations are written out.  [default: the pack's]"),
    ] = None,
    limit: Annotated[
        int | None, typer.Option(metavar="N", help="At most so many images, lowest ids first.")
    ] = None,
    seed: Annotated[int, typer.Option(metavar="N", help="Decides every random choice.")] = 0,
    concurrency: Annotated[
        int,
        typer.Option(metavar="N", help="Most requests in flight at once; fewer while the endpoint is busy."),
    ] = 64,
    rpm: Annotated[int | None, typer.Option(metavar="N", help="Most requests a minute.")] = None,
    tpm: Annotated[int | None, typer.Option(metavar="N", help="Most tokens a minute, in and out.")] = None,
    max_cost: Annotated[
        float | None,
        typer.Option(
            metavar="USD", help="Never spend more than this on the folder --out, over all its runs."
        ),
    ] = None,
    prices: Annotated[
        Path | None,
        typer.Option(metavar="FILE", help="Price table.  [default: datagen/prices.toml]"),
    ] = None,
    checks: Annotated[
        Literal["off", "flag", "enforce"],
        typer.Option(
            help="enforce: drop what the pack's checks find unfit; flag: keep it, and say so in "
            "verdicts.jsonl; off: look at nothing."
        ),
    ] = "enforce",
    evaluation_ids: Annotated[
        list[Path] | None,
        typer.Option(
            metavar="FILE",
            help="Ids and file names of images to hold back, beside those of known benchmarks; may be given "
            "several times.",
        ),
    ] = None,
    evaluation_images: Annotated[
        list[Path] | None,
        typer.Option(
            metavar="DIR",
            help="Folder of evaluation images; images that look like one of them are held back (needs "
            "--images); may be given several times.",
        ),
    ] = None,
    allow_evaluation_images: Annotated[
        bool,
        typer.Option("--allow-evaluation-images", help="Hold nothing back, not even images of benchmarks."),
    ] = False,
) -> RunConfig:
    return RunConfig(
        captions=tuple(captions or ()),
        instances=tuple(instances or ()),
        images=images,
        teacher=teacher,
        model=model,
        base_url=base_url,
        replies=replies,
        pack=pack,
        types=tuple(name.strip() for name in types.split(",")) if types is not None else None,
        proxy=proxy,
        limit=limit,
        seed=seed,
        concurrency=concurrency,
        rpm=rpm,
        tpm=tpm,
        max_cost=max_cost,
        prices=prices,
        checks=checks,
        evaluation_ids=tuple(evaluation_ids or ()),
        evaluation_images=tuple(evaluation_images or ()),
        allow_evaluation_images=allow_evaluation_images,
    )


def _with_run_options(*, without: str = "") -> Callable[[Callable[..., None]], Callable[..., None]]:
    """Give a command the options of a run, but for some, as its first argument `config`."""
    shared = dict(inspect.signature(_run_options, eval_str=True).parameters)
    for name in without.split():
        del shared[name]

    def decorate(command: Callable[..., None]) -> Callable[..., None]:
        own = list(inspect.signature(command, eval_str=True).parameters.values())[1:]

        @functools.wraps(command)
        def with_options(**values: Any) -> None:
            config = _run_options(**{name: values.pop(name) for name in shared})
            command(config, **values)

        parameters = [
            parameter.replace(kind=inspect.Parameter.KEYWORD_ONLY) for parameter in (*own, *shared.values())
        ]
        with_options.__signature__ = inspect.Signature(parameters)  # type: ignore[attr-defined]
        with_options.__annotations__ = {parameter.name: parameter.annotation for parameter in parameters}
        return with_options

    return decorate


def _command(function: Callable[..., None]) -> Callable[..., None]:
    """Register a command of `python -m datagen`."""
    return app.command()(_interruptible(function))


def _pack_command(name: str) -> Callable[[Callable[..., None]], Callable[..., None]]:
    """Register a command of `python -m datagen pack`."""
    return lambda function: packs.command(name)(_interruptible(function))


def _interruptible(function: Callable[..., None]) -> Callable[..., None]:
    """Ctrl-C leaves the command as Interrupted: typer would take it and say nothing."""

    @functools.wraps(function)
    def interruptible(**values: Any) -> None:
        try:
            function(**values)
        except KeyboardInterrupt:
            raise Interrupted from None

    return interruptible


OutOption = Annotated[
    Path, typer.Option(metavar="DIR", help="Folder to write to: new, empty, or an earlier run to continue.")
]
FolderArgument = Annotated[Path, typer.Argument(metavar="DIR", help="The --out folder of a run.")]
NewFolderOption = Annotated[Path, typer.Option(metavar="DIR", help="Folder to write to: new or empty.")]


@_command
@_with_run_options()
def run(
    config: RunConfig,
    out: OutOption,
    retry_failed: Annotated[
        bool, typer.Option("--retry-failed", help="Ask again what an earlier run here gave up on.")
    ] = False,
    replan: Annotated[
        bool, typer.Option("--replan", help="Go on though most paid replies here would no longer be used.")
    ] = False,
) -> None:
    """Make the whole set: ask, check, deduplicate, write.

    Stop it at any time; the same command continues. Without annotations it runs on the pack's
    bundled sample.
    """
    job = check_config(config)
    check_out(out, resumable=True)
    terminal.say_job(job, out)
    with terminal.RunWatcher(job, in_batches=config.teacher == "openai-batch") as watcher:
        ran = pipeline.run(job, out, watcher, retry_failed=retry_failed, replan=replan)
    terminal.say_summary(ran.manifest, out, is_stopped=ran.stopped is not None)
    _exit(ran)


@_command
@_with_run_options()
def quote(
    config: RunConfig,
    out: Annotated[
        Path | None,
        typer.Option(metavar="DIR", help="An earlier run: what it has answers to is not counted again."),
    ] = None,
    retry_failed: Annotated[
        bool, typer.Option("--retry-failed", help="Count what an earlier run there gave up on.")
    ] = False,
) -> None:
    """Say how many requests and tokens a run would ask, and what they would cost.

    Nothing is asked and nothing written.
    """
    job = check_config(config)
    made = pipeline.prepare(job)
    with contextlib.ExitStack() as stack:
        ledger = None
        if out is not None:
            check_out(out, resumable=True)
            if (out / FILE_NAME).exists():
                ledger = stack.enter_context(Ledger.open_read_only(out))
        terminal.say_quote(job, made, planning.quote(job, made, ledger, retry_failed=retry_failed))


@_command
@_with_run_options(without="teacher model base_url replies limit concurrency rpm tpm max_cost prices checks")
def preview(
    config: RunConfig,
    image_id: Annotated[
        int | None,
        typer.Option(metavar="N", help="Which image.  [default: the first that would be asked about]"),
    ] = None,
    as_json: Annotated[
        bool, typer.Option("--json", help="Print JSON: response type to the list of messages.")
    ] = False,
) -> None:
    """Show the exact messages that a teacher gets for one image."""
    job = check_config(config)
    image, messages = planning.preview(job, pipeline.prepare(job), image_id)
    if as_json:
        shown = {name: [message._asdict() for message in chat] for name, chat in messages.items()}
        sys.stdout.write(json.dumps(shown, ensure_ascii=False, indent=2) + "\n")
    else:
        terminal.say_messages(image, messages)


@_command
@_with_run_options(
    without="teacher model base_url replies types proxy concurrency rpm tpm max_cost prices checks"
)
def captions(config: RunConfig, out: OutOption) -> None:
    """Make the stage-1 alignment set alone, without a teacher.

    An image, a short instruction, one caption.
    """
    job = check_config(config)
    check_out(out, resumable=False)
    with pipeline.folders_made(out):
        manifest = finishing.make_alignment(job, out)
    terminal.say_alignment(manifest, out)


@_command
def finish(
    folder: FolderArgument,
    checks: Annotated[
        Literal["off", "flag", "enforce"] | None,
        typer.Option(help="As for `run`.  [default: as the run had it]"),
    ] = None,
) -> None:
    """Make the files again from the ledger, without a call.

    Parses, checks, deduplicates and writes, with the pack as it stands now.
    """
    with Ledger.open(folder) as ledger:
        manifest = finishing.finish(ledger, checking=checks)
    terminal.say_summary(manifest, folder, again="the `run` that began it")
    _exit_unless_finished(manifest)


@_command
def audit(
    file: Annotated[Path, typer.Argument(metavar="FILE", help="LLaVA JSON: a list, or a record a line.")],
    captions: Annotated[
        list[Path] | None,
        typer.Option(metavar="FILE", help="COCO captions file; may be given several times."),
    ] = None,
    instances: Annotated[
        list[Path] | None,
        typer.Option(metavar="FILE", help="COCO instances file; may be given several times."),
    ] = None,
    images: Annotated[
        Path | None, typer.Option(metavar="DIR", help="Image folder; images that are not in it are counted.")
    ] = None,
    pack: Annotated[
        str, typer.Option(metavar="PACK", help="Whose checks: a shipped pack's name, or a folder.")
    ] = "coco",
    type_: Annotated[
        str | None,
        typer.Option(
            "--type", metavar="NAME", help="Response type of all samples.  [default: by id, else guessed]"
        ),
    ] = None,
    evaluation_ids: Annotated[
        list[Path] | None,
        typer.Option(
            metavar="FILE",
            help="Ids and file names of evaluation images to look for, beside those of known benchmarks; may "
            "be given several times.",
        ),
    ] = None,
    evaluation_images: Annotated[
        list[Path] | None,
        typer.Option(
            metavar="DIR",
            help="Folder of evaluation images, to look for images like them (needs --images); may be given "
            "several times.",
        ),
    ] = None,
    out: Annotated[
        Path, typer.Option(metavar="DIR", help="Folder for the report: new, empty, or an earlier audit's.")
    ] = Path("out/audit"),
) -> None:
    """Check LLaVA JSON that was made elsewhere, and write a report.

    With a run's checks, against the annotations that are given. FILE stays as it is.
    """
    config = AuditConfig(
        file=file,
        captions=tuple(captions or ()),
        instances=tuple(instances or ()),
        images=images,
        pack=pack,
        type=type_,
        evaluation_ids=tuple(evaluation_ids or ()),
        evaluation_images=tuple(evaluation_images or ()),
    )
    try:
        with terminal.RunWatcher() as watcher:
            report = write_audit(config, out, watcher)
    except KeyboardInterrupt:
        terminal.say_error("interrupted: no report was written")
        sys.exit(EXIT_INTERRUPTED)
    terminal.say_audit(report, out)


@_command
def status(folder: FolderArgument) -> None:
    """Show the accounting of a run, while it runs or after."""
    with Ledger.open_read_only(folder) as ledger:
        terminal.say_status(ledger, folder)


@_command
def cancel(folder: FolderArgument) -> None:
    """Cancel a run's batches and keep what they answered.

    What they had not answered is pending: `run` asks it again. The files are written.
    """
    with terminal.RunWatcher(in_batches=True) as watcher:
        cancelled, ran = pipeline.cancel(folder, watcher)
    terminal.say_cancelled(cancelled)
    terminal.say_summary(ran.manifest, folder, again="the `run` that began it")
    _exit(ran)


@_command
def programs(
    pack: Annotated[str, typer.Option(metavar="NAME_OR_DIR", help="Whose weights to show.")] = DEFAULT_PACK,
) -> None:
    """List the programs of the embedded teacher, with their weights in a pack."""
    # Imported when used: their word lists take a while to read.
    from datagen.teacher.programmatic import weights_of

    folder = find_pack(pack)
    loaded = load_pack(folder)
    try:
        weights = weights_of(loaded.programs, loaded.files)
    except InputError as error:
        raise InputError(f"{folder}/{error}") from None
    terminal.say_programs(
        [(each.response_type, each.name, weight, each.about) for each, weight in weights.items()], loaded.name
    )


@_command
def fetch_coco(
    split: Annotated[
        Literal["val2017", "train2017"],
        typer.Option(help="Whose images; the annotations come in one archive for both."),
    ],
    images: Annotated[
        bool,
        typer.Option("--images", help="The split's images too: 0.8 GB for val2017, 19 GB for train2017."),
    ] = False,
    out: Annotated[
        Path, typer.Option(metavar="DIR", help="Folder for COCO; may hold other splits already.")
    ] = Path("out/coco"),
    base_url: Annotated[
        str | None,
        typer.Option(
            metavar="URL",
            help="A mirror, laid out as the official server.  [default: http://images.cocodataset.org]",
        ),
    ] = None,
) -> None:
    """Download COCO 2017: the annotations and, with --images, a split's images.

    Checked against known checksums and unpacked. Stop it at any time; the same command continues.
    """
    from datagen import fetch_coco as coco  # brings an HTTP client, which no other command needs at once

    address = coco.check_address(base_url or coco.OFFICIAL)
    check_writable(out)
    archives = coco.archives_of(split, images=images)
    lacking = coco.lacking(archives, out)
    if lacking:
        room = coco.check_room(lacking, out)
        terminal.say_download([(each.name, each.size) for each in lacking], out, room.needed, room.free)
        try:
            with terminal.DownloadWatcher() as watcher, pipeline.folders_made(out):
                coco.fetch(lacking, out, address, watcher)
        except KeyboardInterrupt:
            terminal.say_error("interrupted; what was downloaded is kept: run the same command to continue")
            sys.exit(EXIT_INTERRUPTED)
    terminal.say_coco([(each.folder, each.files) for each in archives], out, split, is_new=bool(lacking))


@_command
def convert(
    format_: Annotated[str, typer.Argument(metavar="FORMAT", help="One of those above.")],
    paths: Annotated[list[Path] | None, typer.Argument(metavar="PATH...", help="What was exported.")] = None,
    images: Annotated[
        Path | None,
        typer.Option(
            metavar="DIR", help="Image folder, searched with all below it.  [default for yolo: its own]"
        ),
    ] = None,
    out: NewFolderOption = Path("out/converted"),
    split: Annotated[
        list[str] | None,
        typer.Option(
            metavar="NAME", help="For yolo: train, val or test; may be given several times.  [default: train]"
        ),
    ] = None,
) -> None:
    """Turn annotations of other tools into COCO captions and instances files.

    \b
    yolo          Ultralytics YOLO: data.yaml
    voc           Pascal VOC: XML files, or their folder
    labelme       LabelMe: JSON files, or their folder
    cvat          CVAT for images 1.1: annotations.xml
    label-studio  Label Studio's JSON export: boxes, and free text as captions
    csv           a table with a box a row
    captions      a table with a caption a row
    reports       a folder with a text file an image, or a table with a report a row
    metadata      the images' own XMP, IPTC, EXIF or PNG text as captions; no PATH

    What cannot be used is left out, counted, and named in left_out.jsonl. docs/converting.md has the
    forms in full.
    """
    from datagen import convert as converting
    from datagen.convert.summary import summary

    with _or_nothing_written(), terminal.RunWatcher() as watcher:
        watcher.begins("converting", None)
        converted = converting.convert(format_, paths or [], images, out, split or [])
    typer.echo("\n".join(summary(converted, out)))


@_command
def caption_list(
    files: Annotated[
        list[Path],
        typer.Argument(metavar="FILE...", help="TSV, CSV, JSON, JSON lines or Parquet: captions and images."),
    ],
    images: Annotated[Path, typer.Option(metavar="DIR", help="Image folder, searched with all below it.")],
    out: NewFolderOption = Path("out/alignment"),
    concept_balanced: Annotated[
        bool,
        typer.Option(
            "--concept-balanced",
            help="Keep a set with even concepts, as LLaVA kept 595 thousand pairs of CC3M's 3 million.",
        ),
    ] = False,
    pack: Annotated[
        str, typer.Option(metavar="PACK", help="Whose instructions: a shipped pack's name, or a folder.")
    ] = DEFAULT_PACK,
    seed: Annotated[int, typer.Option(metavar="N", help="Decides every random choice.")] = 0,
) -> None:
    """Turn image-caption lists, such as CC3M's and LAION's, into a stage-1 alignment set.

    What cannot be used is left out, counted, and named in left_out.jsonl.
    """
    from datagen import caption_lists

    with _or_nothing_written(), terminal.RunWatcher() as watcher:
        aligned = caption_lists.align(
            files, images, out, watcher, pack=pack, seed=seed, concept_balanced=concept_balanced
        )
    typer.echo("\n".join(caption_lists.summary(aligned, images, out)))


CaptionsOption = Annotated[
    list[Path] | None,
    typer.Option(metavar="FILE", help="COCO captions file; may be given several times."),
]
InstancesOption = Annotated[
    list[Path] | None,
    typer.Option(metavar="FILE", help="COCO instances file; may be given several times."),
]


@_pack_command("new")
def pack_new(
    name: Annotated[
        str, typer.Argument(metavar="NAME", help="The new pack's name, or the path of its folder.")
    ],
    source: Annotated[
        str,
        typer.Option(
            "--from", metavar="PACK", help="The pack to begin from: a shipped one's name, or a folder."
        ),
    ] = DEFAULT_PACK,
    captions: CaptionsOption = None,
    instances: InstancesOption = None,
    out: Annotated[
        Path | None, typer.Option(metavar="DIR", help="Folder to write; must not be there.  [default: NAME]")
    ] = None,
) -> None:
    """Write a prompt pack that knows your data.

    Its categories, how captions read, how boxes lie; drafts where a person must write, each marked
    TODO:; and CHECKLIST.md, which goes through them in order.
    """
    from datagen.packs import new

    with _or_nothing_written():
        made = new.new(name, source, captions or (), instances or (), out)
    given = {"captions": captions or [], "instances": instances or []}
    typer.echo("\n".join(new.summary(made, source, given)))


@_pack_command("check")
def pack_check(
    pack: Annotated[str, typer.Argument(metavar="PACK", help="A shipped pack's name, or a folder.")],
    captions: CaptionsOption = None,
    instances: InstancesOption = None,
) -> None:
    """Find everything that is wrong with a pack, each with its line and the mend.

    Exit status 0: clean, but for warnings; 2: there is something to mend. Categories are those of the
    annotations, or of the pack's sample.
    """
    from datagen.packs import check

    report = check.check(pack, captions or (), instances or ())
    typer.echo("\n".join(check.summary(report)))
    if not report.is_clean:
        sys.exit(EXIT_BAD_INPUT)


@_pack_command("diff")
@_with_run_options(without="pack limit")
def pack_diff(
    config: RunConfig,
    a: Annotated[str, typer.Argument(metavar="A", help="A shipped pack's name, or a folder.")],
    b: Annotated[str, typer.Argument(metavar="B", help="The pack to compare it with.")],
    sample: Annotated[int, typer.Option(metavar="N", help="How many images, drawn evenly.")] = 20,
    out: Annotated[
        Path,
        typer.Option(metavar="DIR", help="Folder: new, empty, or an earlier comparison's to go on with."),
    ] = Path("out/pack-diff"),
) -> None:
    """Run two versions of a pack over the same images, and compare what they make.

    Two ordinary runs, DIR/a and DIR/b, of which each may cost half of --max-cost; the same command goes
    on where it was stopped. Answers side by side are in DIR/diff.html. Without annotations, on A's sample.
    """
    from datagen.packs import diff

    def watcher(job: Job, folder: Path) -> terminal.RunWatcher:
        terminal.say_job(job, folder)
        return terminal.RunWatcher(job, in_batches=config.teacher == "openai-batch")

    found = diff.diff(config, (a, b), sample, out, watcher)
    typer.echo()
    typer.echo("\n".join(diff.summary(found)))
    for why in found.stopped:
        terminal.say_error(f"stopped: {why}")
    if not found.is_finished:
        sys.exit(EXIT_UNFINISHED)


@contextlib.contextmanager
def _or_nothing_written() -> Iterator[None]:
    """For commands that write all or nothing: Ctrl-C leaves nothing."""
    try:
        yield
    except KeyboardInterrupt:
        terminal.say_error("interrupted: nothing was written")
        sys.exit(EXIT_INTERRUPTED)


def _exit(ran: pipeline.Ran) -> None:
    if ran.stopped is not None:
        terminal.say_error(f"stopped: {ran.stopped}")
        sys.exit(EXIT_UNFINISHED)
    _exit_unless_finished(ran.manifest)


def _exit_unless_finished(manifest: RunManifest) -> None:
    if any(count.failed or count.pending for count in manifest.accounting.values()):
        sys.exit(EXIT_UNFINISHED)


def main() -> None:
    """Run a command; its faults become one line and an exit status."""
    try:
        app()
    except InputError as error:
        terminal.say_error(str(error))
        sys.exit(EXIT_BAD_INPUT)
    except OSError as error:
        # A path that may not be looked into shows wherever it is first looked at.
        if error.filename is None or error.errno not in _FAULTS_OF_PATHS:
            raise
        terminal.say_error(f"{error.filename}: {error.strerror}; check the path and its permissions")
        sys.exit(EXIT_BAD_INPUT)
    except Interrupted:
        terminal.say_error("interrupted; every reply stored is kept: run the same command to continue")
        sys.exit(EXIT_INTERRUPTED)


if __name__ == "__main__":
    main()
