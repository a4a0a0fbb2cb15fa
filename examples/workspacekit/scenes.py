"""The tables of examples/robot-workspace: what lies on each, and the captions that people could have written.

A table is written down line by line, in the order in which it is drawn:

    table wood                            the top: wood, gray, green or dark
    zone 120 130 520 420                  a dashed line on the table, from left and top to right and bottom
    mug 430 300 blue                      a thing where it stands, in pixels of 640 x 480, its color
    wrench 200 380 turn=30                the same, turned clockwise
    arm 320 84 300 290 holding block red  an arm on its base, its fingertips there: open, closed, holding

Every caption was written by hand for its table. When a table changes, read its captions again: counts,
colors and sides in them must stay true.
"""

from __future__ import annotations

from dataclasses import dataclass

from scenekit.canvas import Canvas, Region, dark, light

from . import things as t

WIDTH, HEIGHT = 640, 480
TOPS = {"wood": "#c9a06b", "gray": "#aeb6bf", "green": "#7fa38b", "dark": "#646c78"}
EDGE = 62
"""Where the table ends at the back."""


@dataclass(frozen=True, slots=True)
class Table:
    name: str
    lines: tuple[str, ...]
    captions: tuple[str, ...]


TABLES: list[Table] = []


def table(name: str, lines: str, *captions: str) -> None:
    TABLES.append(Table(name, tuple(line.strip() for line in lines.strip().split("\n")), captions))


def render(what: Table) -> tuple[Canvas, list[Region]]:
    """The picture of a table, and its annotations; a reach zone is annotated whole, whatever covers it."""
    canvas = Canvas(WIDTH, HEIGHT)
    zones: list[Region] = []
    for line in what.lines:
        name, *words = line.split()
        if name == "table":
            _top(canvas, TOPS[words[0]])
        elif name == "zone":
            zones.append(_zone(canvas, *(int(word) for word in words)))
        elif name == "arm":
            bx, by, x, y = (int(word) for word in words[:4])
            held = _spot(canvas, x, y + 16, words[6:]) if len(words) > 5 else None
            t.arm(
                t.Spot(canvas, x, y),
                (bx, by),
                words[4],
                None if held is None else lambda name=words[5], spot=held: t.DRAWN[name](spot),  # type: ignore[misc]
            )
        else:
            t.DRAWN[name](_spot(canvas, int(words[0]), int(words[1]), words[2:]))
    return canvas, [*zones, *canvas.regions()]


def _spot(canvas: Canvas, x: float, y: float, words: list[str]) -> t.Spot:
    turn = next((float(word.removeprefix("turn=")) for word in words if word.startswith("turn=")), 0.0)
    colour = next((word for word in words if "=" not in word), "")
    return t.Spot(canvas, x, y, colour, turn)


def _top(canvas: Canvas, hue: str) -> None:
    canvas.sweep(0, EDGE, "#dfe4e8", "#c8d0d7")
    canvas.sweep(EDGE, HEIGHT, light(hue, 0.12), dark(hue, 0.06))
    with canvas.pen() as p:
        p.box(0, EDGE - 5, WIDTH, EDGE + 3, dark(hue, 0.35))
    canvas.glow(WIDTH / 2, 250, 330, 210, "#ffffff", 0.16)


