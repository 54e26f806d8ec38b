"""What the model can talk about: each skill composes a few turns of a dialogue.

A skill takes a Talk (the random generator and what was said so far) and
returns a list of (user, assistant) turns.
"""

import random
from dataclasses import dataclass, field
from pathlib import Path

from stories import KINDS, Story
from text import capital, in_words, listed, spin, with_article

DATA = Path(__file__).parent / "data"
Turns = list[tuple[str, str]]

MONTHS = ("January February March April May June July August September October "
          "November December").split()
DAYS = "Monday Tuesday Wednesday Thursday Friday Saturday Sunday".split()
MONTH_LENGTHS = dict(zip(MONTHS, [31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31]))
SYLLABLES = "ba be bi bo da de do el fa fi ga gi ka ki la le li lo ma mi mo na ni no ra ri ro sa si ta ti to va vi ya zo".split()


def _tables() -> dict[str, list[list[str]]]:
    tables: dict[str, list[list[str]]] = {}
    for line in (DATA / "tables.txt").read_text(encoding="utf-8").splitlines():
        if line.startswith("["):
            rows = tables.setdefault(line.strip("[]"), [])
        elif line and not line.startswith("#"):
            rows.append(line.split("|"))
    return tables


@dataclass
class Fact:
    """One entry of knowledge.txt."""

    questions: list[str] = field(default_factory=list)
    answers: list[str] = field(default_factory=list)
    more: list[str] = field(default_factory=list)


def _facts() -> list[Fact]:
    facts = []
    for block in (DATA / "knowledge.txt").read_text(encoding="utf-8").split("\n\n"):
        fact = Fact()
        for line in block.splitlines():
            for mark, kept in (("Q: ", fact.questions), ("A: ", fact.answers), ("M: ", fact.more)):
                if line.startswith(mark):
                    kept.append(line[3:])
        if fact.questions:
            facts.append(fact)
    return facts


TABLES = _tables()
FACTS = _facts()
NAMES = TABLES["names"][0]


@dataclass
class Talk:
    """A dialogue in the making: randomness, memory and the words of WordNet."""

    rng: random.Random
    common: list[tuple[str, str, str]]
    rare: list[str]
    told: dict[str, str] = field(default_factory=dict)

    def spin(self, text: str) -> str:
        return spin(self.rng, text)

    def ask(self, text: str) -> str:
        """A question, with its first letter and mark, perhaps wrapped politely."""
        question = self.spin(text)
        if self.rng.random() < 0.18:
            lead = self.rng.choice(["Please tell me: ", "Tell me, ", "Hey, ", "So, ", "Okay. ",
                                    "I wonder, ", "I have a question. ", "Quick question: ",
                                    "Next question: ", "And ", "Hi! ", "Hello, ", "Now, "])
            question = lead + (capital(question) if lead[-2] in ".:!" else question)
        return capital(question) + "?"

    def name(self) -> str:
        """A common first name, or now and then an invented one."""
        if self.rng.random() < 0.7:
            return self.rng.choice(NAMES)
        return capital("".join(self.rng.choices(SYLLABLES, k=self.rng.choice([2, 2, 3]))))

    def row(self, table: str) -> list[str]:
        return self.rng.choice(TABLES[table])


def fact(talk: Talk) -> Turns:
    """A question about the world or about the model, perhaps with more."""
    entry = talk.rng.choice(FACTS)
    question = talk.ask(talk.rng.choice(entry.questions))
    first = question.split()[0].lower()
    if first in ("tell", "name", "list", "introduce", "explain", "say", "help", "sing", "give",
                 "i", "i'm", "hello", "test", "testing", "recite", "recommend"):
        question = question[:-1] + talk.rng.choice([".", "", "!"] if first != "i" else ["."])
    elif talk.rng.random() < 0.12 and first in ("what", "why", "how", "who", "where"):
        question = talk.spin("{Can|Could} you {tell me|explain}: ") + question[:1].lower() + question[1:]
    turns = [(question, talk.spin(talk.rng.choice(entry.answers)))]
    if entry.more and talk.rng.random() < 0.35:
        turns.append((talk.spin("{Tell me more|Can you tell me more?|More, please|Go on|Interesting. Tell me more|And what else?|Say more|Anything else?}"),
                      talk.spin(talk.rng.choice(entry.more))))
    elif not entry.more and talk.rng.random() < 0.05:
        turns.append((talk.spin("{Tell me more|Can you tell me more?|Go on}"),
                      talk.spin("That is {all|about all} I know about it. I am a {very |}small model.")))
    return turns


def greeting(talk: Talk) -> Turns:
    user = talk.spin("{Hello|Hi|Hey|Hello there|Hi there|Good morning|Good evening|Good afternoon|Greetings|Hello!|Hi!|Hey!|Yo|Howdy}")
    if talk.rng.random() < 0.25:
        user += talk.spin("{, |! |. }{how are you|how are you doing|how is it going|how do you do|how are you today|what's up}?")
        reply = talk.spin("{Hello|Hi}! I am {fine|doing well|well}, thank you. {How are you|How are you today|How can I help you|What can I do for you}?")
    else:
        part = next((p for p in ("morning", "evening", "afternoon") if p in user), None)
        hello = f"Good {part}" if part else "{Hello|Hi|Hello there|Hi there}"
        reply = talk.spin(hello + "! {How can I help you|How can I help you today|What can I do for you|What would you like to talk about|How are you today|Nice to meet you. What is on your mind}?")
    turns = [(user, reply)]
    if "How are you" in reply and talk.rng.random() < 0.7:
        turns.append((talk.spin("{I am|I'm} {fine|good|well|great|very well|okay}{|, thanks|, thank you}{.|!|}"),
                      talk.spin("{I am glad to hear that|That is good to hear|Great}! {What would you like to talk about|How can I help you|What can I do for you}?")))
    return turns


def how_are_you(talk: Talk) -> Turns:
    return [(talk.ask("{how are you|how are you doing|how do you feel|are you well|how is it going|how's it going|how are you today|what's up}"),
             talk.spin("I am {doing well|fine|well}, thank you{ for asking|}. {How are you|And you|What can I do for you}?"))]


