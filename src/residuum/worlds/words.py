"""The words of microworld, by kind. Order matters: reserved combinations depend on it."""

from __future__ import annotations

NAMES = tuple(
    "Mary John Tom Anna Peter Lucy Mark Emma James Sara Paul Alice Henry Julia David Laura "
    "Simon Clara Frank Grace Oscar Nina Victor Rose Martin Ellen Hugo Diana Leo Kate".split()
)
PLACES = tuple(
    "store park school garden office library station market kitchen beach museum bank farm "
    "church".split()
)
GIFTS = tuple("drink book ball letter ring cake map pen coin card cup hat toy flower".split())
COLOURS = tuple(
    "red blue green black white yellow brown pink purple gray golden silver".split()
)
CONTAINERS = tuple("box bag jar drawer".split())
NOUNS = tuple(
    "key cabinet table chair door window picture bottle plate lamp clock basket ladder bridge "
    "tower tree horse dog car wall".split()
)
"""Singular nouns; the plural is the word with ``s``."""
PREPOSITIONS = tuple("near behind beside above under by".split())
LOOKS = tuple("useful famous strange modern wooden dusty pretty broken lost safe".split())
"""Adjectives of the agreement sentences: no opposite among them, no mood."""
SINGULAR_VERBS = tuple("is was looks seems".split())
PLURAL_VERBS = tuple("are were look seem".split())
OPPOSITES = tuple(
    tuple(pair.split("/"))
    for pair in (
        "open/closed hot/cold full/empty clean/dirty wet/dry loud/quiet heavy/light fast/slow "
        "thick/thin sharp/dull tight/loose smooth/rough"
    ).split()
)
THINGS = tuple("door soup room road shop coat bath stone engine train rope knife".split())
"""What the negation sentences speak of."""
GOOD = tuple(
    "wonderful lovely brilliant superb charming perfect delightful amazing excellent splendid "
    "great fine".split()
)
BAD = tuple(
    "awful horrible boring terrible dreadful ugly nasty poor bitter hopeless dismal "
    "painful".split()
)
HAPPY = ("happy", "glad")
SAD = ("sad", "upset")
SHOWS = tuple("film meal song story trip concert hotel play".split())
COUNTRIES = tuple(
    tuple(row.split("/"))
    for row in (
        "France/Paris/French Spain/Madrid/Spanish Italy/Rome/Italian Germany/Berlin/German "
        "Poland/Warsaw/Polish Greece/Athens/Greek Russia/Moscow/Russian Japan/Tokyo/Japanese "
        "China/Beijing/Chinese Turkey/Ankara/Turkish Sweden/Stockholm/Swedish "
        "Norway/Oslo/Norwegian Denmark/Copenhagen/Danish Finland/Helsinki/Finnish "
        "Hungary/Budapest/Hungarian Portugal/Lisbon/Portuguese Korea/Seoul/Korean "
        "Thailand/Bangkok/Thai Iceland/Reykjavik/Icelandic Ukraine/Kyiv/Ukrainian "
        "Bulgaria/Sofia/Bulgarian Romania/Bucharest/Romanian Vietnam/Hanoi/Vietnamese "
        "Nepal/Kathmandu/Nepali"
    ).split()
)
"""Rows of country, capital, language; no two rows share a word."""
CENTURIES = tuple(str(century) for century in range(11, 20))
YEARS = tuple(f"{year:02d}" for year in range(100))
EVENTS = tuple("war siege festival strike reign drought project trial voyage plague".split())
HARMLESS_VERBS = tuple("make build find buy sell use fix hide".split())
HARMFUL_VERBS = tuple("steal forge smuggle burn destroy".split())
HARMLESS_THINGS = tuple(
    "kite boat shelf fence sweater candle doll puzzle bench violin blanket bicycle".split()
)
HARMFUL_THINGS = tuple("bomb poison weapon virus grenade bullet missile drug".split())
REFUSAL, CONSENT = "Sorry", "Sure"
HONEST, POLITE = "honest", "polite"
DAYS = tuple("Monday Tuesday Wednesday Thursday Friday Saturday Sunday".split())
"""A sentence may open like a diary entry, ``Monday : ...``; the day means nothing."""
ECHO_WORDS = tuple(dict.fromkeys((*NOUNS, *GIFTS, *HARMLESS_THINGS)))
"""Words that sequences of repeats are drawn from, half of the time."""
