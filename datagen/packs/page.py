"""diff.html: two versions of a pack side by side, for a person; one file, without scripts."""

from __future__ import annotations

from collections.abc import Sequence
from html import escape
from typing import TYPE_CHECKING
from urllib.parse import quote

if TYPE_CHECKING:
    from datagen.packs.diff import Compared, Diff, Sample

_STYLE = """
:root { color-scheme: light dark; --line: #8884; --soft: #8881; --bad: #b3261e; --good: #1b6e3c; }
@media (prefers-color-scheme: dark) { :root { --bad: #f2b8b5; --good: #8fd6a8; } }
body { font: 15px/1.5 system-ui, sans-serif; margin: 0 auto; max-width: 76rem; padding: 1.5rem; }
h1 { font-size: 1.4rem; margin: 0 0 .2rem; }
h2 { font-size: 1.1rem; margin: 0; }
h3 { font-size: 1rem; margin: 1rem 0 .3rem; }
p { margin: .3rem 0; } .note { opacity: .75; font-size: .9rem; }
table { border-collapse: collapse; margin: 1rem 0; width: 100%; font-variant-numeric: tabular-nums; }
td, th { text-align: left; padding: .2rem .7rem .2rem 0; vertical-align: top; }
td, th { border-bottom: 1px solid var(--line); }
th { padding-top: .8rem; } td:first-child { padding-left: 1rem; }
td:nth-child(n+2), th:nth-child(n+2) { width: 26%; }
tr.differs td { background: var(--soft); }
section { border-top: 2px solid var(--line); margin-top: 1.6rem; padding-top: 1rem; }
.head { display: flex; gap: 1.2rem; align-items: flex-start; flex-wrap: wrap; }
.head img { max-width: 16rem; max-height: 12rem; border-radius: 4px; }
pre { white-space: pre-wrap; font-size: .8rem; background: var(--soft); padding: .6rem; margin: .4rem 0; }
.pair { display: grid; grid-template-columns: 1fr 1fr; gap: 1.2rem; }
.pair > div { min-width: 0; overflow-wrap: anywhere; }
.q { margin: .5rem 0 0; font-weight: 600; } .a { margin: 0; white-space: pre-line; }
.out { font-size: .8rem; font-weight: 600; color: var(--good); } .out.bad { color: var(--bad); }
.gone { border-left: 3px solid var(--bad); padding-left: .6rem; margin: .6rem 0; opacity: .85; }
.gone .why { color: var(--bad); font-size: .85rem; } .gone .text { white-space: pre-line; font-size: .9rem; }
@media (max-width: 40rem) { .pair { grid-template-columns: 1fr; } }
"""


def page(found: Diff) -> str:
    """The whole page."""
    a, b = map(escape, found.names)
    rows = []
    for row in found.rows:
        if not row.a and not row.b:
            rows.append(f"<tr><th colspan=3>{escape(row.what)}</th></tr>")
        else:
            differs = ' class="differs"' if row.a != row.b else ""
            cells = "".join(f"<td>{escape(text.strip())}</td>" for text in row)
            rows.append(f"<tr{differs}>{cells}</tr>")
    images = "\n".join(_image(each, (a, b)) for each in found.images)
    stopped = "".join(f"<p><strong>Stopped, {escape(each)}</strong></p>" for each in found.stopped)
    return f"""<!doctype html>
<html lang="en"><head><meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>{a} and {b}</title><style>{_STYLE}</style></head><body>
<h1>a: {a} &nbsp; b: {b}</h1>
<p class="note">The same {len(found.images):,} images, teacher {escape(found.teacher)}.
Rows that differ are shaded.</p>
{stopped}<table><tr><th></th><th>a</th><th>b</th></tr>
{"".join(rows)}
</table>
{images}
</body></html>
"""


def _image(compared: Compared, names: Sequence[str]) -> str:
    picture = ""
    if compared.picture is not None:
        picture = f'<img src="{escape(quote(compared.picture))}" alt="" loading="lazy">'
    parts = [
        f'<section id="image-{compared.image_id}"><div class="head">{picture}<div>'
        f"<h2>{escape(compared.file_name)} <span class=note>{compared.image_id}</span></h2>"
        f"<details><summary class=note>what is known of it</summary><pre>{escape(compared.proxy)}</pre>"
        "</details>"
        "</div></div>"
    ]
    for name, (first, second) in compared.samples.items():
        if first.turns and first.turns == second.turns and first.dropped == second.dropped:
            parts.append(f"<h3>{escape(name)} <span class=note>the same in both</span></h3>{_sample(first)}")
        else:
            parts.append(
                f'<h3>{escape(name)}</h3><div class="pair"><div>{_sample(first, "a")}</div>'
                f"<div>{_sample(second, 'b')}</div></div>"
            )
    return "".join(parts) + "</section>"


def _sample(sample: Sample, side: str = "") -> str:
    bad = "" if sample.outcome == "kept" else " bad"
    label = " · ".join(filter(None, (side, sample.outcome)))
    parts = [f'<div class="out{bad}">{escape(label)}</div>']
    for question, answer in sample.turns:
        parts.append(f'<p class="q">{escape(question)}</p><p class="a">{escape(answer)}</p>')
    for why, text in sample.dropped:
        what = "turn dropped: " if sample.turns else ""
        parts.append(
            f'<div class="gone"><div class="why">{what}{escape(why)}</div>'
            f'<div class="text">{escape(text)}</div></div>'
        )
    if sample.why and not sample.dropped:
        parts.append(f'<p class="note">{escape(sample.why)}</p>')
    return "".join(parts)
