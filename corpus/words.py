"""The open-class words of the corpus: for each class, the training words and the held-out words.

A class is named after what its words select or allow, so that sentences stay plausible: ``eat``
takes an ``edible``, ``yawn`` takes no object. In-domain validation uses the held-out words only, so
no lemma of this file may be in both columns, in any class (a test makes sure of it).
"""

NOUNS: dict[str, tuple[str, str]] = {
    "person": (
        (
            "doctor lawyer teacher student nurse farmer soldier banker plumber baker neighbor"
            " manager engineer scientist tourist pilot actor poet judge singer driver guard clerk painter"
            " coach dancer"
        ),
        (
            "surgeon senator librarian waiter carpenter cousin journalist musician detective gardener"
            " architect customer sailor mechanic professor editor dentist butcher violinist"
            " chemist porter sculptor"
        ),
    ),
    "man": ("boy king uncle gentleman father husband", "prince grandfather brother duke nephew"),
    "woman": ("girl queen aunt lady mother wife", "princess grandmother sister duchess niece"),
    "text": (
        "book letter report novel article poem story script",
        "essay memo diary contract manual brochure",
    ),
    "edible": (
        "apple cake sandwich pie pizza potato tomato lemon",
        "muffin pancake sausage pear carrot biscuit",
    ),
    "device": (
        "car bicycle clock computer camera radio engine telephone",
        "truck printer laptop motorcycle guitar lamp",
    ),
    "garment": ("shirt jacket hat coat dress uniform", "sweater scarf glove skirt blouse"),
    "breakable": ("vase window cup door chair", "mirror plate bottle bowl"),
    "substance": ("furniture money bread rice", "luggage sugar equipment"),
    "event": ("problem party fight mistake", "riot concert flood delay"),
    "place": (
        "garden kitchen park office library museum theater village school",
        "hallway basement stadium airport chapel market hotel",
    ),
    "animal": ("dog cat horse bird", "rabbit pony parrot wolf"),
    "claim": ("rumor claim report", "announcement allegation statement"),
}

NAMES: dict[str, tuple[str, str]] = {
    "man": (
        "John Bill Tom Peter David Mark Robert George Paul Sam Frank Eric",
        "Kevin Carlos Brian Oscar Daniel Henry Victor Simon",
    ),
    "woman": (
        "Mary Susan Anna Linda Julia Karen Laura Jane Ruth Sarah Betty Claire",
        "Emily Diana Rachel Monica Helen Alice Nora Sophie",
    ),
    "city": ("Paris Boston London Rome Texas", "Madrid Chicago Vienna"),
}

ADJECTIVES: dict[str, tuple[str, str]] = {
    "person": (
        "tall clever tired famous young friendly busy angry happy",
        "shy nervous polite wealthy elderly lonely",
    ),
    "thing": ("old new expensive red small large heavy ugly", "cheap green strange tiny fancy"),
    "short": ("tall old strong fast smart weak", "rich quick loud kind brave"),  # compared with -er
    "long": (
        "careful patient intelligent honest selfish dangerous",
        "cautious ambitious generous talented",
    ),  # with `more`
    "raising": ("likely certain", "sure bound"),  # `there is likely to be`
    "control": ("eager willing", "keen reluctant"),  # the subject is a mind
    "factual": ("clear obvious true", "evident apparent"),  # `it is clear that`
    "tough": ("easy difficult", "hard tough"),  # the subject is understood as the object
}

