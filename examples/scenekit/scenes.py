"""The scenes: what is drawn in each, and the captions that people could have written about it.

Every caption was written by hand for its picture. When a scene changes, read its captions again: counts,
colours and sides in them must stay true.
"""

# fmt: off
# Rows of coordinates are kept as rows: a formatter would give every point a line of its own.

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from random import Random

from . import animals as a
from . import backdrops as b
from . import things as t
from . import vehicles as v
from .canvas import Canvas
from .people import FRONT, Look, figure, person


@dataclass(frozen=True, slots=True)
class Scene:
    name: str
    width: int
    height: int
    captions: tuple[str, ...]
    draw: Callable[[Canvas], None]


SCENES: list[Scene] = []
WIDE, TALL, SQUARE, BROAD = (640, 480), (480, 640), (512, 512), (640, 427)


def scene(*captions: str, size: tuple[int, int] = WIDE) -> Callable[[Callable[[Canvas], None]],
        Callable[[Canvas], None]]:
    def add(draw: Callable[[Canvas], None]) -> Callable[[Canvas], None]:
        name = draw.__name__.replace("_", "-")
        SCENES.append(Scene(name, *size, captions, draw))
        return draw

    return add


def render(what: Scene) -> Canvas:
    canvas = Canvas(what.width, what.height)
    what.draw(canvas)
    b.vignette(canvas)
    return canvas


# Skins and hair that the scenes share.
FAIR, TAN, BROWN, DEEP = "#f0c09c", "#d99f74", "#a86f4a", "#7a4a33"
BLACK, CHESTNUT, BLOND, RED, GREY = "#231a1c", "#5a3624", "#d9ab5c", "#b4552d", "#b9b6b4"


def crowd(cv: Canvas, rows: list[tuple[float, float]], seed: int, *, cheer: float = 0.4, x0: float = 0,
        x1: float | None = None) -> None:
    """Rows (y of the feet, height) of people, back row first, as one region of many."""
    rng = Random(seed)
    tops = ("#d6493f", "#f0b23a", "#3f7cac", "#fbf6ea", "#4f8a6b", "#e8875a", "#7a5c8e", "#34506e", "#e5a0a8")
    styles = ("short", "crop", "bob", "long", "bun", "curly", "cap", "bald")
    poses = [p for p in ("cheer", "wave") if p in FRONT]
    end = cv.width if x1 is None else x1
    with cv.pen(category="person", crowd=True) as pen:
        for k, (y, high) in enumerate(rows):
            x = x0 + high * (0.1 + 0.12 * (k % 2))
            while x < end - high * 0.08:
                look = Look(
                    skin=rng.choice((FAIR, TAN, BROWN, DEEP)),
                    hair=rng.choice((BLACK, CHESTNUT, BLOND, RED, "#40291d")),
                    style=rng.choice(styles),
                    hat=rng.choice(tops),
                    top=rng.choice(tops),
                    bottom=rng.choice(("#2f3e5c", "#5a4a48", "#6a7280")),
                    sleeves=rng.choice(("long", "short")),
                )
                pose = rng.choice(poses) if rng.random() < cheer else "stand"
                figure(pen.at(x, y + rng.random() * 3, high / 100 * (0.95 + 0.1 * rng.random())), pose,
                    look, view="front")
                x += high * (0.27 + 0.06 * rng.random())


# -- the street ----------------------------------------------------------------------------------


@scene(
    "A woman in a red sweater walks a brown dog across the street.",
    "A lady and her dog on a crosswalk in front of a waiting blue car.",
    "A woman with a ponytail crosses at the zebra crossing, her dog a few steps ahead.",
    "A blue car has stopped to let a pedestrian and her dog pass.",
    "The traffic light is green and a woman is out with her dog.",
)
def crosswalk(cv: Canvas) -> None:
    b.street(cv, 296, seed=1, road=326, zebra=(250, 500), lamp=False)
    v.traffic_light(cv, 556, 322, 42, "green", 1.15)
    v.car(cv, 120, 404, 236, "#3a74b4")
    j = person(cv, 330, 456, 176, "lead", Look(FAIR, CHESTNUT, "pony", top="#c93f3a", bottom="#34405c",
        shoes="#5a3a2c"))
    a.dog(cv, 452, 458, 92, "#a9693a", pose="walk", collar="#2f6db0")
    with cv.pen() as p:
        p.line([j["hand"], (428, 408), (470, 406)], 1.8, "#40332e", curve=True)


@scene(
    "A yellow bus pulls up where a man and a girl are waiting.",
    "A city bus beside the sidewalk with two people standing in front of it.",
    "A man in a green jacket and a girl with a pink backpack wait for the bus.",
    "Yellow public bus on a street lined with colorful houses.",
)
def bus_stop(cv: Canvas) -> None:
    b.street(cv, 280, seed=5, road=312, lamp=False)
    v.bus(cv, 300, 408, 430, "#f0b23a")
    with cv.pen() as p:
        p.box(-5, 424, 645, 485, "#d8d2c6", to="#c6bfb1")
        p.box(-5, 420, 645, 426, "#efeae0")
        p.box(-5, 417, 645, 421, "#8c8a8c")
    person(cv, 476, 464, 168, "stand", Look(BROWN, BLACK, "crop", top="#4f8a5b", bottom="#3b3f4f",
        beard=True), flip=True)
    j = person(cv, 556, 466, 124, "stand", Look(FAIR, BLOND, "bob", top="#f3e3b8", bottom="#3f7cac",
        legs="skirt", sleeves="short"), flip=True, child=True)
    t.backpack(cv, j["shoulder"][0] + 15, j["shoulder"][1] + 33, 42, "#e2708f", side=True, flip=True)


@scene(
    "Three people with open umbrellas walk down a wet street.",
    "Pedestrians holding red, yellow and blue umbrellas in the rain.",
    "It is raining on a gray street and everybody carries an umbrella.",
    "A row of three umbrellas, one red, one yellow and one blue, on a rainy day.",
    "Three pedestrians stay dry under their umbrellas.",
)
def umbrellas_in_the_rain(cv: Canvas) -> None:
    b.street(cv, 300, kind="grey", seed=3, road=446)
    for x, tone, look, high in (
        (132, "#d6493f", Look(FAIR, BLACK, "long", top="#4a5f80", bottom="#2f3442"), 182),
        (318, "#f0bb3c", Look(DEEP, BLACK, "crop", top="#7d6a58", bottom="#34405c"), 192),
        (500, "#3f7fc0", Look(TAN, RED, "bun", top="#5d8a78", bottom="#3b3f4f"), 178),
    ):
        j = person(cv, x, 432, high, "hold", look, angles=(-16, -32, 22, 6, 24, 96, 20, 112, 2))
        v.umbrella(cv, j["hand"][0], j["hand"][1] + 6, 140, tone, pole=0.64, turn=-3)
    b.rain(cv, 4)


@scene(
    "A boy with an orange backpack stands at a stop sign next to his bicycle.",
    "A schoolboy and a green bike at a street corner by a stop sign.",
    "A red stop sign, a parked bicycle and a kid wearing a backpack.",
    "A child looks down the road from beside a red stop sign.",
    size=TALL,
)
def stop_sign_corner(cv: Canvas) -> None:
    b.street(cv, 400, seed=2, road=556, lamp=False, kind="morning")
    v.stop_sign(cv, 120, 540, 330)
    v.bicycle(cv, 250, 544, 172, "#3f9070")
    j = person(cv, 380, 550, 190, "stand", Look(TAN, CHESTNUT, "short", top="#3a74b4", bottom="#c9a867",
        legs="shorts", sleeves="short"), child=True)
    t.backpack(cv, j["shoulder"][0] - 22, j["shoulder"][1] + 50, 62, "#e0822f", side=True)


@scene(
    "A man rides a bicycle past a row of tall houses.",
    "A cyclist in a white helmet pedals along an empty street.",
    "A bearded man on a red bike, seen from the side, in front of colorful townhouses.",
    "Somebody is cycling through town wearing a helmet and a yellow jacket.",
    "A man on a bike rides to the right down a city street.",
)
def cyclist(cv: Canvas) -> None:
    b.street(cv, 318, seed=7, road=356)
    w = v.bicycle(cv, 300, 446, 186, "#c8413a")
    person(cv, w["saddle"][0] + 3, w["saddle"][1] - 3, 186, "ride", Look(FAIR, CHESTNUT, "helmet",
        "#f4f1ea", top="#e9b53c", bottom="#34405c", beard=True), hip=True)


@scene(
    "A delivery truck with an orange stripe is stopped on a shopping street.",
    "A man in a blue cap stands behind a white truck.",
    "White box truck with a blue cab in front of small shops with striped awnings.",
    "A driver waits near the back of his delivery truck.",
)
def delivery_truck(cv: Canvas) -> None:
    b.street(cv, 306, seed=9, shops=True, road=340)
    v.truck(cv, 384, 440, 376, "#3f7cac", "#f3ede1")
    person(cv, 116, 452, 168, "stand", Look(BROWN, BLACK, "cap", "#3f6fa8", top="#3f6fa8", bottom="#3b3f4f"))


