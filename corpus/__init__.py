"""CoLA's file format, and a small acceptability corpus of our own with the grammar that writes it.

format.py                 reads, writes and checks CoLA's three files
words.py, lexicon.py      the words, and how they are inflected and drawn
grammar.py                what a phenomenon is
agreement.py, arguments.py, clauses.py, meaning.py, movement.py, unseen.py    the phenomena
generate.py               writes the three files of the corpus
pretext.py                further sentences, for the pretext task of training
"""