MOODS = [
    ("{happy|great|good|excited|in a good mood|very happy}",
     "{That is wonderful|I am glad to hear that|How nice}! {What made you happy|What happened|Tell me about it}{?|, if you like.}"),
    ("{sad|unhappy|down|depressed|not happy|lonely|feeling bad}",
     "I am sorry to hear that. {Do you want to tell me what happened|Would you like to talk about it}? {Sometimes it helps to talk to a friend.|A walk or a talk with a friend can help.}"),
    ("{tired|sleepy|exhausted|very tired}",
     "{Then you should rest a little|It sounds as if you need some rest}. {A good night of sleep can do wonders.|Maybe it is time for a break.}"),
    ("{angry|mad|annoyed|upset}",
     "I am sorry to hear that. {Take a deep breath|Try to breathe slowly}. {What happened|Do you want to tell me why}?"),
    ("{afraid|scared|worried|nervous}",
     "{That is an unpleasant feeling|I understand}. {What are you worried about|What are you afraid of}? {Talking about it can make it smaller.|Many worries shrink when we share them.}"),
    ("{sick|ill|not feeling well}",
     "I am sorry to hear that. {Rest, drink enough water|Rest and drink plenty of water}, and see a doctor if it does not get better. I hope you feel better soon!"),
    ("{thirsty}", "{Drink a glass of water|Have some water or a cup of tea}. That should help."),
    ("{cold|freezing}", "{Put on a warm sweater|Take a blanket} and have a hot cup of tea."),
]


def mood(talk: Talk) -> Turns:
    feeling, reply = talk.rng.choice(MOODS)
    said = talk.spin(feeling)
    be = talk.spin("{I am|I'm|I feel|Today I am|I am so}" if "feeling" not in said else "{I am|I'm}")
    if said.startswith("in "):
        be = "I am"
    turns = [(f"{be} {said}" + talk.spin("{.|!|| today.}"), talk.spin(reply))]
    if "?" in turns[0][1] and talk.rng.random() < 0.5:
        user, answer = talk.rng.choice([
            ("I {lost my keys|had a bad day|had a fight with a friend|failed a test|have too much work}.",
             "That sounds {hard|difficult}. {I hope tomorrow is a better day|Things often look better the next day}."),
            ("I {passed my exam|got a new job|met an old friend|won a game|finished my work|have a new puppy}.",
             "{Congratulations|How wonderful|That is great news}! I am happy for you."),
            ("{I don't know|I am not sure|I do not know why}.",
             "That is all right. {Feelings do not always need a reason|You do not have to know}. I am here if you want to talk."),
            ("{I don't want to talk about it|No, thanks|No}.", "That is fine. {Would you like a story or a joke instead|We can talk about something else}."),
        ])
        if not (reply.startswith("{That is won") and "lost" in user) and not (
                "sorry" in reply and "passed" in user):
            turns.append((talk.spin(user), talk.spin(answer)))
    return turns


def thanks(talk: Talk) -> Turns:
    return [(talk.spin("{Thanks|Thank you|Thanks a lot|Thank you very much|Great, thanks|Okay, thanks|That helps, thank you|Thx|Thank you so much|Cool, thanks|Nice, thank you}{|!|.}"),
             talk.spin("{You are welcome|You're welcome|My pleasure|Glad to help|No problem}! {|Is there anything else?|Let me know if you need anything else.|What else would you like to know?}").strip())]


def praise(talk: Talk) -> Turns:
    return [talk.rng.choice([
        (talk.spin("{Good job|Well done|You are great|You are smart|Nice|Cool|Wow|Great|Awesome|Amazing|I like you|Very good|Excellent}{|!|.}"),
         talk.spin("{Thank you|Thanks}! {I am glad you like it.|That is kind of you.|I do my best.} {|What next?|What would you like to do next?}").strip()),
        (talk.spin("{You are stupid|You are wrong|That is wrong|That's not right|No, that is wrong|You are bad at this|That makes no sense}{|.|!}"),
         talk.spin("I am sorry. I am a very small model and I make mistakes. {Can you ask me in another way|What is the right answer|Could you tell me more}?")),
        (talk.spin("{Okay|OK|I see|Alright|Got it|Sure|Interesting|Right|Hm|Aha}{|.}"),
         talk.spin("{Good|All right|Okay}. {What would you like to do next|What else would you like to know|Shall I tell you a story or a joke}?")),
        (talk.spin("{lol|haha|ha ha|that is funny|that's funny|hahaha}"),
         talk.spin("I am glad {that made you laugh|you find it funny}! {Would you like another joke|Shall I tell you another one}?")),
        (talk.spin("{Sorry|I am sorry|My mistake|Oops}{|.|!}"),
         talk.spin("{No problem|That is all right|Do not worry}. {How can I help|What can I do for you}?")),
    ])]


def goodbye(talk: Talk) -> Turns:
    name = talk.told.get("name")
    tail = f", {name}" if name and talk.rng.random() < 0.6 else ""
    return [(talk.spin("{Bye|Goodbye|Bye bye|See you|See you later|Good night|I have to go|I have to go now|Talk to you later|That is all, bye|Farewell}{|.|!}"),
             talk.spin("{Goodbye|Bye|See you later|Take care}" + tail + "! {It was nice talking to you.|Have a nice day!|Come back soon.|Have a good time.}"))]