@scene(
    "A yellow taxi drives down a city street at night.",
    "A couple walks past lit windows while a cab goes by.",
    "Night scene with a full moon, a taxi and two people on the sidewalk.",
    "The traffic light is red and a yellow cab is on the dark street.",
    "A taxi with its headlights on passes a man and a woman.",
)
def night_taxi(cv: Canvas) -> None:
    b.street(cv, 296, kind="night", seed=4, road=350)
    person(cv, 120, 346, 112, "stroll", Look(TAN, BLACK, "crop", top="#6a7fb0", bottom="#2b2f48"), flip=True)
    person(cv, 164, 346, 104, "stroll", Look(FAIR, BLOND, "long", top="#b8556a", legs="dress"), flip=True)
    v.traffic_light(cv, 486, 346, 46, "red", 1.25)
    v.car(cv, 326, 440, 250, "#e9b93f", taxi=True, night=True)


@scene(
    "A red motorcycle is parked outside a row of shops.",
    "A motorbike stands beside a small table with two chairs.",
    "Empty cafe table on the sidewalk with a cup and flowers on it, and a motorcycle next to it.",
    "A shiny red motorcycle in front of a sidewalk cafe.",
)
def cafe_motorcycle(cv: Canvas) -> None:
    b.street(cv, 330, seed=5, shops=True, road=434, lamp=False)
    t.chair(cv, 410, 416, 112, "#3f6f66")
    t.chair(cv, 582, 416, 112, "#3f6f66", flip=True)
    top = t.table(cv, 497, 420, 112, 74, "#8a5f3f")
    t.cup(cv, 476, top, 17, "#f4efe6", steam=True)
    t.vase(cv, 514, top, 20, "#d8973c", "#f4f1ea")
    v.motorcycle(cv, 200, 452, 256, "#b8322f")


@scene(
    "A dog sits on the sidewalk facing a red fire hydrant.",
    "A brown dog with a blue collar next to a fire hydrant.",
    "A dog and a hydrant in front of a row of colorful buildings.",
    "A red fire hydrant on the left and a seated dog on the right.",
    size=TALL,
)
def hydrant_dog(cv: Canvas) -> None:
    b.street(cv, 420, seed=6, road=574, lamp=False)
    v.hydrant(cv, 168, 556, 158)
    a.dog(cv, 306, 566, 186, "#8a6a4f", pose="sit", flip=True, collar="#3f8fc4")


@scene(
    "Five cars are lined up along the curb.",
    "A row of small cars in different colors, with a parking meter on the sidewalk.",
    "Parked cars: one red, one white, one green, one yellow and one blue.",
    "Cars stand bumper to bumper in front of townhouses at dusk.",
    size=BROAD,
)
def parked_cars(cv: Canvas) -> None:
    b.street(cv, 262, kind="dusk", seed=2, road=306, lamp=False)
    v.parking_meter(cv, 196, 304, 62)
    for k, tone in enumerate(("#c8413a", "#f1ece0", "#5a8f63", "#e2b040", "#4a7db0")):
        v.car(cv, 62 + k * 129, 358, 124, tone)


@scene(
    "An old man reads a red book on a park bench.",
    "A bald man with a gray beard sits alone in the park in autumn.",
    "Three pigeons wander around a bench where a man is reading.",
    "A man on a wooden bench with his book open, orange trees behind him.",
    "Pigeons on the ground near an elderly man with a book.",
)
def bench_reader(cv: Canvas) -> None:
    b.park(cv, 216, seed=8, autumn=True)
    b.tree(cv, 70, 392, 300, "round", "#d9923f")
    v.bench(cv, 360, 420, 236)
    j = person(cv, 340, 424, 174, "read", Look(FAIR, GREY, "bald", top="#5f7a8c", bottom="#6a5a4c",
        beard=True), view="front", shadow=False)
    t.book(cv, (j["hand"][0] + j["far_hand"][0]) / 2, j["hand"][1] + 8, 40, "#b8433a", open_=True)
    for x, y, w, flip in ((484, 446, 40, True), (540, 430, 34, False), (210, 452, 42, False)):
        a.bird(cv, x, y, w, flip=flip)


@scene(
    "A boy in a blue shirt flies a kite.",
    "A red and yellow kite is high in the sky above a meadow.",
    "A child holds the string of a diamond-shaped kite on a clear day.",
    "Kid with a kite in a green field, hills in the distance.",
    size=TALL,
)
def kite_boy(cv: Canvas) -> None:
    b.meadow(cv, 392, seed=3)
    j = person(cv, 150, 572, 170, "up", Look(TAN, BLACK, "short", top="#3a74b4", bottom="#7a5c48",
        legs="shorts", sleeves="short"), child=True, angles=(4, 1, -4, -6, 100, 118, 110, 128, -4))
    v.kite(cv, 350, 140, 96, "#e5533d", "#f6c544", hand=j["hand"])


@scene(
    "Two kids play soccer on the grass in a park.",
    "A girl kicks a soccer ball toward a boy in a yellow shirt.",
    "Children with a ball in a green park with trees behind them.",
    "A girl in red and a boy in yellow are playing with a black and white ball.",
    "A soccer ball rolls between two children on a sunny day.",
)
def kids_football(cv: Canvas) -> None:
    b.park(cv, 224, seed=2, path=False)
    person(cv, 210, 440, 168, "kick", Look(BROWN, BLACK, "pony", top="#cf4040", bottom="#f1ece0",
        legs="shorts", sleeves="short", shoes="#2f3542"), child=True)
    t.ball(cv, 318, 444, 36, "football")
    person(cv, 488, 430, 164, "run", Look(FAIR, RED, "short", top="#ecbd3c", bottom="#34506e",
        legs="shorts", sleeves="short"), child=True, flip=True)


@scene(
    "A picnic with sandwiches, apples and a bottle on a red blanket.",
    "A man and a woman sit on the grass and have a picnic.",
    "A couple facing each other on a checkered blanket near a pond.",
    "Food is laid out between two people sitting in the park.",
)
def picnic(cv: Canvas) -> None:
    b.park(cv, 206, seed=5, path=False, pond=True)
    b.tree(cv, 574, 356, 290, "round", "#5b9a5f")
    with cv.pen() as p:
        p.poly([(118, 392), (506, 392), (566, 462), (62, 462)], "#cf5148", to="#b9423d")
        for k in range(1, 6):
            p.line([(118 + k * 64.6, 392), (62 + k * 84, 462)], 5, "#e9a39a")
        for k in range(1, 3):
            p.line([(118 - k * 19, 392 + k * 23.5), (506 + k * 20, 392 + k * 23.5)], 5, "#e9a39a")
    person(cv, 160, 426, 176, "ground", Look(FAIR, BLOND, "long", top="#f1e3c0", bottom="#4f7fa8"),
        shadow=False)
    person(cv, 472, 426, 184, "ground", Look(DEEP, BLACK, "crop", top="#4f8a6b", bottom="#5a4a48",
        beard=True), flip=True, shadow=False)
    t.bottle(cv, 338, 430, 62, "#5f9d6a")
    t.sandwich(cv, 296, 448, 46)
    t.sandwich(cv, 352, 452, 46)
    t.apple(cv, 256, 450, 21)
    t.apple(cv, 392, 444, 21, "#8fb54a")


@scene(
    "A dog leaps to catch a red frisbee.",
    "A woman watches her dog jump for a frisbee in the park.",
    "A tan dog in midair, just behind a flying disc.",
    "Someone in an orange sweater has thrown a frisbee for the dog.",
    "A dog with a blue collar jumps over the grass after a frisbee.",
)
def frisbee_dog(cv: Canvas) -> None:
    b.park(cv, 222, seed=11, path=False)
    person(cv, 126, 436, 176, "reach", Look(TAN, BLACK, "bob", top="#e3a03c", bottom="#34405c"))
    a.dog(cv, 400, 396, 190, "#c98f52", pose="leap", collar="#3f8fc4", shadow=False)
    cv.shadow(400, 432, 86, 12, 0.45)
    t.frisbee(cv, 532, 268, 74, "#e5533d")


@scene(
    "A woman jogs along a path beside a pond.",
    "A runner in pink passes through an autumn park.",
    "Woman with a ponytail running outdoors among orange trees.",
    "A jogger in a pink top and black leggings, mid-stride, in the park.",
)
def jogger(cv: Canvas) -> None:
    b.park(cv, 226, seed=4, autumn=True, pond=True, path=False)
    with cv.pen() as p:
        p.poly([(-20, 420), (660, 396), (660, 470), (-20, 492)], "#e3cfa2", to="#d3b884")
    person(cv, 300, 446, 212, "run", Look(FAIR, CHESTNUT, "pony", top="#e2708f", bottom="#2b2b38",
        sleeves="short", shoes="#f4f1ea"))


@scene(
    "A teenager rides a skateboard through the park.",
    "A boy in a green beanie balances on a red skateboard.",
    "Skateboarder in a gray shirt rolling along a paved path.",
    "A young skater leans forward on his board with his arms out.",
    "A kid on a skateboard with the city skyline far behind him.",
    size=SQUARE,
)
def skateboarder(cv: Canvas) -> None:
    b.park(cv, 250, seed=9, path=False, city=True)
    with cv.pen() as p:
        p.poly([(-10, 420), (522, 420), (522, 522), (-10, 522)], "#b9b6b0", to="#a19e9a")
        p.box(-10, 418, 522, 423, "#dcd8cf")
    t.skateboard(cv, 258, 478, 132, "#d6453d")
    person(cv, 254, 462, 236, "surf", Look(TAN, BLACK, "beanie", "#4f9a6b", top="#8d97a6", bottom="#34405c",
        shoes="#f4f1ea"), shadow=False)


