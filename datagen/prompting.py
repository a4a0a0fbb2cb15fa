"""Prompt packs: a folder of text, and the messages it makes of an annotation.

A pack is a folder with one folder per response type (system_message.txt, 000_caps.txt and
000_conv.txt, …) and, beside them, pack.toml and word lists. A folder in the layout that LLaVA's
authors published, without pack.toml, loads as it stands.
"""

from __future__ import annotations

import difflib
import hashlib
import re
import tomllib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path, PurePosixPath

import msgspec
from pydantic import BaseModel, ValidationError

from datagen import text_proxy
from datagen.parsing import Parsed, as_json, parse_reply
from datagen.records import Frame, ImageAnnotation, InputError, Message, ProxyForm, ReplyForm
from schemas import PackToml, ResponseTypeToml
from schemas.llava import IMAGE_TOKEN
from schemas.pack import DedupToml, MarginsToml, OnReject, ProgramsToml

PACKS = Path(__file__).resolve().parent.parent / "prompts"
DEFAULT_PACK = "coco"

# What a pack does not bring is taken from the default pack.
_WORD_LISTS = (
    "leaks.txt",
    "refusals.txt",
    "forbidden.txt",
    "declines.txt",
    "alignment.txt",
    "complaints.txt",
)
_SHARED_FILES = (*_WORD_LISTS, "vocabulary.txt", "attributes.txt", "blind_spots.txt", "knowledge.toml")
_PHRASINGS = "phrasings/"
_QUESTIONS = "questions.txt"
_DIALOGUES = "dialogues.toml"
# Published folder name to ours.
_FOLDER_ALIASES = {"detail": "detail_description"}
_PUBLISHED_TYPES: dict[str, ResponseTypeToml] = {
    "conversation": ResponseTypeToml(reply="pairs"),
    "detail": ResponseTypeToml(reply="answer"),
    "complex_reasoning": ResponseTypeToml(reply="pairs"),
}
PLACEHOLDER = "TODO:"
"""Marks what a person has yet to write; `pack new` leaves some."""
_CAPS = re.compile(r"(\d+)_caps\.txt")
_CONV = re.compile(r"(\d+)_conv\.txt")


@dataclass(frozen=True)
class Seed:
    """One worked example: the proxy the teacher is shown and the reply it is to imitate."""

    name: str
    caps: str
    conv: str


@dataclass(frozen=True)
class ResponseType:
    """One kind of sample: how it is asked for and how its reply is read."""

    name: str
    reply_form: ReplyForm
    temperature: float
    max_tokens: int
    checks: tuple[str, ...]
    reject: tuple[str, ...]
    """Verdicts on a claim that make its turn unfit."""
    may_speculate: bool
    on_reject: OnReject
    answer_words: tuple[int, int] | None
    near: float | None
    may_repeat_questions: bool
    optional: bool
    """Made only where it is asked for by name."""
    most: int | None
    most_per_category: int | None
    system_message: str
    seeds: tuple[Seed, ...]
    questions: tuple[str, ...]
    """For replies that are an answer alone; empty otherwise."""


@dataclass(frozen=True)
class Pack:
    """A prompt pack, whole in memory."""

    name: str
    proxy: ProxyForm
    frame: Frame
    sample: str | None
    dedup: DedupToml
    programs: ProgramsToml
    types: Mapping[str, ResponseType]
    word_lists: Mapping[str, tuple[str, ...]]
    """`leaks`, `refusals`, `forbidden`, `declines`, `alignment`, `complaints`: their files' lines."""
    complaints: Mapping[str, str]
    """By the reason for which a reply cannot be used: what its teacher is told and asked again."""
    folders_without_table: tuple[str, ...]
    """Folders with prompts for which pack.toml has no table, and which are not used."""
    files: Mapping[str, str]
    """Every file the pack was made of, by path inside it, what the default pack lent included."""

    @cached_property
    def hash(self) -> str:
        """Names the content: 16 hex digits that change with any byte of any file."""
        digest = hashlib.sha256()
        for path in sorted(self.files):
            digest.update(msgspec.json.encode((path, self.files[path])))
        return digest.hexdigest()[:16]


