"""Names of persons, exchanged at random: whom a sentence is about does not make it acceptable."""

import re
from random import Random

NAMES = [
    line.split()
    for line in (
        "John Bill Tom Peter David Robert George Paul Sam Frank Eric Fred Harry Bob Jack Joe "
        "Steve Max Mike Jim Ben Dan Tony Roger Jeff Richard Gary Andrew William Walter Charles "
        "Philip Alan Alex Arthur Carl Chuck Craig Dave Dennis Donald Edward Ernest Gordon Greg "
        "Harold Howard Ian Jacob James Jason Jeremy Jerry Joseph Josh Justin Keith Kenneth Larry "
        "Leo Louis Luke Martin Matt Matthew Michael Nathan Neil Nick Oliver Patrick Ralph Ray "
        "Ryan Scott Sean Stephen Ted Thomas Tim Todd Vincent Warren Wayne",
        "Mary Susan Anna Linda Julia Karen Laura Jane Ruth Sarah Betty Claire Sally Sue Martha "
        "Carol Ann Jill Jenny Molly Julie Lucy Joan Emma Kate Anne Maria Elizabeth Louise Sharon "
        "Janet Alison Amanda Amy Andrea Angela Barbara Beth Brenda Caroline Catherine Charlotte "
        "Christine Cynthia Deborah Donna Dorothy Ellen Erin Eva Fiona Florence Gloria Hannah "
        "Jennifer Jessica Judy Kathy Katie Lily Lisa Lydia Maggie Margaret Marie Marilyn Megan "
        "Melissa Michelle Nancy Nicole Olivia Pamela Patricia Paula Rebecca Rosa Samantha Sandra "
        "Sheila Shirley Sylvia Teresa Tina Vanessa Victoria Vivian Wendy",
        "Kim Lee Sandy Pat Chris Robin Leslie Terry Dana Taylor",
    )
]
"""Names of men, of women, and of either: a name is exchanged for one of its kind. ``corpus/`` keeps
none of them for its validation sets.
"""

NAME = re.compile(rf"\b(?:{'|'.join(name for names in NAMES for name in names)})\b")


def exchange_names(text: str, rng: Random) -> str:
    """Return a text with each name exchanged for one of its kind, the same wherever it occurs."""
    if not NAME.search(text):
        return text

    # Names that differ go on to differ.
    others: dict[str, str] = {}
    for names in NAMES:
        others |= zip(names, rng.sample(names, len(names)), strict=True)
    return NAME.sub(lambda match: others[match[0]], text)