@scene(
    "A woman swings at a tennis ball.",
    "A tennis player in white reaches out with her racket on a green court.",
    "Woman in a white cap playing tennis, the ball just in front of her racket.",
    "A female tennis player hits the ball on an outdoor court.",
)
def tennis(cv: Canvas) -> None:
    b.sky(cv, 190, "day")
    b.cloud(cv, 120, 60, 110)
    b.cloud(cv, 500, 90, 80)
    for k in range(10):
        b.tree(cv, 10 + k * 70, 186, 92 + (k * 37 % 30), "round", ("#5b9a5f", "#4f8f6b")[k % 2])
    cv.sweep(168, 262, "#3f7a66", "#376c5b")
    cv.sweep(258, 480, "#4f93a8", "#3f7f98")
    with cv.pen() as p:
        p.poly([(60, 300), (580, 300), (700, 480), (-60, 480)], "#5fae86", to="#4a9a74")
        p.line([(60, 300), (580, 300)], 3.4, "#f4f7f2")
        p.line([(60, 300), (-60, 480)], 4, "#f4f7f2")
        p.line([(580, 300), (700, 480)], 4, "#f4f7f2")
        p.line([(320, 300), (320, 480)], 3.6, "#f4f7f2")
    j = person(cv, 250, 450, 236, "reach", Look(BROWN, BLACK, "cap", "#f7f4ee", top="#f7f4ee",
        bottom="#f1ece0", legs="skirt", sleeves="short", shoes="#f4f1ea"), angles=(-24, -44, 34, 10, -40,
        -20, 84, 96, 6))
    t.racket(cv, j["hand"][0] - 3, j["hand"][1] + 2, 120, turn=62)
    t.ball(cv, 506, 256, 22, "tennis", shadow=False)


@scene(
    "A boy in a red cap gets ready to hit the ball.",
    "A young baseball player holds his bat up at home plate.",
    "Kid at bat on a dirt infield with a ball coming toward him.",
    "A batter in a red shirt and white pants waits for the pitch.",
)
def batter(cv: Canvas) -> None:
    b.park(cv, 190, seed=12, path=False)
    b.fence(cv, 246, 34, "#5f8a78", rails=True)
    with cv.pen() as p:
        p.oval(250, 450, 330, 96, "#c98f5c", to="#b87c4a")
        p.poly([(206, 448), (250, 444), (262, 454), (236, 464), (202, 458)], "#fbf8f1")
    j = person(cv, 180, 444, 216, "swing", Look(FAIR, CHESTNUT, "cap", "#cf4040", top="#cf4040",
        bottom="#f1ece0", sleeves="short"), child=True)
    t.bat(cv, j["hand"][0], j["hand"][1], 128, turn=-34)
    t.ball(cv, 486, 300, 20, "baseball", shadow=False)


# -- the beach and the sea -----------------------------------------------------------------------


@scene(
    "A woman sits in a chair under a striped umbrella at the beach.",
    "A red and white beach umbrella shades a woman in a sun hat.",
    "Someone relaxes by the ocean with a sailboat far out on the water.",
    "A sunny beach with a parasol, a wooden chair and a small boat on the horizon.",
)
def beach_umbrella(cv: Canvas) -> None:
    b.beach(cv, 196, 300, seed=2)
    v.sailboat(cv, 486, 228, 52, "#3a74b4")
    v.umbrella(cv, 226, 440, 260, "#d6493f", stripe="#fbf6ea", pole=0.9, turn=-4)
    t.chair(cv, 286, 446, 106, "#a8713f")
    person(cv, 286, 446, 190, "sit", Look(TAN, CHESTNUT, "sunhat", "#f1dfae", top="#2f8f83", legs="dress",
        sleeves="short", shoes="#c98a5a"), shadow=False)


@scene(
    "A surfer stands on the sand with a yellow surfboard beside him.",
    "A man in blue shorts holds his surfboard upright at the shore.",
    "Yellow surfboard with a red stripe, taller than the man next to it.",
    "A smiling man with curly hair on a beach with a palm tree.",
    size=TALL,
)
def surfer_on_shore(cv: Canvas) -> None:
    b.beach(cv, 260, 410, seed=4)
    b.tree(cv, 60, 560, 300, "palm", "#4f9a5f")
    cv.shadow(318, 580, 40, 9, 0.5)
    t.surfboard(cv, 318, 446, 270)
    person(cv, 244, 586, 228, "one-up", Look(BROWN, BLACK, "curly", top="#f4f1ea", bottom="#3a74b4",
        legs="shorts", sleeves="short", shoes="#8a5a3c"), view="front", angles=(3, 1, 3, 1, 10, 6, 46, 74,
        0))


@scene(
    "Two children throw a beach ball by the water.",
    "Kids playing with a colorful ball on the sand.",
    "A girl in a purple dress and a boy in an orange shirt play catch.",
    "A big striped ball is in the air between two children.",
    "Boy and girl at the seaside with their arms up toward a beach ball.",
)
def beach_ball(cv: Canvas) -> None:
    b.beach(cv, 186, 286, seed=6)
    person(cv, 164, 430, 160, "up", Look(TAN, BLACK, "short", top="#e8875a", bottom="#34506e",
        legs="shorts", sleeves="short", shoes="#d99f74"), child=True, angles=(4, 1, -4, -6, 108, 126, 116,
        132, -3))
    person(cv, 488, 436, 156, "up", Look(DEEP, BLACK, "bun", top="#8a64a8", legs="dress", sleeves="short",
        shoes="#7a4a33"), child=True, flip=True, angles=(4, 1, -4, -6, 108, 126, 116, 132, -3))
    t.ball(cv, 322, 290, 62, "beach", shadow=False)
    cv.shadow(322, 436, 26, 6, 0.4)


@scene(
    "Five kites of different colors fly over a beach.",
    "The sky above the sea is full of kites.",
    "Two people on the sand hold the strings of their kites.",
    "Several diamond-shaped kites with tails on a bright day at the coast.",
    size=BROAD,
)
def kite_festival(cv: Canvas) -> None:
    b.beach(cv, 250, 318, seed=8)
    left = person(cv, 190, 394, 92, "up", Look(FAIR, RED, "short", top="#34506e", bottom="#6a7280"))
    right = person(cv, 452, 398, 94, "up", Look(BROWN, BLACK, "long", top="#e9b53c", bottom="#3b3f4f"),
        flip=True)
    v.kite(cv, 96, 92, 52, "#e5533d", "#f6c544", turn=-12)
    v.kite(cv, 244, 150, 40, "#3f8fc4", "#fbf6ea", turn=22, hand=left["hand"])
    v.kite(cv, 330, 62, 58, "#8a5aa8", "#f2a0b4", turn=8)
    v.kite(cv, 410, 172, 36, "#4f9a5f", "#f6e27a", turn=-20, hand=right["hand"])
    v.kite(cv, 556, 96, 50, "#f0a03a", "#d6453d", turn=16)


@scene(
    "A surfer rides a big wave.",
    "A man on a white surfboard comes down the face of a breaking wave.",
    "Surfing: a man in a black wetsuit with his arms stretched out.",
    "A blond surfer crouches on his board as the wave curls behind him.",
    "A person in a wetsuit is surfing in the ocean.",
)
def big_wave(cv: Canvas) -> None:
    b.open_sea(cv, 150, seed=3)
    b.wave(cv, 380, 270)
    t.surfboard(cv, 366, 372, 210, "#f7f3e8", "#3a74b4", turn=101, slim=0.07)
    person(cv, 356, 368, 196, "surf", Look(TAN, BLOND, "short", top="#2b2d38", bottom="#2b2d38",
        shoes="#d99f74"), shadow=False, turn=8)


@scene(
    "Boats are moored in a small harbor with colorful houses behind.",
    "Two sailboats and a motorboat float in calm water by the quay.",
    "Seagulls circle over a harbor with three boats.",
    "A quiet port with a red sailboat, a blue sailboat and a white motorboat.",
)
def harbour(cv: Canvas) -> None:
    b.sky(cv, 250, "morning")
    b.cloud(cv, 140, 60, 120)
    b.cloud(cv, 470, 40, 90)
    for k, (x, w, h) in enumerate(((-20, 104, 150), (88, 96, 128), (188, 110, 164), (302, 98, 136), (404,
            112, 154), (520, 132, 140))):
        wall, roof, style = b.TOWN[(k * 3 + 1) % 8]
        b.house(cv, x, 250, w, h, wall, roof, style=style)
    cv.sweep(250, 288, "#b8a98f", "#8f8069")
    cv.sweep(286, 480, "#5fa3b8", "#2f6f92")
    with cv.pen() as p:
        p.box(-5, 248, 645, 256, "#d9ccb3")
        for k in range(30):
            x, y = (k * 149) % 640, 300 + (k * 67) % 176
            p.line([(x, y), (x + 14, y - 1.5), (x + 30, y)], 1.6, "#a3cfd9", curve=True)
    v.sailboat(cv, 126, 378, 206, "#c8413a")
    v.motorboat(cv, 486, 366, 176)
    v.sailboat(cv, 318, 434, 236, "#2f6db0", flip=True)
    a.bird(cv, 232, 92, 44, "#c3cad4", pose="gull")
    a.bird(cv, 412, 142, 36, "#c3cad4", pose="gull", flip=True)
    a.bird(cv, 560, 86, 30, "#c3cad4", pose="gull")