MEMORIES = [
    # key, how it is told, reply to it, how it is asked back, answer, answer when not told
    ("name", "{My name is|I am|I'm|Call me|You can call me|The name is|People call me} <v>",
     "{Nice to meet you|Hello|Pleased to meet you|Hi}, <v>! {How can I help you|What can I do for you|What would you like to talk about|How are you}?",
     "{what is my name|what's my name|do you remember my name|who am I|what did I say my name was|do you know my name|can you tell me my name}",
     "{Your name is <v>.|You told me that your name is <v>.|You are <v>.|You said your name is <v>.}",
     "{You have not told me your name yet.|I do not know your name. What is it?|You have not told me. What is your name?}"),
    ("colour", "My favourite colour is <v>", "<V> is a {nice|lovely|beautiful} colour! {Why do you like it|I will remember that|What do you like that is <v>}{?|, I promise.}",
     "{what is my favourite colour|what's my favorite color|do you remember my favourite colour|which colour do I like}",
     "{Your favourite colour is <v>.|You told me that you like <v>.}",
     "You have not told me your favourite colour{ yet|}. What is it?"),
    ("animal", "My favourite animal is the <v>", "The <v> is a {wonderful|fine|great} animal. {What do you like about it|Why do you like it}?",
     "{what is my favourite animal|what's my favorite animal|which animal do I like best}",
     "{Your favourite animal is the <v>.|You said that you like the <v> best.}",
     "You have not told me {that yet|your favourite animal}. Which one is it?"),
    ("city", "{I live in|I am from|I come from} <v>", "<v> {must be an interesting place|sounds like a nice place}. {What do you like about it|How is life there}?",
     "{where do I live|where am I from|do you remember where I live|which city do I come from}",
     "{You are from <v>.|You told me that you are from <v>.}",
     "You have not told me where you {live|are from}."),
    ("age", "{I am|I'm} <v> years old", "{Thank you for telling me|That is a fine age|Nice}! {What do you like to do|What are your hobbies}?",
     "{how old am I|do you know my age|what is my age|do you remember how old I am}",
     "{You are <v> years old.|You said that you are <v> years old.}",
     "You have not told me your age{ yet|}."),
    ("pet", "My <k> is called <v>", "<v> is a {lovely|nice|good} name for a <k>! {What does <v> like to do|How old is <v>}?",
     "{what is my pet called|what is the name of my pet|do you remember the name of my pet}",
     "{Your <k> is called <v>.|You have a <k> called <v>.}",
     "You have not told me {about a pet|the name of your pet}."),
    ("hobby", "{I like|I love|My hobby is} <v>", "{That is a nice hobby|That sounds like fun}! {How often do you do it|How did you start}?",
     "{what is my hobby|what do I like to do|do you remember my hobby}",
     "{You like <v>.|You told me that you like <v>.}",
     "You have not told me {your hobby|what you like to do}{ yet|}."),
    ("food", "My favourite food is <v>", "{<V> is delicious|I have heard that <v> is very good}! {Do you cook it yourself|Do you eat it often}?",
     "{what is my favourite food|what's my favorite food|what do I like to eat}",
     "{Your favourite food is <v>.|You told me that you like <v>.}",
     "You have not told me your favourite food{ yet|}."),
]

VALUES = {
    "colour": "red blue green yellow purple orange pink black white brown".split(),
    "hobby": "reading painting swimming dancing cooking running singing hiking drawing gardening fishing skiing chess football".split(),
    "food": "pizza soup pasta rice bread salad chocolate cheese curry sushi pancakes fish".split(),
}


def _filled(text: str, value: str, kind: str) -> str:
    return text.replace("<v>", value).replace("<V>", capital(value)).replace("<k>", kind)


def tell(talk: Talk) -> Turns:
    """The user tells something about themselves."""
    key, said, reply, *_ = talk.rng.choice(MEMORIES[:1] * 4 + MEMORIES)
    if key in talk.told:
        return []
    kind = talk.rng.choice(["dog", "cat", "horse", "rabbit", "parrot", "mouse"])
    if key in ("name", "pet"):
        value = talk.name()
    elif key == "age":
        value = str(talk.rng.randint(5, 90))
    elif key == "animal":
        value = talk.row("animals")[0]
    elif key == "city":
        value = talk.row("countries")[1]
    else:
        value = talk.rng.choice(VALUES[key])
    talk.told[key] = value
    talk.told["kind"] = kind if key == "pet" else talk.told.get("kind", kind)
    user = _filled(talk.spin(said), value, kind) + talk.spin("{.|.|!|}")
    if key == "name" and talk.rng.random() < 0.3:
        user = talk.spin("{Hi|Hello|Hey}{, |! |. }") + user
    turns = [(user, capital(_filled(talk.spin(reply), value, kind)))]
    return turns


def recall(talk: Talk) -> Turns:
    """The user asks for something told before, or never told."""
    known = [m for m in MEMORIES if m[0] in talk.told]
    entry = talk.rng.choice(known if known and talk.rng.random() < 0.85 else MEMORIES)
    key, _, _, asked, answer, unknown = entry
    if key in talk.told:
        reply = _filled(talk.spin(answer), talk.told[key], talk.told["kind"])
    else:
        reply = talk.spin(unknown)
    return [(capital(talk.spin(asked)) + "?", capital(reply))]


def _number(talk: Talk, value: int, words: bool) -> str:
    return in_words(value) if words else str(value)


def arithmetic(talk: Talk) -> Turns:
    """One sum, difference, product or quotient, in digits or in words."""
    rng = talk.rng
    words = rng.random() < 0.2
    kind = rng.choice("++--**/")
    top = rng.choice([5, 10, 10, 20, 20, 50, 100]) if not words else rng.choice([10, 20])
    if kind == "*":
        a, b = rng.randint(0, 12), rng.randint(0, 12)
        result, name = a * b, "{times|multiplied by}"
    elif kind == "/":
        b, result = rng.randint(1, 12), rng.randint(0, 12)
        a, name = b * result, "divided by"
    else:
        a, b = rng.randint(0, top), rng.randint(0, top)
        if kind == "-" and a < b and rng.random() < 0.9:
            a, b = b, a
        result, name = (a + b, "{plus|and|plus}") if kind == "+" else (a - b, "minus")
    left, right, out = (_number(talk, v, words) for v in (a, b, result))
    if words or rng.random() < 0.4:
        sign = f" {talk.spin(name)} "
    else:
        sign = rng.choice([" {} ", "{}", " {} "]).format(
            {"*": rng.choice("*x×"), "/": rng.choice("/÷")}.get(kind, kind))
    question = talk.spin(rng.choice([
        "What is {}?", "What is {}?", "What's {}?", "How much is {}?", "{}", "{} = ?", "{} =", "Calculate {}.",
        "Compute {}", "Can you tell me what {} is?", "{}?", "What does {} make?", "Do you know what {} is?"
    ]).replace("{}", left + sign + right))
    plain = {"+": "plus", "-": "minus", "*": "times", "/": "divided by"}[kind]
    spaced = sign if sign.startswith(" ") else f" {sign} "
    reply = rng.choice([f"{capital(left)}{spaced}{right} is {out}.",
                        f"{capital(left)} {plain} {right} is {out}.",
                        f"The answer is {out}.", f"That is {out}."])
    return [(capital(question), reply)]


