"""What a run is asked to do: one record, checked on entry."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from datagen.emit import ALIGNMENT, MANIFEST, REJECTED, TEMPORARY, read_manifest
from datagen.evaluation_images import EvaluationList, read_evaluation_list
from datagen.ledger import FILE_NAME as LEDGER
from datagen.pricing import PRICES, Price, Prices, find_prices
from datagen.prompting import DEFAULT_PACK, PACKS, Pack, find_pack, load_pack
from datagen.records import InputError, ProxyForm
from datagen.teacher import Teacher, make_teacher

MOST_CONCURRENT = 1000


@dataclass(frozen=True)
class RunConfig:
    """The flags of `run`, `quote` and `preview`."""

    captions: tuple[Path, ...] = ()
    """COCO captions files."""
    instances: tuple[Path, ...] = ()
    """COCO instances files."""
    images: Path | None = None
    """The image folder; where given, images not found in it are left out."""
    teacher: str = "programmatic"
    model: str | None = None
    base_url: str | None = None
    replies: Path | None = None
    """For `replay`: the file of recorded replies."""
    pack: str = "coco"
    """A shipped pack's name, or a folder."""
    types: tuple[str, ...] | None = None
    """Response types to make; None for all of the pack's."""
    proxy: ProxyForm | None = None
    """None for the pack's."""
    limit: int | None = None
    """At most that many images, in ascending id."""
    image_ids: frozenset[int] | None = None
    """These images alone; None for all."""
    seed: int = 0
    concurrency: int = 64
    """Most requests in flight at once."""
    rpm: int | None = None
    """Most requests a minute."""
    tpm: int | None = None
    """Most tokens a minute, input and output together."""
    max_cost: float | None = None
    """US dollars that all the asking into a folder may cost."""
    prices: Path | None = None
    """The price file; None for the one that ships."""
    checks: Literal["off", "flag", "enforce"] = "enforce"
    """What becomes of what the checks find."""
    evaluation_ids: tuple[Path, ...] = ()
    """Lists of evaluation images, beside the one that ships."""
    evaluation_images: tuple[Path, ...] = ()
    """Folders of evaluation images; what looks like one of them is held back."""
    allow_evaluation_images: bool = False


@dataclass(frozen=True)
class Job:
    """A checked RunConfig: the pack loaded, the teacher made, the annotation files settled."""

    config: RunConfig
    pack: Pack
    pack_folder: Path
    teacher: Teacher
    types: tuple[str, ...]
    proxy: ProxyForm
    captions: tuple[Path, ...]
    instances: tuple[Path, ...]
    images: Path | None
    is_sample: bool
    """True when no annotations were given and the pack's bundled sample stands in."""
    prices: Prices | None
    """What the model costs; None for a local teacher, or where the price file has no such model."""
    evaluation_list: EvaluationList | None
    """The evaluation images to hold back, by id and name; None where they are allowed."""

    @property
    def price(self) -> Price | None:
        """What the model costs the way that it is asked."""
        if self.prices is None:
            return None
        return self.prices.batch if self.config.teacher == "openai-batch" else self.prices.online


def check_config(config: RunConfig) -> Job:
    """Settle a configuration, before anything is read at length or written.

    Raises InputError naming the option, its value and what is allowed.
    """
    for option, number, least in (
        ("--limit", config.limit, 1),
        ("--concurrency", config.concurrency, 1),
        ("--rpm", config.rpm, 1),
        ("--tpm", config.tpm, 1),
        ("--seed", config.seed, 0),
    ):
        if number is not None and number < least:
            raise InputError(f"{option} {number}: must be at least {least}")
    if config.concurrency > MOST_CONCURRENT:
        raise InputError(f"--concurrency {config.concurrency}: must be at most {MOST_CONCURRENT}")
    for option, path in _paths(config):
        try:
            str(path).encode()
        except UnicodeEncodeError:
            shown = str(path).encode(errors="replace").decode()
            raise InputError(f"{option} {shown}: not a name in UTF-8: rename it") from None
    folder = find_pack(config.pack)
    pack = load_pack(folder)
    types = tuple(name for name in config.types if name) if config.types else tuple(pack.types)
    if not types:
        raise InputError(f"--types: name at least one; the pack {pack.name} has {', '.join(pack.types)}")
    for name in types:
        if name not in pack.types:
            raise InputError(f"--types {name}: the pack {pack.name} has {', '.join(pack.types)}")
    # In the pack's order whatever the option's, so that the same choice is the same run.
    types = tuple(name for name in pack.types if name in types)
    teacher = make_teacher(
        config.teacher,
        model=config.model,
        base_url=config.base_url,
        replies=config.replies,
        pack_folder=folder,
        pack_files=pack.files,
        shipped_files=load_pack(PACKS / DEFAULT_PACK).files,
        programs=pack.programs,
    )
    prices = _prices(config)
    captions, instances, images = config.captions, config.instances, config.images
    is_sample = not captions and not instances
    if is_sample:
        sample = _sample_folder(pack, folder)
        captions, instances = (sample / "captions.json",), (sample / "instances.json",)
        images = images or sample / "images"
    if images is not None and not images.is_dir():
        raise InputError(f"--images {images}: no such folder")
    return Job(
        config=config,
        pack=pack,
        pack_folder=folder.resolve(),
        teacher=teacher,
        types=types,
        proxy=config.proxy or pack.proxy,
        captions=captions,
        instances=instances,
        images=images,
        is_sample=is_sample,
        prices=prices,
        evaluation_list=_evaluation_list(config, images),
    )