@scene(
    "A lone sailboat on the sea at sunset.",
    "The sun goes down behind the water to the right of a small boat.",
    "A quiet evening on the ocean with one sailboat.",
    "A boat with white sails under a purple and orange sky.",
    "Sunset over the ocean, its light making a path on the water.",
)
def sunset_sail(cv: Canvas) -> None:
    b.open_sea(cv, 262, kind="sunset", seed=5)
    v.sailboat(cv, 216, 330, 150, "#4a3550", "#fdf0dc")


@scene(
    "A man is sitting in a wooden rowboat on a mountain lake.",
    "A person in a straw hat drifts across a calm lake in a brown boat.",
    "Rowboat on still water with snowy peaks in the background.",
    "A man in a small boat surrounded by mountains and pine trees.",
)
def lake_rowboat(cv: Canvas) -> None:
    b.sky(cv, 270, "morning")
    for x, w, h, tone in ((110, 330, 180, "#8fa5c0"), (350, 420, 226, "#7d96b5"), (580, 330, 170, "#93a9c2")):
        b.mountain(cv, x, 262, w, h, tone)
    rng = Random(3)
    for n in range(18):
        b.tree(cv, n * 38 + rng.random() * 20, 268 + rng.random() * 6, 46 + rng.random() * 34, "pine",
            "#4f8270")
    cv.sweep(266, 480, "#8fbccb", "#3f7f9c")
    with cv.pen() as p:
        for k in range(22):
            x, y = (k * 173) % 640, 284 + (k * 59) % 190
            p.line([(x, y), (x + 26, y)], 1.5, "#b5d6df")
    with cv.pen() as p:
        p.line([(370, 350), (440, 414)], 4, "#7a5a3c")
    person(cv, 322, 360, 150, "sit", Look(FAIR, GREY, "sunhat", "#e9cf8a", top="#c8593f", bottom="#4a5568"),
        hip=True)
    with cv.pen() as p:
        p.line([(330, 344), (262, 412)], 5, "#8f6a45")
        p.taper(262, 412, 5, 252, 422, 7, "#8f6a45")
    v.rowboat(cv, 322, 388, 236)


# -- kitchen and table ---------------------------------------------------------------------------


@scene(
    "A kitchen counter with a microwave, a bowl of oranges and a green bottle.",
    "Microwave, toaster and fruit on a kitchen counter.",
    "A red toaster with two slices of bread stands next to a microwave.",
    "A tidy kitchen with green cabinets and a white tiled wall.",
    "Two oranges in a blue bowl between a toaster and a bottle.",
)
def kitchen_counter(cv: Canvas) -> None:
    b.room(cv, 430, "#eef0ea", tiles=True)
    b.tiles_wall(cv, 118, 300)
    b.cabinets(cv, 0, 104, base=False)
    b.cabinets(cv, 296, 144)
    t.microwave(cv, 122, 300, 166)
    t.toaster(cv, 282, 302, 96)
    t.orange(cv, 398, 266, 40)
    t.orange(cv, 440, 267, 40)
    t.bowl(cv, 420, 304, 104)
    t.bottle(cv, 524, 302, 112)
    t.cup(cv, 586, 303, 38, "#e2708f")


@scene(
    "A woman in a white apron is cooking at the stove.",
    "An older lady reaches for a steaming pot in her kitchen.",
    "A woman stands between a large refrigerator and an oven.",
    "A gray-haired woman makes dinner in a kitchen with brown cabinets.",
)
def cooking(cv: Canvas) -> None:
    b.room(cv, 404, "#f3e3b4", tiles=True)
    b.tiles_wall(cv, 150, 264, "#f7f3e8")
    b.cabinets(cv, 18, 104, "#c98a5c", base=False, x0=180, x1=650, count=5)
    b.cabinets(cv, 262, 148, "#c98a5c", x0=180, x1=650, count=5)
    t.fridge(cv, 92, 424, 336)
    t.oven(cv, 470, 412, 128, 152)
    with cv.pen(470, 262) as p:
        p.box(-34, -34, 34, 0, "#4f6f8a", 5, to="#3d566c")
        p.box(-38, -37, 38, -32, "#6f8fa8", 2)
        p.box(34, -28, 58, -23, "#3b404d", 2)
        p.line([(-8, -44), (-14, -60), (-4, -76), (-10, -92)], 4, "#ffffff60", curve=True)
        p.line([(12, -44), (6, -58), (16, -74), (10, -88)], 4, "#ffffff60", curve=True)
    person(cv, 378, 448, 244, "hold", Look(FAIR, GREY, "bun", top="#8a5a78", bottom="#4a5568", legs="skirt",
        apron="#fbf8f1", shoes="#6a4a3c"), angles=(4, 1, -4, -6, 48, 96, 58, 104, 2))


@scene(
    "Breakfast on a wooden table: a banana, an apple, cereal and a cup of coffee.",
    "A steaming cup of coffee beside a bowl of cereal and some fruit.",
    "A simple breakfast with fruit on a table.",
    "A cup, a blue bowl, a banana and a red apple on a table.",
)
def breakfast(cv: Canvas) -> None:
    b.tabletop(cv, 214, "#bd8a58", wall="#dfe9e6")
    b.window(cv, 190, 14, 260, 150, view="garden", curtain="#e0a85c")
    t.cup(cv, 126, 356, 92, "#e9e4d8", steam=True)
    t.bowl(cv, 310, 372, 180, "#4f8fae", fill="#e5b96a")
    t.apple(cv, 520, 340, 84)
    t.banana(cv, 452, 436, 170)


@scene(
    "A dining table with a white cloth and four wooden chairs around it.",
    "An empty dining room with flowers on the table and a clock on the wall.",
    "A vase of pink flowers stands in the middle of a covered table.",
    "Two wine glasses and a flower vase on a table, nobody sitting there yet.",
    "A red lamp hangs over a table and chairs.",
)
def dining_room(cv: Canvas) -> None:
    b.room(cv, 350, "#d9e3da", panel="#9fb8ac")
    b.picture(cv, 82, 70, 100, 84)
    t.clock(cv, 516, 108, 78)
    b.pendant(cv, 320, 120, 96, "#c9604f")
    t.chair(cv, 248, 396, 190, "#9a6840", view="front", seat="#c9604f")
    t.chair(cv, 392, 396, 190, "#9a6840", view="front", seat="#c9604f")
    top = t.table(cv, 320, 446, 340, 142, "#a8713f", cloth="#fbf6ea")
    t.chair(cv, 106, 450, 196, "#9a6840", seat="#c9604f")
    t.chair(cv, 534, 450, 196, "#9a6840", seat="#c9604f", flip=True)
    t.vase(cv, 320, top, 52, "#3f7cac", "#e27f98")
    t.wine_glass(cv, 246, top + 2, 54)
    t.wine_glass(cv, 394, top + 2, 54)


@scene(
    "A whole pepperoni pizza on a round wooden board.",
    "A pizza with basil on a table, with a fork and a knife.",
    "Two glasses of red wine behind a freshly baked pizza.",
    "Pizza cut into slices, ready to eat.",
)
def pizza_night(cv: Canvas) -> None:
    b.tabletop(cv, 150, "#8f5f3c", wall="#4f6f78")
    t.wine_glass(cv, 132, 246, 150)
    t.wine_glass(cv, 500, 244, 150)
    t.pizza(cv, 316, 330, 330, tilt=0.56)
    t.fork_and_knife(cv, 318, 440, 150, gap=3.3)


@scene(
    "Two children stand behind a birthday cake with five candles.",
    "A pink and white cake is on the table between a boy and a girl.",
    "Kids at a birthday party wait to blow out the candles.",
    "A boy and a girl at a table with a big cake, a cup on each side.",
    "Birthday celebration with a layered cake and colorful flags on the wall.",
)
def birthday(cv: Canvas) -> None:
    b.room(cv, 400, "#cfe0e6")
    with cv.pen() as p:
        p.line([(0, 40), (160, 84), (320, 96), (480, 84), (640, 40)], 2, "#7a8896", curve=True)
        for k in range(12):
            x = 24 + k * 54
            y = 42 + 54 * (1 - ((x - 320) / 330) ** 2)
            p.poly([(x - 15, y), (x + 15, y), (x, y + 34)], ("#d6493f", "#f0bb3c", "#4f8a6b",
                "#3f7cac")[k % 4])
    person(cv, 178, 520, 300, "stand", Look(TAN, BLACK, "short", top="#4f8a6b", bottom="#34405c",
        sleeves="short"), view="front", child=True)
    person(cv, 462, 520, 290, "stand", Look(FAIR, BLOND, "bob", top="#e9b53c", legs="dress",
        sleeves="short"), view="front", child=True)
    top = t.table(cv, 320, 560, 600, 186, "#b27a48", cloth="#fbf6ea")
    t.cake(cv, 320, top + 8, 168)
    t.cup(cv, 96, top + 8, 46, "#d6493f")
    t.cup(cv, 548, top + 8, 46, "#3f7cac", flip=True)


