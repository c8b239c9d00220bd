"""Phenomena of polarity, quantity, definiteness and degree. Reads and writes nothing."""

from corpus.grammar import Paradigm, bad, framed, good, phenomenon
from corpus.lexicon import Words


def polarity_paradigms(w: Words) -> list[Paradigm]:
    """Return paradigms of several licensers, of which one is drawn."""
    (one, other), action, agent = w.nouns("person", 2), w.action(), w.name()
    act, think, thinker = w.verb("strict_person").past, w.verb("think").past, w.anyone()
    past, objects = action.verb.past, action.object.pl
    predicate = f"{action.verb.participle} {w.pick(('the', 'that'))} {action.object.sg}"
    sleep = w.verb("unergative")
    awake = sleep.participle

    # 'any' and 'ever' need a licenser, such as a negation, that stands above them; one inside a
    # relative clause is not enough (Ladusaw 1979).
    return [
        [
            good(f"no {one.sg} has ever {predicate}"),
            good(f"the {one.sg} who has {awake} has never {predicate}"),
            good(f"the {one.sg} who has never {awake} has {predicate}"),
            bad(f"the {one.sg} who has never {awake} has ever {predicate}"),
            bad(f"the {one.sg} has ever {predicate}"),
        ],
        [
            good(f"no {one.sg} that the {other.sg} {act} has ever {predicate}"),
            good(f"the {one.sg} that no {other.sg} {act} has {predicate}"),
            bad(f"the {one.sg} that no {other.sg} {act} has ever {predicate}"),
        ],
        [
            good(f"the {one.sg} who {act} {agent} did not {action.verb.base} any {objects}"),
            good(f"nobody who {act} {agent} {past} any {objects}"),
            good(f"somebody who {act} nobody {past} some {objects}"),
            bad(f"the {one.sg} who did not {sleep.base} {past} any {objects}"),
            bad(f"somebody who {act} nobody {past} any {objects}"),
            bad(f"somebody {past} any {objects}"),
        ],
        [
            good(f"{thinker} doubted that {agent} had ever {predicate}"),
            good(f"{thinker} {think} that {agent} had {predicate}"),
            bad(f"{thinker} {think} that {agent} had ever {predicate}"),
        ],
        [
            good(f"every {one.sg} who has ever {predicate} {sleep.past}"),
            good(f"every {one.sg} who {sleep.past} has {predicate}"),
            bad(f"every {one.sg} who {sleep.past} has ever {predicate}"),
        ],
    ]


@phenomenon()
def negative_polarity(w: Words) -> Paradigm:
    """Use negative polarity items with and without something that licenses them."""
    return framed(w, w.pick(polarity_paradigms(w)), that_only=True)


@phenomenon()
def quantifiers(w: Words) -> Paradigm:
    """Combine quantifiers with nouns of the number and kind that they take, or others."""
    person, action, someone = w.noun("person"), w.action(), w.anyone()
    past, participle, mass = (
        action.verb.past,
        w.verb("unergative").participle,
        w.noun("substance").sg,
    )
    thing = action.object
    several = w.pick(("most", "some", "several", "many", "all"))
    lose = w.pick(("lost", "ignored", "noticed"))
    partitive = [
        good(f"{someone} {past} {several} of the {thing.pl}"),
        good(f"{someone} {past} {several} {thing.pl}"),
        good(f"each of the {person.pl} {past} the {thing.sg}"),
        bad(f"{someone} {past} {several} of {thing.pl}"),
        bad(f"each of the {person.sg} {past} the {thing.sg}"),
        bad(f"every of the {person.pl} {past} the {thing.sg}"),
    ]
    floated = [
        good(f"the {person.pl} have all {participle}"),
        good(f"the {person.pl} have each {participle}"),
        good(f"every {person.sg} has {participle}"),
        bad(f"the {person.sg} has all {participle}"),
        bad(f"the {person.pl} have every {participle}"),
    ]
    countable = [
        good(f"{someone} {lose} much of the {mass}"),
        good(f"{someone} {lose} many of the {thing.pl}"),
        bad(f"{someone} {lose} many of the {mass}"),
        bad(f"{someone} {lose} much of the {thing.pl}"),
    ]

    # 'much' goes with what cannot be counted, 'many' with plurals; 'every' is singular.
    return framed(w, w.pick((partitive, partitive, floated, countable)))


@phenomenon()
def existential_there(w: Words) -> Paradigm:
    """Use definite and indefinite noun phrases after 'there is'."""
    kind = w.pick(("text", "device", "garment", "person", "animal"))
    noun, place, preposition = (w.noun(kind), w.noun("place"), w.pick(("in", "near", "outside")))
    adjective = (
        w.adjective("person" if kind == "person" else "thing") + " " if w.chance(0.4) else ""
    )
    strong, weak = w.pick(("every", "each")), w.pick(("one", "another"))
    strong_many, weak_many = (w.pick(("most", "both")), w.pick(("some", "several", "many", "two")))
    be = w.pick(("was", "was", "had been"))
    singular = [
        good(f"there {be} {weak} {adjective}{noun.sg} {preposition} {strong} {place.sg}"),
        good(f"{strong} {adjective}{noun.sg} {be} {preposition} {weak} {place.sg}"),
        bad(f"there {be} {strong} {adjective}{noun.sg} {preposition} {weak} {place.sg}"),
    ]
    be = w.pick(("were", "were", "had been"))
    plural = [
        good(f"the {noun.pl} there were {strong_many} {w.pick(('unusual', 'remarkable'))}"),
        good(f"there {be} {weak_many} {adjective}{noun.pl} {preposition} {strong_many} {place.pl}"),
        good(f"{strong_many} {adjective}{noun.pl} {be} {preposition} {weak_many} {place.pl}"),
        bad(f"there {be} {strong_many} {adjective}{noun.pl} {preposition} {weak_many} {place.pl}"),
    ]

    # 'there is' introduces what is new, so that it takes an indefinite noun phrase (Milsark 1974).
    return framed(w, w.pick((singular, plural)))


def comparative(adjective: str) -> str:
    """Return the comparative of an adjective."""
    return adjective + ("r" if adjective.endswith("e") else "er")


@phenomenon()
def comparatives(w: Words) -> Paradigm:
    """Form comparatives once, twice or with the other word."""
    one, other = w.anyone(), w.somebody(1)[0]
    short, long = w.adjective("short"), w.adjective("long")
    taller = comparative(short)
    be = w.pick(("is", "was", "became"))
    form = [
        good(f"{one} {be} {taller} than {other}"),
        good(f"{one} {be} more {long} than {other}"),
        good(f"{one} {be} as {w.pick((short, long))} as {other}"),
        bad(f"{one} {be} more {taller} than {other}"),
        bad(f"{one} {be} {taller} as {other}"),
        bad(f"{one} {be} as {w.pick((short, long))} than {other}"),
        bad(f"{one} {be} as {taller} as {other}"),
    ]
    degree = [
        good(f"{one} {be} much {taller} than {other}"),
        good(f"{one} {be} very {short}, and {other} {be} very {long}"),
        bad(f"{one} {be} very {taller} than {other}"),
        bad(f"{one} {be} much {short}, and {other} {be} very {long}"),
    ]

    # A short adjective takes -er, a long one 'more', and none takes both.
    return framed(w, w.pick((form, form, degree)))
