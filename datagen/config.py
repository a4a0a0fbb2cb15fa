"""What a run is asked to do: one record, checked on entry."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path

from datagen.emit import ALIGNMENT, MANIFEST, REJECTED, TEMPORARY, read_manifest
from datagen.ledger import FILE_NAME as LEDGER
from datagen.prompting import PACKS, Pack, find_pack, load_pack
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
    seed: int = 0
    concurrency: int = 64
    """Most requests in flight at once."""


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


def check_config(config: RunConfig) -> Job:
    """Settle a configuration, before anything is read at length or written.

    Raises InputError naming the option, its value and what is allowed.
    """
    for option, number, least in (
        ("--limit", config.limit, 1),
        ("--concurrency", config.concurrency, 1),
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
        config.teacher, model=config.model, base_url=config.base_url, replies=config.replies
    )
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
    )


def _paths(config: RunConfig) -> list[tuple[str, Path]]:
    paths = [("--captions", path) for path in config.captions]
    paths += [("--instances", path) for path in config.instances]
    single = (("--images", config.images), ("--replies", config.replies), ("--pack", Path(config.pack)))
    return paths + [(option, path) for option, path in single if path is not None]


def _sample_folder(pack: Pack, folder: Path) -> Path:
    if pack.sample is None:
        raise InputError(
            f"no annotations: give --captions and --instances, or either (the pack {pack.name} has no sample)"
        )
    for base in (folder, PACKS.parent):
        if (base / pack.sample).is_dir():
            return base / pack.sample
    raise InputError(
        f"no annotations: give --captions and --instances, or either "
        f"(the sample of the pack {pack.name}, {pack.sample}, is not installed)"
    )


def check_out(out: Path, *, resumable: bool) -> None:
    """The output folder may be absent, empty, or (if `resumable`) a run of ours, and writable.

    Creates nothing. Raises InputError otherwise.
    """
    if not out.exists():
        above = next(parent for parent in out.absolute().parents if parent.exists())
        if not above.is_dir():
            raise InputError(f"--out {out}: {above} is a file, not a folder")
        if not os.access(above, os.W_OK):
            raise InputError(f"--out {out}: {above} is not writable")
        return
    if not out.is_dir():
        raise InputError(f"--out {out}: is a file; give a folder")
    if not os.access(out, os.W_OK):
        raise InputError(f"--out {out}: not writable")
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