@scene(
    "A white bowl full of fruit on a wooden table.",
    "A banana, a red apple and two oranges in a large bowl.",
    "A green apple and an orange lie on the table beside a fruit bowl.",
    "A still life of oranges, apples and a banana.",
    "Fruit in a bowl, with a green apple to the left and an orange to the right.",
)
def fruit_bowl(cv: Canvas) -> None:
    b.tabletop(cv, 236, "#a87448", wall="#b9c9bd")
    t.banana(cv, 300, 208, 190, turn=-22)
    t.apple(cv, 404, 246, 88)
    t.orange(cv, 320, 246, 92)
    t.orange(cv, 234, 250, 90)
    t.bowl(cv, 322, 364, 320, "#f4efe6")
    t.orange(cv, 534, 392, 90)
    t.apple(cv, 108, 396, 82, "#8fb54a")


@scene(
    "Three donuts with pink, brown and white icing and a cup of coffee.",
    "A laptop and some donuts on a table.",
    "Coffee break with three frosted donuts in front of an open laptop.",
    "Donuts with sprinkles lined up on a wooden table.",
    size=SQUARE,
)
def coffee_break(cv: Canvas) -> None:
    b.tabletop(cv, 210, "#c29464", wall="#e3cfc0")
    b.picture(cv, 60, 30, 110, 96)
    t.laptop(cv, 300, 306, 260)
    t.cup(cv, 86, 380, 84, "#5f8f8a", steam=True)
    for x, tone in ((176, "#e87a9a"), (294, "#7d4a32"), (412, "#f7efe0")):
        t.donut(cv, x, 464, 108, tone)


# -- living room, bedroom, bathroom --------------------------------------------------------------


@scene(
    "An orange cat sits on a teal couch.",
    "A living room with a couch, a floor lamp and a potted plant.",
    "A cat between two pillows on the sofa.",
    "A cozy living room where a cat has the whole couch to itself.",
    "Cat on a couch below a picture on the wall.",
)
def couch_cat(cv: Canvas) -> None:
    b.room(cv, 356, "#efdcc3")
    b.picture(cv, 246, 66, 150, 104)
    b.rug(cv, 320, 440, 440, "#c9604f")
    b.floor_lamp(cv, 580, 402, 290)
    t.plant(cv, 56, 412, 176, kind="palm")
    seat = t.couch(cv, 320, 412, 366, "#3f7f86", pillows=("#e0a83c", "#e8e0d0"))
    a.cat(cv, 322, seat + 4, 104, "#d98a3d", shadow=False)


@scene(
    "A man sits in an armchair and watches television while his dog lies on the rug.",
    "A dog is lying on the carpet in front of a big tv.",
    "Bearded man in a gray sweater watching tv at home.",
    "A flat screen tv shows a sunny sea while a man and a dog relax.",
)
def watching_tv(cv: Canvas) -> None:
    b.room(cv, 352, "#c9d3d9", panel="#a3b3bd")
    with cv.pen() as p:
        p.box(346, 318, 606, 374, "#8a6248", 3, to="#6b4a38")
        p.box(354, 328, 470, 364, "#9a7052", 2)
        p.box(480, 328, 598, 364, "#9a7052", 2)
    t.tv(cv, 476, 319, 230, "sea")
    t.plant(cv, 318, 376, 106, "#f4efe6", kind="bush")
    b.rug(cv, 330, 434, 420, "#4f6f8a", "#cfd9dc")
    t.armchair(cv, 122, 440, 176, "#b5654a")
    person(cv, 136, 446, 232, "sit", Look(FAIR, CHESTNUT, "short", top="#7d8794", bottom="#34405c",
        beard=True), shadow=False)
    a.dog(cv, 362, 444, 150, "#8a6a4f", pose="lie")


@scene(
    "A woman reads a blue book in a green armchair.",
    "A reading corner with a tall bookshelf, a plant and a lamp.",
    "A woman with curly hair sits next to shelves full of books.",
    "Somebody in a yellow sweater is reading next to a floor lamp.",
)
def reading_corner(cv: Canvas) -> None:
    b.room(cv, 366, "#e3d3bd")
    with cv.pen() as p:
        p.box(30, 44, 262, 368, "#8a5f3f", 3, to="#6f4a32")
        p.box(40, 54, 252, 360, "#5d3f2c")
    for k in range(4):
        with cv.pen() as p:
            b.shelf(p, 40, 252, 126 + k * 76)
    with cv.pen(category="book", crowd=True) as p:
        for k in range(4):
            t.shelf_books(p, 44, (250, 216, 250, 236)[k], 126 + k * 76, 58, k + 2)
    b.floor_lamp(cv, 578, 418, 318, "#e8c98a")
    t.plant(cv, 312, 420, 128, "#c9744a")
    t.armchair(cv, 462, 440, 184, "#4f8a7b")
    j = person(cv, 462, 454, 236, "read", Look(DEEP, BLACK, "curly", top="#e0a83c", bottom="#5a4a68"),
        view="front", shadow=False)
    t.book(cv, (j["hand"][0] + j["far_hand"][0]) / 2, j["hand"][1] + 8, 58, "#3a6ea8", open_=True)


@scene(
    "A gray cat sits on a windowsill.",
    "A cat sits beside a vase of yellow flowers in the window.",
    "Gray cat on a white ledge with red curtains on both sides.",
    "A cat and a flower vase with a green garden outside.",
    "A striped kitty is perched between the curtains.",
    size=TALL,
)
def window_cat(cv: Canvas) -> None:
    b.room(cv, 596, "#dcd6e0", panel="#b9b3c6")
    b.window(cv, 90, 120, 300, 350, view="garden", curtain="#b8554f")
    with cv.pen() as p:
        p.box(56, 474, 424, 496, "#fdfaf2", 3, to="#ddd6c8")
        p.box(56, 494, 424, 501, "#1420402a")
    a.cat(cv, 180, 479, 168, "#8d97a3", eyes="#c9a03c", shadow=False)
    t.vase(cv, 312, 478, 92, "#5f8fa8", "#f0c040")


@scene(
    "A bedroom with a blue blanket on the bed and a clock on the nightstand.",
    "A neatly made bed with a wooden frame next to a small cabinet.",
    "A red clock and a book on the bedside table.",
    "An empty bedroom with blue curtains and a picture on the wall.",
)
def bedroom(cv: Canvas) -> None:
    b.room(cv, 350, "#d5dde6")
    b.window(cv, 330, 52, 190, 150, view="day", curtain="#8fa9c4")
    b.picture(cv, 130, 74, 96, 110, ("#f3e3c8", "#8fb0a8", "#4f6f8a"))
    b.rug(cv, 360, 446, 420, "#d9b48a", "#f4ead8")
    with cv.pen() as p:
        p.box(28, 322, 112, 424, "#a8774a", 3, to="#8a5f3a")
        p.box(36, 336, 104, 372, "#bd8a58", 2)
        p.box(36, 378, 104, 414, "#bd8a58", 2)
        p.disc(70, 354, 3, "#5d4030")
        p.disc(70, 396, 3, "#5d4030")
    t.clock(cv, 52, 302, 38, rim="#d6493f", hour=7, minute=20)
    t.book(cv, 88, 323, 42, "#4f8a6b")
    t.bed(cv, 366, 434, 470, "#4f7fb0")


@scene(
    "A black cat sleeps on a bed.",
    "A cat is curled up on a yellow blanket.",
    "A dark cat naps under a window with a view of the snow.",
    "Sleeping cat, snowy day outside.",
)
def sleeping_cat(cv: Canvas) -> None:
    b.room(cv, 366, "#e6dacb", panel="#cdb9a3")
    b.window(cv, 230, 36, 210, 150, view="snow", curtain="#7f9a8c")
    b.floor_lamp(cv, 590, 410, 286, "#f1d9a8")
    top = t.bed(cv, 304, 440, 520, "#e0ac44")
    a.cat(cv, 388, top + 2, 132, "#3a3640", pose="sleep", shadow=False)


@scene(
    "A teddy bear sits on a child's bed with a ball on the floor.",
    "A brown teddy bear with a red bow on a pink blanket.",
    "Kid's room at night with stars on the wall and a red backpack on the rug.",
    "A stuffed bear on the bed, a soccer ball and a backpack below.",
)
def childs_room(cv: Canvas) -> None:
    b.room(cv, 352, "#a9b3d6", panel="#8f9ac4")
    b.window(cv, 396, 50, 170, 130, view="night", curtain="#6f7fb8")
    with cv.pen() as p:
        for x, y, r in ((60, 60, 6), (130, 110, 4), (220, 56, 5), (300, 130, 4), (330, 46, 6)):
            p.poly([(x + (r if k % 2 == 0 else r * 0.42) * f,
                y + (r if k % 2 == 0 else r * 0.42) * g) for k, (f, g) in enumerate(_STAR)], "#f7e3a0")
    b.rug(cv, 380, 446, 460, "#6f8fb8", "#dfe6f0")
    top = t.bed(cv, 252, 426, 440, "#e292ac", frame="#f1ece0")
    t.teddy(cv, 262, top + 2, 112)
    t.backpack(cv, 514, 440, 88, "#cf4040")
    t.ball(cv, 424, 456, 46, "football")


_STAR = [(0, -1), (0.588, -0.809), (0.951, -0.309), (0.951, 0.309), (0.588, 0.809), (0, 1), (-0.588, 0.809),
    (-0.951, 0.309), (-0.951, -0.309), (-0.588, -0.809)]