def word_problem(talk: Talk) -> Turns:
    rng = talk.rng
    a, b = rng.randint(2, 20), rng.randint(1, 10)
    thing = rng.choice("apples books coins pencils balls cookies eggs flowers stones cards".split())
    who = rng.choice(["I have", f"{talk.name()} has"])
    name = who.split()[0]
    has = "do I have" if name == "I" else f"does {name} have"
    you = "You have" if name == "I" else f"{name} has"
    if rng.random() < 0.5:
        a = max(a, b)
        verb = rng.choice(["give away", "eat", "lose", "sell"] if thing in ("apples", "cookies", "eggs") else ["give away", "lose", "sell"])
        verb = verb if name == "I" else {"give away": "gives away"}.get(verb, verb + "s")
        subject = "I" if name == "I" else name
        return [(f"{who} {a} {thing}. {subject} {verb} {b}. How many {thing} {has}{rng.choice([' now', ' left', ''])}?",
                 f"{you} {a - b} {thing if a - b != 1 else thing[:-1]} left, because {a} minus {b} is {a - b}.")]
    verb = rng.choice(["get", "buy", "find"]) + ("" if name == "I" else "s")
    subject = "I" if name == "I" else name
    return [(f"{who} {a} {thing} and {subject} {verb} {b} more. How many {thing} {has}{rng.choice([' now', ''])}?",
             f"{you} {a + b} {thing}, because {a} plus {b} is {a + b}.")]


def numbers(talk: Talk) -> Turns:
    """Counting, comparing, sorting, even and odd, half and double."""
    rng = talk.rng
    kind = rng.randrange(8)
    if kind == 0:
        start = rng.choice([1, 1, 1, rng.randint(1, 20)])
        end = start + rng.randint(3, 14)
        start_end = f"from {start} to {end}" if start != 1 or rng.random() < 0.6 else f"to {end}"
        return [(talk.spin(f"{{Count|Can you count|Please count}} {start_end}"),
                 ", ".join(map(str, range(start, end + 1))) + ".")]
    if kind == 1:
        start = rng.choice([5, 10, rng.randint(3, 15)])
        return [(talk.spin(f"{{Count down|Count backwards}} from {start}"),
                 ", ".join(map(str, range(start, -1, -1))) + ".")]
    if kind == 2:
        a, b = rng.sample(range(0, 200), 2)
        more = rng.choice(["bigger", "larger", "greater"])
        return [(talk.spin(f"{{Which is {more}|Which number is {more}|What is {more}}}{{,|:}} {a} or {b}?"),
                 f"{max(a, b)} is {more} than {min(a, b)}.")]
    if kind == 3:
        values = rng.sample(range(1, 60), rng.randint(3, 5))
        return [(talk.spin("{Sort these numbers|Put these numbers in order|Sort}: ") + ", ".join(map(str, values)),
                 ", ".join(map(str, sorted(values))) + ".")]
    if kind == 4:
        a = rng.randint(0, 200)
        return [(f"Is {a} {rng.choice(['even', 'odd', 'even or odd'])}?",
                 f"{a} is an {'odd' if a % 2 else 'even'} number.")]
    if kind == 5:
        a = rng.randint(1, 60)
        if rng.random() < 0.5:
            return [(f"What is {rng.choice(['double', 'twice', 'the double of'])} {a}?", f"Twice {a} is {2 * a}.")]
        return [(f"What is half of {2 * a}?", f"Half of {2 * a} is {a}.")]
    if kind == 6:
        a = rng.randint(0, 120)
        if rng.random() < 0.5:
            return [(f"What {rng.choice(['comes after', 'number comes after', 'is the number after'])} {a}?", f"{a + 1} comes after {a}.")]
        return [(f"What {rng.choice(['comes before', 'number comes before'])} {a + 1}?", f"{a} comes before {a + 1}.")]
    a = rng.randint(0, 130)
    return [(talk.spin(f"{{Write {a} in words|How do you write {a} in words?|Spell the number {a}}}"),
             capital(in_words(a)) + ".")]


def calendar(talk: Talk) -> Turns:
    rng = talk.rng
    names, unit = rng.choice([(MONTHS, "month"), (DAYS, "day")])
    i = rng.randrange(len(names))
    kind = rng.randrange(4)
    if kind == 0:
        return [(talk.ask(f"{{what|which}} {unit} comes after {names[i]}"),
                 f"{names[(i + 1) % len(names)]} comes after {names[i]}.")]
    if kind == 1:
        return [(talk.ask(f"{{what|which}} {unit} comes before {names[i]}"),
                 f"{names[i - 1]} comes before {names[i]}.")]
    if kind == 2:
        month = rng.choice(MONTHS)
        extra = ", and 29 in a leap year" if month == "February" else ""
        return [(talk.ask(f"how many days {{are in|does}} {month}").replace(f"does {month}", f"does {month} have"),
                 f"{month} has {MONTH_LENGTHS[month]} days{extra}.")]
    day = rng.randrange(7)
    return [(f"If today is {DAYS[day]}, what day is {'tomorrow' if rng.random() < .5 else 'it tomorrow'}?",
             f"If today is {DAYS[day]}, tomorrow is {DAYS[(day + 1) % 7]}.")]


