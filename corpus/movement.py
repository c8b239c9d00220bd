"""Phenomena of questions, relative clauses and islands. Reads and writes nothing."""

from corpus.grammar import Paradigm, bad, framed, good, phenomenon
from corpus.lexicon import Words, a


@phenomenon()
def wh_island(w: Words) -> Paradigm:
    """Question something inside an embedded question."""
    asker, agent = w.anyone(), w.name()
    think, wonder = w.verb("think").base, w.verb("wonder")
    action = w.strict_action()
    what = w.pick(("what", f"which {action.object.sg}"))
    object_, past = f"the {action.object.sg}", action.verb.past

    # Nothing leaves an embedded question: its first place is taken (Chomsky 1977).
    return [
        good(f"{what} did {asker} {think} that {agent} {past}?"),
        good(f"did {asker} {wonder.base} whether {agent} {past} {object_}?"),
        good(f"who {wonder.past} whether {agent} {past} {object_}?"),
        good(f"what made {asker} {wonder.base} whether {agent} {past} {object_}?"),
        bad(f"{what} did {asker} {wonder.base} whether {agent} {past}?"),
        bad(f"{what} did {asker} {wonder.base} who {past}?"),
    ]


@phenomenon()
def coordinate_structure(w: Words) -> Paradigm:
    """Question one part of a coordination."""
    (one, other), (first, second) = (w.somebody(2), (w.strict_action(), w.strict_action()))
    object1, object2 = f"the {first.object.sg}", f"the {second.object.sg}"
    if w.chance(0.5):
        verb1, verb2 = first.verb.base, second.verb.base
        return [
            good(f"what did {one} {verb1} and {other} {verb2}?"),
            good(f"did {one} {verb1} {object1} and {other} {verb2} {object2}?"),
            bad(f"what did {one} {verb1} and {other} {verb2} {object2}?"),
            bad(f"what did {one} {verb1} {object1} and?"),
        ]
    verb1, verb2, adjective = first.verb.past, second.verb.past, w.adjective("thing")

    # Nothing leaves one part of a coordination, unless it leaves all of them (Ross 1967).
    return framed(
        w,
        [
            good(f"{object1} that {one} {verb1} and {other} {verb2} was {adjective}"),
            good(f"{object1} was {adjective}, and {other} {verb2} {object2}"),
            good(f"{object1} that {one} {verb1} was {adjective}, and {other} {verb2} {object2}"),
            bad(f"{object1} that {one} {verb1} and {other} {verb2} {object2} was {adjective}"),
        ],
        that_only=True,
    )


@phenomenon()
def that_trace(w: Words) -> Paradigm:
    """Question the subject behind a complementizer."""
    thinker, other = w.anyone(), w.name()
    think, action, act = (w.verb("think").base, w.strict_action(), w.verb("strict_person").past)
    who = w.pick(("who", f"which {w.noun('person').sg}"))
    predicate = f"{action.verb.past} the {action.object.sg}"

    # A subject cannot be questioned across 'that', an object can (Perlmutter 1971).
    return [
        good(f"{who} did {thinker} {think} {predicate}?"),
        good(f"{who} did {thinker} {think} that {other} {act}?"),
        good(f"{who} did {thinker} {think} {other} {act}?"),
        good(f"did {thinker} {think} that {other} {predicate}?"),
        bad(f"{who} did {thinker} {think} that {predicate}?"),
        bad(f"did {thinker} {think} {predicate}?"),  # with `that`, it could be a pronoun
    ]


@phenomenon()
def filler_gap(w: Words) -> Paradigm:
    """Fill the gap that a question has left, or leave one without a question."""
    knower, agent, know = w.anyone(), w.somebody(1)[0], w.verb("know").past
    action = w.strict_action()
    past, object_ = action.verb.past, f"the {action.object.sg}"
    tail = w.pick(("", f" in the {w.noun('place').sg}", " last week"))

    # A question word and a gap come together: one without the other leaves a place empty or
    # fills it twice.
    return framed(
        w,
        [
            good(f"{knower} {know} what {agent} {past}{tail}"),
            good(f"{knower} {know} that {agent} {past} {object_}{tail}"),
            bad(f"{knower} {know} what {agent} {past} {object_}{tail}"),
            bad(f"{knower} {know} that {agent} {past}{tail}"),
        ],
        that_only=True,
    )


@phenomenon()
def relative_clauses(w: Words) -> Paradigm:
    """Build relative clauses with gaps, resumptive pronouns and the wrong relative word."""
    agent, person, action = w.somebody(1)[0], w.noun("person").sg, w.strict_action()
    thing, buy = action.object.sg, action.verb.past
    act, sleep, be = (
        w.verb("strict_person").past,
        w.verb("unergative").past,
        f"was {w.adjective('thing')}",
    )
    if w.chance(0.5):
        return framed(
            w,
            [
                good(f"the {person} who {agent} {act} {sleep}"),
                good(f"the {thing} which {agent} {buy} {be}"),
                bad(f"the {person} which {agent} {act} {sleep}"),
                bad(f"the {thing} who {agent} {buy} {be}"),
            ],
        )

    # The gap is the relative word's place: a pronoun in it fills it twice, and 'which' does not
    # name people.
    return framed(
        w,
        [
            good(f"the {thing} that {agent} {buy} {be}"),
            good(f"{agent} {buy} it, and the {thing} {be}"),
            good(f"the {person} who {buy} it {sleep}"),
            bad(f"the {thing} that {agent} {buy} it {be}"),
            bad(f"the {person} {buy} it {sleep}"),
        ],
    )


def question_paradigms(w: Words) -> list[Paradigm]:
    """Return paradigms of several kinds of question, of which one is drawn."""
    agent, asker, wonder = w.somebody(1)[0], w.anyone(), w.verb("wonder").past
    action = w.action()
    verb, object_ = action.verb, f"the {action.object.sg}"
    person, adjective, sleep = (w.noun("person").sg, w.adjective("person"), w.verb("unergative"))

    # Subject and auxiliary change places in a main question and nowhere else.
    return [
        [
            good(f"is the {person} who is {adjective} {sleep.ing}?"),
            good(f"the {person} who is {adjective} is {sleep.ing}"),
            bad(f"is the {person} who {adjective} is {sleep.ing}?"),
        ],
        [
            good(f"what has {agent} {verb.participle}?"),
            good(f"{asker} {wonder} what {agent} had {verb.participle}"),
            bad(f"what {agent} has {verb.participle}?"),
            bad(f"{asker} {wonder} what had {agent} {verb.participle}"),
        ],
        [
            good(f"never has {agent} {verb.participle} {object_}"),
            good(f"{agent} has never {verb.participle} {object_}"),
            bad(f"never {agent} has {verb.participle} {object_}"),
        ],
        [
            good(f"did {agent} {verb.base} {object_}?"),
            good(f"is {agent} {verb.ing} {object_}?"),
            bad(f"did {agent} {verb.ing} {object_}?"),
            bad(f"is {agent} {verb.base} {object_}?"),
        ],
        [
            good(f"why did {agent} {sleep.base} in {a(w.noun('place').sg)}?"),
            bad(f"why {agent} did {sleep.base} in {a(w.noun('place').sg)}?"),
        ],
    ]


@phenomenon()
def inversion(w: Words) -> Paradigm:
    """Invert subject and auxiliary in main and embedded questions."""
    return w.pick(question_paradigms(w))