def _evaluation_list(config: RunConfig, images: Path | None) -> EvaluationList | None:
    if config.allow_evaluation_images:
        if config.evaluation_ids or config.evaluation_images:
            option = "--evaluation-ids" if config.evaluation_ids else "--evaluation-images"
            raise InputError(f"--allow-evaluation-images holds nothing back: leave it or {option} out")
        return None
    for folder in config.evaluation_images:
        if not folder.is_dir():
            raise InputError(f"--evaluation-images {folder}: no such folder")
        if images is None:
            raise InputError(
                f"--evaluation-images {folder}: give --images DIR too, to compare its pictures with"
            )
    return read_evaluation_list(config.evaluation_ids)


def _prices(config: RunConfig) -> Prices | None:
    for option, value, users in (
        ("--rpm", config.rpm, ("openai",)),
        ("--tpm", config.tpm, ("openai",)),
        ("--max-cost", config.max_cost, ("openai", "openai-batch")),
        ("--prices", config.prices, ("openai", "openai-batch")),
    ):
        if value is not None and config.teacher not in users:
            raise InputError(
                f"{option} has no meaning for --teacher {config.teacher}; "
                f"it goes with --teacher {' or '.join(users)}"
            )
    if config.model is None:
        return None
    source = config.prices or PRICES
    prices = find_prices(config.model, source)
    if config.max_cost is None:
        return prices
    if not 0 < config.max_cost < float("inf"):
        raise InputError(f"--max-cost {config.max_cost:g}: must be more than 0 US dollars")
    in_batches = config.teacher == "openai-batch"
    if prices is None or (in_batches and prices.batch is None):
        kind = "batch price" if prices else "price"
        raise InputError(
            f"--max-cost: {source} has no {kind} for {config.model}, so nothing can be held to it: "
            f'add it to the table ["{config.model}"], in that file or in one that you give with --prices'
        )
    return prices


def _paths(config: RunConfig) -> list[tuple[str, Path]]:
    paths = [("--captions", path) for path in config.captions]
    paths += [("--instances", path) for path in config.instances]
    paths += [("--evaluation-ids", path) for path in config.evaluation_ids]
    paths += [("--evaluation-images", path) for path in config.evaluation_images]
    single = (
        ("--images", config.images),
        ("--replies", config.replies),
        ("--pack", Path(config.pack)),
        ("--prices", config.prices),
    )
    return paths + [(option, path) for option, path in single if path is not None]


def _sample_folder(pack: Pack, folder: Path) -> Path:
    if pack.sample is None:
        raise InputError(
            f"no annotations: give --captions and --instances, or either (the pack {pack.name} has no sample)"
        )
    found = sample_folder(pack.sample, folder)
    if found is not None:
        return found
    raise InputError(
        f"no annotations: give --captions and --instances, or either "
        f"(the sample of the pack {pack.name}, {pack.sample}, is not installed)"
    )


def sample_folder(sample: str, folder: Path) -> Path | None:
    """Where the sample that a pack names is: from the pack's folder, or the repository."""
    for base in (folder, PACKS.parent):
        if (base / sample).is_dir():
            return base / sample
    return None


def check_writable(out: Path) -> bool:
    """Whether the output folder is there; it may be absent, and has to be one that can be written.

    Creates nothing. Raises InputError otherwise.
    """
    if not out.exists():
        above = next(parent for parent in out.absolute().parents if parent.exists())
        if not above.is_dir():
            raise InputError(f"--out {out}: {above} is a file, not a folder")
        if not os.access(above, os.W_OK):
            raise InputError(f"--out {out}: {above} is not writable")
        return False
    if not out.is_dir():
        raise InputError(f"--out {out}: is a file; give a folder")
    if not os.access(out, os.W_OK):
        raise InputError(f"--out {out}: not writable")
    return True


def check_out(out: Path, *, resumable: bool) -> None:
    """The output folder may be absent, empty, or (if `resumable`) a run of ours, and writable.

    Creates nothing. Raises InputError otherwise.
    """
    if not check_writable(out):
        return
    # What a killed run was in the middle of writing is swept away by the next.
    names = {entry.name for entry in out.iterdir()}
    was_killed = TEMPORARY in names
    names.discard(TEMPORARY)
    if not names or (resumable and LEDGER in names):
        return
    if not resumable and names <= {ALIGNMENT, REJECTED, MANIFEST}:
        manifest = read_manifest(out)
        if was_killed or (manifest is not None and manifest.kind == "captions"):
            return
    raise InputError(
        f"--out {out}: neither empty nor {'a run' if resumable else 'an alignment set'} of ours "
        f"(it holds {sorted(names)[0]}): choose another folder"
    )