@scene(
    "A small bathroom with a toilet, a sink and a mirror.",
    "A white toilet on the left and a pedestal sink on the right.",
    "Clean bathroom with green tiles and a gray floor.",
    "A potted plant stands next to the bathroom sink.",
    size=TALL,
)
def bathroom(cv: Canvas) -> None:
    b.room(cv, 476, "#cfe3e0", "#b9c4c6", tiles=True)
    b.tiles_wall(cv, 250, 470, "#8fc0bc", 30)
    with cv.pen() as p:
        p.box(-5, 244, 485, 254, "#f4f7f5")
        p.box(252, 70, 392, 226, "#f4efe6", 10)
        p.box(260, 78, 384, 218, "#cfe6ec", 6, to="#eef7f8")
        p.poly([(282, 218), (330, 78), (352, 78), (304, 218)], "#ffffff70")
    t.toilet(cv, 132, 566, 218)
    t.sink(cv, 322, 568, 206)
    t.plant(cv, 438, 580, 96, "#f4efe6", kind="palm")


# -- work ----------------------------------------------------------------------------------------


@scene(
    "An open laptop on a desk with a cup of coffee and a cactus.",
    "A tidy desk with a laptop, a phone and a small plant.",
    "Office desk in front of a window with a city view.",
    "A blue office chair is pulled up to a desk with a computer on it.",
    "A workplace with a laptop in the middle, a cactus on the right and a red cup on the left.",
)
def office_desk(cv: Canvas) -> None:
    b.room(cv, 372, "#e3e6e4", "#b9a08a")
    b.window(cv, 196, 40, 250, 150, view="city")
    t.clock(cv, 542, 96, 66)
    b.desk(cv, 80, 580, 282, 432)
    t.laptop(cv, 322, 283, 156)
    t.cup(cv, 176, 283, 36, "#d6493f", steam=True)
    t.plant(cv, 494, 283, 84, "#f0bb3c", kind="cactus")
    t.phone(cv, 434, 284, 34)
    t.office_chair(cv, 282, 466, 190, "#3f6fa8")


@scene(
    "Two women work on laptops at the same table.",
    "Coworkers sit across from each other, typing.",
    "Two people with laptops in a meeting room with a plant in the corner.",
    "A woman in purple and a woman in white share a table.",
)
def coworkers(cv: Canvas) -> None:
    b.room(cv, 368, "#dbe4e8", "#a99a8c", panel="#b5c6cf")
    b.window(cv, 60, 36, 210, 150, view="city")
    b.picture(cv, 420, 60, 130, 96, ("#f7e6c4", "#5f9aa8", "#34506e"))
    t.plant(cv, 590, 404, 168, "#7d8794", kind="bush")
    t.chair(cv, 148, 446, 152, "#6a7f96")
    t.chair(cv, 492, 446, 152, "#6a7f96", flip=True)
    person(cv, 150, 452, 300, "type", Look(BROWN, BLACK, "bun", top="#8a64a8", bottom="#34405c"),
        shadow=False)
    person(cv, 490, 452, 300, "type", Look(FAIR, RED, "long", top="#f7f4ee", bottom="#5a4a48"), flip=True,
        shadow=False)
    top = t.table(cv, 320, 462, 250, 128, "#b98a5c")
    t.laptop(cv, 256, top + 1, 84, view="side", shell="#5a6478")
    t.laptop(cv, 384, top + 1, 84, view="side", shell="#5a6478", flip=True)


@scene(
    "A man works at a desk with a large screen.",
    "A man in an orange sweater sits at his computer.",
    "Home office with a monitor, a keyboard, a mouse and a small plant.",
    "A person types on a keyboard, a landscape on the screen in front of him.",
)
def home_office(cv: Canvas) -> None:
    b.room(cv, 376, "#f0e2cf")
    b.window(cv, 40, 44, 150, 150, view="day", curtain="#4f8a7b")
    b.picture(cv, 250, 60, 90, 110)
    b.desk(cv, 300, 610, 304, 446)
    t.tv(cv, 476, 305, 176, "hills")
    t.keyboard(cv, 384, 308, 84)
    t.mouse(cv, 446, 310, 20)
    t.plant(cv, 586, 305, 62, "#c9744a")
    t.office_chair(cv, 252, 460, 220, "#6f5a86")
    person(cv, 262, 456, 320, "type", Look(DEEP, BLACK, "crop", top="#d8853c", bottom="#34405c"),
        shadow=False, angles=(84, 2, 90, -2, 60, 90, 66, 94, 2))


# -- farm and wild animals -----------------------------------------------------------------------


@scene(
    "Three cows in a meadow near a red barn.",
    "Black and white cows on a green pasture.",
    "A farm scene with cows, rolling hills and a barn on the right.",
    "Three spotted cows standing in the grass, two of them with their heads down.",
    "Cows in a field on a sunny day.",
)
def cows(cv: Canvas) -> None:
    b.meadow(cv, 214, seed=4, barn=(512, 262))
    a.cow(cv, 342, 318, 110, graze=True)
    a.cow(cv, 148, 374, 164)
    a.cow(cv, 430, 438, 214, graze=True, flip=True)


@scene(
    "A dog watches over a flock of six sheep.",
    "Sheep on a meadow with a black dog on the left.",
    "A sheepdog stands guard while some of the sheep eat grass.",
    "Six woolly sheep in a green field with a wooden fence behind them.",
)
def sheep_and_dog(cv: Canvas) -> None:
    b.meadow(cv, 206, seed=7)
    b.fence(cv, 262, 38, "#a8825c", rails=True)
    for x, y, w, flip, graze in (
        (300, 318, 84, False, True),
        (452, 312, 80, True, False),
        (574, 330, 88, True, True),
        (366, 378, 116, True, True),
        (536, 412, 126, False, False),
        (322, 448, 134, False, True),
    ):
        a.sheep(cv, x, y, w, flip=flip, graze=graze)
    a.dog(cv, 112, 436, 130, "#3a3640")


@scene(
    "A person in a helmet rides a brown horse.",
    "A rider on horseback crosses a field of flowers.",
    "Brown horse with a dark mane carrying someone in a red jacket.",
    "Horseback riding in the countryside on a clear morning.",
)
def rider(cv: Canvas) -> None:
    b.meadow(cv, 234, seed=9, kind="morning")
    b.tree(cv, 570, 330, 210, "round", "#6fa25c")
    a.horse(cv, 306, 448, 300, "#8a5332", pace=True, saddle="#5a2f28")
    person(cv, 300, 272, 226, "saddle", Look(FAIR, CHESTNUT, "helmet", "#34405c", top="#c8413a",
        bottom="#f1e6cf", shoes="#3a2c28"), hip=True)


@scene(
    "Two horses stand in a pasture, one brown and one white.",
    "A white horse grazes while a brown horse looks on.",
    "Two small birds sit on the fence behind a pair of horses.",
    "Horses in front of a white fence at a farm.",
    size=BROAD,
)
def two_horses(cv: Canvas) -> None:
    b.meadow(cv, 190, seed=12)
    b.fence(cv, 268, 56, "#fbf6ea", rails=True)
    a.bird(cv, 66, 226, 28, "#a8553f", shadow=False)
    a.bird(cv, 326, 226, 28, "#5a7a9c", flip=True, shadow=False)
    a.horse(cv, 180, 384, 214, "#8a5332")
    a.horse(cv, 450, 400, 226, "#f1ece2", "#cfc6b6", graze=True, flip=True)


@scene(
    "A green and white truck drives along a country road.",
    "A truck on a two-lane road between fields.",
    "Truck with a green cab heading left with hills behind it.",
    "A small red car follows a truck on a rural road.",
    size=BROAD,
)
def country_road(cv: Canvas) -> None:
    b.desert_road(cv, 176, seed=6)
    v.truck(cv, 236, 366, 262, "#4f8a5b", "#efe6d4", flip=True, mark="#4f8a5b")
    v.car(cv, 560, 352, 96, "#c8413a", flip=True)


@scene(
    "A big elephant and a baby elephant walk across the savanna.",
    "Two elephants, one large and one small, in dry grass.",
    "An elephant with tusks followed by a calf at sunset.",
    "Elephants under an orange sky with a few flat-topped trees.",
    "An adult elephant with a little one walking behind it.",
)
def elephants(cv: Canvas) -> None:
    b.savanna(cv, 258, seed=2)
    a.elephant(cv, 356, 430, 300)
    a.elephant(cv, 132, 436, 128, "#98a1ae")


@scene(
    "Two giraffes tower over a zebra on the plains.",
    "A zebra grazes near two tall giraffes.",
    "Giraffes and a zebra in the golden light of the savanna.",
    "Wild animals in dry grass, the biggest giraffe standing on the left.",
    size=SQUARE,
)
def giraffes(cv: Canvas) -> None:
    b.savanna(cv, 316, seed=5)
    a.giraffe(cv, 352, 424, 250, flip=True)
    a.giraffe(cv, 132, 462, 350)
    a.zebra(cv, 342, 476, 170, graze=True, flip=True)


@scene(
    "A herd of five zebras in dry grass.",
    "Zebras stand together, some of them eating.",
    "Five zebras on the savanna under a low sun.",
    "A group of striped zebras with a bird flying above.",
    size=BROAD,
)
def zebras(cv: Canvas) -> None:
    b.savanna(cv, 226, seed=8)
    a.bird(cv, 120, 84, 42, "#b9a58f", pose="gull")
    a.zebra(cv, 120, 306, 108)
    a.zebra(cv, 420, 312, 116, flip=True)
    a.zebra(cv, 262, 362, 156, graze=True)
    a.zebra(cv, 548, 386, 172, flip=True, graze=True)
    a.zebra(cv, 118, 404, 180)