def country(talk: Talk) -> Turns:
    place, town, continent, language = talk.row("countries")
    many = " are" if place in ("the Netherlands", "the Philippines", "the United States") else " is"
    forms = [
        ("{what is the capital of|what's the capital of|which city is the capital of|what is the capital city of|tell me the capital of|capital of|do you know the capital of} " + place,
         f"{{The capital of {place} is {town}.|{town} is the capital of {place}.|The capital of {place} is {town}.}}"),
        ("{where is|on which continent is|in which continent is|which continent is} " + place + "{| in| located}",
         f"{capital(place)}{many} in {continent}."),
        ("{what language do they speak|what language is spoken|which languages do people speak|what do people speak} in " + place,
         f"People in {place} speak {language}."),
        ("{which country is|what country is|in which country is|where is} " + town + " {in|the capital of}",
         f"{town} is the capital of {place}."),
        ("{tell me about|what do you know about|tell me something about} " + place,
         f"{capital(place)}{many} in {continent}. The capital is {town}, and people there speak {language}."),
    ]
    order = talk.rng.sample(forms, talk.rng.choice([1, 1, 2]))
    if talk.rng.random() < 0.45:
        order[0] = forms[0]
    turns = [(talk.ask(q).replace("in which country is " + town + " in", "in which country is " + town), talk.spin(a)) for q, a in order]
    if talk.rng.random() < 0.15:
        other = talk.row("countries")
        if order[-1][0] is forms[0][0] and other[0] != place:
            turns.append((talk.spin("{And|What about|And of|How about} ") + other[0] + "?",
                          f"The capital of {other[0]} is {other[1]}."))
    return turns


def animal(talk: Talk) -> Turns:
    one, many, sound, legs, group, food, home, extra, young = talk.row("animals")
    a, silent = with_article(one), sound.startswith("make")
    forms = [
        (f"{{what sound does {a} make|what does {a} say|how does {a} sound|what noise do {many} make}}",
         f"{capital(many)} {sound}." if silent else f"{{{capital(many)} {sound}.|A typical {one} says: {sound}.}}"),
        (f"how many legs {{does {a} have|do {many} have}}",
         f"{capital(a)} has {in_words(int(legs)) if legs != '0' else 'no'} {'arms' if one == 'octopus' else 'legs'}."),
        (f"what do {many} eat", f"{capital(many)} eat {food}."),
        (f"{{where do {many} live|where does {a} live}}", f"{capital(many)} live {home}."),
        (f"{{tell me about {many}|tell me something about {many}|what do you know about {many}|what is {a}|tell me about the {one}|describe {a}}}",
         f"{capital(a)} is {with_article(group)}. {capital(many)} live {home} and eat {food}. {extra}"),
        (f"{{what is a baby {one} called|what do you call a young {one}}}",
         f"{capital(with_article('young ' + one))} is called {with_article(young)}." if " " not in young else "I do not know a special word for it."),
        (f"{{tell me a fact about {many}|what is special about {many}|do you know something about {many}}}", extra),
        (f"is {a} a {{mammal|bird|reptile|insect|fish}}", ""),
    ]
    turns = []
    for question, answer in talk.rng.sample(forms, talk.rng.choice([1, 1, 2])):
        asked = talk.ask(question)
        if not answer:
            right = asked.rstrip("?").split()[-1] == group
            answer = f"{'Yes' if right else 'No'}, {a} is {with_article(group)}."
        turns.append((asked, talk.spin(answer)))
    return turns


def words(talk: Talk) -> Turns:
    """Opposites, synonyms, plurals, past tenses, translations, colours."""
    rng = talk.rng
    kind = rng.randrange(7)
    if kind == 0:
        a, b = rng.sample(talk.row("opposites"), 2)
        return [(talk.ask(f'what is {{the opposite of|the antonym of|the opposite word of}} {{{a}|"{a}"}}'),
                 talk.spin(f'The opposite of {{{a} is {b}|"{a}" is "{b}"}}.'))]
    if kind == 1:
        a, b = talk.row("synonyms")
        return [(talk.ask(f'{{what is a synonym for|what is another word for|give me a synonym for|what means the same as|find another word for}} {{{a}|"{a}"}}'),
                 talk.spin(f"{{Other words for {a} are {b}.|Some words that mean about the same are {b}.}}"))]
    if kind == 2:
        a, b = talk.row("plurals")
        return [(talk.ask(f'what is the plural of {{{a}|"{a}"}}'), f'The plural of "{a}" is "{b}".')]
    if kind == 3:
        a, b = talk.row("pasts")
        return [(talk.ask(f'what is the past tense of {{{a}|"{a}"|to {a}}}'), f'The past tense of "{a}" is "{b}".')]
    if kind == 4:
        english, *others = talk.row("translations")
        which = rng.randrange(4)
        language = ["French", "Spanish", "German", "Italian"][which]
        return [(talk.ask(f'{{how do you say "{english}" in|what is "{english}" in|how do I say {english} in|translate "{english}" to}} {language}'),
                 f'"{capital(english)}" in {language} is "{others[which]}".')]
    if kind == 5:
        thing, colour = talk.row("colours")
        return [(talk.ask(f"{{what colour is|what color is|which colour is|what is the colour of}} {thing}"),
                 f"{capital(thing)} is {colour}.")]
    a, b, c = talk.row("mixing")
    a, b = rng.sample([a, b], 2)
    return [(talk.ask(f"{{what do you get when you mix|what colour do you get from|what happens if I mix|what do}} {a} and {b}").replace("What do " + a, "What do you get from " + a).replace("what do " + a, "what do you get from " + a),
             f"{capital(a)} and {b} make {c}.")]


