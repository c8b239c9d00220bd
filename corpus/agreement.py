"""Phenomena of agreement, binding and case. Reads and writes nothing."""

from corpus.grammar import Paradigm, bad, framed, good, phenomenon
from corpus.lexicon import Words

NOMINATIVE_ACCUSATIVE = (("he", "him"), ("she", "her"), ("they", "them"), ("I", "me"), ("we", "us"))


def finite_pair(w: Words) -> tuple[str, str]:
    """Draw a predicate with its singular and its plural verb."""
    verb, adjective, place = (w.verb("unergative"), w.adjective("person"), w.noun("place").sg)
    action = w.action()
    while action.verb.base == action.verb.past:  # `the judge read` is fine, as past tense
        action = w.action()
    singular, plural = w.pick(
        (
            (verb.s, verb.base),
            (action.verb.s, action.verb.base),
            (f"is {adjective}", f"are {adjective}"),
            (f"was {verb.ing}", f"were {verb.ing}"),
            (f"has {verb.participle}", f"have {verb.participle}"),
            (f"doesn't {verb.base}", f"don't {verb.base}"),
        )
    )
    if singular == action.verb.s:
        tail = f" the {action.object.sg}"
    else:
        tail = "" if adjective in singular else w.pick(("", f" in the {place}"))

    return singular + tail, plural + tail


def crossed(w: Words, singular: str, plural: str) -> Paradigm:
    """Cross both subjects with both verbs."""
    one, many = finite_pair(w)
    return [
        good(f"{singular} {one}"),
        good(f"{plural} {many}"),
        bad(f"{singular} {many}"),
        bad(f"{plural} {one}"),
    ]


@phenomenon()
def subject_verb_agreement(w: Words) -> Paradigm:
    """Cross singular and plural subjects with singular and plural verbs."""
    one, other = w.nouns("person", 2)
    adjective = w.adjective("person") + " " if w.chance(0.4) else ""
    subjects = w.pick(
        (
            (f"the {adjective}{one.sg}", f"the {adjective}{one.pl}"),
            (f"this {adjective}{one.sg}", f"some {adjective}{one.pl}"),
            (f"the {one.sg}", f"the {one.sg} and the {other.sg}"),
            (f"every {adjective}{one.sg}", f"many {adjective}{one.pl}"),
        )
    )

    # The verb has the number of its subject, whatever form the noun phrase takes: a coordination
    # of two singulars is plural.
    return framed(w, crossed(w, *subjects))


@phenomenon()
def agreement_attractor(w: Words) -> Paradigm:
    """Put a noun of the other number between a subject and its verb."""
    head, near = w.nouns("person", 2)
    verb = w.verb("strict_person").past
    template = w.pick(
        (
            "the {} " + w.pick(("near", "behind", "next to")) + " the {}",
            f"the {{}} who {verb} the {{}}",
            f"the {{}} that the {{}} {verb}",
            "the {} from the same city as the {}",
        )
    )

    # The verb agrees with the head of its subject; the nearer noun of the other number is what
    # misleads speakers and models alike (Bock and Miller 1991).
    return framed(
        w, crossed(w, template.format(head.sg, near.pl), template.format(head.pl, near.sg))
    )


@phenomenon()
def determiner_noun_agreement(w: Words) -> Paradigm:
    """Cross determiners and nouns of both numbers."""
    action = w.action()
    one = w.pick(("this", "that", "every", "each", "another", "one"))
    many = w.pick(("these", "those", "several", "many", "two", "both"))
    adjective = w.adjective("thing") + " " if w.chance(0.4) else ""
    template = w.pick(
        (
            f"{w.anyone()} {action.verb.past} {{}} {adjective}{{}}",
            f"{w.anyone()} {action.verb.past} {{}} {adjective}{{}} in the {w.noun('place').sg}",
            f"{{}} {adjective}{{}} disappointed {w.anyone()}",
        )
    )
    noun = action.object

    # Each determiner takes nouns of one number only.
    return framed(
        w,
        [
            good(template.format(one, noun.sg)),
            good(template.format(many, noun.pl)),
            bad(template.format(one, noun.pl)),
            bad(template.format(many, noun.sg)),
        ],
    )


