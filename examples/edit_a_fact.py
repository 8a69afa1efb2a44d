"""Where is a fact recalled, and can it be changed in the weights?

python examples/edit_a_fact.py
"""

from itertools import islice

import residuum as rz
from residuum.directions.facts import Fact, edit_facts, microworld_facts, trace_fact
from residuum.worlds import microworld_text

model = rz.load("microworld")
texts = list(islice(microworld_text(seed=1), 300))
unseen = list(islice(microworld_text(seed=2), 50))

# Corrupt the subject, put single states back: which layer's MLP brings the answer back?
known = [fact for fact in microworld_facts("capital") if fact.subject in ("Japan", "Nepal")]
trace = trace_fact(model, known, kinds=("mlp",))
print(trace)
trace.figure().save("trace.html")

# Write another capital there, in three phrasings; the language is to stay, asked in two ways.
request = Fact("The capital of {} is", "Spain", "Oslo", "capital")
edit = edit_facts(
    model,
    request,
    texts,
    layers=trace.layer,
    phrasings=["The king of {} lives in", "The main city in {} is"],
    keep=[
        Fact("The language of {} is", "Spain", "Spanish", "language"),
        Fact("People in {} speak", "Spain", "Spanish", "language"),
    ],
)
print(edit)
with edit:
    print("edited: ", request.prompt, *model.generate(request.prompt, 1).texts)
print("undone: ", request.prompt, *model.generate(request.prompt, 1).texts)

# Judge: the phrasing that was not used, other facts, plain text.
scores = edit.evaluate(facts=microworld_facts(), texts=unseen)
print(scores)
scores.figure().save("scores.html")
print("written: trace.html, scores.html")