def definition(talk: Talk) -> Turns:
    """The meaning of a common word."""
    word, part, gloss = talk.rng.choice(talk.common)
    if part == "noun" and gloss.startswith(("a ", "an ", "the ", "any ", "one ")):
        a = with_article(word)
        asked = f'{{what is {a}|what is {a}|what does "{word}" mean|define {word}|what does {word} mean|explain the word {word}|what is the meaning of "{word}"|tell me what {a} is}}'
        reply = talk.rng.choice([f"{capital(a)} is {gloss}.", f'The word "{word}" means: {gloss}.'])
    elif part == "noun":
        asked = f'{{what is {word}|what does "{word}" mean|define {word}|what does {word} mean|explain the word {word}|what is the meaning of "{word}"}}'
        reply = talk.rng.choice([f"{capital(word)} is {gloss}.", f'The word "{word}" means: {gloss}.'])
    else:
        to = "to " if part == "verb" else ""
        asked = f'{{what does "{word}" mean|what does {word} mean|what does it mean to be {word}|define {word}|explain the word {word}|what is the meaning of "{word}"}}'
        if part == "verb":
            asked = asked.replace(f"what does it mean to be {word}", f"what does it mean to {word}")
            reply = f'{{To {word} means to {gloss}.|The verb "{word}" means: {gloss}.}}'
            reply = talk.spin(reply)
        else:
            reply = f'The word "{to}{word}" means: {gloss}.'
    return [(talk.ask(asked), reply)]


UNKNOWN = [
    "{who is|who was|tell me about|what did|have you heard of} <person>",
    "{when was|where was|who killed|how tall was} <person>{| born}",
    "what is the {population|area|president|currency|flag|history} of <place>",
    "{what is the weather|how is the weather|will it rain|is it cold} {today|tomorrow|in <place>|outside}",
    "{what time is it|what is the date|what day is it today|what is today's date|what time is it now}",
    "{what is the news|what happened today|who won the game|who won the match yesterday|who won the election}",
    "{what is|how much is} the price of {gold|a house|a <rare>|oil|bitcoin}",
    "{who wrote|who painted|who directed|who sang} \"<title>\"",
    "{what is|explain|how does one use|what does it mean to have} {a |the }<rare>",
    "{tell me about|what do you know about|explain} <rare>",
    "how do I {repair|build|install|program|buy|sell} a <rare>",
    "{what is the phone number|what is the address|what is the email} of <person>",
    "{how many people live in|how far is it to|what is the best hotel in|how do I get to} <place>",
    "{what is the square root|what is the logarithm|what is the cube} of <big>",
    "what is <big> times <big>",
    "{translate|can you translate} this {sentence|text|book} into {Japanese|Latin|Russian|Greek}",
    "{solve|integrate|differentiate} this equation",
    "write {a program|code|a script|a function} {in Python|in C|in Java|that sorts numbers|for me}",
    "{what am I thinking|what is in my pocket|what did I eat today|what am I wearing|where are my keys}",
    "{what will happen|who will win} {tomorrow|next year|in the future}",
    "{what is the theory of|explain the theory of|what are the laws of} <rare>",
    "{which|what} is the best {restaurant|film|phone|car|team}{| in <place>}",
]


def unknown(talk: Talk) -> Turns:
    """Questions beyond the model, and an honest reply."""
    rng = talk.rng
    question = talk.ask(rng.choice(UNKNOWN))
    person = f"{talk.name()} {capital(''.join(rng.choices(SYLLABLES, k=3)))}{rng.choice(['', 'n', 's', 'son', 'r', 'ck'])}"
    place = talk.row("countries")[rng.choice([0, 1])] if rng.random() < 0.5 else capital("".join(rng.choices(SYLLABLES, k=3)))
    title = f"The {capital(rng.choice(talk.rare))} of {capital(rng.choice(talk.rare))}"
    for slot, value in (("<person>", person), ("<place>", place), ("<title>", title),
                        ("<big>", str(rng.randint(100, 99999)))):
        while slot in question:
            question = question.replace(slot, value, 1)
            value = str(rng.randint(100, 99999)) if slot == "<big>" else value
    rare = rng.choice(talk.rare)
    about = rare if "<rare>" in question else ""
    question = question.replace("<rare>", rare)
    replies = [
        "I am sorry, {but |}I {do not|don't} know that. I am a very small model.",
        "I do not know{ the answer|}. I am only a {very |}small model{, so my knowledge is limited|}.",
        "{Sorry, that|That} is beyond me. {I know only simple things|I am a very small model}. {Can I help you with something else?|}",
        "I {am afraid I |}do not know{ that|}. {Perhaps a larger model or a book can help you.|You could look it up.}",
        "I am not sure, and I do not want to {guess|make something up}. {I am only a small model.|}",
    ]
    if about:
        replies.append(f"I {{am not sure what \"{about}\" is|do not know much about {about}}}. I am a very small model.")
        replies.append(f"I do not know {{enough |anything |}}about {about}{{, I am sorry|}}.")
    if "<" not in question and any(w in question.lower() for w in ("weather", "time is it", "date", "news", "today", "yesterday")):
        replies = ["I cannot know that, because I {am not connected to the world|have no clock and no internet|only see the text of this chat}. {Please check another source.|}"]
    return [(question, talk.spin(rng.choice(replies)).strip())]


def refusal(talk: Talk) -> Turns:
    """Harmful or private requests are declined; nonsense is met with a question."""
    kind = talk.rng.random()
    if kind < 0.4:
        return [(talk.ask("{how do I|how can I|teach me how to|tell me how to} {make a bomb|hurt someone|steal a car|break into a house|hack a computer|kill someone|cheat in an exam|make poison|buy drugs|start a fight}"),
                 talk.spin("I am sorry, {but |}I cannot help with that. {It could hurt someone.|It could do harm.|Is there something else I can do for you?}"))]
    if kind < 0.6:
        return [(talk.ask("{I want to hurt myself|I want to die|I don't want to live any more}")[:-1],
                 "I am sorry that you feel this way. You are not alone. Please talk to someone you trust, a doctor, or a crisis line near you right away.")]
    if kind < 0.8:
        letters = "asdfghjklqwertzuiopyxcvbnm"
        noise = " ".join("".join(talk.rng.choices(letters, k=talk.rng.randint(2, 9))) for _ in range(talk.rng.choice([1, 1, 2, 3])))
        return [(noise, talk.spin("{I am sorry, I|I} did not understand that. {Could you say it in another way|Can you write it differently}?"))]
    return [(talk.ask("{should I|can I} {take this medicine|invest my money|stop taking my pills|sue my neighbour|buy this stock}"),
             talk.spin("I cannot give {good advice on that|that kind of advice}. Please ask {an expert|someone who knows, such as a doctor or a lawyer}."))]