def reflexive_subjects(w: Words) -> list[tuple[str, str, str]]:
    """Return subjects, most with a distractor, each with a reflexive that it binds and another."""
    man, woman = w.noun("man"), w.noun("woman")
    he, she = w.names("man", 1)[0], w.names("woman", 1)[0]
    verb, think = w.verb("strict_person").past, w.verb("think").past
    near = w.pick(("near", "behind"))

    # The head of the subject binds, neither the noun inside it nor the subject of another clause
    # (principle A: Chomsky 1981).
    return [
        (f"the {man.sg} {near} the {woman.sg}", "himself", "herself"),
        (f"the {woman.sg} {near} the {man.sg}", "herself", "himself"),
        (f"the {man.sg} who {verb} {she}", "himself", "herself"),
        (f"the {woman.sg} who {verb} {he}", "herself", "himself"),
        (f"{he} {think} that {she}", "herself", "himself"),
        (f"{she} {think} that the {man.sg}", "himself", "herself"),
        (f"the {man.pl} {near} the {woman.sg}", "themselves", "herself"),
        (f"the {woman.sg} {near} the {man.pl}", "herself", "themselves"),
        (he, "himself", "herself"),
        (f"the {woman.sg}", "herself", "themselves"),
        (f"the {woman.pl}", "themselves", "herself"),
    ]


@phenomenon()
def reflexive_binding(w: Words) -> Paradigm:
    """Bind a reflexive to a subject that agrees with it, or to one that does not."""
    verb = w.verb("reflexive").past
    subject, bound, free = w.pick(reflexive_subjects(w))
    paradigm = [good(f"{subject} {verb} {bound}"), bad(f"{subject} {verb} {free}")]
    if w.chance(0.3):  # a reflexive is no subject
        name, pronoun = w.pick(((w.names("man", 1)[0], "he"), (w.names("woman", 1)[0], "she")))
        think, adjective = w.verb("think").past, w.adjective("person")
        reflexive = "himself" if pronoun == "he" else "herself"
        paradigm = [
            good(f"{name} {think} that {pronoun} was {adjective}"),
            bad(f"{name} {think} that {reflexive} was {adjective}"),
        ]

    return framed(w, paradigm)


@phenomenon()
def pronoun_case(w: Words) -> Paradigm:
    """Put nominative and accusative pronouns where the other case belongs."""
    subject, object_ = w.pick(NOMINATIVE_ACCUSATIVE)
    be = "were" if subject in ("they", "we") else "was"
    adjective, verb, act = (
        w.adjective("person"),
        w.verb("unergative"),
        w.verb("strict_person").past,
    )
    someone, think = w.anyone(), w.verb("think").past
    nominative = w.pick(
        (
            f"{{}} {verb.past} in the {w.noun('place').sg}",
            f"{{}} {act} {someone}",
            f"{someone} {think} {{}} {be} {adjective}",
            f"{someone} {verb.past} because {{}} {act} {w.name()}",
        )
    )
    accusative = w.pick(
        (
            f"{someone} {act} {{}} in the {w.noun('place').sg}",
            f"{someone} considered {{}} {adjective}",
            f"{someone} made {{}} {verb.base}",
            f"{someone} {verb.past} without {{}}",
            f"it was important for {{}} to {verb.base}",
        )
    )

    # English has kept case in pronouns only: nominative for the subject of a finite clause,
    # accusative everywhere else.
    return framed(
        w,
        [
            good(nominative.format(subject)),
            good(accusative.format(object_)),
            bad(nominative.format(object_)),
            bad(accusative.format(subject)),
        ],
    )