@scene(
    "A brown bear stands at the edge of a river.",
    "A bear walks along the bank with a pine forest behind it.",
    "Large brown bear in the wilderness, mountains in the distance.",
    "A bear next to the water on a clear day.",
)
def river_bear(cv: Canvas) -> None:
    b.forest(cv, 246, seed=4)
    a.bear(cv, 318, 348, 260)


# -- snow ----------------------------------------------------------------------------------------


@scene(
    "Two skiers go down a snowy slope.",
    "A skier in red follows a skier in yellow down the hill.",
    "People skiing in the mountains on a sunny winter day.",
    "Two people on skis with snow-covered pine trees behind them.",
    "Skiers wearing helmets race toward the right.",
)
def skiers(cv: Canvas) -> None:
    b.slope(cv, seed=2)
    for x, y, high, top, hat in ((214, 330, 158, "#cf4040", "#34405c"), (450, 420, 190, "#ecbd3c",
            "#2f8f83")):
        t.ski_pair(cv, x + 4, y + 4, high * 0.8, "#3a74b4" if x < 300 else "#e5533d", turn=13)
        j = person(cv, x, y, high, "ski", Look(FAIR if x < 300 else BROWN, BLACK, "helmet", hat, top=top,
            bottom="#34405c"), shadow=False, turn=10)
        with cv.pen() as p:
            p.line([j["hand"], (j["hand"][0] - high * 0.3, j["hand"][1] + high * 0.28)], 2.2, "#4b5161")


@scene(
    "A snowboarder jumps high above the slope.",
    "A snowboarder in an orange jacket is in midair.",
    "A person on a green snowboard flies past snowy mountains.",
    "A snowboarder with arms spread wide, snow-covered pines below.",
    size=TALL,
)
def snowboarder(cv: Canvas) -> None:
    b.slope(cv, seed=5, top=0.5, steep=0.26)
    t.snowboard(cv, 248, 332, 170, "#2f8f83", turn=-16)
    person(cv, 238, 326, 220, "board", Look(TAN, BLACK, "beanie", "#34405c", top="#e8823c",
        bottom="#4a5568"), shadow=False, turn=-12)
    cv.shadow(252, 528, 74, 10, 0.3)


@scene(
    "A man walks his dog in the snow.",
    "A brown dog walks ahead of a man in a purple coat on a snowy day.",
    "Snow falls on a person in a yellow beanie and a dog.",
    "Winter walk past bare trees, the dog leading the way.",
)
def snow_walk(cv: Canvas) -> None:
    b.sky(cv, 300, "winter")
    b.ridge(cv, 280, 60, "#cfdfec", 3, bumps=3)
    for x, h in ((60, 190), (190, 140), (470, 160), (596, 210)):
        b.tree(cv, x, 300, h, "bare")
    b.tree(cv, 330, 292, 110, "snowpine", "#5f8f86")
    b.ridge(cv, 296, 14, "#f7fbfd", 6, bumps=3, to="#dbe8f2")
    j = person(cv, 244, 434, 190, "lead", Look(TAN, BLACK, "beanie", "#f0bb3c", top="#7a5c96",
        bottom="#3b4a66", shoes="#5a3a2c"))
    a.dog(cv, 408, 438, 126, "#9a6238", pose="walk", collar="#cf4040")
    with cv.pen() as p:
        p.line([j["hand"], (360, 382), (446, 372)], 1.8, "#40332e", curve=True)
    b.snowfall(cv, 8)


# -- trains and planes ---------------------------------------------------------------------------


@scene(
    "A red and white train waits at the platform.",
    "A man and a woman stand on a platform in front of a train.",
    "A train station with a clock hanging above two travelers.",
    "A woman with an orange suitcase and a man with a green backpack at the station.",
    "Two passengers face each other beside the train.",
)
def station(cv: Canvas) -> None:
    b.sky(cv, 300, "morning")
    b.skyline(cv, 300, "#b5cdd6", 5, 150)
    with cv.pen() as p:
        p.box(-5, 0, 645, 44, "#4f6472", to="#3d505d")
        for k in range(8):
            p.poly([(k * 92 - 20, 44), (k * 92 + 26, 44), (k * 92 + 3, 66)], "#5f7786")
        for x in (60, 590):
            p.box(x - 6, 40, x + 6, 400, "#5f7786")
    cv.sweep(330, 394, "#8f8a86", "#6d6966")
    with cv.pen() as p:
        p.box(-5, 372, 645, 377, "#4b4f58")
    v.train(cv, 336, 374, 660, "#c8413a", coaches=1 + 1)
    cv.sweep(388, 480, "#d3cdc3", "#b9b2a6")
    with cv.pen() as p:
        p.box(-5, 386, 645, 392, "#eae5db")
        p.box(-5, 398, 645, 404, "#f0c040")
        p.box(316, 40, 324, 76, "#3b404d")
    t.clock(cv, 320, 104, 62, hour=9, minute=35)
    t.suitcase(cv, 140, 462, 74, "#e0822f")
    person(cv, 196, 462, 206, "stand", Look(FAIR, CHESTNUT, "bob", top="#4f6f9a", legs="dress",
        bottom="#4f6f9a"))
    j = person(cv, 456, 464, 216, "stand", Look(BROWN, BLACK, "crop", top="#d9c39a", bottom="#4a5568"),
        flip=True)
    t.backpack(cv, j["shoulder"][0] + 21, j["shoulder"][1] + 60, 74, "#4f8a5b", side=True, flip=True)


@scene(
    "A train crosses a stone bridge over a valley.",
    "A blue train on a high arched viaduct among green hills.",
    "Small train passing over a bridge with a river below.",
    "Countryside view with a viaduct and a train going to the right.",
)
def viaduct(cv: Canvas) -> None:
    b.sky(cv, 260, "day")
    b.sun(cv, 540, 70, 22)
    b.cloud(cv, 130, 70, 120)
    b.cloud(cv, 380, 46, 90)
    b.ridge(cv, 250, 96, "#a9c9cf", 3, bumps=3)
    b.ridge(cv, 290, 90, "#8fb89a", 6, bumps=3)
    b.ridge(cv, 340, 60, "#7dae72", 9, bumps=4)
    v.train(cv, 322, 250, 330, "#2f6db0", coaches=3)
    with cv.pen() as p:
        p.box(-5, 249, 645, 272, "#c3ae93", to="#b39c80")
        p.box(-5, 246, 645, 252, "#d8c6ab")
        for k in range(7):
            x = k * 104 - 12
            p.poly([(x - 14, 270), (x + 14, 270), (x + 11, 420), (x - 11, 420)], "#b8a286", to="#9a866c")
            arc = [(x + 14 + 76 * m / 16, 300 - 28 * (1 - ((m - 8) / 8) ** 2) ** 0.5) for m in range(17)]
            p.poly([(x + 14, 270), *arc, (x + 90, 270)], "#b39c80")
    b.ridge(cv, 412, 30, "#86bb62", 12, bumps=3, to="#6fa352")
    with cv.pen() as p:
        p.poly([(240, 404), (330, 400), (420, 440), (560, 490), (80, 490), (250, 440)], "#6fb0c8",
            curve=True, to="#4f93b4")
    for x, y, h in ((60, 420, 90), (150, 440, 110), (500, 424, 96), (590, 446, 124)):
        b.tree(cv, x, y, h, "round", "#5b9a5f")
    b.tufts(cv, 430, 480, "#5f9350", 4, 20)


@scene(
    "A white airplane is parked on the tarmac.",
    "A jet with a blue tail at an airport, and a truck next to it.",
    "A passenger plane and a small truck near the control tower.",
    "A big airliner on the ground, its tail on the left.",
    "An airport with a plane in front of the tower on a clear day.",
)
def apron(cv: Canvas) -> None:
    b.sky(cv, 300, "day")
    b.cloud(cv, 110, 64, 110)
    b.cloud(cv, 420, 110, 80)
    b.ridge(cv, 296, 26, "#a9c7c0", 4, bumps=3)
    with cv.pen() as p:
        p.box(-5, 236, 250, 304, "#c9d3da", 3, to="#aebac4")
        for k in range(8):
            p.box(6 + k * 30, 248, 30 + k * 30, 282, "#8fb2c4", 1)
        p.poly([(536, 304), (540, 150), (572, 150), (576, 304)], "#d9dfe4", to="#b9c3cc")
        p.poly([(516, 150), (524, 116), (588, 116), (596, 150)], "#6f93a8")
        p.box(512, 148, 600, 156, "#e9edf0", 2)
        p.box(520, 110, 592, 117, "#e9edf0", 2)
        p.line([(556, 110), (556, 84)], 2, "#6a7280")
    cv.sweep(302, 480, "#a3a9b3", "#858c98")
    with cv.pen() as p:
        p.line([(-10, 452), (650, 430)], 4, "#ecc94f")
        for k in range(5):
            p.line([(k * 150, 302), (k * 170 - 60, 480)], 1, "#8d94a0")
    cv.shadow(300, 410, 250, 18, 0.55)
    v.airplane(cv, 316, 414, 520, "#2f6db0")
    v.truck(cv, 116, 446, 128, "#e9b53c", "#f3ede1", mark="#8d98a8")