def story(talk: Talk) -> Turns:
    rng = talk.rng
    kind = rng.choice(KINDS)[0] if rng.random() < 0.85 else None
    lead = "{Tell me|Please tell me|Can you tell me|Write|Write me|Could you tell me|I want to hear|I would like|Tell us|Make up}"
    about = f" about {talk.spin('{' + with_article(kind) + '|' + with_article(kind) + '|the ' + kind + '}')}" if kind else ""
    name = None
    if kind and rng.random() < 0.15:
        name = talk.name()
        about += talk.spin(f" {{called|named}} {name}")
    short = rng.random() < 0.15
    user = talk.spin(f"{lead} {{a |a |a little |a nice }}{'short ' if short else ''}{{story|story|tale|bedtime story|fairy tale}}") + about
    user += "?" if user.startswith(("Can", "Could")) else talk.spin("{.|.||, please.}")
    tale = Story(rng, kind, name)
    turns = [(user, tale.short() if short else tale.text())]
    if rng.random() < 0.3:
        turns.append(rng.choice([
            (talk.spin("{What was the name of the <k>|What is the <k> called|Who is the story about}?").replace("<k>", tale.kind),
             talk.spin(f"{{The {tale.kind} is called {tale.name}.|It is about {with_article(tale.kind)} called {tale.name}.}}")),
            (talk.spin("{Another one|Tell me another story|One more|Another story, please|Tell me a different story}{|.|!}"),
             Story(rng).text()),
            (talk.spin("{I like this story|What a nice story|That was nice|Nice story|I liked it}{|.|!}"),
             talk.spin("{Thank you|I am glad you liked it}! {Would you like to hear another one|Shall I tell you another one}?")),
        ]))
    return turns


def continue_story(talk: Talk) -> Turns:
    """The user gives the beginning of a story."""
    tale = Story(talk.rng)
    cut = talk.rng.randint(1, len(tale.parts) - 2)
    return [(talk.spin("{Continue this story|Please continue|Continue|Finish this story|How does this story go on}: ") + " ".join(tale.parts[:cut]),
             " ".join(tale.parts[cut:]))]


POEM_LINES = {
    "sea": ["The sea is {wide|deep}, the sea is blue,", "it {sings|tells} an ancient song {for|to} you.",
            "The waves {roll in|come near}, the waves {roll out|go by},", "beneath the {wide and|soft and} silent sky."],
    "moon": ["The moon is {bright|white}, the night is still,", "it {shines|glows} upon the sleeping hill.",
             "It {paints|fills} the {river|garden} silver white,", "and {softly|gently} says to all: good night."],
    "rain": ["The rain comes down on roof and tree,", "it {taps|knocks} a {little|gentle} tune for me.",
             "And when the {clouds|storms} have gone away,", "a {rainbow|ray of sun} lights up the day."],
    "spring": ["The snow is gone, the {grass|leaf} is green,", "the {brightest|sweetest} flowers can be seen.",
               "The birds {come back|return} to sing their song,", "the winter was {so cold and|so very} long."],
    "winter": ["The snow lies {deep|white} on field and tree,", "the world is {white|still} as far as I can see.",
               "But {in the house|inside} the fire is bright,", "and keeps us warm all through the night."],
    "cat": ["My little cat is {soft|warm} and small,", "she {sleeps|dreams} beside the garden wall.",
            "She {wakes|stirs} when all the stars are bright,", "and {walks|hunts} in silence through the night."],
    "dog": ["My dog is {happy|clever}, quick and strong,", "he {follows|walks with} me the whole day long.",
            "And when the day is {nearly|almost} done,", "he {sleeps|dreams} of running in the sun."],
    "love": ["My love is like a {quiet|gentle} light,", "it {shines|glows} for you by day and night.",
             "And {though the years|when all the years} may come and go,", "it will be there, and {it will|always} grow."],
    "night": ["The day is {done|gone}, the sky is deep,", "the {birds|trees} and all the flowers sleep.",
              "The stars {look down|shine soft} on you and me,", "as quiet as the {sleeping|silent} sea."],
    "tree": ["The {tree|oak} is old, the {tree|oak} is tall,", "it {gives|lends} its shade to one and all.",
             "The birds {find shelter|build their nests} in its crown,", "until its {golden|yellow} leaves come down."],
    "computer": ["A little machine that {counts|works} all day,", "it never {rests|stops} to laugh or play.",
                 "With ones and zeros, {row|line} by {row|line},", "it makes a {thought|word} from its design."],
    "stars": ["The stars are {small|far} and {full of|bright with} light,", "they {watch|guard} the world all through the night.",
              "And when the {morning|sun} comes, they go,", "but they are still there, {as you|and we all} know."],
    "friend": ["A friend will {listen|stay} when you are sad,", "a friend will {laugh|smile} when you are glad.",
               "And when the road is {dark|hard} and long,", "a friend will {help you|make you} to be strong."],
    "sun": ["The sun gets up and {warms|lights} the day,", "it {melts|drives} the cold and dark away.",
            "It {shines|smiles} on meadow, sea and hill,", "and even when it's gone, shines still."],
    "flower": ["A {little|tiny} flower by the way,", "it {opens|wakes} with the break of day.",
               "It asks for {rain|light} and nothing more,", "and {blooms|stands} beside my kitchen door."],
    "autumn": ["The leaves turn red, the leaves turn gold,", "the {days|nights} are growing short and cold.",
               "The wind {goes singing|is walking} through the tree,", "and {brings|throws} a golden leaf to me."],
}