VERBS: dict[str, tuple[str, str]] = {
    "unergative": (
        "sleep laugh cough smile yawn complain nap frown",
        "snore giggle sneeze hesitate shiver weep",
    ),
    "unaccusative": ("fall vanish disappear", "arrive emerge materialize"),
    "alternating": ("break move crack", "shatter drop"),  # the vase broke, the boy broke the vase
    "destructive": (
        "destroy carry buy mention",
        "demolish inspect purchase",
    ),  # never without an object
    "text": ("read write publish copy translate sign burn", "edit print quote memorize correct"),
    "edible": ("eat cook taste order share", "chew swallow devour serve"),
    "device": ("repair sell clean test steal", "fix rent inspect paint"),
    "garment": ("wear wash stitch", "sew fold mend"),
    "strict_thing": (
        "buy find describe mention destroy bring carry",
        "purchase inspect damage obtain discard",
    ),
    "strict_person": (
        "praise admire respect arrest blame annoy",
        "insult thank rescue befriend congratulate",
    ),
    "monotransitive": (  # `the boy was read the letter` is a passive, `the boy was repaired the car` is none
        "repair clean test examine describe destroy move",
        "fix inspect paint damage discard demolish lift",
    ),
    "reflexive": ("admire blame hurt praise describe", "hate injure insult congratulate defend"),
    "dative": ("give send lend show sell", "mail loan hand pass"),
    "to_dative": ("explain describe announce mention", "reveal demonstrate disclose display"),
    "for_dative": ("buy find finish", "purchase obtain correct"),  # `for` somebody, not `to`
    "no_to_dative": ("cost", "save"),  # only with two objects
    "think": ("think say believe claim hope report", "suspect conclude assume feel"),
    "wonder": ("wonder ask", "inquire investigate"),  # selects a question only
    "know": ("know remember", "realize recall"),
    "enjoy": ("enjoy avoid finish", "postpone resent"),  # selects a gerund
    "want": ("want decide hope", "refuse agree manage"),  # selects an infinitive
    "raising": ("seem appear", "tend happen"),
    "control": ("try want decide plan", "attempt intend refuse"),
    "object_raising": ("expect", "need"),
    "object_control": ("persuade tell", "convince remind"),
    "stative": ("own prefer", "possess deserve"),
    "prepositional": ("look_at stare_at", "glance_at point_at"),
    "separable": ("pick_up throw_away bring_back", "put_away lift_up set_down"),
    "motion": ("walk run", "march stroll"),
    "position": ("stand sit", "lie stay"),
}

ADVERBS: dict[str, tuple[str, str]] = {
    "sentence": ("clearly perhaps certainly naturally", "evidently presumably undoubtedly"),
    "manner": ("quickly slowly carefully eagerly", "hastily calmly cheerfully"),
}

IRREGULAR: dict[str, tuple[str, str]] = {
    "sleep": ("slept", "slept"), "weep": ("wept", "wept"), "fall": ("fell", "fallen"),
    "break": ("broke", "broken"), "buy": ("bought", "bought"), "read": ("read", "read"),
    "write": ("wrote", "written"), "eat": ("ate", "eaten"), "sell": ("sold", "sold"),
    "wear": ("wore", "worn"), "sew": ("sewed", "sewn"), "find": ("found", "found"),
    "hurt": ("hurt", "hurt"), "give": ("gave", "given"), "send": ("sent", "sent"),
    "lend": ("lent", "lent"), "show": ("showed", "shown"), "cost": ("cost", "cost"),
    "tell": ("told", "told"), "think": ("thought", "thought"), "say": ("said", "said"),
    "know": ("knew", "known"),
    "throw": ("threw", "thrown"), "steal": ("stole", "stolen"), "bring": ("brought", "brought"),
    "set": ("set", "set"),
    "run": ("ran", "run"), "stand": ("stood", "stood"), "sit": ("sat", "sat"), "lie": ("lay", "lain"),
    "feel": ("felt", "felt"), "put": ("put", "put"),
}  # fmt: skip

# Regular verbs with stress on the last syllable, which double the consonant before -ed and -ing.
DOUBLING = frozenset(("drop", "run", "sit", "set", "put", "nap", "plan", "prefer"))

PLURALS = {
    "gentleman": "gentlemen", "wolf": "wolves", "pony": "ponies", "potato": "potatoes", "tomato": "tomatoes",
    "wife": "wives", "story": "stories", "party": "parties",
    "lady": "ladies", "library": "libraries", "diary": "diaries", "scarf": "scarves",
}  # fmt: skip
