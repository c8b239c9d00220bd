"""Phenomena of tense, auxiliaries and ellipsis. Reads and writes nothing."""

from corpus.grammar import Paradigm, bad, framed, good, phenomenon
from corpus.lexicon import Words

PAST_TIMES = ("yesterday", "last week", "two days ago", "last month")
FUTURE_TIMES = ("tomorrow", "next week", "two days from now", "next month")


@phenomenon()
def tense_aspect(w: Words) -> Paradigm:
    """Combine auxiliaries with the verb forms that they take, or with others."""
    someone, action = w.anyone(), w.action()
    verb, object_ = action.verb, f"the {action.object.sg}"
    before, after = w.pick(PAST_TIMES), w.pick(FUTURE_TIMES)
    order = w.pick(("{0} {1}", "{0} {1}", "{1}, {0}"))
    past, perfect, future = (
        f"{someone} {form} {object_}"
        for form in (verb.past, f"has {verb.participle}", f"will {verb.base}")
    )
    timed = [
        good(order.format(past, before)),
        good(order.format(future, after)),
        good(f"{perfect} {w.pick(('already', 'since then', 'twice this week'))}"),
        bad(order.format(perfect, before)),
        bad(order.format(past, after)),
        bad(order.format(future, before)),
    ]
    stative, thing = w.verb("stative"), w.noun("device").sg
    progressive = [
        good(f"{someone} {stative.s} the {thing}"),
        good(f"{someone} is {verb.ing} {object_}"),
        good(f"{someone} has been {verb.ing} {object_} since last week"),
        bad(f"{someone} is {stative.ing} the {thing}"),
        bad(f"{someone} is {verb.ing} {object_} since last week"),
    ]

    # The present perfect does not go with a time in the past, nor a stative verb with the
    # progressive.
    return w.pick((timed, timed, framed(w, progressive, that_only=True)))


@phenomenon()
def auxiliaries(w: Words) -> Paradigm:
    """Order and double auxiliaries."""
    someone, verb = w.anyone(), w.verb("monotransitive")
    object_ = f"the {w.noun('device').sg}"
    frames = [
        (w.pick(("has", "had", "must have", "might have")), verb.participle),
        (w.pick(("will", "can", "must", "should", "does not", "did not")), verb.base),
        (w.pick(("is", "was", "might be", "has been")), verb.ing),
    ]
    (one, form), (other, other_form) = w.rng.sample(frames, 2)
    crossed = [
        good(f"{someone} {one} {form} {object_}"),
        good(f"{someone} {other} {other_form} {object_}"),
        bad(f"{someone} {one} {other_form} {object_}"),
        bad(f"{someone} {other} {form} {object_}"),
    ]
    modal = w.pick(("might", "must", "should", "could"))
    ordered = [
        good(f"{someone} {modal} have been {verb.ing} {object_}"),
        good(f"{someone} has not {verb.participle} {object_}"),
        good(f"{someone} {modal} not be {verb.ing} {object_}"),
        bad(f"{someone} have {modal} been {verb.ing} {object_}"),
        bad(f"{someone} not has {verb.participle} {object_}"),
        bad(f"{someone} {modal} been have {verb.ing} {object_}"),
        bad(f"{someone} {modal} be not have {verb.participle} {object_}"),
    ]

    # Each auxiliary selects the form of the next verb, and their order is fixed: modal, have, be.
    return framed(w, w.pick((crossed, crossed, ordered)))


@phenomenon()
def vp_ellipsis(w: Words) -> Paradigm:
    """Leave a verb phrase out after an auxiliary, or after a verb that does not allow it."""
    (one, other), verb, action = w.somebody(2), w.verb("unergative"), w.action()
    head, rest = w.pick(((verb, ""), (action.verb, f" the {action.object.sg}")))
    past, progressive = f"{one} {head.past}{rest}", f"{one} was {head.ing}{rest}"
    denied = f"{one} did not {head.base}{rest}"
    too = w.pick((", and {1} {0} too", ", and so {0} {1}", ", but {1} {0} not"))
    matched = [
        good(past + too.format("did", other)),
        good(progressive + too.format("was", other)),
        bad(past + too.format("was", other)),
    ]
    polar = [
        good(f"{past}, and so did {other}"),
        good(f"{denied}, and neither did {other}"),
        bad(f"{past}, and neither did {other}"),
        bad(f"{denied}, and so did {other}"),
    ]
    stranded = [
        good(f"{one} wished to {head.base}{rest}, but {other} did not wish to"),
        good(f"{one} could {head.base}{rest}, but {other} could not"),
        good(f"{one} wished to {head.base}{rest}, and {other} could"),
        bad(f"{one} could {head.base}{rest}, but {other} could not to"),
        bad(f"{one} wished to {head.base}{rest}, and {other} could to"),
    ]

    # A verb phrase may be left out after an auxiliary only.
    return framed(w, w.pick((matched, matched, polar, stranded)), that_only=True)


@phenomenon()
def gapping(w: Words) -> Paradigm:
    """Leave the second verb of a coordination out, or more than that."""
    (one, other), thinker, think = w.somebody(2), w.name(), w.verb("think").past
    action = w.strict_action()
    verb, object_ = action.verb.past, f"the {action.object.sg}"
    gap = f"the {w.noun(w.pick(('edible', 'animal'))).sg}"
    link = w.pick(("because", "although", "before", "after"))

    # The second verb may be left out where both clauses are coordinated, not where one is
    # subordinate.
    return framed(
        w,
        [
            good(f"{one} {verb} {object_}, and {other} {gap}"),
            good(f"{one} {verb} {object_} {link} {other} {verb} {gap}"),
            good(f"{one} {verb} {object_}, and {thinker} {think} that {other} {verb} {gap}"),
            bad(f"{one} {verb} {object_} {link} {other} {gap}"),
            bad(f"{one} {verb} {object_}, and {thinker} {think} that {other} {gap}"),
        ],
        that_only=True,
    )