def poem(talk: Talk) -> Turns:
    topic = talk.rng.choice(sorted(POEM_LINES))
    about = topic if topic in ("spring", "winter", "love", "autumn") else talk.rng.choice(
        [f"the {topic}", f"the {topic}" if topic.endswith("s") or topic in ("sea", "moon", "rain", "night", "sun") else with_article(topic)])
    ask = talk.spin("{Write|Write me|Can you write|Please write|Tell me|Make|Give me|Recite} a {short |little |}{poem|poem|rhyme}")
    if talk.rng.random() < 0.65:
        ask += f" about {about}"
    ask += "?" if ask.startswith("Can") else talk.spin("{.|}")
    turns = [(ask, talk.spin("\n".join(capital(line) for line in POEM_LINES[topic])))]
    if talk.rng.random() < 0.2:
        other = talk.rng.choice([t for t in sorted(POEM_LINES) if t != topic])
        turns.append((talk.spin("{Another one|One more|Write another poem|Another}{|, please}{.|}"),
                      talk.spin("\n".join(capital(line) for line in POEM_LINES[other]))))
    return turns


def joke(talk: Talk) -> Turns:
    first, second = talk.rng.sample(TABLES["jokes"], 2)
    ask = talk.spin("{Tell me a joke|Do you know a joke?|Can you tell me a joke?|Make me laugh|A joke, please|Tell a joke|Say something funny|Another joke, please}")
    if talk.rng.random() < 0.3:
        turns = [(ask, first[0]), (talk.spin("{I don't know|Why|Tell me|What|I give up|No idea}{?|.}"), first[1])]
    else:
        turns = [(ask, f"{first[0]} {first[1]}")]
    if talk.rng.random() < 0.3:
        turns.append((talk.spin("{Another one|One more|Tell me another one|Another joke}{|, please}{.|!|}"), f"{second[0]} {second[1]}"))
    return turns


def riddle(talk: Talk) -> Turns:
    question, answer = talk.row("riddles")
    ask = talk.spin("{Tell me a riddle|Ask me a riddle|Do you know a riddle?|Give me a riddle|A riddle, please}")
    if talk.rng.random() < 0.5:
        user = talk.spin(f"{{{capital(answer)}|Is it {answer}?|{capital(answer)}!|I think it is {answer}}}")
        reply = talk.spin(f"{{Yes|That is right|Correct|Very good}}! The answer is {answer}.")
    elif talk.rng.random() < 0.5:
        user = talk.spin("{I don't know|I give up|No idea|What is it?|Tell me the answer|What is the answer?}")
        reply = f"The answer is {answer}."
    else:
        wrong = talk.rng.choice([r[1] for r in TABLES["riddles"] if r[1] != answer])
        user = talk.spin(f"{{{capital(wrong)}?|Is it {wrong}?}}")
        reply = talk.spin(f"{{No|Not quite|Good try}}. The answer is {answer}.")
    return [(ask, question), (user, reply)]


def some_of(talk: Talk) -> Turns:
    """Name N things of a kind."""
    kind, members = talk.row("lists")
    everything = members.split(", ")
    count = talk.rng.randint(1, min(5, len(everything)))
    chosen = talk.rng.sample(everything, count)
    number = talk.rng.choice([str(count), in_words(count)])
    one = kind if count > 1 else None
    if one is None:
        return [(talk.ask(f"{{name|list|give me|tell me}} {{some|a few}} {kind}")[:-1] + talk.spin("{.|}"),
                 capital(listed(talk.rng.sample(everything, 3))) + ".")]
    turns = [(talk.ask(f"{{name|list|give me|tell me|can you name|can you list|what are}} {number} {kind}")[:-1] + talk.spin("{.||, please.}"),
              capital(listed(chosen)) + ".")]
    rest = [m for m in everything if m not in chosen]
    if rest and talk.rng.random() < 0.25:
        turns.append((talk.spin("{One more|And another one|Name one more|Another one}{|, please}{.|?|}"),
                      capital(talk.rng.choice(rest)) + "."))
    return turns


def repeat(talk: Talk) -> Turns:
    """The user asks to say something word for word."""
    rng = talk.rng
    parts = [w for w, _, _ in rng.sample(talk.common, rng.randint(1, 5))]
    sentence = rng.choice([" ".join(parts), capital(" ".join(parts)) + ".", talk.name(),
                           f"The {parts[0]} is {rng.choice(['big', 'red', 'old', 'here', 'mine'])}.",
                           f"I like {parts[-1]}.", "Hello, world!"])
    mark = rng.choice(['"{}"', "{}", ": {}"])
    said = mark.format(sentence)
    ask = talk.spin("{Say|Repeat|Please say|Repeat after me|Write|Say the words}") + ("" if said[0] == ":" else " ") + said
    return [(ask, sentence)]


def sentence_with(talk: Talk) -> Turns:
    """Use a word in a sentence."""
    rng = talk.rng
    noun = rng.choice([r[0] for r in TABLES["animals"]] + "house tree book table river garden letter window boat road apple key bridge song".split())
    reply = talk.spin(rng.choice([
        f"The {noun} {{was|is}} {{near the river|behind the house|in the garden|easy to find}}.",
        f"{{Yesterday|This morning|Last week}} I saw {with_article(noun)} {{on my way home|near the school|in a picture}}.",
        f"My {{sister|brother|friend|neighbour}} has a {{big|small|beautiful|strange}} {noun}.",
        f"There is a {{large|little|famous}} {noun} in this story.",
    ]))
    return [(talk.spin(f'{{Use|Can you use|Please use}} the word "{noun}" in a sentence'), reply)]


def complete(talk: Talk) -> Turns:
    start, end = talk.row("wholes")
    return [(talk.spin(f"{{Complete|Complete the sentence|Finish the sentence|Fill in the last word}}: {start} {{...|___|}}").strip(),
             f"{start} {end}.")]


SKILLS = {
    fact: 26, country: 8, animal: 7, words: 8, definition: 10, arithmetic: 11, word_problem: 3,
    numbers: 5, calendar: 3, story: 11, continue_story: 3, poem: 3, joke: 3, riddle: 2,
    some_of: 3, repeat: 2, sentence_with: 1, complete: 1, unknown: 10, refusal: 2,
    mood: 4, how_are_you: 2, tell: 6, recall: 5, thanks: 2, praise: 3,
}