def find_pack(name_or_dir: str, option: str = "--pack") -> Path:
    """The folder of a shipped pack's name or of a path; `option` is where it was given.

    Raises InputError when there is neither.
    """
    shipped = sorted(folder.name for folder in PACKS.iterdir() if (folder / "pack.toml").is_file())
    if name_or_dir in shipped:
        return PACKS / name_or_dir
    folder = Path(name_or_dir)
    if folder.is_dir():
        return folder
    raise InputError(
        f"{option} {name_or_dir}: no such pack. Give the path of a pack's folder, "
        f"or the name of a shipped one: {', '.join(shipped)}"
    )


def load_pack(folder: Path) -> Pack:
    """Read a pack from its folder.

    Raises InputError naming the file, what is wrong with it and the mend.
    """
    files = with_lent(_read_files(folder), folder)
    return pack_from_files(files, str(folder), folder.resolve().name)


def with_lent(files: dict[str, str], folder: Path) -> dict[str, str]:
    """The files of a pack's folder, and what the default pack lends where they lack it."""
    default = PACKS / DEFAULT_PACK
    if folder.resolve() != default:
        lent = _read_files(default)
        phrasings = [path for path in lent if path.startswith(_PHRASINGS)]
        for name in (*_SHARED_FILES, *phrasings):
            files.setdefault(name, lent[name])
        files.setdefault(f"detail/{_QUESTIONS}", lent[f"detail/{_QUESTIONS}"])
        for name in _tables(files):
            is_bare = not any(path.startswith(f"{name}/") for path in files)
            for path in [path for path in lent if path.startswith(f"{name}/")]:
                # A folder of its own is the pack's; only what the embedded teacher says is lent even then.
                if is_bare or path == f"{name}/{_DIALOGUES}":
                    files.setdefault(path, lent[path])
    return files


def _tables(files: Mapping[str, str]) -> list[str]:
    """The types that pack.toml has tables of; none where it cannot be read, which is said elsewhere."""
    try:
        types = tomllib.loads(files.get("pack.toml", "")).get("types", {})
    except tomllib.TOMLDecodeError:
        return []
    return list(types) if isinstance(types, dict) else []


def pack_from_files(files: Mapping[str, str], where: str, name: str) -> Pack:
    """A pack from the text of its files; `where` names it in messages.

    Raises InputError as `load_pack` does.
    """
    return pack_of(settings_of(files, where, name), files, where)


def pack_of(settings: PackToml, files: Mapping[str, str], where: str) -> Pack:
    """A pack from its settings and the text of its files.

    Raises InputError as `load_pack` does.
    """
    types = {
        type_name: _response_type(type_name, table, files, where)
        for type_name, table in settings.types.items()
    }
    # A pack kept in a ledger may be older than one of these files.
    word_lists = {Path(file).stem: _lines(files.get(file, "")) for file in _WORD_LISTS}
    _check_instructions(word_lists["alignment"], f"{where}/alignment.txt")
    return Pack(
        name=settings.name,
        proxy=settings.proxy,
        frame=settings.frame,
        sample=settings.sample,
        dedup=settings.dedup,
        programs=settings.programs,
        types=types,
        word_lists=word_lists,
        complaints=_complaints(word_lists["complaints"], f"{where}/complaints.txt"),
        folders_without_table=tuple(folder for folder in _type_folders(files) if folder not in types),
        files=dict(files),
    )


def _read_files(folder: Path) -> dict[str, str]:
    """The text of pack.toml, the word lists and every file of every type's folder."""
    return aliased({path.relative_to(folder).as_posix(): read_text(path) for path in pack_paths(folder)})


def pack_paths(folder: Path) -> list[Path]:
    """The files of a pack's folder that are read."""
    paths = sorted([*folder.glob("*.toml"), *folder.glob("*.txt"), *folder.glob("*/*.txt")])
    return paths + sorted([*folder.glob(f"{_PHRASINGS}*.toml"), *folder.glob(f"*/{_DIALOGUES}")])


def read_text(path: Path) -> str:
    """The text of a file of a pack. Raises InputError where it cannot be read."""
    try:
        return path.read_text(encoding="utf-8-sig").replace("\r\n", "\n")
    except UnicodeDecodeError as error:
        raise InputError(f"{path}: not UTF-8 text (byte {error.start}): save the file as UTF-8") from None
    except OSError as error:
        raise InputError(f"{error.filename}: cannot be read: {error.strerror}") from None