@scene(
    "A plane takes off into a pink evening sky.",
    "An airplane climbs past the clouds at sunset.",
    "Jet with a red tail flying up and to the right.",
    "A passenger jet in the air over a city skyline.",
    size=TALL,
)
def takeoff(cv: Canvas) -> None:
    b.sky(cv, 600, "sunset")
    b.sun(cv, 120, 500, 34, "#fff0c4", "#ffcf8f")
    for x, y, w in ((90, 180, 120), (390, 120, 150), (360, 420, 170), (110, 380, 130)):
        b.cloud(cv, x, y, w, "#f7d3c9")
    v.airplane(cv, 246, 320, 330, "#c8413a", turn=-20, gear=False)
    b.skyline(cv, 610, "#6a5a86", 3, 100, lit=True)
    cv.sweep(606, 640, "#54496f", "#463d61")


@scene(
    "A traveler with a red suitcase watches a plane through the airport window.",
    "A woman waits at the gate with her luggage while an airplane flies by.",
    "Woman in a yellow jacket seen from behind in an airport terminal.",
    "A person with a brown handbag and a rolling suitcase looks out at a plane.",
)
def departure(cv: Canvas) -> None:
    b.sky(cv, 330, "morning")
    b.cloud(cv, 150, 90, 130)
    b.cloud(cv, 520, 60, 110)
    b.ridge(cv, 318, 34, "#a9c7c0", 7, bumps=3)
    cv.sweep(316, 372, "#a8aeb8", "#949ba7")
    v.airplane(cv, 196, 196, 250, "#2f8f83", turn=-12, gear=False)
    with cv.pen() as p:
        for x in (0, 214, 428, 640):
            p.box(x - 6, -5, x + 6, 372, "#5f7080")
        p.box(-5, -5, 645, 14, "#5f7080")
        p.box(-5, 362, 645, 376, "#4f5f6e")
    cv.sweep(374, 480, "#c9cdd3", "#aab1ba")
    with cv.pen() as p:
        p.poly([(20, 376), (206, 376), (176, 480), (-60, 480)], "#ffffff30")
        p.poly([(226, 376), (420, 376), (420, 480), (200, 480)], "#ffffff30")
        p.poly([(436, 376), (630, 376), (700, 480), (456, 480)], "#ffffff30")
    j = person(cv, 398, 456, 250, "stand", Look(TAN, BLACK, "long", top="#e9b53c", bottom="#34405c"),
        view="back")
    t.suitcase(cv, 474, 458, 92, "#c8413a")
    t.handbag(cv, j["far_hand"][0], j["far_hand"][1] - 2, 40, "#7a4a3a")


# -- crowds --------------------------------------------------------------------------------------


@scene(
    "A soccer player dribbles the ball in front of a packed stadium.",
    "Fans fill the stands while a player in a red jersey runs with the ball.",
    "A crowd cheers at a soccer match.",
    "Footballer in red and white on the field with hundreds of spectators behind him.",
    "A man runs after a soccer ball on a green pitch.",
)
def stadium(cv: Canvas) -> None:
    b.sky(cv, 120, "day")
    cv.sweep(40, 300, "#8d98a8", "#5f6c7e")
    with cv.pen() as p:
        p.box(-5, 26, 645, 44, "#4b5a6c")
        for k in range(5):
            p.box(-5, 92 + k * 40, 645, 97 + k * 40, "#4f5c6e")
    crowd(cv, [(104 + k * 40, 62 + k * 3) for k in range(5)], 7)
    with cv.pen() as p:
        p.box(-5, 250, 645, 292, "#f4f1ea", to="#dcd8ce")
        for k in range(7):
            p.poly([(k * 96 + 10, 258), (k * 96 + 60, 258), (k * 96 + 46, 284), (k * 96 - 4, 284)],
                ("#d6493f", "#3f7cac")[k % 2])
    cv.sweep(290, 480, "#6fb35a", "#569a48")
    with cv.pen() as p:
        for k in range(4):
            p.poly([(k * 200 - 90, 290), (k * 200 + 10, 290), (k * 230 - 40, 480), (k * 230 - 155, 480)],
                "#ffffff16")
        p.line([(-10, 320), (650, 320)], 3, "#f4f7f2")
    person(cv, 292, 442, 206, "run", Look(DEEP, BLACK, "crop", top="#cf4040", bottom="#f7f4ee",
        legs="shorts", sleeves="short", shoes="#2f3542"))
    t.ball(cv, 398, 448, 38)


@scene(
    "A fruit stall at a busy outdoor market.",
    "A vendor in a green apron sells oranges and apples in front of a crowd.",
    "Piles of fruit under a red and white awning.",
    "A woman in a blue dress with a red handbag stops at a market stand.",
)
def market(cv: Canvas) -> None:
    b.street(cv, 250, seed=3, road=470, lamp=False)
    crowd(cv, [(300, 96), (320, 104), (342, 112)], 11, cheer=0.06)
    person(cv, 250, 418, 190, "hold", Look(TAN, CHESTNUT, "bun", top="#f1e3c0", bottom="#4a5568",
        apron="#4f8a5b"), view="front")
    with cv.pen() as p:
        for x in (76, 452):
            p.box(x - 4, 140, x + 4, 440, "#8a6248")
        for k in range(10):
            left = 56 + k * 41.6
            tone = "#d6493f" if k % 2 == 0 else "#fbf6ea"
            p.poly([(left + 12, 112), (left + 53, 112), (left + 41.6, 172), (left, 172)], tone)
            p.oval(left + 20.8, 172, 20.8, 10, tone)
        p.poly([(60, 362), (470, 362), (456, 452), (74, 452)], "#a8774a", to="#8a5f3a")
        p.box(52, 352, 478, 366, "#c79560", 2)
        for k in range(3):
            p.box(70, 386 + k * 22, 460, 389 + k * 22, "#7d5434")
    for k in range(3):
        t.orange(cv, 106 + k * 30, 351, 30)
    t.orange(cv, 121, 330, 30)
    t.orange(cv, 151, 330, 30)
    for k in range(3):
        t.apple(cv, 344 + k * 30, 352, 28)
    t.apple(cv, 359, 331, 28)
    t.apple(cv, 389, 331, 28)
    j = person(cv, 556, 462, 216, "stand", Look(BROWN, BLACK, "long", top="#3f7cac", legs="dress"), flip=True)
    t.handbag(cv, j["hand"][0], j["hand"][1] - 2, 40, "#b8433a")


# -- without boxes, without captions -------------------------------------------------------------


@scene(
    "Snow-capped mountains reflected in a still blue lake.",
    "A quiet lake at the foot of three high peaks.",
    "Mountain landscape with pine trees along the shore and nobody in sight.",
    "Clear morning sky over a lake and a mountain range.",
    "A calm lake surrounded by forest and mountains.",
)
def mountain_lake(cv: Canvas) -> None:
    b.sky(cv, 250, "morning")
    b.sun(cv, 128, 84, 22)
    b.cloud(cv, 470, 60, 120)
    peaks = ((130, 340, 150, "#9db2c9"), (530, 380, 168, "#92a9c4"), (330, 420, 208, "#7f98b8"))
    for x, w, h, tone in peaks:
        b.mountain(cv, x, 256, w, h, tone)
    cv.sweep(254, 480, "#bcd9e0", "#4f8aa8")
    for x, w, h, tone in peaks:
        with cv.pen() as p:
            p.poly([(x - w * 0.5, 256), (x + w * 0.5, 256), (x + w * 0.3, 256 + h * 0.26),
                (x + w * 0.02, 256 + h * 0.66), (x - w * 0.26, 256 + h * 0.32)], f"{tone}58")
    rng = Random(5)
    for n in range(24):
        b.tree(cv, n * 28 + rng.random() * 16, 262 + rng.random() * 5, 40 + rng.random() * 40, "pine",
            ("#4f8270", "#5f957f")[n % 2])
    with cv.pen() as p:
        for k in range(26):
            x, y = (k * 181) % 640, 284 + (k * 47) % 170
            p.line([(x, y), (x + 30, y)], 1.4, "#d9ecef90")
        p.poly([(-20, 452), (120, 436), (260, 458), (330, 500), (-20, 500)], "#86b565", curve=True,
            to="#6fa352")
        p.poly([(660, 440), (560, 450), (470, 474), (440, 500), (660, 500)], "#86b565", curve=True,
            to="#6fa352")
    b.tree(cv, 60, 468, 190, "pine", "#3f7561")
    b.tree(cv, 590, 474, 220, "pine", "#3f7561")


@scene(size=WIDE)
def yard_sale(cv: Canvas) -> None:
    """The image without captions: an ordinary scene, boxes only."""
    b.park(cv, 196, seed=14, path=False)
    b.fence(cv, 300, 54)
    t.chair(cv, 96, 438, 140, "#c9744a")
    top = t.table(cv, 310, 440, 270, 104, "#a8713f")
    t.vase(cv, 214, top, 46, "#8a64a8", "#f4f1ea")
    t.clock(cv, 286, top - 26, 52, rim="#b8433a", hour=4, minute=5)
    t.book(cv, 356, top, 62, "#3a6ea8")
    t.book(cv, 358, top - 12, 56, "#d8973c")
    t.teddy(cv, 416, top, 64)
    v.bicycle(cv, 540, 448, 170, "#c8413a", flip=True)
    t.suitcase(cv, 178, 456, 66, "#5f8f8a", handle=False)