def _zone(canvas: Canvas, left: int, top: int, right: int, bottom: int) -> Region:
    step = 22
    with canvas.pen() as p:
        for x in range(left, right - step // 2, step):
            for y in (top, bottom):
                p.box(x, y - 2.5, min(x + 13, right), y + 2.5, "#f6f2c8", 1)
        for y in range(top, bottom - step // 2, step):
            for x in (left, right):
                p.box(x - 2.5, y, x + 2.5, min(y + 13, bottom), "#f6f2c8", 1)
    outline = [left, top, right, top, right, bottom, left, bottom]
    box = [left, top, right - left, bottom - top]
    return Region("reach zone", False, box, float(box[2] * box[3]), [outline], [])


# ---------------------------------------------------------------- blocks, trays and bins

table(
    "red-block-to-tray",
    """
    table wood
    tray 470 400 gray
    block 150 330 green
    block 250 420 blue
    arm 320 84 300 270 holding block red
    """,
    "A robot arm is lifting a red block from a wooden table.",
    "A robot arm holds a red block above a table with a green block and a blue block.",
    "A gripper with a red block on its way to an empty gray tray.",
    "Three blocks and an empty tray in the work area of a robot.",
)
table(
    "sorting-by-color",
    """
    table gray
    bin 120 260 red
    bin 520 260 blue
    block 230 400 red
    block 320 430 blue
    block 420 400 red
    arm 320 84 330 300 open
    """,
    "A robot arm is reaching for blocks between a red bin and a blue bin.",
    "Two red blocks and a blue block in front of two bins.",
    "A robot sorting station with a red bin on the left and a blue bin on the right.",
    "An open gripper is hanging over a gray table with three blocks.",
)
table(
    "tower",
    """
    table wood
    block 320 400 blue
    block 320 358 yellow
    block 320 318 red
    block 150 400 green
    arm 560 90 470 300 open
    """,
    "Three blocks are stacked in a tower and a green block is lying beside it.",
    "A tower with a red block on top of a yellow block and a blue block at the bottom.",
    "A robot arm is waiting next to a small tower of blocks.",
    "The red block is on top of the tower.",
)
table(
    "block-behind-box",
    """
    table gray
    block 210 250 red
    box 220 380 brown
    arm 500 90 470 280 open
    bowl 480 430 white
    """,
    "A red block is standing behind a brown cardboard box.",
    "A cardboard box is in front of a red block on a gray table.",
    "A robot arm is waiting over a gray table with a cardboard box and a white bowl.",
    "The box blocks the way to the red block behind it.",
)
table(
    "two-arms",
    """
    table green
    block 320 390 yellow
    tray 320 290 white
    arm 130 88 190 280 closed
    arm 510 88 450 280 open
    """,
    "Two robot arms are facing each other across a white tray.",
    "Two robot arms above a green table with a yellow block.",
    "A white tray is standing between two robot arms.",
    "One gripper is open and the other one is closed.",
)
table(
    "many-blocks",
    """
    table wood
    block 90 300 red
    block 180 270 blue
    block 280 290 green
    block 390 270 yellow
    block 500 300 red
    block 120 420 green
    block 230 400 yellow
    block 340 430 red
    block 450 410 blue
    arm 320 84 560 220 open
    """,
    "Nine blocks in four colors are spread over a wooden table.",
    "A robot arm is hanging over many colored blocks.",
    "Red, green, blue and yellow blocks on a table under a robot arm.",
    "A table full of toy blocks with an open gripper on the right.",
)
table(
    "block-heap",
    """
    table gray
    blocks 250 360
    tray 500 420 white
    arm 460 86 410 280 open
    """,
    "A heap of colored blocks on a gray table next to an empty tray.",
    "A robot arm is reaching toward a pile of blocks.",
    "A pile of blocks on the left and a white tray on the right.",
    "An open gripper is hanging beside a heap of colored blocks.",
)
table(
    "bin-of-blocks",
    """
    table wood
    bin 200 380 green
    block 175 292 red
    block 225 292 yellow
    block 440 400 blue
    arm 450 86 430 230 closed
    """,
    "A green bin with a red block and a yellow block in it.",
    "Two blocks are in a green bin and a blue block is lying on the table.",
    "A robot arm with a closed gripper is waiting above a blue block.",
    "A blue block is still on the table next to a green bin.",
)
table(
    "zone-two-blocks",
    """
    table dark
    zone 150 150 490 430
    block 260 350 red
    block 580 400 blue
    arm 320 84 370 280 open
    """,
    "A red block lies inside the dashed line and a blue block lies outside it.",
    "The dashed line on the table is the reach limit of the robot arm.",
    "A robot arm is hanging over a dark table with a red block and a blue block.",
    "The blue block is beyond the dashed line, so the arm cannot reach it.",
)
table(
    "zone-mug-far",
    """
    table wood
    zone 60 140 400 440
    tin 180 330 red
    sponge 300 410
    mug 540 380 white
    arm 230 84 260 260 open
    """,
    "A white mug is standing outside the reach limit of a robot arm.",
    "A tin and a sponge are lying inside a dashed line on a wooden table.",
    "The dashed line shows how far the robot arm can reach.",
    "A red tin, a sponge and a white mug on a robot's table.",
)
table(
    "zone-tools",
    """
    table gray
    zone 200 150 600 440
    hammer 400 390 turn=-14
    screwdriver 320 250 red turn=12
    wrench 100 350 turn=80
    arm 430 84 480 280 open
    """,
    "A wrench is lying outside the dashed line that marks the reach of the robot arm.",
    "A hammer and a screwdriver are lying inside a dashed line.",
    "Three tools on a gray table below a robot arm.",
    "A robot arm above a hammer, a screwdriver and a wrench.",
)
table(
    "zone-bottle-in-reach",
    """
    table green
    zone 120 140 520 450
    bottle 200 380 green
    bowl 380 420 white
    arm 320 84 300 260 open
    """,
    "A green bottle and a white bowl are standing inside a dashed line.",
    "A robot arm is waiting over a bottle and a bowl.",
    "The bottle and the bowl are both within the reach limit of the arm.",
    "A dashed line marks the area that the robot arm can reach.",
)
table(
    "zone-tray-outside",
    """
    table gray
    zone 40 150 350 440
    apple 160 360 red
    apple 270 400 green
    tray 510 420 white
    arm 210 84 220 260 closed
    """,
    "Two apples lie inside the reach zone and a white tray stands outside it.",
    "A red apple and a green apple inside a dashed line.",
    "A robot arm is hanging above two apples.",
    "The white tray is too far to the right for the arm.",
)
table(
    "zone-hand",
    """
    table wood
    zone 130 140 510 430
    block 230 300 blue
    hand 420 350
    arm 320 84 290 240 open
    """,
    "A hand is reaching into the work area of a robot arm.",
    "A person's hand is inside the dashed line while a robot arm hangs over a blue block.",
    "Somebody has put a hand into the reach zone of a robot.",
    "A robot arm has stopped above a blue block because a hand is in its work area.",
)
table(
    "hand-takes-mug",
    """
    table gray
    mug 210 300 blue
    hand 225 350 dark
    bottle 480 330 green
    arm 470 86 420 230 open
    """,
    "A hand is reaching for a blue mug on a robot's table.",
    "Someone reaches for a blue mug while the robot arm is waiting.",
    "A hand and a blue mug on the left and a green bottle on the right.",
    "A robot arm next to a green bottle, and a person's hand at a mug.",
)
table(
    "hand-over",
    """
    table wood
    hand 400 340 pale
    arm 250 84 330 280 holding screwdriver red
    tray 160 440 gray
    """,
    "A robot arm is handing a red screwdriver to a person.",
    "A robot arm holds a red screwdriver in front of an open hand.",
    "A person's hand is waiting for a screwdriver from a robot arm.",
    "A hand, a gray tray and a robot arm with a screwdriver.",
)
table(
    "hand-and-knife",
    """
    table green
    knife 320 320 turn=8
    hand 480 360
    arm 180 86 190 250 closed
    """,
    "A knife is lying between a robot arm and a person's hand.",
    "A hand is close to a knife on a green table.",
    "A kitchen knife with a black handle lies in the middle of the table.",
    "A robot arm is waiting while a hand reaches toward a knife.",
)
table(
    "stop-hand",
    """
    table gray
    bin 140 400 blue
    block 320 300 red
    block 400 250 green
    hand 500 370 dark
    arm 320 84 250 240 open
    """,
    "A robot arm is standing still because a hand is in the work area.",
    "A hand is reaching toward two blocks next to a robot arm.",
    "A red block, a green block and a blue bin on a gray table.",
    "Someone is reaching over the table while the robot arm is waiting.",
)
# ---------------------------------------------------------------- tools

table(
    "tool-row",
    """
    table wood
    zone 60 240 380 470
    hammer 110 360 turn=90
    wrench 230 360 turn=90
    screwdriver 330 360 yellow turn=90
    pliers 430 360 blue turn=90
    scissors 540 360 orange turn=90
    arm 320 84 330 210 open
    """,
    "Five tools are lying side by side on a wooden table.",
    "A hammer, a wrench, a screwdriver, pliers and scissors in a row.",
    "A robot arm is hanging over a row of hand tools.",
    "The yellow screwdriver is in the middle of the row.",
)
table(
    "screwdriver-on-tray",
    """
    table gray
    zone 60 230 390 450
    tray 210 380 white
    screwdriver 210 352 red turn=-8
    wrench 480 400 turn=20
    arm 460 86 400 270 open
    """,
    "A red screwdriver is lying on a white tray.",
    "A screwdriver on a tray and a wrench on the table.",
    "A robot arm is reaching for tools on a gray table.",
    "The wrench is lying to the right of the tray with the screwdriver.",
)
table(
    "hammer-in-gripper",
    """
    table wood
    box 500 400 brown
    arm 320 84 260 260 holding hammer turn=6
    tape 130 420
    """,
    "A robot arm is holding a hammer over a wooden table.",
    "A gripper holds a hammer next to a brown cardboard box.",
    "A roll of tape on the left and a cardboard box on the right.",
    "A robot arm is carrying a hammer toward a box.",
)
table(
    "scissors-and-tape",
    """
    table green
    box 320 340 brown
    tape 150 400
    scissors 490 420 orange turn=-20
    arm 520 86 480 250 open
    """,
    "A cardboard box, a roll of tape and orange scissors on a green table.",
    "Orange scissors are lying to the right of a brown box.",
    "A robot arm is reaching for a pair of scissors.",
    "A packing table with a box, tape and scissors under a robot arm.",
)
table(
    "two-screwdrivers",
    """
    table gray
    screwdriver 170 330 red turn=-20
    screwdriver 460 400 green turn=15
    tray 300 250 white
    arm 320 84 330 200 closed
    """,
    "A red screwdriver on the left and a green screwdriver on the right.",
    "Two screwdrivers are lying in front of a white tray.",
    "A robot arm is hanging over a white tray and two screwdrivers.",
    "A gray table with two screwdrivers, a tray and a robot arm.",
)
table(
    "wrenches",
    """
    table wood
    wrench 120 250 turn=60
    wrench 240 250 turn=60
    wrench 360 250 turn=60
    wrench 480 250 turn=60
    bin 170 470 green
    arm 320 84 300 190 open
    """,
    "Four wrenches are lying on a wooden table.",
    "A robot arm is about to sort four wrenches.",
    "Four steel wrenches in a row and a green bin.",
    "A row of wrenches below an open gripper.",
)
table(
    "knife-and-apple",
    """
    table wood
    apple 230 350 red
    knife 400 380 turn=-10
    bowl 140 420 white
    arm 480 86 520 250 open
    """,
    "A red apple and a knife are lying on a wooden table.",
    "A knife lies to the right of a red apple.",
    "A robot arm is waiting next to a knife, an apple and a white bowl.",
    "An apple between a white bowl and a kitchen knife.",
)
# ---------------------------------------------------------------- electronics

table(
    "mug-by-board",
    """
    table gray
    board 240 380
    mug 360 350 white
    arm 520 86 500 270 open
    """,
    "A mug of coffee is standing right next to a circuit board.",
    "A green circuit board and a white mug with coffee on a gray table.",
    "A robot arm is waiting next to a mug and a circuit board.",
    "Somebody has left a coffee mug beside a circuit board.",
)
table(
    "soldering",
    """
    table dark
    board 330 400
    iron 150 330 turn=-12
    cable 510 420 black
    arm 420 86 370 270 closed
    """,
    "A soldering iron is lying to the left of a circuit board.",
    "A circuit board, a soldering iron and a black cable on a dark table.",
    "A robot arm is hanging over a green circuit board.",
    "An electronics bench with a soldering iron and a robot arm.",
)
table(
    "battery-tray",
    """
    table wood
    tray 330 380 gray
    battery 250 340
    battery 330 340
    battery 410 340
    battery 250 372
    battery 330 372
    battery 410 372
    battery 120 430 turn=30
    arm 520 86 480 230 open
    """,
    "Six batteries are lying in a gray tray and one battery is lying next to it.",
    "Seven batteries on a wooden table, six of them in a tray.",
    "A robot arm is hanging over a tray of batteries.",
    "A tray with two rows of batteries under a robot arm.",
)
table(
    "battery-heap",
    """
    table gray
    batteries 210 350
    bin 500 400 red
    arm 340 84 350 250 open
    """,
    "A pile of batteries next to a red bin.",
    "A robot arm is about to sort a heap of batteries.",
    "Many batteries are lying on a gray table.",
    "A red bin on the right and a pile of batteries on the left.",
)
table(
    "plugging-in",
    """
    table green
    board 430 390
    cable 180 420 black
    arm 320 84 270 280 holding plug white
    """,
    "A robot arm is holding a white plug over a green table.",
    "A gripper holds a plug next to a circuit board.",
    "A black cable, a white plug and a circuit board in a robot's work area.",
    "A robot arm is moving a plug toward a circuit board.",
)
table(
    "cables",
    """
    table wood
    cable 150 300 black
    cable 330 400 red
    cable 500 300 blue
    plug 520 420 white
    arm 320 84 300 220 open
    """,
    "Three cables and a plug are lying on a wooden table.",
    "A black cable, a red cable and a blue cable under a robot arm.",
    "A robot arm is reaching for a cable.",
    "A white plug is lying to the right of a red cable.",
)
table(
    "board-inspection",
    """
    table gray
    board 150 300
    board 330 300
    board 510 300
    tray 320 440 white
    arm 320 84 330 200 closed
    """,
    "Three circuit boards are lying side by side on a gray table.",
    "A robot arm is hanging over the middle one of three circuit boards.",
    "Three green boards and an empty white tray.",
    "Circuit boards in a row waiting for a robot.",
)
# ---------------------------------------------------------------- kitchen things

table(
    "setting-a-table",
    """
    table wood
    zone 90 200 410 450
    bowl 180 380 blue
    mug 330 400 white
    bottle 470 360 green
    arm 320 84 300 240 open
    """,
    "A blue bowl, a white mug and a green bottle on a wooden table.",
    "A robot arm is setting a table with a bowl, a mug and a bottle.",
    "A robot arm is reaching for a white mug between a bowl and a bottle.",
    "The mug is standing between the bowl and the bottle.",
)
table(
    "apple-in-bowl",
    """
    table green
    bowl 230 400 white
    apple 230 366 red
    banana 450 400
    arm 460 86 430 260 open
    """,
    "A red apple is lying in a white bowl.",
    "A white bowl with an apple and a banana next to it.",
    "A robot arm is reaching for a banana.",
    "A robot arm is going to put a banana into a bowl with an apple.",
)
table(
    "pouring",
    """
    table gray
    mug 320 400 blue
    arm 230 84 270 230 holding bottle green turn=24
    sponge 510 420
    """,
    "A robot arm is holding a green bottle over a blue mug.",
    "A robot arm is pouring from a bottle into a mug.",
    "A gripper tilts a green bottle above a blue mug.",
    "A yellow sponge is lying to the right of a blue mug.",
)
table(
    "wiping",
    """
    table wood
    tin 130 340 red
    mug 520 380 white
    arm 320 84 330 320 holding sponge
    """,
    "A robot arm is wiping a table with a sponge.",
    "A robot arm is wiping a wooden table between a tin and a mug.",
    "A red tin on the left and a white mug on the right of a robot arm.",
    "A gripper presses a sponge onto the table.",
)
table(
    "tins",
    """
    table gray
    tin 120 310 red
    tin 220 310 green
    tin 320 310 blue
    tin 420 310 red
    bin 550 460 green
    arm 320 84 340 190 open
    """,
    "Four tins are standing in a row on a gray table.",
    "Two red tins, a green tin and a blue tin next to a green bin.",
    "A robot arm is about to pick up the blue tin.",
    "A row of tins below an open gripper.",
)
table(
    "tin-to-bin",
    """
    table dark
    bin 170 400 blue
    tin 480 400 green
    tin 560 400 green
    arm 320 84 260 240 holding tin red
    """,
    "A robot arm is carrying a red tin toward a blue bin.",
    "A gripper holds a red tin next to a blue bin.",
    "Two green tins are still standing on the right.",
    "A robot arm is clearing tins from a dark table.",
)
table(
    "mugs-on-tray",
    """
    table wood
    zone 170 230 490 450
    tray 330 400 white
    mug 270 380 red
    mug 400 380 blue
    mug 110 320 white
    arm 520 86 520 250 open
    """,
    "A red mug and a blue mug are standing on a white tray.",
    "Two mugs on a tray and a white mug on the table.",
    "A robot arm is waiting to the right of a tray with two mugs.",
    "The white mug is not on the tray.",
)
table(
    "fruit-sorting",
    """
    table green
    zone 60 160 560 460
    bowl 150 280 white
    bowl 480 280 blue
    apple 130 242 red
    apple 170 244 green
    apple 330 420 red
    banana 470 430
    arm 320 84 330 300 open
    """,
    "A robot arm is sorting apples and a banana into two bowls.",
    "Two apples are in a white bowl and a blue bowl is empty.",
    "A red apple and a banana are lying in front of two bowls.",
    "Three apples, a banana and two bowls below a robot arm.",
)
table(
    "bottles",
    """
    table gray
    zone 70 200 390 440
    bottle 130 380 green
    bottle 230 350 blue
    bottle 330 380 orange
    bottle 430 350 green
    bottle 530 380 blue
    arm 320 84 330 170 closed
    """,
    "Five bottles are standing on a gray table.",
    "Two green bottles, two blue bottles and an orange bottle.",
    "A robot arm is hanging over a row of bottles.",
    "The orange bottle is in the middle.",
)
table(
    "bottle-at-edge",
    """
    table wood
    bottle 594 420 blue
    box 200 370 brown
    arm 320 84 380 270 open
    """,
    "A blue bottle is standing close to the edge of the table.",
    "A blue bottle on the right and a cardboard box on the left.",
    "A robot arm between a brown box and a blue bottle.",
    "A robot arm is hanging over a wooden table with a box and a bottle.",
)
# ---------------------------------------------------------------- boxes

table(
    "block-on-box",
    """
    table gray
    box 250 400 brown
    block 262 322 green
    bin 490 420 red
    arm 420 86 380 240 open
    """,
    "A green block is lying on top of a cardboard box.",
    "A green block on a brown box next to a red bin.",
    "A robot arm is waiting above a box with a block on top.",
    "The block has to be taken off the box before the box can be opened.",
)
table(
    "two-boxes",
    """
    table wood
    zone 60 200 330 420
    box 170 360 brown
    box 460 420 white
    arm 320 84 320 260 open
    """,
    "A brown box and a white box on a wooden table.",
    "A robot arm is hanging between two boxes.",
    "Two boxes in the work area of a robot arm.",
    "The white box is closer to the camera than the brown box.",
)
table(
    "packing",
    """
    table green
    box 430 400 brown
    tape 560 440
    arm 260 84 220 270 holding mug blue
    sponge 120 430
    """,
    "A robot arm is packing a blue mug next to a cardboard box.",
    "A gripper holds a blue mug to the left of a brown box.",
    "A roll of tape is lying to the right of a cardboard box.",
    "A sponge, a box and a roll of tape on a green table.",
)
# ---------------------------------------------------------------- with little or nothing on them

table(
    "empty-table",
    """
    table wood
    """,
    "An empty wooden table in front of a light gray wall.",
    "A robot's table with nothing on it.",
    "A cleared wooden table.",
    "There is nothing on the table.",
)
table(
    "arm-alone",
    """
    table gray
    arm 320 84 320 300 closed
    """,
    "A robot arm with a closed gripper over an empty table.",
    "A robot arm is waiting above an empty gray table.",
    "An orange robot arm and nothing else.",
    "The gripper of a robot arm hangs over the middle of a table.",
)
table(
    "no-captions",
    """
    table dark
    tray 200 400 white
    block 160 370 red
    block 240 370 blue
    mug 480 380 green
    arm 420 86 400 260 open
    """,
)