def aliased(files: dict[str, str]) -> dict[str, str]:
    """The files under our names of their folders, where they have the published ones."""
    for ours, published in _FOLDER_ALIASES.items():
        if not any(path.startswith(f"{ours}/") for path in files):
            files = {re.sub(f"^{published}/", f"{ours}/", path): text for path, text in files.items()}
    return files


def _type_folders(files: Mapping[str, str]) -> list[str]:
    return sorted({PurePosixPath(path).parts[0] for path in files if path.endswith("/system_message.txt")})


def settings_of(files: Mapping[str, str], where: str, name: str) -> PackToml:
    """The settings in a pack's pack.toml, or of a pack in the published layout without one.

    Raises InputError as `load_pack` does.
    """
    if "pack.toml" not in files:
        folders = _type_folders(files)
        if not folders:
            raise InputError(
                f"{where}: not a prompt pack: it has neither pack.toml nor a folder with system_message.txt"
            )
        # The three published types first and in their order, others after them.
        names = [n for n in _PUBLISHED_TYPES if n in folders]
        names += [n for n in folders if n not in _PUBLISHED_TYPES]
        types = {n: _PUBLISHED_TYPES.get(n, ResponseTypeToml(reply="pairs")) for n in names}
        try:
            return PackToml(name=name, proxy="llava-exact", types=types)
        except ValidationError as error:
            first = error.errors()[0]
            raise InputError(
                f"{where}/{first['loc'][1]}: cannot be a response type: {first['msg']}"
            ) from None
    try:
        return PackToml.model_validate(tomllib.loads(files["pack.toml"]))
    except tomllib.TOMLDecodeError as error:
        raise InputError(f"{where}/pack.toml: not valid TOML: {error}") from None
    except ValidationError as error:
        raise InputError(f"{where}/pack.toml: {settings_faults(error)[0][1]}") from None


def settings_faults(error: ValidationError) -> list[tuple[tuple[int | str, ...], str]]:
    """Every fault of a pack.toml: the path of its key, and what is wrong with it."""
    faults = []
    for each in error.errors():
        key = ".".join(str(part) for part in each["loc"])
        if each["type"] == "extra_forbidden":
            known = _table_of(each["loc"]).model_fields
            hint = nearest(str(each["loc"][-1]), known)
            meant = f" (did you mean {hint}?)" if hint else ""
            told = f"unknown key {key}{meant}: known here are {', '.join(known)}"
        elif each["type"] == "missing":  # its input is the whole table
            told = f"{key}: {each['msg']}"
        else:
            told = f"{key}: {each['msg']} (got {each['input']!r})"
        faults.append((each["loc"], told))
    return faults


def nearest(word: str, known: Iterable[str], alike: float = 0.7) -> str | None:
    """The known word that a misspelt one most likely stands for, at least so much alike (difflib)."""
    found = difflib.get_close_matches(word, sorted(known), 1, alike)
    return found[0] if found else None


def unwritten(files: Mapping[str, str]) -> list[tuple[str, int, str]]:
    """Where a pack still waits for a person: file, line from 1 and the text of each placeholder."""
    return [
        (path, number, line.strip())
        for path, text in sorted(files.items())
        for number, line in enumerate(text.split("\n"), 1)
        if PLACEHOLDER in line
    ]


def _table_of(loc: Sequence[int | str]) -> type[BaseModel]:
    """The model of the table in pack.toml in which a key stands."""
    if len(loc) > 2 and loc[:2] == ("programs", "margins"):
        return MarginsToml
    models: dict[str, type[BaseModel]] = {
        "types": ResponseTypeToml,
        "dedup": DedupToml,
        "programs": ProgramsToml,
    }
    return models.get(str(loc[0]), PackToml) if len(loc) > 1 else PackToml


def _response_type(name: str, table: ResponseTypeToml, files: Mapping[str, str], where: str) -> ResponseType:
    def text(file: str, why: str) -> str:
        content = files.get(f"{name}/{file}", "").strip("\n")
        if not content.strip():
            state = "empty" if f"{name}/{file}" in files else "missing"
            raise InputError(f"{where}/{name}/{file}: {state}: {why}")
        return content

    system_message = text("system_message.txt", "every response type needs its system message")
    in_folder = sorted(path.removeprefix(f"{name}/") for path in files if path.startswith(f"{name}/"))
    numbers = {match[1] for file in in_folder if (match := _CAPS.fullmatch(file) or _CONV.fullmatch(file))}
    seeds = tuple(
        Seed(
            f"{name}/{number}",
            text(
                f"{number}_caps.txt",
                f"the seed {number}_conv.txt has no proxy to answer: write it, or take the other file away",
            ),
            text(
                f"{number}_conv.txt",
                f"the seed {number}_caps.txt has no reply: write it, or take the other file away",
            ),
        )
        for number in sorted(numbers)
    )
    questions: tuple[str, ...] = ()
    if table.reply == "answer" and f"{name}/{_DIALOGUES}" in files:
        raise InputError(
            f"{where}/pack.toml: types.{name}.reply: 'answer' takes its question from {_QUESTIONS}, but "
            f"{name}/{_DIALOGUES} has its own: make it 'pairs' or 'json'"
        )
    if table.reply == "answer":
        source = f"{name}/{_QUESTIONS}" if f"{name}/{_QUESTIONS}" in files else f"detail/{_QUESTIONS}"
        questions = _lines(files[source])
        _check_instructions(questions, f"{where}/{source}")
    return ResponseType(
        name=name,
        reply_form=table.reply,
        temperature=table.temperature,
        max_tokens=table.max_tokens,
        checks=tuple(table.checks),
        reject=tuple(table.reject),
        may_speculate=table.may_speculate,
        on_reject=table.on_reject,
        answer_words=table.answer_words,
        near=table.near,
        may_repeat_questions=table.may_repeat_questions,
        optional=table.optional,
        most=table.most,
        most_per_category=table.most_per_category,
        system_message=system_message,
        seeds=seeds,
        questions=questions,
    )


def _check_instructions(lines: tuple[str, ...], where: str) -> None:
    """What a sample's first turn is drawn from, to which `<image>` is added."""
    if not lines:
        raise InputError(f"{where}: nothing in it: write at least one line")
    for line in lines:
        if IMAGE_TOKEN in line:
            raise InputError(f"{where}: {line!r}: take {IMAGE_TOKEN} out; it is added to every sample")


def _complaints(lines: tuple[str, ...], where: str) -> dict[str, str]:
    complaints = {}
    for line in lines:
        reason, colon, text = (part.strip() for part in line.partition(":"))
        if not (colon and text and re.fullmatch(r"[a-z_]+", reason)):
            raise InputError(f"{where}: {line!r}: must be a reason, a colon and what the teacher is told")
        complaints[reason] = text
    return complaints


def _lines(text: str) -> tuple[str, ...]:
    """The lines that say something: not blank, not a `#` comment."""
    return tuple(line.strip() for line in text.split("\n") if line.strip() and not line.startswith("#"))


class Prompter:
    """Makes the messages of one response type; the prefix is built once, the same for every image."""

    def __init__(self, response_type: ResponseType, form: ProxyForm) -> None:
        self.form = form
        # The published conversation proxies carried captions only.
        self.boxes = form == "grounded" or response_type.name != "conversation"
        prefix = [Message("system", response_type.system_message)]
        for seed in response_type.seeds:
            conv = _as_json(seed.conv) if response_type.reply_form == "json" else seed.conv
            prefix += [Message("user", self._seed_proxy(seed.caps)), Message("assistant", conv)]
        self.prefix = tuple(prefix)

    def messages(self, annotation: ImageAnnotation) -> tuple[Message, ...]:
        """System message, seeds as user and assistant turns, then the image's proxy as the user's."""
        proxy = text_proxy.from_annotation(annotation)
        return (*self.prefix, Message("user", text_proxy.render(proxy, self.form, boxes=self.boxes)))

    def _seed_proxy(self, caps: str) -> str:
        """A seed written in the other form is shown in the form in use; free text as it stands."""
        parsed = text_proxy.parse(caps)
        if parsed is None or (parsed[1] == self.form and self.boxes):
            return caps
        return text_proxy.render(parsed[0], self.form, boxes=self.boxes)


def _as_json(conv: str) -> str:
    """A seed's reply in the `json` form, whichever of the two it is written in."""
    parsed = parse_reply(conv, "stop", "json", None)
    return as_json(parsed.turns) if isinstance(parsed, Parsed) else conv
